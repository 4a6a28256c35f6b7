//! Two ends and the channel between them, which loses, doubles, delays and forges; and the checks
//! that hold after every event.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chacha20poly1305::KeyInit;
use otr::protocol::deniability::forge;
use otr::protocol::packet::{self, BODY_START};
use otr::protocol::ratchet::address_index::AddressIndex;
use otr::protocol::ratchet::skipped::Position;
use otr::protocol::session::{
    Outcome, Part, Refusal, Reservation, body, close_frames, nothing_frames,
};
use poly1305::Poly1305;

use crate::common::{Awake, Seeded, handshake, short_sighted};

/// What happens next. `side` is the one that acts; indices are taken modulo what there is.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A message of `length` bytes in parts of at most 2^`largest`, numbers taken `batch` at a time,
    /// begins; one that is going on is sealed to its end first.
    Begin {
        side: bool,
        length: usize,
        largest: u8,
        batch: u32,
    },
    /// The next `parts` of it, maybe under numbers taken before a step.
    Continue {
        side: bool,
        parts: usize,
    },
    /// The sender crashes; numbers that it took are never used.
    Crash {
        side: bool,
    },
    /// A packet that says nothing.
    Nothing {
        side: bool,
    },
    Deliver {
        side: bool,
        which: usize,
        how: Delivery,
    },
    /// The packet that was sent first of those on their way.
    DeliverOldest {
        side: bool,
    },
    Lose {
        side: bool,
        which: usize,
    },
    /// A packet that came before comes again.
    Again {
        side: bool,
        which: usize,
    },
    Flip {
        side: bool,
        which: usize,
        bit: usize,
    },
    /// Bytes of a relay, under an address of a packet on its way or of none.
    Junk {
        side: bool,
        which: Option<usize>,
        k: u8,
    },
    Restart {
        side: bool,
    },
    /// The keys that wait leave.
    Publish {
        side: bool,
    },
}

/// What happens between opening and accepting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Delivery {
    AtOnce,
    /// The receiver sends (and so may take a step) in between.
    SendBetween,
    /// The receiver stops after opening; the state is read again and the packet opened again.
    OpenTwice,
}

pub(crate) type Packet = Rc<Vec<u8>>;

struct Sent {
    text: Vec<u8>,
    packets: Vec<Packet>,
    progress: Progress,
}

#[derive(PartialEq)]
enum Progress {
    Going,
    Finished,
    Crashed,
}

/// A message that is going on.
struct Going {
    largest: u8,
    batch: u32,
    offset: usize,
    numbers: Option<Reservation>,
}

struct End {
    session: Awake,
    index: AddressIndex,
    /// Messages that this end sent.
    sent: Vec<Sent>,
    going: Option<Going>,
    /// What came of each message of the peer.
    came: BTreeMap<u64, Vec<u8>>,
    whole: BTreeSet<u64>,
    given_up: BTreeSet<u64>,
    held: Vec<(u64, Position, Packet)>,
    accepted: BTreeMap<[u8; 32], Packet>,
    published: BTreeSet<[u8; 32]>,
}

pub(crate) struct Pair {
    ends: [End; 2],
    /// On their way to side 0 and 1.
    channels: [Vec<Packet>; 2],
    random: Seeded,
    now: u64,
}

fn address(packet: &[u8]) -> [u8; 32] {
    packet[..32].try_into().unwrap()
}

impl Pair {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Seeded::new(&seed.to_be_bytes());
        let ends = handshake(&mut random).map(|session| End {
            session,
            index: short_sighted(),
            sent: Vec::new(),
            going: None,
            came: BTreeMap::new(),
            whole: BTreeSet::new(),
            given_up: BTreeSet::new(),
            held: Vec::new(),
            accepted: BTreeMap::new(),
            published: BTreeSet::new(),
        });
        Self { ends, channels: [Vec::new(), Vec::new()], random, now: 1 }
    }

    pub(crate) fn run(&mut self, event: &Event) {
        self.now += 1;
        match *event {
            Event::Begin { side, length, largest, batch } => {
                self.begin(side.into(), length, largest, batch);
            }
            Event::Continue { side, parts } => self.seal(side.into(), parts),
            Event::Crash { side } => self.crash(side.into()),
            Event::Nothing { side } => self.nothing(side.into()),
            Event::Deliver { side, which, how } => {
                if let Some(packet) = self.take(side.into(), which) {
                    self.deliver(side.into(), &packet, how);
                }
            }
            Event::DeliverOldest { side } => {
                if let Some(packet) = self.take(side.into(), 0) {
                    self.deliver(side.into(), &packet, Delivery::AtOnce);
                }
            }
            Event::Lose { side, which } => {
                self.take(side.into(), which);
            }
            Event::Again { side, which } => self.again(side.into(), which),
            Event::Flip { side, which, bit } => self.flip(side.into(), which, bit),
            Event::Junk { side, which, k } => self.junk(side.into(), which, k),
            Event::Restart { side } => self.restart(side.into()),
            Event::Publish { side } => self.publish(side.into()),
        }
    }

    pub(crate) fn on_the_way(&self, to: bool) -> usize {
        self.channels[usize::from(to)].len()
    }

    fn take(&mut self, to: usize, which: usize) -> Option<Packet> {
        let channel = &mut self.channels[to];
        (!channel.is_empty()).then(|| channel.remove(which % channel.len()))
    }

    fn begin(&mut self, from: usize, length: usize, largest: u8, batch: u32) {
        self.seal(from, usize::MAX);
        let text = self.random.bytes(length);
        let end = &mut self.ends[from];
        assert_eq!(end.session.begin_message(), end.sent.len() as u64);
        end.sent.push(Sent { text, packets: Vec::new(), progress: Progress::Going });
        end.going = Some(Going { largest, batch, offset: 0, numbers: None });
    }

    /// Seals the next parts of the message that is going on, if one is.
    fn seal(&mut self, from: usize, parts: usize) {
        for _ in 0..parts {
            let end = &mut self.ends[from];
            let Some(mut going) = end.going.take() else { return };
            let message = end.sent.len() as u64 - 1;
            let Some(sent) = end.sent.last_mut() else { return };
            let mut numbers = match going.numbers.take() {
                Some(numbers) if numbers.left() > 0 => numbers,
                _ => end.session.reserve(going.batch, &mut self.random).unwrap(),
            };
            let rest = &sent.text[going.offset..];
            let length = rest.len().min(numbers.room(going.largest));
            let mut packet = self.random.bytes(packet::size(numbers.fit(length, 12).unwrap()));
            let start = numbers.text_start();
            packet[start..start + length].copy_from_slice(&rest[..length]);
            let last = length == rest.len();
            let part = Part { message, offset: going.offset as u64, end: last, length };
            numbers.seal_part(&mut packet, part, &mut self.random).unwrap();
            let packet = Rc::new(packet);
            sent.packets.push(packet.clone());
            self.channels[1 - from].push(packet);
            if last {
                sent.progress = Progress::Finished;
                end.session.give_back(numbers);
                return;
            }
            going.offset += length;
            going.numbers = Some(numbers);
            end.going = Some(going);
        }
    }

    fn crash(&mut self, side: usize) {
        if self.ends[side].going.take().is_some()
            && let Some(sent) = self.ends[side].sent.last_mut()
        {
            sent.progress = Progress::Crashed;
        }
    }

    fn nothing(&mut self, from: usize) {
        let mut numbers = self.ends[from].session.reserve(2, &mut self.random).unwrap();
        let packet = numbers.seal_frames(12, &nothing_frames(), &mut self.random).unwrap();
        self.ends[from].session.give_back(numbers);
        self.channels[1 - from].push(Rc::new(packet.into()));
    }

    /// A packet that is real and comes for the first time: it is accepted or held.
    fn deliver(&mut self, to: usize, packet: &Packet, how: Delivery) {
        assert!(!self.ends[to].accepted.contains_key(&address(packet)), "delivered once");
        if how == Delivery::OpenTwice {
            let end = &mut self.ends[to];
            let before = end.session.state();
            let opened = end.session.open(&mut end.index, &mut packet.to_vec(), None);
            assert!(opened.is_ok());
            assert_eq!(end.session.state(), before, "opening changes nothing");
            self.restart(to);
        }
        self.open(to, packet, how == Delivery::SendBetween);
        self.try_held(to);
        self.check(to);
    }

    /// Opens and accepts; whether it was accepted, not held.
    fn open(&mut self, to: usize, packet: &Packet, send_between: bool) -> bool {
        let end = &mut self.ends[to];
        let mut bytes = packet.to_vec();
        match end.session.open(&mut end.index, &mut bytes, None).unwrap() {
            Outcome::Held { message, at, .. } => {
                assert_eq!(bytes, **packet, "sealed again as it was");
                if !end.held.iter().any(|(_, held, _)| *held == at) {
                    end.held.push((message, at, packet.clone()));
                }
                false
            }
            Outcome::Accepted(accepted) => {
                if send_between {
                    self.nothing(to);
                }
                let end = &mut self.ends[to];
                let effects = end.session.accept(&mut end.index, &accepted, self.now).unwrap();
                assert_eq!(effects.lost.fell_out + effects.lost.given_up, 0);
                assert!(effects.truncated.is_empty());
                let twice = end.accepted.insert(address(packet), packet.clone());
                assert!(twice.is_none(), "accepted once");
                if let Some(data) = &accepted.frames.data {
                    let text = &body(&bytes)[data.text.clone()];
                    self.part(to, data.message, data.offset, data.end, text, accepted.dropped);
                }
                true
            }
        }
    }

    fn part(
        &mut self,
        to: usize,
        message: u64,
        offset: u64,
        end: bool,
        text: &[u8],
        dropped: bool,
    ) {
        let [a, b] = &mut self.ends;
        let (receiver, sender) = if to == 0 { (a, b) } else { (b, a) };
        assert_eq!(dropped, receiver.given_up.contains(&message));
        if dropped {
            return;
        }
        assert!(!receiver.whole.contains(&message), "nothing after the end");
        let came = receiver.came.entry(message).or_default();
        assert_eq!(came.len() as u64, offset);
        came.extend_from_slice(text);
        let sent = &sender.sent[usize::try_from(message).unwrap()];
        assert!(sent.text.starts_with(came), "byte for byte");
        if end {
            assert_eq!(*came, sent.text, "byte for byte");
            receiver.whole.insert(message);
        }
    }

    /// What a reader does after each packet: tries held parts, then gives up hopeless messages.
    fn try_held(&mut self, to: usize) {
        loop {
            while let Some(at) = {
                let held: Vec<Packet> =
                    self.ends[to].held.iter().map(|(_, _, packet)| packet.clone()).collect();
                held.iter().position(|packet| self.open(to, packet, false))
            } {
                self.ends[to].held.remove(at);
            }
            let held: Vec<(u64, Position)> =
                self.ends[to].held.iter().map(|(message, at, _)| (*message, *at)).collect();
            let hopeless = self.ends[to].session.hopeless(&held);
            if hopeless.is_empty() {
                return;
            }
            for message in hopeless {
                assert!(self.can_never_be_whole(to, message), "{message} was given up too early");
                self.ends[to].session.give_up(message);
                self.ends[to].given_up.insert(message);
            }
        }
    }

    fn can_never_be_whole(&self, to: usize, message: u64) -> bool {
        let sent = &self.ends[1 - to].sent[usize::try_from(message).unwrap()];
        let lost = sent.packets.iter().any(|packet| {
            let end = &self.ends[to];
            !end.accepted.contains_key(&address(packet))
                && !end.held.iter().any(|(_, _, held)| Rc::ptr_eq(held, packet))
                && !self.channels[to].iter().any(|coming| Rc::ptr_eq(coming, packet))
        });
        lost || sent.progress == Progress::Crashed
    }

    fn again(&mut self, to: usize, which: usize) {
        let end = &mut self.ends[to];
        let held = end.held.iter().map(|(_, _, packet)| packet);
        let known: Vec<Packet> = end.accepted.values().chain(held).cloned().collect();
        if known.is_empty() {
            return;
        }
        let packet = &known[which % known.len()];
        if end.accepted.contains_key(&address(packet)) {
            self.refused(to, packet.to_vec(), Some(Refusal::NotOurs));
        } else {
            assert!(!self.open(to, packet, false), "still held");
        }
    }

    fn flip(&mut self, to: usize, which: usize, bit: usize) {
        let channel = &self.channels[to];
        if !channel.is_empty() {
            let mut packet = channel[which % channel.len()].to_vec();
            let bit = bit % (packet.len() * 8);
            packet[bit / 8] ^= 1 << (bit % 8);
            self.refused(to, packet, None);
        }
    }

    fn junk(&mut self, to: usize, which: Option<usize>, k: u8) {
        let mut packet = self.random.bytes(packet::size(k));
        let channel = &self.channels[to];
        if let Some(which) = which.filter(|_| !channel.is_empty()) {
            packet[..32].copy_from_slice(&channel[which % channel.len()][..32]);
        }
        self.refused(to, packet, None);
    }

    fn refused(&mut self, to: usize, mut packet: Vec<u8>, expected: Option<Refusal>) {
        let end = &mut self.ends[to];
        let before = end.session.state();
        let refusal = end.session.open(&mut end.index, &mut packet, None).err();
        assert!(refusal.is_some());
        assert!(expected.is_none() || refusal == expected, "{refusal:?}");
        assert_ne!(refusal, Some(Refusal::CommitmentBroken), "no stranger ends a session");
        assert_eq!(end.session.state(), before);
    }

    fn restart(&mut self, side: usize) {
        let end = &mut self.ends[side];
        let bytes = end.session.state();
        end.session = Awake::from_state(&bytes);
        end.index = short_sighted();
        assert_eq!(end.session.state(), bytes);
    }

    fn publish(&mut self, side: usize) {
        for published in self.ends[side].session.take_published() {
            let (address, key): ([u8; 32], [u8; 32]) =
                (published[..32].try_into().unwrap(), published[32..].try_into().unwrap());
            let end = &mut self.ends[side];
            let packet = end.accepted.get(&address).expect("only keys of packets received").clone();
            assert!(end.published.insert(address), "published once");
            assert_eq!(poly1305_tag(&key, &packet), packet[packet.len() - 16..]);
            self.refused(side, packet.to_vec(), Some(Refusal::NotOurs));
            let bit = self.random.bytes(1)[0] | 1;
            let forged = forge::rewrite(&published, &packet, BODY_START, &[0], &[bit]).unwrap();
            assert!(forge::verifies(&published, &forged) && *forged != **packet);
            self.refused(side, forged.into(), Some(Refusal::NotOurs));
        }
    }

    fn check(&mut self, side: usize) {
        let end = &self.ends[side];
        assert!(end.session.skipped() <= 4096);
        assert_eq!(end.session.lost(), 0);
        assert_eq!(end.session.received(), end.whole.len() as u64);
    }

    /// All that is on its way comes, latest first; then both sides speak, and close.
    pub(crate) fn finish(&mut self) {
        for side in [0, 1] {
            self.seal(side, usize::MAX);
        }
        for to in [0, 1] {
            while let Some(packet) = self.channels[to].pop() {
                self.deliver(to, &packet, Delivery::AtOnce);
            }
        }
        for side in [0, 1, 0, 1] {
            self.begin(side, 100, 12, 1);
            self.seal(side, 1);
            self.run(&Event::DeliverOldest { side: side == 0 });
            let last = self.ends[side].sent.len() as u64 - 1;
            assert!(self.ends[1 - side].whole.contains(&last), "both understand each other");
        }
        for side in [0, 1] {
            let mut numbers = self.ends[side].session.reserve(1, &mut self.random).unwrap();
            let frames = close_frames(self.ends[side].session.sent());
            let packet = numbers.seal_frames(12, &frames, &mut self.random).unwrap();
            self.deliver(1 - side, &Rc::new(packet.into()), Delivery::AtOnce);
            assert!(self.ends[1 - side].session.peer_closed());
        }
        for side in [0, 1] {
            self.publish(side);
            assert_eq!(self.ends[side].published.len(), self.ends[side].accepted.len());
            assert!(self.ends[side].session.state().len() < 1 << 20);
            self.accounts(side);
        }
    }

    /// Every message is whole, byte for byte, if all of it arrived, and known to be missing or
    /// unfinished if not.
    fn accounts(&self, to: usize) {
        let (receiver, sender) = (&self.ends[to], &self.ends[1 - to]);
        let missing = receiver.session.missing();
        let unfinished = receiver.session.unfinished();
        for (number, sent) in (0..).zip(&sender.sent) {
            let arrived = |packet: &Packet| {
                receiver.accepted.contains_key(&address(packet))
                    || receiver.held.iter().any(|(_, _, held)| Rc::ptr_eq(held, packet))
            };
            let complete = sent.progress == Progress::Finished && sent.packets.iter().all(arrived);
            let whole = receiver.whole.contains(&number);
            assert_eq!(whole, complete, "message {number}");
            let reported = missing.iter().any(|(first, last)| (*first..=*last).contains(&number))
                || unfinished.contains(&number);
            assert_eq!(reported, !whole, "message {number}");
        }
    }
}

/// Poly1305 over a packet's body as RFC 8439, section 2.8, has it.
fn poly1305_tag(key: &[u8; 32], packet: &[u8]) -> [u8; 16] {
    let (front, rest) = packet.split_at(BODY_START);
    let body = &rest[..rest.len() - 16];
    let mut input = front.to_vec();
    input.resize(input.len().next_multiple_of(16), 0);
    input.extend_from_slice(body);
    input.resize(input.len().next_multiple_of(16), 0);
    input.extend_from_slice(&(front.len() as u64).to_le_bytes());
    input.extend_from_slice(&(body.len() as u64).to_le_bytes());
    let tag = Poly1305::new_from_slice(key).unwrap().compute_unpadded(&input);
    <[u8; 16]>::try_from(&tag[..]).unwrap()
}
