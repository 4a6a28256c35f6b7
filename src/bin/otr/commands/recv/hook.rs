//! `recv --exec`: each message becomes the stdin of a command, whose exit code says whether the message
//! is taken.
//!
//! A message waits in memory until it is whole: the command starts then, on a file that holds all of
//! it, so that nothing can make it take a part for the whole, whatever ends us. A message too large
//! for that flows through a pipe ([`Flow`]).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::process::Stdio;

use otr::protocol::packet::frame::Data;
use otr::protocol::session::Session;

use super::flow::Flow;
use crate::commands::authenticated;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::program::{Failed, Plan, Program};

/// The most packets of a message that waits: their keys wait, too, and with more the queue of keys
/// to publish would lose some.
const PACKETS: usize = 1024;
/// The most numbers of missing messages that a command is told.
const MISSING: usize = 1000;

/// What is given to a command.
pub(super) struct Hook {
    line: OsString,
    /// What tells a command which session it is.
    session: Vec<(&'static str, OsString)>,
    /// The size of the largest message that waits.
    most: u64,
    /// What becomes of a message that is not taken.
    kept: &'static str,
    message: Message,
}

/// The message that is not whole yet.
enum Message {
    None,
    Waits {
        text: File,
        bytes: u64,
        packets: usize,
    },
    Flows(Flow),
    /// Nobody takes it: an earlier `recv` had its beginning.
    Rest,
}

impl Hook {
    /// Runs `line` for each message; one of at most `most` bytes waits until it is whole. `kept` says
    /// what becomes of a message that is not taken.
    pub(super) fn new(context: &Context, line: OsString, most: usize, kept: &'static str) -> Self {
        let session = context.for_commands();
        Self { line, session, most: most as u64, kept, message: Message::None }
    }

    /// Whether the text so far is only in memory.
    pub(super) fn waits(&self) -> bool {
        !matches!(self.message, Message::Flows(_) | Message::Rest)
    }

    /// Takes a part; with the last one, the command has ended when this returns.
    pub(super) fn write(
        &mut self,
        text: &[u8],
        data: &Data,
        session: Option<&Session>,
    ) -> Result<(), Failure> {
        if data.offset == 0 {
            let text = memory().map_err(|error| no_memory(&error))?;
            self.message = Message::Waits { text, bytes: 0, packets: 0 };
        }
        match &mut self.message {
            Message::None | Message::Rest => {
                self.message = if data.end { Message::None } else { Message::Rest };
                return Ok(());
            }
            Message::Waits { text: so_far, bytes, packets } => {
                so_far.write_all(text).map_err(|error| no_memory(&error))?;
                *bytes += text.len() as u64;
                *packets += 1;
                if !data.end && (*bytes > self.most || *packets > PACKETS) {
                    return self.flow(data, session);
                }
            }
            Message::Flows(flow) => flow.write(text).map_err(|why| lost(data.message, &why))?,
        }
        if data.end { self.end(data, session) } else { Ok(()) }
    }

    /// The message is whole.
    fn end(&mut self, data: &Data, session: Option<&Session>) -> Result<(), Failure> {
        match std::mem::replace(&mut self.message, Message::None) {
            Message::Waits { text, bytes, .. } => self.run(text, bytes, data, session),
            Message::Flows(flow) => flow.end().map_err(|why| lost(data.message, &why)),
            Message::None | Message::Rest => Ok(()),
        }
    }

    /// Runs the command on a whole message.
    fn run(
        &self,
        mut text: File,
        bytes: u64,
        data: &Data,
        session: Option<&Session>,
    ) -> Result<(), Failure> {
        text.seek(SeekFrom::Start(0)).map_err(|error| no_memory(&error))?;
        let mut told = self.told(data, session);
        told.push(("OTR_SIZE", bytes.to_string().into()));
        let plan = Plan {
            line: &self.line,
            stdin: text.into(),
            stdout: Stdio::inherit(),
            told,
            apart: false,
        };
        let status = Program::start(plan)?.wait().map_err(|error| self.refused(data, &error))?;
        match Failed::of(status) {
            Some(failed) => Err(self.refused(data, &failed)),
            None => Ok(()),
        }
    }

    /// The command starts on a message whose end has not come.
    fn flow(&mut self, data: &Data, session: Option<&Session>) -> Result<(), Failure> {
        let Message::Waits { mut text, .. } = std::mem::replace(&mut self.message, Message::None)
        else {
            return Ok(());
        };
        text.seek(SeekFrom::Start(0)).map_err(|error| no_memory(&error))?;
        let mut flow = Flow::start(&self.line, self.told(data, session))?;
        // Nothing of it is stored yet.
        flow.copy(&mut text).map_err(|error| self.refused(data, &error))?;
        self.message = Message::Flows(flow);
        Ok(())
    }

    /// No more of the message will come: a command that has a part of it is told.
    pub(super) fn truncated(&mut self) {
        self.message = Message::None;
    }

    /// What the command learns besides.
    fn told(&self, data: &Data, session: Option<&Session>) -> Vec<(&'static str, OsString)> {
        let missing = session.map(Session::missing).unwrap_or_default();
        let missing = missing.into_iter().flat_map(|(first, last)| first..=last).take(MISSING);
        let missing: Vec<String> = missing.map(|number| number.to_string()).collect();
        let checked =
            session.map(|session| authenticated::names(session.authentication()).join(" "));
        let mut told = self.session.clone();
        told.push(("OTR_MESSAGE", data.message.to_string().into()));
        told.push(("OTR_AUTHENTICATED", checked.unwrap_or_default().into()));
        told.push(("OTR_MISSING", missing.join(" ").into()));
        told
    }

    fn refused(&self, data: &Data, why: &dyn std::fmt::Display) -> Failure {
        let what = format!("message {} is not taken: {why}", data.message);
        Failure::new(Code::Failed, what, self.kept)
    }
}

fn lost(message: u64, why: &dyn std::fmt::Display) -> Failure {
    let what = format!("message {message} is lost: {why}, and its beginning is not here any more");
    Failure::new(Code::CutShort, what, "ask the other side to send it again")
}

fn no_memory(error: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("cannot hold the message in memory: {error}"), "")
}

/// A file without a name that is nowhere but in memory.
#[cfg(target_os = "linux")]
fn memory() -> io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("otr message", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn memory() -> io::Result<File> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no files that are only there"))
}
