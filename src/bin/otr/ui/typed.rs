//! What a person types at a terminal, in lines of any length.
//!
//! The kernel's own line editing (canonical mode) silently truncates a line at 4,095 bytes. So this
//! module edits lines itself, with the same keys, as `stty -a` shows them: erase, word erase, kill,
//! reprint, literal next, and end of input. A line editor crate would not do, because it takes
//! pasted bytes (tabs, escapes, invalid UTF-8) for keys, and here they are the message.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::termios::{SpecialCodeIndex, Termios, tcgetattr};
use unicode_width::UnicodeWidthStr;
use zeroize::{Zeroize, Zeroizing};

use super::printable;
use super::terminal::Quiet;

/// A line longer than this is passed on in pieces, of which only the last can be edited: far more
/// than anybody types, and a bound on memory.
const LINE: usize = 1 << 16;

/// How much to read at a time: all that a terminal holds.
const PIECE: usize = 4096;

/// The distance between tab stops.
const TAB: usize = 8;

/// The editing keys.
struct Keys {
    erase: u8,
    word: u8,
    kill: u8,
    reprint: u8,
    literal: u8,
    end: u8,
}

impl Keys {
    fn of(mode: &Termios) -> Self {
        let key = |index| mode.special_codes[index];
        Self {
            erase: key(SpecialCodeIndex::VERASE),
            word: key(SpecialCodeIndex::VWERASE),
            kill: key(SpecialCodeIndex::VKILL),
            reprint: key(SpecialCodeIndex::VREPRINT),
            literal: key(SpecialCodeIndex::VLNEXT),
            end: key(SpecialCodeIndex::VEOF),
        }
    }
}

/// The effect of a key.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// The line continues.
    Nothing,
    /// The line is complete, or passed on unfinished.
    Line,
    /// The end of the input, at the beginning of a line.
    End,
}

/// The line that the person is typing.
struct Editor {
    keys: Keys,
    line: Zeroizing<Vec<u8>>,
    /// How many bytes at its end are an incomplete character.
    begun: usize,
    is_literal: bool,
}

impl Editor {
    fn new(keys: Keys) -> Self {
        let line = Zeroizing::new(Vec::with_capacity(LINE));
        Self { keys, line, begun: 0, is_literal: false }
    }

    /// Handles a key; what to show for it goes into `echo`.
    fn key(&mut self, byte: u8, echo: &mut Vec<u8>) -> Came {
        // 0 stands for a disabled key.
        let is = |key: u8| byte == key && key != 0;
        if std::mem::take(&mut self.is_literal) {
            return self.push(byte, echo);
        }
        if byte == b'\n' {
            self.line.push(byte);
            echo.push(byte);
            self.begun = 0;
            return Came::Line;
        }
        if is(self.keys.end) {
            self.begun = 0;
            return if self.line.is_empty() { Came::End } else { Came::Line };
        }
        if is(self.keys.erase) {
            self.erase(echo);
        } else if is(self.keys.word) {
            while self.line.last().is_some_and(u8::is_ascii_whitespace) {
                self.erase(echo);
            }
            while self.line.last().is_some_and(|byte| !byte.is_ascii_whitespace()) {
                self.erase(echo);
            }
        } else if is(self.keys.kill) {
            while !self.line.is_empty() {
                self.erase(echo);
            }
        } else if is(self.keys.reprint) {
            echo.extend_from_slice(b"^R\n");
            echo.extend_from_slice(seen(&self.line).as_bytes());
        } else if is(self.keys.literal) {
            self.is_literal = true;
        } else {
            return self.push(byte, echo);
        }
        Came::Nothing
    }

    fn push(&mut self, byte: u8, echo: &mut Vec<u8>) -> Came {
        self.line.push(byte);
        self.begun += 1;
        let character = &self.line[self.line.len() - self.begun..];
        let is_cut = str::from_utf8(character).is_err_and(|error| error.error_len().is_none());
        if !is_cut {
            echo.extend_from_slice(seen(character).as_bytes());
            self.begun = 0;
        }
        if self.line.len() < LINE {
            return Came::Nothing;
        }
        self.begun = 0;
        Came::Line
    }

    /// Removes the last character, from the screen as well.
    fn erase(&mut self, echo: &mut Vec<u8>) {
        let length = self.line.len();
        if self.begun > 0 {
            // None of it is on the screen.
            self.line.truncate(length - self.begun);
            self.begun = 0;
            return;
        }
        let last = last_character(&self.line);
        let at = length - last.len();
        let width = if last == b"\t" {
            TAB - seen(&self.line[..at]).width() % TAB
        } else {
            seen(last).width()
        };
        self.line.truncate(at);
        let back = "\u{8}".repeat(width);
        for piece in [&back, &" ".repeat(width), &back] {
            echo.extend_from_slice(piece.as_bytes());
        }
    }
}

/// The last character, or the last byte if that is not part of one.
fn last_character(line: &[u8]) -> &[u8] {
    let ends = (1..=line.len().min(4)).map(|count| &line[line.len() - count..]);
    ends.into_iter()
        .find(|end| str::from_utf8(end).is_ok_and(|text| text.chars().count() == 1))
        .unwrap_or(&line[line.len().saturating_sub(1)..])
}

/// The text as shown: everything that a terminal would obey is made visible, except tabs.
fn seen(bytes: &[u8]) -> Zeroizing<String> {
    let mut shown = Zeroizing::new(String::with_capacity(bytes.len() + 8));
    for (index, words) in bytes.split(|&byte| byte == b'\t').enumerate() {
        if index > 0 {
            shown.push('\t');
        }
        for chunk in words.utf8_chunks() {
            shown.push_str(&Zeroizing::new(printable::line(chunk.valid())));
            for byte in chunk.invalid() {
                printable::push_byte(&mut shown, *byte);
            }
        }
    }
    shown
}

/// What a person types at a terminal, up to Ctrl-D on a separate line.
pub(crate) struct Typed<T: AsFd + Read> {
    terminal: T,
    editor: Editor,
    /// Where the person sees the typed text.
    screen: Option<Box<dyn Write + Send>>,
    /// Complete lines that were not all read yet, and how many of their bytes were.
    ready: Zeroizing<Vec<u8>>,
    taken: usize,
    ended: bool,
    piece: Zeroizing<Vec<u8>>,
    _quiet: Quiet,
}

impl<T: AsFd + Read> Typed<T> {
    /// Takes over the terminal; afterwards say what to do. `screen` shows the typed text.
    pub(crate) fn seen(terminal: T, screen: impl Write + Send + 'static) -> io::Result<Self> {
        Self::new(terminal, Some(Box::new(screen)), PIECE)
    }

    /// Takes over the terminal, without showing the typed text. Reads no byte beyond the requested
    /// line.
    pub(crate) fn unseen(terminal: T) -> io::Result<Self> {
        Self::new(terminal, None, 1)
    }

    fn new(terminal: T, screen: Option<Box<dyn Write + Send>>, piece: usize) -> io::Result<Self> {
        let keys = Keys::of(&tcgetattr(&terminal)?);
        let quiet = Quiet::enter(&terminal)?;
        Ok(Self {
            terminal,
            editor: Editor::new(keys),
            screen,
            ready: Zeroizing::default(),
            taken: 0,
            ended: false,
            piece: Zeroizing::new(vec![0; piece]),
            _quiet: quiet,
        })
    }

    /// Reads typed text: at least one line, or the end.
    fn fill(&mut self) -> io::Result<()> {
        self.ready.zeroize();
        self.taken = 0;
        while self.ready.is_empty() && !self.ended {
            let count = match self.terminal.read(&mut self.piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            // The terminal has disappeared.
            self.ended = count == 0;
            let mut echo = Zeroizing::new(Vec::new());
            for at in 0..count {
                let came = self.editor.key(self.piece[at], &mut echo);
                if came == Came::Line {
                    self.ready.extend_from_slice(&self.editor.line);
                    self.editor.line.zeroize();
                } else if came == Came::End {
                    self.ended = true;
                    break;
                }
            }
            if let Some(screen) = &mut self.screen {
                // A person who cannot see the text can still type.
                let _ = screen.write_all(&echo);
            }
        }
        Ok(())
    }
}

impl<T: AsFd + Read> Read for Typed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            self.fill()?;
        }
        let count = (&self.ready[self.taken..]).read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that these keys produce, and what is on the screen.
    fn typed(keys: &[u8]) -> (Vec<Vec<u8>>, String) {
        let (erase, word, kill, reprint, literal, end) = (0x7f, 0x17, 0x15, 0x12, 0x16, 4);
        let mut editor = Editor::new(Keys { erase, word, kill, reprint, literal, end });
        let (mut lines, mut echo) = (Vec::new(), Vec::new());
        for &key in keys {
            match editor.key(key, &mut echo) {
                Came::Nothing => {}
                Came::Line => {
                    lines.push(editor.line.to_vec());
                    editor.line.zeroize();
                }
                Came::End => lines.push(b"END".to_vec()),
            }
        }
        (lines, String::from_utf8(echo).unwrap())
    }

    #[test]
    fn keys_edit_as_in_the_kernel() {
        for (keys, line) in [
            ("ab\x7fc\n", "ac\n"),
            ("\x7f\x7fa\n", "a\n"),
            ("größe\x7f\x7f\x7f\x7f😀\x7fx\n", "gx\n"),
            ("one two  \x17three\n", "one three\n"),
            ("all of it\x15rest\n", "rest\n"),
            ("\x16\x7f\x16\x04\n", "\x7f\x04\n"),
            ("a\x12b\n", "ab\n"),
            ("a\tb\x1b[A\n", "a\tb\x1b[A\n"),
        ] {
            assert_eq!(typed(keys.as_bytes()).0, [line.as_bytes()], "{keys:?}");
        }
        assert_eq!(typed(b"a\xffb\x7f\x7f\xfe\n").0, [b"a\xfe\n"]);
    }

    #[test]
    fn the_end_is_ctrl_d_on_a_separate_line() {
        assert_eq!(typed(b"a\n\x04").0, [b"a\n".to_vec(), b"END".to_vec()]);
        assert_eq!(typed(b"a\x04\x04").0, [b"a".to_vec(), b"END".to_vec()]);
    }

    #[test]
    fn the_screen_shows_what_is_left() {
        assert_eq!(typed("ab\x7f".as_bytes()).1, "ab\u{8} \u{8}");
        assert_eq!(typed("日\x7f".as_bytes()).1, "日\u{8}\u{8}  \u{8}\u{8}");
        assert_eq!(typed(b"\x1b\x7f").1, "^[\u{8}\u{8}  \u{8}\u{8}");
        assert_eq!(typed(b"abcde\t\x7f").1, format!("abcde\t{0}   {0}", "\u{8}".repeat(3)));
        assert_eq!(typed(b"a\x12").1, "a^R\na");
        assert_eq!(typed("\u{202e}".as_bytes()).1, "<U+202E>");
    }

    #[test]
    fn an_endless_line_is_handed_on_in_pieces() {
        let (pieces, _) = typed(&vec![b'x'; 3 * LINE]);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [LINE; 3]);
        let cut_character = [&vec![b'x'; LINE - 1][..], "ü\x7f\n".as_bytes()].concat();
        assert_eq!(typed(&cut_character).0.concat().len(), LINE + 1);
    }
}
