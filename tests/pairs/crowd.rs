//! Many senders at once, while others receive: each message whose `send` ended with 0 arrives once,
//! in the order of its process, and no address is ever used for two packets.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use otr::armor::{Item, Scanner};
use serde_json::{Value, json};

use crate::people::{ok, pair, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{Form, PATIENCE, Postbox};

/// Tokens in one call to the postbox.
const AT_ONCE: usize = 512;

/// Of one session, as `status` tells.
pub(crate) fn status(place: &Place, who: &str) -> Value {
    let told = ok(place, who, &["status", "--json"], b"");
    serde_json::from_slice::<Value>(&told).unwrap()["sessions"][0].clone()
}

/// The packets that wait for `who` under the next `count` numbers; an address has one of them.
pub(crate) fn waiting(place: &Place, postbox: &Postbox, who: &str, count: usize) -> Vec<Vec<u8>> {
    let tokens = ok(place, who, &["expect", "--count", &count.to_string(), "--raw"], b"");
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for tokens in tokens.chunks(32 * AT_ONCE) {
        let answer = postbox.call("/v1/collect?wait=0", Form::Raw, tokens);
        assert!([200, 204].contains(&answer.status), "{}", answer.status);
        let mut scanner = Scanner::new();
        let mut rest = &answer.body[..];
        loop {
            let count = scanner.push(rest);
            rest = &rest[count..];
            while let Some(item) = scanner.next_item() {
                let Item::Packet(packet) = item else { panic!("no packet") };
                packets.push(packet);
            }
            if rest.is_empty() {
                break;
            }
        }
    }
    let mut addresses: Vec<_> = packets.iter().map(|packet| packet[..32].to_vec()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), packets.len(), "two packets under one address");
    packets
}

/// `process` sends this many messages of one line, all by one `send --lines`, or each by its own.
pub(crate) fn send(place: &Place, who: &str, process: usize, messages: usize, by_lines: bool) {
    let line = |message: usize| format!("{process}:{message}\n");
    if by_lines {
        let all: Vec<String> = (0..messages).map(line).collect();
        let all = all.concat();
        ok(place, who, &["send", "--lines"], all.as_bytes());
    } else {
        (0..messages).for_each(|message| drop(ok(place, who, &["send"], line(message).as_bytes())));
    }
}

/// The messages of each process are all there, once and in order.
#[track_caller]
pub(crate) fn judge<'a>(lines: impl Iterator<Item = &'a str>, processes: usize, messages: usize) {
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    for line in lines {
        let (process, message) = line.split_once(':').unwrap();
        let due = next.entry(process.parse().unwrap()).or_default();
        assert_eq!(message.parse(), Ok(*due), "of process {process}");
        *due += 1;
    }
    let all: BTreeMap<_, _> = (0..processes).map(|process| (process, messages)).collect();
    assert_eq!(next, all, "messages are lost");
}

/// Two sends up to twenty, of one message and of many, with a short lock limit for none of them.
#[test]
fn senders_at_once_lose_nothing() {
    let (place, postbox) = (Place::new(), Postbox::start(&["--memory", "256M"]));
    pair(&place, &postbox);
    let mut sent = 1;
    for (processes, messages, by_lines) in
        [(2, 40, false), (3, 40, false), (10, 8, false), (20, 4, false), (8, 100, true)]
    {
        thread::scope(|scope| {
            for process in 0..processes {
                let place = &place;
                scope.spawn(move || send(place, "alice", process, messages, by_lines));
            }
        });
        sent += processes * messages;
        let here = waiting(&place, &postbox, "bob", 2 * processes * messages);
        assert_eq!(here.len(), processes * messages);
        let shown = ok(&place, "bob", &["recv", "--all"], b"");
        judge(text(&shown).lines(), processes, messages);
        assert_eq!(status(&place, "bob")["missing"], json!([]));
        assert_eq!(status(&place, "bob")["received"], json!(sent));
        assert_eq!(status(&place, "bob")["skipped"], json!(0));
        // The turn changes, and with it the chain.
        ok(&place, "bob", &["send"], b"on");
        assert_eq!(ok(&place, "alice", &["recv"], b""), b"on");
    }
}

/// One who follows, line by line.
pub(crate) struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    pub(crate) fn start(place: &Place, who: &str) -> Self {
        let mut child = spawn(place, who, &["recv", "--follow"], b"");
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || out.lines().try_for_each(|line| tell.send(line.unwrap())));
        Self { child, lines }
    }

    pub(crate) fn take(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.lines.recv_timeout(PATIENCE).expect("a message")).collect()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends with the code 0, once the other side has closed; nothing more came.
    fn end(self) {
        let output = self.child.wait_with_output().unwrap();
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        assert_eq!(self.lines.iter().collect::<Vec<_>>(), Vec::<String>::new());
    }
}

#[test]
fn senders_beside_followers_in_both_directions_lose_nothing() {
    const PROCESSES: usize = 3;
    const MESSAGES: usize = 200;
    let (place, postbox) = (Place::new(), Postbox::start(&["--memory", "256M"]));
    pair(&place, &postbox);
    let followers = ["alice", "bob"].map(|who| (who, Follower::start(&place, who)));
    thread::scope(|scope| {
        for who in ["alice", "bob"] {
            for process in 0..PROCESSES {
                let (place, by_lines) = (&place, process == 0);
                // A process that sends lines holds no lock between them either.
                scope.spawn(move || send(place, who, process, MESSAGES, by_lines));
            }
        }
    });
    for (who, follower) in &followers {
        let shown = follower.take(PROCESSES * MESSAGES);
        judge(shown.iter().map(String::as_str), PROCESSES, MESSAGES);
        let status = status(&place, who);
        assert_eq!(status["missing"], json!([]), "{who}");
        // That direction still works: with a forked ratchet it would not.
        assert_eq!(status["lost"], json!(0), "{who}");
    }
    for (from, to) in [("alice", "bob"), ("bob", "alice")] {
        ok(&place, from, &["send"], b"last\n");
        let follower = followers.iter().find(|(who, _)| *who == to);
        assert_eq!(follower.unwrap().1.take(1), ["last"]);
    }
    ok(&place, "alice", &["close"], b"");
    let [(_, alice), (_, bob)] = followers;
    alice.kill();
    bob.end();
}
