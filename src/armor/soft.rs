//! Quoted-printable (RFC 2045, section 6.7), as far as it affects items in mail, and markers that
//! its line breaks split. Base64url has no `=`, so none of this can be part of an item.

use super::item::Kind;
use super::marks::{MARKER, MARKER_LEN};

/// The most blanks that a mail server may have added after the `=` of a soft break. More than that
/// is somebody's text.
const PADDING_MAX: usize = 80;
/// An incomplete marker begins at most this many bytes before the end of the input, or before its
/// soft break.
pub(super) const SPLIT_MAX: usize = MARKER_LEN - 1;

/// What an `=` is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// A soft break of this many bytes: the line continues after it.
    Soft(usize),
    /// A byte, and how many bytes encode it.
    Byte(u8, usize),
    /// More input will tell.
    More,
    /// None of these.
    No,
}

/// Examines `input`, which begins with `=`.
pub(super) fn escape(input: &[u8], ended: bool) -> Escape {
    let rest = &input[1..];
    let blanks = rest.iter().take(PADDING_MAX).take_while(|&&byte| is_blank(byte)).count();
    match rest[blanks..] {
        [b'\n', ..] => Escape::Soft(blanks + 2),
        [] if ended => Escape::Soft(blanks + 1),
        [] if blanks < PADDING_MAX => Escape::More,
        [high, low, ..] if blanks == 0 => match (hex(high), hex(low)) {
            (Some(high), Some(low)) => Escape::Byte(high << 4 | low, 3),
            _ => Escape::No,
        },
        [high] if blanks == 0 && !ended && hex(high).is_some() => Escape::More,
        _ => Escape::No,
    }
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Whether a marker stands at the beginning of an input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A marker of this many bytes, soft breaks included.
    Marker(Kind, usize),
    /// The input ends within what may become a marker.
    Begun,
    /// None.
    No,
}

/// Looks for a marker at the beginning of `input`, over soft breaks.
pub(super) fn marker_at(input: &[u8]) -> Found {
    let (mut at, mut have) = (0, 0);
    let mut kind = None;
    while have < MARKER_LEN {
        let Some(&byte) = input.get(at) else { return Found::Begun };
        if byte == b'=' && have > 0 {
            match escape(&input[at..], false) {
                Escape::Soft(length) => at += length,
                Escape::More => return Found::Begun,
                Escape::Byte(..) | Escape::No => return Found::No,
            }
            continue;
        }
        let fits = match MARKER.as_bytes().get(have) {
            Some(&due) => byte == due,
            None if kind.is_some() => byte == b':',
            None => {
                kind = Kind::of_letter(byte);
                kind.is_some()
            }
        };
        if !fits {
            return Found::No;
        }
        (at, have) = (at + 1, have + 1);
    }
    kind.map_or(Found::No, |kind| Found::Marker(kind, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equals_sign_is_a_soft_break_a_byte_or_neither() {
        for (input, escape_is) in [
            (&b"=\nAAAA"[..], Escape::Soft(2)),
            (b"=\r\n", Escape::Soft(3)),
            (b"= \t\r\n", Escape::Soft(5)),
            (b"=20", Escape::Byte(b' ', 3)),
            (b"=3d", Escape::Byte(b'=', 3)),
            (b"=", Escape::More),
            (b"=3", Escape::More),
            (b"=\r", Escape::More),
            (b"==", Escape::No),
            (b"= x", Escape::No),
            (b"=x1", Escape::No),
        ] {
            assert_eq!(escape(input, false), escape_is, "{input:?}");
        }
        assert_eq!(escape(b"=", true), Escape::Soft(1));
        assert_eq!(escape(b"=3", true), Escape::No);
        assert_eq!(escape(&[b"=".as_slice(), &[b' '; 100]].concat(), false), Escape::No);
    }

    #[test]
    fn a_marker_may_have_soft_breaks_in_it() {
        assert_eq!(marker_at(b"otr1p:A"), Found::Marker(Kind::Packet, 6));
        assert_eq!(marker_at(b"ot=\r\nr1k=\n:"), Found::Marker(Kind::Key, 11));
        for begun in [&b""[..], b"o", b"otr1", b"otr1p", b"ot=", b"ot=\r", b"ot=\n"] {
            assert_eq!(marker_at(begun), Found::Begun, "{begun:?}");
        }
        for none in [&b"=\notr1p:"[..], b"otr1x:", b"otr1pA", b"ot=20", b"otr2p:"] {
            assert_eq!(marker_at(none), Found::No, "{none:?}");
        }
    }
}
