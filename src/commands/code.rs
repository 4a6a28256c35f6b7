//! Codes, `417-guitar-vanish@box.example`: a number under which the invite lies in a postbox, and
//! two words that only the two people know.
//!
//! Behind the `@` stands the host of a postbox at `https://`, or the whole URL of any other one.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use otr::protocol::handshake::Inviting;
use otr::protocol::nameplate::{Code, CodeError, DIGITS, Nameplate};
use otr::protocol::pake::Prs;
use otr::protocol::words::beginning_with;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::source::plain_stdin;
use crate::failure::{self, Failure};
use crate::postbox::api::Discard;
use crate::postbox::client::Client;
use crate::randomness::System;
use crate::ui::complete;
use crate::ui::speak::warn;

/// How many numbers of one length are tried before a longer one is.
const TRIES: u32 = 5;
/// Bytes of a code and its host: an invite's URL has at most 1,024.
const LONGEST: u64 = 1_200;

const HTTPS: &str = "https://";
const OTHERWISE: &str = "give the code as --code CODE, or on stdin with --code -";

/// A code as one person gives it to the other.
pub(super) struct Spoken {
    pub(super) code: Code,
    /// The postbox's URL, if the code names one.
    pub(super) postbox: Option<String>,
}

/// How a code is written for the other person.
pub(super) fn show(code: &Code, postbox: &str) -> Zeroizing<String> {
    let postbox = postbox.trim_end_matches('/');
    let host = postbox.strip_prefix(HTTPS).unwrap_or(postbox);
    Zeroizing::new(format!("{}@{host}", code.text()))
}

/// The code that was given: an empty text asks the person, `-` is stdin.
pub(super) fn given(text: &str) -> Result<Spoken, Failure> {
    match text {
        "" => asked(),
        "-" => {
            let mut line = Zeroizing::new(String::new());
            let read = plain_stdin()?.take(LONGEST).read_to_string(&mut line);
            read.map_err(|error| Failure::input(&error))?;
            parse(&line)
        }
        text => parse(text),
    }
}

/// Asks until it is a code; no guess is spent on a typing error.
fn asked() -> Result<Spoken, Failure> {
    loop {
        let line = complete::line("the code (TAB completes words)", OTHERWISE, candidates)?;
        match parse(&line) {
            Err(failure) if std::io::stderr().is_terminal() => {
                warn(format_args!("{}; try again", failure.what));
            }
            done => return done,
        }
    }
}

fn parse(text: &str) -> Result<Spoken, Failure> {
    let (code, postbox) = match text.trim().split_once('@') {
        Some((code, host)) if host.contains("://") => (code, Some(host.to_owned())),
        Some((code, host)) => (code, Some(format!("{HTTPS}{host}"))),
        None => (text, None),
    };
    let code = Code::parse(code).map_err(|error| {
        let what = match error {
            CodeError::Shape => "a code is a number and two words, such as 417-guitar-vanish",
            CodeError::Number => "the code's number has 3 to 9 digits and begins with none of 0",
            CodeError::UnknownWord(1) => "the first word is none of those that codes are made of",
            CodeError::UnknownWord(_) => "the second word is none of those that codes are made of",
        };
        Failure::new(failure::Code::Usage, what, "nothing was tried: look at the code again")
    })?;
    Ok(Spoken { code, postbox })
}

/// The words that a code can go on with at the cursor.
fn candidates(line: &str) -> (usize, Vec<String>) {
    let start = line.rfind('-').map_or(0, |at| at + 1);
    let word = line[start..].to_ascii_lowercase();
    let after = match line[..start].matches('-').count() {
        1 => "-",
        2 => "",
        _ => return (line.len(), Vec::new()),
    };
    let words = beginning_with(&word).map(|word| format!("{word}{after}"));
    (start, words.collect())
}

/// Puts an invite that `make` makes for the code's secret into the postbox, under a number where
/// nothing lies, and looks again: whoever put another one there at the same time clashes with it,
/// or wants to.
pub(super) fn place(
    client: &Client,
    make: impl Fn(&Prs) -> Result<Inviting, Failure>,
) -> Result<(Code, Inviting), Failure> {
    for digits in DIGITS.flat_map(|digits| (0..TRIES).map(move |_| digits)) {
        let code = Code::generate(digits, &mut System).map_err(|_| Failure::no_randomness())?;
        let plate = Nameplate::of(code.number());
        if !collect(client, &plate)?.is_empty() {
            continue;
        }
        let mut inviting = make(&secret(&code)?)?;
        inviting.mark_code();
        let sealed = plate.seal(inviting.invite(), &mut System);
        let sealed = sealed.map_err(|_| Failure::no_randomness())?;
        client.post(&[&sealed])?;
        let found = collect(client, &plate)?;
        let mut invites = found.iter().filter(|packet| plate.open(packet).is_some());
        if (invites.next(), invites.next()) == (Some(&sealed), None) {
            return Ok((code, inviting));
        }
        client.discard(&[record(&plate, &sealed)])?;
    }
    let what = "no number is free in this postbox, or somebody interferes";
    Err(Failure::new(failure::Code::Full, what, "try again later, or hand over an invite"))
}

/// An invite that lay under a number.
pub(super) struct Fetched {
    pub(super) invite: Vec<u8>,
    /// Takes it away.
    pub(super) record: [u8; Discard::SIZE],
}

/// The one invite that lies under the code's number.
pub(super) fn fetch(client: &Client, code: &Code) -> Result<Fetched, Failure> {
    let plate = Nameplate::of(code.number());
    let found = collect(client, &plate)?;
    let mut invites = found.iter().filter_map(|packet| Some((plate.open(packet)?, packet)));
    match (invites.next(), invites.next()) {
        (Some((invite, packet)), None) => Ok(Fetched { invite, record: record(&plate, packet) }),
        (None, _) => Err(Failure::new(
            failure::Code::NothingYet,
            "no invite lies under this number",
            "look at the code again; it serves once, and not for ever",
        )),
        (Some(_), Some(_)) => Err(Failure::new(
            failure::Code::Refused,
            "two invites lie under this number: somebody interferes",
            "nothing was tried: ask for another code",
        )),
    }
}

/// The whole code is the secret.
pub(super) fn secret(code: &Code) -> Result<Prs, Failure> {
    let unfit = |_| Failure::new(failure::Code::Failed, "the code is no secret", "");
    code.secret().map_err(unfit)
}

fn collect(client: &Client, plate: &Nameplate) -> Result<Vec<Vec<u8>>, Failure> {
    let found = client.collect(&[*plate.token()], Duration::ZERO)?;
    Ok(found.into_iter().map(|found| found.packet).collect())
}

/// The record by which a packet is discarded without a key.
fn record(plate: &Nameplate, packet: &[u8]) -> [u8; Discard::SIZE] {
    Discard::without_key(plate.token(), &Sha256::digest(packet).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_its_postbox() {
        for (url, text) in [
            ("https://box.example", "417-guitar-vanish@box.example"),
            ("https://box.example:8443/otr", "417-guitar-vanish@box.example:8443/otr"),
            ("http://127.0.0.1:7363", "417-guitar-vanish@http://127.0.0.1:7363"),
        ] {
            let spoken = parse(&format!(" {text}\n")).unwrap();
            assert_eq!(spoken.postbox.as_deref(), Some(url));
            assert_eq!(*show(&spoken.code, url), text);
        }
        assert_eq!(parse("417-guitar-vanish").unwrap().postbox, None);
    }

    #[test]
    fn typing_errors_are_told() {
        for (text, told) in [
            ("417-guitr-vanish@box", "the first word"),
            ("417-guitar-vannish", "the second word"),
            ("017-guitar-vanish", "number"),
            ("guitar vanish", "a number and two words"),
        ] {
            let Err(failure) = parse(text) else { panic!("{text} is a code") };
            assert!(failure.what.contains(told), "{}", failure.what);
        }
    }

    #[test]
    fn words_are_completed_where_words_stand() {
        assert_eq!(candidates("417-guit"), (4, vec!["guitar-".to_owned()]));
        assert_eq!(candidates("417-guitar-VANIS"), (11, vec!["vanish".to_owned()]));
        assert_eq!(candidates("417-guitar-").1.len(), 2048);
        for nothing in ["", "417", "417-guitar-vanish-", "417-guitar-vanish@box.ex"] {
            assert_eq!(candidates(nothing).1, [""; 0], "{nothing}");
        }
    }
}
