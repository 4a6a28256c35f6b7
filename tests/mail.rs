//! Packets as mail, chats, shells and recordings pass them on: joined, wrapped, in
//! quoted-printable, in UTF-16, with text and bytes in one file.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::fs;

use support::{Pair, feed, lines, tool};

/// The text without its last newline.
fn joined(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap()
}

/// Encoded by a mail program that avoids lines of more than 76 characters.
fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let script = "import quopri, sys; quopri.encode(sys.stdin.buffer, sys.stdout.buffer, False)";
    feed(tool("python3", "python3").args(["-c", script]), text).quietly()
}

fn utf_16(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let units = std::iter::once(0xFEFF_u16).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn items_of_greatest_length_that_are_joined_are_taken_one_after_the_other() {
    let pair = Pair::strangers();
    let invite = pair.alice("init", b"").ok();
    let reply = pair.bob("respond", &invite).ok();
    let first = pair.bob("send", b"first\n").ok();
    assert_eq!(pair.alice("recv", &[joined(&reply), &first].concat()).ok(), b"first\n");

    let packets = [&b"one\n"[..], b"two\n"].map(|text| pair.sealed("--size 1M", text));
    assert_eq!(pair.bob("recv", &[joined(&packets[0]), &packets[1]].concat()).ok(), b"one\ntwo\n");

    // Two published keys and the packet that they came with.
    let answer = lines(&pair.bob("send", b"three\n").ok());
    assert_eq!(answer.len(), 3);
    let all: Vec<u8> = answer.iter().flat_map(|line| joined(line).to_vec()).collect();
    assert_eq!(pair.alice("recv", &all).ok(), b"three\n");
}

#[test]
fn mail_in_quoted_printable_is_taken_as_it_lies_there() {
    for wrap in ["", "--wrap 72"] {
        let pair = Pair::strangers();
        let mail = |text: &[u8]| {
            let head =
                "From: Bob =?utf-8?q?M=C3=BCller?= <bob@example.org>\n\nHier = ein Päckchen: \n\n";
            quoted_printable(&[head.as_bytes(), text, b"\n-- \nBob\n"].concat())
        };
        let invite = pair.alice(&format!("init {wrap}"), b"").ok();
        let reply = pair.bob(&format!("respond {wrap}"), &mail(&invite)).ok();
        pair.alice("recv", &mail(&reply)).ok();
        for size in ["4K", "8K", "64K", "1M"] {
            let packet = pair.sealed(&format!("{wrap} --size {size}"), b"hello\n");
            assert_eq!(pair.bob("recv", &mail(&packet)).ok(), b"hello\n");
            let answer = pair.bob(&format!("send {wrap}"), b"yes\n").ok();
            assert_eq!(pair.alice("recv", &mail(&answer)).ok(), b"yes\n");
        }
    }
}

#[test]
fn format_flowed_and_quoting_of_quoting_do_no_harm() {
    let pair = Pair::new();
    for (before, newline) in [("> ", "\r\n"), ("> > ", " \n"), (" ", " \r\n"), ("| ", "\n")] {
        let packet = String::from_utf8(pair.sealed("--wrap 72", b"hello\n")).unwrap();
        let mail: String = packet.lines().flat_map(|line| [before, line, newline]).collect();
        assert_eq!(pair.bob("recv", mail.as_bytes()).ok(), b"hello\n");
    }
}

#[test]
fn a_file_in_utf_16_is_taken() {
    let pair = Pair::strangers();
    let invite = pair.alice("init", b"").ok();
    let reply = pair.bob("respond", &utf_16(&invite)).ok();
    pair.alice("recv", &utf_16(&reply)).ok();
    let packet = pair.sealed("", b"hello\n");
    assert_eq!(pair.bob("recv", &utf_16(&packet)).ok(), b"hello\n");
    let told = feed(&mut pair.end("nobody", "inspect"), &utf_16(&packet)).text();
    assert!(told.contains("packets 1,"), "{told}");
}

#[test]
fn raw_packets_behind_the_text_of_an_invite_are_found_by_all_who_read() {
    let pair = Pair::strangers();
    // What `tee -a` records where only one of the two uses --raw, and `init` writes text always.
    let invite = pair.alice("init", b"").ok();
    let reply = pair.bob("respond --raw", &invite).ok();
    assert!(!reply.is_ascii());
    pair.alice("recv", &[&invite[..], &reply].concat()).ok();
    let packet = pair.alice("send --raw", b"I owe you 10\n").ok();
    let in_text = pair.alice("send", b"good night\n").ok();
    let seen = [&invite[..], &reply, &packet, &in_text].concat();
    assert_eq!(pair.bob("recv", &seen).ok(), b"I owe you 10\ngood night\n");
    let last = pair.bob("close --raw", b"").ok();
    let tape = [&seen[..], &last].concat();
    fs::write(pair.path("tape"), &tape).unwrap();

    let told = feed(&mut pair.end("nobody", "inspect --keys"), &tape).text();
    assert!(told.contains("invites 1, replies 0, packets 4, keys 2, damaged 0"), "{told}");
    assert_eq!(told.matches("verifies under key").count(), 2, "{told}");
    let was = "forge --packet 3 --says=I~owe~you~99 --was=I~owe~you~10 tape".split(' ');
    let mut forge = pair.end("nobody", "");
    let forged = feed(forge.args(was.map(|word| word.replace('~', " "))), b"").ok();
    let both = [&tape[..], &forged].concat();
    let told = feed(&mut pair.end("nobody", "inspect --keys"), &both).text();
    assert!(told.contains("different bytes"), "{told}");
}
