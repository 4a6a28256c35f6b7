//! Descriptors that the shell opened for us and that the user names by number.
//!
//! Treating a bare number as an owned descriptor is `unsafe` in Rust, because something else may
//! own it. So this module duplicates it. `pidfd_getfd(2)` on this very process makes a true
//! duplicate with the same offset and flags, so that `4>>log` goes on appending; it also works for
//! sockets and another user's pipes, and after `PR_SET_DUMPABLE` has been turned off. If the call
//! is missing (Linux before 5.6) or forbidden (seccomp in some containers), and on other systems,
//! the module opens `/dev/fd/N`. Outside Linux that duplicates as well; on Linux it opens the file
//! anew, which starts at offset 0 for a regular file and fails for a socket.

use std::fs::{File, OpenOptions};
use std::io;

use super::patient::Patient;

/// What a descriptor will be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Only read from.
    Read,
    /// Only written to.
    Write,
}

/// A duplicate of descriptor `number`, closed on exec.
///
/// # Errors
/// The system's reason.
pub fn duplicate(number: u32, usage: Use) -> io::Result<Patient<File>> {
    #[cfg(target_os = "linux")]
    match duplicate_of_own(number) {
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {}
        done => return Ok(Patient::new(File::from(done?))),
    }
    open_anew(number, usage).map(Patient::new)
}

#[cfg(target_os = "linux")]
fn duplicate_of_own(number: u32) -> rustix::io::Result<std::os::fd::OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let number = i32::try_from(number).map_err(|_| rustix::io::Errno::BADF)?;
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    pidfd_getfd(this, number, PidfdGetfdFlags::empty())
}

fn open_anew(number: u32, usage: Use) -> io::Result<File> {
    let mut how = OpenOptions::new();
    match usage {
        Use::Read => how.read(true),
        // Existing contents stay: new lines follow them.
        Use::Write => how.append(true),
    };
    how.open(format!("/dev/fd/{number}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::fd::AsRawFd;

    use super::*;

    fn number(file: &impl AsRawFd) -> u32 {
        u32::try_from(file.as_raw_fd()).unwrap()
    }

    #[test]
    fn a_duplicate_goes_on_where_the_original_is() {
        let mut original = tempfile::tempfile().unwrap();
        original.write_all(b"one two").unwrap();
        original.seek(SeekFrom::Start(4)).unwrap();
        let mut text = String::new();
        duplicate(number(&original), Use::Read).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "two");
    }

    #[test]
    fn without_the_call_a_pipe_still_serves_and_a_file_is_appended_to() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        open_anew(number(&writer), Use::Write).unwrap().write_all(b"x").unwrap();
        let mut byte = [0];
        open_anew(number(&reader), Use::Read).unwrap().read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
        writer.write_all(b"y").unwrap();
        reader.read_exact(&mut byte).unwrap();

        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one ").unwrap();
        open_anew(number(&file), Use::Write).unwrap().write_all(b"two").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
    }

    #[test]
    fn what_is_not_open_is_an_error() {
        for closed in [65_535, u32::MAX] {
            assert!(duplicate(closed, Use::Read).is_err());
            assert!(open_anew(closed, Use::Read).is_err());
        }
    }
}
