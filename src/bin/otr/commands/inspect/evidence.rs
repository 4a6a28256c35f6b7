//! Which published keys verify which packets, and how little that proves.

use std::collections::BTreeMap;
use std::fmt::Write;

use otr::protocol::deniability::forge;
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::ADDRESS;
use serde_json::json;

use super::show::prefix;
use crate::commands::capture::{self, KEPT_MAX, too_much};
use crate::failure::Failure;

/// Packets and keys, by the address that they name.
#[derive(Default)]
pub(super) struct Evidence {
    addresses: BTreeMap<[u8; ADDRESS], Group>,
    /// The addresses in order of appearance.
    order: Vec<[u8; ADDRESS]>,
    kept: usize,
}

#[derive(Default)]
struct Group {
    packets: Vec<(u64, Vec<u8>)>,
    /// Each key once, even if it is repeated.
    keys: Vec<(KeyName, [u8; PUBLISHED_KEY])>,
}

/// Where a key was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyName {
    /// An item of the capture.
    Item(u64),
    /// A key of the file of keys, by its number there.
    File(u64),
    /// A key that the postbox has, by its number in the answer.
    Postbox(u64),
}

impl KeyName {
    fn text(self) -> String {
        match self {
            Self::Item(item) => format!("key {item}"),
            Self::File(number) => format!("KEYS {number}"),
            Self::Postbox(number) => format!("postbox key {number}"),
        }
    }

    fn item(self) -> Option<u64> {
        match self {
            Self::Item(item) => Some(item),
            Self::File(_) | Self::Postbox(_) => None,
        }
    }
}

impl Evidence {
    /// Keeps a packet, to try later keys on it.
    pub(super) fn packet(&mut self, item: u64, packet: Vec<u8>) -> Result<(), Failure> {
        self.kept += packet.len();
        if self.kept > KEPT_MAX {
            return Err(too_much());
        }
        self.group(&packet).packets.push((item, packet));
        Ok(())
    }

    pub(super) fn key(&mut self, name: KeyName, key: [u8; PUBLISHED_KEY]) {
        let keys = &mut self.group(&key).keys;
        if !keys.iter().any(|(_, known)| *known == key) {
            keys.push((name, key));
        }
    }

    /// The addresses of packets without a key.
    pub(super) fn without_key(&self) -> Vec<[u8; ADDRESS]> {
        let without = |address: &&[u8; ADDRESS]| {
            self.addresses.get(*address).is_some_and(|group| group.keys.is_empty())
        };
        self.order.iter().filter(without).copied().collect()
    }

    fn group(&mut self, named: &[u8]) -> &mut Group {
        let address = capture::address(named);
        self.addresses.entry(address).or_insert_with(|| {
            self.order.push(address);
            Group::default()
        })
    }

    /// Tries every key on every packet of its address.
    pub(super) fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for address in &self.order {
            if let Some(group) = self.addresses.get(address) {
                verdict.groups.push(judge(address, group));
            }
        }
        verdict
    }
}

fn judge(address: &[u8], group: &Group) -> Judged {
    let mut judged = Judged { address: prefix(address), ..Judged::default() };
    for (at, (item, packet)) in group.packets.iter().enumerate() {
        let same = group.packets[..at].iter().find(|(_, earlier)| earlier == packet);
        let copy_of = same.map(|(earlier, _)| *earlier);
        let keys = group.keys.iter();
        let tried = keys.map(|(name, key)| (*name, forge::verifies(key, packet))).collect();
        judged.packets.push(Tried { item: *item, copy_of, keys: tried });
    }
    judged.keys_alone = if group.packets.is_empty() {
        group.keys.iter().map(|(name, _)| *name).collect()
    } else {
        Vec::new()
    };
    judged
}

/// The result.
#[derive(Default)]
pub(super) struct Verdict {
    groups: Vec<Judged>,
}

/// One address.
#[derive(Default)]
struct Judged {
    address: String,
    packets: Vec<Tried>,
    keys_alone: Vec<KeyName>,
}

struct Tried {
    item: u64,
    copy_of: Option<u64>,
    keys: Vec<(KeyName, bool)>,
}

impl Tried {
    fn verifies(&self) -> bool {
        self.keys.iter().any(|(_, verifies)| *verifies)
    }
}

impl Judged {
    /// Whether several different packets verify.
    fn two_texts(&self) -> bool {
        self.packets.iter().filter(|tried| tried.copy_of.is_none() && tried.verifies()).count() > 1
    }
}

impl Verdict {
    /// How many packets are verified by some key.
    pub(super) fn verified(&self) -> usize {
        self.packets().filter(|tried| tried.verifies()).count()
    }

    /// At how many addresses different packets verify.
    pub(super) fn two_texts(&self) -> usize {
        self.groups.iter().filter(|group| group.two_texts()).count()
    }

    fn packets(&self) -> impl Iterator<Item = &Tried> {
        self.groups.iter().flat_map(|group| &group.packets)
    }

    pub(super) fn json(&self) -> String {
        let mut text = String::new();
        for group in &self.groups {
            for tried in &group.packets {
                for (name, verifies) in &tried.keys {
                    let object = json!({
                        "kind": "mac", "address": group.address, "item": tried.item,
                        "key": name.item(), "verifies": verifies, "copy_of": tried.copy_of,
                    });
                    let _ = writeln!(text, "{object}");
                }
            }
        }
        text
    }

    /// The table, and what it means.
    pub(super) fn text(&self) -> String {
        let mut text = "\nWhich published key verifies which packet, by address:\n".to_owned();
        let mut without_key = 0;
        for group in &self.groups {
            group.write(&mut text);
            without_key += group.packets.iter().filter(|tried| tried.keys.is_empty()).count();
        }
        if without_key > 0 {
            let _ = writeln!(text, "  packets whose key is not published here: {without_key}");
        }
        text.push_str(
            "That a key verifies a packet proves nothing about who made it: anyone who has\n\
             a published key writes any text under it, and for any packet at all a key\n\
             can be made up that verifies it.\n",
        );
        text
    }
}

impl Judged {
    fn write(&self, text: &mut String) {
        let mut address = format!("{}…", self.address);
        for tried in &self.packets {
            for (name, verifies) in &tried.keys {
                let verb = if *verifies { "verifies under" } else { "DOES NOT verify under" };
                let copy = tried.copy_of.map(|of| format!(", the same bytes as {of}"));
                let (item, key, copy) = (tried.item, name.text(), copy.unwrap_or_default());
                let _ = writeln!(text, "  {address:<9}  packet {item} {verb} {key}{copy}");
                address.clear();
            }
        }
        for name in &self.keys_alone {
            let _ = writeln!(text, "  {address:<9}  {}: its packet is not here", name.text());
            address.clear();
        }
        if self.two_texts() {
            text.push_str(
                "             different bytes: at least one is forged, and nothing tells which\n",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_KEY: [u8; PUBLISHED_KEY] = [1; PUBLISHED_KEY];

    #[test]
    fn a_repeated_key_counts_once_and_a_copy_is_no_second_text() {
        let mut evidence = Evidence::default();
        for item in [1, 2] {
            evidence.key(KeyName::Item(item), NO_KEY);
            evidence.packet(item + 2, vec![1; 4096]).ok();
        }
        let verdict = evidence.verdict();
        assert_eq!((verdict.verified(), verdict.two_texts()), (0, 0));
        let text = verdict.text();
        assert_eq!(text.matches("DOES NOT verify under key 1").count(), 2, "{text}");
        assert!(text.contains("the same bytes as 3"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn keys_and_packets_alone_are_told() {
        let mut evidence = Evidence::default();
        evidence.key(KeyName::File(7), NO_KEY);
        evidence.packet(1, vec![2; 4096]).ok();
        let text = evidence.verdict().text();
        assert!(text.contains("KEYS 7: its packet is not here"), "{text}");
        assert!(text.contains("packets whose key is not published here: 1"), "{text}");
    }
}
