//! The postboxes of one session, as an invite names them, and at which of them a packet lies.
//!
//! ```text
//! URL                            one postbox
//! URL URL … URL #KEY             two to eight, and 22 characters of base64url: 16 random bytes
//! ```

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::url::{self, Url};
use crate::postbox::api::Address;
use crate::protocol::crypto::labels;

/// The most postboxes of one session.
pub const MOST_POSTBOXES: usize = 8;
/// Bytes of the key that spreads packets over several.
pub(super) const KEY: usize = 16;
/// Stands before the key.
const MARK: char = '#';

/// The postboxes of one session: one to [`MOST_POSTBOXES`].
pub struct Urls {
    pub(super) all: Vec<Url>,
    /// What spreads packets over several.
    pub(super) spread: Option<[u8; KEY]>,
}

impl From<Url> for Urls {
    fn from(url: Url) -> Self {
        Self { all: vec![url], spread: None }
    }
}

impl PartialEq for Urls {
    /// Whether both name the same postboxes, in whatever order.
    fn eq(&self, other: &Self) -> bool {
        let is_within =
            |one: &Self, other: &Self| one.all.iter().all(|url| other.all.contains(url));
        is_within(self, other) && is_within(other, self)
    }
}

impl Urls {
    /// Reads what an invite says, or says why it cannot be called.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (list, key) = take_apart(text);
        // Exactly one blank between them, and no other white space.
        let all = list.split(' ').map(Url::parse).collect::<Result<Vec<Url>, _>>()?;
        if all.len() > MOST_POSTBOXES {
            return Err("a session has at most eight postboxes");
        }
        if (1..all.len()).any(|at| all[at..].contains(&all[at - 1])) {
            return Err("it names one postbox twice");
        }
        let spread = match (all.len(), key) {
            // What stands there is the URL's own.
            (0, _) => return Err("it names no postbox"),
            (1, None) => None,
            (2.., Some(key)) => {
                Some(read_key(key).ok_or("its last part is not 16 bytes of base64url")?)
            }
            (1, Some(_)) => return Err("one postbox needs no key"),
            (_, None) => return Err("several postboxes need a key, which an invite has"),
        };
        Ok(Self { all, spread })
    }

    /// The same for what a person has named, which has no key; `random` are those of a new one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_names(text: &str, random: [u8; KEY]) -> Result<String, &'static str> {
        let names: Vec<&str> = take_apart(text).0.split_ascii_whitespace().collect();
        let text = match &names[..] {
            [one] => (*one).to_owned(),
            _ => format!("{} {MARK}{}", names.join(" "), URL_SAFE_NO_PAD.encode(random)),
        };
        Self::parse(&text)?;
        Ok(text)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Url> {
        self.all.iter()
    }
}

/// The part that names URLs, and the key.
fn take_apart(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(' ') {
        Some((names, last)) => match last.strip_prefix(MARK) {
            Some(key) => (names, Some(key)),
            None => (text, None),
        },
        None => (text, None),
    }
}

fn read_key(text: &str) -> Option<[u8; KEY]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// The first of the URLs that a text names.
pub fn first_url(text: &str) -> &str {
    take_apart(text).0.split_ascii_whitespace().next().unwrap_or_default()
}

/// The URLs that a text names, without their post secrets and the key: they may be shown.
pub fn without_secret(text: &str) -> Cow<'_, str> {
    let is_blank = |sign: char| sign.is_ascii_whitespace();
    let (names, _) = take_apart(text);
    if !text.contains(is_blank) {
        return url::without_secret(text);
    }
    let mut shown = String::new();
    for piece in names.split_inclusive(is_blank) {
        let name = piece.trim_end_matches(is_blank);
        shown += &url::without_secret(name);
        shown += &piece[name.len()..];
    }
    shown.into()
}

/// At which of `count` postboxes the packet of this address lies, from 0: SHA-256 ("otr/1 postboxes" ‖ key ‖
/// address), its first eight bytes modulo the count (protocol, section 7). If that one is away, at the next.
pub(super) fn place(key: &[u8; KEY], address: &Address, count: usize) -> usize {
    let hash = Sha256::new_with_prefix(labels::POSTBOXES).chain_update(key).chain_update(address);
    let hash: [u8; 32] = hash.finalize().into();
    let front = hash.iter().take(8).fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    usize::try_from(front % count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "https://a.example https://:0123456789abcdef@b.example/x #AAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn an_invite_names_one_postbox_or_up_to_eight_with_a_key() {
        let urls = Urls::parse(LIST).unwrap();
        assert_eq!(urls.all.len(), 2);
        assert_eq!(urls.spread, Some([0; KEY]));
        assert!(Urls::parse("https://a.example").unwrap().spread.is_none());
        let eight: Vec<String> = (0..9).map(|n| format!("https://{n}.example")).collect();
        let named = |count: usize| Urls::of_names(&eight[..count].join(" "), [7; KEY]);
        for count in 1..=8 {
            assert_eq!(Urls::parse(&named(count).unwrap()).unwrap().all.len(), count);
        }
        assert!(named(9).is_err() && named(0).is_err());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for wrong in [
            "",
            " ",
            "#AAAAAAAAAAAAAAAAAAAAAA",
            "https://a.example https://b.example",
            "https://a.example #AAAAAAAAAAAAAAAAAAAAAA",
            "https://a.example https://b.example #AAAA",
            "https://a.example https://b.example #AAAAAAAAAAAAAAAAAAAAAB",
            "https://a.example https://a.example/ #AAAAAAAAAAAAAAAAAAAAAA",
            "https://a.example nonsense #AAAAAAAAAAAAAAAAAAAAAA",
            "https://a.example  https://b.example #AAAAAAAAAAAAAAAAAAAAAA",
            "https://a.example\nhttps://b.example #AAAAAAAAAAAAAAAAAAAAAA",
            " https://a.example",
            "https://a.example ",
        ] {
            assert!(Urls::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_may_be_shown_has_neither_key_nor_secret() {
        assert_eq!(without_secret(LIST), "https://a.example https://b.example/x");
        assert_eq!(without_secret("https://:0123456789abcdef@a.example"), "https://a.example");
        assert_eq!(first_url(LIST), "https://a.example");
        let again = Urls::of_names(LIST, [1; KEY]).unwrap();
        assert!(Urls::parse(&again).unwrap() == Urls::parse(LIST).unwrap());
        assert_ne!(again, LIST);
    }

    #[test]
    fn addresses_are_spread_evenly_and_by_the_key() {
        for count in 1..=MOST_POSTBOXES {
            let mut lies = vec![0; count];
            for n in 0..4_096_u16 {
                let mut address = [0; 32];
                address[..2].copy_from_slice(&n.to_be_bytes());
                lies[place(&[9; KEY], &address, count)] += 1;
            }
            let even = 4_096 / count;
            assert!(lies.iter().all(|lie: &usize| lie.abs_diff(even) < even / 4), "{lies:?}");
        }
        let places = |key| (0..64).map(move |n| place(&[key; KEY], &[n; 32], 8));
        assert!(!places(1).eq(places(2)));
    }

    #[test]
    fn another_program_finds_the_same_places() {
        let vectors = include_str!("../../../tests/vectors/own/postboxes.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let bytes = |value: &serde_json::Value| -> Vec<u8> {
            let text = value.as_str().unwrap();
            (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
                .collect()
        };
        let urls = Urls::parse(vectors["field"].as_str().unwrap()).unwrap();
        assert_eq!(urls.spread.unwrap().to_vec(), bytes(&vectors["key"]));
        for case in vectors["cases"].as_array().unwrap() {
            let key = bytes(&case["key"]).try_into().unwrap();
            let address = bytes(&case["address"]).try_into().unwrap();
            let count = usize::try_from(case["count"].as_u64().unwrap()).unwrap();
            assert_eq!(
                place(&key, &address, count),
                usize::try_from(case["place"].as_u64().unwrap()).unwrap()
            );
        }
    }
}
