//! Bytes that must not outlive their use: on the heap, so that moving them leaves no copy on the
//! stack; wiped when dropped; without `Debug`, `Display` or `Clone`.

use zeroize::{Zeroize, ZeroizeOnDrop, zeroize_stack};

/// `N` secret bytes.
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// `N` zero bytes, to be filled in place.
    pub(crate) fn zeroed() -> Self {
        Self(Box::new([0; N]))
    }

    /// A copy of `bytes`; wiping the original remains its owner's job.
    pub(crate) fn copy_of(bytes: &[u8; N]) -> Self {
        let mut secret = Self::zeroed();
        secret.0.copy_from_slice(bytes);
        secret
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes, to be filled.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// A second copy. The explicit name prevents copies made in passing.
    pub(crate) fn duplicate(&self) -> Self {
        Self::copy_of(&self.0)
    }

    /// The `L` bytes that begin at `offset`; zeros if they lie outside.
    pub(crate) fn part<const L: usize>(&self, offset: usize) -> Secret<L> {
        let mut part = Secret::zeroed();
        if let Some(bytes) = self.0.get(offset..offset + L) {
            part.0.copy_from_slice(bytes);
        }
        part
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

/// Declares key types of 32 bytes, one for each purpose, so that a chain key cannot be passed where
/// a header key is expected.
macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        pub struct $name(pub(crate) Secret<32>);

        impl $name {
            /// The 32 bytes.
            pub(crate) fn bytes(&self) -> &[u8; 32] {
                self.0.bytes()
            }

            /// A second copy.
            #[allow(dead_code, reason = "not every kind of key is ever copied")]
            pub(crate) fn duplicate(&self) -> Self {
                Self(self.0.duplicate())
            }
        }
    )*};
}

keys! {
    /// RK: the root key that both ends share, renewed at each turn.
    RootKey
    /// CK: one-way chain of packet keys.
    ChainKey
    /// HC: one-way chain of header keys and tokens.
    HeaderChainKey
    /// HK: seals one packet's header.
    HeaderKey
    /// MK: seals one packet's body.
    PacketKey
    /// The right to collect one packet; the token's hash is the packet's address.
    Token
    /// SASK: the key from which the words to compare are derived.
    WordsKey
}

/// Bytes of stack that [`wipe_stack`] overwrites: more than the deepest call among the primitives of a
/// packet uses (HMAC, ChaCha20 and Poly1305 take under 4 KiB).
const WIPED_STACK: usize = 16 * 1024;

/// Overwrites the stack below the caller's frame, where the primitives may have left copies of
/// keys.
///
/// Not `[u8; N]::zeroize`, which writes byte by byte: 1 µs per packet instead of 17.
#[inline(never)]
pub(crate) fn wipe_stack() {
    zeroize_stack::<WIPED_STACK>();
}

/// Like [`wipe_stack`], for ML-KEM, whose matrices and vectors live on the stack: its deepest call
/// uses 33 KB, measured on a painted stack.
#[inline(never)]
pub(crate) fn wipe_stack_deep() {
    zeroize_stack::<{ 4 * WIPED_STACK }>();
}
