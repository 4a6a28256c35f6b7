//! What a session knows about who the other side is, and what follows from that.

use super::{Opening, Role, Session};
use crate::protocol::authentication::Authentication;
use crate::protocol::authentication::words::{self, NoWordsYet};

impl Session {
    /// How the peer has been authenticated so far.
    pub fn authentication(&self) -> Authentication {
        Authentication {
            // R's own secret proves nothing until I has shown that it has the keys.
            secret: self.authentication.secret && self.confirmed,
            words: self.authentication.words,
            verified: self.verify.succeeded,
        }
    }

    /// Whether the handshake used a secret or a code.
    pub fn used_secret(&self) -> bool {
        self.authentication.secret
    }

    /// Whether text may be sent. With a secret, not before the inviter has confirmed: text sent
    /// earlier could later be read by somebody who replaced the invite, breaks X25519 and learns
    /// the secret.
    pub fn may_send_text(&self) -> bool {
        !self.authentication.secret || self.confirmed
    }

    /// The four words to compare.
    ///
    /// # Errors
    /// [`NoWordsYet`] on the answering side, until the commitment has been opened.
    pub fn words(&self) -> Result<[&'static str; words::WORDS], NoWordsYet> {
        match &self.opening {
            Opening::Own(nonce) | Opening::Came(nonce) => {
                Ok(words::words(nonce.bytes(), &self.words))
            }
            Opening::Awaited(_) => Err(NoWordsYet),
        }
    }

    /// Records that the two people found their words to be the same. (If the words differ, end the
    /// session instead.)
    ///
    /// # Errors
    /// [`NoWordsYet`].
    pub fn record_same_words(&mut self) -> Result<(), NoWordsYet> {
        self.words()?;
        self.authentication.words = true;
        Ok(())
    }

    /// Whether the person must still be told that nobody has checked who the other side is.
    pub fn is_unchecked_untold(&self) -> bool {
        !self.unchecked_told && !self.authentication().any()
    }

    /// Remembers that the person was told.
    pub fn record_unchecked_told(&mut self) {
        self.unchecked_told = true;
    }

    pub(crate) fn is_inviter(&self) -> bool {
        self.role == Role::Inviter
    }
}
