//! Whose turn it was, as far as a capture shows.

use std::collections::BTreeMap;

use otr::protocol::packet::ADDRESS;

/// The turns of a recorded conversation, as far as the published keys between its packets show
/// them: the receiver of a packet writes its key, together with packets of his own.
#[derive(Default)]
pub(super) struct Turns {
    /// Whether the capture shows the beginning.
    from_the_beginning: bool,
    /// By address: whether the packet's sender is also the sender of the very first packet.
    senders: BTreeMap<[u8; ADDRESS], bool>,
    /// Whether the next packet is from that sender.
    first_sender: bool,
    /// Whether the other side has sent anything.
    answered: bool,
}

impl Turns {
    pub(super) fn begins(&mut self) {
        if self.senders.is_empty() {
            self.from_the_beginning = true;
            self.first_sender = true;
        }
    }

    pub(super) fn key(&mut self, address: &[u8; ADDRESS]) {
        if let Some(sender) = self.senders.get(address) {
            self.first_sender = !sender;
        }
    }

    /// Whether this packet belongs to the first turn, provided that the inviting side began.
    pub(super) fn packet(&mut self, address: &[u8; ADDRESS]) -> bool {
        self.senders.entry(*address).or_insert(self.first_sender);
        self.answered |= !self.first_sender;
        self.from_the_beginning && !self.answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_turn_ends_with_the_first_answer() {
        let mut turns = Turns::default();
        assert!(!turns.packet(&[0; 32]), "the capture begins in the middle");

        let mut turns = Turns::default();
        turns.begins();
        assert!(turns.packet(&[1; 32]) && turns.packet(&[2; 32]));
        turns.key(&[1; 32]);
        assert!(!turns.packet(&[3; 32]), "the other side has read the first");
        turns.key(&[3; 32]);
        assert!(!turns.packet(&[4; 32]), "an answer came: it is a new turn");
    }
}
