//! A turn of Olm's double ratchet, as benches/turn.rs does it with ours: one message out and one
//! back, the work of both ends, each beginning a new chain, with the wire form. Prints JSON.

use std::time::Instant;

use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};

const TEXT: usize = 32;
const ROUNDS: usize = 5;
const TURNS: usize = 2000;

fn pair() -> (Session, Session) {
    let (alice, mut bob) = (Account::new(), Account::new());
    bob.generate_one_time_keys(1);
    let one_time = *bob.one_time_keys().values().next().unwrap();
    let config = SessionConfig::version_1();
    let mut ours = alice.create_outbound_session(config, bob.curve25519_key(), one_time).unwrap();
    let OlmMessage::PreKey(first) = ours.encrypt("hello").unwrap() else { unreachable!() };
    let theirs = bob.create_inbound_session(config, alice.curve25519_key(), &first).unwrap();
    (ours, theirs.session)
}

fn message(from: &mut Session, to: &mut Session, text: &[u8]) -> [f64; 2] {
    let start = Instant::now();
    let (kind, bytes) = from.encrypt(text).unwrap().to_parts();
    let sealed = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let opened = to.decrypt(&OlmMessage::from_parts(kind, &bytes).unwrap()).unwrap();
    assert_eq!(opened.len(), text.len());
    [sealed, start.elapsed().as_secs_f64()]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let (mut one, mut other) = pair();
    let text = [b'x'; TEXT];
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..TURNS {
            let there = message(&mut one, &mut other, &text);
            let back = message(&mut other, &mut one, &text);
            let [seal, open] = [there[0] + back[0], there[1] + back[1]];
            times[0].push((seal + open) * 1e6);
            times[1].push(seal * 1e6);
            times[2].push(open * 1e6);
        }
        for (all, round) in rounds.iter_mut().zip(times) {
            all.push(median(round));
        }
    }
    let [turn, seal, open] = rounds;
    println!("{{\"turn\": {turn:.2?}, \"seal\": {seal:.2?}, \"open\": {open:.2?}}}");
}
