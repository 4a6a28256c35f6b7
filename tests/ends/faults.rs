//! Whatever the postbox, or something in its place, does: the exit code is that of the table,
//! nothing is lost, and the next command continues.

use std::time::{Duration, Instant};

use otr::protocol::authentication::nameplate::Nameplate;

use crate::faulty::{Fault, Faulty};
use crate::met::met;
use crate::people::{fails, ok, otr, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{Form, Postbox};

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// During the fault, `send` ends with 9 and has taken its text, and `recv` ends with that code;
/// afterwards everything arrives.
#[track_caller]
fn passes(fault: &dyn Fn(&'static str) -> Fault, recv: i32) {
    let (place, _postbox, faulty) = met();
    faulty.set(fault("post"));
    for message in [b"1\n", b"2\n"] {
        let said = fails(&place, "alice", &["send"], message, 9);
        assert!(said.contains("nothing is lost: the next command posts it"), "{said}");
    }
    faulty.set(Fault::None);
    ok(&place, "alice", &["send", "--last"], b"");
    faulty.set(fault("collect"));
    fails(&place, "bob", &["recv", "--wait", "1s"], b"", recv);
    faulty.set(fault("discard"));
    let output = otr(&place, "bob", &["recv"], b"");
    assert_eq!((text(&output.stdout).as_str(), code(&output)), ("1\n", recv));
    faulty.set(Fault::None);
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), b"2\n");
    // And none of it arrives again.
    fails(&place, "bob", &["recv", "--all"], b"", 8);
}

#[test]
fn a_postbox_that_is_full() {
    passes(&|path| Fault::Answer(path, http("507 Insufficient Storage", b"0\n")), 10);
}

#[test]
fn a_server_that_fails() {
    passes(&|path| Fault::Answer(path, http("500 Internal Server Error", b"oops")), 9);
}

#[test]
fn a_server_that_sends_elsewhere() {
    let answer = b"HTTP/1.1 307 Over\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    passes(&|path| Fault::Answer(path, answer.to_vec()), 9);
}

#[test]
fn a_server_that_is_none() {
    passes(&|path| Fault::Answer(path, b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()), 9);
}

#[test]
fn an_answer_of_nonsense() {
    passes(&|path| Fault::Answer(path, http("200 OK", b"<html>welcome to the hotel</html>")), 9);
}

#[test]
fn an_answer_that_never_ends() {
    passes(&Fault::Endless, 9);
}

#[test]
fn half_a_packet_is_none() {
    let (place, _postbox, faulty) = met();
    ok(&place, "alice", &["send"], b"1\n");
    let half = [&[0xF5][..], &[7; 2000]].concat();
    faulty.set(Fault::Answer("collect", http("200 OK", &half)));
    fails(&place, "bob", &["recv"], b"", 9);
    faulty.set(Fault::None);
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"1\n");
}

/// Both at once, because this takes half a minute.
#[test]
fn a_postbox_that_never_answers_is_given_up() {
    let (place, _postbox, faulty) = met();
    faulty.set(Fault::Silent);
    let began = Instant::now();
    let callers = [("alice", &["send", "--retry", "0s"][..]), ("bob", &["recv", "--wait", "1s"])]
        .map(|(who, arguments)| spawn(&place, who, arguments, b"1\n"));
    for caller in callers {
        let output = caller.wait_with_output().unwrap();
        assert_eq!(code(&output), 9, "{}", text(&output.stderr));
    }
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    faulty.set(Fault::None);
    ok(&place, "alice", &["send"], b"2\n");
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), b"1\n2\n");
}

/// Nobody even notices a connection that is cut once, wherever that happens.
#[test]
fn a_cut_in_the_middle_of_each_call_is_made_good() {
    let (place, _postbox, faulty) = met();
    let mut number = 1;
    for path in ["post", "collect", "discard", "gone", "revealed"] {
        for parts in [0, 1, 4, 7] {
            for fault in [Fault::CutRequest(path, parts), Fault::CutAnswer(path, parts)] {
                faulty.set(fault);
                let message = format!("{number}\n");
                let sender = spawn(&place, "alice", &["send", "--confirm"], message.as_bytes());
                let came = ok(&place, "bob", &["recv", "--wait", "20s"], b"");
                assert_eq!(text(&came), message, "{path} {parts}/8");
                let ended = sender.wait_with_output().unwrap();
                assert_eq!(code(&ended), 0, "{path} {parts}/8: {}", text(&ended.stderr));
                assert!(faulty.is_well(), "{path} was never called");
                number += 1;
            }
        }
    }
    fails(&place, "bob", &["recv", "--all"], b"", 8);
}

/// The answer to a code was stored, but could not be posted: the next command posts it, and
/// discards the invite, so that nobody else answers it.
#[test]
fn an_invite_that_was_answered_does_not_stay_under_its_number() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let faulty = Faulty::before(&postbox);
    let code = text(&ok(&place, "alice", &["init", "--code", "--postbox", &faulty.url], b""));
    let number: u32 = code.split('-').next().unwrap().parse().unwrap();
    let lies = || postbox.call("/v1/collect", Form::Raw, Nameplate::of(number).token()).body;
    faulty.set(Fault::Answer("post", http("500 Internal Server Error", b"oops")));
    let said = fails(&place, "bob", &["respond", "--code", code.trim()], b"", 9);
    assert!(said.contains("respond --again"), "{said}");
    assert!(!lies().is_empty());
    faulty.set(Fault::None);
    ok(&place, "bob", &["respond", "--again", "--yes"], b"");
    assert!(lies().is_empty());
    ok(&place, "alice", &["send"], b"there");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"there");
}
