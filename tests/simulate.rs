//! `otr simulate`: a judge who holds transcripts cannot tell made-up ones from real ones, which the
//! real commands wrote; and the same judge finds what is planted. Timing is not part of it.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use otr::armor::{Item, Scanner};
use otr::protocol::forge::{rewrite, verifies};
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

/// What a judge holds: transcripts, and of each what was said in it.
struct Corpus(Vec<Vec<Item>>);

fn items(transcript: &[u8]) -> Vec<Item> {
    let mut scanner = Scanner::new();
    let mut items = Vec::new();
    for chunk in transcript.chunks(1 << 12) {
        scanner.space()[..chunk.len()].copy_from_slice(chunk);
        scanner.filled(chunk.len());
        items.extend(std::iter::from_fn(|| scanner.next_item()));
    }
    scanner.finish();
    items.extend(std::iter::from_fn(|| scanner.next_item()));
    items
}

fn bytes(item: &Item) -> (&'static str, &[u8]) {
    match item {
        Item::Invite(bytes) => ("invite", bytes),
        Item::Reply(bytes) => ("reply", bytes),
        Item::Packet(bytes) => ("packet", bytes),
        Item::Key(bytes) => ("key", bytes),
        Item::Damaged(_) => ("damaged", b""),
    }
}

/// Order, kinds and sizes; of each key which packet it names, and whether it verifies it.
fn structure(transcript: &[Item]) -> String {
    let mut told = String::new();
    for item in transcript {
        let (kind, bytes) = bytes(item);
        write!(told, "{kind} {}", bytes.len()).unwrap();
        if let Item::Key(key) = item {
            for (at, other) in transcript.iter().enumerate() {
                if let Item::Packet(packet) = other
                    && packet[..32] == key[..32]
                {
                    write!(told, " of {at}, {}", verifies(key, packet)).unwrap();
                }
            }
        }
        told.push('\n');
    }
    told
}

/// By kind and place, the value that a byte has in every item; of up to 8,192 places.
fn constants(corpus: &Corpus) -> BTreeMap<(&'static str, usize), u8> {
    let mut seen: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for item in corpus.0.iter().flatten() {
        let (kind, bytes) = bytes(item);
        seen.entry(kind).or_default().push(bytes);
    }
    let mut constants = BTreeMap::new();
    for (kind, all) in seen {
        let shortest = all.iter().map(|bytes| bytes.len()).min().unwrap_or_default();
        for at in 0..shortest {
            if all.iter().all(|bytes| bytes[at] == all[0][at]) {
                constants.insert((kind, at), all[0][at]);
            }
        }
    }
    constants
}

/// How far the counts of byte values, bits and repeated neighbours lie from chance, in standard
/// deviations; of all that has to look random.
fn deviations(corpus: &Corpus) -> [f64; 3] {
    let mut counts = [0_f64; 256];
    let (mut ones, mut repeats, mut total) = (0_f64, 0_f64, 0_f64);
    for item in corpus.0.iter().flatten() {
        let (kind, bytes) = bytes(item);
        if kind == "invite" {
            continue;
        }
        for &byte in bytes {
            counts[usize::from(byte)] += 1.0;
            ones += f64::from(byte.count_ones());
            total += 1.0;
        }
        repeats += bytes.windows(2).map(|two| f64::from(u8::from(two[0] == two[1]))).sum::<f64>();
    }
    let expected = total / 256.0;
    let chi_square: f64 = counts.iter().map(|n| (n - expected).powi(2) / expected).sum();
    [
        (chi_square - 255.0) / (2.0 * 255.0_f64).sqrt(),
        (ones - total * 4.0) / (total * 2.0).sqrt(),
        (repeats - expected) / expected.sqrt(),
    ]
}

/// Whether made-up transcripts can be told from real ones; why.
fn judge(real: &Corpus, suspect: &Corpus) -> Result<(), String> {
    for (a, b) in real.0.iter().zip(&suspect.0) {
        let (a, b) = (structure(a), structure(b));
        if a != b {
            return Err(format!("structure:\n{a}---\n{b}"));
        }
    }
    let (a, b) = (constants(real), constants(suspect));
    if a != b {
        let flaw = b.iter().find(|(place, value)| a.get(place) != Some(value));
        return Err(format!("constant: {flaw:?}"));
    }
    for (which, deviation) in deviations(suspect).into_iter().enumerate() {
        // Seven standard deviations: not once in a hundred thousand million runs.
        if deviation.abs() > 7.0 {
            return Err(format!("randomness {which}: {deviation}"));
        }
    }
    Ok(())
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
                    *packet = rewrite(key, packet, 3_000, &[packet[3_000]], &[0x41]).unwrap();
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

/// Numbers that chance makes, taken out: addresses, chi-square, p.
fn without_chance(told: &str) -> String {
    let chancy = |word: &str| {
        word.contains('…') || word.contains('.') && word.chars().any(|c| c.is_ascii_digit())
    };
    let line = |line: &str| {
        let words = line.split_whitespace().map(|word| if chancy(word) { "*" } else { word });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    told.lines().map(line).collect()
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
        ("A: hi\nmallory: hi\n", 4, "line 2 of the script is no line of A or B"),
        ("A closes\nA: hi\n", 4, "line 2 of the script: that side has closed"),
        ("A closes\nB: hi\n", 4, "line 2 of the script: the other side has closed"),
    ] {
        let run = feed(&mut place.end("nobody", "simulate"), script.as_bytes());
        assert!(run.code == code && run.err.contains(said), "{script}: {}", run.err);
    }
    let long = format!("A: {}\n", "x".repeat(70_000));
    let run = feed(&mut place.end("nobody", "simulate"), long.as_bytes());
    assert!(run.code == 4 && run.err.contains("longer than"), "{}", run.err);
    assert_eq!(feed(&mut place.end("nobody", "simulate"), b"A: \xff\n").code, 4);
}
