//! What a sender keeps of a packet in order to learn later that it was opened.

use zeroize::Zeroize;

use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::Secret;

/// The one-time Poly1305 key of a sent packet, kept while its sender waits to hear that it was
/// opened: only somebody who could open the packet can publish this very key.
pub struct Receipt(Secret<32>);

impl Receipt {
    /// Takes over the key and wipes the original.
    pub(crate) fn new(key: &mut [u8; 32]) -> Self {
        let receipt = Self(Secret::copy_of(key));
        key.zeroize();
        receipt
    }

    /// Another one of the same packet.
    #[cfg(feature = "client")]
    pub(crate) fn copy(&self) -> Self {
        Self(Secret::copy_of(self.0.bytes()))
    }

    /// Whether a published key is this packet's.
    pub fn fits(&self, published: &[u8; 32]) -> bool {
        primitives::equal(self.0.bytes(), published)
    }
}
