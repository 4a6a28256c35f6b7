//! How the two people made sure of each other, in words for a person and for programs.

use otr::protocol::authentication::Authentication;

/// The stable names, as `--json` has them; empty where nobody has checked anything.
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

/// What to say, once, when text comes from who knows whom.
pub(super) const UNCHECKED: &str =
    "nobody has checked who the other side is; compare 'otr words' by voice";
