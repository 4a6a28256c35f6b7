//! What a running tor says of its circuits and streams, by its control port.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to one control port.
pub(crate) struct Control {
    stream: BufReader<UnixStream>,
    /// Lines that came unasked.
    events: Vec<String>,
}

/// A stream as it was seen: who asked for it, and which circuit took it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sighting {
    pub(crate) user: String,
    pub(crate) circuit: String,
}

impl Control {
    pub(crate) fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut control = Self { stream: BufReader::new(stream), events: Vec::new() };
        control.ask("AUTHENTICATE");
        control
    }

    /// The lines of the answer, without their codes.
    pub(crate) fn ask(&mut self, command: &str) -> Vec<String> {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let (code, rest) = line.split_at_checked(3).unwrap_or_else(|| panic!("{line:?}"));
            if code == "650" {
                self.events.push(rest[1..].to_owned());
                continue;
            }
            assert_eq!(code, "250", "{command}: {line}");
            lines.push(rest[1..].to_owned());
            if rest.starts_with('+') {
                lines.extend(std::iter::from_fn(|| Some(self.line()).filter(|line| line != ".")));
            }
            if rest.starts_with(' ') {
                return lines;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stream.read_line(&mut line).unwrap(), 0, "tor has ended");
        line.trim_end().to_owned()
    }

    /// From now on notes what becomes of each stream.
    pub(crate) fn watch_streams(&mut self) {
        self.ask("SETEVENTS STREAM");
    }

    /// All streams for that host that reached a circuit since the last time, as the events tell.
    pub(crate) fn streams_to(&mut self, host: &str) -> Vec<Sighting> {
        // What happened before is told before this is answered.
        self.ask("GETINFO version");
        let mut users = BTreeMap::new();
        let mut seen = Vec::new();
        for event in std::mem::take(&mut self.events) {
            let words: Vec<&str> = event.split(' ').collect();
            let ["STREAM", id, what, circuit, target, ..] = words[..] else { continue };
            if what == "NEW" {
                users.insert(id.to_owned(), quoted(&event, "SOCKS_USERNAME="));
            } else if what == "SUCCEEDED" && target.starts_with(host) {
                let user = users.get(id).cloned().flatten().unwrap_or_default();
                seen.push(Sighting { user, circuit: circuit.to_owned() });
            }
        }
        seen
    }

    /// The streams to that host that are open at this moment, each with the user that the circuit
    /// which carries it was built for.
    pub(crate) fn open_streams(&mut self, host: &str) -> Vec<Sighting> {
        let users: BTreeMap<String, String> = (self.listed("circuit-status").iter())
            .filter_map(|line| {
                let id = line.split(' ').next()?;
                Some((id.to_owned(), quoted(line, "SOCKS_USERNAME=")?))
            })
            .collect();
        (self.listed("stream-status").iter())
            .filter_map(|line| {
                let mut words = line.split(' ').skip(1);
                let (state, circuit, target) = (words.next()?, words.next()?, words.next()?);
                let user = users.get(circuit).cloned().unwrap_or_default();
                (state == "SUCCEEDED" && target.starts_with(host))
                    .then(|| Sighting { user, circuit: circuit.to_owned() })
            })
            .collect()
    }

    /// The lines of a list, which tor gives as one line where it has one.
    fn listed(&mut self, name: &str) -> Vec<String> {
        let lines = self.ask(&format!("GETINFO {name}"));
        let first = lines[0].strip_prefix(&format!("{name}=")).unwrap().to_owned();
        let rest = lines[1..].iter().filter(|line| *line != "OK").cloned();
        [first].into_iter().filter(|line| !line.is_empty()).chain(rest).collect()
    }
}

/// The quoted value behind a label.
fn quoted(line: &str, label: &str) -> Option<String> {
    let rest = line.split(label).nth(1)?.strip_prefix('"')?;
    rest.split('"').next().map(str::to_owned)
}
