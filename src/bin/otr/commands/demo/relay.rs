//! The tour's own postbox: a process of this program on a free port of this machine.

use std::io::{self, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ChildStderr;

use rustix::process::{Pid, Signal, kill_process};

use super::line::Line;
use super::place::Place;
use crate::commands::postbox::url_said;
use crate::failure::{Code, Failure};

/// A running postbox.
pub(super) struct Relay {
    stderr: BufReader<ChildStderr>,
    /// Its address, as the two people write it.
    pub(super) url: String,
    /// Its output until it was ready.
    pub(super) said: String,
}

/// The line that starts a postbox. It fails if another process takes the port first.
pub(super) fn line() -> Result<Line, Failure> {
    let port = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
    let address = port().map_err(|error| {
        Failure::new(Code::Failed, format!("no port is free on this machine: {error}"), "")
    })?;
    Ok(Line::new(["otr", "postbox", "--listen", &address.to_string()]))
}

impl Relay {
    /// Starts a postbox and waits until it is ready.
    pub(super) fn start(line: &Line, place: &Place) -> Result<Self, Failure> {
        let failed = |error: &io::Error| {
            Failure::new(Code::Failed, format!("the postbox does not start: {error}"), "try again")
        };
        let child =
            line.start(place.path(), place.family()).map_err(|error| failed(&error))?.last();
        let mut child = child.ok_or_else(|| failed(&io::ErrorKind::NotFound.into()))?;
        let stderr = child.stderr.take();
        place.take_in(child);
        let stderr = stderr.ok_or_else(|| failed(&io::ErrorKind::BrokenPipe.into()))?;
        let mut relay =
            Self { stderr: BufReader::new(stderr), url: String::new(), said: String::new() };
        let told = url_said(&mut relay.stderr, &mut relay.said).map_err(|error| failed(&error))?;
        let ended = || failed(&io::Error::other(relay.said.trim_end().to_owned()));
        relay.url = told.ok_or_else(ended)?;
        Ok(relay)
    }

    /// Asks it to end; returns its last output, if it ended as it should.
    pub(super) fn end(mut self, place: &Place) -> io::Result<Option<String>> {
        let Some(mut child) = place.let_go() else { return Ok(None) };
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        let mut said = String::new();
        self.stderr.read_to_string(&mut said)?;
        Ok(child.wait()?.success().then_some(said))
    }
}
