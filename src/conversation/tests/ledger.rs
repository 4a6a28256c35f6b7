//! What was promised, what arrived, and the verdict.

use std::collections::{BTreeMap, BTreeSet};

/// What a sender was told about a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Promise {
    /// It was taken: it must arrive.
    Taken,
    /// The process was stopped, or could not know: it may arrive.
    Open,
    /// It was not taken: it must not arrive.
    Refused,
}

/// A part of a text of one end.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) promise: Promise,
    /// The address of the packet that carried it, if known.
    pub(super) address: Option<[u8; 32]>,
}

/// Everything that was observed.
#[derive(Default)]
pub(super) struct Ledger {
    /// By the text, which is unique to each part.
    pub(super) sent: BTreeMap<Vec<u8>, Sent>,
    /// How often each text was delivered.
    pub(super) came: BTreeMap<Vec<u8>, u32>,
    /// Texts delivered by a process that was stopped before it had stored that.
    pub(super) may_repeat: BTreeSet<Vec<u8>>,
    /// Every packet that was handed out, by its address.
    packets: BTreeMap<[u8; 32], Vec<u8>>,
    /// Addresses of packets that the network has lost, at least once.
    lost: BTreeSet<[u8; 32]>,
    /// By end: addresses whose MAC key it has published.
    pub(super) published: [BTreeSet<[u8; 32]>; 2],
    /// By end: whether its session has ended for good.
    pub(super) ended: [bool; 2],
    /// How many checks of a secret were completed.
    pub(super) equal: u64,
    /// Violations.
    pub(super) faults: Vec<String>,
}

fn address(packet: &[u8]) -> [u8; 32] {
    *packet.first_chunk().unwrap()
}

impl Ledger {
    /// A packet leaves. No two different packets may ever have the same address, which belongs to
    /// one key.
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

    /// An end delivers a text from this packet.
    pub(super) fn delivered(&mut self, end: usize, packet: &[u8], text: &[u8]) {
        *self.came.entry(text.to_vec()).or_default() += 1;
        if self.published[end].contains(&address(packet)) {
            self.faults.push("a packet was taken whose key is published: anybody's".to_owned());
        }
    }

    /// An end has wiped its session: packets that waited there are dropped, and those on their way
    /// to it never arrive.
    pub(super) fn ends(&mut self, end: usize) {
        self.ended[end] = true;
        for sent in self.sent.values_mut().filter(|sent| sent.promise == Promise::Taken) {
            sent.promise = Promise::Open;
        }
    }

    /// Notes what is now known about a text; once a session has ended, nothing has to arrive.
    pub(super) fn promise(&mut self, text: &[u8], promise: Promise, address: Option<[u8; 32]>) {
        let is_over = self.ended != [false; 2] && promise == Promise::Taken;
        let promise = if is_over { Promise::Open } else { promise };
        self.sent.insert(text.to_vec(), Sent { promise, address });
    }

    /// At the end: was every promise kept?
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
