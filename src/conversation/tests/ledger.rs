//! What was promised, what came, and the judgement.

use std::collections::{BTreeMap, BTreeSet};

/// What a sender was told of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Promise {
    /// It is taken: it must come.
    Taken,
    /// The process was stopped, or could not know: it may come.
    Open,
    /// It is not taken: it must not come.
    Refused,
}

/// A part of a text of one end.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) promise: Promise,
    /// The packet that carried it, if it is known.
    pub(super) address: Option<[u8; 32]>,
}

/// All that was seen.
#[derive(Default)]
pub(super) struct Ledger {
    /// By the text, which is of no other part.
    pub(super) sent: BTreeMap<Vec<u8>, Sent>,
    /// How often each text was delivered.
    pub(super) came: BTreeMap<Vec<u8>, u32>,
    /// Texts that were delivered by a process which was stopped before it had stored that.
    pub(super) may_repeat: BTreeSet<Vec<u8>>,
    /// Every packet that was handed out, by its address.
    packets: BTreeMap<[u8; 32], Vec<u8>>,
    /// Addresses of packets that the network has lost, at least once.
    lost: BTreeSet<[u8; 32]>,
    /// By end: addresses whose MAC key it has published.
    pub(super) published: [BTreeSet<[u8; 32]>; 2],
    /// By end: whether its session was ended, for good.
    pub(super) ended: [bool; 2],
    /// Checks of a secret that came to their end.
    pub(super) equal: u64,
    /// What should never be.
    pub(super) faults: Vec<String>,
}

fn address(packet: &[u8]) -> [u8; 32] {
    *packet.first_chunk().unwrap()
}

impl Ledger {
    /// A packet leaves: no two different ones ever have one address, which is of one key.
    pub(super) fn handed_out(&mut self, packet: &[u8]) {
        let before = self.packets.entry(address(packet)).or_insert_with(|| packet.to_vec());
        if before != packet {
            self.faults.push("two packets under one address: a key has served twice".to_owned());
        }
    }

    pub(super) fn is_lost(&self, packet: &[u8]) -> bool {
        self.lost.contains(&address(packet))
    }

    pub(super) fn lost(&mut self, packet: &[u8]) {
        self.lost.insert(address(packet));
    }

    /// A text is delivered at an end, out of this packet.
    pub(super) fn delivered(&mut self, end: usize, packet: &[u8], text: &[u8]) {
        *self.came.entry(text.to_vec()).or_default() += 1;
        if self.published[end].contains(&address(packet)) {
            self.faults.push("a packet was taken whose key is published: anybody's".to_owned());
        }
    }

    /// An end has wiped its session: what waited there is dropped, and what is on its way there never comes.
    pub(super) fn ends(&mut self, end: usize) {
        self.ended[end] = true;
        for sent in self.sent.values_mut().filter(|sent| sent.promise == Promise::Taken) {
            sent.promise = Promise::Open;
        }
    }

    /// What is known of a text now; once a session is ended, nothing has to come.
    pub(super) fn promise(&mut self, text: &[u8], promise: Promise, address: Option<[u8; 32]>) {
        let is_over = self.ended != [false; 2] && promise == Promise::Taken;
        let promise = if is_over { Promise::Open } else { promise };
        self.sent.insert(text.to_vec(), Sent { promise, address });
    }

    /// All is over: was every promise kept?
    pub(super) fn judge(&mut self) -> Vec<String> {
        let mut faults = std::mem::take(&mut self.faults);
        for (text, sent) in &self.sent {
            let name = String::from_utf8_lossy(text);
            let count = self.came.get(text).copied().unwrap_or_default();
            let lost = sent.address.is_none_or(|address| self.lost.contains(&address));
            match sent.promise {
                Promise::Taken if count == 0 && !lost => {
                    faults.push(format!("{name} was taken and never came"));
                }
                Promise::Refused if count > 0 => {
                    faults.push(format!("{name} was refused and came"));
                }
                _ if count > 1 && !self.may_repeat.contains(text) => {
                    faults.push(format!("{name} came {count} times"));
                }
                _ => {}
            }
        }
        for text in self.came.keys() {
            if !self.sent.contains_key(text) {
                faults.push(format!("{} was never sent", String::from_utf8_lossy(text)));
            }
        }
        faults
    }
}
