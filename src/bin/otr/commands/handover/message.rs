//! What the two ends of a handover tell each other: a line of JSON at the beginning of each message, and
//! after one of them the content (docs/protocol.md, section 11).

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The most bytes of a line, with its newline: a name of 255 bytes, each of them as `\u0000`, and the rest.
pub(super) const LINE: usize = 4096;
/// The most bytes of a text: it is in memory at both ends.
pub(super) const TEXT: u64 = 1 << 20;
/// The status after the content: it is whole.
pub(super) const WHOLE: u8 = 0;
/// The status after the content: it could not be read to its end, or changed meanwhile.
pub(super) const BROKEN: u8 = 1;

/// What is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// A directory, or several files, as a tar stream.
    Tree,
    Text,
    /// What came from stdin, of a length that nobody knows before its end.
    Stream,
}

impl Kind {
    const ALL: [(Self, &'static str); 4] = [
        (Self::File, "file"),
        (Self::Tree, "tree"),
        (Self::Text, "text"),
        (Self::Stream, "stream"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// What one side has for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) kind: Kind,
    /// As the other side says it: not yet safe.
    pub(super) name: String,
    /// Its bytes, if they are known; of a tree, those of its files.
    pub(super) size: Option<u64>,
    /// How many files are in it.
    pub(super) files: u64,
    /// How many files, directories and links.
    pub(super) entries: u64,
}

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The person said no.
    Declined,
    /// There was no person to ask.
    Unasked,
    /// Something of that name is there already.
    Exists,
    /// There is no room for it.
    Full,
    /// It could not be written, for another reason.
    Unwritable,
    /// A name or a link in it would lead out of it, two of its names would be the same, or it holds what is no file.
    Unsafe,
    /// It came incomplete, or of another length than announced, or cannot go on.
    Cut,
    /// It is not what was offered before.
    Another,
    /// It was interrupted.
    Ended,
    /// A reason of a later version.
    Other,
}

impl Why {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Declined, "declined"),
        (Self::Unasked, "unasked"),
        (Self::Exists, "exists"),
        (Self::Full, "full"),
        (Self::Unwritable, "unwritable"),
        (Self::Unsafe, "unsafe"),
        (Self::Cut, "cut"),
        (Self::Another, "another"),
        (Self::Ended, "ended"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(why, _)| *why == self).map_or("other", |(_, name)| name)
    }

    fn of(name: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == name).map_or(Self::Other, |(why, _)| *why)
    }
}

/// What the receiving side has already, from a run that was cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Have {
    pub(super) bytes: u64,
    /// SHA-256 of these.
    pub(super) hash: [u8; 32],
}

/// The line of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Offer(Offer),
    /// What follows is the content from this byte on, and a byte that says whether it is whole.
    Content(u64),
    /// The offer is taken.
    Take(Have),
    /// All is in its place.
    Done,
    /// Nothing is, or will be.
    Refuse(Why),
}

impl Line {
    /// As it is sent, with its newline.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let object = match self {
            Self::Offer(Offer { kind, name, size, files, entries }) => json!({
                "offer": kind.name(), "name": name, "size": size, "files": files, "entries": entries
            }),
            Self::Content(from) => json!({ "content": from }),
            Self::Take(Have { bytes, hash }) => {
                json!({ "take": true, "have": bytes, "sha256": hex(hash) })
            }
            Self::Done => json!({ "done": true }),
            Self::Refuse(why) => json!({ "done": false, "why": why.name() }),
        };
        format!("{object}\n").into_bytes()
    }

    /// Reads a line without its newline; `None` if it is none that this version knows.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        if line.len() >= LINE {
            return None;
        }
        let object: Value = serde_json::from_slice(line).ok()?;
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        if let Some(kind) = text("offer") {
            let (kind, _) = Kind::ALL.into_iter().find(|(_, name)| *name == kind)?;
            let name = text("name").unwrap_or_default().to_owned();
            let files = number("files").unwrap_or(1);
            let entries = number("entries").unwrap_or(files);
            return Some(Self::Offer(Offer { kind, name, size: number("size"), files, entries }));
        }
        if let Some(from) = number("content") {
            return Some(Self::Content(from));
        }
        if object.get("take") == Some(&Value::Bool(true)) {
            let hash = text("sha256").and_then(unhex);
            let have = number("have").zip(hash).map(|(bytes, hash)| Have { bytes, hash });
            return Some(Self::Take(have.unwrap_or_default()));
        }
        match object.get("done")? {
            Value::Bool(true) => Some(Self::Done),
            Value::Bool(false) => Some(Self::Refuse(Why::of(text("why").unwrap_or_default()))),
            _ => None,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|sign| sign.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(line: &Line) -> Vec<u8> {
        let bytes = line.to_bytes();
        assert!(bytes.len() <= LINE && memchr::memchr_iter(b'\n', &bytes).count() == 1);
        bytes[..bytes.len() - 1].to_vec()
    }

    proptest! {
        #[test]
        fn an_offer_comes_out_as_it_went_in(name in ".{0,63}", size: Option<u64>, files: u64, entries: u64, kind in 0..4_usize) {
            let (kind, _) = Kind::ALL[kind];
            let line = Line::Offer(Offer { kind, name, size, files, entries });
            prop_assert_eq!(Line::parse(&body(&line)), Some(line));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Line::parse(&bytes));
        }

        /// Near a valid one, where a parser's branches are.
        #[test]
        fn nothing_near_a_line_makes_it_panic(at in 0..400_usize, byte: u8, which in 0..4_usize) {
            let offer = Offer { kind: Kind::File, name: "ü\n\u{0}".into(), size: Some(1), files: 1, entries: 1 };
            let have = Have { bytes: 7, hash: [9; 32] };
            let lines = [Line::Offer(offer), Line::Content(5), Line::Take(have), Line::Refuse(Why::Full)];
            let mut bytes = body(&lines[which]);
            let at = at % bytes.len();
            bytes[at] = byte;
            drop(Line::parse(&bytes));
        }
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let told = br#"{"offer":"file","name":"a","size":3,"files":1,"mode":420,"v":[1]}"#;
        assert!(matches!(Line::parse(told), Some(Line::Offer(Offer { size: Some(3), .. }))));
        assert_eq!(Line::parse(br#"{"done":false,"why":"moon"}"#), Some(Line::Refuse(Why::Other)));
        for unknown in
            ["", "{}", "[]", "3", r#"{"offer":"moon"}"#, r#"{"done":1}"#, "{\"done\":true"]
        {
            assert_eq!(Line::parse(unknown.as_bytes()), None, "{unknown}");
        }
        let long = format!(r#"{{"done":true,"x":"{}"}}"#, "a".repeat(LINE));
        assert_eq!(Line::parse(long.as_bytes()), None);
    }

    #[test]
    fn the_longest_name_fits() {
        let name = "\u{1}".repeat(255);
        let line = Line::Offer(Offer {
            kind: Kind::File,
            name,
            size: Some(u64::MAX),
            files: u64::MAX,
            entries: u64::MAX,
        });
        assert_eq!(Line::parse(&body(&line)), Some(line));
    }
}
