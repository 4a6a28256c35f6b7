//! Waits for a descriptor that another program has switched to non-blocking mode. Programs share
//! that setting: `ssh` and Node.js leave pipes and terminals non-blocking.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};

/// A descriptor on which reads and writes block, whatever its mode.
#[derive(Debug)]
pub struct Patient<T>(T);

impl<T: AsFd> Patient<T> {
    /// Wraps this descriptor.
    pub fn new(file: T) -> Self {
        Self(file)
    }

    /// Does `work`; if it would block, waits and tries again.
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

/// Waits until there is something to read, room to write, or an error that the next try will
/// report.
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
