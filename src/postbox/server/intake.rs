//! Reads packets from a body, one by one, as its bytes arrive.
//!
//! The bytes go straight into a packet's blocks: neither a line nor a packet is ever held twice,
//! and the part of a packet that has arrived is charged to the memory cap before the rest arrives.

use super::form::record_of_line;
use crate::armor::marks::{
    KEY_LEAD, KEY_LINE, PACKET_LEAD, PACKET_LINE, REPLY_LINE, WORK_LEAD, WORK_LINE,
};
use crate::postbox::api::{MAX_PACKET, MIN_PACKET};
use crate::postbox::storage::budget::Budget;
use crate::postbox::storage::packet::{Filling, Overflow, Packet};
use crate::postbox::work::{PROOF, Proof};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

/// Length of a line's prefix, bytes; all prefixes have the same.
const PREFIX: usize = PACKET_LINE.len();
/// Characters that are decoded at a time: a multiple of four, on the stack.
const PIECE: usize = 4096;
/// Characters of a proof's line, behind its prefix.
const PROOF_LINE: usize = (PROOF * 4).div_ceil(3);

/// Why a body is read no further.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Not a packet, or not a whole one.
    NotAPacket,
    /// A published key: keys go with `discard`, never beside packets.
    PublishedKey,
    /// Larger than this postbox takes.
    TooLarge,
    /// The memory cap is reached.
    Full,
}

impl From<Overflow> for Unfit {
    fn from(why: Overflow) -> Self {
        match why {
            Overflow::Full => Self::Full,
            Overflow::TooLarge => Self::TooLarge,
        }
    }
}

/// The position in the body.
enum Stage {
    /// Between packets.
    Between,
    /// In a raw packet of this size.
    Raw(Filling, usize),
    /// In the prefix of a line.
    Prefix([u8; PREFIX], usize),
    /// In a line's base64url, with up to three characters that await a fourth.
    Line(Filling, [u8; 4], usize),
    /// In a raw proof.
    Proof(Proof, usize),
    /// In the line of a proof.
    ProofLine([u8; PROOF_LINE], usize),
}

/// A body that is arriving.
pub(crate) struct Intake {
    budget: Arc<Budget>,
    max: usize,
    stage: Stage,
    proof: Option<Proof>,
}

impl Intake {
    /// A body of packets of at most `max` bytes.
    pub(crate) fn new(budget: &Arc<Budget>, max: usize) -> Self {
        Self { budget: Arc::clone(budget), max, stage: Stage::Between, proof: None }
    }

    /// The proof that preceded the packet that is whole now, if there was one.
    pub(crate) fn take_proof(&mut self) -> Option<Proof> {
        self.proof.take()
    }

    /// Bytes of the packet that has begun; 0 between two packets.
    pub(crate) fn begun(&self) -> usize {
        match &self.stage {
            Stage::Between => 0,
            Stage::Raw(filling, _) | Stage::Line(filling, ..) => filling.len().max(1),
            _ => 1,
        }
    }

    /// Takes bytes from the front of `input` until a packet is whole or the input is used up.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Packet>, Unfit> {
        while !input.is_empty() {
            match &mut self.stage {
                Stage::Between => self.begin(input)?,
                Stage::Raw(filling, size) => {
                    filling.push(front(input, *size - filling.len()))?;
                    if filling.len() == *size {
                        return self.finish().map(Some);
                    }
                }
                Stage::Prefix(prefix, have) => {
                    let part = front(input, PREFIX - *have);
                    prefix[*have..*have + part.len()].copy_from_slice(part);
                    *have += part.len();
                    if *have == PREFIX {
                        let prefix = *prefix;
                        self.begin_line(&prefix)?;
                    }
                }
                Stage::Line(filling, carry, waiting) => {
                    let end = input.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                    decode(filling, carry, waiting, front(input, end.unwrap_or(input.len())))?;
                    if end.is_some() {
                        return self.finish().map(Some);
                    }
                }
                Stage::Proof(proof, have) => {
                    *have += fill(&mut proof[*have..], input);
                    if *have == PROOF {
                        self.proof = Some(*proof);
                        self.stage = Stage::Between;
                    }
                }
                Stage::ProofLine(line, have) => {
                    *have += fill(&mut line[*have..], input);
                    if let (PROOF_LINE, Some(next)) = (*have, input.first()) {
                        let ended = matches!(next, b'\n' | b'\r');
                        self.proof = record_of_line(line).filter(|_| ended);
                        if self.proof.is_none() {
                            return Err(Unfit::NotAPacket);
                        }
                        self.stage = Stage::Between;
                    }
                }
            }
        }
        Ok(None)
    }

    /// Ends the body; returns the packet of a last line without a newline, if there is one.
    pub(crate) fn end(&mut self) -> Result<Option<Packet>, Unfit> {
        match self.stage {
            Stage::Between => Ok(None),
            Stage::Line(..) => self.finish().map(Some),
            _ => Err(Unfit::NotAPacket),
        }
    }

    fn begin(&mut self, input: &mut &[u8]) -> Result<(), Unfit> {
        let first = front(input, 1)[0];
        let size = first.checked_sub(PACKET_LEAD).and_then(|k| 1usize.checked_shl(u32::from(k)));
        match (first, size) {
            (b'\n' | b'\r', _) => {}
            (KEY_LEAD, _) => return Err(Unfit::PublishedKey),
            (WORK_LEAD, _) => self.stage = Stage::Proof([0; PROOF], 0),
            (_, Some(size)) if (MIN_PACKET..=MAX_PACKET).contains(&size) => {
                if size > self.max {
                    return Err(Unfit::TooLarge);
                }
                self.stage = Stage::Raw(Filling::new(&self.budget, size), size);
            }
            (b'o', _) => {
                let mut prefix = [0; PREFIX];
                prefix[0] = first;
                self.stage = Stage::Prefix(prefix, 1);
            }
            _ => return Err(Unfit::NotAPacket),
        }
        Ok(())
    }

    fn begin_line(&mut self, prefix: &[u8]) -> Result<(), Unfit> {
        if prefix == KEY_LINE.as_bytes() {
            return Err(Unfit::PublishedKey);
        }
        if prefix == WORK_LINE.as_bytes() {
            self.stage = Stage::ProofLine([0; PROOF_LINE], 0);
            return Ok(());
        }
        if prefix != PACKET_LINE.as_bytes() && prefix != REPLY_LINE.as_bytes() {
            return Err(Unfit::NotAPacket);
        }
        self.stage = Stage::Line(Filling::new(&self.budget, self.max), [0; 4], 0);
        Ok(())
    }

    fn finish(&mut self) -> Result<Packet, Unfit> {
        let filling = match std::mem::replace(&mut self.stage, Stage::Between) {
            Stage::Raw(filling, _) => filling,
            Stage::Line(mut filling, carry, waiting) => {
                decode_piece(&mut filling, &carry[..waiting])?;
                filling
            }
            _ => return Err(Unfit::NotAPacket),
        };
        filling.finish().ok_or(Unfit::NotAPacket)
    }
}

/// Moves bytes from the front of `input` until `room` is full; returns how many.
fn fill(room: &mut [u8], input: &mut &[u8]) -> usize {
    let part = front(input, room.len());
    room[..part.len()].copy_from_slice(part);
    part.len()
}

/// Splits up to `count` bytes off the front of `input`.
fn front<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (now, later) = input.split_at(count.min(input.len()));
    *input = later;
    now
}

/// Decodes characters of a line, all but up to three at the end, which it leaves in `carry`.
fn decode(
    filling: &mut Filling,
    carry: &mut [u8; 4],
    waiting: &mut usize,
    mut line: &[u8],
) -> Result<(), Unfit> {
    if *waiting > 0 {
        let part = front(&mut line, 4 - *waiting);
        carry[*waiting..*waiting + part.len()].copy_from_slice(part);
        *waiting += part.len();
        if *waiting < 4 {
            return Ok(());
        }
        decode_piece(filling, carry)?;
    }
    let rest = line.len() % 4;
    let (whole, rest) = line.split_at(line.len() - rest);
    for piece in whole.chunks(PIECE) {
        decode_piece(filling, piece)?;
    }
    carry[..rest.len()].copy_from_slice(rest);
    *waiting = rest.len();
    Ok(())
}

fn decode_piece(filling: &mut Filling, characters: &[u8]) -> Result<(), Unfit> {
    let mut bytes = [0; PIECE / 4 * 3];
    match URL_SAFE_NO_PAD.decode_slice(characters, &mut bytes) {
        Ok(length) => Ok(filling.push(&bytes[..length])?),
        Err(_) => Err(Unfit::NotAPacket),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Vec<u8> {
        format!("{PACKET_LINE}{}", URL_SAFE_NO_PAD.encode(bytes)).into_bytes()
    }

    fn raw(bytes: &[u8]) -> Vec<u8> {
        let k = u8::try_from(bytes.len().ilog2()).unwrap();
        [&[PACKET_LEAD + k], bytes].concat()
    }

    fn take(body: &[u8], step: usize, max: usize) -> (Vec<Vec<u8>>, Option<Unfit>) {
        let budget = Budget::new(8 << 20);
        let mut intake = Intake::new(&budget, max);
        let mut taken = Vec::new();
        for mut part in body.chunks(step) {
            loop {
                match intake.next(&mut part) {
                    Ok(Some(packet)) => taken.push(bytes_of(&packet)),
                    Ok(None) => break,
                    Err(why) => return (taken, Some(why)),
                }
            }
        }
        match intake.end() {
            Ok(last) => taken.extend(last.map(|packet| bytes_of(&packet))),
            Err(why) => return (taken, Some(why)),
        }
        (taken, None)
    }

    fn bytes_of(packet: &Packet) -> Vec<u8> {
        (0..packet.blocks()).flat_map(|n| packet.block(n).to_vec()).collect()
    }

    #[test]
    fn packets_come_out_whole_however_the_body_is_cut() {
        let packets = [vec![3; 4096], vec![0xFB; 8192], vec![5; 16384]];
        let newline = b"\n".to_vec();
        let mut reply = text(&packets[1]);
        reply[..PREFIX].copy_from_slice(REPLY_LINE.as_bytes());
        let body = [
            raw(&packets[0]),
            raw(&packets[1]),
            text(&packets[2]),
            b"\r\n\n".to_vec(),
            reply,
            newline,
            text(&packets[0]),
        ]
        .concat();
        let expected =
            [&packets[0], &packets[1], &packets[2], &packets[1], &packets[0]].map(Clone::clone);
        for step in [1, 3, 7, 4097, 1 << 20] {
            assert_eq!(take(&body, step, MAX_PACKET), (expected.to_vec(), None), "{step}");
        }
    }

    #[test]
    fn a_proof_stands_before_its_packet() {
        let (budget, proof): (_, Proof) = (Budget::new(1 << 20), [0xC1; PROOF]);
        let line = format!("{WORK_LINE}{}\r\n", URL_SAFE_NO_PAD.encode(proof)).into_bytes();
        let good = raw(&[1; 4096]);
        let body =
            [&[WORK_LEAD], &proof[..], &good, &line, &text(&[2; 4096]), b"\n", &good].concat();
        for step in [1, 7, 10_000] {
            let mut intake = Intake::new(&budget, MAX_PACKET);
            let mut proofs = Vec::new();
            for mut part in body.chunks(step) {
                while intake.next(&mut part).unwrap().is_some() {
                    proofs.push(intake.take_proof());
                }
            }
            assert_eq!(proofs, [Some(proof), Some(proof), None], "{step}");
        }
        for junk in [&line[..100], &[&line[..177], b"A\n"].concat(), &[WORK_LEAD], b"otr1w:\n"] {
            assert_eq!(take(junk, 1000, 8192), (Vec::new(), Some(Unfit::NotAPacket)), "{junk:?}");
        }
    }

    #[test]
    fn what_is_not_a_packet_is_refused_after_those_before_it() {
        let good = raw(&[1; 4096]);
        let after_good = |bytes: &[u8]| take(&[&good, bytes].concat(), 1000, 8192).1;
        for junk in [&b"GET"[..], b"o", b"otr1x:", b"\xF4", b"\xFE", b" ", b"\xF5short"] {
            assert_eq!(after_good(junk), Some(Unfit::NotAPacket), "{junk:?}");
        }
        assert_eq!(after_good(b"otr1p:AA=A\n"), Some(Unfit::NotAPacket));
        assert_eq!(after_good(b"otr1p:\n"), Some(Unfit::NotAPacket));
        assert_eq!(after_good(&text(&[1; 5000])), Some(Unfit::NotAPacket));
        assert_eq!(after_good(b"otr1k:AAAA"), Some(Unfit::PublishedKey));
        assert_eq!(after_good(&[KEY_LEAD]), Some(Unfit::PublishedKey));
        assert_eq!(after_good(&raw(&[1; 16384])), Some(Unfit::TooLarge));
        assert_eq!(after_good(&text(&[1; 16384])), Some(Unfit::TooLarge));
        assert_eq!(take(&good, 1, 8192), (vec![vec![1; 4096]], None));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>, step in 1usize..50) {
            take(&body, step, MAX_PACKET);
            take(&[PACKET_LINE.as_bytes(), &body].concat(), step, MAX_PACKET);
        }
    }
}
