//! ChaCha20-Poly1305 with a zero nonce, against RFC 8439. (All Wycheproof cases have other nonces,
//! which this crate's interface does not accept.)

use super::{array, key_with, unhex};
use crate::protocol::crypto::primitives::{TAG, open, poly1305_key, seal, sha256};

/// RFC 8439, appendix A.4, number 1. The others have a nonzero nonce.
#[test]
fn rfc_8439_poly1305_key() {
    let expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7";
    assert_eq!(poly1305_key(&[0; 32])[..], unhex(expected));
}

/// RFC 8439, appendix A.1, numbers 2 to 4, whose nonce is zero: sealing zeros yields the key
/// stream, which begins at block 1.
#[test]
fn rfc_8439_keystream() {
    let cases = [
        (
            [0; 32],
            0,
            "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
        ),
        (
            key_with(31, 1),
            0,
            "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a\
             8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
        ),
        (
            key_with(1, 0xff),
            64,
            "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca\
             13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
        ),
    ];
    for (key, start, expected) in cases {
        let mut buffer = [0; 128 + TAG];
        seal(&key, b"", &mut buffer);
        assert_eq!(buffer[start..start + 64], unhex(expected));
    }
}

/// RFC 8439, section 2.8: the tag is Poly1305 of the padded data under [`poly1305_key`], and
/// therefore a published key can forge. Poly1305 is computed here by its definition (2.5).
#[test]
fn tag_is_poly1305_under_the_published_key() {
    for (ad_length, length) in [(0, 0), (1, 1), (12, 15), (16, 16), (64, 2308), (2388, 1692)] {
        let key = sha256(&[b"key", &[u8::try_from(length % 251).unwrap()]]);
        let ad: Vec<u8> = (1..=251).cycle().take(ad_length).collect();
        let mut buffer: Vec<u8> = (0..253).cycle().take(length + TAG).collect();
        let text = buffer[..length].to_vec();
        seal(&key, &ad, &mut buffer);
        let mut input = ad.clone();
        input.resize(ad_length.next_multiple_of(16), 0);
        input.extend_from_slice(&buffer[..length]);
        input.resize(input.len().next_multiple_of(16), 0);
        input.extend_from_slice(&(ad_length as u64).to_le_bytes());
        input.extend_from_slice(&(length as u64).to_le_bytes());
        assert_eq!(buffer[length..], poly1305(&poly1305_key(&key), &input));
        open(&key, &ad, &mut buffer).unwrap();
        assert_eq!(buffer[..length], text);
    }
}

/// Poly1305 (RFC 8439, 2.5), slowly: limbs of 26 bits.
fn poly1305(key: &[u8; 32], input: &[u8]) -> [u8; 16] {
    const CLAMP: u128 = 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;
    let r = limbs(u128::from_le_bytes(array(&key[..16])) & CLAMP, 0);
    let mut sum = [0; 5];
    for chunk in input.chunks(16) {
        let mut block = [0; 17];
        block[..chunk.len()].copy_from_slice(chunk);
        block[chunk.len()] = 1;
        let block = limbs(u128::from_le_bytes(array(&block[..16])), block[16].into());
        let mut product = [0; 5];
        for (i, j) in (0..25).map(|at| (at / 5, at % 5)) {
            // 2^130 = 5 (mod p)
            let wrapped = if i + j < 5 { 1 } else { 5 };
            product[(i + j) % 5] += (sum[i] + block[i]) * r[j] * wrapped;
        }
        sum = product;
        while carry(&mut sum) > 0 {}
    }
    // At or above p = 2^130 − 5, adding 5 carries out of the last limb, and leaves sum − p.
    let mut less_p = sum;
    less_p[0] += 5;
    let reduced = if carry(&mut less_p) > 0 {
        less_p[0] -= 5;
        less_p
    } else {
        sum
    };
    let whole = (0..)
        .zip(reduced)
        .fold(0u128, |whole, (at, limb)| whole.wrapping_add(u128::from(limb) << (26 * at)));
    whole.wrapping_add(u128::from_le_bytes(array(&key[16..]))).to_le_bytes()
}

fn limbs(low: u128, high: u64) -> [u64; 5] {
    let limb = |at: u32| u64::try_from((low >> at) & 0x3ff_ffff).unwrap();
    [limb(0), limb(26), limb(52), limb(78), limb(104) | high << 24]
}

/// Brings every limb below 2^26; returns the carry out of the last limb, which counts five times.
fn carry(limbs: &mut [u64; 5]) -> u64 {
    let mut over = 0;
    for limb in limbs.iter_mut() {
        *limb += over;
        over = *limb >> 26;
        *limb &= 0x3ff_ffff;
    }
    limbs[0] += over * 5;
    over
}

/// RFC 8439, section 2.5.2: the slow Poly1305 above is correct.
#[test]
fn rfc_8439_poly1305() {
    let key = unhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b");
    let tag = poly1305(&array(&key), b"Cryptographic Forum Research Group");
    assert_eq!(tag[..], unhex("a8061dc1305136c6c22b8baf0c0127a9"));
}

#[test]
fn an_aead_refuses_every_changed_bit() {
    let key = key_with(7, 7);
    let mut sealed = *b"the text............................................1234567890123456";
    seal(&key, b"data", &mut sealed);
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&key, b"data", &mut changed).is_err());
    }
    assert!(open(&key, b"dat", &mut sealed.clone()).is_err());
    assert!(open(&key_with(7, 6), b"data", &mut sealed.clone()).is_err());
    assert!(open(&key, b"data", &mut sealed[..TAG - 1]).is_err());
    assert!(open(&key, b"data", &mut sealed).is_ok());
}
