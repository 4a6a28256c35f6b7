//! Every other pair of commands that docs/concurrency.md lists: real processes, again and again,
//! with pipes, with a postbox, and on one state descriptor.

use std::fs::{self, File};
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use otr::armor::{Item, Scanner};
use serde_json::{Value, json};

use crate::crowd::{Follower, judge, send, status, waiting};
use crate::people::{ok, otr, pair, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{PATIENCE, Postbox};
use crate::support::Pair;

/// How often the short races are run.
pub(crate) const ROUNDS: usize = 12;
/// Long enough for a lock even on a slow machine.
const PATIENT: [&str; 2] = ["--lock-wait", "60s"];

pub(crate) fn end(child: Child) -> (i32, String) {
    let output = child.wait_with_output().unwrap();
    (code(&output), text(&output.stderr))
}

/// Starts it, waiting long for a lock.
pub(crate) fn start(place: &Place, who: &str, arguments: &[&str], input: &[u8]) -> Child {
    spawn(place, who, &[&PATIENT, arguments].concat(), input)
}

/// The sends of these texts, all at once.
pub(crate) fn sends(
    place: &Place,
    who: &str,
    texts: std::ops::Range<usize>,
) -> Vec<(usize, Child)> {
    texts.map(|n| (n, start(place, who, &["send"], format!("{n}\n").as_bytes()))).collect()
}

/// Which of them ended with 0; the others with one of `codes`.
#[track_caller]
pub(crate) fn taken(sends: Vec<(usize, Child)>, codes: &[i32]) -> Vec<usize> {
    let mut taken = Vec::new();
    for (number, child) in sends {
        match end(child) {
            (0, _) => taken.push(number),
            (code, said) => assert!(codes.contains(&code), "{code}: {said}"),
        }
    }
    taken
}

#[track_caller]
pub(crate) fn numbers(shown: &[u8]) -> Vec<usize> {
    let mut numbers: Vec<usize> = text(shown).lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until `status` tells so.
fn wait_until(place: &Place, who: &str, told: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    while !told(&status(place, who)) {
        assert!(begun.elapsed() < PATIENCE, "{who}: {}", status(place, who));
        thread::sleep(Duration::from_millis(10));
    }
}

/// `status`, `words`, `words --same`, `expect` and `verify`, over and over, while both send and
/// both follow: nothing of the conversation is lost, and no check fails.
#[test]
fn what_looks_and_what_notes_disturbs_no_conversation() {
    const PROCESSES: usize = 2;
    const MESSAGES: usize = 60;
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    fs::write(place.path("secret"), "what we ate in Rome").unwrap();
    let followers = ["alice", "bob"].map(|who| (who, Follower::start(&place, who)));
    let stop = AtomicBool::new(false);
    let verify = ["--lock-wait", "60s", "verify", "--secret-file", "secret"];
    thread::scope(|scope| {
        for who in ["alice", "bob"] {
            for command in
                [&["status", "--json"][..], &["words"], &["words", "--same"], &["expect"]]
            {
                let (place, stop) = (&place, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        ok(place, who, &[&PATIENT, command].concat(), b"");
                        thread::sleep(Duration::from_millis(5));
                    }
                });
            }
        }
        let senders: Vec<_> = ["alice", "bob"]
            .into_iter()
            .flat_map(|who| (0..PROCESSES).map(move |process| (who, process)))
            .map(|(who, process)| {
                let place = &place;
                scope.spawn(move || send(place, who, process, MESSAGES, process == 0))
            })
            .collect();
        for [asks, answers] in [["alice", "bob"], ["bob", "alice"], ["alice", "bob"]] {
            ok(&place, asks, &[&verify[..], &["--question", "Rome?"]].concat(), b"");
            wait_until(&place, answers, |told| told["verify"]["asked"] == "Rome?");
            ok(&place, answers, &verify, b"");
            for who in [asks, answers] {
                wait_until(&place, who, |told| told["verify"]["waits"] == false);
                assert_eq!(status(&place, who)["verify"]["failures"], 0);
            }
        }
        for sender in senders {
            sender.join().unwrap();
        }
        stop.store(true, Ordering::SeqCst);
    });
    for (who, follower) in followers {
        let shown = follower.take(PROCESSES * MESSAGES);
        judge(shown.iter().map(String::as_str), PROCESSES, MESSAGES);
        let status = status(&place, who);
        assert_eq!((&status["missing"], &status["lost"]), (&json!([]), &json!(0)), "{who}");
        assert_eq!(status["authenticated"], json!(["words", "verify"]), "{who}");
        follower.kill();
    }
}

/// Each `send` that ended with 0 arrives, before the CLOSE or with it; the others say 3.
#[test]
fn close_beside_sends() {
    let postbox = Postbox::start(&[]);
    for round in 0..ROUNDS {
        let place = Place::new();
        pair(&place, &postbox);
        let close = || start(&place, "alice", &["close"], b"");
        let first = (round % 2 == 0).then(close);
        let sends = sends(&place, "alice", 0..4);
        let (closed, said) = end(first.unwrap_or_else(close));
        assert_eq!(closed, 0, "{said}");
        let taken = taken(sends, &[3]);
        assert!(!place.state("alice").exists());
        let shown = otr(&place, "bob", &["recv", "--all"], b"");
        assert!([0, 7].contains(&code(&shown)), "{}", text(&shown.stderr));
        assert_eq!(numbers(&shown.stdout), taken);
        assert_eq!(status(&place, "bob")["stage"], "closed");
    }
}

/// A following `recv` ends when another process closes the session, and does not recreate it.
#[test]
fn close_beside_receivers() {
    let postbox = Postbox::start(&[]);
    for (round, close) in [&["close"][..], &["close", "--silent"], &["words", "--differ"]]
        .into_iter()
        .cycle()
        .take(ROUNDS / 2)
        .enumerate()
    {
        let place = Place::new();
        pair(&place, &postbox);
        let follow = ["recv", "--follow", "--wait", "50s"];
        let receiver = start(&place, "bob", &follow, b"");
        let sends = sends(&place, "alice", 0..2);
        if round % 2 == 0 {
            taken(sends, &[]);
        }
        let ended = end(start(&place, "bob", close, b"")).0;
        assert_eq!(ended, if close[0] == "words" { 5 } else { 0 });
        let (code, said) = end(receiver);
        assert!([1, 3].contains(&code), "{code}: {said}");
        let left: Vec<_> = fs::read_dir(place.path("dir")).unwrap().collect();
        let bobs = left
            .iter()
            .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("bob"));
        assert_eq!(bobs.count(), 0);
    }
}

/// The session is exported with everything that was sent, and with nothing that is sent later.
#[test]
fn export_beside_sends_and_receivers() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut who = "alice".to_owned();
    for round in 0..ROUNDS {
        let first = sends(&place, &who, 0..2);
        let export = start(&place, &who, &["export"], b"");
        let second = sends(&place, &who, 2..4);
        let Output { status, stdout, stderr } = export.wait_with_output().unwrap();
        assert!(status.success(), "{}", text(&stderr));
        let taken: Vec<_> =
            [first, second].into_iter().flat_map(|sends| taken(sends, &[14])).collect();
        assert_eq!(code(&otr(&place, &who, &["recv", "--wait", "0s"], b"")), 14);
        let next = format!("moved{round}");
        ok(&place, &next, &["import"], &stdout);
        ok(&place, &who, &["export", "--forget"], b"");
        who = next;
        assert_eq!(waiting(&place, &postbox, "bob", 8).len(), taken.len());
        if !taken.is_empty() {
            assert_eq!(numbers(&ok(&place, "bob", &["recv", "--all"], b"")), taken);
        }
    }
    // A following `recv` may finish what it has begun.
    let follower = Follower::start(&place, "bob");
    ok(&place, &who, &["send"], b"here\n");
    assert_eq!(follower.take(1), ["here"]);
    assert_eq!(code(&otr(&place, "bob", &["--lock-wait", "0s", "export"], b"")), 15);
    ok(&place, &who, &["send"], b"still here\n");
    assert_eq!(follower.take(1), ["still here"]);
    follower.kill();
}

/// A second `recv` waits its turn, and gets what the first has left; neither gets what the other
/// has.
#[test]
fn receivers_beside_each_other() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    for _ in 0..ROUNDS / 2 {
        taken(sends(&place, "alice", 0..6), &[]);
        let arguments = ["recv", "--count", "2", "--wait", "20s"];
        let receivers = [(); 3].map(|()| start(&place, "bob", &arguments, b""));
        let shown: Vec<u8> = receivers
            .into_iter()
            .flat_map(|child| {
                let output = child.wait_with_output().unwrap();
                assert_eq!(code(&output), 0, "{}", text(&output.stderr));
                output.stdout
            })
            .collect();
        assert_eq!(numbers(&shown), [0, 1, 2, 3, 4, 5]);
    }
    let follower = Follower::start(&place, "bob");
    ok(&place, "alice", &["send"], b"here\n");
    assert_eq!(follower.take(1), ["here"]);
    let second = otr(&place, "bob", &["--lock-wait", "0s", "recv"], b"");
    assert_eq!(code(&second), 15);
    follower.kill();
}

/// Of many that begin a session under one name, one does; its invite or reply is what is kept.
#[test]
fn a_session_is_begun_once() {
    for _ in 0..ROUNDS / 2 {
        let place = Place::new();
        let begin = |who: &str, arguments: &[&str], input: &[u8]| {
            let all = [(); 4].map(|()| start(&place, who, arguments, input));
            let mut written = Vec::new();
            for child in all {
                let output = child.wait_with_output().unwrap();
                match code(&output) {
                    0 => written.push(output.stdout),
                    other => assert_eq!(other, 13, "{}", text(&output.stderr)),
                }
            }
            let again = ok(&place, who, &[arguments, &["--again"]].concat(), b"");
            assert_eq!(written, std::slice::from_ref(&again));
            again
        };
        let invite = begin("alice", &["init"], b"");
        let reply = begin("bob", &["respond"], &invite);
        // Both read the same reply; one opens the session, and both say so or that it was opened.
        let takers = [(); 3].map(|()| start(&place, "alice", &["recv"], &reply));
        let shower = start(&place, "alice", &["init", "--again"], b"");
        let codes = takers.map(|child| end(child).0);
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
        assert!(codes.iter().all(|code| [0, 4].contains(code)), "{codes:?}");
        assert!([0, 4].contains(&end(shower).0));
        let packet = ok(&place, "bob", &["send"], b"hi");
        let shower = start(&place, "bob", &["respond", "--again"], b"");
        assert_eq!(ok(&place, "alice", &["recv"], &packet), b"hi");
        assert_eq!(end(shower).0, 0);
    }
}

/// The packets in a text.
fn packets(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut scanner, mut rest, mut packets) = (Scanner::new(), text, Vec::new());
    while !rest.is_empty() {
        let count = scanner.push(rest);
        rest = &rest[count..];
        while let Some(item) = scanner.next_item() {
            match item {
                Item::Packet(packet) => packets.push(packet),
                Item::Key(_) => {}
                _ => panic!("neither a packet nor a key"),
            }
        }
    }
    packets
}

/// Without a postbox: what several commands write into one file lies there whole, one after the
/// other, and several that read it show each message once.
#[test]
fn by_pipes() {
    let pair = Pair::new();
    fs::write(pair.path("secret"), "what we ate in Rome").unwrap();
    for round in 0..ROUNDS {
        let out = pair.path("out");
        let file = || File::options().create(true).append(true).open(&out).unwrap();
        let begin = |args: &str| {
            let mut command = pair.end("alice", &format!("--lock-wait 60s {args}"));
            command.stdin(Stdio::piped()).stdout(file()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let mut children: Vec<_> = (0..4)
            .map(|number| {
                let mut child = begin("send");
                let line = format!("{number}\n");
                std::io::Write::write_all(&mut child.stdin.take().unwrap(), line.as_bytes())
                    .unwrap();
                child
            })
            .collect();
        for args in ["status", "words --same", "words"] {
            let mut command = pair.end("alice", &format!("--lock-wait 60s {args}"));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            children.push(command.spawn().unwrap());
        }
        if round == 0 {
            children.push(begin("verify --secret-file secret"));
        }
        for child in children {
            let (code, said) = end(child);
            assert_eq!(code, 0, "{said}");
        }
        let written = fs::read(&out).unwrap();
        let written_packets = packets(&written);
        assert_eq!(written_packets.len(), 4 + usize::from(round == 0));
        fs::remove_file(&out).unwrap();

        fs::write(pair.path("in"), &written).unwrap();
        let readers = [(); 3].map(|()| {
            let mut command = pair.end("bob", "--lock-wait 60s recv");
            command.stdin(File::open(pair.path("in")).unwrap());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let mut shown = Vec::new();
        for reader in readers {
            let output = reader.wait_with_output().unwrap();
            assert!([0, 4].contains(&code(&output)), "{}", text(&output.stderr));
            shown.extend(output.stdout);
        }
        assert_eq!(numbers(&shown), [0, 1, 2, 3]);
        let back = pair.bob("send", b"back").ok();
        assert_eq!(pair.alice("recv", &back).ok(), b"back");
    }
}

/// Nothing locks a state that comes by a descriptor: two that begin with the same line take the
/// same numbers. The other side accepts one of the two packets, and the other never; the two share
/// an address, but no key.
#[test]
fn two_on_one_state_descriptor_are_two_copies() {
    let pair = Pair::strangers();
    let run = pair.sh(r#"set -e
        otr init --state-fd 3,4 3< /dev/null 4> a > invite
        otr respond --state-fd 3,4 < invite 3< /dev/null 4> b > reply
        otr recv --state-fd 3,4 < reply 3< a 4> a1
        for n in 1 2; do echo "copy $n" | otr send --state-fd 3,4 3< a1 4> a2.$n > packet.$n; done
        otr -q recv --state-fd 3,4 < packet.2 3< b 4> b1
        code=0; otr -q recv --state-fd 3,4 < packet.1 3< b1 4> b2 || code=$?; echo "code $code"
        # It goes on with the state that made the packet which arrived.
        echo on | otr send --state-fd 3,4 3< a2.2 4> a3 | otr -q recv --state-fd 3,4 3< b1 4> b3"#);
    assert_eq!(text(&run.ok()), "copy 2\ncode 4\non\n");
    let [one, other] = ["packet.1", "packet.2"].map(|name| {
        let [packet] = <[_; 1]>::try_from(packets(&fs::read(pair.path(name)).unwrap())).unwrap();
        packet
    });
    assert_eq!(one[..32], other[..32], "the address");
    assert_ne!(one[32..64], other[32..64], "the salt, from which the keys come");
}
