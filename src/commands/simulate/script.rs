//! The script of a conversation: who says what, and who closes.

use crate::failure::{Code, Failure};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It invites.
    A,
    /// It answers.
    B,
}

/// A line of the script; `number` is its place there, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A message; its text ends with a newline, as that of `echo` or `send --lines` does.
    Says { number: usize, side: Side, text: String },
    /// The end of one side.
    Closes { number: usize, side: Side },
}

impl Line {
    pub(super) fn side(&self) -> Side {
        match self {
            Self::Says { side, .. } | Self::Closes { side, .. } => *side,
        }
    }

    pub(super) fn number(&self) -> usize {
        match self {
            Self::Says { number, .. } | Self::Closes { number, .. } => *number,
        }
    }
}

/// The lines, with both closes at the end if the script names none.
pub(super) fn parse(script: &str) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(script.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        lines.push(parse_line(number, line).ok_or_else(|| {
            let what = format!("line {number} of the script is no line of A or B");
            Failure::new(
                Code::Refused,
                what,
                "write 'A: text', 'B: text', 'A closes' or 'B closes'",
            )
        })?);
    }
    if lines.is_empty() {
        let hint = "write lines like 'A: are you there?' and 'B: yes'";
        return Err(Failure::new(Code::NothingYet, "the script is empty", hint));
    }
    if !lines.iter().any(|line| matches!(line, Line::Closes { .. })) {
        let number = script.lines().count() + 1;
        lines.extend([Side::A, Side::B].map(|side| Line::Closes { number, side }));
    }
    Ok(lines)
}

fn parse_line(number: usize, line: &str) -> Option<Line> {
    let (side, rest) = if let Some(rest) = line.strip_prefix('A') {
        (Side::A, rest)
    } else {
        (Side::B, line.strip_prefix('B')?)
    };
    if rest.trim() == "closes" {
        return Some(Line::Closes { number, side });
    }
    let text = rest.strip_prefix(':')?;
    let text = format!("{}\n", text.strip_prefix(' ').unwrap_or(text));
    Some(Line::Says { number, side, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_and_the_end() {
        let script = "# a title\nA: hello\n\nB:  two spaces\r\nA:\n";
        let lines = parse(script).unwrap();
        let says = |number, side, text: &str| Line::Says { number, side, text: text.into() };
        assert_eq!(lines[0], says(2, Side::A, "hello\n"));
        assert_eq!(lines[1], says(4, Side::B, " two spaces\n"));
        assert_eq!(lines[2], says(5, Side::A, "\n"));
        assert_eq!(lines[3], Line::Closes { number: 6, side: Side::A });
        assert_eq!(lines[4], Line::Closes { number: 6, side: Side::B });
        assert_eq!(parse("A: x\nB closes\n").unwrap().len(), 2);
    }

    #[test]
    fn other_lines_are_refused_by_their_number() {
        for wrong in ["C: x", "hello", "A says x", "a: x", " A: x", "B close"] {
            let failure = parse(&format!("A: x\n{wrong}\n")).err().unwrap();
            assert_eq!(failure.code, Code::Refused);
            assert!(failure.what.contains("line 2 "), "{wrong}");
        }
        assert_eq!(parse("\n# only this\n").err().unwrap().code, Code::NothingYet);
    }
}
