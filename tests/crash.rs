//! SIGKILL at any moment: the session continues, no number seals two packets, and nothing is shown
//! twice except what was being shown.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use otr::armor::{Item, Scanner};
use support::{Chance, Pair};

const KILLS: usize = 150;

/// Every packet that ever went out, by its address.
#[derive(Default)]
struct Seen(BTreeMap<Vec<u8>, Vec<u8>>);

impl Seen {
    /// Each complete packet in this output; two different ones never have the same address.
    fn take(&mut self, output: &[u8]) {
        let mut scanner = Scanner::new();
        let mut rest = output;
        loop {
            if rest.is_empty() {
                scanner.finish();
            } else {
                let count = scanner.push(rest);
                rest = &rest[count..];
            }
            while let Some(item) = scanner.next_item() {
                let Item::Packet(packet) = item else { continue };
                let known = self.0.entry(packet[..32].to_vec()).or_insert_with(|| packet.clone());
                assert!(*known == packet, "two packets under one address");
            }
            if rest.is_empty() {
                return;
            }
        }
    }
}

/// Runs a command with this file as stdin and kills it after that time; returns what it wrote, and
/// whether it was still running.
fn killed(pair: &Pair, command: &mut Command, input: &[u8], after: Duration) -> (Vec<u8>, bool) {
    let [stdin, stdout] = ["stdin", "stdout"].map(|name| pair.path(name));
    fs::write(&stdin, input).unwrap();
    command.stdin(File::open(stdin).unwrap()).stdout(File::create(&stdout).unwrap());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(after);
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    (fs::read(stdout).unwrap(), !ended.success())
}

/// The time up to which a kill comes early enough; it adapts to the machine's load.
struct Window(u64);

impl Window {
    fn new(run: impl FnOnce()) -> Self {
        let start = Instant::now();
        run();
        Self(u64::try_from(start.elapsed().as_micros()).unwrap())
    }

    fn moment(&self, chance: &mut Chance) -> Duration {
        Duration::from_micros(chance.next() % self.0)
    }

    fn adapt(&mut self, was_killed: bool) {
        self.0 = if was_killed { self.0 * 11 / 10 } else { self.0 * 9 / 10 } + 100;
    }
}

#[test]
fn a_killed_send_uses_no_number_twice() {
    let mut chance = Chance::new();
    let pair = Pair::new();
    let mut seen = Seen::default();
    let stream = chance.bytes(3 << 20);
    let mut windows =
        [&b"short"[..], &stream].map(|text| Window::new(|| drop(pair.sealed("--raw", text))));
    let mut kills = 0;
    for round in 0..KILLS / 2 {
        let long = round % 3 == 0;
        let text = if long { stream.clone() } else { format!("round {round}").into_bytes() };
        let args = if long { "send --raw" } else { "send" };
        let window = &mut windows[usize::from(long)];
        let after = window.moment(&mut chance);
        let (out, was_killed) = killed(&pair, &mut pair.end("alice", args), &text, after);
        window.adapt(was_killed);
        kills += usize::from(was_killed);
        seen.take(&out);
        // What was sealed and not printed comes with --last.
        let last = pair.alice("send --last", b"");
        assert!([0, 4].contains(&last.code), "{}", last.err);
        seen.take(&last.out);
        if round % 5 == 0 {
            let run = pair.bob("recv", &out);
            assert!([0, 4, 6, 8].contains(&run.code), "{}: {}", run.code, run.err);
            let next = pair.alice("send", b"next").ok();
            seen.take(&next);
            assert_eq!(pair.bob("recv", &next).ok(), b"next");
            let back = pair.bob("send", b"back").ok();
            seen.take(&back);
            assert_eq!(pair.alice("recv", &back).ok(), b"back");
        }
    }
    assert!(kills > KILLS / 10, "only {kills} were killed in time");
    pair.talk();
}

#[test]
fn a_killed_recv_loses_nothing_and_repeats_only_what_it_was_showing() {
    let mut chance = Chance::new();
    let pair = Pair::new();
    let packet = pair.sealed("", b"x");
    let mut window = Window::new(|| drop(pair.bob("recv", &packet).quietly()));
    let mut kills = 0;
    for round in 0..KILLS / 2 {
        let texts = [0, 1, 2].map(|n| format!("round {round}, message {n}\n"));
        let packets = texts.clone().map(|text| pair.sealed("", text.as_bytes())).concat();
        let after = window.moment(&mut chance);
        let (first, was_killed) = killed(&pair, &mut pair.end("bob", "recv"), &packets, after);
        window.adapt(was_killed);
        kills += usize::from(was_killed);
        let again = pair.bob("recv", &packets);
        assert!([0, 4].contains(&again.code), "{}", again.err);
        // All of it arrived, in order, through one of the two; and through both only if the first
        // was killed before it stored.
        let all = texts.concat().into_bytes();
        assert!(all.starts_with(&first), "{:?}", String::from_utf8_lossy(&first));
        assert!(all.ends_with(&again.out));
        assert!(first.len() + again.out.len() >= all.len(), "something was lost");
        if !was_killed {
            assert_eq!((first, again.code), (all, 4));
        }
        pair.bob("recv", &packets).fails(4);
    }
    assert!(kills > KILLS / 10, "only {kills} were killed in time");
    pair.talk();
}

#[test]
fn a_killed_recv_of_a_stream_goes_on_and_a_file_repeats_nothing() {
    let mut chance = Chance::new();
    let pair = Pair::new();
    let text = chance.bytes(4 << 20);
    let first = pair.sealed("--raw", &text);
    let mut window = Window::new(|| drop(pair.bob("recv", &first).quietly()));
    for round in 0..10 {
        let file = pair.path(&format!("file{round}"));
        let packets = pair.sealed("--raw", &text);
        let args = format!("recv -o {}", file.display());
        for _ in 0..3 {
            let after = window.moment(&mut chance);
            let (_, was_killed) = killed(&pair, &mut pair.end("bob", &args), &packets, after);
            window.adapt(was_killed);
            assert!(!file.exists() || fs::read(&file).unwrap() == text, "half a file");
        }
        let run = pair.bob(&args, &packets);
        // Killed between the file's appearance and the storing: the file is already complete.
        assert!([0, 4, 13].contains(&run.code), "{}: {}", run.code, run.err);
        assert!(file.exists(), "{}: {}", run.code, run.err);
        assert!(fs::read(&file).unwrap() == text);
        if run.code == 13 {
            pair.bob(&format!("{args} --force"), &packets);
            assert!(fs::read(&file).unwrap() == text);
        }
    }
    pair.talk();
}

#[test]
fn a_killed_handshake_is_begun_again() {
    let mut chance = Chance::new();
    let mut window = Window::new(|| drop(Pair::strangers().alice("init", b"").ok()));
    for _ in 0..KILLS / 10 {
        let pair = Pair::strangers();
        let after = window.moment(&mut chance);
        let (out, was_killed) = killed(&pair, &mut pair.end("alice", "init"), b"", after);
        window.adapt(was_killed);
        let again = pair.alice("init --again", b"");
        assert!([0, 3].contains(&again.code), "{}", again.err);
        let invite = if again.code == 0 { again.out } else { pair.alice("init", b"").ok() };
        // Even a write to a file ends in the middle if the process is killed.
        assert!(invite.starts_with(&out));
        let after = window.moment(&mut chance);
        let (out, _) = killed(&pair, &mut pair.end("bob", "respond"), &invite, after);
        let again = pair.bob("respond --again", b"");
        assert!([0, 3].contains(&again.code), "{}", again.err);
        let reply = if again.code == 0 { again.out } else { pair.bob("respond", &invite).ok() };
        assert!(reply.starts_with(&out));
        let after = window.moment(&mut chance);
        killed(&pair, &mut pair.end("alice", "recv"), &reply, after);
        let run = pair.alice("recv", &reply);
        assert!([0, 4].contains(&run.code), "{}", run.err);
        pair.talk();
    }
}
