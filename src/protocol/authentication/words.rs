//! Four words for two people to compare by voice, and the list that they come from.
//!
//! The inviter commits to its nonce before it sees the answering side's keys, and opens it only
//! afterwards. So a person in the middle has a single try, which succeeds with probability 2⁻⁴⁴,
//! and cannot search.

use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::{Secret, WordsKey, wipe_stack};

/// The words cannot be shown yet: the inviter's first packet has not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoWordsYet;

/// How many words are compared.
pub const WORDS: usize = 4;
/// Words in the list; each stands for 11 bits.
pub const LIST: usize = 2048;

/// The English list of BIP-39, as in bitcoin/bips, `bip-0039/english.txt`: sorted, one word a line.
const ENGLISH: &str = include_str!("words/bip39-english.txt");
const WORD_BITS: u32 = 11;

/// The word of a number below [`LIST`]; higher bits do not count.
pub fn word(number: u16) -> &'static str {
    ENGLISH.lines().nth(usize::from(number) % LIST).unwrap_or_default()
}

/// Whether a word, in lower case, is in the list.
pub fn is_word(word: &str) -> bool {
    ENGLISH.lines().any(|line| line == word)
}

/// The words that begin with `start`, in order.
pub fn beginning_with(start: &str) -> impl Iterator<Item = &'static str> {
    ENGLISH.lines().filter(move |line| line.starts_with(start))
}

/// Eight bytes that both ends of one conversation share, and nobody else [HKDF, "otr/1 words"].
pub(crate) fn material(nonce: &[u8; 32], key: &WordsKey) -> Secret<8> {
    let mut okm = Secret::zeroed();
    primitives::hkdf(nonce, &[key.bytes()], &[labels::WORDS], okm.bytes_mut());
    wipe_stack();
    okm
}

/// The four words: bits 0 to 43, most significant first.
pub(crate) fn words(nonce: &[u8; 32], key: &WordsKey) -> [&'static str; WORDS] {
    let mut bits = u64::from_be_bytes(*material(nonce, key).bytes());
    core::array::from_fn(|_| {
        bits = bits.rotate_left(WORD_BITS);
        word(bits.to_le_bytes().first_chunk().copied().map_or(0, u16::from_le_bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_published_one() {
        let hash = primitives::sha256(&[ENGLISH.as_bytes()]);
        let published = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda";
        for (at, byte) in hash.iter().enumerate() {
            assert_eq!(published[2 * at..2 * at + 2], format!("{byte:02x}"));
        }
        assert_eq!(ENGLISH.lines().count(), LIST);
        assert_eq!((word(0), word(2047), word(2048)), ("abandon", "zoo", "abandon"));
    }

    #[test]
    fn words_are_found_and_completed() {
        assert!(is_word("guitar") && !is_word("guita") && !is_word("") && !is_word("Guitar"));
        assert_eq!(beginning_with("guit").collect::<Vec<_>>(), ["guitar"]);
        assert_eq!(beginning_with("").count(), LIST);
        assert_eq!(beginning_with("xx").count(), 0);
    }
}
