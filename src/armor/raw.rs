//! The raw form: one byte that says what follows, then the item's bytes.

use super::marks::{KEY_LEAD, PACKET_LEAD, WORK_LEAD};
use super::pool::Pool;
use super::soft::{Found, marker_at};
use super::{Damaged, Item, KEY_BYTES, Kind, MAX_K, MIN_K, Reason, is_packet_length};

/// No text begins with this byte or a higher one: 0xF5 and above never occur in UTF-8, and 0xF4
/// occurs only before private characters. (0xFE and 0xFF may begin UTF-16, which
/// [`Wide`](super::wide::Wide) has already recognised.)
const NEVER_TEXT: u8 = 0xF4;

/// The rest of a packet is read directly into its buffer if it is at least this long; for less, a
/// separate read would cost more than copying.
const DIRECT: usize = 16 << 10;

/// The byte before a packet in a raw stream, 0xF5 … 0xFD; `None` if no packet has that many bytes.
pub fn packet_lead(bytes: usize) -> Option<u8> {
    let k = u8::try_from(bytes.trailing_zeros()).ok()?;
    is_packet_length(bytes).then(|| PACKET_LEAD + k)
}

/// Bytes of the packet that follows this byte.
fn packet_length(lead: u8) -> Option<usize> {
    let k = u32::from(lead.checked_sub(PACKET_LEAD)?);
    (MIN_K..=MAX_K).contains(&k).then(|| 1 << k)
}

/// Whether a stream with this first byte is meant to be raw.
pub(super) fn begins_raw(first: u8) -> bool {
    // These two never occur in UTF-8 either.
    first >= NEVER_TEXT || first == KEY_LEAD || first == WORK_LEAD
}

/// How many bytes to examine in order to tell a raw packet that follows text from a line of old
/// 8-bit text, which may begin with the same byte: all but one in 10¹² packets have a control
/// character among them.
const TOLD_BY: usize = 256;

/// What follows an item of text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A raw stream.
    Raw,
    /// Anything else.
    Other,
    /// More input will tell.
    Unknown,
}

/// Whether a raw stream begins here, just after an item of text.
pub(super) fn next_is_raw(input: &[u8], ended: bool) -> Next {
    let Some((&lead, body)) = input.split_first() else { return Next::Unknown };
    let enough = match packet_length(lead) {
        Some(_) => TOLD_BY,
        None if lead == KEY_LEAD => KEY_BYTES,
        None => return Next::Other,
    };
    if body.len() < enough && !ended {
        return Next::Unknown;
    }
    let body = &body[..enough.min(body.len())];
    let control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let ascii = body.iter().filter(|byte| byte.is_ascii()).count();
    // Half of all random bytes are ASCII, and most of a text; one key in 2,000 contains no control
    // character.
    let key = lead == KEY_LEAD && ascii < body.len() / 4 * 3;
    if key || body.iter().any(control) { Next::Raw } else { Next::Other }
}

/// Where in the stream the reader is.
enum State {
    /// Before a lead byte.
    Lead,
    /// In a packet. The buffer is one byte longer than the packet, so that a read that fills it
    /// also fetches the next lead byte, and a stream of large packets needs no extra read for that.
    Packet { buffer: Vec<u8>, have: usize, need: usize },
    /// In a published key.
    Key { key: [u8; KEY_BYTES], have: usize },
    /// After a byte that begins no item: there is no way to find the next one.
    Lost,
}

/// The reader of a raw stream.
pub(super) struct Raw {
    state: State,
    /// Set when text begins: the caller continues with the other reader.
    pub(super) text_follows: bool,
}

impl Raw {
    pub(super) fn new() -> Self {
        Self { state: State::Lead, text_follows: false }
    }

    /// Where to read next, if that is the packet's own buffer.
    pub(super) fn direct(&mut self) -> Option<&mut [u8]> {
        match &mut self.state {
            State::Packet { buffer, have, need } if *need - *have >= DIRECT => {
                Some(&mut buffer[*have..])
            }
            _ => None,
        }
    }

    /// `count` bytes were read into [`direct`](Self::direct). Returns the next lead byte if it was
    /// among them.
    pub(super) fn filled(&mut self, count: usize) -> Option<u8> {
        let State::Packet { buffer, have, need } = &mut self.state else { return None };
        let lead = (*have + count > *need).then(|| buffer[*need]);
        *have = (*have + count).min(*need);
        lead
    }

    /// Takes what it can use of `input`; returns how many bytes that was, and an item if they
    /// complete one.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        ended: bool,
        pool: &mut Pool,
    ) -> (usize, Option<Item>) {
        match &mut self.state {
            State::Lead => match (input.first(), marker_at(input)) {
                (None, _) => (0, None),
                (_, Found::Begun) if !ended => (0, None),
                (_, Found::Marker(..)) => {
                    self.text_follows = true;
                    (0, None)
                }
                (Some(&lead), _) => (1, self.begin(lead, pool)),
            },
            State::Packet { buffer, have, need } => {
                let used = fill(&mut buffer[..*need], have, input);
                if have == need {
                    let mut packet = std::mem::take(buffer);
                    packet.truncate(*need);
                    self.state = State::Lead;
                    return (used, Some(Item::Packet(packet)));
                }
                (used, self.cut_short(ended, Kind::Packet))
            }
            State::Key { key, have } => {
                let used = fill(key, have, input);
                if *have == KEY_BYTES {
                    let key = *key;
                    self.state = State::Lead;
                    return (used, Some(Item::Key(key)));
                }
                (used, self.cut_short(ended, Kind::Key))
            }
            State::Lost => (input.len(), None),
        }
    }

    fn begin(&mut self, lead: u8, pool: &mut Pool) -> Option<Item> {
        if let Some(need) = packet_length(lead) {
            self.state = State::Packet { buffer: pool.take(need + 1), have: 0, need };
        } else if lead == KEY_LEAD {
            self.state = State::Key { key: [0; KEY_BYTES], have: 0 };
        } else {
            self.state = State::Lost;
            return Some(Item::Damaged(Damaged { kind: None, reason: Reason::UnknownByte }));
        }
        None
    }

    fn cut_short(&mut self, ended: bool, kind: Kind) -> Option<Item> {
        if !ended {
            return None;
        }
        self.state = State::Lost;
        Some(Item::Damaged(Damaged { kind: Some(kind), reason: Reason::CutShort }))
    }
}

/// Copies as much as is missing; returns how much that was.
fn fill(target: &mut [u8], have: &mut usize, input: &[u8]) -> usize {
    let count = input.len().min(target.len() - *have);
    target[*have..*have + count].copy_from_slice(&input[..count]);
    *have += count;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_old_text_is_no_raw_packet() {
        // "über …" and "À …" in ISO 8859-1.
        for line in [&b"\xFCber den Fluss\r\n"[..], b"\xC0 bient\xF4t, et merci pour tout\n"] {
            let text = line.repeat(20);
            assert_eq!(next_is_raw(&text, false), Next::Other);
            assert_eq!(next_is_raw(line, true), Next::Other);
            assert_eq!(next_is_raw(line, false), Next::Unknown);
        }
        let random: Vec<u8> = (0..=u8::MAX).map(|byte| byte.wrapping_mul(167)).collect();
        for lead in [0xF5, 0xFD, KEY_LEAD] {
            assert_eq!(next_is_raw(&[&[lead], &random[..]].concat(), false), Next::Raw);
        }
        assert_eq!(next_is_raw(b"hello", false), Next::Other);
        assert_eq!(next_is_raw(b"", true), Next::Unknown);
    }

    #[test]
    fn the_lead_bytes_are_those_that_utf8_lacks() {
        assert_eq!(packet_lead(1 << 12), Some(0xF5));
        assert_eq!(packet_lead(1 << 20), Some(0xFD));
        for bytes in [0, 1, 4095, 4097, 1 << 11, 1 << 21] {
            assert_eq!(packet_lead(bytes), None);
        }
        for lead in 0..=u8::MAX {
            let length = packet_length(lead);
            assert_eq!(length.is_some(), (0xF5..=0xFD).contains(&lead));
            assert!(length.is_none_or(|bytes| packet_lead(bytes) == Some(lead)));
            let utf8 = std::str::from_utf8(&[lead, 0x80, 0x80, 0x80]).is_ok();
            assert!(!(utf8 && (length.is_some() || lead == KEY_LEAD)));
        }
    }
}
