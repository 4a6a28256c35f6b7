//! CPace: two sides that know the same weak secret obtain the same strong key; a side that does not
//! know it gets one guess per run, and cannot go on guessing offline [draft-irtf-cfrg-cpace-21,
//! CPACE-RISTR255-SHA512].
//!
//! ```text
//! generator(PRS, CI, sid) ─▶ A: Ya = ya·g ──Ya──▶ B: Yb = yb·g, K = yb·Ya
//!                            A: K = ya·Yb ◀──Yb──
//! ISK = SHA-512("CPaceRistretto255_ISK", sid, K, Ya, ADa, Yb, ADb), each behind its length
//! ```

use zeroize::Zeroizing;

use crate::protocol::crypto::primitives::{self, BadPublicKey, GROUP_ELEMENT};
use crate::protocol::crypto::secret::{Secret, wipe_stack};
use crate::protocol::randomness::{Draw, NoRandomness, Randomness};

/// Bytes of a share.
pub const SHARE: usize = GROUP_ELEMENT;

/// The group's domain separation identifier [CPace, 8.3].
const DSI: &[u8] = b"CPaceRistretto255";
/// As [`DSI`], for the key that comes out.
const DSI_ISK: &[u8] = b"CPaceRistretto255_ISK";
/// Bytes of one SHA-512 block, which DSI and a short secret fill together.
const HASH_BLOCK: usize = 128;

/// The password-related string of one run: Argon2id of the shared secret, salted with the run's
/// `sid` (see [`Password::stretch`](crate::protocol::authentication::password::Password::stretch)).
pub struct Prs {
    bytes: Secret<32>,
    sid: [u8; 32],
}

impl Prs {
    pub(crate) fn new(bytes: Secret<32>, sid: [u8; 32]) -> Self {
        Self { bytes, sid }
    }

    /// Whether it was made for the run that `sid` names.
    pub(crate) fn is_for(&self, sid: &[u8; 32]) -> bool {
        self.sid == *sid
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        self.bytes.bytes()
    }
}

/// The hash that maps to the group element of which a run's shares are multiples.
pub(crate) struct Generator(Secret<64>);

impl Generator {
    /// [CPace, `calculate_generator`]. Only somebody who knows the secret can compute it.
    pub(crate) fn new(prs: &Prs, channel: &[u8]) -> Self {
        Self::of(prs.bytes.bytes(), channel, &prs.sid)
    }

    fn of(prs: &[u8], channel: &[u8], sid: &[u8]) -> Self {
        Self(primitives::sha512(&[&generator_string(prs, channel, sid)]))
    }
}

/// [CPace, `generator_string`].
fn generator_string(prs: &[u8], channel: &[u8], sid: &[u8]) -> Zeroizing<Vec<u8>> {
    let before = prefixed_length(DSI.len()) + prefixed_length(prs.len());
    let padding = HASH_BLOCK.saturating_sub(1 + before);
    let fields: [&[u8]; 5] = [DSI, prs, &[0; HASH_BLOCK][..padding], channel, sid];
    let length = fields.iter().map(|field| prefixed_length(field.len())).sum();
    let mut string = Zeroizing::new(Vec::with_capacity(length));
    for field in fields {
        put_prefixed(&mut string, field);
    }
    string
}

/// One side's secret multiplier. It serves one run.
pub(crate) struct Scalar(pub(crate) Secret<32>);

impl Scalar {
    pub(crate) fn draw(randomness: &mut dyn Randomness) -> Result<Self, NoRandomness> {
        let mut scalar = Secret::zeroed();
        randomness.fill(Draw::CpaceScalar, scalar.bytes_mut())?;
        Ok(Self(scalar))
    }

    /// This side's share, to be sent.
    pub(crate) fn share(&self, generator: &Generator) -> Result<[u8; SHARE], NoRandomness> {
        let share = primitives::group_multiply_mapped(&generator.0, &self.0);
        wipe_stack();
        // A zero scalar means that the source gave no randomness: the peer would refuse the share.
        share.map_err(|_| NoRandomness)
    }

    /// K: the point that both sides arrive at, from the peer's share [CPace, `scalar_mult_vfy`].
    ///
    /// # Errors
    /// [`BadPublicKey`] if the share is not canonical, or is the neutral element.
    pub(crate) fn agree(&self, share: &[u8; SHARE]) -> Result<Secret<32>, BadPublicKey> {
        let shared = primitives::group_multiply(share, &self.0);
        wipe_stack();
        shared
    }
}

/// What one side sends: its share, and the public data that it is bound to.
pub(crate) struct Sent<'a> {
    pub(crate) share: &'a [u8; SHARE],
    pub(crate) data: &'a [u8],
}

/// ISK, 64 bytes, of a run that `a` began [CPace, `transcript_ir`]. It is equal on both sides only
/// if the secret, the channel, `sid` and everything sent are equal.
pub(crate) fn session_key(
    sid: &[u8],
    shared: &Secret<32>,
    a: &Sent<'_>,
    b: &Sent<'_>,
) -> Secret<64> {
    let fields: [&[u8]; 7] = [DSI_ISK, sid, shared.bytes(), a.share, a.data, b.share, b.data];
    let length = fields.iter().map(|field| prefixed_length(field.len())).sum();
    let mut string = Zeroizing::new(Vec::with_capacity(length));
    for field in fields {
        put_prefixed(&mut string, field);
    }
    let key = primitives::sha512(&[&string]);
    wipe_stack();
    key
}

/// Whether a share is valid at all, which can be told before the secret is known.
pub(crate) fn is_valid_share(share: &[u8; SHARE]) -> bool {
    primitives::group_element_is_valid(share)
}

/// Writes a field behind its length in LEB128 [CPace, `prepend_len`].
fn put_prefixed(out: &mut Vec<u8>, field: &[u8]) {
    let mut length = field.len();
    while length >= 0x80 {
        out.push(0x80 | length.to_le_bytes()[0] & 0x7f);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
    out.extend_from_slice(field);
}

/// How many bytes [`put_prefixed`] writes.
fn prefixed_length(length: usize) -> usize {
    let bits = (usize::BITS - length.leading_zeros()).max(1) as usize;
    bits.div_ceil(7) + length
}

#[cfg(test)]
#[path = "../tests/pake.rs"]
mod tests;
