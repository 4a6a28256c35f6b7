//! Both ends at a postbox that asks for work, and at one that asks for a secret.

use std::fs;
use std::time::Duration;

use crate::faulty::{Fault, Faulty};
use crate::people::{fails, ok, otr, pair, running, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{Form, Place as Spot, Postbox, crowd, raw};

#[test]
fn everything_that_posts_pays_by_itself_and_says_nothing_of_it() {
    let (place, postbox) = (Place::new(), Postbox::start(&["--memory", "16M", "--work", "9"]));
    crowd(&postbox, 8);
    pair(&place, &postbox);
    for (who, other) in [("alice", "bob"), ("bob", "alice")] {
        let sent = otr(&place, who, &["send"], b"paid for");
        let said = text(&sent.stderr);
        assert!(code(&sent) == 0 && !said.contains("work"), "{said}");
        assert_eq!(ok(&place, other, &["recv"], b""), b"paid for");
    }
    // Several wait, and go out together.
    let mut following = spawn(&place, "bob", &["recv", "--count", "5"], b"");
    ok(&place, "alice", &["send", "--lines"], b"1\n2\n3\n4\n5\n");
    assert!(following.wait().unwrap().success());
    let (mut alice, stdin) = running(&place, "alice", &["send", "--confirm", "--size", "64K"]);
    drop(stdin);
    ok(&place, "bob", &["recv"], b"");
    assert!(alice.wait().unwrap().success());
    // A long message.
    let long: Vec<u8> = (0..3_u32 << 20).map(|at| at.to_le_bytes()[1]).collect();
    let receiver = spawn(&place, "bob", &["recv"], b"");
    ok(&place, "alice", &["send"], &long);
    assert!(receiver.wait_with_output().unwrap().stdout == long);
    assert_eq!(postbox.post(&raw(&Spot::new(1).packet(12, 1))).status, 402, "it still asks");
    ok(&place, "bob", &["close"], b"");
    assert_eq!(code(&otr(&place, "alice", &["recv"], b"")), 7);
}

#[test]
fn a_code_is_paid_for_on_both_sides() {
    let (place, postbox) = (Place::new(), Postbox::start(&["--memory", "8M", "--work", "8"]));
    crowd(&postbox, 8);
    let line = ok(&place, "alice", &["init", "--postbox", &postbox.url, "--code"], b"");
    ok(&place, "bob", &["respond", "--code", "-"], &line);
    ok(&place, "alice", &["send"], b"one");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"one");
}

#[test]
fn send_says_where_what_is_posted_does_not_lie_there_for_long() {
    for (ttl, told) in [("10m", Some(600)), ("12h", None), ("24h", None)] {
        let (place, postbox) = (Place::new(), Postbox::start(&["--ttl", ttl]));
        pair(&place, &postbox);
        let said = |arguments: &[&str], input: &[u8]| {
            let sent = otr(&place, "alice", arguments, input);
            assert_eq!(code(&sent), 0);
            text(&sent.stderr)
        };
        let long = vec![b'L'; 2 << 20];
        for (command, input) in
            [(&["send"][..], &b"one"[..]), (&["send", "--lines"], b"1\n2\n3\n"), (&["send"], &long)]
        {
            let said = said(command, input);
            match told {
                None => assert_eq!(said, ""),
                Some(_) => assert!(
                    said.contains(" keeps this for only 10m; ") && said.lines().count() == 1,
                    "{said}"
                ),
            }
        }
        assert_eq!(said(&["-q", "send"], b"quiet"), "");
        let json = said(&["--json", "send"], b"json");
        let field = told.map(|seconds| format!("\"keeps\":{seconds},"));
        assert!(field.is_none_or(|field| json.contains(&field)), "{json}");
        assert_eq!(json.lines().count(), usize::from(told.is_some()), "{json}");
    }
}

/// Two people who talk through a postbox, and a connection to it that can be made to fail.
fn talking() -> (Place, Postbox, Faulty) {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let way = Faulty::before(&postbox);
    let invite = ok(&place, "alice", &["init", "--postbox", &way.url], b"");
    ok(&place, "bob", &["respond", "--yes"], &invite);
    ok(&place, "alice", &["send"], b"one");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"one");
    (place, postbox, way)
}

/// An answer that asks for this much work.
fn asks(bits: &str) -> Fault {
    let head = format!("HTTP/1.1 402 Pay\r\notr-work: {bits} AAAAAAAAAAAAAAAAAAAAAA\r\n");
    Fault::Answer("post", format!("{head}content-length: 2\r\n\r\n0\n").into_bytes())
}

#[test]
fn long_work_is_said_and_ends_with_a_signal() {
    let (place, _postbox, way) = talking();
    way.set(asks("24"));
    let (mut alice, stdin) = running(&place, "alice", &["send"]);
    drop(stdin);
    let mut said = String::new();
    let mut stderr = std::io::BufReader::new(alice.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
    assert!(said.contains("is crowded and asks for work first"), "{said}");
    let id = alice.id().to_string();
    assert!(
        std::process::Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success()
    );
    assert!(!alice.wait().unwrap().success());
    // It was taken, and goes out with the next command.
    way.set(Fault::None);
    ok(&place, "alice", &["send"], b"two");
    assert_eq!(ok(&place, "bob", &["recv", "--count", "2"], b""), b"two");
}

#[test]
fn a_postbox_that_asks_for_ever_is_called_full_and_one_that_asks_for_too_much_is_none() {
    let (place, _postbox, way) = talking();
    for (bits, told) in [("1", "is full"), ("200", "status 402"), ("", "status 402")] {
        way.set(asks(bits));
        let said = fails(&place, "alice", &["send", "--retry", "0s"], b"x", 9);
        assert!(said.contains(told), "{said}");
    }
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A private postbox, and the file with its secret.
fn private(place: &Place) -> (Postbox, String) {
    let file = place.path("post-secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (Postbox::start(&["--post-secret", &file]), file)
}

#[test]
fn the_invite_carries_the_post_secret_and_nothing_shows_it() {
    let place = Place::new();
    let (postbox, file) = private(&place);
    let url = &postbox.url[..];
    let invite = ok(&place, "alice", &["init", "--postbox", url, "--post-secret", &file], b"");
    let answered = otr(&place, "bob", &["respond", "--postbox", url], &invite);
    assert_eq!((code(&answered), &text(&answered.stderr)[..]), (0, ""));
    ok(&place, "alice", &["send"], b"one");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"one");
    ok(&place, "bob", &["send"], &vec![b'B'; 300_000]);
    assert_eq!(ok(&place, "alice", &["recv"], b"").len(), 300_000);
    for (who, command) in [("alice", &["status"][..]), ("bob", &["status", "--json"])] {
        let shown = text(&ok(&place, who, command, b""));
        assert!(shown.contains(url) && !shown.contains(SECRET), "{shown}");
    }
    let shown = text(&ok(&place, "eve", &["inspect"], &invite));
    assert!(shown.contains(url) && !shown.contains(SECRET), "{shown}");
    let asked = fails(&place, "eve", &["respond"], &invite, 2);
    assert!(asked.contains(url) && !asked.contains(SECRET), "{asked}");
}

#[test]
fn a_code_leads_to_the_post_secret() {
    let place = Place::new();
    let (postbox, file) = private(&place);
    let init = ["init", "--postbox", &postbox.url, "--post-secret", &file, "--code"];
    let line = ok(&place, "alice", &init, b"");
    assert!(!text(&line).contains(SECRET), "{}", text(&line));
    ok(&place, "bob", &["respond", "--code", "-"], &line);
    ok(&place, "alice", &["send"], b"one");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"one");
}

#[test]
fn a_post_secret_comes_by_file_or_environment_and_without_it_nothing_is_posted() {
    let place = Place::new();
    let (postbox, file) = private(&place);
    let typed = postbox.url.replace("http://", &format!("http://:{SECRET}@"));
    let said = fails(&place, "alice", &["init", "--postbox", &typed], b"", 2);
    assert!(said.contains("--post-secret") && !said.contains(SECRET), "{said}");
    let nowhere = fails(&place, "alice", &["init", "--post-secret", &file], b"", 2);
    assert!(nowhere.contains("https://"), "{nowhere}");
    let mut init = place.otr(&["-s", "alice", "init"]);
    init.env_remove("OTR_PROXY").env("OTR_POSTBOX", &typed).timeout(Duration::from_mins(1));
    let invite = init.output().unwrap();
    assert!(invite.status.success(), "{}", text(&invite.stderr));
    ok(&place, "bob", &["respond", "--yes"], &invite.stdout);
    ok(&place, "alice", &["send"], b"one");
    // And somebody who has an invite without it.
    let invite = ok(&place, "carol", &["init", "--postbox", &postbox.url], b"");
    let said = fails(&place, "dave", &["respond", "--yes"], &invite, 9);
    assert!(said.contains("who have its secret"), "{said}");
    let spot = Spot::new(1);
    assert_eq!(postbox.call("/v1/collect", Form::Raw, &spot.token).status, 204);
}
