//! How the records of a body are written: as bytes, or as lines for people who call with curl.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::armor::marks::{KEY_LEAD, KEY_LINE};
use crate::postbox::api::{Address, Key, RAW};

/// Media type of lines.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// How records are written in a body. An answer takes the form of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One after another, nothing between them; packets and keys after their type byte.
    Raw,
    /// A line each, unpadded base64url; packets and keys after their prefix.
    Text,
}

impl Form {
    /// Raw if the request says `application/octet-stream`, else lines, which is what curl gets by
    /// default.
    pub(crate) fn of_media_type(value: Option<&str>) -> Self {
        let essence = value.and_then(|v| v.split(';').next()).unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(RAW) { Self::Raw } else { Self::Text }
    }

    /// The media type of an answer in this form.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Raw => RAW,
            Self::Text => TEXT,
        }
    }
}

/// A record of `N` bytes from its line (without the line's end); `None` if it is none.
pub(crate) fn record_of_line<const N: usize>(line: &[u8]) -> Option<[u8; N]> {
    let mut record = [0; N];
    match URL_SAFE_NO_PAD.decode_slice(line, &mut record) {
        Ok(length) if length == N => Some(record),
        _ => None,
    }
}

/// Writes one published key: the byte 0xC0 or `otr1k:`, then address 32 ‖ key 32.
pub(crate) fn write_key(out: &mut Vec<u8>, form: Form, address: &Address, key: &Key) {
    match form {
        Form::Raw => {
            out.push(KEY_LEAD);
            out.extend_from_slice(address);
            out.extend_from_slice(key);
        }
        Form::Text => {
            out.extend_from_slice(KEY_LINE.as_bytes());
            let joined = [address.as_slice(), key.as_slice()].concat();
            out.extend_from_slice(URL_SAFE_NO_PAD.encode(joined).as_bytes());
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_sends_by_itself_is_lines() {
        assert_eq!(Form::of_media_type(Some("application/x-www-form-urlencoded")), Form::Text);
        assert_eq!(Form::of_media_type(None), Form::Text);
        assert_eq!(Form::of_media_type(Some("Application/Octet-Stream; x=y")), Form::Raw);
    }

    #[test]
    fn a_record_is_exactly_as_long_as_it_must_be_and_canonical() {
        let line = URL_SAFE_NO_PAD.encode([7; 32]);
        assert_eq!(record_of_line::<32>(line.as_bytes()), Some([7; 32]));
        assert_eq!(record_of_line::<96>(line.as_bytes()), None);
        assert_eq!(record_of_line::<32>(&line.as_bytes()[..42]), None);
        let mut loose = line.into_bytes();
        loose[42] = b'd'; // the same 32 bytes, with unused bits that are not zero
        assert_eq!(record_of_line::<32>(&loose), None);
    }
}
