//! stdin and stdout as plain descriptors: no second buffer between a packet and its pipe.
//!
//! One that was closed when the program began is an error, before anything is spent
//! ([`crate::closed`]). One that another program has switched to non-blocking (it shares the
//! setting with us: `ssh` and Node.js leave pipes and terminals so) is waited for.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};

use crate::closed;
use crate::failure::{Code, Failure};

/// The most that an unprivileged process may ask for (`/proc/sys/fs/pipe-max-size`): a whole large
/// packet, so that both ends of a pipe work at the same time.
const PIPE: usize = 1 << 20;

/// A descriptor that is read and written to the end of what is asked, however it is set up.
#[derive(Debug)]
pub(crate) struct Patient<T>(T);

impl<T: AsFd> Patient<T> {
    pub(crate) fn new(file: T) -> Self {
        Self(file)
    }

    /// Does `work`, and where it would block, waits and does it again.
    fn patiently<R>(
        &mut self,
        event: PollFlags,
        mut work: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            match work(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(&self.0, event)?,
                done => return done,
            }
        }
    }
}

/// Until there is something to read, or room to write, or an error that the next try will tell.
fn wait(file: &impl AsFd, event: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(file, event)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl<T: AsFd> AsFd for Patient<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<T: AsFd + Read> Read for Patient<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(PollFlags::IN, |file| file.read(buffer))
    }
}

impl<T: AsFd + Write> Write for Patient<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(PollFlags::OUT, |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A descriptor of stdin.
pub(crate) fn input() -> Result<Patient<File>, Failure> {
    if closed::stdin() {
        return Err(missing("stdin", "redirect it: < FILE, or < /dev/null for nothing"));
    }
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    stdin.map(|fd| Patient(File::from(fd))).map_err(|error| Failure::input(&error))
}

/// A descriptor of stdout.
pub(crate) fn output() -> Result<Patient<File>, Failure> {
    if closed::stdout() {
        return Err(missing("stdout", "redirect it: > FILE, or > /dev/null to see nothing"));
    }
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    stdout.map(|fd| Patient(File::from(fd))).map_err(|error| Failure::output(&error))
}

fn missing(which: &str, hint: &'static str) -> Failure {
    Failure::new(Code::Failed, format!("{which} is closed"), hint)
}

/// One whole text to stderr, in one call where there is room for it. That it cannot be said is no
/// error: nobody is left to tell that nobody listens.
pub(crate) fn say(text: &[u8]) {
    let _ = Patient(io::stderr().lock()).write_all(text);
}

/// Makes the pipe larger, if it is one and the system lets us.
pub(crate) fn widen(pipe: impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
}
