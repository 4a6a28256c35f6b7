//! What distinguishes one session and its messages from all others: hashes that never leave this
//! machine.

use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::WordsKey;

/// Which end of which conversation a state belongs to, however far it has advanced. Not secret.
#[derive(Clone, Copy)]
pub struct Identity([u8; 32]);

impl Identity {
    /// The identity of the inviting or the answering end of the conversation with these words.
    pub(crate) fn of(role: u8, words: &WordsKey) -> Self {
        Self(primitives::sha256(&[labels::IDENTITY, &[role], words.bytes()]))
    }

    /// Whether both identify the same end of the same conversation.
    pub fn is(&self, other: &Self) -> bool {
        primitives::equal(&self.0, &other.0)
    }

    /// A name, 8 bytes, for a message that this end received. It is unique, and reveals nothing.
    pub fn tag(&self, message: u64) -> [u8; 8] {
        let hash = primitives::sha256(&[labels::MESSAGE, &self.0, &message.to_be_bytes()]);
        let mut tag = [0; 8];
        tag.copy_from_slice(&hash[..8]);
        tag
    }
}
