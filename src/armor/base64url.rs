//! Base64url without padding: the length of a run of it, and decoding.

use std::sync::LazyLock;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, DecodeSliceError, Engine};

use super::Reason;

/// The crate's engine for vector registers exists only on these processors.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
type Fastest = base64::engine::Simd;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Fastest = base64::engine::GeneralPurpose;

/// Refuses padding and nonzero unused bits.
static ENGINE: LazyLock<Fastest> = LazyLock::new(|| {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return Fastest::url_safe(base64::engine::general_purpose::NO_PAD);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return URL_SAFE_NO_PAD;
});

/// Below this many bytes the engine without vectors is faster: the other one first asks the
/// processor for its features, which takes 30 µs in a virtual machine.
const LARGE: usize = 32 << 10;

/// Bytes examined at a time: enough for the widest vector registers.
const BLOCK: usize = 64;

/// How many characters encode `bytes` bytes.
pub(super) const fn encoded_len(bytes: usize) -> usize {
    bytes / 3 * 4 + (bytes % 3 * 8).div_ceil(6)
}

/// How many bytes `characters` characters encode.
pub(super) const fn decoded_len(characters: usize) -> usize {
    characters / 4 * 3 + characters % 4 * 6 / 8
}

/// Whether this is a character of base64url.
pub(super) const fn is_character(byte: u8) -> bool {
    // Comparisons, not a table: the compiler turns them into vectors.
    (byte | 0x20).wrapping_sub(b'a') < 26
        || byte.wrapping_sub(b'0') < 10
        || byte == b'-'
        || byte == b'_'
}

/// How many characters of base64url stand at the beginning of `bytes`.
pub(super) fn run(bytes: &[u8]) -> usize {
    let whole = bytes
        .chunks_exact(BLOCK)
        .take_while(|block| block.iter().fold(true, |all, &byte| all & is_character(byte)))
        .count();
    let rest = &bytes[whole * BLOCK..];
    let more = rest.iter().position(|&byte| !is_character(byte)).unwrap_or(rest.len());
    whole * BLOCK + more
}

/// Encodes into `out`, which has [`encoded_len`] bytes.
pub(super) fn encode(bytes: &[u8], out: &mut [u8]) {
    let written = if bytes.len() < LARGE {
        URL_SAFE_NO_PAD.encode_slice(bytes, out)
    } else {
        ENGINE.encode_slice(bytes, out)
    };
    debug_assert!(written.is_ok_and(|written| written == encoded_len(bytes.len())));
}

/// Decodes into `out`, which has [`decoded_len`] bytes.
pub(super) fn decode(text: &[u8], out: &mut [u8]) -> Result<(), Reason> {
    let written = if text.len() < LARGE {
        URL_SAFE_NO_PAD.decode_slice(text, out)
    } else {
        ENGINE.decode_slice(text, out)
    };
    match written {
        Ok(written) if written == out.len() => Ok(()),
        Err(DecodeSliceError::DecodeError(DecodeError::InvalidLastSymbol { .. })) => {
            Err(Reason::UnusedBits)
        }
        Err(DecodeSliceError::DecodeError(
            DecodeError::InvalidByte(..) | DecodeError::InvalidPadding,
        )) => Err(Reason::Character),
        Ok(_) | Err(_) => Err(Reason::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_the_engines() {
        for byte in 0..=u8::MAX {
            let text = [b'A', byte, b'A', b'A'];
            assert_eq!(is_character(byte), ENGINE.decode(text).is_ok(), "{byte:#04x}");
            assert_eq!(is_character(byte), URL_SAFE_NO_PAD.decode(text).is_ok(), "{byte:#04x}");
        }
    }

    #[test]
    fn lengths_are_the_engines() {
        for bytes in 0..100 {
            let text = ENGINE.encode(vec![0; bytes]);
            assert_eq!(text.len(), encoded_len(bytes));
            assert_eq!(decoded_len(text.len()), bytes);
        }
    }

    #[test]
    fn a_run_ends_wherever_it_ends() {
        for len in 0..300 {
            let mut text = vec![b'x'; len];
            assert_eq!(run(&text), len);
            text.extend_from_slice(
                b"\nyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
            );
            assert_eq!(run(&text), len);
        }
    }

    #[test]
    fn every_kind_of_damage_has_its_reason() {
        let mut out = [0; 1];
        assert_eq!(decode(b"AQ", &mut out), Ok(()));
        assert_eq!(decode(b"AR", &mut out), Err(Reason::UnusedBits));
        assert_eq!(decode(b"A=", &mut out), Err(Reason::Character));
        assert_eq!(decode(b"A+", &mut out), Err(Reason::Character));
        assert_eq!(decode(b"A", &mut []), Err(Reason::Length));
    }
}
