//! Two ends of a pipe over a network that loses, doubles and reorders packets, ends processes, and is
//! judged by what came out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chunk::{Chunk, Pool};
use super::{Breach, Due, Given, Opened, Streams, WINDOW_ALL, WINDOW_MOST};
use crate::protocol::packet::frame::parse;
use crate::protocol::packet::pipe::{
    Head, PipeFrames, StreamPart, Taken, put_pipe, put_stream_head, put_taken,
};
use crate::protocol::ratchet::skipped::Position;
use proptest::prelude::*;
use zeroize::Zeroizing;

/// One end, with the program that uses it.
struct End {
    streams: Streams,
    /// What came out of each stream, and whether it ended.
    got: BTreeMap<u64, (Vec<u8>, bool)>,
    closed: BTreeMap<u64, bool>,
    sent: u32,
}

impl End {
    fn new(run: u64, accepts: bool) -> Self {
        let streams = Streams::new(run, accepts);
        Self { streams, got: BTreeMap::new(), closed: BTreeMap::new(), sent: 0 }
    }

    /// The next packet, if one is due at `now`.
    fn packet(&mut self, now: Duration, room: usize) -> Option<(Position, Vec<u8>)> {
        match self.streams.due(now) {
            Due::Now => {}
            Due::At(at) if at <= now => {}
            _ => return None,
        }
        let mut body = vec![0; room];
        let length = self.streams.fill(&mut body);
        assert!(length > 0 && length <= self.streams.wanted().max(length));
        self.sent += 1;
        Some((Position { chain: 0, number: self.sent }, body))
    }

    fn came(&mut self, packet: &(Position, Vec<u8>), now: Duration) -> Result<bool, Breach> {
        let frames = parse(&packet.1).unwrap().pipe.unwrap();
        let mut body = Zeroizing::new(packet.1.clone());
        let came = self.streams.came(packet.0, &frames, &mut Opened::new(&mut body, 0), now)?;
        Ok(came.began_anew)
    }

    /// The program takes up to `some` parts of each stream.
    fn read(&mut self, numbers: &[u64], some: usize, now: Duration) {
        for number in numbers {
            for _ in 0..some {
                let (text, ended) = self.got.entry(*number).or_default();
                match self.streams.give(*number) {
                    Ok(Given::Bytes(bytes)) => {
                        assert!(!*ended);
                        text.extend_from_slice(&bytes);
                        self.streams.took(*number, Some(bytes), now);
                    }
                    Ok(Given::End) => {
                        *ended = true;
                        self.streams.took(*number, None, now);
                    }
                    Ok(Given::Nothing) | Err(_) => break,
                }
            }
        }
        self.closed.extend(self.streams.take_closed());
    }
}

fn text(seed: u64, length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 11).to_le_bytes()[0])
        .collect()
}

fn chunk(bytes: &[u8]) -> Chunk {
    let mut chunk = Pool::default().take();
    chunk.space()[..bytes.len()].copy_from_slice(bytes);
    chunk.filled(bytes.len());
    chunk
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// A small generator, so that a failing schedule can be run again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

/// Both programs write `lengths` to their streams over a network with these faults, of 100; returns how
/// many packets it took.
fn run(seed: u64, lengths: &[(usize, usize)], loss: u64, doubled: u64, disorder: u64) -> u32 {
    let mut dice = Dice(seed);
    let mut ends = [End::new(11, false), End::new(22, false)];
    let numbers: Vec<u64> = (0..lengths.len() as u64).collect();
    for end in &mut ends {
        for number in &numbers {
            assert_eq!(end.streams.open(), Some(*number));
        }
        end.streams.open_no_more();
    }
    let whole = |side: usize, number: u64| {
        let (first, second) = lengths[index(number)];
        text(number * 2 + side as u64, if side == 0 { first } else { second })
    };
    let mut written = [vec![0; lengths.len()], vec![0; lengths.len()]];
    let mut wires: [Vec<(Position, Vec<u8>)>; 2] = [Vec::new(), Vec::new()];
    let mut now = Duration::ZERO;
    for round in 0..20_000_u64 {
        now += Duration::from_millis(dice.below(7));
        for side in 0..2 {
            for number in &numbers {
                let all = whole(side, *number);
                let at: &mut usize = &mut written[side][index(*number)];
                if *at > all.len() || !matches!(ends[side].streams.has_room(*number), Ok(true)) {
                    continue;
                }
                let some = index(dice.below(40_000)).min(all.len() - *at);
                let chunk = chunk(&all[*at..*at + some]);
                ends[side].streams.write(*number, chunk).unwrap();
                *at += some;
                if *at == all.len() {
                    ends[side].streams.end(*number).unwrap();
                    *at += 1;
                }
            }
            let some = index(dice.below(3));
            ends[side].read(&numbers, some, now);
            let room = 1 << (12 + dice.below(7));
            if let Some(packet) = ends[side].packet(now, room)
                && dice.below(100) >= loss
            {
                if dice.below(100) < doubled {
                    wires[side].push(packet.clone());
                }
                wires[side].push(packet);
            }
            let mut arriving = std::mem::take(&mut wires[1 - side]);
            if dice.below(100) < disorder {
                arriving.reverse();
            }
            for packet in arriving {
                assert_eq!(ends[side].came(&packet, now), Ok(false));
            }
            // Where nothing is on its way any more and something is not taken, it was lost.
            if round % 50 == 49 && !ends[side].streams.is_settled() {
                ends[side].streams.lost();
            }
        }
        if ends.iter().all(|end| end.streams.is_done()) {
            for (side, end) in ends.iter_mut().enumerate() {
                for number in &numbers {
                    let (got, ended) = &end.got[number];
                    assert!(*ended && *got == whole(1 - side, *number), "stream {number}");
                }
                end.read(&[], 0, now);
                assert!(numbers.iter().all(|number| end.closed.get(number) == Some(&true)));
            }
            return ends[0].sent + ends[1].sent;
        }
    }
    panic!("it does not end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn streams_arrive_whole_whatever_the_network_does(
        seed: u64,
        lengths in prop::collection::vec((0..400_000_usize, 0..60_000_usize), 1..5),
        loss in 0..25_u64,
        doubled in 0..40_u64,
        disorder in 0..60_u64,
    ) {
        run(seed, &lengths, loss, doubled, disorder);
    }
}

#[test]
fn an_exchange_of_single_bytes_takes_one_packet_each() {
    let mut ends = [End::new(1, false), End::new(2, false)];
    for end in &mut ends {
        end.streams.open().unwrap();
        end.streams.open_no_more();
    }
    let mut now = Duration::ZERO;
    let pass = |ends: &mut [End; 2], from: usize, now: Duration| {
        let mut count = 0;
        while let Some(packet) = ends[from].packet(now, 1600) {
            ends[1 - from].came(&packet, now).unwrap();
            count += 1;
        }
        count
    };
    for _ in 0..3 {
        for side in [0, 1] {
            pass(&mut ends, side, now);
        }
    }
    for turn in 0..100 {
        let side = turn % 2;
        now += Duration::from_millis(1);
        ends[side].streams.write(0, chunk(&[7])).unwrap();
        assert_eq!(pass(&mut ends, side, now), 1, "{turn}");
        ends[1 - side].read(&[0], 1, now);
        // The word that it was taken leaves with the answer.
        assert!(matches!(ends[1 - side].streams.due(now), Due::At(_)));
    }
    assert_eq!(ends[0].got[&0].0.len(), 50);
}

#[test]
fn a_program_that_stops_reading_stops_the_other_from_writing() {
    let mut ends = [End::new(1, false), End::new(2, false)];
    for end in &mut ends {
        end.streams.open().unwrap();
        end.streams.open_no_more();
    }
    let mut now = Duration::ZERO;
    let mut written = 0_u64;
    for _ in 0..2_000 {
        now += Duration::from_millis(30);
        while ends[0].streams.has_room(0) == Ok(true) {
            ends[0].streams.write(0, chunk(&vec![1; 64 << 10])).unwrap();
            written += 64 << 10;
        }
        for side in [0, 1] {
            while let Some(packet) = ends[side].packet(now, 1 << 16) {
                ends[1 - side].came(&packet, now).unwrap();
            }
        }
    }
    assert!(written <= WINDOW_MOST + (64 << 10), "{written}");
    const { assert!(WINDOW_MOST <= WINDOW_ALL) }
    // And goes on when it reads again.
    ends[1].read(&[0], 1_000, now);
    let packet = ends[1].packet(now, 4096).unwrap();
    ends[0].came(&packet, now).unwrap();
    assert_eq!(ends[0].streams.has_room(0), Ok(true));
}

/// Lets both ends say all they have.
fn settle(ends: &mut [End; 2], now: Duration) -> bool {
    let mut anew = false;
    for _ in 0..6 {
        for side in [0, 1] {
            while let Some(packet) = ends[side].packet(now, 8192) {
                anew |= ends[1 - side].came(&packet, now).unwrap();
            }
        }
    }
    anew
}

#[test]
fn a_process_that_begins_anew_gets_nothing_of_the_one_before() {
    let now = Duration::from_secs(1);
    let mut ends = [End::new(1, false), End::new(2, true)];
    ends[1].streams.open_no_more();
    ends[0].streams.open().unwrap();
    ends[0].streams.write(0, chunk(b"old")).unwrap();
    settle(&mut ends, now);
    ends[0].streams.write(0, chunk(b" late")).unwrap();
    let late = ends[0].packet(now, 4096).unwrap();
    // The first end's process is killed, and another one takes its place.
    let sent = ends[0].sent;
    ends[0] = End { sent, ..End::new(3, false) };
    ends[0].streams.open().unwrap();
    ends[0].streams.write(0, chunk(b"new")).unwrap();
    assert!(settle(&mut ends, now), "the other end learns it");
    assert_eq!(ends[1].came(&late, now), Ok(false));
    ends[1].read(&[0], 3, now);
    assert_eq!(ends[1].got[&0].0, b"new");
    assert_eq!(ends[1].closed.get(&0), Some(&false));
}

#[test]
fn a_hello_of_a_process_that_is_gone_is_no_partner() {
    let now = Duration::from_secs(1);
    let mut dead = End::new(9, false);
    let hello = dead.packet(now, 4096).unwrap();
    let mut ends = [End::new(1, false), End::new(2, false)];
    ends[1].sent = dead.sent;
    for end in &mut ends {
        end.streams.open().unwrap();
        end.streams.open_no_more();
    }
    assert_eq!(ends[0].came(&hello, now), Ok(false));
    ends[0].streams.write(0, chunk(b"to the living")).unwrap();
    assert!(!settle(&mut ends, now), "nobody has begun anew");
    ends[1].read(&[0], 3, now);
    assert_eq!(ends[1].got[&0].0, b"to the living");
}

#[test]
fn a_stream_that_is_broken_off_is_broken_at_both_ends() {
    let now = Duration::from_secs(1);
    let mut ends = [End::new(1, false), End::new(2, true)];
    ends[1].streams.open_no_more();
    for _ in 0..2 {
        let number = ends[0].streams.open().unwrap();
        ends[0].streams.write(number, chunk(&[3; 10])).unwrap();
    }
    settle(&mut ends, now);
    ends[1].streams.abort(0);
    settle(&mut ends, now);
    for end in &mut ends {
        end.read(&[], 0, now);
        assert_eq!(end.closed.get(&0), Some(&false));
        assert!(end.streams.write(0, chunk(&[1])).is_err());
        assert_eq!(end.streams.has_room(1), Ok(true));
    }
}

/// What `tests/vectors/own/pipe.json` says of the frames of a pipe: their bytes, and what they mean.
#[test]
fn the_vectors_hold() {
    use serde_json::Value;

    let file = include_str!("../../../tests/vectors/own/pipe.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let bytes = |value: &Value| {
        let text = value.as_str().unwrap();
        let digits = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16));
        digits.collect::<Result<Vec<u8>, _>>().unwrap()
    };
    let mut made = 0;
    for packet in file["bodies"].as_array().unwrap() {
        let mut body = Vec::new();
        let head = &packet["pipe"];
        let head = Head {
            from: number(&head["from"]),
            to: number(&head["to"]),
            last: head["last"].as_bool().unwrap(),
            over: head["over"].as_bool().unwrap(),
        };
        put_pipe(&mut body, &head);
        for taken in packet["taken"].as_array().unwrap() {
            let frame = Taken {
                stream: number(&taken["stream"]),
                taken: number(&taken["taken"]),
                limit: number(&taken["limit"]),
                end: taken["end"].as_bool().unwrap(),
                gone: taken["gone"].as_bool().unwrap(),
            };
            put_taken(&mut body, &frame);
        }
        for part in packet["stream"].as_array().unwrap() {
            let text = bytes(&part["bytes"]);
            let frame = StreamPart {
                stream: number(&part["stream"]),
                offset: number(&part["offset"]),
                end: part["end"].as_bool().unwrap(),
                abort: part["abort"].as_bool().unwrap(),
                bytes: 0..text.len(),
            };
            put_stream_head(&mut body, &frame);
            body.extend_from_slice(&text);
        }
        assert_eq!(body, bytes(&packet["body"]), "{packet}");
        let read = parse(&body).unwrap().pipe.unwrap();
        assert_eq!(read.head, head);
        assert_eq!(read.taken.len(), packet["taken"].as_array().unwrap().len());
        for (part, told) in read.parts.iter().zip(packet["stream"].as_array().unwrap()) {
            assert_eq!(body[part.bytes.clone()], bytes(&told["bytes"]));
        }
        made += 1;
    }
    let refused = file["refused"].as_array().unwrap();
    for one in refused {
        assert!(parse(&bytes(&one["body"])).is_err(), "{one}");
    }
    assert!(made >= 6 && refused.len() >= 8);
}

#[test]
fn what_breaks_the_rules_ends_the_pipe() {
    let now = Duration::ZERO;
    let at = |number| Position { chain: 0, number };
    let frames = |put: &dyn Fn(&mut Vec<u8>)| {
        let mut body = Vec::new();
        put_pipe(&mut body, &Head { from: 5, to: 1, last: false, over: false });
        put(&mut body);
        body
    };
    let part =
        |offset, length, end| StreamPart { stream: 0, offset, end, abort: false, bytes: 0..length };
    let bodies: [Vec<u8>; 4] = [
        // Beyond what may be sent.
        frames(&|body| {
            put_stream_head(body, &part(u64::from(u32::MAX), 1, false));
            body.push(0);
        }),
        // Two ends.
        frames(&|body| {
            put_stream_head(body, &part(4, 0, true));
            put_stream_head(body, &part(5, 0, true));
        }),
        // More taken than was written.
        frames(&|body| {
            let taken = Taken { stream: 0, taken: 7, limit: 9, end: false, gone: false };
            put_taken(body, &taken);
        }),
        // The end taken before there is one.
        frames(&|body| {
            let taken = Taken { stream: 0, taken: 0, limit: 9, end: true, gone: false };
            put_taken(body, &taken);
        }),
    ];
    for (nth, body) in bodies.iter().enumerate() {
        let mut streams = Streams::new(1, false);
        streams.open().unwrap();
        let frames: PipeFrames = parse(body).unwrap().pipe.unwrap();
        let mut body = Zeroizing::new(body.clone());
        let came = streams.came(at(1), &frames, &mut Opened::new(&mut body, 0), now);
        assert_eq!(came.err(), Some(Breach), "{nth}");
    }
}
