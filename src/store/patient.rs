//! A descriptor that another program has switched to non-blocking (it shares the setting with us:
//! `ssh` and Node.js leave pipes and terminals so) is waited for.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};

/// A descriptor that is read and written to the end of what is asked, however it is set up.
#[derive(Debug)]
pub struct Patient<T>(T);

impl<T: AsFd> Patient<T> {
    /// Of this descriptor.
    pub fn new(file: T) -> Self {
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
