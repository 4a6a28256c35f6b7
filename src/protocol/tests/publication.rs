//! What published keys reveal, over random conversations: each is block 0 of a key stream that
//! serves one packet, and no text is encrypted with a block 0.

use std::collections::BTreeSet;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::protocol::crypto::primitives::{TAG, hkdf};
use crate::protocol::packet::{self, ADDRESS, BODY_START};
use crate::protocol::ratchet::address_index::{AddressIndex, LOOK_AHEAD};
use crate::protocol::session::{Outcome, Part, Session};
use crate::protocol::tests::support::{Seeded, asleep, handshake};

/// Bytes of a `ChaCha20` block.
const BLOCK: usize = 64;

/// A text goes one way: the direction, its length in bytes, the value of each byte, how many
/// packets before it are lost, and whether the receiver then publishes, or sleeps.
type Event = (bool, u16, u8, u8, bool, bool);

fn event() -> impl Strategy<Value = Event> {
    (any::<bool>(), 0..20_000_u16, any::<u8>(), 0..3_u8, any::<bool>(), any::<bool>())
}

fn seal(from: &mut Session, text: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut reservation = from.reserve(1, random).unwrap();
    let mut packet = vec![0; packet::size(reservation.fit(text.len(), 12).unwrap())];
    let start = reservation.text_start();
    packet[start..start + text.len()].copy_from_slice(text);
    let part = Part { message: from.begin_message(), offset: 0, end: true, length: text.len() };
    reservation.seal_part(&mut packet, part, random).unwrap();
    packet
}

/// The body key, derived again from the packet key and the packet's salt (section 4).
fn body_key(packet_key: &[u8; 32], packet: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    hkdf(&packet[ADDRESS..ADDRESS + 32], &[packet_key], &[b"otr/1 body"], &mut key);
    key
}

/// Opens and accepts a packet; returns the body's key and the opened packet.
fn receive(to: &mut Session, packet: &[u8]) -> ([u8; 32], Vec<u8>) {
    let mut index = AddressIndex::new(LOOK_AHEAD);
    let address: [u8; ADDRESS] = packet[..ADDRESS].try_into().unwrap();
    let at = index.locate(&to.ratchet, &address).unwrap();
    let keys = to.ratchet.open(at, &mut packet.to_vec()).unwrap().keys;
    let mut opened = packet.to_vec();
    let Ok(Outcome::Accepted(accepted)) = to.open(&mut index, &mut opened, None) else {
        panic!("it has to be accepted")
    };
    to.accept(&mut index, &accepted, 0).unwrap();
    (body_key(keys.packet.bytes(), packet), opened)
}

fn stream(key: &[u8; 32], from: usize, length: usize) -> Vec<u8> {
    let mut stream = vec![0; length];
    let mut cipher = ChaCha20::new(&(*key).into(), &[0; 12].into());
    cipher.seek(from as u64);
    cipher.apply_keystream(&mut stream);
    stream
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_published_key_is_block_0_and_no_text_is(seed: u64, events in vec(event(), 1..30)) {
        let mut random = Seeded::numbered(seed);
        let (inviter, responder) = handshake(None, &mut random);
        let mut ends = [inviter, responder];
        let mut keys = BTreeSet::new();
        // By side: what it has received and not published yet.
        let mut owed = [BTreeSet::new(), BTreeSet::new()];
        for (side, length, fill, lost, publishes, sleeps) in events {
            let (from, to) = if side { (0, 1) } else { (1, 0) };
            for _ in 0..lost {
                seal(&mut ends[from], b"lost", &mut random);
            }
            let text = vec![fill; usize::from(length)];
            let packet = seal(&mut ends[from], &text, &mut random);
            let (key, opened) = receive(&mut ends[to], &packet);
            prop_assert!(keys.insert(key), "no two packets share a key stream");
            let body = packet::body(&opened);
            prop_assert!(body.windows(text.len().max(1)).any(|part| part == text) || length == 0);
            let sealed: Vec<u8> =
                body.iter().zip(stream(&key, BLOCK, body.len())).map(|(a, b)| a ^ b).collect();
            prop_assert!(sealed == packet[BODY_START..packet.len() - TAG], "blocks from 1 on");
            owed[to].insert([&packet[..ADDRESS], &stream(&key, 0, 32)].concat());
            if sleeps {
                // The queue has lost nothing.
                let [inviter, responder] = ends;
                ends = [asleep(inviter), asleep(responder)];
            }
            if publishes {
                let published: BTreeSet<Vec<u8>> =
                    ends[to].take_published().iter().map(|key| key.to_vec()).collect();
                prop_assert!(published == owed[to], "block 0 of what was received, and all of it");
                owed[to].clear();
            }
        }
        for (end, owed) in ends.iter_mut().zip(owed) {
            let published = end.take_published();
            prop_assert!(published.iter().map(|key| key.to_vec()).collect::<BTreeSet<_>>() == owed);
        }
    }
}
