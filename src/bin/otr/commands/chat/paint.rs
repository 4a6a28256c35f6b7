//! Puts the chat on the terminal: the whole screen, or its last rows with the conversation above them.
//!
//! Each row is written only if it has changed, and all of them in one piece, so that nothing flickers. No
//! byte of a message is ever written that was not made printable before.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::history::{History, Row, Who};
use crate::ui::rows::{columns, fitting, room, rows};

/// The alternate screen, which has no scrollback; marks around a paste. A row that a terminal takes to be
/// longer than we do is cut there, and does not run into the next one.
pub(super) const ENTER_WHOLE: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?7l\x1b[H\x1b[2J";
pub(super) const LEAVE_WHOLE: &[u8] = b"\x1b[?2004l\x1b[?7h\x1b[2J\x1b[?25h\x1b[?1049l";
/// The screen as it is. The terminal remembers where the foot begins, so that leaving can erase it.
pub(super) const ENTER_INLINE: &[u8] = b"\x1b[?2004h\x1b[?7l\r\x1b7";
pub(super) const LEAVE_INLINE: &[u8] = b"\x1b8\x1b[J\x1b[?2004l\x1b[?7h\x1b[?25h";

const HIDE: &str = "\x1b[?25l";
const SHOW: &str = "\x1b[?25h";
const TO_END: &str = "\x1b[K";
const PLAIN: &str = "\x1b[m";
const REVERSED: &str = "\x1b[7m";
/// Remembers where the cursor is.
const REMEMBER: &str = "\x1b7";
const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";

/// The most rows of the line that is typed; of a longer one, those around the cursor are shown.
const INPUT_ROWS: usize = 6;

/// The last rows: the status, and what is typed.
pub(super) struct Foot<'a> {
    pub(super) status: String,
    pub(super) prompt: &'static str,
    pub(super) text: &'a str,
    /// The byte of the text before which the cursor stands.
    pub(super) cursor: usize,
}

/// Rows, and where the cursor stands in them.
struct Rows {
    rows: Vec<Zeroizing<String>>,
    cursor: (usize, usize),
}

impl Foot<'_> {
    /// Its rows, the status in all columns or only in as many as it takes.
    fn rows(&self, width: usize, most: usize, is_padded: bool) -> Rows {
        let status = fitting(&self.status, width);
        let free = if is_padded { width.saturating_sub(columns(status)) } else { 0 };
        let pad = " ".repeat(free);
        let status = format!("{REVERSED}{status}{pad}{PLAIN}");
        let indent = columns(self.prompt);
        // The cursor may stand behind the last character of a row.
        let all = rows(self.text, width.saturating_sub(indent + 1));
        let at = all.iter().rposition(|row| row.start <= self.cursor).unwrap_or(0);
        let most = most.saturating_sub(1).clamp(1, INPUT_ROWS);
        let first = (at + 1).saturating_sub(most);
        let mut shown = vec![Zeroizing::new(status)];
        for (number, row) in all.iter().enumerate().skip(first).take(most) {
            let before = if number == 0 { self.prompt.to_owned() } else { " ".repeat(indent) };
            shown.push(Zeroizing::new(before + &self.text[row.clone()]));
        }
        let column = all.get(at).map_or(0, |row| columns(&self.text[row.start..self.cursor]));
        Rows { rows: shown, cursor: (1 + at - first, indent + column) }
    }
}

/// What to write to the terminal.
pub(super) struct Frame(Zeroizing<String>);

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// How it is put on the terminal.
pub(super) struct Paint {
    colours: bool,
    way: Way,
    size: (usize, usize),
}

enum Way {
    /// The rows that are on the screen.
    Whole(Vec<Zeroizing<String>>),
    /// How many entries stand above the foot, and stood there a frame ago; how many rows of the foot
    /// stand above the cursor.
    Inline { entries: usize, before: usize, above: usize },
}

impl Paint {
    pub(super) fn new(inline: bool, colours: bool) -> Self {
        let way = if inline {
            Way::Inline { entries: 0, before: 0, above: 0 }
        } else {
            Way::Whole(Vec::new())
        };
        Self { colours, way, size: (0, 0) }
    }

    pub(super) fn is_inline(&self) -> bool {
        matches!(self.way, Way::Inline { .. })
    }

    /// Everything is to be painted again.
    pub(super) fn forget(&mut self) {
        if let Way::Whole(last) = &mut self.way {
            last.clear();
        }
        self.size = (0, 0);
    }

    /// The screen is another one than that of the last frame, or has been: nothing of ours is on it.
    pub(super) fn begin(&mut self) {
        self.forget();
        if let Way::Inline { above, .. } = &mut self.way {
            *above = 0;
        }
    }

    /// The last frame has not been written.
    pub(super) fn take_back(&mut self) {
        self.begin();
        if let Way::Inline { entries, before, .. } = &mut self.way {
            *entries = *before;
        }
    }

    /// How many rows of the conversation fit on the screen.
    pub(super) fn page(&self) -> usize {
        self.size.1.saturating_sub(3).max(1)
    }

    /// What to write for this to be on a screen of so many columns and rows.
    pub(super) fn frame(
        &mut self,
        size: (usize, usize),
        history: &mut History,
        foot: &Foot<'_>,
    ) -> Frame {
        let resized = self.size != size;
        self.size = size;
        let (width, height) = size;
        // A row that is shorter than the screen stays one when the screen gets narrower.
        let foot = foot.rows(width, height.saturating_sub(1).max(2), !self.is_inline());
        let mut out = Zeroizing::new(String::from(HIDE));
        match &mut self.way {
            Way::Whole(last) => {
                if resized {
                    out.push_str("\x1b[2J");
                    last.clear();
                }
                let room = height.saturating_sub(foot.rows.len());
                let rows = history.screen(width, room);
                let rows = rows.iter().map(|row| painted(row, width, self.colours));
                whole(&mut out, last, rows.collect(), room, foot);
            }
            Way::Inline { entries, before, above } => {
                *before = *entries;
                out.push('\r');
                up(&mut out, *above);
                out.push_str("\x1b[J");
                let (new, total) = history.since(*entries);
                for row in new.flat_map(|entry| entry.shown(width)) {
                    out.push_str(&painted(&row, width, self.colours));
                    out.push_str("\r\n");
                }
                *entries = total;
                *above = foot.cursor.0;
                below(&mut out, &foot);
            }
        }
        out.push_str(SHOW);
        Frame(out)
    }
}

/// Draws the rows that are not there already: those of the conversation, in so much room, and the last.
fn whole(
    out: &mut String,
    last: &mut Vec<Zeroizing<String>>,
    mut rows: Vec<Zeroizing<String>>,
    room: usize,
    foot: Rows,
) {
    rows.resize(room.max(rows.len()), Zeroizing::default());
    rows.extend(foot.rows);
    let is_changed = |at: usize, row| last.get(at) != Some(row);
    // Whatever a terminal makes of a message, the foot is written over it.
    let from_others = rows.iter().take(room).enumerate().any(|(at, row)| is_changed(at, row));
    for (at, row) in rows.iter().enumerate() {
        if is_changed(at, row) || (from_others && at >= room) {
            place(out, at, 0);
            // First: behind a full row it would take its last character away.
            out.push_str(TO_END);
            out.push_str(row);
            out.push_str(PLAIN);
        }
    }
    *last = rows;
    place(out, room + foot.cursor.0, foot.cursor.1);
}

/// Writes the last rows where the cursor is, and puts it where it belongs.
fn below(out: &mut String, foot: &Rows) {
    for (at, row) in foot.rows.iter().enumerate() {
        if at > 0 {
            out.push_str("\r\n");
        }
        out.push_str(row);
        out.push_str(PLAIN);
    }
    out.push('\r');
    up(out, foot.rows.len() - 1);
    out.push_str(REMEMBER);
    if foot.cursor.0 > 0 {
        // Writing to a String cannot fail.
        let _ = write!(out, "\x1b[{}B", foot.cursor.0);
    }
    if foot.cursor.1 > 0 {
        let _ = write!(out, "\x1b[{}C", foot.cursor.1);
    }
}

/// A row of the conversation, as bytes for the terminal. Colour says nothing that the label does not.
fn painted(row: &Row, width: usize, colours: bool) -> Zeroizing<String> {
    let style = match row.who {
        Who::They if colours => CYAN,
        Who::They => BOLD,
        Who::You => "",
        Who::Note => DIM,
    };
    let (label, text) = (row.label, &*row.text);
    let free = width.saturating_sub(columns(label) + room(text));
    let after = if room(&row.after) <= free {
        row.after.clone()
    } else {
        // It has to be seen, if need be in place of the text's end.
        let text = fitting(text, width.saturating_sub(columns(label) + room(&row.after)));
        return match row.who {
            Who::Note => format!("{style}{label}{text}{}{PLAIN}", row.after).into(),
            _ => format!("{style}{label}{PLAIN}{text}{DIM}{}{PLAIN}", fitting(&row.after, width))
                .into(),
        };
    };
    match row.who {
        Who::Note => format!("{style}{label}{text}{after}{PLAIN}").into(),
        _ if after.is_empty() => format!("{style}{label}{PLAIN}{text}").into(),
        _ => format!("{style}{label}{PLAIN}{text}{DIM}{after}{PLAIN}").into(),
    }
}

fn place(out: &mut String, row: usize, column: usize) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\x1b[{};{}H", row + 1, column + 1);
}

fn up(out: &mut String, rows: usize) {
    if rows > 0 {
        let _ = write!(out, "\x1b[{rows}A");
    }
}
