//! What a sender keeps of a packet to learn later that it was opened.

use zeroize::Zeroize;

use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::Secret;

/// The one-time Poly1305 key of a packet that was sent, while its sender waits to hear that it was
/// opened: only who could open the packet can publish this very key.
pub struct Receipt(Secret<32>);

impl Receipt {
    /// Takes the key over, and wipes where it lay.
    pub(crate) fn new(key: &mut [u8; 32]) -> Self {
        let receipt = Self(Secret::copy_of(key));
        key.zeroize();
        receipt
    }

    /// Whether a published key is the packet's.
    pub fn fits(&self, published: &[u8; 32]) -> bool {
        primitives::equal(self.0.bytes(), published)
    }
}
