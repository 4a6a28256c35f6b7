//! What the store's operator must not see: under which address a packet lies, and what its bytes are
//! on the wire.
//!
//! Everything follows from a secret of 32 random bytes that only the postboxes have. With keys K
//! that HKDF expands from it, one for each purpose, and HMAC-SHA-256 as the function of all of them:
//!
//! - name = `K_name`(address), 18 bytes: two for the bucket, sixteen for the key in it.
//! - mark = `K_mark`(name ‖ SHA-256(packet)), 16 bytes.
//! - The packet's bytes behind its address are masked by `ChaCha20` under the key
//!   `K_packet`(name ‖ mark), which nothing else has.
//! - The key published for a packet is masked by `K_revealed`(name ‖ mark).
//!
//! That is deterministic encryption with a synthetic nonce (SIV, Rogaway and Shrimpton 2006): the
//! mark is a pseudorandom function of what is masked, so that the same packet under the same address
//! is known again by its mark, two different ones never have the same key stream (but with 2⁻¹²⁸),
//! and one who changes a byte is found out, since the mark is computed anew by who takes the mask
//! off. It hides all but sizes and that the same packet was stored twice, while it is remembered.

use crate::postbox::api::{Address, Key, PacketHash};
use crate::postbox::storage::packet::Packet;
use crate::protocol::crypto::{labels, primitives};
use zeroize::Zeroizing;

/// Bytes of the secret that all postboxes of a store have.
pub const SECRET: usize = 32;
/// Bytes of a mark.
pub(super) const MARK: usize = 16;
/// The first bytes of a packet, its address, which are not stored: who asks for it knows them.
pub(super) const FRONT: usize = 32;

/// Buckets into which names fall: what is in one lies on one node, and wakes by one channel.
pub(super) type Bucket = u16;
/// See the head of the file.
pub(super) type Mark = [u8; MARK];

/// How an address is called in the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Name([u8; Self::SIZE]);

impl Name {
    /// Bytes of the bucket, and of the rest.
    const BUCKET: usize = 2;
    const REST: usize = 16;
    const SIZE: usize = Self::BUCKET + Self::REST;
    /// Bytes of a bucket as text, in its brackets.
    const TAG: usize = 6;

    /// The bucket.
    pub(super) fn bucket(&self) -> Bucket {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// The key in the store of what lies there: the bucket as a hash tag, in hexadecimal digits, and the
    /// rest.
    pub(super) fn key(&self) -> [u8; Self::TAG + Self::REST] {
        let mut key = [0; Self::TAG + Self::REST];
        key[..Self::TAG].copy_from_slice(&tag(self.bucket()));
        key[Self::TAG..].copy_from_slice(&self.0[Self::BUCKET..]);
        key
    }

    /// The key of what was discarded there.
    pub(super) fn gone_key(&self) -> [u8; Self::TAG + Self::REST + 1] {
        let mut key = [b's'; Self::TAG + Self::REST + 1];
        key[..Self::TAG + Self::REST].copy_from_slice(&self.key());
        key
    }

    /// The name of which a channel tells this rest.
    pub(super) fn told(bucket: Bucket, rest: &[u8]) -> Option<Self> {
        let mut name = [0; Self::SIZE];
        name[..Self::BUCKET].copy_from_slice(&bucket.to_be_bytes());
        name[Self::BUCKET..].copy_from_slice(rest.get(..Self::REST)?);
        Some(Self(name))
    }

    /// No name of the bucket stands before it.
    pub(super) fn first_in(bucket: Bucket) -> Self {
        let mut name = [0; Self::SIZE];
        name[..Self::BUCKET].copy_from_slice(&bucket.to_be_bytes());
        Self(name)
    }

    /// Bytes of the rest, as a channel tells it.
    pub(super) const fn told_size() -> usize {
        Self::REST
    }

    /// It stands on the wait list in the place of the address.
    pub(super) fn on_the_list(&self) -> Address {
        let mut address = [0; 32];
        address[..Self::SIZE].copy_from_slice(&self.0);
        address
    }

    /// The name that stands there.
    pub(super) fn listed(address: &Address) -> Self {
        let mut name = [0; Self::SIZE];
        name.copy_from_slice(&address[..Self::SIZE]);
        Self(name)
    }
}

/// A bucket's hash tag, which is its channel, too.
pub(super) fn tag(bucket: Bucket) -> [u8; Name::TAG] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |shift: u16| DIGITS[usize::from(bucket >> shift & 15)];
    [b'{', digit(12), digit(8), digit(4), digit(0), b'}']
}

/// The bucket of a channel.
pub(super) fn bucket_of(channel: &[u8]) -> Option<Bucket> {
    let digits = channel.strip_prefix(b"{")?.strip_suffix(b"}")?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// The keys that follow from the secret.
pub(super) struct Cipher {
    name: Zeroizing<[u8; 32]>,
    mark: Zeroizing<[u8; 32]>,
    packet: Zeroizing<[u8; 32]>,
    revealed: Zeroizing<[u8; 32]>,
}

impl Cipher {
    pub(super) fn new(secret: &[u8; SECRET]) -> Self {
        Self {
            name: derive(secret, labels::STORE_NAME),
            mark: derive(secret, labels::STORE_MARK),
            packet: derive(secret, labels::STORE_PACKET),
            revealed: derive(secret, labels::STORE_REVEALED),
        }
    }

    /// The name of an address.
    pub(super) fn name(&self, address: &Address) -> Name {
        let hash = primitives::hmac(&self.name, &[address]);
        Name(std::array::from_fn(|at| hash[at]))
    }

    /// The mark of the packet with this hash.
    pub(super) fn mark(&self, name: &Name, hash: &PacketHash) -> Mark {
        let hash = primitives::hmac(&self.mark, &[&name.0, hash]);
        std::array::from_fn(|at| hash[at])
    }

    /// Masks what stands behind a packet's address, or takes the mask off.
    pub(super) fn mask(&self, name: &Name, mark: &Mark, bytes: &mut [u8]) {
        let key = Zeroizing::new(primitives::hmac(&self.packet, &[&name.0, mark]));
        primitives::mask(&key, bytes);
    }

    /// Masks the key published for a packet, or takes the mask off.
    pub(super) fn mask_key(&self, name: &Name, mark: &Mark, key: &Key) -> Key {
        let pad = Zeroizing::new(primitives::hmac(&self.revealed, &[&name.0, mark]));
        std::array::from_fn(|at| key[at] ^ pad[at])
    }

    /// Appends a packet as it is stored.
    pub(super) fn append(&self, name: &Name, mark: &Mark, packet: &Packet, out: &mut Vec<u8>) {
        let begin = out.len();
        for number in 0..packet.blocks() {
            let skipped = if number == 0 { FRONT } else { 0 };
            out.extend_from_slice(packet.block(number).get(skipped..).unwrap_or_default());
        }
        self.mask(name, mark, &mut out[begin..]);
    }
}

/// The secret from which postboxes of one store take the salts of their proofs of work.
pub(super) fn work_secret(secret: &[u8; SECRET]) -> [u8; 32] {
    *derive(secret, labels::STORE_WORK)
}

fn derive(secret: &[u8; SECRET], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    primitives::expand(secret, &[label], &mut *key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postbox::storage::budget::Budget;
    use crate::postbox::storage::packet::Filling;

    /// HKDF and HMAC of SHA-256 and ChaCha20 written anew in Python, by the text above.
    #[test]
    fn names_marks_and_masks_are_those_of_another_implementation() {
        let mut secret = [0; SECRET];
        secret.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
        let cipher = Cipher::new(&secret);
        let name = cipher.name(&[7; 32]);
        let hex = |bytes: &[u8]| {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            digits.concat()
        };
        assert_eq!(hex(&name.0), NAME);
        assert!(name.key().starts_with(format!("{{{}}}", &NAME[..4]).as_bytes()));
        let mark = cipher.mark(&name, &[9; 32]);
        assert_eq!(hex(&mark), MARKED);
        let mut bytes = [0; 40];
        cipher.mask(&name, &mark, &mut bytes);
        assert_eq!(hex(&bytes), MASK);
        assert_eq!(hex(&cipher.mask_key(&name, &mark, &[0; 32])), KEY);
        assert_eq!(hex(&work_secret(&secret)), WORK);
    }

    const NAME: &str = "55b7c332824c214d8696cf3afc08cb7e24a7";
    const MARKED: &str = "fc7192044df1ba47dff428ba2475d51f";
    const MASK: &str =
        "36ad5c64216f3b868383ece2a9be07cbc8bda1676d72a18633538dbd41ca20994246c13625f88a7e";
    const KEY: &str = "e9b960441329742a36177207b57b8785f9d4aebe6a6e4a028097e13754b45431";
    const WORK: &str = "f4b3b6ac20014a155cc677f84c46da5641a0fe3fdcdf830483711c04da52907c";

    #[test]
    fn a_name_is_found_again_by_its_channel_and_on_the_list() {
        let name = Cipher::new(&[1; 32]).name(&[2; 32]);
        let key = name.key();
        assert_eq!(bucket_of(&key[..6]), Some(name.bucket()));
        assert!(Name::told(name.bucket(), &key[6..]) == Some(name));
        assert!(Name::listed(&name.on_the_list()) == name);
        assert!(Name::told(1, &[0; 15]).is_none() && bucket_of(b"{12g4}").is_none());
    }

    #[test]
    fn what_is_stored_shows_nothing_of_the_packet_and_gives_it_back() {
        let (cipher, budget) = (Cipher::new(&[1; 32]), Budget::new(1 << 20));
        let mut filling = Filling::new(&budget, 8192);
        filling.push(&[5; 8192]).unwrap();
        let packet = filling.finish().unwrap();
        let name = cipher.name(&packet.address());
        let mark = cipher.mark(&name, packet.hash());
        let mut stored = b"before".to_vec();
        cipher.append(&name, &mark, &packet, &mut stored);
        assert_eq!(stored.len(), 6 + 8192 - FRONT);
        assert!(stored[6..].windows(4).all(|part| part != [5; 4]));
        cipher.mask(&name, &mark, &mut stored[6..]);
        assert!(stored[6..].iter().all(|&byte| byte == 5));
        let other = cipher.mark(&cipher.name(&[6; 32]), packet.hash());
        assert_ne!(mark, other, "the same packet under another address");
    }
}
