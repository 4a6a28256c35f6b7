//! File names for programs: in JSON they are exact, not in the form that is safe to show.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Puts a file's name into an object: under `key` if it is UTF-8, otherwise under `key_base64`, as
/// `recv --json` does with texts.
pub(crate) fn put(object: &mut Value, key: &str, path: &Path) {
    if let Some(text) = path.to_str() {
        object[key] = text.into();
    } else {
        let bytes = path.as_os_str().as_bytes();
        object[format!("{key}_base64")] = STANDARD.encode(bytes).into();
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn a_name_is_exact_whatever_is_in_it() {
        let mut object = serde_json::json!({});
        put(&mut object, "file", Path::new("a\x1b[b\nü"));
        put(&mut object, "other", Path::new(OsStr::from_bytes(b"\xff/a")));
        assert_eq!(object["file"], "a\x1b[b\nü");
        assert_eq!(object["other"], Value::Null);
        assert_eq!(object["other_base64"], STANDARD.encode(b"\xff/a"));
    }
}
