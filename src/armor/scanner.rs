//! Finds items in any input, in pieces of any size: the front door for both forms.

use super::Item;
use super::pool::Pool;
use super::raw::{Raw, begins_raw};
use super::text::Text;
use super::wide::Wide;

/// Bytes of a read that does not go directly into a packet: what a pipe holds.
const STAGE: usize = 64 << 10;

/// The form in which items were written.
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
/// It needs constant memory whatever the input (64 KiB, one packet, and 1.4 MiB for a line), and
/// copies no byte of a large raw packet: [`space`](Self::space) lends the packet's own buffer.
/// Buffers returned with [`recycle`](Self::recycle) carry later packets.
///
/// After an [`Item::Damaged`] it continues with what follows, except in a raw stream, where it
/// cannot and skips the rest.
pub struct Scanner {
    stage: Box<[u8]>,
    /// `stage[start..end]` has been read but not used yet.
    start: usize,
    end: usize,
    ended: bool,
    /// `None` before the first byte.
    form: Option<Form>,
    raw: Raw,
    text: Box<Text>,
    /// Set if the input is UTF-16.
    wide: Option<Wide>,
    pool: Pool,
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
            form: None,
            raw: Raw::new(),
            text: Box::new(Text::new()),
            wide: None,
            pool: Pool::default(),
        }
    }

    /// Where to read to next; afterwards call [`filled`](Self::filled).
    ///
    /// Never empty once [`next_item`](Self::next_item) has returned `None`. The content is
    /// arbitrary.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.raw.direct().is_some() {
                // Called again, because a borrow that is returned lasts to the end of the function.
                return self.raw.direct().unwrap_or_default();
            }
        }
        // At most a few hundred bytes, which could begin a marker or a raw stream.
        self.stage.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        &mut self.stage[self.end..]
    }

    /// The first `count` bytes of [`space`](Self::space) now hold input.
    pub fn filled(&mut self, count: usize) {
        let count = count.min(self.space().len());
        if self.start == self.end && self.raw.direct().is_some() {
            if let Some(lead) = self.raw.filled(count) {
                self.stage[0] = lead;
                self.end = 1;
            }
            return;
        }
        let came = self.end..self.end + count;
        self.end += match &mut self.wide {
            Some(wide) => wide.narrow(&mut self.stage[came]),
            None => count,
        };
    }

    /// Copies in input that the caller already has in memory; returns how much of it, at least one
    /// byte once [`next_item`](Self::next_item) has returned `None`.
    pub fn push(&mut self, input: &[u8]) -> usize {
        let space = self.space();
        let count = input.len().min(space.len());
        space[..count].copy_from_slice(&input[..count]);
        self.filled(count);
        count
    }

    /// The input has ended: [`next_item`](Self::next_item) now returns what was waiting for more.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The next item, or `None`: call again after [`filled`](Self::filled) or
    /// [`finish`](Self::finish).
    pub fn next_item(&mut self) -> Option<Item> {
        loop {
            let form = self.current_form()?;
            let input = &self.stage[self.start..self.end];
            let (used, item) = match form {
                Form::Raw => self.raw.step(input, self.ended, &mut self.pool),
                Form::Text => self.text.step(input, self.ended, &mut self.pool),
            };
            self.start += used;
            let turned = self.turn();
            if item.is_some() || used == 0 && !turned {
                return item;
            }
        }
    }

    /// The form of what comes next; `None` while too little of the input has arrived.
    fn current_form(&mut self) -> Option<Form> {
        if self.form.is_some() {
            return self.form;
        }
        let input = &mut self.stage[self.start..self.end];
        let first = *input.first()?;
        if matches!(first, 0xFE | 0xFF) {
            match input.get(1) {
                None if !self.ended => return None,
                None => {}
                Some(&second) => self.wide = Wide::of(first, second),
            }
        }
        if let Some(wide) = &mut self.wide {
            self.start += 2;
            self.end = self.start + wide.narrow(&mut input[2..]);
        }
        let raw = self.wide.is_none() && begins_raw(first);
        self.form = Some(if raw { Form::Raw } else { Form::Text });
        self.form
    }

    /// Switches to the other form if that begins here; returns whether it did.
    fn turn(&mut self) -> bool {
        if self.text.raw_follows() {
            self.form = Some(Form::Raw);
        } else if std::mem::take(&mut self.raw.text_follows) {
            self.form = Some(Form::Text);
        } else {
            return false;
        }
        true
    }

    /// Takes back a packet's buffer for a later packet. If it holds plaintext by now, wipe it
    /// first, and wipe the slice, `buffer[..].zeroize()`: `Vec::zeroize` also resets the length,
    /// and the next use would have to write all the zeros again.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.pool.put(buffer);
    }

    /// The form of the input; where one form follows the other, the form of what came last. `None`
    /// before the first byte.
    pub fn form(&self) -> Option<Form> {
        self.form
    }

    /// How many lines so far held text but no part of an item: mail headers, other people's words.
    pub fn unrelated_lines(&self) -> u64 {
        self.text.unrelated
    }

    /// How many lines so far held part of an item and other text, too: `> `, `<bob>`. White space
    /// and `\r` do not count.
    pub fn quoted_lines(&self) -> u64 {
        self.text.quoted
    }
}
