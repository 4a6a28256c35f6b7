//! What comes, to stdout, where nothing can be taken back: never more than was announced, and never its
//! beginning twice.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use otr::store::patient::Patient;
use rustix::termios::isatty;
use zeroize::{Zeroize as _, Zeroizing};

use super::message::{Kind, Offer, TEXT, WHOLE, Why};
use super::place::Refusal;
use super::scan::Scan;
use crate::failure::{Code, Failure};
use crate::ui::printable::Printable;
use crate::ui::stdio;

/// stdout: byte for byte, or for a person's eyes.
pub(super) struct Out {
    to: To,
    /// How long the content is, if that was announced.
    length: Option<u64>,
    /// Whether it appears only when it is whole.
    is_text: bool,
    /// A tree, judged as it comes.
    scan: Option<Scan>,
    /// What is held back: a text, or the last byte, which may be the one after the content.
    held: Zeroizing<Vec<u8>>,
    /// How much of the content has come, with the byte after it.
    came: u64,
}

enum To {
    Pipe(Patient<File>),
    Terminal(Printable<Patient<File>>),
}

impl To {
    fn get(&mut self) -> &mut dyn io::Write {
        match self {
            Self::Pipe(out) => out,
            Self::Terminal(shown) => shown,
        }
    }
}

impl Out {
    /// For what is offered.
    pub(super) fn open(offer: &Offer) -> Result<Self, Refusal> {
        let out = stdio::output().map_err(unwritten)?;
        let is_terminal = isatty(out.as_fd());
        let to = if is_terminal { To::Terminal(Printable::new(out)) } else { To::Pipe(out) };
        let length = offer.size.filter(|_| offer.kind != Kind::Tree);
        let text = length.filter(|size| offer.kind == Kind::Text && *size <= TEXT);
        // Never so much that it would have to move: what it leaves would not be wiped.
        let room = text.and_then(|size| usize::try_from(size + 1).ok()).unwrap_or(1);
        let held = Zeroizing::new(Vec::with_capacity(room));
        let scan = (offer.kind == Kind::Tree).then(|| Scan::new(offer));
        Ok(Self { to, length, is_text: text.is_some(), scan, held, came: 0 })
    }

    /// The content begins with its byte `from`, perhaps once more.
    pub(super) fn begins(&mut self, from: u64) -> Result<(), Refusal> {
        if from > 0 || (self.came > 0 && !self.is_text) {
            let what = "the other side has begun anew, and a part of it had gone to stdout before";
            let hint = "it goes on in a file only: ask for it again";
            return Err(Refusal::new(Why::Cut, Code::CutShort, what, hint));
        }
        self.held.zeroize();
        self.came = 0;
        Ok(())
    }

    /// Writes what comes; returns how much that is by now.
    pub(super) fn write(&mut self, part: &[u8]) -> Result<u64, Refusal> {
        let came = self.came.saturating_add(part.len() as u64);
        if self.length.is_some_and(|length| came > length.saturating_add(1)) {
            return Err(Refusal::too_much());
        }
        if let Some(scan) = &mut self.scan {
            scan.take(part).map_err(Refusal::unfit)?;
        }
        let Some((last, before)) = part.split_last() else { return Ok(came) };
        self.came = came;
        if self.is_text {
            self.held.extend_from_slice(part);
            return Ok(came);
        }
        let out = self.to.get();
        let written = out.write_all(&self.held).and_then(|()| out.write_all(before));
        written.map_err(|error| unwritten(Failure::output(&error)))?;
        self.held.clear();
        self.held.push(*last);
        Ok(came)
    }

    /// All has come, and must be whole.
    pub(super) fn end(&mut self) -> Result<(), Refusal> {
        let length = self.held.pop().filter(|status| *status == WHOLE).map(|_| self.came - 1);
        match (length, self.length) {
            (None, _) => {
                return Err(Refusal::cut("it changed while the other side read it"));
            }
            (Some(length), Some(announced)) if length != announced => {
                return Err(Refusal::too_little());
            }
            _ => {}
        }
        let written = self.to.get().write_all(&self.held).and_then(|()| match &mut self.to {
            To::Pipe(out) => out.flush(),
            To::Terminal(shown) => shown.end(),
        });
        written.map_err(|error| unwritten(Failure::output(&error)))
    }
}

fn unwritten(failure: Failure) -> Refusal {
    Refusal { why: Why::Unwritable, failure }
}
