//! Somebody else's text on our terminal: everything that could move the cursor, change a colour,
//! retitle the window, type into the shell or reverse the reading order is made visible instead.
//!
//! `^[` stands for ESC (and so on for the other control characters below U+0020), `<U+202E>` for
//! those that Unicode added, `<9B>` for a byte that is not UTF-8. Newlines and tabs stay.

use std::fmt;
use std::io::{self, Write};

use zeroize::Zeroizing;

/// Writes text to a terminal, in pieces of any size.
pub(crate) struct Printable<W: Write> {
    out: W,
    /// The beginning of a character whose rest has not arrived: at most three bytes.
    begun: Vec<u8>,
    shown: String,
    /// Whether the last character written was not a newline.
    open_line: bool,
}

impl<W: Write> Printable<W> {
    /// Shows on `out` everything that is written to this.
    pub(crate) fn new(out: W) -> Self {
        Self { out, begun: Vec::new(), shown: String::new(), open_line: false }
    }

    /// Ends the text: adds a newline, unless the text ended with one or was empty. Another text may
    /// follow.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        for byte in std::mem::take(&mut self.begun) {
            push_byte(&mut self.shown, byte);
        }
        if self.open_line || !self.shown.is_empty() {
            self.shown.push('\n');
        }
        self.open_line = false;
        let written = self.out.write_all(self.shown.as_bytes());
        self.shown.clear();
        written.and_then(|()| self.out.flush())
    }

    fn show(&mut self, mut bytes: &[u8]) {
        loop {
            let error = match std::str::from_utf8(bytes) {
                Ok(text) => return push_text(&mut self.shown, text),
                Err(error) => error,
            };
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            push_text(&mut self.shown, std::str::from_utf8(valid).unwrap_or_default());
            let Some(bad) = error.error_len() else {
                self.begun = rest.to_vec();
                return;
            };
            for &byte in &rest[..bad] {
                push_byte(&mut self.shown, byte);
            }
            bytes = &rest[bad..];
        }
    }
}

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.begun.is_empty() {
            self.show(bytes);
        } else {
            let mut joined = std::mem::take(&mut self.begun);
            joined.extend_from_slice(bytes);
            self.show(&joined);
        }
        if let Some(last) = self.shown.chars().next_back() {
            self.open_line = last != '\n';
        }
        let result = self.out.write_all(self.shown.as_bytes());
        self.shown.clear();
        result.map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A whole text, without the newline at its end.
pub(crate) fn text(bytes: &[u8]) -> Zeroizing<String> {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.strip_suffix(b"\n").unwrap_or(bytes).utf8_chunks() {
        push_text(&mut shown, chunk.valid());
        for &byte in chunk.invalid() {
            push_byte(&mut shown, byte);
        }
    }
    shown.into()
}

/// One line of ours that may contain somebody else's words (a file name, a question).
pub(crate) fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    push_text(&mut shown, text);
    shown.replace('\n', "^J").replace('\t', "^I")
}

/// JSON whose strings hold somebody else's words: the same JSON, with everything escaped that a
/// terminal would obey.
pub(crate) fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // Outside of strings, only the newline at the end is one of these characters.
        if is_dangerous(character) {
            write_code(&mut shown, format_args!("\\u{:04x}", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    shown
}

fn push_text(shown: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(is_dangerous) {
        let (before, after) = rest.split_at(at);
        shown.push_str(before);
        let mut characters = after.chars();
        if let Some(character) = characters.next() {
            push_character(shown, character);
        }
        rest = characters.as_str();
    }
    shown.push_str(rest);
}

fn push_character(shown: &mut String, character: char) {
    match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() => {
            shown.push('^');
            // Written like the key that produces it: 0x1B is ^[, 0x7F is ^?.
            shown.push((byte ^ 0x40).into());
        }
        _ => write_code(shown, format_args!("<U+{:04X}>", u32::from(character))),
    }
}

/// Makes visible a byte that is not a character.
pub(super) fn push_byte(shown: &mut String, byte: u8) {
    write_code(shown, format_args!("<{byte:02X}>"));
}

fn write_code(shown: &mut String, code: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = fmt::Write::write_fmt(shown, code);
}

/// Whether a terminal would obey it, or show what follows it in another order.
pub(crate) fn is_dangerous(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Marks, embeddings, overrides and isolates of the reading order; other line ends.
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&[u8]]) -> String {
        let mut out = Printable::new(Vec::new());
        for piece in pieces {
            out.write_all(piece).unwrap();
        }
        out.end().unwrap();
        String::from_utf8(out.out).unwrap()
    }

    #[test]
    fn text_stays_unchanged_and_ends_with_one_newline() {
        assert_eq!(shown(&[b"hello"]), "hello\n");
        assert_eq!(shown(&[b"hello\n"]), "hello\n");
        assert_eq!(shown(&["grüße\t👩‍👩‍👧 שלום\n".as_bytes()]), "grüße\t👩‍👩‍👧 שלום\n");
        assert_eq!(shown(&[]), "");
        assert_eq!(shown(&[b"a\n", b"", b"b"]), "a\nb\n");
    }

    #[test]
    fn what_a_terminal_would_obey_becomes_visible() {
        assert_eq!(shown(&[b"\x1b[2J\x07\r\n\0\x7f"]), "^[[2J^G^M\n^@^?\n");
        assert_eq!(shown(&["\u{9b}31m\u{85}".as_bytes()]), "<U+009B>31m<U+0085>\n");
        assert_eq!(
            shown(&["a\u{202e}b\u{2066}c\u{200f}".as_bytes()]),
            "a<U+202E>b<U+2066>c<U+200F>\n"
        );
        assert_eq!(shown(&[b"a\x9b\xff\xc3"]), "a<9B><FF><C3>\n");
        assert_eq!(shown(&[b"\xc0\xaf\xed\xa0\x80"]), "<C0><AF><ED><A0><80>\n");
    }

    #[test]
    fn cuts_change_nothing() {
        let text = "ü\u{202e}👩\x1b[".as_bytes();
        let text = [text, b"\xff\xf0\x9f", "é".as_bytes(), b"\xf0\x9f\x91"].concat();
        let whole = shown(&[&text]);
        assert_eq!(whole, "ü<U+202E>👩^[[<FF><F0><9F>é<F0><9F><91>\n");
        for size in 1..text.len() {
            assert_eq!(shown(&text.chunks(size).collect::<Vec<_>>()), whole);
        }
    }

    #[test]
    fn a_whole_text_is_shown_like_its_pieces() {
        for bytes in [&b"a\x1b[2J\xff\n"[..], "ü\u{202e}\n\n".as_bytes(), b"", b"\n", b"a\tb"] {
            let ended = shown(&[bytes]);
            assert_eq!(*text(bytes), ended.strip_suffix('\n').unwrap_or(&ended));
        }
    }

    #[test]
    fn json_says_the_same_to_a_program_and_nothing_to_a_terminal() {
        let words = "grüße\n\u{9b}31m\u{202e}\u{7f}👩";
        let told = serde_json::json!({ "question": words }).to_string();
        let shown = json(&told);
        assert_eq!(shown, r#"{"question":"grüße\n\u009b31m\u202e\u007f👩"}"#);
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read["question"], words);
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(line("a\nb\t\x1b"), "a^Jb^I^[");
    }
}
