//! What the postbox answers, taken apart. Whole answers only: half a packet is none.

use crate::postbox::api::{Address, Fate, Key, MAX_PACKET, MIN_PACKET, RAW_BASE, RAW_KEY};

/// Packets, each behind its byte.
pub(super) fn packets(mut answer: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut packets = Vec::new();
    while let Some((first, rest)) = answer.split_first() {
        let size = 1_usize.checked_shl(u32::from(first.checked_sub(RAW_BASE)?))?;
        if !(MIN_PACKET..=MAX_PACKET).contains(&size) {
            return None;
        }
        let (packet, rest) = rest.split_at_checked(size)?;
        packets.push(packet.to_vec());
        answer = rest;
    }
    Some(packets)
}

/// Fates, a byte each.
pub(super) fn fates(answer: &[u8]) -> Option<Vec<Fate>> {
    let fate = |byte: &u8| {
        [Fate::Held, Fate::Collected, Fate::Unknown].into_iter().find(|fate| *fate as u8 == *byte)
    };
    answer.iter().map(fate).collect()
}

/// Published keys, each behind its byte.
pub(super) fn keys(answer: &[u8]) -> Option<Vec<(Address, Key)>> {
    let (records, []) = answer.as_chunks::<65>() else { return None };
    let key = |record: &[u8; 65]| {
        let half = |from: usize| std::array::from_fn(|at| record[from + at]);
        (record[0] == RAW_KEY).then(|| (half(1), half(33)))
    };
    records.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let one = [&[0xF5][..], &[7; 4096]].concat();
        assert_eq!(packets(&one.repeat(2)), Some(vec![vec![7; 4096]; 2]));
        assert_eq!(packets(b""), Some(Vec::new()));
        for wrong in [&one[..4096], &[0xF4][..], &[0xFE], &[0xC0], b"<html>", &[0xFF; 9000]] {
            assert_eq!(packets(wrong), None);
        }
        assert_eq!(fates(b"hcu"), Some(vec![Fate::Held, Fate::Collected, Fate::Unknown]));
        assert_eq!(fates(b"h\n"), None);
        let key = [&[0xC0][..], &[1; 32], &[2; 32]].concat();
        assert_eq!(keys(&key), Some(vec![([1; 32], [2; 32])]));
        assert_eq!(keys(&key[..64]), None);
        assert_eq!(keys(&[0; 65]), None);
    }
}
