//! What two people both know: the form in which it is compared, and the work that each guess costs.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::protocol::authentication::pake::Prs;
use crate::protocol::crypto::primitives::{self, OutOfMemory};
use crate::protocol::crypto::secret::wipe_stack;

/// Bytes of the longest password, after normalisation.
pub const PASSWORD_MAX: usize = 1024;

/// Some editors put it in front of a text; nobody types it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A secret, a code, or a passphrase: 1 to [`PASSWORD_MAX`] bytes of UTF-8 in NFC.
pub struct Password {
    bytes: Zeroizing<Vec<u8>>,
    /// Skips Argon2id, for tests that run many handshakes.
    #[cfg(test)]
    cheap: bool,
}

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// Nothing remains after normalisation.
    Empty,
    /// More than [`PASSWORD_MAX`] bytes.
    TooLong,
}

impl Password {
    /// Normalises a text to the form that both sides compare: without a byte order mark at its
    /// beginning, in NFC, and without one "\n" or "\r\n" at its end. Nothing else changes: spaces
    /// and case count.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn from_text(text: &str) -> Result<Self, PasswordError> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let most = PASSWORD_MAX + "\r\n".len();
        // Room for one character past the end, so that the buffer never grows and leaves a copy
        // behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(most + 4));
        for character in text.nfc() {
            if bytes.len() > most {
                return Err(PasswordError::TooLong);
            }
            let mut utf8 = Zeroizing::new([0; 4]);
            bytes.extend_from_slice(character.encode_utf8(&mut *utf8).as_bytes());
        }
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        wipe_stack();
        match bytes.len() {
            0 => Err(PasswordError::Empty),
            1..=PASSWORD_MAX => Ok(Self {
                bytes,
                #[cfg(test)]
                cheap: false,
            }),
            _ => Err(PasswordError::TooLong),
        }
    }

    /// The bytes that count.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The input to the CPace run that `sid` names. This takes 64 MiB and a tenth of a second, so
    /// call it once per run, and if possible not while a state is locked.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn stretch(&self, sid: &[u8; 32]) -> Result<Prs, OutOfMemory> {
        #[cfg(test)]
        if self.cheap {
            return Ok(Prs::new(primitives::argon2id_cheap(&self.bytes, sid)?, *sid));
        }
        Ok(Prs::new(primitives::argon2id(&self.bytes, sid)?, *sid))
    }

    /// Like [`Password::from_text`], but guessing it costs nothing.
    #[cfg(test)]
    pub(crate) fn cheap(text: &str) -> Result<Self, PasswordError> {
        Self::from_text(text).map(|password| Self { cheap: true, ..password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_normalised() {
        let bytes = |text: &str| Password::from_text(text).unwrap().bytes().to_vec();
        assert_eq!(bytes("cafe\u{301}\n"), "caf\u{e9}".as_bytes());
        assert_eq!(bytes("caf\u{e9}\r\n"), "caf\u{e9}".as_bytes());
        assert_eq!(bytes("\u{212b}"), "\u{c5}".as_bytes());
        assert_eq!(bytes("a\n\n"), b"a\n");
        assert_eq!(bytes("a\r"), b"a\r");
        assert_eq!(bytes(" A "), b" A ");
        assert_eq!(bytes("\u{fb01}"), "\u{fb01}".as_bytes(), "NFC, not NFKC");
    }

    #[test]
    fn a_byte_order_mark_counts_except_at_the_beginning() {
        let bytes = |text: &str| Password::from_text(text).unwrap().bytes().to_vec();
        assert_eq!(bytes("\u{feff}cafe\u{301}\r\n"), "caf\u{e9}".as_bytes());
        assert_eq!(bytes("\u{feff}\u{feff}a"), "\u{feff}a".as_bytes(), "one alone");
        assert_eq!(bytes("a\u{feff}"), "a\u{feff}".as_bytes());
    }

    #[test]
    fn texts_have_bounds() {
        for empty in ["", "\n", "\r\n", "\u{feff}", "\u{feff}\r\n"] {
            assert_eq!(Password::from_text(empty).err(), Some(PasswordError::Empty));
        }
        let error = |text: &str| Password::from_text(text).err();
        let longest = "x".repeat(PASSWORD_MAX);
        for end in ["", "\n", "\r\n"] {
            assert_eq!(error(&format!("\u{feff}{longest}{end}")), None);
            assert_eq!(error(&format!("{longest}x{end}")), Some(PasswordError::TooLong));
        }
        assert_eq!(error(&format!("{longest}\n\n")), Some(PasswordError::TooLong));
        assert_eq!(error(&"\u{1f600}".repeat(1000)), Some(PasswordError::TooLong));
        // Counted in NFC: three bytes each become two.
        assert_eq!(error(&"e\u{301}".repeat(512)), None);
        assert_eq!(error(&"e\u{301}".repeat(513)), Some(PasswordError::TooLong));
    }

    /// The input to CPace differs from run to run: a table made for one run is useless for another.
    #[test]
    fn each_run_has_its_own_salt() {
        let password = Password::from_text("x").unwrap();
        let of = |sid: u8| password.stretch(&[sid; 32]).unwrap();
        assert_ne!(of(1).bytes(), of(2).bytes());
        assert_eq!(of(1).bytes(), of(1).bytes());
    }
}
