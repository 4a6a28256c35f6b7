//! A file name that the other side has chosen, made into one that is safe here: a single component, which
//! no shell, listing or file manager takes for anything else.

use std::ffi::OsStr;

use crate::ui::printable;

/// The longest name that file systems take, in bytes.
const LONGEST: usize = 255;
/// How much of it an extension may be, so that it survives a cut.
const EXTENSION: usize = 16;

/// The name for the other side's `name`; empty if nothing is left of it.
///
/// Separators, control characters and what reverses the reading order become `_`; so does a dot at the
/// beginning, which would hide the file, and a hyphen there, which would make an option of it.
pub(super) fn safe(name: &str) -> String {
    let mapped: String = name.chars().map(sign).collect();
    let mut safe = mapped.trim().to_owned();
    if safe.starts_with(['.', '-', '~']) {
        safe.replace_range(..1, "_");
    }
    if safe.chars().all(|sign| sign == '_' || sign == '.') {
        return String::new();
    }
    cut(&safe).trim_end().to_owned()
}

/// The name for a file within a directory that the other side hands over: the same, but that a dot at its
/// beginning stays, since much in a directory is hidden for good reason, and so do blanks.
pub(super) fn inside(name: &OsStr) -> String {
    let mut safe: String = name.to_string_lossy().chars().map(sign).collect();
    if safe.starts_with(['-', '~']) {
        safe.replace_range(..1, "_");
    }
    cut(&safe)
}

fn sign(sign: char) -> char {
    let is_unsafe = matches!(sign, '/' | '\\' | '\u{fffd}' | '\n' | '\t' | '\0');
    if is_unsafe || printable::is_dangerous(sign) { '_' } else { sign }
}

/// At most as long as file systems take, with its extension.
fn cut(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let extension = name.rfind('.').map(|at| &name[at..]).filter(|end| end.len() <= EXTENSION);
    let extension = extension.unwrap_or_default();
    let mut end = LONGEST - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &name[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_stay_or_become_harmless() {
        for (name, made) in [
            ("letter.pdf", "letter.pdf"),
            ("Grüße an 👩.txt", "Grüße an 👩.txt"),
            ("../../x", "_._.._x"),
            ("/etc/passwd", "_etc_passwd"),
            ("-rf", "_rf"),
            (".bashrc", "_bashrc"),
            ("~root", "_root"),
            ("a\nb\0c\x1b[2Jd\u{202e}e\\f", "a_b_c_[2Jd_e_f"),
            (" a ", "a"),
            (".", ""),
            ("..", ""),
            ("", ""),
            ("   ", ""),
            ("///", ""),
        ] {
            assert_eq!(safe(name), made, "{name:?}");
        }
        assert_eq!(safe(&"x".repeat(255)).len(), 255);
        let long = safe(&format!("{}.tar.gz", "ü".repeat(200)));
        assert!(long.len() <= 255 && long.ends_with("ü.gz"), "{long}");
    }

    #[test]
    fn names_in_a_directory_stay_or_become_harmless() {
        use std::os::unix::ffi::OsStrExt as _;
        for (name, made) in [
            (&b"letter.pdf"[..], "letter.pdf"),
            (".gitignore".as_bytes(), ".gitignore"),
            ("...".as_bytes(), "..."),
            ("__init__.py".as_bytes(), "__init__.py"),
            (" a ".as_bytes(), " a "),
            ("Grüße".as_bytes(), "Grüße"),
            (b"Gr\xfc\xdfe", "Gr__e"),
            (b"-rf", "_rf"),
            (b"~", "_"),
            ("a\nb\x1b[2Jd\u{202e}e".as_bytes(), "a_b_[2Jd_e"),
        ] {
            assert_eq!(inside(OsStr::from_bytes(name)), made, "{name:?}");
        }
        assert_eq!(inside(OsStr::new(&"x".repeat(300))).len(), 255);
    }

    proptest! {
        #[test]
        fn a_name_is_one_component(name in "(.|\n|/|\\.){0,300}") {
            let made = safe(&name);
            prop_assert!(made.len() <= 255);
            prop_assert!(!made.starts_with(['.', '-', '/']) && !made.contains(['/', '\n', '\0']));
            prop_assert_eq!(safe(&made), made);
        }
    }
}
