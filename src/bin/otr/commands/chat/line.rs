//! The line that is typed: an editor's, with what was pasted as a block in it, and the lines before.

use tui_input::{Input, InputRequest};
use zeroize::{Zeroize as _, Zeroizing};

use crate::ui::keys::Key;
use crate::ui::printable;

/// How many earlier lines the arrows bring back.
const EARLIER: usize = 200;
/// A paste of one line that is longer than this is a block of its own.
const SHORT: usize = 1000;

#[derive(Default)]
pub(super) struct Line {
    input: Input,
    /// Pastes, by the number in the blocks that stand for them.
    pastes: Vec<Zeroizing<Vec<u8>>>,
    earlier: Vec<Zeroizing<String>>,
    /// Which of them is in the line, and what was typed before.
    shown: Option<(usize, Zeroizing<String>)>,
}

impl Line {
    /// Does what a key does within the line.
    pub(super) fn key(&mut self, key: &Key) {
        let request = match key {
            Key::Char(sign) => InputRequest::InsertChar(*sign),
            Key::NewLine => InputRequest::InsertChar('\n'),
            Key::Left => InputRequest::GoToPrevChar,
            Key::Right => InputRequest::GoToNextChar,
            Key::WordLeft => InputRequest::GoToPrevWord,
            Key::WordRight => InputRequest::GoToNextWord,
            Key::Home => InputRequest::GoToStart,
            Key::End => InputRequest::GoToEnd,
            Key::Backspace => InputRequest::DeletePrevChar,
            Key::Delete | Key::EndOfInput => InputRequest::DeleteNextChar,
            Key::DeleteWord => InputRequest::DeletePrevWord,
            Key::DeleteNextWord => InputRequest::DeleteNextWord,
            Key::DeleteToStart => InputRequest::DeleteFromStart,
            Key::DeleteToEnd => InputRequest::DeleteTillEnd,
            Key::Yank => InputRequest::Yank,
            Key::Up => return self.go(true),
            Key::Down => return self.go(false),
            Key::Paste(text) => return self.paste(text),
            _ => return,
        };
        self.input.handle(request);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.input.value().is_empty()
    }

    pub(super) fn text(&self) -> &str {
        self.input.value()
    }

    /// The byte of the text before which the cursor stands.
    pub(super) fn cursor(&self) -> usize {
        let text = self.text();
        text.char_indices().nth(self.input.cursor()).map_or(text.len(), |(at, _)| at)
    }

    /// Puts this text into the line, the cursor behind it.
    pub(super) fn set(&mut self, text: &str) {
        let mut old = String::from(std::mem::take(&mut self.input));
        old.zeroize();
        self.input = Input::new(text.to_owned());
    }

    /// Takes the line away, which becomes the last of the earlier ones: the text with its blocks.
    pub(super) fn enter(&mut self) -> Zeroizing<String> {
        let text = Zeroizing::new(String::from(std::mem::take(&mut self.input)));
        self.shown = None;
        // Until now Ctrl-Y could have brought a block back that was deleted.
        let is_there = |(at, paste): (usize, &_)| text.contains(&block(at + 1, paste));
        if !self.pastes.iter().map(|paste| &***paste).enumerate().any(is_there) {
            self.pastes.clear();
        }
        if !text.is_empty() && self.earlier.last() != Some(&text) && self.pastes.is_empty() {
            self.earlier.push(text.clone());
            if self.earlier.len() > EARLIER {
                self.earlier.remove(0);
            }
        }
        text
    }

    /// The text with what was pasted in place of its blocks.
    pub(super) fn whole(&mut self, text: &str) -> Zeroizing<Vec<u8>> {
        let pastes = std::mem::take(&mut self.pastes);
        let size = text.len() + pastes.iter().map(|paste| paste.len()).sum::<usize>();
        // With room for the newline at the end, so that it never moves.
        let mut whole = Zeroizing::new(Vec::with_capacity(size + 1));
        let mut rest = text;
        for (at, paste) in pastes.iter().enumerate() {
            if let Some((before, after)) = rest.split_once(&block(at + 1, paste)) {
                whole.extend_from_slice(before.as_bytes());
                whole.extend_from_slice(paste);
                rest = after;
            }
        }
        whole.extend_from_slice(rest.as_bytes());
        whole
    }

    /// Brings an earlier line into the line, or a later one.
    fn go(&mut self, back: bool) {
        let at = self.shown.as_ref().map_or(self.earlier.len(), |(at, _)| *at);
        let to = if back { at.checked_sub(1) } else { Some(at + 1) };
        let Some(to) = to.filter(|to| *to <= self.earlier.len()) else { return };
        let (_, typed) = self.shown.take().unwrap_or_else(|| (to, self.text().to_owned().into()));
        match self.earlier.get(to).cloned() {
            Some(line) => {
                self.set(&line);
                self.shown = Some((to, typed));
            }
            None => self.set(&typed),
        }
    }

    /// Puts a paste into the line: a short one as if it was typed, another one as a block.
    fn paste(&mut self, bytes: &[u8]) {
        let bytes = with_newlines(bytes);
        let typed = str::from_utf8(&bytes).ok().filter(|text| {
            text.len() <= SHORT && !text.contains(['\n', '\t']) && printable::line(text) == **text
        });
        let text = if let Some(text) = typed {
            Zeroizing::new(text.to_owned())
        } else {
            self.pastes.push(bytes.clone());
            block(self.pastes.len(), &bytes).into()
        };
        for sign in text.chars() {
            self.input.handle(InputRequest::InsertChar(sign));
        }
    }
}

/// What stands for a paste in the line.
fn block(number: usize, paste: &[u8]) -> String {
    let lines = memchr::memchr_iter(b'\n', paste.strip_suffix(b"\n").unwrap_or(paste)).count() + 1;
    if lines > 1 {
        format!("[paste {number}: {lines} lines]")
    } else {
        format!("[paste {number}: {} bytes]", paste.len())
    }
}

/// A terminal sends a paste's newlines as the key Enter.
fn with_newlines(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len()));
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => {}
            b'\r' => text.push(b'\n'),
            byte => text.push(*byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &mut Line, text: &str) {
        for sign in text.chars() {
            line.key(&Key::Char(sign));
        }
    }

    fn entered(line: &mut Line) -> Vec<u8> {
        let text = line.enter();
        line.whole(&text).to_vec()
    }

    #[test]
    fn a_paste_is_one_block_in_the_line_and_whole_in_the_message() {
        let mut line = Line::default();
        typed(&mut line, "see ");
        line.key(&Key::Paste(b"a\rb\r\nc\r".to_vec().into()));
        assert_eq!(line.text(), "see [paste 1: 3 lines]");
        line.key(&Key::Paste(b"\x1b[2J\xff".to_vec().into()));
        typed(&mut line, " and this");
        line.key(&Key::Home);
        line.key(&Key::Paste("kurz 日".as_bytes().to_vec().into()));
        assert_eq!(line.text(), "kurz 日see [paste 1: 3 lines][paste 2: 5 bytes] and this");
        let expected = ["kurz 日see a\nb\nc\n".as_bytes(), b"\x1b[2J\xff and this"].concat();
        assert_eq!(entered(&mut line), expected);
    }

    #[test]
    fn a_block_that_was_edited_is_text() {
        let mut line = Line::default();
        line.key(&Key::Paste(b"a\nb".to_vec().into()));
        line.key(&Key::Backspace);
        assert_eq!(entered(&mut line), b"[paste 1: 2 lines");
    }

    #[test]
    fn a_block_that_was_deleted_leaves_nothing_behind() {
        let mut line = Line::default();
        line.key(&Key::Paste(b"a\nb".to_vec().into()));
        line.key(&Key::DeleteToStart);
        typed(&mut line, "/send file");
        assert_eq!(*line.enter(), "/send file");
        assert!(line.pastes.is_empty());
        line.key(&Key::Up);
        assert_eq!(line.text(), "/send file");
    }

    #[test]
    fn the_arrows_bring_back_what_was_entered() {
        let mut line = Line::default();
        for text in ["one", "two", "two"] {
            typed(&mut line, text);
            entered(&mut line);
        }
        typed(&mut line, "th");
        let shown = |line: &mut Line, key: Key| {
            line.key(&key);
            line.text().to_owned()
        };
        assert_eq!(shown(&mut line, Key::Up), "two");
        assert_eq!(shown(&mut line, Key::Up), "one");
        assert_eq!(shown(&mut line, Key::Up), "one");
        assert_eq!(shown(&mut line, Key::Down), "two");
        assert_eq!(shown(&mut line, Key::Down), "th");
        assert_eq!(shown(&mut line, Key::Down), "th");
    }

    #[test]
    fn the_cursor_goes_by_what_a_person_sees() {
        let mut line = Line::default();
        typed(&mut line, "ae\u{301}日");
        line.key(&Key::Left);
        assert_eq!(line.cursor(), "ae\u{301}".len());
        line.key(&Key::Left);
        assert_eq!(line.cursor(), 1);
        line.key(&Key::Delete);
        assert_eq!(line.text(), "a日");
    }
}
