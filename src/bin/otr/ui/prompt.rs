//! Asks questions of the person at the terminal, whatever stdin and stdout are connected to.
//!
//! These are a few lines of our own, because crates leave the terminal without echo when Ctrl-C
//! ends the question; [`Typed`] does not, and it keeps the answer in memory that is wiped.

use std::fs::File;
use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::printable;
use super::typed::Typed;
use crate::failure::{Code, Failure};

/// The most bytes of an answer: more than any secret has. A longer answer is reported, not
/// truncated.
const MAX_ANSWER: usize = 4096;

/// Asks for a secret, without echo. `otherwise` says what to do if there is no terminal, for
/// instance which option takes the secret from a file.
pub(crate) fn secret(
    question: &str,
    otherwise: &'static str,
) -> Result<Zeroizing<String>, Failure> {
    let mut terminal = open(otherwise)?;
    let mut typed = Typed::unseen(&terminal).map_err(|error| unusable(&error))?;
    say(&mut &terminal, &format!("{question}: "))?;
    let answer = answer(&mut typed).map_err(|error| unusable(&error));
    drop(typed);
    // Without echo, Enter does not show either.
    let _ = terminal.write_all(b"\n");
    answer?.ok_or_else(no_answer)
}

/// Asks a yes-or-no question; any answer except `y` and `yes` means no.
pub(crate) fn yes(question: &str, otherwise: &'static str) -> Result<bool, Failure> {
    let answer = ask(&mut open(otherwise)?, &format!("{question} [y/N] "))?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

fn open(otherwise: &'static str) -> Result<File, Failure> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| Failure::new(Code::Usage, "there is no terminal to ask on", otherwise))
}

fn say(terminal: &mut impl Write, question: &str) -> Result<(), Failure> {
    let line = printable::line(&format!("otr: {question}"));
    terminal.write_all(line.as_bytes()).map_err(|error| unusable(&error))
}

fn ask(terminal: &mut (impl Read + Write), question: &str) -> Result<Zeroizing<String>, Failure> {
    say(terminal, question)?;
    let Some(answer) = answer(terminal).map_err(|error| unusable(&error))? else {
        // Ctrl-D leaves the cursor after the question.
        let _ = terminal.write_all(b"\n");
        return Err(no_answer());
    };
    Ok(answer)
}

fn no_answer() -> Failure {
    Failure::new(Code::Failed, "no answer was given", "type it and press Enter")
}

fn unusable(error: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("the terminal cannot be used ({error})"), "")
}

/// Reads one line without its newline; `None` at the end of the input.
fn answer(terminal: &mut impl Read) -> io::Result<Option<Zeroizing<String>>> {
    // Full capacity from the start, so that the buffer never grows and leaves a copy behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
    let mut byte = Zeroizing::new([0]);
    loop {
        match terminal.read(&mut byte[..]) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() == MAX_ANSWER => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let text = str::from_utf8(&line)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the line is not UTF-8"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(mut input: &[u8]) -> io::Result<Option<String>> {
        answer(&mut input).map(|line| line.map(|line| line.to_string()))
    }

    #[test]
    fn an_answer_is_one_line() {
        assert_eq!(answered("grün \nmore".as_bytes()).unwrap().as_deref(), Some("grün "));
        assert_eq!(answered(b"\n").unwrap().as_deref(), Some(""));
        assert_eq!(answered(b"no newline").unwrap().as_deref(), Some("no newline"));
        assert_eq!(answered(b"").unwrap(), None);
        assert!(answered(b"\xff\n").is_err());
        assert!(answered(&[b'x'; MAX_ANSWER + 1]).is_err());
    }

    #[test]
    fn only_yes_is_yes() {
        for (text, meant) in
            [("y", true), ("YES ", true), ("", false), ("no", false), ("yep", false)]
        {
            assert_eq!(is_yes(text), meant, "{text}");
        }
    }
}
