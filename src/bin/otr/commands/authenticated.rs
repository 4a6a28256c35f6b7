//! How the two people have authenticated each other, in words for people and for programs.

use otr::protocol::authentication::Authentication;

/// The stable names for `--json`; empty if nobody has checked anything.
pub(super) fn names(authentication: Authentication) -> Vec<&'static str> {
    let Authentication { secret, words, verified } = authentication;
    [(secret, "secret"), (words, "words"), (verified, "verify")]
        .into_iter()
        .filter_map(|(is_so, name)| is_so.then_some(name))
        .collect()
}

/// `checked by words and verify`.
pub(super) fn phrase(names: &[&str]) -> String {
    if names.is_empty() {
        return "not checked".to_owned();
    }
    format!("checked by {}", names.join(" and "))
}

/// What to say, once, when text comes from an unauthenticated side.
pub(super) const UNCHECKED: &str =
    "nobody has checked who the other side is; compare 'otr words' by voice";
