//! Suggestions of what to type, for hints: words in a shell's syntax.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::printable;

/// The command line with which a command reads this file.
pub(crate) fn from_file(command: &str, file: &OsStr) -> String {
    format!("otr {command} < {}", quoted(file))
}

/// The command line with which `send` sends these words, or the file that they name.
pub(crate) fn instead_of_words(words: &[OsString]) -> String {
    match words {
        [file] if Path::new(file).exists() => from_file("send", file),
        _ => {
            let text: Vec<_> = words.iter().map(|word| quoted(word)).collect();
            format!("echo {} | otr send", text.join(" "))
        }
    }
}

/// A word, quoted for a shell and safe for a terminal.
pub(crate) fn quoted(word: &OsStr) -> String {
    let text = printable::line(&word.to_string_lossy());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,:=@%+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_a_shell_needs_it() {
        let words = ["it's", "a.txt"].map(OsString::from);
        assert_eq!(instead_of_words(&words), r"echo 'it'\''s' a.txt | otr send");
        assert_eq!(instead_of_words(&["/dev/null".into()]), "otr send < /dev/null");
    }
}
