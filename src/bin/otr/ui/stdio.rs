//! stdin and stdout as plain descriptors: no second buffer between a packet and its pipe.
//!
//! A descriptor that was closed when the program started is an error, before any key is spent
//! ([`crate::closed`]). For one that another program has switched to non-blocking mode, this module
//! waits: programs share that setting, and `ssh` and Node.js leave pipes and terminals
//! non-blocking.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd;

use otr::store::patient::Patient;
use rustix::fs::{FileType, fstat};

use crate::closed;
use crate::failure::{Code, Failure};

/// The most that an unprivileged process may ask for (`/proc/sys/fs/pipe-max-size`): enough for a
/// whole large packet, so that both ends of a pipe can work at the same time.
const PIPE: usize = 1 << 20;

/// A descriptor of stdin.
pub(crate) fn input() -> Result<Patient<File>, Failure> {
    if closed::stdin() {
        return Err(missing("stdin", "redirect it: < FILE, or < /dev/null for nothing"));
    }
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    stdin.map(|fd| Patient::new(File::from(fd))).map_err(|error| Failure::input(&error))
}

/// A descriptor of stdout.
pub(crate) fn output() -> Result<Patient<File>, Failure> {
    if closed::stdout() {
        return Err(missing("stdout", "redirect it: > FILE, or > /dev/null to see nothing"));
    }
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    stdout.map(|fd| Patient::new(File::from(fd))).map_err(|error| Failure::output(&error))
}

fn missing(which: &str, hint: &'static str) -> Failure {
    Failure::new(Code::Failed, format!("{which} is closed"), hint)
}

/// Writes a whole text to stderr, in one call if there is room. Failure is not an error, because
/// there is nobody left to report it to.
pub(crate) fn say(text: &[u8]) {
    let _ = Patient::new(io::stderr().lock()).write_all(text);
}

/// Whether stdout is a terminal or a file, and no pipe: what is written there stays for a person.
pub(crate) fn output_stays() -> bool {
    let out = io::stdout();
    let kind = fstat(&out).map(|stat| FileType::from_raw_mode(stat.st_mode));
    out.is_terminal() || kind == Ok(FileType::RegularFile)
}

/// Closes stdout for whoever reads it, while the process goes on. Other descriptors of it must be closed
/// already.
pub(crate) fn close_output() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        // If the system refuses, the reader learns it when the process ends.
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// Enlarges the pipe, if it is a pipe and the system allows it.
pub(crate) fn widen(pipe: impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
}
