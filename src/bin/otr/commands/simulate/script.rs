//! The script of a conversation: how it begins, who says and reads what, and how it ends.

use std::path::PathBuf;

use otr::protocol::packet::K_MAX;

use crate::failure::{Code, Failure};
use crate::options::size_class;
use crate::ui::units;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It invites.
    A,
    /// It answers.
    B,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What a side does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A message; its text ends with a newline, as with `echo` or `send --lines`.
    Says(String),
    /// A message of this many bytes.
    Sends(usize),
    /// A message: the contents of the file.
    File(PathBuf),
    /// Takes what has arrived: everything, or the packets of this many commands.
    Reads(Option<usize>),
    /// `verify`, with this question.
    Asks(String),
    /// `verify` in answer; whether with the same secret.
    Answers { right: bool },
    /// `send --last`
    Last,
    /// `init --again`, `respond --again`
    Again,
    /// From here on, packets of at least this size class.
    Size(u8),
    /// From here on, bytes or lines of text.
    Raw(bool),
    /// One side ends, and tells the other.
    Closes,
    /// `close --silent`
    Leaves,
}

/// A line of the script; `number` is its line number, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) side: Side,
    pub(super) act: Act,
    /// Whether what it sends never arrives.
    pub(super) lost: bool,
}

/// How the conversation begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) secret: Option<String>,
    pub(super) code: Option<String>,
    pub(super) postbox: Option<String>,
    pub(super) expires: Option<Expiry>,
}

/// When the invite ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// This many seconds from now.
    In(u64),
    /// At this time, in Unix seconds.
    At(u64),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) setup: Setup,
    pub(super) lines: Vec<Line>,
}

impl Script {
    /// Whether that side reads only where the script says so; otherwise it reads each message at
    /// once.
    pub(super) fn reads_when_told(&self, side: Side) -> bool {
        self.lines.iter().any(|line| line.side == side && matches!(line.act, Act::Reads(_)))
    }
}

const HINT: &str = "see 'otr simulate --help' for what a line can be";

/// Refuses a line of the script.
pub(super) fn refused(number: usize, what: &str) -> Failure {
    Failure::new(Code::Refused, format!("line {number} of the script: {what}"), "change the script")
}

/// Parses the script; adds both closes at the end if it has none.
pub(super) fn parse(text: &str) -> Result<Script, Failure> {
    let mut script = Script { setup: Setup::default(), lines: Vec::new() };
    let mut open_end = false;
    let mut empty = true;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        empty = false;
        match line.trim_end() {
            "nobody closes" => open_end = true,
            "lost" => lose(&mut script, number)?,
            rest if is_setup(rest) => {
                if !script.lines.is_empty() {
                    return Err(refused(number, "that belongs before the first line of A or B"));
                }
                set_up(&mut script.setup, number, rest)?;
            }
            _ => script.lines.push(parse_line(number, line)?),
        }
    }
    if empty {
        let hint = "write lines like 'A: are you there?' and 'B: yes'";
        return Err(Failure::new(Code::NothingYet, "the script is empty", hint));
    }
    check(&script.setup)?;
    if !open_end && !script.lines.iter().any(|line| matches!(line.act, Act::Closes | Act::Leaves)) {
        let number = text.lines().count() + 1;
        let close = |side| Line { number, side, act: Act::Closes, lost: false };
        script.lines.extend([Side::A, Side::B].map(close));
    }
    Ok(script)
}

fn lose(script: &mut Script, number: usize) -> Result<(), Failure> {
    match script.lines.last_mut() {
        Some(line)
            if !matches!(
                line.act,
                Act::Reads(_) | Act::Size(_) | Act::Raw(_) | Act::Again | Act::Leaves
            ) =>
        {
            line.lost = true;
            Ok(())
        }
        _ => Err(refused(number, "nothing was sent in the line before, so nothing can be lost")),
    }
}

fn is_setup(line: &str) -> bool {
    ["secret:", "code:", "postbox:", "expires:"].iter().any(|word| line.starts_with(word))
}

fn set_up(setup: &mut Setup, number: usize, line: &str) -> Result<(), Failure> {
    let Some((word, value)) = line.split_once(':') else { return Ok(()) };
    let value = value.trim();
    if value.is_empty() {
        return Err(refused(number, "nothing follows the colon"));
    }
    match word {
        "secret" => setup.secret = Some(value.to_owned()),
        "code" => setup.code = Some(value.to_owned()),
        "postbox" => setup.postbox = Some(value.to_owned()).filter(|url| !url.is_empty()),
        _ => {
            let expiry = match value.strip_prefix('@') {
                Some(time) => time.parse().ok().map(Expiry::At),
                None => units::duration(value).ok().map(|time| Expiry::In(time.as_secs())),
            };
            let unfit = || refused(number, "use 1h, 7d or @ and Unix seconds");
            setup.expires = Some(expiry.ok_or_else(unfit)?);
        }
    }
    Ok(())
}

fn check(setup: &Setup) -> Result<(), Failure> {
    let refused =
        |what: &str| Err(Failure::new(Code::Refused, what.to_owned(), "change the script"));
    if setup.code.is_some() && setup.secret.is_some() {
        return refused("the script has a secret and a code: a code is one");
    }
    if setup.code.is_some() && setup.postbox.is_none() {
        return refused("the script has a code but no postbox, where its invite would lie");
    }
    Ok(())
}

fn parse_line(number: usize, line: &str) -> Result<Line, Failure> {
    let unknown = || {
        let what = format!("line {number} of the script is not a line of A or B");
        Failure::new(Code::Refused, what, HINT)
    };
    let (side, rest) = if let Some(rest) = line.strip_prefix('A') {
        (Side::A, rest)
    } else {
        (Side::B, line.strip_prefix('B').ok_or_else(unknown)?)
    };
    let act = if let Some(text) = rest.strip_prefix(':') {
        Act::Says(format!("{}\n", text.strip_prefix(' ').unwrap_or(text)))
    } else {
        let rest = rest.strip_prefix(' ').ok_or_else(unknown)?.trim();
        let (word, value) = rest.split_once([' ', ':']).unwrap_or((rest, ""));
        act(number, word, value.trim())?.ok_or_else(unknown)?
    };
    Ok(Line { number, side, act, lost: false })
}

fn act(number: usize, word: &str, value: &str) -> Result<Option<Act>, Failure> {
    let bad = |why: String| refused(number, &why);
    Ok(Some(match (word, value) {
        ("sends", size) => {
            let bytes = units::size(size).map_err(bad)?;
            Act::Sends(usize::try_from(bytes).unwrap_or(usize::MAX))
        }
        ("<", "") => return Ok(None),
        ("<", file) => Act::File(file.into()),
        ("reads", "") => Act::Reads(None),
        ("reads", count) => {
            let count = count.parse().map_err(|_| bad("use a number after 'reads'".to_owned()))?;
            Act::Reads(Some(count))
        }
        ("asks", question) => Act::Asks(question.to_owned()),
        ("answers", "") => Act::Answers { right: true },
        ("answers", "wrongly") => Act::Answers { right: false },
        ("size", size) => {
            let class = size_class(size).map_err(bad)?;
            Act::Size(class.min(K_MAX))
        }
        ("last", "") => Act::Last,
        ("again", "") => Act::Again,
        ("raw", "") => Act::Raw(true),
        ("text", "") => Act::Raw(false),
        ("closes", "") => Act::Closes,
        ("leaves", "") => Act::Leaves,
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, side: Side, act: Act) -> Line {
        Line { number, side, act, lost: false }
    }

    #[test]
    fn lines_of_both_and_the_end() {
        let script = parse("# a title\nA: hello\n\nB:  two spaces\r\nA:\n").unwrap().lines;
        let says = |number, side, text: &str| line(number, side, Act::Says(text.into()));
        assert_eq!(script[0], says(2, Side::A, "hello\n"));
        assert_eq!(script[1], says(4, Side::B, " two spaces\n"));
        assert_eq!(script[2], says(5, Side::A, "\n"));
        assert_eq!(script[3], line(6, Side::A, Act::Closes));
        assert_eq!(script[4], line(6, Side::B, Act::Closes));
        assert_eq!(parse("A: x\nB closes\n").unwrap().lines.len(), 2);
        assert_eq!(parse("A: x\nnobody closes\n").unwrap().lines.len(), 1);
    }

    #[test]
    fn what_people_really_do_has_a_line() {
        let text = "secret: swordfish\nexpires: @7\nA sends 100K\nlost\nB reads 2\nA asks: where?\n\
                    B answers wrongly\nA < a file\nB size 64K\nA raw\nA last\nB leaves\n";
        let script = parse(text).unwrap();
        assert_eq!(script.setup.secret.as_deref(), Some("swordfish"));
        assert_eq!(script.setup.expires, Some(Expiry::At(7)));
        let acts: Vec<_> = script.lines.iter().map(|line| &line.act).collect();
        assert_eq!(
            acts,
            [
                &Act::Sends(102_400),
                &Act::Reads(Some(2)),
                &Act::Asks("where?".into()),
                &Act::Answers { right: false },
                &Act::File("a file".into()),
                &Act::Size(16),
                &Act::Raw(true),
                &Act::Last,
                &Act::Leaves,
            ]
        );
        assert!(script.lines[0].lost && !script.lines[1].lost);
        assert!(script.reads_when_told(Side::B) && !script.reads_when_told(Side::A));
    }

    #[test]
    fn other_lines_are_refused_by_their_number() {
        for wrong in [
            "C: x",
            "hello",
            "A says x",
            "a: x",
            " A: x",
            "B close",
            "A sends",
            "A sends x",
            "A reads x",
            "B <",
            "secret: x",
            "A size 2M",
        ] {
            let failure = parse(&format!("A: x\n{wrong}\n")).err().unwrap();
            assert_eq!(failure.code, Code::Refused);
            assert!(failure.what.contains("line 2 "), "{wrong}");
        }
        assert_eq!(parse("\n# only this\n").err().unwrap().code, Code::NothingYet);
        for wrong in ["lost\nA: x", "A reads\nlost", "expires: soon", "secret:"] {
            assert_eq!(parse(wrong).err().unwrap().code, Code::Refused, "{wrong}");
        }
        assert_eq!(parse("code: 417-guitar-vanish\nA: x\n").err().unwrap().code, Code::Refused);
    }
}
