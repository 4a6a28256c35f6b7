//! Commands that end or replace a session, concurrently with everything else and with themselves:
//! earlier messages arrive, later ones go nowhere, and no file of the session comes back.

use std::fs;
use std::io::Read as _;
use std::process::Child;

use otr::armor::encode;

use crate::crowd::{status, waiting};
use crate::others::{ROUNDS, end, numbers, sends, start, taken};
use crate::people::{fails, ok, otr, pair};
use crate::place::{Place, code, text};
use crate::postbox::{Form, Postbox};

/// The files that a session of this name left.
fn left_of(place: &Place, who: &str) -> Vec<String> {
    fs::read_dir(place.path("dir"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(who))
        .collect()
}

/// Several begin anew while the old session sends and follows: no text of the old one goes to the
/// new one, and that is the session of the last who began.
#[test]
fn anew_beside_sends_and_receivers() {
    let postbox = Postbox::start(&[]);
    for round in 0..ROUNDS / 2 {
        let place = Place::new();
        pair(&place, &postbox);
        let mut follower = start(&place, "alice", &["recv", "--follow", "--wait", "50s"], b"");
        ok(&place, "bob", &["send"], b"go\n");
        let mut line = [0; 3];
        follower.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(line, *b"go\n", "she follows the old session");
        let begin = || start(&place, "alice", &["init", "--anew"], b"");
        let first = (round % 2 == 0).then(begin);
        let at_work: Vec<(usize, Child)> = (0..4)
            .map(|n| {
                let line = format!("{n}\n");
                (n, start(&place, "alice", &["send", "--wait", "0s"], line.as_bytes()))
            })
            .collect();
        let inits = [first.unwrap_or_else(begin), begin()];
        // 3: the session that it began in is another one now; 14: the new one has no reply yet.
        let taken = taken(at_work, &[3, 14]);
        let invites = inits.map(|child| {
            let output = child.wait_with_output().unwrap();
            assert_eq!(code(&output), 0, "{}", text(&output.stderr));
            output.stdout
        });
        let (ended, said) = end(follower);
        assert!([1, 3].contains(&ended), "{ended}: {said}");
        let shown = otr(&place, "bob", &["recv", "--all"], b"");
        assert!([0, 8].contains(&code(&shown)), "{}", text(&shown.stderr));
        assert_eq!(numbers(&shown.stdout), taken);
        let invite = ok(&place, "alice", &["init", "--again"], b"");
        assert!(invites.contains(&invite));
        // The answering side begins anew as well, twice at once; one reply is that of its session.
        let reply = || start(&place, "bob", &["respond", "--anew", "--stdout"], &invite);
        let replies = [reply(), reply()].map(|child| {
            let output = child.wait_with_output().unwrap();
            assert_eq!(code(&output), 0, "{}", text(&output.stderr));
            output.stdout
        });
        let reply = ok(&place, "bob", &["respond", "--again", "--stdout"], b"");
        assert!(replies.contains(&reply));
        ok(&place, "alice", &["recv", "--stdin"], &reply);
        ok(&place, "alice", &["send"], b"new\n");
        assert_eq!(ok(&place, "bob", &["recv"], b""), b"new\n");
    }
}

/// Two processes wipe everything while everything is running: nothing comes back, and messages that
/// were reported sent lie in the postbox.
#[test]
fn close_all_beside_everything() {
    let postbox = Postbox::start(&[]);
    for _ in 0..ROUNDS / 2 {
        let place = Place::new();
        pair(&place, &postbox);
        fs::write(place.path("secret"), "what we ate in Rome").unwrap();
        // She waits for a reply. Nobody reads what alice sends: it stays in the postbox, under the
        // tokens of one chain.
        ok(&place, "carol", &["init", "--postbox", &postbox.url], b"");
        let tokens = ok(&place, "bob", &["expect", "--count", "64", "--raw"], b"");
        let beside = [
            start(&place, "carol", &["recv", "--wait", "50s"], b""),
            start(&place, "bob", &["send"], b"beside"),
            start(&place, "bob", &["verify", "--secret-file", "secret"], b""),
            start(&place, "bob", &["words", "--same"], b""),
            start(&place, "bob", &["status"], b""),
        ];
        let at_work = sends(&place, "alice", 0..4);
        let wipers = [(); 2].map(|()| start(&place, "alice", &["close", "--all"], b""));
        for wiper in wipers {
            let (ended, said) = end(wiper);
            assert_eq!(ended, 0, "{said}");
        }
        let taken = taken(at_work, &[1, 3]);
        for child in beside {
            let (ended, said) = end(child);
            assert!([0, 1, 3].contains(&ended), "{ended}: {said}");
        }
        let left = ["alice", "bob", "carol"].map(|who| left_of(&place, who)).concat();
        assert!(left.is_empty(), "{left:?}");
        fails(&place, "alice", &["send"], b"late", 3);
        let answer = postbox.call("/v1/collect?wait=0", Form::Raw, &tokens);
        let posted = answer.body.len() / 4096;
        assert!(posted >= taken.len(), "{posted} of {} lie there: {}", taken.len(), answer.status);
    }
}

/// Each record of what may be discarded is written once, to any of several commands, while more is
/// read.
#[test]
fn what_is_spent_is_told_once() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    ok(&place, "bob", &["expect"], b"");
    let mut records: Vec<String> = Vec::new();
    for _ in 0..ROUNDS / 2 {
        taken(sends(&place, "alice", 0..4), &[]);
        let here = waiting(&place, &postbox, "bob", 64);
        let readers: Vec<_> = here
            .iter()
            .map(|packet| {
                let mut framed = Vec::new();
                encode::packet(&mut framed, packet, None);
                start(&place, "bob", &["recv", "--stdin"], &framed)
            })
            .collect();
        let askers = [(); 4].map(|()| start(&place, "bob", &["expect", "--spent"], b""));
        for reader in readers {
            let (ended, said) = end(reader);
            assert_eq!(ended, 0, "{said}");
        }
        for asker in askers {
            let output = asker.wait_with_output().unwrap();
            assert_eq!(code(&output), 0, "{}", text(&output.stderr));
            records.extend(text(&output.stdout).lines().map(str::to_owned));
        }
    }
    let rest = ok(&place, "bob", &["expect", "--spent"], b"");
    records.extend(text(&rest).lines().map(str::to_owned));
    let told = records.len();
    records.sort_unstable();
    records.dedup();
    assert_eq!(records.len(), told, "a record was told twice");
    // Each packet that was read.
    assert_eq!(told, ROUNDS / 2 * 4);
}

/// Several exports at the same time write the same session; one of the copies is imported and
/// continues.
#[test]
fn exports_beside_each_other() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut who = "alice".to_owned();
    for round in 0..ROUNDS / 2 {
        let exports = [(); 3].map(|()| start(&place, &who, &["export"], b""));
        let copies = exports.map(|child| {
            let output = child.wait_with_output().unwrap();
            assert_eq!(code(&output), 0, "{}", text(&output.stderr));
            output.stdout
        });
        fails(&place, &who, &["send"], b"frozen", 14);
        let next = format!("copy{round}");
        ok(&place, &next, &["import"], &copies[round % 3]);
        ok(&place, &who, &["export", "--forget"], b"");
        who = next;
        ok(&place, &who, &["send"], b"on\n");
        assert_eq!(ok(&place, "bob", &["recv"], b""), b"on\n");
        ok(&place, "bob", &["send"], b"back\n");
        assert_eq!(ok(&place, &who, &["recv"], b""), b"back\n");
    }
}

/// If several processes close, one tells the other side; for those that tell nobody, wiping a wiped
/// session is not a failure.
#[test]
fn closes_beside_each_other() {
    let postbox = Postbox::start(&[]);
    for round in 0..ROUNDS / 2 {
        let place = Place::new();
        pair(&place, &postbox);
        ok(&place, "alice", &["send"], b"last words\n");
        let closes = [(); 3].map(|()| start(&place, "alice", &["close"], b""));
        let mut codes = closes.map(|child| end(child).0);
        codes.sort_unstable();
        assert_eq!(codes, [0, 3, 3]);
        assert!(left_of(&place, "alice").is_empty());
        let shown = otr(&place, "bob", &["recv", "--all"], b"");
        assert_eq!(text(&shown.stdout), "last words\n");
        assert_eq!(status(&place, "bob")["stage"], "closed");
        let silent: &[&[&str]] = &[&["close", "--silent"], &["close", "--all"]];
        let wipers = [(); 3].map(|()| start(&place, "bob", silent[round % 2], b""));
        let codes = wipers.map(|child| end(child).0);
        assert!(codes.contains(&0) && codes.iter().all(|code| [0, 3].contains(code)), "{codes:?}");
        assert!(left_of(&place, "bob").is_empty());
    }
}
