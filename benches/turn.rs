//! A turn of the ratchet: one packet out and one back, the work of both ends, each beginning a new
//! chain. Prints JSON: microseconds of the median turn in each round.
//!
//! `benches/vodozemac/` does the same with Olm; `benches/turn.py` compares.

use std::io::Write;
use std::time::Instant;

use otr::conversation::System;
use otr::protocol::handshake::{Invitation, Inviting, respond};
use otr::protocol::packet::{K_MIN, size};
use otr::protocol::ratchet::address_index::{AddressIndex, LOOK_AHEAD};
use otr::protocol::session::{Outcome, Part, Session};

const TEXT: usize = 32;
const ROUNDS: usize = 5;
const TURNS: usize = 2000;
const NOW: u64 = 1_700_000_000;

struct End {
    session: Session,
    index: AddressIndex,
}

fn pair() -> Option<[End; 2]> {
    let mut inviting = Inviting::new(Invitation::default(), NOW, &mut System).ok()?;
    let (responder, reply) = respond(inviting.invite(), None, NOW, &mut System).ok()?;
    let opened = inviting.open(&reply).ok()?;
    let inviter = inviting.accept(opened, NOW).ok()?;
    Some([inviter, responder].map(|session| End { session, index: AddressIndex::new(LOOK_AHEAD) }))
}

/// One packet from an end to the other: seconds of sealing, of opening.
fn packet(from: &mut End, to: &mut End) -> Option<[f64; 2]> {
    let start = Instant::now();
    let mut packet = vec![0; size(K_MIN)];
    let mut reservation = from.session.reserve(1, &mut System).ok()?;
    let message = from.session.begin_message();
    let at = reservation.text_start();
    packet[at..at + TEXT].fill(b'x');
    let part = Part { message, offset: 0, end: true, length: TEXT };
    reservation.seal_part(&mut packet, part, &mut System).ok()?;
    let sealed = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let opened = to.session.open(&mut to.index, &mut packet, None).ok()?;
    let Outcome::Accepted(accepted) = opened else { return None };
    to.session.accept(&mut to.index, &accepted, NOW).ok()?;
    // Otherwise the queue of keys to publish grows, as in no conversation that goes both ways.
    to.session.take_published();
    Some([sealed, start.elapsed().as_secs_f64()])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn run() -> Option<[Vec<f64>; 3]> {
    let [mut one, mut other] = pair()?;
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..TURNS {
            let there = packet(&mut one, &mut other)?;
            let back = packet(&mut other, &mut one)?;
            let [seal, open] = [there[0] + back[0], there[1] + back[1]];
            times[0].push((seal + open) * 1e6);
            times[1].push(seal * 1e6);
            times[2].push(open * 1e6);
        }
        for (all, round) in rounds.iter_mut().zip(times) {
            all.push(median(round));
        }
    }
    Some(rounds)
}

fn main() -> Result<(), &'static str> {
    let [turn, seal, open] = run().ok_or("a packet was refused")?;
    let line = format!("{{\"turn\": {turn:.2?}, \"seal\": {seal:.2?}, \"open\": {open:.2?}}}\n");
    std::io::stdout().write_all(line.as_bytes()).map_err(|_| "stdout is closed")
}
