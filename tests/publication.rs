//! MAC keys, from the packet that came to the public, by the real commands: never before the state
//! that forgets the key is stored, never of a packet sent, never where they would link two packets,
//! a bounded queue that survives, and nothing kept back by `close`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do"
)]

#[path = "postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod box_support;
mod support;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use box_support::{Form, Postbox};
use otr::armor::{Item, Scanner};
use serde_json::Value;
use support::{Chance, Pair, feed};

const KILLS: usize = 60;
/// To look far ahead for a packet that is spent takes a while, and finds nothing.
const NEAR: &str = "recv --look-ahead 100";

fn items(output: &[u8]) -> Vec<Item> {
    let mut scanner = Scanner::new();
    let (mut items, mut rest) = (Vec::new(), output);
    while !rest.is_empty() {
        let count = scanner.push(rest);
        rest = &rest[count..];
        items.extend(std::iter::from_fn(|| scanner.next_item()));
    }
    scanner.finish();
    items.extend(std::iter::from_fn(|| scanner.next_item()));
    items
}

fn keys(output: &[u8]) -> Vec<[u8; 64]> {
    items(output)
        .into_iter()
        .filter_map(|item| if let Item::Key(key) = item { Some(key) } else { None })
        .collect()
}

/// The addresses of the packets.
fn addresses(output: &[u8]) -> BTreeSet<[u8; 32]> {
    let address = |item| match item {
        Item::Packet(packet) => Some(packet[..32].try_into().unwrap()),
        _ => None,
    };
    items(output).into_iter().filter_map(address).collect()
}

fn front(key: &[u8; 64]) -> [u8; 32] {
    key[..32].try_into().unwrap()
}

/// The time up to which a kill comes early enough; it adapts to the machine's load.
struct Window(u64);

/// Runs a command, kills it somewhere within the window, and gives its stdout.
fn killed(
    pair: &Pair,
    (who, args): (&str, &str),
    input: &[u8],
    window: &mut Window,
    chance: &mut Chance,
) -> Vec<u8> {
    let (stdin, stdout) = (pair.path("stdin"), pair.path("stdout"));
    fs::write(&stdin, input).unwrap();
    let mut command = pair.end(who, args);
    command.stdin(File::open(stdin).unwrap()).stdout(File::create(&stdout).unwrap());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_micros(chance.next() % window.0));
    let _ = child.kill();
    let in_time = !child.wait().unwrap().success();
    window.0 = if in_time { window.0 * 12 / 10 } else { window.0 * 9 / 10 } + 100;
    fs::read(stdout).unwrap()
}

/// The packet opens no more in the state that is stored.
#[track_caller]
fn is_spent(pair: &Pair, who: &str, args: &str, packet: &[u8]) {
    let before = pair.state(who);
    let run = feed(&mut pair.end(who, args), packet);
    assert_eq!((run.code, run.out.len()), (4, 0), "published, and would be accepted: {}", run.err);
    assert!(pair.state(who) == before);
}

#[test]
fn a_killed_command_has_published_no_key_that_its_state_still_holds() {
    let mut chance = Chance::new();
    let pair = Pair::new();
    let mut windows = [Window(5_000), Window(5_000)];
    let mut published = 0;
    for round in 0..KILLS {
        let packets = [0, 1].map(|_| pair.sealed("--no-keys", b"text"));
        let came = packets.concat();
        let file = pair.path(&format!("keys{round}"));
        let args = format!("recv --reveal {}", file.display());
        killed(&pair, ("bob", &args), &came, &mut windows[0], &mut chance);
        let revealed = keys(&fs::read(&file).unwrap_or_default());
        for key in &revealed {
            let packet = packets.iter().find(|packet| addresses(packet).contains(&front(key)));
            is_spent(&pair, "bob", NEAR, packet.expect("only of packets received"));
        }
        published += revealed.len();
        // What was not opened yet is opened now; its keys leave with a send that is killed.
        pair.bob(NEAR, &came);
        let sent = killed(&pair, ("bob", "send"), b"answer", &mut windows[1], &mut chance);
        for key in keys(&sent) {
            assert!(!revealed.contains(&key), "published once");
            let packet = packets.iter().find(|packet| addresses(packet).contains(&front(&key)));
            if let Some(packet) = packet {
                is_spent(&pair, "bob", NEAR, packet);
                published += 1;
            }
        }
        pair.bob("send", b"").ok();
    }
    assert!(published > KILLS / 4, "only {published} were published");
    pair.talk();
}

/// Files may not grow beyond 2 KiB: a published key may be written, a state not.
const TIGHT: &str = "ulimit -f 4; ulimit -c 0;";

#[test]
fn what_cannot_be_stored_publishes_nothing() {
    let pair = Pair::new();
    let packet = pair.sealed("--no-keys", b"one");
    fs::write(pair.path("packet"), &packet).unwrap();
    let before = pair.state("bob");
    let failed = pair.sh(&format!("{TIGHT} bob recv --reveal keys < packet"));
    assert_ne!(failed.code, 0);
    assert!(
        pair.state("bob") == before && fs::read(pair.path("keys")).unwrap_or_default().is_empty()
    );
    pair.bob("recv --reveal keys", &packet).ok();
    assert_eq!(keys(&fs::read(pair.path("keys")).unwrap()).len(), 1);

    pair.bob("recv", &pair.sealed("--no-keys", b"two")).ok();
    let before = pair.state("bob");
    let failed = pair.sh(&format!("{TIGHT} echo answer | bob send"));
    assert_ne!(failed.code, 0);
    assert!(pair.state("bob") == before && failed.out.is_empty());
    assert_eq!(keys(&pair.bob("send", b"answer").ok()).len(), 1);
}

#[test]
fn what_cannot_be_stored_is_not_published_at_the_postbox() {
    let (pair, postbox) = (Pair::strangers(), Postbox::start(&[]));
    at_home(&pair, &postbox);
    let packet = pair.bob("send --stdout", b"text").ok();
    assert_eq!(postbox.post(&packet).status, 201);
    let before = pair.state("alice");
    assert_ne!(pair.sh(&format!("{TIGHT} alice recv")).code, 0);
    assert!(pair.state("alice") == before && revealed(&postbox, &packet).is_empty());
    assert_eq!(pair.alice("recv", b"").ok(), b"text");
    assert_eq!(revealed(&postbox, &packet), addresses(&packet));
}

#[test]
fn by_the_end_of_close_every_key_of_what_was_received_is_out_and_none_of_what_was_sent() {
    let mut chance = Chance::new();
    for _ in 0..6 {
        let pair = Pair::new();
        let mut sent = [Vec::new(), Vec::new()];
        let mut received = [BTreeSet::new(), BTreeSet::new()];
        let mut waiting: [Vec<Vec<u8>>; 2] = Default::default();
        for _ in 0..12 {
            let side = chance.below(2);
            let [me, _] = if side == 0 { ["alice", "bob"] } else { ["bob", "alice"] };
            if chance.below(3) > 0 {
                let packet = feed(&mut pair.end(me, "send"), b"text").ok();
                waiting[1 - side].push(packet.clone());
                sent[side].extend(packet);
            } else {
                // Out of order, and not all of them.
                chance.shuffle(&mut waiting[side]);
                let all = waiting[side].len();
                let some = waiting[side].split_off(all / 3).concat();
                if !some.is_empty() {
                    feed(&mut pair.end(me, "recv"), &some).ok();
                    received[side].extend(addresses(&some));
                }
            }
        }
        for (side, me) in ["alice", "bob"].iter().enumerate() {
            sent[side].extend(feed(&mut pair.end(me, "close"), b"").ok());
            let published: Vec<_> = keys(&sent[side]).iter().map(front).collect();
            let once: BTreeSet<_> = published.iter().copied().collect();
            assert_eq!(published.len(), once.len(), "each once");
            assert!(once == received[side], "all of what was received, and nothing else");
        }
    }
}

#[test]
fn the_queue_survives_export_and_what_falls_out_is_counted() {
    let pair = Pair::new();
    let lines = "text\n".repeat(1_030);
    let packets = pair.sealed("--lines", lines.as_bytes());
    assert_eq!(pair.bob("recv", &packets).quietly(), lines.as_bytes());
    let waits = |pair: &Pair, who: &str| {
        let told: Value =
            serde_json::from_str(&feed(&mut pair.end(who, "status --json"), b"").text()).unwrap();
        let unpublished = &told["sessions"][0]["unpublished"];
        (unpublished["waiting"].as_u64().unwrap(), unpublished["fell_out"].as_u64().unwrap())
    };
    assert_eq!(waits(&pair, "bob"), (1_024, 6));
    let moved = pair.bob("export", b"").ok();
    feed(&mut pair.end("carol", "import"), &moved).ok();
    assert_eq!(waits(&pair, "carol"), (1_024, 6));
    let last = feed(&mut pair.end("carol", "close"), b"").ok();
    let all: Vec<_> = keys(&last).iter().map(front).collect();
    assert_eq!(all.len(), 1_024);
    assert!(addresses(&packets).is_superset(&all.into_iter().collect()));
}

/// What the postbox says of these packets.
fn revealed(postbox: &Postbox, packets: &[u8]) -> BTreeSet<[u8; 32]> {
    let asked: Vec<u8> = addresses(packets).into_iter().flatten().collect();
    let answer = postbox.call("/v1/revealed", Form::Raw, &asked);
    assert_eq!(answer.status, 200);
    // 0xC0, address, key.
    answer.body.chunks(65).map(|record| record[1..33].try_into().unwrap()).collect()
}

fn at_home(pair: &Pair, postbox: &Postbox) {
    let invite = pair.alice(&format!("init --postbox {}", postbox.url), b"").ok();
    pair.bob("respond --yes", &invite).ok();
    pair.alice("send", b"hello").ok();
    assert_eq!(pair.bob("recv", b"").ok(), b"hello");
}

#[test]
fn a_postbox_session_writes_no_key_anywhere_but_with_its_discard() {
    let (pair, postbox) = (Pair::strangers(), Postbox::start(&[]));
    at_home(&pair, &postbox);
    let packet = pair.bob("send --stdout", b"one").ok();
    assert_eq!(postbox.post(&packet).status, 201);
    assert!(revealed(&postbox, &packet).is_empty(), "not received yet");
    assert_eq!(pair.alice("recv --reveal keys", b"").ok(), b"one");
    assert!(!pair.path("keys").exists() || fs::read(pair.path("keys")).unwrap().is_empty());
    assert_eq!(revealed(&postbox, &packet), addresses(&packet));
    // A key of a packet that came another way has no discard to leave with, and published next to
    // other packets it would link the two.
    let packet = pair.bob("send --stdout", b"two").ok();
    assert_eq!(pair.alice("recv --stdin", &packet).ok(), b"two");
    for args in ["send --stdout", "close --stdout"] {
        let out = pair.alice(args, b"x").ok();
        assert_eq!((keys(&out).len(), addresses(&out).len()), (0, 1), "{args}");
    }
}

#[test]
fn a_killed_recv_has_published_nothing_at_the_postbox_that_its_state_still_holds() {
    let mut chance = Chance::new();
    let (pair, postbox) = (Pair::strangers(), Postbox::start(&[]));
    at_home(&pair, &postbox);
    let mut window = Window(10_000);
    let mut published = 0;
    for _ in 0..KILLS / 2 {
        let packet = pair.bob("send --stdout", b"text").ok();
        assert_eq!(postbox.post(&packet).status, 201);
        killed(&pair, ("alice", "recv"), b"", &mut window, &mut chance);
        if !revealed(&postbox, &packet).is_empty() {
            is_spent(&pair, "alice", &format!("{NEAR} --stdin"), &packet);
            published += 1;
        }
        let rest = pair.alice("recv --all", b"");
        assert!([0, 8].contains(&rest.code), "{}", rest.err);
        assert_eq!(revealed(&postbox, &packet), addresses(&packet), "in the end it is out");
    }
    assert!(published > 0, "killed too early each time");
}
