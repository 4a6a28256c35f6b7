//! The post secret of a private postbox, which allows posting. It travels as the password of HTTP's
//! Basic scheme, as curl sends it for `https://:SECRET@HOST` or from a `.netrc`.

use crate::protocol::crypto::labels;
#[cfg(feature = "server")]
use crate::protocol::crypto::primitives;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Length of a secret, from the characters that 96 random bits take on; no URL has to escape them.
const LENGTH: std::ops::RangeInclusive<usize> = 16..=128;
/// The form of a secret, for people.
pub const SHAPE: &str = "16 to 128 letters, digits, '-', '.', '_' or '~'";

/// Whether the text can be a secret.
pub fn is_sound(secret: &str) -> bool {
    LENGTH.contains(&secret.len()) && is_plain(secret)
}

/// Whether a URL holds the text unescaped (RFC 3986, section 2.3: unreserved).
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|sign| sign.is_ascii_alphanumeric() || b"-._~".contains(&sign))
}

/// The hash that the server keeps of it.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::new_with_prefix(labels::POST_SECRET).chain_update(secret).finalize().into()
}

/// The value of the field `Authorization`.
#[cfg(feature = "client")]
pub(crate) fn shown(user: &str, secret: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{user}:{secret}"));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)))
}

/// Whether this value shows the secret with that hash, whatever the user's name is.
#[cfg(feature = "server")]
pub(crate) fn is_shown(authorization: Option<&str>, hash_of: &[u8; 32]) -> bool {
    let Some((scheme, coded)) = authorization.and_then(|value| value.split_once(' ')) else {
        return false;
    };
    let decoded = STANDARD.decode(coded.trim()).map(Zeroizing::new).unwrap_or_default();
    let pair = str::from_utf8(&decoded).ok().and_then(|pair| pair.split_once(':'));
    scheme.eq_ignore_ascii_case("Basic")
        && pair.is_some_and(|(_, secret)| primitives::equal(&hash(secret), hash_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_shown_as_curl_shows_it() {
        let secret = "0123456789abcdef";
        assert_eq!(*shown("", secret), "Basic OjAxMjM0NTY3ODlhYmNkZWY=");
        let kept = hash(secret);
        for good in ["Basic OjAxMjM0NTY3ODlhYmNkZWY=", "basic eDowMTIzNDU2Nzg5YWJjZGVm"] {
            assert!(is_shown(Some(good), &kept), "{good}");
        }
        let wrong = shown("", "0123456789abcdeg");
        let turned = format!("Basic {}", STANDARD.encode(format!("{secret}:")));
        for bad in [None, Some(""), Some("Basic"), Some("Basic !"), Some(&wrong[..]), Some(&turned)]
        {
            assert!(!is_shown(bad, &kept), "{bad:?}");
        }
        for unsound in ["", "0123456789abcde", "0123456789abcde:", "0123456789 abcdef"] {
            assert!(!is_sound(unsound), "{unsound}");
        }
    }
}
