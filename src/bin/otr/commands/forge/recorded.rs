//! What a forger has: the packets and keys of a capture, and which of them belong together.

use std::collections::BTreeMap;

use otr::armor::Item;
use otr::protocol::deniability::forge;
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::ADDRESS;

use super::turns::Turns;
use crate::commands::capture::{Input, KEPT_MAX, address, published, too_much};
use crate::failure::{Code, Failure};
use crate::route::RouteArgs;

/// From this many hexadecimal digits on, `--packet` is an address, as `inspect` shows it.
const ADDRESS_DIGITS: usize = 8;
/// How many packets to name when the user must choose one, so that the message stays on one line.
const NAMED: usize = 8;

/// The packets and keys of a capture.
#[derive(Default)]
pub(super) struct Recorded {
    items: u64,
    packets: Vec<Packet>,
    kept: usize,
    keys: BTreeMap<[u8; ADDRESS], Vec<[u8; PUBLISHED_KEY]>>,
    turns: Turns,
}

pub(super) struct Packet {
    /// Its number in the capture.
    pub(super) item: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) maybe_first_turn: bool,
}

impl Recorded {
    pub(super) fn read(&mut self, input: Input) -> Result<(), Failure> {
        let Input { mut source, .. } = input;
        while let Some(items) = source.next_items()? {
            for item in items {
                self.items += 1;
                match item {
                    Item::Packet(bytes) => {
                        self.kept += bytes.len();
                        if self.kept > KEPT_MAX {
                            return Err(too_much());
                        }
                        let maybe_first_turn = self.turns.packet(&address(&bytes));
                        self.packets.push(Packet { item: self.items, bytes, maybe_first_turn });
                    }
                    Item::Key(key) => {
                        self.turns.key(&address(&key));
                        self.key(key);
                    }
                    Item::Invite(_) | Item::Reply(_) => self.turns.begins(),
                    Item::Damaged(_) => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn read_keys(&mut self, input: Input) -> Result<(), Failure> {
        let Input { mut source, .. } = input;
        while let Some(items) = source.next_items()? {
            for item in items {
                if let Item::Key(key) = item {
                    self.key(key);
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, key: [u8; PUBLISHED_KEY]) {
        self.keys.entry(address(&key)).or_default().push(key);
    }

    /// Asks the postbox for keys that the capture lacks.
    pub(super) fn ask(&mut self, url: &str, route: &RouteArgs) -> Result<(), Failure> {
        let addresses = self.packets.iter().map(|packet| address(&packet.bytes));
        let unknown = addresses.filter(|address| !self.keys.contains_key(address)).collect();
        for key in published(url, route, unknown)? {
            self.key(key);
        }
        Ok(())
    }

    /// The published key that verifies this packet.
    pub(super) fn key_of(&self, packet: &Packet) -> Option<&[u8; PUBLISHED_KEY]> {
        let keys = self.keys.get(&address(&packet.bytes))?;
        keys.iter().find(|key| forge::verifies(key, &packet.bytes))
    }

    /// The packet that the user means: the named one, or the only one that can be rewritten.
    pub(super) fn choose(&self, named: Option<&str>) -> Result<&Packet, Failure> {
        let mut candidates: Vec<&Packet> = match named {
            Some(name) => self.named(name)?,
            None => self.packets.iter().collect(),
        };
        if candidates.is_empty() {
            let hint = "a packet is a line that begins with otr1p:";
            return Err(Failure::new(Code::Refused, "there is no packet in the input", hint));
        }
        candidates.retain(|packet| self.key_of(packet).is_some());
        let mut seen: Vec<&Packet> = Vec::new();
        candidates.retain(|packet| {
            let new = seen.iter().all(|earlier| earlier.bytes != packet.bytes);
            seen.push(packet);
            new
        });
        match candidates[..] {
            [] => Err(no_key()),
            [packet] => Ok(packet),
            _ => Err(choice(&candidates)),
        }
    }

    fn named(&self, name: &str) -> Result<Vec<&Packet>, Failure> {
        let digits = name.trim_end_matches('…');
        let by_address =
            digits.len() >= ADDRESS_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found: Vec<&Packet> = if by_address {
            let digits = digits.to_ascii_lowercase();
            let is = |packet: &&Packet| hex(&packet.bytes[..ADDRESS]).starts_with(&digits);
            self.packets.iter().filter(is).collect()
        } else {
            let item: u64 = digits.parse().map_err(|_| {
                let hint = "use a number or an address that 'otr inspect' shows";
                Failure::new(Code::Usage, "--packet names no packet", hint)
            })?;
            self.packets.iter().filter(|packet| packet.item == item).collect()
        };
        if found.is_empty() {
            let what = "there is no such packet in the capture";
            return Err(Failure::new(Code::Refused, what, "see 'otr inspect'"));
        }
        Ok(found)
    }
}

fn choice(candidates: &[&Packet]) -> Failure {
    let named: Vec<String> =
        candidates.iter().take(NAMED).map(|packet| packet.item.to_string()).collect();
    let more = if candidates.len() > NAMED { " …" } else { "" };
    let what = format!("{} packets can be rewritten", candidates.len());
    let hint = format!("choose one with --packet: {}{more}", named.join(" "));
    Failure::new(Code::Usage, what, hint)
}

pub(super) fn no_key() -> Failure {
    let hint =
        "keys are published by the receiver's next send or close: --keys FILE, --postbox URL";
    Failure::new(Code::Refused, "no published key verifies a packet of the capture", hint)
}

/// The beginning of a packet's address, as `inspect` shows it.
pub(super) fn prefix(packet: &[u8]) -> String {
    hex(&packet[..ADDRESS_DIGITS / 2])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
