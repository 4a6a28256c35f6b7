//! Breaks text into the rows of a screen: between words where that is possible, never within what a
//! person sees as one character, however many code points and columns that has.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Where each row of this text begins and ends, at this width in columns. Newlines are in no row, and
/// neither are other control characters in the text: make them visible first.
pub(crate) fn rows(text: &str, width: usize) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let mut at = 0;
    for line in text.split('\n') {
        break_line(line, at, width.max(1), &mut rows);
        at += line.len() + 1;
    }
    rows
}

fn break_line(line: &str, at: usize, width: usize, rows: &mut Vec<Range<usize>>) {
    let (mut start, mut column) = (0, 0);
    // Behind the last blank of this row: where it is best broken.
    let mut blank = 0;
    for (index, sign) in line.grapheme_indices(true) {
        let takes = room(sign);
        if column + takes > width && index > start {
            let end = if blank > start { blank } else { index };
            rows.push(at + start..at + end);
            column = line[end..index].graphemes(true).map(room).sum();
            start = end;
        }
        column += takes;
        if sign == " " {
            blank = index + 1;
        }
    }
    rows.push(at + start..at + line.len());
}

/// How many columns this text takes in a row of most terminals.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// How many it may take, since terminals disagree: some show each part of a sign by itself.
pub(crate) fn room(text: &str) -> usize {
    let parts = text.chars().map(|part| match part {
        // A letter of a flag, which is half of one or a box of its own.
        '\u{1F1E6}'..='\u{1F1FF}' => 2,
        part => part.width().unwrap_or(0),
    });
    columns(text).max(parts.sum())
}

/// As much of this text as fits into so many columns, on every terminal.
pub(crate) fn fitting(text: &str, width: usize) -> &str {
    let mut column = 0;
    for (index, sign) in text.grapheme_indices(true) {
        column += room(sign);
        if column > width {
            return &text[..index];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str, width: usize) -> Vec<&str> {
        rows(text, width).into_iter().map(|row| &text[row]).collect()
    }

    #[test]
    fn rows_are_broken_between_words() {
        assert_eq!(broken("one two three", 8), ["one two ", "three"]);
        assert_eq!(broken("one two", 80), ["one two"]);
        assert_eq!(broken("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(broken("a\n\nb\n", 3), ["a", "", "b", ""]);
        assert_eq!(broken("", 3), [""]);
        assert_eq!(broken("ab", 0), ["a", "b"]);
    }

    #[test]
    fn a_character_stays_whole() {
        assert_eq!(broken("日本語", 5), ["日本", "語"]);
        assert_eq!(broken("日本", 1), ["日", "本"]);
        assert_eq!(broken("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
        let family = "👩\u{200d}👩\u{200d}👧";
        assert_eq!(broken(&family.repeat(2), 2), [family, family]);
        // Two columns for some terminals, one for others.
        for sign in ["\u{231a}\u{fe0e}", "\u{2764}\u{fe0f}", "\u{1f1e9}"] {
            assert_eq!(broken(&sign.repeat(5), 4), [sign.repeat(2), sign.repeat(2), sign.into()]);
        }
        assert_eq!(fitting("日本語", 5), "日本");
        assert_eq!(fitting("abc", 3), "abc");
    }

    #[test]
    fn every_character_is_in_one_row() {
        let text = "one  two 日本 e\u{301} longerthantherow \n x ".repeat(20);
        for width in 1..40 {
            let joined: String = broken(&text, width).concat();
            assert_eq!(joined, text.replace('\n', ""), "{width}");
        }
    }
}
