//! SIGKILL of sender, receiver or postbox at any moment of 200 messages: each arrives in order and
//! at least once, twice only after a kill of the very `recv` that showed it, or is reported
//! missing.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::people::{ok, otr, pair, restart, spawn};
use crate::place::{Place, code, text};
use crate::postbox::Postbox;
use crate::support::Chance;

const MESSAGES: u64 = 200;

/// How long a command may live at most; it adapts to the machine's load.
struct Window {
    chance: Chance,
    micros: u64,
    kills: usize,
}

impl Window {
    fn new(chance: &mut Chance) -> Self {
        Self { chance: Chance::of(chance.next()), micros: 10_000, kills: 0 }
    }

    fn moment(&mut self) -> Duration {
        Duration::from_micros(self.chance.next() % self.micros)
    }

    /// Kills it at some moment of its life; returns whether that came in time.
    fn kill(&mut self, child: &mut Child) -> bool {
        thread::sleep(self.moment());
        child.kill().unwrap();
        let in_time = child.wait().unwrap().code().is_none();
        self.micros = if in_time { self.micros * 11 / 10 } else { self.micros * 9 / 10 } + 100;
        self.kills += usize::from(in_time);
        in_time
    }
}

/// Of one session, as `status` tells.
fn status(place: &Place, who: &str) -> Value {
    let told = ok(place, who, &["status", "--json"], b"");
    serde_json::from_slice::<Value>(&told).unwrap()["sessions"][0].clone()
}

fn sent(place: &Place) -> u64 {
    status(place, "alice")["sent"].as_u64().unwrap()
}

/// Sends this number as the message of this number, trying as often as necessary. A `send` that was
/// killed has stored its whole message, or nothing of it.
fn send(place: &Place, window: &mut Window, number: u64) {
    let message = format!("{number}\n");
    while sent(place) == number {
        let mut child = spawn(place, "alice", &["send"], message.as_bytes());
        if window.chance.below(3) > 0 {
            window.kill(&mut child);
        } else {
            // 9: a postbox that was killed; the message waits.
            assert!(matches!(child.wait().unwrap().code(), Some(0 | 9)));
        }
    }
}

fn numbers(shown: &[u8]) -> Vec<u64> {
    text(shown).lines().map(|line| line.parse().unwrap()).collect()
}

/// What one `recv` showed, and whether it was killed.
type Shown = (Vec<u64>, bool);

/// In order, without a gap, and repeated only if the previous `recv` showed it and was killed.
#[track_caller]
fn judge(shown: &[Shown], first: u64, end: u64) {
    let mut next = first;
    let mut again: &[u64] = &[];
    for (numbers, killed) in shown {
        let begin = numbers.first().copied().unwrap_or(next);
        assert!(begin == next || again.contains(&begin), "{begin} came where {next} was due");
        let run: Vec<u64> = (begin..).take(numbers.len()).collect();
        assert_eq!(*numbers, run, "out of order");
        next = next.max(begin + numbers.len() as u64);
        if *killed {
            // A `recv` that was killed before it showed anything has stored nothing either.
            again = if numbers.is_empty() { again } else { numbers };
        } else {
            again = &[];
        }
    }
    assert_eq!(next, end, "messages are lost");
}

/// Follows, killed again and again, until nothing more comes.
fn follow(place: &Place, mut window: Window, stop: &AtomicBool) -> Vec<Shown> {
    // For a few messages, because it would never end by itself.
    window.micros = 50_000;
    let mut shown = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let mut child = spawn(place, "bob", &["recv", "--follow"], b"");
        let mut out = child.stdout.take().unwrap();
        thread::sleep(window.moment());
        child.kill().unwrap();
        let killed = child.wait().unwrap().code().is_none();
        let mut all = Vec::new();
        out.read_to_end(&mut all).unwrap();
        shown.push((numbers(&all), killed));
    }
    shown.push((receive_all(place), false));
    shown
}

#[test]
fn killed_senders_and_receivers_lose_nothing() {
    let (place, postbox) = (Arc::new(Place::new()), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut chance = Chance::new();
    let stop = Arc::new(AtomicBool::new(false));
    let receiver = thread::spawn({
        let (place, stop) = (Arc::clone(&place), Arc::clone(&stop));
        let window = Window::new(&mut chance);
        move || follow(&place, window, &stop)
    });
    let mut window = Window::new(&mut chance);
    for number in 1..MESSAGES {
        send(&place, &mut window, number);
    }
    // The message whose send was killed before it posted.
    ok(&place, "alice", &["send"], format!("{MESSAGES}\n").as_bytes());
    stop.store(true, Ordering::SeqCst);
    let shown = receiver.join().unwrap();
    let killed = shown.iter().filter(|(_, killed)| *killed).count();
    let kills = window.kills;
    println!("{kills} senders and {killed} receivers were killed in time");
    // Of 133 senders about half are killed in time.
    assert!(kills > 40 && killed > 30, "{kills} senders, {killed} receivers");
    judge(&shown, 1, MESSAGES + 1);
    assert_eq!(status(&place, "bob")["missing"], Value::Array(Vec::new()));
}

#[test]
fn a_file_gets_each_message_once_whichever_process_is_killed() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut window = Window::new(&mut Chance::new());
    for number in 1..MESSAGES / 2 {
        ok(&place, "alice", &["send"], format!("{number}\n").as_bytes());
        let file = place.path(&format!("file{number}"));
        let arguments = ["recv", "--force", "-o", file.to_str().unwrap()];
        for _ in 0..2 {
            if !file.exists() {
                window.kill(&mut spawn(&place, "bob", &arguments, b""));
            }
        }
        // The same command again: it does not wait forever for what the killed one had stored.
        let again = otr(&place, "bob", &[&arguments[..], &["--wait", "0s"]].concat(), b"");
        assert!([0, 8].contains(&code(&again)), "{}", text(&again.stderr));
        assert_eq!(text(&fs::read(&file).unwrap()), format!("{number}\n"));
    }
    println!("{} were killed in time", window.kills);
    assert!(window.kills > 30, "{} were killed in time", window.kills);
}

fn receive_all(place: &Place) -> Vec<u64> {
    let output = otr(place, "bob", &["recv", "--all"], b"");
    assert!([0, 8].contains(&code(&output)), "{}", text(&output.stderr));
    numbers(&output.stdout)
}

/// A killed postbox has lost its packets. The next message shows which ones are missing; packets
/// that were not posted yet still arrive.
#[test]
fn what_a_killed_postbox_lost_is_named_and_nothing_else() {
    let (place, mut postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut window = Window::new(&mut Chance::new());
    let mut shown: Vec<u64> = Vec::new();
    let mut number = 1;
    while number < MESSAGES {
        // Killed while one sends, while one receives, or while a few wait there.
        let mut child = match number % 3 {
            0 => Some(spawn(&place, "bob", &["recv", "--all"], b"")),
            1 => Some(spawn(&place, "alice", &["send"], format!("{number}\n").as_bytes())),
            _ => None,
        };
        number += u64::from(number % 3 == 1);
        thread::sleep(window.moment());
        postbox = restart(postbox);
        if let Some(child) = &mut child {
            let mut out = Vec::new();
            child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
            shown.extend(numbers(&out));
            assert!(matches!(child.wait().unwrap().code(), Some(0 | 8 | 9)));
        }
        for _ in 0..4 {
            ok(&place, "alice", &["send"], format!("{number}\n").as_bytes());
            number += 1;
        }
        if window.chance.below(2) == 0 {
            shown.extend(receive_all(&place));
        }
    }
    shown.extend(receive_all(&place));
    assert!(shown.is_sorted_by(|one, next| one < next), "in order, and once: {shown:?}");
    let missing = status(&place, "bob")["missing"].clone();
    let missing: Vec<(u64, u64)> = serde_json::from_value(missing).unwrap();
    let mut all: BTreeSet<u64> = shown.iter().copied().collect();
    let lost: Vec<u64> = missing.iter().flat_map(|(first, last)| *first..=*last).collect();
    assert!(!lost.is_empty(), "some was lost");
    assert!(lost.iter().all(|number| all.insert(*number)), "here and missing");
    assert!(all.into_iter().eq(1..number), "neither here nor missing");
}
