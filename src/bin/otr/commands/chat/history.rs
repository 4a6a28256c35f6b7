//! What was said, for as long as the chat lasts: in memory only.

use std::collections::VecDeque;
use std::ops::Range;

use zeroize::Zeroizing;

use super::events::Mark;
use crate::ui::printable;
use crate::ui::progress::human;
use crate::ui::rows::rows;

/// The most entries, and the most memory for them: the oldest go first.
const ENTRIES: usize = 10_000;
const BYTES: usize = 32 << 20;
const ROW: usize = size_of::<Range<usize>>();
/// Of what we have sent, which we know, only so many rows are shown.
const OWN_ROWS: usize = 12;

/// Who says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    You,
    They,
    /// The program.
    Note,
}

impl Who {
    /// What stands before the first row: nothing else on the screen begins like it, because all other
    /// rows of a message are indented.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::You => "you:  ",
            Self::They => "they: ",
            Self::Note => "*     ",
        }
    }
}

/// How wide the labels are.
const INDENT: usize = 6;

pub(super) struct Entry {
    pub(super) who: Who,
    /// Of a message of ours.
    number: Option<u64>,
    mark: Mark,
    text: Zeroizing<String>,
    /// Its rows at a width.
    rows: (usize, Vec<Range<usize>>),
}

impl Entry {
    fn rows(&mut self, width: usize) -> &[Range<usize>] {
        if self.rows.0 != width {
            let mut all = rows(&self.text, width.saturating_sub(INDENT));
            if self.who == Who::You {
                all.truncate(OWN_ROWS);
            }
            self.rows = (width, all);
        }
        &self.rows.1
    }

    /// All rows, as they stand on a screen of this width.
    pub(super) fn shown(&mut self, width: usize) -> Vec<Row> {
        let count = self.rows(width).len();
        self.some(width, 0..count)
    }

    /// These of its rows: a message may have thousands.
    fn some(&mut self, width: usize, which: Range<usize>) -> Vec<Row> {
        let count = self.rows(width).len();
        let row = |at: usize| {
            let range = self.rows.1[at].clone();
            let label = if at == 0 { self.who.label() } else { "      " };
            let is_last = at + 1 == count;
            let text = self.text.get(range.clone()).unwrap_or_default().to_owned();
            let more = is_last && range.end < self.text.len();
            let mut after = if more { self.folded() } else { String::new() };
            after += &if is_last { marked(&self.mark) } else { String::new() };
            Row { who: self.who, label, text: text.into(), after }
        };
        which.map(row).collect()
    }

    /// What stands for the rest of what we have sent.
    fn folded(&self) -> String {
        format!(" … ({} lines)", self.text.split('\n').count())
    }
}

/// What to say about a message of ours that is not out.
fn marked(mark: &Mark) -> String {
    match mark {
        Mark::Sent => String::new(),
        Mark::Waiting => " (waiting)".to_owned(),
        Mark::Sending(bytes) => format!(" (sending, {})", human(*bytes)),
        Mark::NotSent(why) => format!(" (NOT SENT: {})", printable::line(why)),
    }
}

/// A row of the screen.
pub(super) struct Row {
    pub(super) who: Who,
    pub(super) label: &'static str,
    pub(super) text: Zeroizing<String>,
    pub(super) after: String,
}

/// How much memory an entry with this text takes: each of its lines is a row at least.
fn cost(text: &str) -> usize {
    text.len() + (memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1) * ROW
}

#[derive(Default)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// How many entries were dropped, so that those who follow it find their place.
    dropped: usize,
    /// How many rows below the last one on the screen.
    below: usize,
    /// The width of the screen that `below` is about.
    width: usize,
}

impl History {
    /// Adds what was said.
    pub(super) fn add(&mut self, who: Who, text: &str, number: Option<u64>) {
        let mark = if number.is_some() { Mark::Waiting } else { Mark::Sent };
        let text = Zeroizing::new(text.replace('\t', "    "));
        self.bytes += cost(&text);
        let mut entry = Entry { who, number, mark, text, rows: (0, Vec::new()) };
        if self.below > 0 {
            // Who looks at earlier lines goes on looking at them.
            self.below += entry.rows(self.width).len();
        }
        self.entries.push_back(entry);
        while self.entries.len() > ENTRIES || (self.bytes > BYTES && self.entries.len() > 1) {
            let gone = self.entries.pop_front();
            self.bytes -= gone.map_or(0, |entry| cost(&entry.text));
            self.dropped += 1;
        }
    }

    /// Notes what has become of a message of ours.
    pub(super) fn mark(&mut self, number: u64, mark: Mark) {
        let mut own = self.entries.iter_mut().rev();
        if let Some(entry) = own.find(|entry| entry.number == Some(number)) {
            entry.mark = mark;
        }
    }

    /// How many messages of ours are not out.
    pub(super) fn waiting(&self) -> usize {
        let waits = |entry: &&Entry| matches!(entry.mark, Mark::Waiting | Mark::Sending(_));
        self.entries.iter().filter(waits).count()
    }

    /// Whether later rows are below the screen.
    pub(super) fn is_back(&self) -> bool {
        self.below > 0
    }

    /// Goes back so many rows, or forth.
    pub(super) fn scroll(&mut self, rows: isize) {
        self.below = self.below.saturating_add_signed(rows);
    }

    pub(super) fn forward(&mut self) {
        self.below = 0;
    }

    /// The rows that are on a screen of this size, from its top.
    pub(super) fn screen(&mut self, width: usize, height: usize) -> Vec<Row> {
        self.width = width;
        let (mut rows, mut skip) = (VecDeque::new(), self.below);
        for entry in self.entries.iter_mut().rev() {
            let count = entry.rows(width).len();
            if skip >= count {
                skip -= count;
                continue;
            }
            let end = count - skip;
            let from = end.saturating_sub(height - rows.len());
            for row in entry.some(width, from..end).into_iter().rev() {
                rows.push_front(row);
            }
            skip = 0;
            if rows.len() >= height {
                break;
            }
        }
        if rows.len() < height && self.below > 0 {
            // Nothing is above the first row.
            let over = (height - rows.len()).min(self.below);
            self.below -= over;
            return self.screen(width, height);
        }
        rows.into()
    }

    /// The entries from this one on, counted from the first that ever was, and how many there were.
    pub(super) fn since(&mut self, count: usize) -> (impl Iterator<Item = &mut Entry>, usize) {
        let total = self.dropped + self.entries.len();
        (self.entries.iter_mut().skip(count.saturating_sub(self.dropped)), total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(history: &mut History, width: usize, height: usize) -> Vec<String> {
        let row = |row: Row| format!("{}{}{}", row.label, *row.text, row.after);
        history.screen(width, height).into_iter().map(row).collect()
    }

    #[test]
    fn no_message_looks_like_another_or_like_a_note() {
        let mut history = History::default();
        history.add(Who::They, "hello\n*     the words are the same\nyou:  yes", None);
        let expected = ["they: hello", "      *     the words are the same", "      you:  yes"];
        assert_eq!(shown(&mut history, 60, 10), expected);
    }

    #[test]
    fn who_looks_back_goes_on_doing_so() {
        let mut history = History::default();
        for number in 0..30 {
            history.add(Who::They, &format!("line {number}"), None);
        }
        assert_eq!(shown(&mut history, 60, 2), ["they: line 28", "they: line 29"]);
        history.scroll(10);
        assert_eq!(shown(&mut history, 60, 2), ["they: line 18", "they: line 19"]);
        history.add(Who::They, "new\nand newer", None);
        assert_eq!(shown(&mut history, 60, 2), ["they: line 18", "they: line 19"]);
        history.scroll(1000);
        assert_eq!(shown(&mut history, 60, 2), ["they: line 0", "they: line 1"]);
        history.scroll(-1000);
        assert_eq!(shown(&mut history, 60, 2), ["they: new", "      and newer"]);
    }

    #[test]
    fn a_message_says_what_has_become_of_it() {
        let mut history = History::default();
        history.add(Who::You, "hi", Some(1));
        assert_eq!(shown(&mut history, 60, 2), ["you:  hi (waiting)"]);
        assert_eq!(history.waiting(), 1);
        history.mark(1, Mark::Sent);
        assert_eq!(shown(&mut history, 60, 2), ["you:  hi"]);
        history.add(Who::You, &"line\n".repeat(1000), Some(2));
        let shown = shown(&mut history, 60, 40);
        assert_eq!(shown.len(), 13);
        assert_eq!(shown[12], "      line … (1001 lines) (waiting)");
    }

    #[test]
    fn why_something_was_not_sent_is_made_printable() {
        let mut history = History::default();
        history.add(Who::You, "[file x]", Some(1));
        history.mark(1, Mark::NotSent("cannot read \x1b[2J\u{202e}".to_owned()));
        let expected = "you:  [file x] (NOT SENT: cannot read ^[[2J<U+202E>)";
        assert_eq!(shown(&mut history, 60, 2), [expected]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::default();
        for _ in 0..ENTRIES + 5 {
            history.add(Who::They, "x", None);
        }
        assert_eq!((history.entries.len(), history.since(0).1), (ENTRIES, ENTRIES + 5));
        history.add(Who::They, &"x".repeat(BYTES), None);
        assert_eq!(history.entries.len(), 1);
        // Rows are kept, too.
        for _ in 0..4 {
            history.add(Who::They, &"\n".repeat(1 << 20), None);
        }
        assert_eq!(history.entries.len(), 1);
    }
}
