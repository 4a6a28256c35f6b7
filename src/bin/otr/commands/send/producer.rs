//! `send --exec`: what a command writes is the message, and whole only if the command succeeds.

use std::io::{self, Read};
use std::process::{ChildStdout, Stdio};

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::program::{Failed, Plan, Program};

/// The stdout of a command. It ends only when the command has ended with 0; with anything else
/// reading it is an error.
pub(super) struct Producer {
    /// Closed before the program is told to end, if it comes to that.
    output: Option<ChildStdout>,
    program: Program,
}

impl Producer {
    pub(super) fn start(context: &Context, line: &std::ffi::OsStr) -> Result<Self, Failure> {
        let told = context.for_commands();
        let plan = Plan { line, stdin: Stdio::null(), stdout: Stdio::piped(), told, apart: false };
        let mut program = Program::start(plan)?;
        let output = program.output();
        Ok(Self { output, program })
    }
}

impl Read for Producer {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(output) = &mut self.output else { return Ok(0) };
        match output.read(out)? {
            0 if !out.is_empty() => {}
            count => return Ok(count),
        }
        // If it failed, this stays the answer.
        if let Some(failed) = Failed::of(self.program.wait()?) {
            return Err(io::Error::other(failed));
        }
        self.output = None;
        Ok(0)
    }
}

/// The failure when a message could not be read to its end, and nothing of it was sent.
pub(super) fn unread(error: &io::Error) -> Failure {
    if matches!(error.get_ref(), Some(inner) if inner.is::<Failed>()) {
        return Failure::new(Code::Failed, error.to_string(), "nothing of this message was sent");
    }
    Failure::input(error)
}
