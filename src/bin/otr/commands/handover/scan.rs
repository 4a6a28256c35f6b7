//! The tar stream of a tree while it comes: what must not be in it, or was not announced, is refused before it
//! has filled the disk, and not only when all of it is here.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use tar::Header;

use super::entries::{Entries, Entry, Unfit};
use super::message::Offer;

/// Bytes of a header, and to whose multiples all else is padded.
const BLOCK: usize = 512;
/// The most bytes after the first empty block: the second one, what fills a tape's record, and our status.
const END: u64 = 20 * BLOCK as u64;

/// What comes next.
enum Next {
    Header,
    /// A long name or target, of so many bytes.
    Long(usize),
    /// What is not looked at.
    Content(u64),
    /// The end has come: no more than this follows.
    End(u64),
}

/// The stream up to a place in it.
pub(super) struct Scan {
    entries: Entries,
    next: Next,
    /// What has come of a header or a name.
    begun: Vec<u8>,
    at: u64,
}

impl Scan {
    /// Before the first byte of the tree that was offered.
    pub(super) fn new(offer: &Offer) -> Self {
        Self { entries: Entries::of(offer), next: Next::Header, begun: Vec::new(), at: 0 }
    }

    /// The same, after the first `to` bytes, which are in `file`.
    pub(super) fn after(offer: &Offer, file: &File, to: u64) -> Result<Self, Unfit> {
        let mut scan = Self::new(offer);
        let mut block = [0; BLOCK];
        while scan.at < to {
            if let Next::Content(left) = &mut scan.next {
                let passed = (to - scan.at).min(*left);
                *left -= passed;
                scan.at += passed;
            }
            let most = usize::try_from(to - scan.at).unwrap_or(BLOCK).min(BLOCK);
            file.read_exact_at(&mut block[..most], scan.at).map_err(|_| Unfit::Damaged)?;
            scan.take(&block[..most])?;
        }
        Ok(scan)
    }

    /// How much has come.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Takes what comes next.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), Unfit> {
        while !bytes.is_empty() {
            let count = match &mut self.next {
                Next::Content(left) | Next::End(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= count as u64;
                    count
                }
                Next::Header => self.begin(bytes, BLOCK),
                Next::Long(length) => {
                    let length = *length;
                    self.begin(bytes, length)
                }
            };
            bytes = &bytes[count..];
            self.at += count as u64;
            self.step(count)?;
        }
        Ok(())
    }

    /// Takes of a header or a name what is missing.
    fn begin(&mut self, bytes: &[u8], length: usize) -> usize {
        let count = (length - self.begun.len()).min(bytes.len());
        self.begun.extend_from_slice(&bytes[..count]);
        count
    }

    /// What comes next, if something has come whole.
    fn step(&mut self, count: usize) -> Result<(), Unfit> {
        match self.next {
            Next::Content(0) => self.next = Next::Header,
            // Something comes, and nothing may.
            Next::End(_) if count == 0 => return Err(Unfit::TooMuch),
            Next::Header if self.begun.len() == BLOCK => {
                let block = std::mem::take(&mut self.begun);
                self.next = self.header(&block)?;
            }
            Next::Long(length) if self.begun.len() == length => {
                self.entries.long(std::mem::take(&mut self.begun));
                self.next = Next::Content(padding(length as u64));
            }
            _ => {}
        }
        Ok(())
    }

    fn header(&mut self, block: &[u8]) -> Result<Next, Unfit> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(Next::End(END));
        }
        let header = Header::from_byte_slice(block);
        Ok(match self.entries.header(header)? {
            Entry::Long(length) => Next::Long(usize::try_from(length).map_err(|_| Unfit::Damaged)?),
            Entry::File { size, .. } => Next::Content(size.saturating_add(padding(size))),
            Entry::Root | Entry::Directory(_) | Entry::Link(..) => Next::Header,
        })
    }
}

/// What fills the last block of a content.
fn padding(size: u64) -> u64 {
    let over = size % BLOCK as u64;
    if over == 0 { 0 } else { BLOCK as u64 - over }
}
