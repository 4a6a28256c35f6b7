//! The processes of the tour. At a signal they end together with it, so that none writes to the
//! directory, or recreates it, while it is being removed.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

/// All processes that were started, by descriptor, because a number may meanwhile belong to another
/// process.
#[derive(Clone, Default)]
pub(super) struct Family(Arc<Mutex<Vec<OwnedFd>>>);

/// While this is held, nobody else starts a process.
pub(super) struct Members<'a>(MutexGuard<'a, Vec<OwnedFd>>);

impl Family {
    pub(super) fn hold(&self) -> Members<'_> {
        Members(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Members<'_> {
    pub(super) fn start(&mut self, command: &mut Command) -> io::Result<Child> {
        let mut child = command.spawn()?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(member) => self.0.push(member),
            Err(error) => {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.into());
            }
        }
        Ok(child)
    }

    /// Kills all of them and waits until they are gone.
    pub(super) fn end(&mut self) {
        for member in self.0.iter() {
            // Most of them ended long ago.
            let _ = pidfd_send_signal(member, Signal::KILL);
        }
        for member in self.0.drain(..) {
            // The thread that started it takes its exit code, or has done so already.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = waitid(WaitId::PidFd(member.as_fd()), options);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn all_of_them_end_and_one_that_has_ended_does_no_harm() {
        let family = Family::default();
        let mut early = family.hold().start(&mut Command::new("true")).unwrap();
        assert!(early.wait().unwrap().success());
        let mut sleeper = family.hold().start(Command::new("sleep").arg("1000")).unwrap();
        family.hold().end();
        assert_eq!(sleeper.try_wait().unwrap().unwrap().signal(), Some(9));
    }
}
