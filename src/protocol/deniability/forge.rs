//! What anyone can do with a published MAC key: tell which packet it belongs to, and make that
//! packet say something else of the same length [OTR3, "Revealing MAC keys"].
//!
//! This needs no secret of the session. The body is encrypted with a key stream, so anyone who
//! knows the text can flip its bits; the tag over the result comes from the published key. No
//! receiver accepts a forged packet, because its key is published only after the receiver has spent
//! the packet's address ([`crate::protocol::deniability::reveal`]).
//!
//! That a key verifies a packet proves nothing about who made it. A Poly1305 key is r ‖ s, and s is
//! simply added to the tag at the end, so for any packet and any r there is an s that fits.

use crate::protocol::crypto::primitives::{self, TAG};
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::frame::text_start;
use crate::protocol::packet::{self, ADDRESS, BODY_START, Packet};

/// Why nothing was forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgeError {
    /// The key does not verify the unchanged packet.
    Key,
    /// The new text is shorter or longer than the old one.
    Length,
    /// The text does not lie within the packet's body.
    Outside,
}

/// Whether a published key names the packet's address and verifies its body.
pub fn verifies(published: &[u8; PUBLISHED_KEY], packet: &[u8]) -> bool {
    if packet::size_class(packet.len()).is_none() || packet[..ADDRESS] != published[..ADDRESS] {
        return false;
    }
    primitives::equal(&tag(published, packet), &packet[packet.len() - TAG..])
}

/// How many bytes of text fit into a packet of `packet` bytes.
pub fn room(packet: usize, opening: bool) -> usize {
    packet.saturating_sub(TAG + text_start(opening))
}

/// The packet with `says` in place of `was`, which stands at byte `at`, and with the tag that
/// verifies under the published key. Nothing here can tell what the packet really says: if it was
/// not `was`, the result says something that nobody chose.
///
/// # Errors
/// [`ForgeError`].
pub fn rewrite(
    published: &[u8; PUBLISHED_KEY],
    packet: &[u8],
    at: usize,
    was: &[u8],
    says: &[u8],
) -> Result<Packet, ForgeError> {
    if !verifies(published, packet) {
        return Err(ForgeError::Key);
    }
    if was.len() != says.len() {
        return Err(ForgeError::Length);
    }
    let body_end = packet.len() - TAG;
    let end = at.checked_add(was.len()).filter(|&end| at >= BODY_START && end <= body_end);
    let end = end.ok_or(ForgeError::Outside)?;
    let mut forged = packet.to_vec();
    for (byte, (was, says)) in forged[at..end].iter_mut().zip(was.iter().zip(says)) {
        *byte ^= was ^ says;
    }
    let tag = tag(published, &forged);
    forged[body_end..].copy_from_slice(&tag);
    Packet::new(forged).ok_or(ForgeError::Key)
}

/// The tag of a packet (of a valid size) under the key.
fn tag(published: &[u8; PUBLISHED_KEY], packet: &[u8]) -> [u8; TAG] {
    let mut key = [0; PUBLISHED_KEY - ADDRESS];
    key.copy_from_slice(&published[ADDRESS..]);
    let (front, body) = packet.split_at(BODY_START);
    primitives::poly1305_tag(&key, front, &body[..body.len() - TAG])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet verified by a key that the test invented: nobody else took part.
    fn made_up(k: u8) -> ([u8; PUBLISHED_KEY], Vec<u8>) {
        let mut packet: Vec<u8> = (0..251).cycle().take(packet::size(k)).collect();
        let mut published = [7; PUBLISHED_KEY];
        published[..ADDRESS].copy_from_slice(&packet[..ADDRESS]);
        let tag = tag(&published, &packet);
        let end = packet.len() - TAG;
        packet[end..].copy_from_slice(&tag);
        (published, packet)
    }

    #[test]
    fn the_same_tag_as_the_aead() {
        let key = [3; 32];
        for k in [12, 13] {
            let (_, mut packet) = made_up(k);
            let (front, body) = packet.split_at_mut(BODY_START);
            primitives::seal(&key, front, body);
            let mut published = [0; PUBLISHED_KEY];
            published[..ADDRESS].copy_from_slice(&packet[..ADDRESS]);
            published[ADDRESS..].copy_from_slice(&primitives::poly1305_key(&key));
            assert!(verifies(&published, &packet));

            let at = text_start(false);
            let forged = rewrite(&published, &packet, at, &[1; 9], &[2; 9]).unwrap();
            let (front, body) = forged.split_at(BODY_START);
            let mut body = body.to_vec();
            assert!(primitives::open(&key, front, &mut body).is_ok(), "the AEAD takes it");
        }
    }

    #[test]
    fn every_byte_counts_and_the_address_too() {
        let (published, packet) = made_up(12);
        assert!(verifies(&published, &packet));
        for at in [0, ADDRESS, BODY_START, packet.len() - 1] {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            assert!(!verifies(&published, &changed), "{at}");
            assert_eq!(rewrite(&published, &changed, BODY_START, b"", b""), Err(ForgeError::Key));
        }
        assert!(!verifies(&published, &packet[..4095]));
        assert!(!verifies(&published, b""));
    }

    #[test]
    fn only_bodies_and_only_the_same_length() {
        let (published, packet) = made_up(12);
        let try_at = |at, was: &[u8], says: &[u8]| rewrite(&published, &packet, at, was, says);
        let outside = Err(ForgeError::Outside);
        assert_eq!(try_at(BODY_START, b"a", b"bc"), Err(ForgeError::Length));
        assert_eq!(try_at(BODY_START - 1, b"a", b"b"), outside);
        assert_eq!(try_at(packet.len() - TAG, b"a", b"b"), outside);
        assert_eq!(try_at(usize::MAX, b"a", b"b"), outside);
        assert!(try_at(packet.len() - TAG - 1, b"a", b"b").is_ok());
        assert_eq!(try_at(BODY_START, b"", b""), Ok(Packet::new(packet.clone()).unwrap()));
    }

    /// The claim of `inspect --keys`: for any packet, one can make up a key that verifies it.
    #[test]
    fn a_key_can_be_made_up_for_any_packet() {
        let packet = vec![0xa5; 4096];
        let mut published = [0; PUBLISHED_KEY];
        published[..ADDRESS].copy_from_slice(&packet[..ADDRESS]);
        published[ADDRESS..ADDRESS + 16].fill(9);
        // With s = 0 the tag is the polynomial alone; s is the difference to the tag that is there.
        let polynomial = u128::from_le_bytes(tag(&published, &packet));
        let there = u128::from_le_bytes([0xa5; TAG]);
        published[ADDRESS + 16..].copy_from_slice(&there.wrapping_sub(polynomial).to_le_bytes());
        assert!(verifies(&published, &packet));
    }
}
