//! Codes, such as `417-guitar-vanish@box.example`: a number under which the invite lies in a
//! postbox, and two words that only the two people know.
//!
//! After the `@` comes the host of a postbox at `https://`, or the whole URL of any other postbox.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use otr::protocol::authentication::nameplate::{Code, CodeError, DIGITS, Nameplate};
use otr::protocol::authentication::password::Password;
use otr::protocol::authentication::words::beginning_with;
use otr::protocol::handshake::Inviting;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::source::is_by_hand;
use crate::failure::{self, Failure};
use crate::randomness::System;
use crate::ui::speak::warn;
use crate::ui::{complete, stdio};
use otr::postbox::api::Discard;
use otr::postbox::client::{Client, first_url, without_secret};

/// How many numbers of one length to try before a longer one.
const TRIES: u32 = 5;
/// The most bytes of a code and its host: an invite's URL has at most 1,024.
const LONGEST: u64 = 1_200;

const HTTPS: &str = "https://";
/// Characters that mail, chats and the end of a sentence put around a code.
const AROUND: &str = "\"'`“”„‟‘’‚‛«»‹›<>(){}.,;:!?…*";
const LOOK_AGAIN: &str = "nothing was tried: look at the code again";
const OTHERWISE: &str =
    "type the code behind the command (respond: --code CODE), or - for one on stdin";

/// A code that one person gives to the other.
pub(super) struct Spoken {
    pub(super) code: Code,
    /// The postbox's URL, if the code names one.
    pub(super) postbox: Option<String>,
}

/// Formats a code for the other person.
pub(super) fn show(code: &Code, postbox: &str) -> Zeroizing<String> {
    // The URL omits the post secret, which the invite contains. The invite lies in the first of several.
    let postbox = without_secret(first_url(postbox));
    let postbox = postbox.trim_end_matches('/');
    let host = postbox.strip_prefix(HTTPS).unwrap_or(postbox);
    Zeroizing::new(format!("{}@{host}", code.text()))
}

/// Reads the given code: an empty text means asking the person, and so does `-`, which means stdin,
/// if stdin is a terminal.
pub(super) fn given(text: &str) -> Result<Spoken, Failure> {
    match text {
        "" => asked(),
        "-" if is_by_hand() => asked(),
        "-" => {
            let mut line = Zeroizing::new(String::new());
            let read = stdio::input()?.take(LONGEST).read_to_string(&mut line);
            read.map_err(|error| Failure::input(&error))?;
            parse(&line)
        }
        text => parse(text),
    }
}

/// Asks until the answer is a code; a typing error costs no guess.
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

/// Reads a code.
pub(super) fn parse(text: &str) -> Result<Spoken, Failure> {
    let text = without_surroundings(text);
    let (code, postbox) = match text.split_once('@') {
        Some((code, host)) => (without_surroundings(code), Some(url(without_surroundings(host))?)),
        None => (text, None),
    };
    let code = Code::parse(&hyphenated(code)).map_err(|error| {
        let what = match error {
            CodeError::Shape => "a code is a number and two words, such as 417-guitar-vanish",
            CodeError::Number => "the code's number has 3 to 9 digits and does not begin with 0",
            CodeError::UnknownWord(1) => "the first word is not one that codes are made of",
            CodeError::UnknownWord(_) => "the second word is not one that codes are made of",
        };
        Failure::new(failure::Code::Usage, what, LOOK_AGAIN)
    })?;
    Ok(Spoken { code, postbox })
}

fn without_surroundings(text: &str) -> &str {
    text.trim_matches(|sign| is_separator(sign) || is_invisible(sign) || AROUND.contains(sign))
}

/// The URL for the part after the `@`.
fn url(host: &str) -> Result<String, Failure> {
    let host = Zeroizing::new(host.replace(is_invisible, ""));
    if host.is_empty() || host.contains(char::is_whitespace) {
        let what = "what follows the @ of a code is a postbox's name, without blanks";
        return Err(Failure::new(failure::Code::Usage, what, LOOK_AGAIN));
    }
    let is_whole = host.contains("://") || host.starts_with("unix:/");
    Ok(if is_whole { host.to_string() } else { format!("{HTTPS}{}", *host) })
}

/// The code with single hyphens where people, or programs that "improve" text, have put something
/// else between its parts.
fn hyphenated(code: &str) -> Zeroizing<String> {
    let code = Zeroizing::new(code.replace(is_invisible, ""));
    let parts = code.split(is_separator).filter(|part| !part.is_empty());
    let mut joined = Zeroizing::new(String::with_capacity(code.len()));
    for part in parts {
        if !joined.is_empty() {
            joined.push('-');
        }
        joined.push_str(part);
    }
    joined
}

/// A blank, or a character that looks like a hyphen.
fn is_separator(sign: char) -> bool {
    let dash = matches!(sign, '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}');
    dash || matches!(sign, '\u{fe63}' | '\u{ff0d}') || sign.is_whitespace()
}

/// An invisible character that comes along when text is copied.
fn is_invisible(sign: char) -> bool {
    let directions = matches!(sign, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
    directions || matches!(sign, '\u{ad}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The possible continuations of a code at the cursor.
fn candidates(line: &str) -> (usize, Vec<String>) {
    let last = line.char_indices().rfind(|(_, sign)| is_separator(*sign));
    let start = last.map_or(0, |(at, sign)| at + sign.len_utf8());
    let word = line[start..].to_ascii_lowercase();
    let after = match line[..start].matches(is_separator).count() {
        1 => "-",
        2 => "",
        _ => return (line.len(), Vec::new()),
    };
    let words = beginning_with(&word).map(|word| format!("{word}{after}"));
    (start, words.collect())
}

/// Posts an invite, which `make` makes for the code's secret, under a free number, and looks again:
/// a second invite there, posted at the same time, clashes with it by accident or by intent.
pub(super) fn place(
    client: &Client,
    make: impl Fn(&Password) -> Result<Inviting, Failure>,
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
        let posted = client.post(&[&sealed]).map_err(Failure::from);
        let found = posted.and_then(|()| collect(client, &plate));
        if let Ok(found) = &found {
            let mut invites = found.iter().filter(|packet| plate.open(packet).is_some());
            if (invites.next(), invites.next()) == (Some(&sealed), None) {
                return Ok((code, inviting));
            }
        }
        // Also where it is not known whether it lies there: nobody will ever ask for it.
        let discarded = client.discard_all(&[record(&plate, &sealed)]);
        found?;
        discarded?;
    }
    let what = "no number is free in this postbox, or somebody interferes";
    Err(Failure::new(failure::Code::Full, what, "try again later, or hand over an invite"))
}

/// Posts an invite once more, into a postbox that has lost it.
pub(super) fn place_again(client: &Client, number: u32, invite: &[u8]) -> Result<(), Failure> {
    let sealed = Nameplate::of(number).seal(invite, &mut System);
    Ok(client.post(&[sealed.map_err(|_| Failure::no_randomness())?])?)
}

/// An invite that was found under a number.
pub(super) struct Fetched {
    pub(super) invite: Vec<u8>,
    /// The record that discards it.
    pub(super) record: [u8; Discard::SIZE],
}

/// Fetches the one invite under the code's number.
pub(super) fn fetch(client: &Client, code: &Code) -> Result<Fetched, Failure> {
    let plate = Nameplate::of(code.number());
    let found = collect(client, &plate)?;
    let mut invites = found.iter().filter_map(|packet| Some((plate.open(packet)?, packet)));
    match (invites.next(), invites.next()) {
        (Some((invite, packet)), None) => Ok(Fetched { invite, record: record(&plate, packet) }),
        (None, _) => Err(Failure::new(
            failure::Code::NothingYet,
            "no invite lies under this number",
            "look at the code again; it works once, and for a limited time",
        )),
        (Some(_), Some(_)) => Err(Failure::new(
            failure::Code::Refused,
            "two invites lie under this number: somebody interferes",
            "nothing was tried: ask for another code",
        )),
    }
}

/// Takes an invite of ours away from under its number, if it still lies there.
pub(super) fn withdraw(client: &Client, number: u32, invite: &[u8]) -> Result<(), Failure> {
    let plate = Nameplate::of(number);
    let found = collect(client, &plate)?;
    let ours =
        found.iter().filter(|packet| plate.open(packet).is_some_and(|found| found == invite));
    let records: Vec<_> = ours.map(|packet| record(&plate, packet)).collect();
    Ok(client.discard_all(&records)?)
}

/// The whole code is the secret.
pub(super) fn secret(code: &Code) -> Result<Password, Failure> {
    let unfit = |_| Failure::new(failure::Code::Failed, "the code cannot be used as a secret", "");
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
            ("unix:/run/box:/otr", "417-guitar-vanish@unix:/run/box:/otr"),
            ("https://unix:7363", "417-guitar-vanish@unix:7363"),
        ] {
            let spoken = parse(&format!(" {text}\n")).unwrap();
            assert_eq!(spoken.postbox.as_deref(), Some(url));
            assert_eq!(*show(&spoken.code, url), text);
        }
        assert_eq!(parse("417-guitar-vanish").unwrap().postbox, None);
    }

    #[test]
    fn what_people_and_programs_do_to_a_code_is_undone() {
        for text in [
            "417 guitar vanish@box.example",
            "417 - Guitar -  VANISH@box.example",
            "417\u{2013}guitar\u{2014}vanish@box.example",
            "417\u{2011}guitar\u{2212}vanish@box.example",
            "\"417-guitar-vanish@box.example\"",
            "“417-guitar-vanish@box.example”.",
            "‘417-guitar-vanish@box.example’,",
            "`417-guitar-vanish@box.example`",
            "<417-guitar-vanish@box.example>",
            "417-guitar-vanish@box.example.",
            "417_guitar_vanish @ box.example",
            "\u{a0}417\u{a0}guitar\u{a0}vanish@box.example\u{a0}",
            "\u{feff}417-gui\u{ad}tar-\u{200b}vanish@box\u{200b}.example",
            "'417-guitar-vanish'@box.example",
        ] {
            let spoken = parse(text).unwrap_or_else(|failure| panic!("{text}: {}", failure.what));
            assert_eq!(spoken.code.text(), "417-guitar-vanish", "{text}");
            assert_eq!(spoken.postbox.as_deref(), Some("https://box.example"), "{text}");
        }
        let spoken = parse("\"417-guitar-vanish@http://[::1]:7363\".").unwrap();
        assert_eq!(spoken.postbox.as_deref(), Some("http://[::1]:7363"));
    }

    #[test]
    fn typing_errors_are_reported() {
        for (text, told) in [
            ("417-guitar-vanish@box example", "without blanks"),
            ("417-guitar-vanish@", "a postbox's name"),
            ("the code is 417-guitar-vanish", "a number and two words"),
            ("", "a number and two words"),
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
    fn words_are_completed_where_words_belong() {
        assert_eq!(candidates("417-guit"), (4, vec!["guitar-".to_owned()]));
        assert_eq!(candidates("417-guitar-VANIS"), (11, vec!["vanish".to_owned()]));
        assert_eq!(candidates("417-guitar-").1.len(), 2048);
        assert_eq!(candidates("417 guitar vanis"), (11, vec!["vanish".to_owned()]));
        assert_eq!(candidates("417\u{2013}guit"), (6, vec!["guitar-".to_owned()]));
        for nothing in ["", "417", "417-guitar-vanish-", "417-guitar-vanish@box.ex"] {
            assert_eq!(candidates(nothing).1, [""; 0], "{nothing}");
        }
    }
}
