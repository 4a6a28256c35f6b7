//! The name of a session: what a person types after `-s`, and the stem of its files.

use std::fmt;
use std::str::FromStr;

/// The longest name in bytes: with the longest suffix it stays far below the 255 that every file
/// system allows, and fits into a line of `status`.
const LONGEST: usize = 64;

/// A session's name, `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`: never a path, never hidden, never an
/// option, the same on every file system that keeps case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name as the user typed it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not a name. The message does not repeat the text, which may contain anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadName;

const WHAT: &str = "not a session name";
const HINT: &str = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit";

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WHAT}; {HINT}")
    }
}

impl std::error::Error for BadName {}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let goes_on_well =
            text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if begins_well && goes_on_well && text.len() <= LONGEST {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_manual_says() {
        let longest = "a".repeat(LONGEST);
        for good in ["default", "a", "9", "A.b_c-d", "a..b", longest.as_str()] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(LONGEST + 1);
        for bad in
            ["", ".", "..", ".a", "-a", "_a", "a/b", "../a", "a b", "ä", "a\n", "a\0", &too_long]
        {
            assert_eq!(bad.parse::<Name>(), Err(BadName), "{bad:?}");
        }
    }
}
