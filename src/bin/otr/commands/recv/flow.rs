//! A message that is too large to wait: the command of `--exec` reads it from a pipe while it comes.
//!
//! The end of the pipe is the end of the message, and nothing else may look so. So the command is a
//! process group of its own, and a keeper, another process, holds the pipe open beside us. If we say
//! that the message is whole, the keeper lets go; if we are gone without that, by whatever signal, it
//! first ends the command with SIGTERM.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, PipeWriter, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::failure::{Code, Failure};
use crate::process;
use crate::program::{Failed, Plan, Program};

/// The command that runs a keeper; not for people.
const COMMAND: &str = "keep-hook";
/// What tells it that the message is whole.
const WHOLE: u8 = b'.';

/// A command that reads a message.
pub(super) struct Flow {
    program: Program,
    /// `None` once nobody reads any more.
    text: Option<PipeWriter>,
    keeper: Child,
    /// To the keeper.
    line: Option<PipeWriter>,
    /// Whether the command has succeeded before the end, as `head` does.
    is_over: bool,
}

impl Flow {
    pub(super) fn start(
        line: &OsStr,
        told: Vec<(&'static str, OsString)>,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(Code::Failed, format!("cannot make a pipe: {error}"), "")
        };
        let (read, text) = io::pipe().map_err(failed)?;
        let (keeps, ours) = io::pipe().map_err(failed)?;
        let held = text.try_clone().map_err(failed)?;
        let stdin = read.into();
        let plan = Plan { line, stdin, stdout: Stdio::inherit(), told, apart: true };
        let program = Program::start(plan)?;
        let mut keeper = Command::new(process::itself().map_err(failed)?);
        keeper.arg0("otr").args([COMMAND, &program.id().to_string()]).process_group(0);
        keeper.stdin(keeps).stdout(held).stderr(Stdio::null());
        let keeper = keeper.spawn().map_err(|error| {
            Failure::new(Code::Failed, format!("cannot start a process: {error}"), "")
        })?;
        Ok(Self { program, text: Some(text), keeper, line: Some(ours), is_over: false })
    }

    /// Gives it all that is in this file.
    pub(super) fn copy(&mut self, from: &mut File) -> io::Result<()> {
        let mut block = vec![0; 64 << 10];
        loop {
            match from.read(&mut block)? {
                0 => return Ok(()),
                count => self.write(&block[..count])?,
            }
        }
    }

    /// Gives it more, waiting while it does not read. An error if it has failed.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(text) = &mut self.text else { return self.look() };
        match text.write_all(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.text = None;
                self.look()
            }
            written => written,
        }
    }

    /// Whether a command that reads no more has failed meanwhile.
    fn look(&mut self) -> io::Result<()> {
        if self.is_over {
            return Ok(());
        }
        match self.program.has_ended()? {
            Some(status) => {
                self.is_over = true;
                Failed::of(status).map_or(Ok(()), |failed| Err(io::Error::other(failed)))
            }
            None => Ok(()),
        }
    }

    /// The message is whole: waits for the command.
    pub(super) fn end(mut self) -> io::Result<()> {
        if let Some(mut line) = self.line.take() {
            line.write_all(&[WHOLE])?;
        }
        self.keeper.wait()?;
        self.text = None;
        if self.is_over {
            return Ok(());
        }
        let status = self.program.wait()?;
        self.is_over = true;
        Failed::of(status).map_or(Ok(()), |failed| Err(io::Error::other(failed)))
    }
}

impl Drop for Flow {
    /// The message has not become whole: the command learns that by a signal, before its stdin ends.
    fn drop(&mut self) {
        if self.line.take().is_none() {
            return;
        }
        let _ = self.keeper.wait();
        self.text = None;
        if !self.is_over {
            let _ = self.program.wait();
        }
    }
}

/// The keeper of a command's group: our stdin is the line to `recv`, our stdout the other end of the
/// command's stdin.
#[derive(clap::Args)]
pub(crate) struct KeepHook {
    group: i32,
}

impl KeepHook {
    /// Runs until the message is whole, or nobody is there who could say so.
    pub(crate) fn run(&self) {
        let mut said = [0];
        let whole = io::stdin().read_exact(&mut said).is_ok() && said[0] == WHOLE;
        if whole || !is_read() {
            return;
        }
        if let Some(group) = Pid::from_raw(self.group) {
            let _ = kill_process_group(group, Signal::TERM);
            let _ = kill_process_group(group, Signal::CONT);
        }
    }
}

/// Whether anybody has the pipe on our stdout open for reading.
fn is_read() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let _ = poll(&mut polled, Some(&at_once));
    !polled[0].revents().contains(PollFlags::ERR)
}
