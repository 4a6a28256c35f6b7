//! Whole conversations through the binary: as the README shows them, as one pipeline, as two users
//! of one machine, and as a thousand messages over a channel that loses, repeats and shuffles.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use support::{Chance, Pair, as_user, binary, feed, lines};

#[test]
fn as_the_readme_shows_it() {
    let pair = Pair::strangers();
    let run = pair.sh("set -e
        alice init > invite
        bob respond < invite > reply
        alice recv < reply
        echo hello | alice send > packet
        bob recv < packet
        echo hello yourself | bob send | alice recv
        alice close > last
        code=0; bob recv < last || code=$?
        echo the other side has closed: $code
        bob close > keys
        ls alice bob");
    assert_eq!(
        String::from_utf8(run.out).unwrap(),
        "hello\nhello yourself\nthe other side has closed: 7\nalice:\n\nbob:\n"
    );
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn the_handshake_is_one_pipeline() {
    for form in ["", "--raw"] {
        let pair = Pair::strangers();
        let script = format!("alice init | bob respond {form} | alice recv");
        let run = pair.sh(&script);
        assert_eq!((run.code, run.out), (0, Vec::new()), "{}", run.err);
        assert!(run.err.contains("nobody's identity has been checked yet"), "{}", run.err);
        pair.talk();
    }
}

#[test]
fn both_ends_may_share_a_directory() {
    let pair = Pair::strangers();
    let run = pair.sh("export OTR_DIR=$PLACE/both
        otr -s alice init | otr -s bob respond | otr -qs alice recv
        echo from the one who answered | otr -s bob send | otr -s alice recv
        echo hi | otr send --session alice | OTR_SESSION=bob otr recv");
    assert_eq!(run.quietly(), b"from the one who answered\nhi\n");
}

#[test]
fn an_invite_comes_again_until_it_is_answered() {
    let pair = Pair::strangers();
    assert!(pair.alice("init --again", b"").fails(3).contains("otr init"));
    let invite = pair.alice("init", b"").ok();
    assert_eq!(pair.alice("init --again", b"").quietly(), invite);
    assert_eq!(pair.alice("init", b"").fails(13), pair.alice("init", b"").fails(13));
    assert_eq!(pair.alice("init --again", b"").quietly(), invite);
    let wrapped = pair.alice("init --again --wrap 76", b"").quietly();
    assert!(lines(&wrapped).len() > 20 && lines(&wrapped).iter().all(|line| line.len() <= 77));
    let reply = pair.bob("respond", &wrapped).ok();
    pair.alice("recv", &reply).ok();
    pair.alice("init --again", b"").fails(4);
    pair.talk();
}

#[test]
fn a_reply_comes_again_until_a_packet_shows_that_it_arrived() {
    let pair = Pair::strangers();
    let invite = pair.alice("init", b"").ok();
    pair.bob("respond --again", b"").fails(3);
    let reply = pair.bob("respond", &invite).ok();
    assert_eq!(pair.bob("respond --again", b"").quietly(), reply);
    let raw = pair.bob("respond --again --raw", b"").quietly();
    assert_eq!(raw.len(), 1 + 8192);
    pair.alice("recv", &raw).ok();
    assert_eq!(pair.bob("respond --again", b"").quietly(), reply);
    pair.talk();
    pair.bob("respond --again", b"").fails(4);
}

#[test]
fn who_answered_may_speak_before_the_reply_arrived() {
    let pair = Pair::strangers();
    let invite = pair.alice("init", b"").ok();
    let reply = pair.bob("respond", &invite).ok();
    let first = pair.bob("send", b"first\n").ok();
    let all = [reply, first, pair.bob("send", b"second\n").ok()].concat();
    assert_eq!(pair.alice("recv", &all).ok(), b"first\nsecond\n");
    pair.talk();
}

/// A message that is on its way, or was lost.
struct Sent {
    text: Vec<u8>,
    lost: bool,
}

/// One direction of the channel.
struct Direction {
    from: &'static str,
    to: &'static str,
    sent: BTreeMap<u64, Sent>,
    came: BTreeMap<u64, Vec<u8>>,
    /// Packets that are on their way, those of one message together.
    travelling: Vec<Vec<Vec<u8>>>,
    /// Single packets of before.
    seen: Vec<Vec<u8>>,
}

impl Direction {
    fn new(from: &'static str, to: &'static str) -> Self {
        let (sent, came) = (BTreeMap::new(), BTreeMap::new());
        Self { from, to, sent, came, travelling: Vec::new(), seen: Vec::new() }
    }

    fn send(&mut self, pair: &Pair, text: Vec<u8>, chance: &mut Chance) {
        let run = feed(&mut pair.end(self.from, "send --no-keys"), &text);
        let mut packets = lines(&run.quietly());
        let lost = chance.below(25) == 0;
        if lost {
            packets.swap_remove(chance.below(packets.len()));
        }
        self.sent.insert(self.sent.len() as u64, Sent { text, lost });
        self.travelling.push(packets);
    }

    /// Some of the packets on their way arrive, in any order, some of them twice.
    fn arrive(&mut self, pair: &Pair, most: usize, chance: &mut Chance) {
        chance.shuffle(&mut self.travelling);
        let stay = self.travelling.len().saturating_sub(most);
        let mut packets = self.travelling.split_off(stay).concat();
        if packets.is_empty() {
            return;
        }
        for _ in 0..packets.len().min(2) {
            packets.push(packets[chance.below(packets.len())].clone());
            if let Some(old) = self.seen.get(chance.below(self.seen.len().max(1))) {
                packets.push(old.clone());
            }
        }
        chance.shuffle(&mut packets);
        self.seen.extend(packets.iter().filter(|packet| packet.len() < 6000).take(2).cloned());
        let run = feed(&mut pair.end(self.to, "recv --json"), &packets.concat());
        assert!([0, 4, 6].contains(&run.code), "{}: {}", run.code, run.err);
        for line in lines(&run.out) {
            let object: serde_json::Value = serde_json::from_slice(&line).unwrap();
            let text = match object["text"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => STANDARD.decode(object["base64"].as_str().unwrap()).unwrap(),
            };
            assert_eq!(object["bytes"], text.len());
            let number = object["message"].as_u64().unwrap();
            assert!(self.came.insert(number, text).is_none(), "message {number} came twice");
        }
    }

    fn check(&self) {
        for (number, sent) in &self.sent {
            match self.came.get(number) {
                Some(text) => assert!(!sent.lost && *text == sent.text, "message {number}"),
                None => assert!(sent.lost, "message {number} did not come"),
            }
        }
        assert_eq!(self.came.len(), self.sent.values().filter(|sent| !sent.lost).count());
    }
}

/// Mostly what people write, sometimes a file.
fn size(chance: &mut Chance) -> usize {
    let below = match chance.below(100) {
        0 => 5 << 20,
        1..4 => 200_000,
        4..20 => 20_000,
        _ => 2_000,
    };
    // 0 is as likely as in a chat: an Enter too many.
    chance.below(below).saturating_sub(20)
}

#[test]
fn a_thousand_messages_over_a_bad_channel() {
    const MESSAGES: usize = 1000;
    let mut chance = Chance::new();
    let pair = Pair::new();
    let mut ways = [Direction::new("alice", "bob"), Direction::new("bob", "alice")];
    for _ in 0..MESSAGES {
        let way = chance.below(2);
        let length = size(&mut chance);
        let text = chance.bytes(length);
        ways[way].send(&pair, text, &mut chance);
        if chance.below(12) == 0 {
            let most = 1 + chance.below(25);
            ways[chance.below(2)].arrive(&pair, most, &mut chance);
        }
    }
    for way in &mut ways {
        way.arrive(&pair, usize::MAX, &mut chance);
        way.check();
    }
    pair.talk();
}

/// A user of this machine for the time of a test, with a binary that he may run.
struct User {
    uid: u32,
    program: PathBuf,
}

impl User {
    /// Two users for this test alone; `which` is the number of the pair in this process.
    fn two(which: u32, place: &TempDir) -> [Self; 2] {
        let program = place.path().join("otr");
        fs::copy(binary(), &program).unwrap();
        let first = 100_000 + 10 * std::process::id() + 2 * which;
        [first, first + 1].map(|uid| Self { uid, program: program.clone() })
    }

    fn run(&self, args: &[&str], input: &[u8]) -> support::Run {
        feed(as_user(self.uid, &self.program).args(args), input)
    }

    /// Where this user may have one process only, with one thread.
    fn run_alone(&self, args: &[&str], input: &[u8]) -> support::Run {
        let prlimit = PathBuf::from("/usr/bin/prlimit");
        feed(as_user(self.uid, &prlimit).arg("--nproc=1").arg(&self.program).args(args), input)
    }

    /// Where sessions are stored by default.
    fn directory(&self) -> PathBuf {
        PathBuf::from(format!("/dev/shm/otr-{}", self.uid))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let rm = PathBuf::from("/bin/rm");
        let _ = as_user(self.uid, &rm).arg("-rf").arg(self.directory()).output();
    }
}

/// The build may be in a place that other users cannot read.
fn place_for_all() -> TempDir {
    tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(std::env::temp_dir())
        .unwrap()
}

#[test]
fn one_who_may_start_no_thread_is_told() {
    let place = place_for_all();
    let [alice, bob] = User::two(1, &place);
    let reply = bob.run(&["respond"], &alice.run(&["init"], b"").ok()).ok();
    alice.run(&["recv"], &reply).ok();
    // What is short needs none.
    let packet = alice.run_alone(&["send"], b"short").quietly();
    assert_eq!(bob.run_alone(&["recv"], &packet).quietly(), b"short");
    let long = vec![b'x'; 5 << 20];
    let said = alice.run_alone(&["send", "--raw"], &long).fails(1);
    assert!(said.contains("cannot start a thread"), "{said}");
    let packets = alice.run(&["send", "--raw"], &long).quietly();
    let refused = bob.run_alone(&["recv"], &packets);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("cannot start a thread"), "{}", refused.err);
    // Nothing is lost: what was not written can still be received.
    let rest = bob.run(&["recv"], &packets).out;
    assert!(refused.out.len() + rest.len() >= long.len());
}

#[test]
fn two_users_of_one_machine() {
    let place = place_for_all();
    let [alice, bob] = User::two(0, &place);

    let invite = alice.run(&["init"], b"").ok();
    let reply = bob.run(&["respond"], &invite).ok();
    alice.run(&["recv"], &reply).ok();
    for text in ["hello", "it is me"] {
        let packet = alice.run(&["send"], text.as_bytes()).quietly();
        assert_eq!(bob.run(&["recv"], &packet).quietly(), text.as_bytes());
        let packet = bob.run(&["send"], text.as_bytes()).quietly();
        assert_eq!(alice.run(&["recv"], &packet).quietly(), text.as_bytes());
    }

    for user in [&alice, &bob] {
        let directory = fs::metadata(user.directory()).unwrap();
        assert_eq!((directory.uid(), directory.mode() & 0o7777), (user.uid, 0o700));
    }
    // Neither can reach the other's files, by himself or with our help.
    let state = alice.directory().join("default.state");
    let cat = as_user(bob.uid, &PathBuf::from("/bin/cat")).arg(&state).output().unwrap();
    assert!(!cat.status.success() && cat.stdout.is_empty());
    let theirs = alice.directory();
    let theirs = theirs.to_str().unwrap();
    for command in ["send", "recv", "init", "close"] {
        let said = bob.run(&["--dir", theirs, command], b"x").fails(11);
        assert!(said.contains(theirs), "{said}");
    }
    assert_eq!(alice.run(&["close"], b"").ok().first(), Some(&b'o'));
}
