//! A program that the user names, run by the shell: `recv --exec`, `send --exec`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::ending::{self, Guard};
use crate::failure::{Code, Failure};

/// How long a program that is told to end may take, before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look whether it has.
const GLANCE: Duration = Duration::from_millis(10);

/// How a program is started.
pub(crate) struct Plan<'a> {
    /// What the shell is to do.
    pub(crate) line: &'a OsStr,
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    /// What it learns besides.
    pub(crate) told: Vec<(&'static str, OsString)>,
    /// Whether it is a process group of its own, so that a signal reaches all that it starts. A
    /// terminal then takes it for a background job.
    pub(crate) apart: bool,
}

/// A running program. It ends with us: a signal that ends this process is passed on as SIGTERM, and
/// so it is when this is dropped.
pub(crate) struct Program {
    child: Child,
    handle: Handle,
    guard: Option<Guard>,
}

/// What signals the program, until it has ended: then its number may be another's.
#[derive(Clone)]
struct Handle {
    pid: Arc<Mutex<Option<Pid>>>,
    apart: bool,
}

impl Handle {
    fn pid(&self) -> MutexGuard<'_, Option<Pid>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.pid() {
            // It may just have ended.
            let _ = if self.apart {
                kill_process_group(pid, signal)
            } else {
                kill_process(pid, signal)
            };
        }
    }

    /// Whether it has ended. If it has and nobody has waited for it yet, its number stays its own.
    fn has_ended(&self, how: WaitIdOptions) -> io::Result<bool> {
        // Not held while it runs.
        let Some(pid) = *self.pid() else { return Ok(true) };
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | how;
        loop {
            match waitid(WaitId::Pid(pid), how) {
                Err(Errno::INTR) => {}
                // Another thread has waited for it meanwhile.
                Err(Errno::CHILD) => return Ok(true),
                found => return Ok(found?.is_some()),
            }
        }
    }

    fn end(&self) {
        self.signal(Signal::TERM);
        // What was stopped (Ctrl-Z) hears nothing else.
        self.signal(Signal::CONT);
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended(WaitIdOptions::NOHANG).unwrap_or(true) {
            if Instant::now() >= deadline {
                return self.signal(Signal::KILL);
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    /// Code 1 where the system starts no process.
    pub(crate) fn start(plan: Plan<'_>) -> Result<Self, Failure> {
        let handle = Handle { pid: Arc::default(), apart: plan.apart };
        // A signal that comes now waits until there is something to end.
        let mut pid = handle.pid();
        let theirs = handle.clone();
        let guard = ending::first(move || theirs.end())?;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(plan.line).envs(plan.told).stdin(plan.stdin).stdout(plan.stdout);
        if plan.apart {
            command.process_group(0);
        }
        let child = command.spawn().map_err(|error| {
            Failure::new(Code::Failed, format!("cannot start /bin/sh: {error}"), "")
        })?;
        *pid = Some(Pid::from_child(&child));
        drop(pid);
        Ok(Self { child, handle, guard: Some(guard) })
    }

    /// Its number, which is that of its group if it is [apart](Plan::apart).
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it writes, if its stdout is a pipe.
    pub(crate) fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.handle.has_ended(WaitIdOptions::NOHANG)? { self.wait().map(Some) } else { Ok(None) }
    }

    /// Waits for its end, however long that takes. While a signal ends this process, it does not
    /// return.
    pub(crate) fn wait(&mut self) -> io::Result<ExitStatus> {
        self.handle.has_ended(WaitIdOptions::empty())?;
        let mut pid = self.handle.pid();
        *pid = None;
        let status = self.child.wait();
        drop(pid);
        self.guard = None;
        status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.guard.is_some() {
            self.handle.end();
            let _ = self.wait();
        }
    }
}

/// How a program ended that did not succeed: `ended with 3`.
#[derive(Debug)]
pub(crate) struct Failed(ExitStatus);

impl Failed {
    /// `None` if it has succeeded.
    pub(crate) fn of(status: ExitStatus) -> Option<Self> {
        (!status.success()).then_some(Self(status))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "the command ended with {code}"),
            (None, Some(signal)) => write!(f, "the command was ended by signal {signal}"),
            (None, None) => f.write_str("the command did not end as it should"),
        }
    }
}

impl std::error::Error for Failed {}
