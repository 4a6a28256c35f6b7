//! What a session knows of who the other side is, and what follows from it.

use super::{Opening, Role, Session};
use crate::protocol::authentication::Authentication;
use crate::protocol::authentication::words::{self, NoWordsYet};

impl Session {
    /// How the peer was authenticated so far.
    pub fn authentication(&self) -> Authentication {
        Authentication {
            // R's own secret shows nothing before I has shown that it has the keys.
            secret: self.authentication.secret && self.confirmed,
            words: self.authentication.words,
            verified: self.verify.succeeded,
        }
    }

    /// Whether the handshake used a secret or a code.
    pub fn used_secret(&self) -> bool {
        self.authentication.secret
    }

    /// Whether text may go out. With a secret, not before the inviter has confirmed: sent earlier,
    /// it would fall to who replaced the invite, and later breaks X25519 and learns the secret.
    pub fn may_send_text(&self) -> bool {
        !self.authentication.secret || self.confirmed
    }

    /// The four words to compare.
    ///
    /// # Errors
    /// [`NoWordsYet`] on the answering side, before the commitment was opened.
    pub fn words(&self) -> Result<[&'static str; words::WORDS], NoWordsYet> {
        match &self.opening {
            Opening::Own(nonce) | Opening::Came(nonce) => {
                Ok(words::words(nonce.bytes(), &self.words))
            }
            Opening::Awaited(_) => Err(NoWordsYet),
        }
    }

    /// Records that the two people found their words to be the same. (Where they differ, the
    /// session is ended.)
    ///
    /// # Errors
    /// [`NoWordsYet`].
    pub fn record_same_words(&mut self) -> Result<(), NoWordsYet> {
        self.words()?;
        self.authentication.words = true;
        Ok(())
    }

    /// Whether the person has still to be told that nobody has checked who the other side is.
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
