//! Items out of any input, however it is cut: the front door of both forms.

use super::Item;
use super::pool::Pool;
use super::raw::{Raw, begins_raw};
use super::text::Text;

/// Bytes of a read that does not go into a packet itself: what a pipe holds.
const STAGE: usize = 64 << 10;

/// How items were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A lead byte and bytes.
    Raw,
    /// Lines.
    Text,
}

/// Finds items in a stream that comes in pieces of any size.
///
/// ```text
/// loop {
///     let count = read(scanner.space())?;
///     if count == 0 { scanner.finish() } else { scanner.filled(count) }
///     while let Some(item) = scanner.next_item() { … }
///     if count == 0 { break }
/// }
/// ```
///
/// It needs constant memory whatever comes (64 KiB, one packet, and 1.4 MiB for a line), and
/// copies no byte of a large raw packet: [`space`](Self::space) lends the packet's own buffer.
/// Buffers that are handed back with [`recycle`](Self::recycle) carry later packets.
///
/// After an [`Item::Damaged`] it goes on with what follows; only in a raw stream it cannot, and
/// passes over the rest.
pub struct Scanner {
    stage: Box<[u8]>,
    /// `stage[start..end]` was read and not yet used.
    start: usize,
    end: usize,
    ended: bool,
    reader: Option<Reader>,
    pool: Pool,
}

enum Reader {
    Raw(Raw),
    Text(Box<Text>),
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner at the beginning of an input.
    pub fn new() -> Self {
        Self {
            stage: vec![0; STAGE].into(),
            start: 0,
            end: 0,
            ended: false,
            reader: None,
            pool: Pool::default(),
        }
    }

    /// Where to read next; then call [`filled`](Self::filled).
    ///
    /// Never empty once [`next_item`](Self::next_item) has said `None`. Of any content before.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if let Some(Reader::Raw(raw)) = &mut self.reader
                && let Some(rest) = raw.direct()
            {
                return rest;
            }
        }
        // At most a few bytes: those that could begin a marker.
        self.stage.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        &mut self.stage[self.end..]
    }

    /// The first `count` bytes of [`space`](Self::space) now hold input.
    pub fn filled(&mut self, count: usize) {
        let count = count.min(self.space().len());
        if self.start == self.end
            && let Some(Reader::Raw(raw)) = &mut self.reader
            && raw.direct().is_some()
        {
            if let Some(lead) = raw.filled(count) {
                self.stage[0] = lead;
                self.end = 1;
            }
        } else {
            self.end += count;
        }
    }

    /// Copies input in, for a caller that has it in memory already: how much of it, at least one
    /// byte once [`next_item`](Self::next_item) has said `None`.
    pub fn push(&mut self, input: &[u8]) -> usize {
        let space = self.space();
        let count = input.len().min(space.len());
        space[..count].copy_from_slice(&input[..count]);
        self.filled(count);
        count
    }

    /// The input has ended: [`next_item`](Self::next_item) gives out what was waiting for more.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The next item, or `None`: call again after [`filled`](Self::filled) or
    /// [`finish`](Self::finish).
    pub fn next_item(&mut self) -> Option<Item> {
        loop {
            let input = &self.stage[self.start..self.end];
            let reader = match &mut self.reader {
                Some(reader) => reader,
                none => none.insert(Reader::of(*input.first()?)),
            };
            let (used, item) = match reader {
                Reader::Raw(raw) => raw.step(input, self.ended, &mut self.pool),
                Reader::Text(text) => text.step(input, self.ended, &mut self.pool),
            };
            self.start += used;
            if item.is_some() || used == 0 {
                return item;
            }
        }
    }

    /// Takes back a packet's buffer for a later one. Wipe it first if it holds plaintext by now:
    /// the slice, `buffer[..].zeroize()`, since `Vec::zeroize` also forgets the length, and the
    /// next use would write all those zeros again.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.pool.put(buffer);
    }

    /// Which form it is; `None` before the first byte.
    pub fn form(&self) -> Option<Form> {
        self.reader.as_ref().map(|reader| match reader {
            Reader::Raw(_) => Form::Raw,
            Reader::Text(_) => Form::Text,
        })
    }

    /// Lines so far that held something, and nothing of ours: mail headers, other people's words.
    pub fn foreign_lines(&self) -> u64 {
        match &self.reader {
            Some(Reader::Text(text)) => text.foreign,
            _ => 0,
        }
    }

    /// Lines so far that held something of ours and something else beside it: `> `, `<bob>`.
    /// White space and `\r` are nothing.
    pub fn dressed_lines(&self) -> u64 {
        match &self.reader {
            Some(Reader::Text(text)) => text.dressed,
            _ => 0,
        }
    }
}

impl Reader {
    fn of(first: u8) -> Self {
        if begins_raw(first) { Self::Raw(Raw::new()) } else { Self::Text(Box::new(Text::new())) }
    }
}
