//! Parses what the postbox answers, and only whole answers: half a packet is no packet.

use std::io::{self, Read};

use super::error::Why;
use crate::armor::marks::{KEY_LEAD, PACKET_LEAD};
use crate::postbox::api::{Address, Key, MAX_PACKET, MIN_PACKET, PacketStatus};

/// The next packet after its type byte, in a buffer of its size; `None` at the end of the answer.
pub(super) fn next_packet(
    answer: &mut impl Read,
    buffer: impl FnOnce(usize) -> Vec<u8>,
) -> Result<Option<Vec<u8>>, Why> {
    let mut first = Vec::with_capacity(1);
    answer.by_ref().take(1).read_to_end(&mut first).map_err(Why::of_reading)?;
    let [first] = first[..] else { return Ok(None) };
    let size = first.checked_sub(PACKET_LEAD).and_then(|k| 1_usize.checked_shl(u32::from(k)));
    let size = size.filter(|size| (MIN_PACKET..=MAX_PACKET).contains(size));
    let mut packet = buffer(size.ok_or(Why::Nonsense)?);
    answer.read_exact(&mut packet).map_err(|error| match error.kind() {
        // The answer had its full length, and ends within a packet.
        io::ErrorKind::UnexpectedEof if error.get_ref().is_none() => Why::Nonsense,
        _ => Why::of_reading(error),
    })?;
    Ok(Some(packet))
}

/// Packet statuses, one byte each.
pub(super) fn statuses(answer: &[u8]) -> Option<Vec<PacketStatus>> {
    let status = |byte: &u8| {
        [PacketStatus::Held, PacketStatus::Collected, PacketStatus::Unknown]
            .into_iter()
            .find(|status| *status as u8 == *byte)
    };
    answer.iter().map(status).collect()
}

/// Published keys, each after its type byte.
pub(super) fn keys(answer: &[u8]) -> Option<Vec<(Address, Key)>> {
    let (records, []) = answer.as_chunks::<65>() else { return None };
    let key = |record: &[u8; 65]| {
        let half = |from: usize| std::array::from_fn(|at| record[from + at]);
        (record[0] == KEY_LEAD).then(|| (half(1), half(33)))
    };
    records.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let one = [&[0xF5][..], &[7; 4096]].concat();
        let buffer = |size| vec![0; size];
        let two = one.repeat(2);
        let mut answer = &two[..];
        for _ in 0..2 {
            assert_eq!(next_packet(&mut answer, buffer).unwrap(), Some(vec![7; 4096]));
        }
        assert_eq!(next_packet(&mut answer, buffer).unwrap(), None);
        for wrong in [&one[..4096], &[0xF4][..], &[0xFE], &[0xC0], b"<html>", &[0xFF; 9000]] {
            assert!(next_packet(&mut &wrong[..], buffer).is_err());
        }
        assert_eq!(
            statuses(b"hcu"),
            Some(vec![PacketStatus::Held, PacketStatus::Collected, PacketStatus::Unknown])
        );
        assert_eq!(statuses(b"h\n"), None);
        let key = [&[0xC0][..], &[1; 32], &[2; 32]].concat();
        assert_eq!(keys(&key), Some(vec![([1; 32], [2; 32])]));
        assert_eq!(keys(&key[..64]), None);
        assert_eq!(keys(&[0; 65]), None);
    }
}
