//! `otr simulate`: a judge who holds transcripts cannot tell made-up ones from real ones, which the
//! real commands wrote; and the same judge finds what is planted. Timing is not part of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use otr::armor::{Item, Scanner};
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
        let copies = transcript.iter().filter(|other| *other == item).count();
        if copies > 1 {
            write!(told, ", there {copies} times").unwrap();
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

/// One thing that one of the two does: a line of a script, and what the real commands do for it.
#[derive(Clone, Copy)]
enum Act {
    Says(&'static str),
    Sends(&'static str, usize),
    Reads,
    Asks,
    Answers { right: bool },
    Last,
    Size(&'static str),
    Closes,
}

struct Done {
    a: bool,
    act: Act,
    lost: bool,
}

/// A conversation of a sort that people have.
struct Kind {
    name: &'static str,
    /// The lines of the script before all others, and the options of `init` and `respond`.
    setup: &'static str,
    init: &'static str,
    respond: &'static str,
    postbox: bool,
    raw: bool,
    done: Vec<Done>,
}

fn a(act: Act) -> Done {
    Done { a: true, act, lost: false }
}

fn b(act: Act) -> Done {
    Done { a: false, act, lost: false }
}

fn lost(mut done: Done) -> Done {
    done.lost = true;
    done
}

const URL: &str = "http://127.0.0.1:7363";

fn kinds() -> Vec<Kind> {
    use Act::{Answers, Asks, Closes, Last, Reads, Says, Sends, Size};
    let plain = || Kind {
        name: "",
        setup: "",
        init: "",
        respond: "",
        postbox: false,
        raw: false,
        done: Vec::new(),
    };
    vec![
        Kind {
            name: "a secret, mixed sizes, long messages, the same once more",
            setup: "secret: swordfish\n",
            init: "--secret-file secret",
            respond: "--secret-file secret",
            done: vec![
                a(Says("hello")),
                b(Says("hello yourself")),
                a(Size("16K")),
                a(Says("padded")),
                a(Sends("100K", 100 << 10)),
                b(Sends("63100", 63_100)),
                b(Sends("1100K", 1100 << 10)),
                a(Says("more")),
                a(Last),
                b(Closes),
                a(Closes),
            ],
            ..plain()
        },
        Kind {
            name: "crossing, lost, read late, no end",
            done: vec![
                a(Says("one")),
                b(Says("two")),
                a(Reads),
                a(Says("three")),
                b(Says("four")),
                b(Reads),
                lost(a(Says("five"))),
                a(Says("six")),
                b(Reads),
                b(Says("seven")),
                a(Says("eight")),
                a(Reads),
                b(Reads),
                b(Says("nine")),
            ],
            ..plain()
        },
        Kind {
            name: "checks of a secret, right and wrong",
            done: vec![
                a(Says("hello")),
                a(Asks),
                b(Answers { right: true }),
                a(Says("good")),
                b(Asks),
                a(Answers { right: false }),
                b(Says("hm")),
                a(Says("what")),
                a(Closes),
                b(Closes),
            ],
            ..plain()
        },
        Kind {
            name: "a postbox",
            setup: "postbox: http://127.0.0.1:7363\n",
            init: "--postbox http://127.0.0.1:7363",
            respond: "--stdout",
            postbox: true,
            done: vec![
                a(Says("hello")),
                b(Says("yes")),
                a(Says("once")),
                a(Says("twice")),
                b(Says("good night")),
                a(Closes),
                b(Closes),
            ],
            ..plain()
        },
        Kind {
            name: "bytes",
            setup: "A raw\nB raw\n",
            respond: "--raw",
            raw: true,
            done: vec![a(Says("hello")), b(Says("yes")), a(Says("well")), b(Closes), a(Closes)],
            ..plain()
        },
    ]
}

impl Kind {
    fn script(&self) -> String {
        let mut script = self.setup.to_owned();
        for Done { a, act, lost: is_lost } in &self.done {
            let side = if *a { "A" } else { "B" };
            match act {
                Act::Says(text) => writeln!(script, "{side}: {text}"),
                Act::Sends(bytes, _) => writeln!(script, "{side} sends {bytes}"),
                Act::Reads => writeln!(script, "{side} reads"),
                Act::Asks => writeln!(script, "{side} asks: where"),
                Act::Answers { right: true } => writeln!(script, "{side} answers"),
                Act::Answers { right: false } => writeln!(script, "{side} answers wrongly"),
                Act::Last => writeln!(script, "{side} last"),
                Act::Size(least) => writeln!(script, "{side} size {least}"),
                Act::Closes => writeln!(script, "{side} closes"),
            }
            .unwrap();
            if *is_lost {
                script.push_str("lost\n");
            }
        }
        if !script.contains("closes") {
            script.push_str("nobody closes\n");
        }
        script
    }

    /// What the real commands write.
    fn real(&self) -> Vec<u8> {
        let mut real = Real::new(self);
        for Done { a, act, lost } in &self.done {
            let who = usize::from(!a);
            let size = real.sizes[who];
            let (command, input) = match act {
                Act::Size(size) => {
                    real.sizes[who] = size;
                    continue;
                }
                Act::Reads => {
                    real.read(who);
                    continue;
                }
                Act::Says(text) => {
                    (format!("send --size {size}"), format!("{text}\n").into_bytes())
                }
                Act::Sends(_, bytes) => (format!("send --size {size}"), vec![b'.'; *bytes]),
                Act::Asks => ("verify --question where --secret-file secret".into(), Vec::new()),
                Act::Answers { right: true } => ("verify --secret-file secret".into(), Vec::new()),
                Act::Answers { right: false } => ("verify --secret-file wrong".into(), Vec::new()),
                Act::Last => ("send --last".into(), Vec::new()),
                Act::Closes => ("close".into(), Vec::new()),
            };
            let written = real.run(who, &command, &input);
            real.hand_over(who, written, *lost);
            if matches!(act, Act::Closes) {
                real.gone[who] = true;
            }
        }
        real.tape
    }
}

/// The real commands, in the two's hands.
struct Real<'k> {
    kind: &'k Kind,
    pair: Pair,
    waiting: [Vec<Vec<u8>>; 2],
    told: [bool; 2],
    gone: [bool; 2],
    sizes: [&'static str; 2],
    tape: Vec<u8>,
}

impl<'k> Real<'k> {
    fn new(kind: &'k Kind) -> Self {
        let pair = Pair::strangers();
        std::fs::write(pair.path("secret"), "swordfish").unwrap();
        std::fs::write(pair.path("wrong"), "haddock").unwrap();
        let invite = pair.alice(&format!("init {}", kind.init), b"").ok();
        let reply = pair.bob(&format!("respond {}", kind.respond), &invite).ok();
        let stdin = if kind.postbox { "recv --stdin" } else { "recv" };
        pair.alice(stdin, &reply).ok();
        let reads = |is_a: bool| {
            kind.done.iter().any(|done| done.a == is_a && matches!(done.act, Act::Reads))
        };
        Self {
            kind,
            pair,
            waiting: [Vec::new(), Vec::new()],
            told: [reads(true), reads(false)],
            gone: [false; 2],
            sizes: ["4K"; 2],
            tape: [invite, reply].concat(),
        }
    }

    fn run(&self, who: usize, command: &str, input: &[u8]) -> Vec<u8> {
        let form = if self.kind.raw { " --raw" } else { "" };
        let way = if self.kind.postbox { " --stdout" } else { "" };
        let end = ["alice", "bob"][who];
        feed(&mut self.pair.end(end, &format!("{command}{form}{way}")), input).ok()
    }

    fn hand_over(&mut self, from: usize, written: Vec<u8>, lost: bool) {
        let parts = if self.kind.postbox { support::lines(&written) } else { vec![written] };
        for part in parts {
            self.tape.extend_from_slice(&part);
            let to = 1 - from;
            if lost || self.gone[to] || part.is_empty() {
                continue;
            }
            self.waiting[to].push(part);
            if !self.told[to] {
                self.read(to);
            }
        }
    }

    fn read(&mut self, who: usize) {
        let end = ["alice", "bob"][who];
        for part in std::mem::take(&mut self.waiting[who]) {
            let command = if self.kind.postbox { "recv --stdin" } else { "recv" };
            let run = feed(&mut self.pair.end(end, command), &part);
            // 7: closed, 8: nothing for a person in it, 4: the same once more, 6: one is missing.
            assert!([0, 4, 6, 7, 8].contains(&run.code), "{}: {}", self.kind.name, run.err);
            if self.kind.postbox {
                let spent = feed(&mut self.pair.end(end, "expect --spent"), b"").ok();
                self.tape.extend(spent);
            }
        }
    }
}

/// What stands in a transcript, its records of a postbox included: of each, whether the hash and the
/// key fit a packet that came before.
fn whole_structure(tape: &[u8]) -> String {
    use base64::Engine;
    use sha2::{Digest, Sha256};

    let mut told = structure(&items(tape));
    let mut before: Vec<Vec<u8>> = Vec::new();
    for line in tape.split(|&byte| byte == b'\n') {
        before.extend(items(line).into_iter().filter_map(|item| match item {
            Item::Packet(packet) => Some(packet),
            _ => None,
        }));
        let record = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(line);
        let Some(record) = record.ok().filter(|record| record.len() == 96) else { continue };
        let address = Sha256::digest([b"otr/1 address", &record[..32]].concat());
        let found = before.iter().enumerate().find(|(_, packet)| packet[..32] == address[..]);
        let Some((at, packet)) = found else {
            writeln!(told, "record of nothing").unwrap();
            continue;
        };
        let key: Vec<u8> = [&packet[..32], &record[64..]].concat();
        let fits = verifies(key.as_slice().try_into().unwrap(), packet);
        let hash = Sha256::digest(packet)[..] == record[32..64];
        writeln!(told, "record of {at} after {}: hash {hash}, key {fits}", before.len()).unwrap();
    }
    told
}

#[test]
fn what_people_really_have_cannot_be_told_from_made_up_ones_either() {
    /// Of each kind: enough that a byte that is always the same is no chance.
    const OF_EACH: usize = 5;
    let place = Pair::strangers();
    for kind in kinds() {
        let script = kind.script();
        let made_up = || feed(&mut place.end("nobody", "simulate -q"), script.as_bytes()).quietly();
        let real: Vec<_> = (0..OF_EACH).map(|_| kind.real()).collect();
        let simulated: Vec<_> = (0..OF_EACH).map(|_| made_up()).collect();
        let expected = whole_structure(&real[0]);
        for tape in real.iter().chain(&simulated) {
            assert_eq!(whole_structure(tape), expected, "{}", kind.name);
        }
        assert!(!expected.contains("false") && !expected.contains("of nothing"), "{expected}");
        let corpus = |tapes: &[Vec<u8>]| Corpus(tapes.iter().map(|tape| items(tape)).collect());
        let (real, fake) = (corpus(&real), corpus(&simulated));
        assert_eq!(judge(&real, &fake), Ok(()), "{}", kind.name);
        assert_eq!(judge(&fake, &real), Ok(()), "{}", kind.name);

        // Planted: a share that is always the same, a packet that is missing, one that differs
        // where it was the same once more.
        let plant = |flaw: &dyn Fn(&mut Vec<Item>) -> bool| {
            let mut corpus = corpus(&simulated);
            let planted = corpus.0.iter_mut().map(flaw).filter(|done| *done).count();
            (planted > 0).then(|| judge(&real, &corpus).unwrap_err())
        };
        let share = plant(&|items| match &mut items[0] {
            Item::Invite(invite) if invite[1] == 1 => {
                invite[1290..1322].fill(7);
                true
            }
            _ => false,
        });
        assert_eq!(share.is_some(), kind.setup.contains("secret"));
        assert!(share.is_none_or(|told| told.starts_with("constant")));
        let missing = plant(&|items| {
            let at = items.iter().rposition(|item| matches!(item, Item::Packet(_))).unwrap();
            items.remove(at);
            true
        });
        assert!(missing.unwrap().starts_with("structure"), "{}", kind.name);
        let not_the_same = plant(&|items| {
            let last = items.len() - 1;
            let again = (0..last).rev().find(|&at| items[..at].contains(&items[at]));
            let Some(Item::Packet(packet)) = again.map(|at| &mut items[at]) else { return false };
            packet[4000] ^= 1;
            true
        });
        assert_eq!(not_the_same.is_some(), script.contains("last"));
        assert!(not_the_same.is_none_or(|told| told.starts_with("structure")));

        // In a postbox: without the greeting, or a record that fits no packet.
        if kind.postbox {
            let lines = support::lines(&simulated[0]);
            let record = lines.iter().position(|line| line.len() == 129).unwrap();
            let mut without = lines.clone();
            without.remove(2);
            let mut wrong = lines.clone();
            wrong[record][60] ^= 1;
            for flawed in [without, wrong] {
                assert_ne!(whole_structure(&flawed.concat()), expected);
            }
        }
    }
}

#[test]
fn an_invite_that_expires_and_one_under_a_code_are_made_up_like_real_ones() {
    let pair = Pair::strangers();
    let expiry = |invite: &[u8]| {
        let Item::Invite(invite) = &items(invite)[0] else { panic!("no invite") };
        u64::from_be_bytes(invite[1282..1290].try_into().unwrap())
    };
    let real = expiry(&pair.alice("init --expires 1h", b"").ok());
    let simulate = |script: &str| feed(&mut pair.end("nobody", "simulate"), script.as_bytes()).ok();
    let made_up = expiry(&simulate("expires: 1h\nA: hi\n"));
    assert!(real.abs_diff(made_up) < 600, "{real} {made_up}");
    assert_eq!(expiry(&simulate("expires: @1764221400\nA: hi\n")), 1_764_221_400);

    // The invite opens under the number, and asks for the code.
    let script = format!("postbox: {URL}\ncode: 417-guitar-vanish\nA: hi\n");
    let found = items(&simulate(&script));
    let Item::Packet(plate) = &found[0] else { panic!("{:?}", found[0]) };
    let invite = otr::protocol::authentication::nameplate::Nameplate::of(417).open(plate).unwrap();
    assert_eq!((invite[1], plate.len()), (1, 4096));
    let again = items(&simulate("A again\nB again\nA: hi\n"));
    assert!(again[0] == again[1] && again[2] == again[3] && matches!(again[2], Item::Reply(_)));
}
