//! The text form: `otr1p:` lines, with whatever a mail program, a chat or a person put around them.
//!
//! ```text
//!              marker                 end of line, and more is due
//!   Between ───────────▶ Run ─▶ Trail ─────────────────────────────▶ Lead
//!      ▲                  ▲                                           │ a line of base64url
//!      │                  └───────────────────────────────────────────┤
//!      └── whole or damaged: right length at the end of a line, ◀─────┘ anything else
//!          too long, another marker, an unrelated character, the end
//! ```
//!
//! Where does an item end that a mail program may have wrapped? At the first line end where its
//! length is one that its kind can have; an invite, which can have many lengths, ends where its
//! checksum fits. So a packet on one line is returned as soon as its newline arrives, without
//! reading ahead, and a line "hello" after it is not mistaken for a continuation.
//! [`encode`](super::encode) ensures that no line of a wrapped packet ends where a smaller packet
//! would.
//!
//! Mail may be quoted-printable: a soft break (`=` at the end of a line) joins two lines and is not
//! a line end, even inside a marker; `=20` is a blank ([`soft`](super::soft)). A raw stream may
//! begin directly after an item, if two ends have chosen different forms and somebody recorded
//! both: [`Text::raw_follows`].

use super::base64url::{encoded_len, is_character, run};
use super::item::{Damaged, Item, Kind, Reason};
use super::marks::MARKER;
use super::pool::Pool;
use super::raw::{Next, next_is_raw};
use super::soft::{Escape, Found, SPLIT_MAX, escape, is_blank, marker_at};
use super::whole::{Whole, last_reason, whole};
use super::{CHECK_BYTES, KEY_BYTES, MAX_INVITE_BYTES, MAX_K, MIN_INVITE_BYTES, REPLY_BYTES};

/// An invite's checksum is tried at this many line ends, and then only where the item must end:
/// enough for any invite in lines of [`super::encode::MIN_COLUMNS`], and few enough that a few
/// kilobytes of short lines cannot make us hash gigabytes.
const MAX_CHECKS: u32 = 128;
/// With fewer characters, an item cannot be an invite yet.
const MIN_INVITE_CHARACTERS: usize = encoded_len(MIN_INVITE_BYTES + CHECK_BYTES);

/// Where in a line the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside an item.
    Between,
    /// Among an item's characters.
    Run,
    /// After them, with only blanks since.
    Trail,
    /// At the beginning of a line that may continue the item: blanks and quote marks.
    Lead,
    /// Where a raw stream begins: the other reader continues.
    Raw,
}

/// The reader of text.
pub(super) struct Text {
    state: State,
    kind: Kind,
    /// The item's characters so far, from all its lines.
    body: Vec<u8>,
    /// How many of them are from earlier lines.
    earlier: usize,
    checks: u32,
    /// Whether only blanks have come since the previous item.
    behind_item: bool,
    /// Whether this line holds part of an item, and whether it holds other text.
    ours: bool,
    other: bool,
    pub(super) unrelated: u64,
    pub(super) quoted: u64,
}

/// How much was used, and the item that ended there.
type Step = (usize, Option<Item>);

impl Text {
    pub(super) fn new() -> Self {
        Self {
            state: State::Between,
            kind: Kind::Packet,
            body: Vec::new(),
            earlier: 0,
            checks: 0,
            behind_item: false,
            ours: false,
            other: false,
            unrelated: 0,
            quoted: 0,
        }
    }

    /// Takes what it can use of `input`. If `ended`, nothing follows it.
    pub(super) fn step(&mut self, input: &[u8], ended: bool, pool: &mut Pool) -> Step {
        let mut used = 0;
        loop {
            let (state, rest) = (self.state, &input[used..]);
            let (count, item) = match state {
                State::Between => (self.between(rest, ended), None),
                State::Run => self.run(rest, ended, pool),
                State::Trail => self.trail(rest, ended, pool),
                State::Lead => self.lead(rest, ended, pool),
                State::Raw => (0, None),
            };
            used += count;
            if item.is_some() || self.state == State::Raw {
                return (used, item);
            }
            if count == 0 && self.state == state {
                break;
            }
        }
        if ended {
            let item = self.close(pool);
            self.end_line();
            return (used, item);
        }
        (used, None)
    }

    /// Whether a raw stream begins here. This is true once; after the stream, this reader starts at
    /// the beginning of a line.
    pub(super) fn raw_follows(&mut self) -> bool {
        let follows = self.state == State::Raw;
        if follows {
            self.state = State::Between;
        }
        follows
    }

    /// Skips everything up to the next marker.
    fn between(&mut self, input: &[u8], ended: bool) -> usize {
        if self.behind_item {
            let gap = |byte: &&u8| is_blank(**byte) || **byte == b'\n';
            let gap = input.iter().take_while(gap).count();
            if gap > 0 {
                self.pass_over(&input[..gap]);
                return gap;
            }
            match next_is_raw(input, ended) {
                Next::Unknown => return 0,
                Next::Raw => {
                    self.state = State::Raw;
                    return 0;
                }
                Next::Other => self.behind_item = false,
            }
        }
        let (upto, found) = Self::find_marker(input);
        let upto = if ended && found.is_none() { input.len() } else { upto };
        self.pass_over(&input[..upto]);
        let Some((kind, length)) = found else { return upto };
        self.begin(kind);
        upto + length
    }

    /// Where the next marker is, with its kind and length; if there is none, where something begins
    /// that may become one.
    fn find_marker(input: &[u8]) -> (usize, Option<(Kind, usize)>) {
        let begins = input.windows(MARKER.len()).enumerate();
        let mut begins = begins.filter(|(_, four)| *four == MARKER.as_bytes()).map(|(at, _)| at);
        let whole = begins.find_map(|at| match marker_at(&input[at..]) {
            Found::Marker(kind, length) => Some((at, Some((kind, length)))),
            Found::Begun => Some((at, None)),
            Found::No => None,
        });
        let upto = whole.map_or(input.len(), |(at, _)| at);
        // A marker that a soft break splits, or one at the end of the input so far.
        let equals = input[..upto].iter().enumerate().filter(|(_, byte)| **byte == b'=');
        let cut = equals
            .map(|(at, _)| at)
            .filter(|&at| matches!(input.get(at + 1), None | Some(b'\n' | b'\r' | b' ' | b'\t')))
            .chain([upto])
            .flat_map(|at| at.saturating_sub(SPLIT_MAX)..at)
            .find_map(|at| match marker_at(&input[at..]) {
                Found::Marker(kind, length) => Some((at, Some((kind, length)))),
                Found::Begun => Some((at, None)),
                Found::No => None,
            });
        cut.or(whole).unwrap_or((input.len(), None))
    }

    fn begin(&mut self, kind: Kind) {
        self.state = State::Run;
        self.kind = kind;
        self.body.clear();
        self.earlier = 0;
        self.checks = 0;
    }

    fn run(&mut self, input: &[u8], ended: bool, pool: &mut Pool) -> Step {
        let count = run(input);
        let fits = max_characters(self.kind) - self.body.len();
        if count > fits {
            self.append(&input[..fits]);
            return (fits, self.full(&input[fits..], ended, pool));
        }
        self.append(&input[..count]);
        let Some(&next) = input.get(count) else { return (count, None) };
        match next {
            b'\n' => (count + 1, self.end_of_line(pool)),
            b':' => match self.take_marker() {
                Some(kind) => (count + 1, self.next_item(kind, pool)),
                None => (count, self.end_within_line(next, pool)),
            },
            b'=' => {
                let (more, item) = self.escaped(&input[count..], ended, pool);
                (count + more, item)
            }
            _ if is_blank(next) => {
                self.state = State::Trail;
                (count + 1, None)
            }
            _ => (count, self.end_within_line(next, pool)),
        }
    }

    /// The item has as many characters as its kind allows, and more follow: either those of the
    /// next item, whose newline got lost, or too many.
    fn full(&mut self, rest: &[u8], ended: bool, pool: &mut Pool) -> Option<Item> {
        match marker_at(rest) {
            Found::Marker(..) => self.close(pool),
            Found::Begun if !ended => None,
            Found::Begun | Found::No => {
                self.ours = true;
                self.damaged(Reason::Length)
            }
        }
    }

    /// Handles an `=`.
    fn escaped(&mut self, input: &[u8], ended: bool, pool: &mut Pool) -> Step {
        match escape(input, ended) {
            Escape::More => (0, None),
            Escape::Soft(length) => (length, self.soft_break(pool)),
            Escape::Byte(b'\n', length) => (length, self.end_of_line(pool)),
            Escape::Byte(byte, length) if is_blank(byte) => {
                self.state = State::Trail;
                (length, None)
            }
            Escape::Byte(byte, length)
                if is_character(byte) && self.body.len() < max_characters(self.kind) =>
            {
                self.state = State::Run;
                self.append(&[byte]);
                (length, None)
            }
            Escape::Byte(..) | Escape::No => (0, self.end_within_line(b'=', pool)),
        }
    }

    /// The line continues after the break, unless the item cannot be longer.
    fn soft_break(&mut self, pool: &mut Pool) -> Option<Item> {
        if self.body.len() == max_characters(self.kind) {
            return self.end_of_line(pool);
        }
        self.state = State::Lead;
        None
    }

    fn trail(&mut self, input: &[u8], ended: bool, pool: &mut Pool) -> Step {
        let blanks = input.iter().take_while(|&&byte| is_blank(byte)).count();
        match input.get(blanks) {
            None => (blanks, None),
            Some(b'\n') => (blanks + 1, self.end_of_line(pool)),
            Some(b'=') => match escape(&input[blanks..], ended) {
                Escape::More => (blanks, None),
                Escape::Soft(length) => (blanks + length, self.soft_break(pool)),
                Escape::Byte(b'\n', length) => (blanks + length, self.end_of_line(pool)),
                Escape::Byte(byte, length) if is_blank(byte) => (blanks + length, None),
                Escape::Byte(..) | Escape::No => (blanks, self.end_within_line(b' ', pool)),
            },
            Some(_) => (blanks, self.end_within_line(b' ', pool)),
        }
    }

    fn lead(&mut self, input: &[u8], ended: bool, pool: &mut Pool) -> Step {
        let is_quoting = |byte| matches!(byte, b'>' | b'|');
        let count = input.iter().take_while(|&&byte| is_blank(byte) || is_quoting(byte)).count();
        self.other |= input[..count].iter().any(|&byte| is_quoting(byte));
        match input.get(count) {
            None => (count, None),
            Some(&next) if is_character(next) => {
                self.state = State::Run;
                (count, None)
            }
            // The colon of a marker that a soft break has split.
            Some(b':') => match self.take_marker() {
                Some(kind) => (count + 1, self.next_item(kind, pool)),
                None => (count, self.close(pool)),
            },
            Some(b'=') => match escape(&input[count..], ended) {
                Escape::More => (count, None),
                Escape::Soft(length) => (count + length, None),
                Escape::Byte(byte, length) if is_blank(byte) => (count + length, None),
                Escape::Byte(byte, _) if is_character(byte) => {
                    self.state = State::Run;
                    (count, None)
                }
                Escape::Byte(..) | Escape::No => (count, self.close(pool)),
            },
            // A blank or unrelated line: the item ends without being complete.
            Some(_) => (count, self.close(pool)),
        }
    }

    /// The line ends after the item's characters: is the item complete?
    fn end_of_line(&mut self, pool: &mut Pool) -> Option<Item> {
        self.ours = true;
        self.end_line();
        if self.kind == Kind::Invite && self.body.len() >= MIN_INVITE_CHARACTERS {
            self.checks += 1;
        }
        let worth_it = self.checks <= MAX_CHECKS;
        match if worth_it { whole(self.kind, &self.body, pool) } else { Whole::No } {
            Whole::Item(item) => self.ended(item),
            // Its length is final, so more lines would not help.
            Whole::Bad(reason) => self.damaged(reason),
            Whole::No => {
                self.state = State::Lead;
                self.earlier = self.body.len();
                None
            }
        }
    }

    /// Something that is not base64url follows the item's characters on the same line.
    fn end_within_line(&mut self, next: u8, pool: &mut Pool) -> Option<Item> {
        // These belong to other base64 alphabets and to padding: do not take them for the end of
        // the item.
        if matches!(next, b'+' | b'/' | b'=') && !self.body.is_empty() {
            self.ours = true;
            return self.damaged(Reason::Character);
        }
        if let Whole::Item(item) = whole(self.kind, &self.body, pool) {
            self.ours = true;
            return self.ended(item);
        }
        if self.earlier > 0 {
            // An unrelated line that began like a line of the item.
            self.body.truncate(self.earlier);
            self.other = true;
        } else if next != b' ' && !self.body.is_empty() {
            self.ours = true;
            return self.damaged(Reason::Character);
        }
        self.close(pool)
    }

    /// The item ends here, complete or not. A marker with nothing after it is somebody's prose.
    fn close(&mut self, pool: &mut Pool) -> Option<Item> {
        if self.state == State::Between {
            return None;
        }
        self.state = State::Between;
        if self.body.is_empty() {
            self.other = true;
            return None;
        }
        self.ours |= self.body.len() > self.earlier;
        match whole(self.kind, &self.body, pool) {
            Whole::Item(item) => self.ended(item),
            Whole::Bad(reason) => self.damaged(reason),
            Whole::No => self.damaged(last_reason(self.kind, &self.body)),
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "the last word of functions that return a Step")]
    fn damaged(&mut self, reason: Reason) -> Option<Item> {
        self.ended(Item::Damaged(Damaged { kind: Some(self.kind), reason }))
    }

    #[allow(clippy::unnecessary_wraps, reason = "the last word of functions that return a Step")]
    fn ended(&mut self, item: Item) -> Option<Item> {
        self.state = State::Between;
        self.behind_item = true;
        Some(item)
    }

    /// If this line's characters, before a colon, end with a marker (its newline got lost, or it is
    /// the next line), removes the marker and returns its kind.
    fn take_marker(&mut self) -> Option<Kind> {
        let at = self.body.len().checked_sub(MARKER.len() + 1)?;
        if at < self.earlier || !self.body[at..].starts_with(MARKER.as_bytes()) {
            return None;
        }
        let kind = Kind::of_letter(self.body[at + MARKER.len()])?;
        self.body.truncate(at);
        Some(kind)
    }

    /// This item ends, and one of kind `kind` begins.
    fn next_item(&mut self, kind: Kind, pool: &mut Pool) -> Option<Item> {
        let item = self.close(pool);
        self.begin(kind);
        item
    }

    fn append(&mut self, characters: &[u8]) {
        let (have, count) = (self.body.len(), characters.len());
        if self.body.capacity() - have < count {
            // Doubles the capacity, but not beyond what the largest packet needs.
            let more = have.min(max_characters(self.kind) - have).max(count);
            self.body.reserve_exact(more);
        }
        self.body.extend_from_slice(characters);
    }

    /// Counts the lines in a stretch outside items.
    fn pass_over(&mut self, mut input: &[u8]) {
        while let Some(at) = input.iter().position(|&byte| byte == b'\n') {
            self.other = self.other || !input[..at].iter().all(|&byte| is_blank(byte));
            self.end_line();
            input = &input[at + 1..];
        }
        self.other = self.other || !input.iter().all(|&byte| is_blank(byte));
    }

    fn end_line(&mut self) {
        self.quoted += u64::from(self.ours && self.other);
        self.unrelated += u64::from(!self.ours && self.other);
        (self.ours, self.other) = (false, false);
    }
}

fn max_characters(kind: Kind) -> usize {
    encoded_len(match kind {
        Kind::Invite => MAX_INVITE_BYTES + CHECK_BYTES,
        Kind::Reply => REPLY_BYTES,
        Kind::Packet => 1 << MAX_K,
        Kind::Key => KEY_BYTES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_needs_no_more_room_than_the_largest_packet() {
        let mut pool = Pool::default();
        let mut text = Text::new();
        let mut damaged = 0;
        let block = [b"otr1p:".as_slice(), &vec![b'A'; 60_000]].concat();
        for round in 0..100 {
            let mut rest = if round == 0 { &block[..] } else { &block[6..] };
            while !rest.is_empty() {
                let (used, item) = text.step(rest, false, &mut pool);
                rest = &rest[used..];
                damaged += usize::from(item.is_some());
                assert!(text.body.capacity() <= encoded_len(1 << MAX_K));
            }
        }
        assert_eq!(damaged, 1);
    }

    #[test]
    fn short_lines_of_an_invite_are_hashed_a_bounded_number_of_times() {
        let mut pool = Pool::default();
        let mut text = Text::new();
        let input = [b"otr1i:".to_vec(), vec![b'A'; 1728], b"A\n".repeat(1000)].concat();
        assert_eq!(text.step(&input, false, &mut pool), (input.len(), None));
        assert!(text.checks > MAX_CHECKS);
    }
}
