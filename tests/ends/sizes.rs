//! A postbox that takes no large packets: messages go out in smaller ones, and a packet that was
//! sealed before that was known blocks nothing.

use serde_json::Value;

use crate::people::{fails, ok, otr, pair, running};
use crate::place::{Place, code, text};
use crate::postbox::{Postbox, otr as program};

/// The same address, where packets of more than 16 KiB are refused from now on.
fn smaller(postbox: Postbox) -> Postbox {
    let listen = postbox.url.strip_prefix("http://").unwrap().to_owned();
    drop(postbox);
    Postbox::run(program().args(["postbox", "--max-packet", "16K", "--listen", &listen]))
}

/// Of `length` bytes, no two parts the same.
fn letter(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

fn unposted(place: &Place) -> u64 {
    let told: Value =
        serde_json::from_slice(&ok(place, "alice", &["status", "--json"], b"")).unwrap();
    told["sessions"][0]["unposted"].as_u64().unwrap()
}

#[test]
fn a_short_message_goes_in_smaller_packets() {
    let (place, postbox) = (Place::new(), Postbox::start(&["--max-packet", "16K"]));
    pair(&place, &postbox);
    let letters = [letter(40_000), letter(65_000), letter(16_300), b"x".to_vec()];
    for letter in &letters {
        for size in ["4K", "64K", "1M"] {
            let sent = otr(&place, "alice", &["send", "--size", size], letter);
            assert_eq!((code(&sent), &text(&sent.stderr)[..]), (0, ""));
            let came = otr(&place, "bob", &["recv"], b"");
            assert!(came.stdout == *letter, "{}", text(&came.stderr));
            assert!(!text(&came.stderr).contains("not here"), "{}", text(&came.stderr));
        }
    }
    // And in the middle of others.
    let line = [&vec![b'L'; 50_000][..], b"\n"].concat();
    let lines = [b"one\n", &line[..], b"two\n", &line[..], b"three\n"].concat();
    ok(&place, "bob", &["send", "--lines"], &lines);
    assert!(ok(&place, "alice", &["recv", "--count", "5"], b"") == lines);
    let (mut alice, stdin) = running(&place, "alice", &["send", "--confirm", "--size", "64K"]);
    drop(stdin);
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"");
    assert!(alice.wait().unwrap().success());
}

/// It was refused for ever, and everything after it waited.
#[test]
fn what_was_taken_and_is_too_large_holds_nothing_up() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let (listen, large) = (postbox.url.clone(), letter(40_000));
    drop(postbox);
    fails(&place, "alice", &["send", "--retry", "0s"], &large, 9);
    fails(&place, "alice", &["send", "--retry", "0s"], b"small, before\n", 9);
    let address = listen.strip_prefix("http://").unwrap();
    let options = ["postbox", "--max-packet", "16K", "--listen", address];
    let postbox = Postbox::run(program().args(options));
    let sent = otr(&place, "alice", &["send"], b"small, after\n");
    let said = text(&sent.stderr);
    assert_eq!(code(&sent), 0, "{said}");
    assert!(said.contains("64 KiB") && said.contains("--last --stdout"), "{said}");
    let came = ok(&place, "bob", &["recv", "--all"], b"");
    assert_eq!(text(&came), "small, before\nsmall, after\n");
    // It is not lost: it goes by another way,
    assert_eq!(unposted(&place), 1);
    let told = otr(&place, "alice", &["recv", "--all"], b"");
    assert!(code(&told) == 8 && text(&told.stderr).contains("refused for its size"));
    let packets = ok(&place, "alice", &["send", "--last", "--stdout"], b"");
    assert_eq!(unposted(&place), 0);
    assert!(ok(&place, "bob", &["recv", "--stdin"], &packets) == large);
    // or by the same once that takes it.
    drop(postbox);
    fails(&place, "alice", &["send", "--retry", "0s"], &large, 9);
    let _postbox = Postbox::run(program().args(["postbox", "--listen", address]));
    fails(&place, "alice", &["recv", "--all"], b"", 8);
    assert!(ok(&place, "bob", &["recv"], b"") == large);
}

#[test]
fn where_the_line_is_full_of_such_the_next_goes_by() {
    let (place, mut postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    postbox.child.kill().unwrap();
    postbox.child.wait().unwrap();
    let large = letter(60_000);
    for _ in 0..4 {
        fails(&place, "alice", &["send", "--retry", "0s"], &large, 9);
    }
    let _postbox = smaller(postbox);
    for message in [&b"short"[..], &letter(50_000), &letter(200_000)] {
        ok(&place, "alice", &["send"], message);
        assert!(ok(&place, "bob", &["recv", "--all"], b"") == message);
    }
    assert_eq!(unposted(&place), 4);
    let packets = ok(&place, "alice", &["send", "--stdout"], b"fifth");
    let came = ok(&place, "bob", &["recv", "--stdin"], &packets);
    assert!(came == [&large.repeat(4)[..], b"fifth"].concat());
}
