//! CPace against the vectors of the draft, and against shares that must be refused.

use serde_json::Value;

use super::*;
use crate::protocol::tests::vectors::unhex;

fn published() -> Value {
    let text = include_str!("../../../tests/vectors/published/draft-irtf-cfrg-cpace-21.json");
    serde_json::from_str(text).unwrap()
}

fn array(value: &Value) -> [u8; 32] {
    unhex(value).try_into().unwrap()
}

fn scalar(value: &Value) -> Scalar {
    Scalar(Secret::copy_of(&array(value)))
}

#[test]
fn lengths_before_fields() {
    let vectors = published();
    let long: Vec<u8> = (0..128).collect();
    for (field, name) in [
        (&b""[..], "prepend_len(b'')"),
        (b"1234", "prepend_len(b'1234')"),
        (&long[..127], "prepend_len(bytes(range(127)))"),
        (&long, "prepend_len(bytes(range(128)))"),
    ] {
        let mut out = Vec::new();
        put_prefixed(&mut out, field);
        assert_eq!(out, unhex(&vectors["prepend_len"][name]), "{name}");
        assert_eq!(out.len(), prefixed_length(field.len()));
    }
    let mut out = Vec::new();
    for field in [&b"1234"[..], b"5", b"", b"678"] {
        put_prefixed(&mut out, field);
    }
    assert_eq!(out, unhex(&vectors["lv_cat"]["lv_cat(b'1234',b'5',b'',b'678')"]));
    for length in [16_383, 16_384, 2_097_151, 2_097_152] {
        let mut out = Vec::new();
        put_prefixed(&mut out, &vec![0; length]);
        assert_eq!(out.len(), prefixed_length(length));
    }
}

#[test]
fn generator() {
    let vector = &published()["generator"];
    let (ci, sid) = (unhex(&vector["CI"]), unhex(&vector["sid"]));
    let string = generator_string(&unhex(&vector["PRS"]), &ci, &sid);
    assert_eq!(*string, unhex(&vector["generator_string(G.DSI,PRS,CI,sid,H.s_in_bytes)"]));
    let generator = Generator::of(&unhex(&vector["PRS"]), &ci, &sid);
    assert_eq!(generator.0.bytes()[..], unhex(&vector["hash result"]));
    let mut one = [0; 32];
    one[0] = 1;
    let encoded = Scalar(Secret::copy_of(&one)).share(&generator).unwrap();
    assert_eq!(encoded[..], unhex(&vector["encoded generator g"]));
}

#[test]
fn a_run_of_both_sides() {
    let vector = &published()["run"];
    let (ci, sid) = (unhex(&vector["CI"]), unhex(&vector["sid"]));
    let generator = Generator::of(&unhex(&vector["PRS"]), &ci, &sid);
    let (ya, yb) = (scalar(&vector["ya"]), scalar(&vector["yb"]));
    let (share_a, share_b) = (ya.share(&generator).unwrap(), yb.share(&generator).unwrap());
    assert_eq!(share_a, array(&vector["Ya"]));
    assert_eq!(share_b, array(&vector["Yb"]));
    let a = Sent { share: &share_a, data: &unhex(&vector["ADa"]) };
    let b = Sent { share: &share_b, data: &unhex(&vector["ADb"]) };
    for shared in [ya.agree(&share_b).unwrap(), yb.agree(&share_a).unwrap()] {
        assert_eq!(*shared.bytes(), array(&vector["K"]));
        assert_eq!(session_key(&sid, &shared, &a, &b).bytes()[..], unhex(&vector["ISK_IR"]));
    }
}

#[test]
fn shares_that_are_taken_and_refused() {
    let vectors = &published()["scalar_mult_vfy"];
    let scalar = scalar(&vectors["Valid"]["s"]);
    let product = scalar.agree(&array(&vectors["Valid"]["X"])).unwrap();
    assert_eq!(*product.bytes(), array(&vectors["Valid"]["G.scalar_mult_vfy(s,X)"]));
    for name in ["Invalid Y1", "Invalid Y2"] {
        let share = array(&vectors[name]);
        assert!(scalar.agree(&share).is_err(), "{name}");
        assert!(!is_valid_share(&share), "{name}");
    }
}

/// RFC 9496, appendix A.3: encodings that must be refused, one of each kind, and all points of the
/// curve's small subgroup, of which ristretto255 encodes only the neutral one.
#[test]
fn encodings_that_must_be_refused() {
    let scalar = Scalar(Secret::copy_of(&[7; 32]));
    for (name, hex) in [
        ("neutral", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("not reduced", "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        ("p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("top bit", "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2df6"),
        ("negative", "0100000000000000000000000000000000000000000000000000000000000000"),
        ("no square", "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371"),
        ("negative xy", "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e"),
        ("s = -1", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("order 8", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        ("order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    ] {
        let share = array(&Value::from(hex));
        assert!(scalar.agree(&share).is_err(), "{name}");
        assert!(!is_valid_share(&share), "{name}");
    }
}

#[test]
fn the_top_bits_of_a_scalar_do_not_count() {
    let generator = Generator::of(b"x", b"ci", b"sid");
    let mut bytes = [0xff; 32];
    let with = Scalar(Secret::copy_of(&bytes)).share(&generator).unwrap();
    bytes[31] = 0x0f;
    let without = Scalar(Secret::copy_of(&bytes)).share(&generator).unwrap();
    assert_eq!(with, without);
    bytes[31] = 0x07;
    assert_ne!(with, Scalar(Secret::copy_of(&bytes)).share(&generator).unwrap());
    let mut zero = [0; 32];
    zero[31] = 0xf0;
    assert!(Scalar(Secret::copy_of(&zero)).share(&generator).is_err());
}

#[test]
fn another_secret_channel_or_session_gives_another_key() {
    let key = |secret: &str, ci: &[u8], sid: &[u8], data: &[u8]| {
        let generator = Generator::of(secret.as_bytes(), ci, sid);
        let a = Scalar(Secret::copy_of(&[3; 32]));
        let b = Scalar(Secret::copy_of(&[5; 32])).share(&generator).unwrap();
        let own = a.share(&generator).unwrap();
        let (a, b) = (a.agree(&b).unwrap(), Sent { share: &b, data: b"B" });
        *session_key(sid, &a, &Sent { share: &own, data }, &b).bytes()
    };
    let right = key("secret", b"ci", b"sid", b"A");
    assert_eq!(right, key("secret", b"ci", b"sid", b"A"));
    for other in [
        key("Secret", b"ci", b"sid", b"A"),
        key("secret", b"cj", b"sid", b"A"),
        key("secret", b"ci", b"sie", b"A"),
        key("secret", b"ci", b"sid", b"C"),
        key("secret", b"cis", b"id", b"A"),
    ] {
        assert_ne!(right, other);
    }
}
