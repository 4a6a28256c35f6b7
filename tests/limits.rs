//! The limits of an end's state: numbers skipped, given up, given back, too far ahead, too old;
//! keys that wait to be published.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

mod common;

use common::{Awake, Seeded, handshake};
use otr::protocol::deniability::reveal::REVEALS_MAX;
use otr::protocol::ratchet::RatchetError;
use otr::protocol::ratchet::address_index::{AddressIndex, LOOK_AHEAD};
use otr::protocol::ratchet::skipped::{OLD_NUMBERS_MAX, SKIPPED_MAX, SKIPPED_SECONDS};
use otr::protocol::session::{
    Accepted, Effects, Outcome, Refusal, Reservation, Session, nothing_frames,
};

fn seal(numbers: &mut Reservation, random: &mut Seeded) -> Vec<u8> {
    numbers.seal_frames(12, &nothing_frames(), random).unwrap().into()
}

fn send(end: &mut Session, random: &mut Seeded) -> Vec<u8> {
    seal(&mut end.reserve(1, random).unwrap(), random)
}

/// Sends a packet after `count` that are lost on the way.
fn send_after(end: &mut Session, count: u32, random: &mut Seeded) -> Vec<u8> {
    end.reserve(count, random).unwrap();
    send(end, random)
}

fn open(end: &Session, ahead: &mut AddressIndex, packet: &[u8]) -> Result<Box<Accepted>, Refusal> {
    match end.open(ahead, &mut packet.to_vec(), None)? {
        Outcome::Accepted(accepted) => Ok(accepted),
        Outcome::Held { .. } => panic!("no part of a message"),
    }
}

fn deliver(
    end: &mut Session,
    ahead: &mut AddressIndex,
    packet: &[u8],
    now: u64,
) -> Result<Effects, Refusal> {
    let accepted = open(end, ahead, packet)?;
    Ok(end.accept(ahead, &accepted, now)?)
}

/// Both ends, R's index, and the randomness.
fn pair(seed: &[u8]) -> (Awake, Awake, AddressIndex, Seeded) {
    let mut random = Seeded::new(seed);
    let [inviter, responder] = handshake(&mut random);
    (inviter, responder, AddressIndex::new(LOOK_AHEAD), random)
}

#[test]
fn at_most_4096_skipped_numbers_are_kept_and_the_oldest_fall_out() {
    let (mut i, mut r, mut ahead, mut random) = pair(b"skipped");
    let first = send(&mut i, &mut random);
    let mut passed: Vec<Vec<u8>> = Vec::new();
    let mut numbers = i.reserve(5_000, &mut random).unwrap();
    while numbers.left() > 0 {
        passed.push(seal(&mut numbers, &mut random));
    }
    let last = send(&mut i, &mut random);
    deliver(&mut r, &mut ahead, &first, 0).unwrap();
    let effects = deliver(&mut r, &mut ahead, &last, 0).unwrap();
    assert_eq!(effects.lost.fell_out, 5_000 - SKIPPED_MAX as u64);
    assert_eq!(r.skipped(), SKIPPED_MAX);
    assert!(r.state().len() < 1 << 20);

    let fell_out = 5_000 - SKIPPED_MAX;
    assert_eq!(open(&r, &mut ahead, &passed[fell_out - 1]).err(), Some(Refusal::NotOurs));
    // After a restart too, with an empty index.
    let mut r = Awake::from_state(&r.state());
    let mut ahead = AddressIndex::new(LOOK_AHEAD);
    assert_eq!(open(&r, &mut ahead, &passed[fell_out - 1]).err(), Some(Refusal::NotOurs));
    deliver(&mut r, &mut ahead, &passed[fell_out], 0).unwrap();
    assert_eq!(r.skipped(), SKIPPED_MAX - 1);
    assert_eq!(open(&r, &mut ahead, &passed[fell_out]).err(), Some(Refusal::NotOurs));
    deliver(&mut r, &mut ahead, &passed[4_999], 0).unwrap();

    // Of two jumps, the numbers of the earlier fall out first.
    let later = send_after(&mut i, 100, &mut random);
    let effects = deliver(&mut r, &mut ahead, &later, 5).unwrap();
    assert_eq!(effects.lost.fell_out, 98);
    assert_eq!(open(&r, &mut ahead, &passed[fell_out + 98]).err(), Some(Refusal::NotOurs));
    deliver(&mut r, &mut ahead, &passed[fell_out + 99], 5).unwrap();
    assert_eq!(r.lost(), 5_000 - SKIPPED_MAX as u64 + 98);
}

#[test]
fn a_skipped_number_is_kept_for_seven_days() {
    let (mut i, mut r, mut ahead, mut random) = pair(b"old");
    let old = send(&mut i, &mut random);
    let packet = send(&mut i, &mut random);
    deliver(&mut r, &mut ahead, &packet, 1_000).unwrap();
    assert!(!r.expire(1_000 + SKIPPED_SECONDS));
    open(&r, &mut ahead, &old).unwrap();
    assert!(r.expire(0), "a clock set back expires nothing, and is what they age by from then on");
    assert_eq!((r.skipped(), r.lost()), (1, 0));
    assert!(!r.expire(SKIPPED_SECONDS));
    assert!(r.expire(1 + SKIPPED_SECONDS));
    assert_eq!(open(&r, &mut ahead, &old).err(), Some(Refusal::NotOurs));
    assert_eq!((r.skipped(), r.lost()), (0, 1));
}

#[test]
fn a_packet_is_looked_for_65536_numbers_ahead_in_this_chain_and_the_next() {
    let (mut i, mut r, mut ahead, mut random) = pair(b"far");
    for _ in 0..2 {
        // First in the next chain, then in the current one.
        let mut numbers = i.reserve(LOOK_AHEAD - 1, &mut random).unwrap();
        seal(&mut numbers, &mut random);
        let farthest = send(&mut i, &mut random);
        let beyond = send(&mut i, &mut random);
        let before = r.state();
        assert_eq!(open(&r, &mut ahead, &beyond).err(), Some(Refusal::NotOurs));
        assert_eq!(r.state(), before);
        deliver(&mut r, &mut ahead, &farthest, 0).unwrap();
        assert_eq!(r.skipped(), SKIPPED_MAX);
        deliver(&mut r, &mut ahead, &beyond, 0).unwrap();
    }
}

#[test]
fn at_most_65536_numbers_of_an_old_chain_are_derived() {
    let (mut i, mut r, mut ahead, mut random) = pair(b"previous length");
    let mut ahead_i = AddressIndex::new(LOOK_AHEAD);
    let packet = send(&mut i, &mut random);
    deliver(&mut r, &mut ahead, &packet, 0).unwrap();
    let packet = send(&mut r, &mut random);
    deliver(&mut i, &mut ahead_i, &packet, 0).unwrap();
    let packet = send(&mut i, &mut random);
    deliver(&mut r, &mut ahead, &packet, 0).unwrap();
    // 100 more than are derived are lost, and I's next chain begins.
    i.reserve(OLD_NUMBERS_MAX + 100, &mut random).unwrap();
    let packet = send(&mut r, &mut random);
    deliver(&mut i, &mut ahead_i, &packet, 0).unwrap();
    let packet = send(&mut i, &mut random);
    let effects = deliver(&mut r, &mut ahead, &packet, 0).unwrap();
    assert_eq!(effects.lost.given_up, 100);
    assert_eq!(effects.lost.fell_out, u64::from(OLD_NUMBERS_MAX) - SKIPPED_MAX as u64);
    assert_eq!(r.skipped(), SKIPPED_MAX);
}

#[test]
fn numbers_of_a_chain_before_the_step_are_not_given_back() {
    let (mut i, mut r, mut ahead, mut random) = pair(b"give back");
    let mut ahead_i = AddressIndex::new(LOOK_AHEAD);
    let old = r.reserve(3, &mut random).unwrap();
    let packet = send(&mut i, &mut random);
    deliver(&mut r, &mut ahead, &packet, 0).unwrap();
    // The new chain of R has moved exactly as far as the reservation in the old one.
    r.reserve(old.position().number + old.left(), &mut random).unwrap();
    let before = r.state();
    r.give_back(old);
    assert_eq!(r.state(), before);
    let packet = send(&mut r, &mut random);
    deliver(&mut i, &mut ahead_i, &packet, 0).unwrap();
}

#[test]
fn reservations_given_back_in_reverse_leave_no_gap() {
    let (mut i, mut r, mut ahead, mut random) = pair(b"reverse");
    let mut a = i.reserve(3, &mut random).unwrap();
    let b = i.reserve(2, &mut random).unwrap();
    let first = seal(&mut a, &mut random);
    i.give_back(b);
    i.give_back(a);
    let second = send(&mut i, &mut random);
    deliver(&mut r, &mut ahead, &first, 0).unwrap();
    deliver(&mut r, &mut ahead, &second, 0).unwrap();
    assert_eq!(r.skipped(), 0);
    // In order of taking, the first one's numbers count as used.
    let a = i.reserve(3, &mut random).unwrap();
    let b = i.reserve(2, &mut random).unwrap();
    i.give_back(a);
    i.give_back(b);
    let third = send(&mut i, &mut random);
    deliver(&mut r, &mut ahead, &third, 0).unwrap();
    assert_eq!(r.skipped(), 3);
}

#[test]
fn what_was_opened_before_another_was_accepted_is_opened_again() {
    let (mut i, mut r, mut ahead, mut random) = pair(b"opened twice");
    let packets: Vec<Vec<u8>> = (0..3).map(|_| send(&mut i, &mut random)).collect();
    for (first, second) in [(0, 1), (2, 1)] {
        let (Ok(first), Ok(late)) =
            (open(&r, &mut ahead, &packets[first]), open(&r, &mut ahead, &packets[second]))
        else {
            continue; // number 1 came in the first round
        };
        r.accept(&mut ahead, &first, 0).unwrap();
        let before = r.state();
        assert_eq!(r.accept(&mut ahead, &first, 0).err(), Some(RatchetError::Spent));
        assert_eq!(r.accept(&mut ahead, &late, 0).err(), Some(RatchetError::Spent));
        assert_eq!(r.state(), before);
        deliver(&mut r, &mut ahead, &packets[second], 0).unwrap();
    }
    deliver(&mut r, &mut ahead, &packets[2], 0).unwrap();
    assert_eq!(r.skipped(), 0);
}

#[test]
fn at_most_1024_keys_wait_to_be_published() {
    let (mut i, mut r, mut ahead, mut random) = pair(b"reveals");
    let mut addresses = Vec::new();
    for _ in 0..REVEALS_MAX + 10 {
        let packet = send(&mut i, &mut random);
        addresses.push(packet[..32].to_vec());
        deliver(&mut r, &mut ahead, &packet, 0).unwrap();
    }
    assert_eq!(r.unpublished(), (REVEALS_MAX, 10));
    let published: Vec<Vec<u8>> = r.take_published().iter().map(|key| key[..32].to_vec()).collect();
    assert_eq!(published, addresses[10..]);
    assert_eq!(r.unpublished(), (0, 10));
}

/// As many skipped numbers, each in its own chain, and keys that wait for their discard, as
/// possible: calculated from how much a few of them take.
#[test]
fn the_largest_ratchet_stays_below_one_mebibyte() {
    let (mut i, mut r, mut ahead, mut random) = pair(b"largest");
    let mut ahead_i = AddressIndex::new(LOOK_AHEAD);
    r.collect_from_postbox();
    let mut round = |r: &mut Awake| {
        let packet = send_after(&mut i, 1, &mut random);
        deliver(r, &mut ahead, &packet, 0).unwrap();
        let packet = send(r, &mut random);
        deliver(&mut i, &mut ahead_i, &packet, 0).unwrap();
        r.state().len()
    };
    // From the third on, there is an old chain for each.
    round(&mut r);
    round(&mut r);
    let before = round(&mut r);
    let with_key = round(&mut r) - before;
    assert_eq!(round(&mut r), before + 2 * with_key, "linear");
    r.take_collected();
    let base = r.state().len();
    let key = (before + 2 * with_key - base) / 5;
    let largest = base + SKIPPED_MAX * (with_key - key) + REVEALS_MAX * key;
    assert!((800_000..1 << 20).contains(&largest), "{largest}");
}
