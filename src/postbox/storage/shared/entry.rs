//! The fields of an address's two keys in the store: one for packets, one for those that were
//! discarded, so that each ends with the last of its own. All that is known of a packet stands in the
//! name of its field, so that two `HKEYS` tell everything but the bytes of packets, which are the
//! values.
//!
//! ```text
//! p SIZE UNTIL MARK        a packet; SIZE is 'a' for 4 KiB, 'b' for 8 KiB …
//! s KEPT UNTIL MARK [KEY]  one that was discarded; KEPT is 1 where a key follows
//! ```
//!
//! UNTIL is the second of the store's clock from which on it counts no more, in ten digits.

use super::cipher::{MARK, Mark};
use crate::postbox::api::{Key, MIN_PACKET};
use crate::postbox::storage::standing::Standing;

/// Digits of a time.
const DIGITS: usize = 10;
/// Bytes before the mark.
const HEAD: usize = 2 + DIGITS;

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// What lies there.
    Lying,
    /// What was discarded, too.
    All,
}

/// A packet that lies in the store.
pub(super) struct Lying {
    /// The name of its field.
    pub(super) field: Vec<u8>,
    pub(super) until: u64,
    pub(super) bytes: usize,
    pub(super) mark: Mark,
}

/// A packet that was discarded.
pub(super) struct Gone {
    pub(super) mark: Mark,
    /// The key published for it, masked.
    pub(super) key: Option<Key>,
}

/// What a key in the store tells: packets, the oldest first, and those that were discarded.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) lying: Vec<Lying>,
    pub(super) gone: Vec<Gone>,
}

impl Entries {
    /// Reads the names of fields; what is over `now` is left out, and so is what we don't know.
    pub(super) fn read(fields: impl IntoIterator<Item = Vec<u8>>, now: u64) -> Self {
        let mut entries = Self::default();
        for field in fields {
            entries.take(field, now);
        }
        entries.lying.sort_by(|a, b| (a.until, &a.mark).cmp(&(b.until, &b.mark)));
        entries
    }

    /// What the name of one field tells.
    pub(super) fn take(&mut self, field: Vec<u8>, now: u64) -> Option<()> {
        let until = str::from_utf8(field.get(2..HEAD)?).ok()?.parse().ok()?;
        let mark = field.get(HEAD..HEAD + MARK)?.try_into().ok()?;
        if until <= now {
            return None;
        }
        match field.first()? {
            b'p' => {
                let bytes = MIN_PACKET << field.get(1)?.checked_sub(b'a').filter(|&k| k <= 8)?;
                self.lying.push(Lying { field, until, bytes, mark });
            }
            b's' => {
                let key = field.get(HEAD + MARK..).and_then(|key| key.try_into().ok());
                self.gone.push(Gone { mark, key });
            }
            _ => {}
        }
        Some(())
    }

    /// The state of the address.
    pub(super) fn standing(&self) -> Standing {
        let opened = self.gone.iter().any(|gone| gone.key.is_some());
        Standing::new(!self.lying.is_empty(), !self.gone.is_empty(), opened)
    }
}

/// The letter for a packet of this many bytes.
pub(super) fn size_letter(bytes: usize) -> u8 {
    let doubled = (bytes / MIN_PACKET).max(1).ilog2();
    b'a' + u8::try_from(doubled).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postbox::api::PacketStatus;

    fn field(head: &str, mark: u8, key: &[u8]) -> Vec<u8> {
        [head.as_bytes(), &[mark; MARK], key].concat()
    }

    #[test]
    fn fields_tell_what_lies_there_and_what_lay_there() {
        let fields = [
            field("pa1000000200", 1, b""),
            field("pi1000000100", 2, b""),
            field("pa1000000050", 3, b""),
            field("s01000000100", 4, b""),
            field("pz1000000100", 5, b""),
            b"junk".to_vec(),
            Vec::new(),
        ];
        let mut entries = Entries::read(fields, 1_000_000_050);
        let lying: Vec<_> = entries.lying.iter().map(|one| (one.mark[0], one.bytes)).collect();
        assert_eq!(lying, [(2, 1 << 20), (1, 4096)]);
        assert_eq!(entries.standing(), Standing { lies: true, status: PacketStatus::Held });
        entries.take(field("s11000000100", 6, &[7; 32]), 0);
        let keys: Vec<_> = entries.gone.iter().filter_map(|one| one.key).collect();
        assert_eq!(keys, [[7; 32]]);
        assert_eq!(entries.standing(), Standing { lies: true, status: PacketStatus::Collected });
        assert_eq!([4096, 8192, 1 << 20].map(size_letter), *b"abi");
    }
}
