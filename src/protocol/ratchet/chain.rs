//! Chains: one-way sequences that give each packet its own key, and each header its own key and
//! token, so that a stolen state neither opens nor identifies any past packet.

use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::{
    ChainKey, HeaderChainKey, HeaderKey, PacketKey, Secret, Token,
};

impl ChainKey {
    /// Advances by one number and returns the packet key, MK, of the number passed.
    pub(crate) fn advance(&mut self) -> PacketKey {
        let mut okm = Secret::<64>::zeroed();
        primitives::expand(self.bytes(), &[labels::CHAIN], okm.bytes_mut());
        self.0 = okm.part(0);
        PacketKey(okm.part(32))
    }
}

impl HeaderChainKey {
    /// Advances by one number and returns the header key and the token of the number passed.
    pub(crate) fn advance(&mut self) -> (HeaderKey, Token) {
        let mut okm = Secret::<96>::zeroed();
        primitives::expand(self.bytes(), &[labels::HEADER_CHAIN], okm.bytes_mut());
        self.0 = okm.part(0);
        (HeaderKey(okm.part(32)), Token(okm.part(64)))
    }
}

/// Both chains of one direction, at the same number.
pub(crate) struct Chain {
    pub(crate) keys: ChainKey,
    pub(crate) headers: HeaderChainKey,
    /// The number of the next packet.
    pub(crate) next: u32,
}

/// What seals or opens one packet.
pub(crate) struct NumberKeys {
    pub(crate) header: HeaderKey,
    pub(crate) packet: PacketKey,
    pub(crate) token: Token,
}

impl NumberKeys {
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            header: self.header.duplicate(),
            packet: self.packet.duplicate(),
            token: self.token.duplicate(),
        }
    }
}

/// The last number that a chain may use; after it a sender stops with an error.
pub const LAST_NUMBER: u32 = u32::MAX - 1;

/// The chain has used its last number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Chain {
    pub(crate) fn new(keys: ChainKey, headers: HeaderChainKey) -> Self {
        Self { keys, headers, next: 0 }
    }

    /// The keys of number [`Chain::next`]; advances the chain.
    pub(crate) fn advance(&mut self) -> Result<NumberKeys, Exhausted> {
        if self.next > LAST_NUMBER {
            return Err(Exhausted);
        }
        let (header, token) = self.headers.advance();
        let packet = self.keys.advance();
        self.next += 1;
        Ok(NumberKeys { header, packet, token })
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { keys: self.keys.duplicate(), headers: self.headers.duplicate(), next: self.next }
    }
}
