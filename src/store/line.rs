//! A state as a line of text, for descriptors and pipes: a mark and unpadded base64url.
//!
//! `otr1s:` precedes a plain state, `otr1e:` one that is sealed with a passphrase.

use std::io::{self, ErrorKind, Read};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::file::LARGEST;
use super::sealed;

/// The beginning of a line with a plain state.
pub const PLAIN: &[u8] = b"otr1s:";

/// The beginning of a line with a sealed state.
pub const SEALED: &[u8] = b"otr1e:";

/// The longest line in bytes: the mark, and four characters for every three bytes of the largest
/// state.
const LONGEST: usize = PLAIN.len() + (LARGEST + sealed::MORE).div_ceil(3) * 4;

/// How much to read at a time; the usual state takes one read.
const PIECE: usize = 64 << 10;

/// Why lines could not be read.
#[derive(Debug)]
pub enum LineError {
    /// The system's reason.
    Input(io::Error),
    /// Longer than any state.
    TooLong,
}

/// Mark, text and newline, in a buffer that never grows.
pub fn encode(mark: &[u8], bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let room = mark.len() + bytes.len().div_ceil(3) * 4 + 1;
    let mut line = Zeroizing::new(Vec::with_capacity(room));
    line.extend_from_slice(mark);
    line.resize(room - 1, 0);
    // The capacity covers the longest encoding, padding included.
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut line[mark.len()..]).unwrap_or_default();
    line.truncate(mark.len() + written);
    line.push(b'\n');
    line
}

/// Decodes the text after a mark; `None` if it is not unpadded base64url.
pub fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; text.len().div_ceil(4) * 3]);
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// Reads to the end. `each` gets every line without its newline, and whether it had one; a line
/// without a newline is the last, and not empty. No copy of any line stays behind.
pub fn read(
    input: &mut impl Read,
    mut each: impl FnMut(Zeroizing<Vec<u8>>, bool),
) -> Result<(), LineError> {
    let mut piece = Zeroizing::new(vec![0; PIECE]);
    let mut line = Zeroizing::new(Vec::with_capacity(PIECE));
    loop {
        let count = match input.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(LineError::Input(error)),
        };
        for part in piece[..count].split_inclusive(|&byte| byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            append(&mut line, text)?;
            if text.len() < part.len() {
                each(std::mem::replace(&mut line, Zeroizing::new(Vec::new())), true);
            }
        }
    }
    if !line.is_empty() {
        each(line, false);
    }
    Ok(())
}

/// Appends without leaving a copy behind when the buffer has to grow.
fn append(line: &mut Zeroizing<Vec<u8>>, text: &[u8]) -> Result<(), LineError> {
    let length = line.len() + text.len();
    if length > LONGEST {
        return Err(LineError::TooLong);
    }
    if length > line.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * line.capacity())));
        larger.extend_from_slice(line);
        *line = larger;
    }
    line.extend_from_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        for length in 0..70 {
            let state: Vec<u8> = (0..length).collect();
            let line = encode(PLAIN, &state);
            let text = line.strip_prefix(PLAIN).unwrap().strip_suffix(b"\n").unwrap();
            assert_eq!(decode(text).unwrap().as_slice(), state);
        }
        for bad in [&b"A"[..], b"AA==", b"AB", b"+/8", b"AAAA\r"] {
            assert!(decode(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn lines_are_told_from_a_cut_one() {
        let mut lines = Vec::new();
        read(&mut &b"a\n\nb"[..], |line, ended| lines.push((line.to_vec(), ended))).unwrap();
        let expected = [(b"a".to_vec(), true), (Vec::new(), true), (b"b".to_vec(), false)];
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let endless = read(&mut io::repeat(b'A'), |_, _| panic!());
        assert!(matches!(endless, Err(LineError::TooLong)));
    }
}
