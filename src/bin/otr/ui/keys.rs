//! Keys, from the bytes that a terminal in raw mode sends for them.
//!
//! The sequences are those of xterm, which every terminal of today sends; what is not known is passed
//! over. A paste comes between two marks ("bracketed paste"), and is one key here: nothing in it is
//! obeyed.

use std::mem;

use memchr::memmem;
use zeroize::Zeroizing;

/// What the terminal sends before and after a paste.
const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";
/// The longest sequence of a key: a longer one is none.
const LONGEST: usize = 32;
/// The most bytes of a paste: more than anybody has in a clipboard.
const PASTE: usize = 16 << 20;

/// A key, or several at once, by what it does.
#[cfg_attr(test, derive(Debug))]
#[derive(PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Enter,
    /// A new line within the text: Alt-Enter, or Ctrl-J.
    NewLine,
    Tab,
    Escape,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    PageUp,
    PageDown,
    Backspace,
    Delete,
    DeleteWord,
    DeleteNextWord,
    DeleteToStart,
    DeleteToEnd,
    Yank,
    /// Ctrl-C
    Interrupt,
    /// Ctrl-D
    EndOfInput,
    /// Ctrl-Z
    Suspend,
    /// Ctrl-L
    Redraw,
    /// What was pasted, byte for byte.
    Paste(Zeroizing<Vec<u8>>),
    /// More was pasted than there is room for: none of it is here.
    PasteTooLong,
}

/// The front of what has come.
enum Front {
    Key(Key, usize),
    /// So many bytes mean nothing to us.
    Nothing(usize),
    PasteBegins,
    /// The rest has not come yet.
    Cut,
}

/// Bytes on their way to be keys.
#[derive(Default)]
pub(crate) struct Keys {
    begun: Zeroizing<Vec<u8>>,
    paste: Option<Paste>,
}

#[derive(Default)]
struct Paste {
    text: Zeroizing<Vec<u8>>,
    is_too_long: bool,
}

impl Keys {
    /// Takes bytes that have come; the keys that they complete.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Some(paste) = &mut self.paste {
                let Some(after) = paste.take(rest) else { return keys };
                let Paste { text, is_too_long } = mem::take(paste);
                self.paste = None;
                keys.push(if is_too_long { Key::PasteTooLong } else { Key::Paste(text) });
                rest = &rest[after..];
            } else {
                self.begun.extend_from_slice(rest);
                rest = &[];
                let pasted = self.keys(&mut keys);
                if let Some(pasted) = pasted {
                    self.paste = Some(Paste::default());
                    let after = self.take(&pasted);
                    keys.extend(after);
                }
            }
        }
        keys
    }

    /// Whether an ESC has come that may be the key itself.
    pub(crate) fn waits(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Nothing has come for a moment: an ESC was the key itself.
    pub(crate) fn pause(&mut self) -> Vec<Key> {
        let begun = mem::take(&mut self.begun);
        if *begun == [0x1b] { vec![Key::Escape] } else { Vec::new() }
    }

    /// The keys in what has come; if a paste begins there, the bytes after its mark.
    fn keys(&mut self, keys: &mut Vec<Key>) -> Option<Zeroizing<Vec<u8>>> {
        let mut at = 0;
        let pasted = loop {
            let left = &self.begun[at..];
            if left.is_empty() {
                break None;
            }
            match front(left) {
                Front::Key(key, count) => {
                    keys.push(key);
                    at += count;
                }
                Front::Nothing(count) => at += count,
                Front::PasteBegins => {
                    at += PASTE_BEGINS.len();
                    break Some(Zeroizing::new(self.begun[at..].to_vec()));
                }
                Front::Cut => break None,
            }
        };
        if pasted.is_some() {
            at = self.begun.len();
        }
        self.begun.drain(..at);
        pasted
    }
}

impl Paste {
    /// Takes bytes; if the paste ends in them, how many belong to it and its mark.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let before = self.text.len();
        // The mark may be cut in two.
        let from = before.saturating_sub(PASTE_ENDS.len() - 1);
        self.text.extend_from_slice(bytes);
        if let Some(at) = memmem::find(&self.text[from..], PASTE_ENDS) {
            self.text.truncate(from + at);
            return Some(from + at + PASTE_ENDS.len() - before);
        }
        if self.text.len() > PASTE {
            self.is_too_long = true;
            let kept = self.text.len() - (PASTE_ENDS.len() - 1);
            self.text.drain(..kept);
        }
        None
    }
}

/// The first key of these bytes, which are not empty.
fn front(bytes: &[u8]) -> Front {
    if bytes[0] == 0x1b {
        return sequence(bytes);
    }
    if bytes[0] < 0x20 || bytes[0] == 0x7f {
        return control(bytes[0]).map_or(Front::Nothing(1), |key| Front::Key(key, 1));
    }
    let longest = &bytes[..bytes.len().min(4)];
    let valid = match str::from_utf8(longest) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            str::from_utf8(&longest[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(error) => return error.error_len().map_or(Front::Cut, Front::Nothing),
    };
    valid.chars().next().map_or(Front::Nothing(1), |sign| {
        // A control character of Unicode is no key.
        if sign.is_control() {
            Front::Nothing(sign.len_utf8())
        } else {
            Front::Key(Key::Char(sign), sign.len_utf8())
        }
    })
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        b'\t' => Key::Tab,
        b'\n' => Key::NewLine,
        0x0b => Key::DeleteToEnd,
        0x0c => Key::Redraw,
        b'\r' => Key::Enter,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::DeleteToStart,
        0x17 => Key::DeleteWord,
        0x19 => Key::Yank,
        0x1a => Key::Suspend,
        _ => return None,
    })
}

/// The key of a sequence that begins with ESC.
fn sequence(bytes: &[u8]) -> Front {
    let Some(second) = bytes.get(1) else { return Front::Cut };
    match second {
        b'[' => parameters(bytes),
        b'O' => match bytes.get(2) {
            None => Front::Cut,
            Some(last) => arrow(*last, false).map_or(Front::Nothing(3), |key| Front::Key(key, 3)),
        },
        b'\r' | b'\n' => Front::Key(Key::NewLine, 2),
        b'b' => Front::Key(Key::WordLeft, 2),
        b'f' => Front::Key(Key::WordRight, 2),
        b'd' => Front::Key(Key::DeleteNextWord, 2),
        0x7f | 0x08 => Front::Key(Key::DeleteWord, 2),
        0x20..=0x7e => Front::Nothing(2),
        _ => Front::Key(Key::Escape, 1),
    }
}

/// `ESC [`, parameters, and a letter or `~`.
fn parameters(bytes: &[u8]) -> Front {
    let within = &bytes[2..bytes.len().min(LONGEST)];
    let Some(end) = within.iter().position(|byte| !(0x20..=0x3f).contains(byte)) else {
        return if bytes.len() < LONGEST { Front::Cut } else { Front::Nothing(LONGEST) };
    };
    let (given, last, count) = (&within[..end], within[end], 2 + end + 1);
    let numbers: Vec<u32> = given
        .split(|byte| *byte == b';')
        .map(|number| str::from_utf8(number).ok().and_then(|text| text.parse().ok()).unwrap_or(0))
        .collect();
    let modified = numbers.get(1).is_some_and(|modifiers| *modifiers > 1);
    let key = match (last, &numbers[..]) {
        (b'~', [200, ..]) => return Front::PasteBegins,
        (b'~', [1 | 7, ..]) => Some(Key::Home),
        (b'~', [4 | 8, ..]) => Some(Key::End),
        (b'~', [3, ..]) => Some(if modified { Key::DeleteNextWord } else { Key::Delete }),
        (b'~', [5, ..]) => Some(Key::PageUp),
        (b'~', [6, ..]) => Some(Key::PageDown),
        // Enter with a modifier, in the two forms that are in use.
        (b'~', [27, _, 13]) | (b'u', [13, ..]) => Some(Key::NewLine),
        (last, _) => arrow(last, modified),
    };
    key.map_or(Front::Nothing(count), |key| Front::Key(key, count))
}

fn arrow(last: u8, modified: bool) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' if modified => Key::WordRight,
        b'C' => Key::Right,
        b'D' if modified => Key::WordLeft,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&[u8]]) -> Vec<Key> {
        let mut keys = Keys::default();
        let mut all: Vec<Key> = pieces.iter().flat_map(|piece| keys.take(piece)).collect();
        all.extend(keys.pause());
        all
    }

    fn pasted(text: &[u8]) -> Key {
        Key::Paste(text.to_vec().into())
    }

    #[test]
    fn a_key_is_the_same_however_its_bytes_come() {
        let bytes =
            "aé日👩\x1b[A\x1b[1;5D\x1bOF\x1b[3~\x1b\r\x1bb\r\x7f\x1b[200~x\r\x1b[A\x1b[201~z";
        let whole = typed(&[bytes.as_bytes()]);
        let expected = [
            Key::Char('a'),
            Key::Char('é'),
            Key::Char('日'),
            Key::Char('👩'),
            Key::Up,
            Key::WordLeft,
            Key::End,
            Key::Delete,
            Key::NewLine,
            Key::WordLeft,
            Key::Enter,
            Key::Backspace,
            pasted(b"x\r\x1b[A"),
            Key::Char('z'),
        ];
        assert_eq!(whole, expected);
        for size in 1..bytes.len() {
            let pieces: Vec<&[u8]> = bytes.as_bytes().chunks(size).collect();
            assert_eq!(typed(&pieces), expected, "{size}");
        }
    }

    #[test]
    fn an_escape_alone_is_a_key() {
        assert_eq!(typed(&[b"\x1b"]), [Key::Escape]);
        assert_eq!(typed(&[b"\x1b\x1b[A"]), [Key::Escape, Key::Up]);
        assert_eq!(typed(&[b"\x1b", b"[B"]), [Key::Down]);
    }

    #[test]
    fn what_is_no_key_is_passed_over() {
        for bytes in [&b"\xffa"[..], b"\x1b[?1;2ca", b"\x1bza", b"\xc3\xc3a", b"\x1b[99~a", b"\0a"]
        {
            assert_eq!(typed(&[bytes]), [Key::Char('a')], "{bytes:?}");
        }
        assert_eq!(
            typed(&[&[b"\x1b[", &[b'1'; 100][..], b"~a"].concat()]).last(),
            Some(&Key::Char('a'))
        );
        // C1 controls are characters of two bytes.
        assert_eq!(typed(&["\u{9b}a".as_bytes()]), [Key::Char('a')]);
    }

    #[test]
    fn two_pastes_are_two_and_a_huge_one_is_refused() {
        assert_eq!(
            typed(&[b"\x1b[200~a\x1b[201~\x1b[200~\x1b[201~b"]),
            [pasted(b"a"), pasted(b""), Key::Char('b')]
        );
        let huge = vec![b'x'; PASTE];
        let keys = typed(&[b"\x1b[200~", &huge, &huge, b"\x1b[20", b"1~b"]);
        assert_eq!(keys, [Key::PasteTooLong, Key::Char('b')]);
    }
}
