//! `otr simulate`: a judge who holds transcripts cannot tell made-up ones from real ones, which the
//! real commands wrote; and the same judge finds what is planted. Timing is not part of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod judge;
mod kinds;
#[path = "../support/mod.rs"]
mod support;

use std::fmt::Write as _;

use judge::{Corpus, bytes, constants, items, judge, structure, without_chance};
use otr::armor::Item;
use otr::protocol::deniability::forge::{rewrite, verifies};
use support::{Chance, Pair, feed};

/// Conversations of each sort: enough that a byte that is always the same is no chance.
const CONVERSATIONS: usize = 24;

struct Script {
    lines: Vec<(bool, String)>,
    a_closes_first: bool,
}

impl Script {
    fn random(chance: &mut Chance) -> Self {
        let lines = (0..=chance.below(8))
            .map(|_| {
                let length = match chance.below(12) {
                    0 => 0,
                    // About the edges of the sizes, where an opening in front makes a difference.
                    1 => 1_600 + chance.below(120),
                    2 => chance.below(60_000),
                    _ => chance.below(200),
                };
                let text = chance.bytes(length);
                let text: String = text.iter().map(|byte| char::from(b' ' + byte % 95)).collect();
                (chance.below(2) == 0, text)
            })
            .collect();
        Self { lines, a_closes_first: chance.below(2) == 0 }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (a, line) in &self.lines {
            writeln!(text, "{}: {line}", if *a { "A" } else { "B" }).unwrap();
        }
        let ends = if self.a_closes_first { ["A", "B"] } else { ["B", "A"] };
        text + &ends.map(|end| format!("{end} closes\n")).concat()
    }

    /// What the real commands write when two people say that.
    fn real(&self) -> Vec<u8> {
        let pair = Pair::strangers();
        let invite = pair.alice("init", b"").ok();
        let reply = pair.bob("respond", &invite).ok();
        pair.alice("recv", &reply).ok();
        let mut transcript = [invite, reply].concat();
        for (a, line) in &self.lines {
            let (from, to) = if *a { ("alice", "bob") } else { ("bob", "alice") };
            let text = format!("{line}\n").into_bytes();
            let packet = feed(&mut pair.end(from, "send"), &text).ok();
            assert!(feed(&mut pair.end(to, "recv"), &packet).ok() == text);
            transcript.extend(packet);
        }
        let (first, last) = if self.a_closes_first { ("alice", "bob") } else { ("bob", "alice") };
        let end = feed(&mut pair.end(first, "close"), b"").ok();
        assert_eq!(feed(&mut pair.end(last, "recv"), &end).code, 7);
        transcript.extend(end);
        transcript.extend(feed(&mut pair.end(last, "close"), b"").ok());
        transcript
    }

    fn simulated(&self, pair: &Pair) -> Vec<u8> {
        feed(&mut pair.end("nobody", "simulate -q"), self.text().as_bytes()).quietly()
    }
}

#[test]
fn a_judge_cannot_tell_it_from_a_real_one_but_finds_what_is_planted() {
    let mut chance = Chance::new();
    let place = Pair::strangers();
    let scripts: Vec<_> = (0..CONVERSATIONS).map(|_| Script::random(&mut chance)).collect();
    let real = Corpus(scripts.iter().map(|script| items(&script.real())).collect());
    let made_up =
        || Corpus(scripts.iter().map(|script| items(&script.simulated(&place))).collect());

    assert_eq!(judge(&real, &made_up()), Ok(()));
    assert_eq!(judge(&made_up(), &real), Ok(()));
    // What the judge has to go by is there: keys, of packets that came before them.
    let told = structure(&real.0[0]);
    assert!(told.contains("key 64 of ") && !told.contains("false"), "{told}");
    let constants = constants(&real);
    assert!(constants.keys().all(|(kind, at)| *kind == "invite" && !(2..1250).contains(at)));
    assert_eq!(constants[&("invite", 0)], 1);

    let plant = |flaw: &mut dyn FnMut(&mut Vec<Item>)| {
        let mut corpus = made_up();
        corpus.0.iter_mut().for_each(flaw);
        judge(&real, &corpus).unwrap_err()
    };
    // One constant byte of every packet, whose MAC fits all the same.
    let constant = plant(&mut |items| {
        let keys: Vec<_> = items
            .iter()
            .filter_map(|item| if let Item::Key(key) = item { Some(*key) } else { None })
            .collect();
        for item in items {
            let Item::Packet(packet) = item else { continue };
            match keys.iter().find(|key| verifies(key, packet)) {
                Some(key) => {
                    *packet =
                        rewrite(key, packet, 3_000, &[packet[3_000]], &[0x41]).unwrap().into();
                }
                None => packet[3_000] = 0x41,
            }
        }
    });
    assert_eq!(constant, "constant: Some(((\"packet\", 3000), 65))");
    let constant = plant(&mut |items| {
        for item in items {
            if let Item::Reply(reply) = item {
                reply[5_000] = 0x41;
            }
        }
    });
    assert_eq!(constant, "constant: Some(((\"reply\", 5000), 65))");
    let biased = plant(&mut |items| {
        for item in items {
            if let Item::Reply(reply) = item {
                reply.iter_mut().step_by(8).for_each(|byte| *byte |= 1);
            }
        }
    });
    assert!(biased.starts_with("randomness"), "{biased}");

    // One size, one key that is missing, one that comes early, in one conversation of all.
    let once = |flaw: &dyn Fn(&mut Vec<Item>) -> bool| {
        let mut done = false;
        plant(&mut |items| done = done || flaw(items))
    };
    let position = |items: &[Item]| items.iter().position(|item| matches!(item, Item::Key(_)));
    for found in [
        once(&|items| {
            let packet = items.iter_mut().find_map(|item| match item {
                Item::Packet(packet) if packet.len() == 4096 => Some(packet),
                _ => None,
            });
            packet.map(|packet| packet.resize(8192, 0x5a)).is_some()
        }),
        once(&|items| position(items).map(|at| items.remove(at)).is_some()),
        once(&|items| position(items).map(|at| items.swap(at, at - 1)).is_some()),
    ] {
        assert!(found.starts_with("structure"), "{found}");
    }
}

#[test]
fn inspect_says_the_same_about_both() {
    let mut chance = Chance::new();
    let place = Pair::strangers();
    for _ in 0..4 {
        let script = Script::random(&mut chance);
        let [real, made_up] = [script.real(), script.simulated(&place)].map(|transcript| {
            without_chance(&feed(&mut place.end("nobody", "inspect --keys"), &transcript).text())
        });
        assert_eq!(real, made_up);
        assert!(real.contains("verifies under key"), "{real}");
    }
}

#[test]
fn a_seed_makes_the_same_again() {
    let place = Pair::strangers();
    let simulate = |args: &str| {
        feed(&mut place.end("nobody", &format!("simulate {args}")), b"A: hi\nB: yes\n").ok()
    };
    let first = simulate("--seed one");
    assert!(first == simulate("--seed one"));
    for other in ["--seed two", ""] {
        assert!(first != simulate(other));
    }
    assert!(simulate("") != simulate(""));
    let same = items(&simulate("--seed one --wrap 76"));
    let sizes: Vec<_> = same.iter().map(|item| bytes(item).1.len()).collect();
    assert_eq!(sizes, [1292, 8192, 4096, 64, 4096, 64, 4096, 64]);
    let padded = items(&simulate("--size 16K"));
    assert_eq!(bytes(&padded[2]).1.len(), 16384);
    assert!(!place.path("nobody").exists(), "no session, no directory");
}

#[test]
fn what_cannot_be_played_is_refused() {
    let place = Pair::strangers();
    for (script, code, said) in [
        ("", 8, "the script is empty"),
        ("A: hi\nmallory: hi\n", 4, "line 2 of the script is not a line of A or B"),
        ("A closes\nA: hi\n", 4, "line 2 of the script: that side has closed"),
        ("A closes\nB: hi\n", 4, "line 2 of the script: the other side has closed"),
    ] {
        let run = feed(&mut place.end("nobody", "simulate"), script.as_bytes());
        assert!(run.code == code && run.err.contains(said), "{script}: {}", run.err);
    }
    for (script, code, said) in [
        ("A: hi\nB answers\n", 4, "line 2 of the script: nobody has asked that side"),
        ("secret: x\nB: hi\n", 4, "line 2 of the script: with a secret, B writes only after"),
        ("A: hi\nA < nowhere\n", 1, "cannot read nowhere"),
        ("A: hi\nlost\nsecret: x\n", 4, "line 3 of the script: that belongs before"),
        ("A: hi\nA reads\nlost\n", 4, "line 3 of the script: nothing was sent"),
        ("A sends 900M\n", 4, "line 1 of the script: a message of more than 128 MiB"),
        ("code: 417-guitar-vanish\nA: hi\n", 4, "no postbox"),
        ("postbox: nonsense\nA: hi\n", 4, ""),
    ] {
        let said_in_truth =
            feed(&mut place.end("nobody", "simulate"), script.as_bytes()).fails(code);
        assert!(said_in_truth.contains(said), "{script}: {said_in_truth}");
    }
    assert_eq!(feed(&mut place.end("nobody", "simulate"), b"A: \xff\n").code, 4);
}
