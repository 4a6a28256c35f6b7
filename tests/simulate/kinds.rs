//! What people really have, beyond plain lines: codes, secrets, postboxes, losses, late reading, long
//! messages. The same judge sees each kind, as it happened and as it was made up.

use std::fmt::Write as _;

use otr::armor::Item;
use otr::protocol::deniability::forge::verifies;

use crate::judge::{Corpus, items, judge, structure};
use crate::support::{self, Pair, feed};

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
