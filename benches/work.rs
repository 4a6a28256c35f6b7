//! The work that a crowded postbox asks for, as two threads do it that do nothing else, by the
//! solver that `otr` pays with: tries a second, proofs a second at a full price, and what it costs to
//! check one. Prints JSON; `benches/work.py` has the rest. With `pay` it is the solver of a script: of each
//! line `BITS SALT HASH` (both in base64url) it makes the proof for a packet of 4 KiB.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use otr::postbox::work::{FULL_BITS, PARTS, PROOF, Price, Proof, Puzzle};

const SIZE: usize = 4096;
const SECONDS: Duration = Duration::from_secs(15);
const CHECKS: u32 = 200_000;

fn puzzle(bits: u8, number: u64) -> Puzzle {
    let hash = Sha256::digest(number.to_be_bytes()).into();
    Puzzle::new(&Price { bits, salt: [7; 16] }, &hash, SIZE)
}

/// Proofs a second by so many threads, each at packets of its own, and tries for them.
fn rate(threads: u8) -> (f64, f64) {
    let begin = Instant::now();
    let work = |thread: u8| {
        let (mut parts, mut tries) = (0_u32, 0);
        for number in 0_u64.. {
            let puzzle = puzzle(FULL_BITS, number << 8 | u64::from(thread));
            for part in 0..16 {
                tries += u64::from_be_bytes(puzzle.solve(part)) + 1;
                parts += 1;
                if begin.elapsed() >= SECONDS {
                    return (parts, tries);
                }
            }
        }
        (parts, tries)
    };
    let done = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect::<Vec<_>>()
    });
    let seconds = begin.elapsed().as_secs_f64();
    let parts: u32 = done.iter().map(|(parts, _)| parts).sum();
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let tries = done.iter().map(|(_, tries)| *tries as f64).sum::<f64>();
    (f64::from(parts) / 16.0 / seconds, tries / seconds)
}

/// Microseconds of one.
fn each(mut check: impl FnMut()) -> f64 {
    let begin = Instant::now();
    for _ in 0..CHECKS {
        check();
    }
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS)
}

fn solved(puzzle: &Puzzle) -> Proof {
    let mut proof = [0; PROOF];
    for (part, place) in (0..).zip(proof.as_chunks_mut::<8>().0) {
        *place = puzzle.solve(part);
    }
    proof
}

/// The puzzle of a line.
fn asked(line: &str) -> Option<Puzzle> {
    let (price, hash) = line.rsplit_once(' ')?;
    let hash = URL_SAFE_NO_PAD.decode(hash).ok()?.try_into().ok()?;
    Some(Puzzle::new(&Price::of_header(price)?, &hash, SIZE))
}

fn main() {
    if std::env::args().any(|argument| argument == "pay") {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let proof = asked(&line).map(|puzzle| URL_SAFE_NO_PAD.encode(solved(&puzzle)));
            let _ = writeln!(std::io::stdout(), "{}", proof.unwrap_or_default());
        }
        return;
    }
    let easy = puzzle(8, 1);
    let proof = solved(&easy);
    assert_eq!(proof.len(), PARTS * 8);
    let packet = vec![7; SIZE];
    let good = each(|| assert!(black_box(&easy).is_solved_by(black_box(&proof))));
    let junk = each(|| {
        black_box(black_box(&easy).is_solved_by(black_box(&[0xFF; PROOF])));
    });
    let hash = each(|| {
        black_box(Sha256::digest(black_box(&packet)));
    });
    let ((one, one_tries), (two, two_tries)) = (rate(1), rate(2));
    let told = serde_json::json!({
        "bits": FULL_BITS, "good": good, "junk": junk, "hash": hash,
        "proofs": [one, two], "tries": [one_tries, two_tries],
    });
    let _ = writeln!(std::io::stdout(), "{told}");
}
