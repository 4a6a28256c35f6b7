//! The commands that a pipe runs: those of --exec each in a process group of its own, so that all of it can
//! be ended. Each has a thread that waits for it.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::worker;

/// Those that run, for the end of this process, which a signal may bring at any time.
static RUNNING: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// A command that was started.
#[derive(Clone)]
pub(super) struct Child {
    id: u32,
    has_group: bool,
    ended: Arc<(Mutex<Option<ExitStatus>>, Condvar)>,
}

/// Starts `command` by `sh -c`, with a pipe for its stdin and one for its stdout.
pub(super) fn start(command: &str) -> io::Result<(Child, ChildStdin, ChildStdout)> {
    run(shell(command).process_group(0), true)
}

/// The same in our own process group, so that `ssh` may ask for a password at the terminal.
pub(super) fn start_with_terminal(command: &str) -> io::Result<(Child, ChildStdin, ChildStdout)> {
    run(&mut shell(command), false)
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped());
    shell
}

fn run(command: &mut Command, has_group: bool) -> io::Result<(Child, ChildStdin, ChildStdout)> {
    let mut process = command.spawn()?;
    let child = Child { id: process.id(), has_group, ended: Arc::default() };
    running(|all| all.push(child.clone()));
    let pipes = process.stdin.take().zip(process.stdout.take());
    let theirs = child.clone();
    let waits = worker::start(move || {
        let status = process.wait();
        let (ended, bell) = &*theirs.ended;
        // In this order: nobody may signal a process that was waited for.
        running(|all| all.retain(|one| one.id != theirs.id));
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = status.ok();
        bell.notify_all();
    });
    match (waits, pipes) {
        (Ok(_), Some((input, output))) => Ok((child, input, output)),
        (Err(failure), _) => Err(io::Error::other(failure)),
        (_, None) => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

fn running<T>(work: impl FnOnce(&mut Vec<Child>) -> T) -> T {
    work(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Child {
    /// Tells all processes of the command to end.
    pub(super) fn end(&self) {
        running(|all| all.iter().filter(|one| one.id == self.id).for_each(Self::signal));
    }

    fn signal(&self) {
        if let Some(id) = i32::try_from(self.id).ok().and_then(Pid::from_raw) {
            // They may be ending just now.
            let _ = if self.has_group {
                kill_process_group(id, Signal::TERM)
            } else {
                kill_process(id, Signal::TERM)
            };
        }
    }

    /// The command's status, if it ends within `limit`.
    pub(super) fn status(&self, limit: Duration) -> Option<ExitStatus> {
        let (ended, bell) = &*self.ended;
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = bell.wait_timeout_while(ended, limit, |ended| ended.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Ends all of them.
pub(super) fn end_all() {
    running(|all| all.iter().for_each(Child::signal));
}
