//! stdin and stdout as plain descriptors: no second buffer between a packet and its pipe.
//!
//! One that was closed when the program began is an error, before anything is spent
//! ([`crate::closed`]). One that another program has switched to non-blocking (it shares the
//! setting with us: `ssh` and Node.js leave pipes and terminals so) is waited for.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use otr::store::patient::Patient;

use crate::closed;
use crate::failure::{Code, Failure};

/// The most that an unprivileged process may ask for (`/proc/sys/fs/pipe-max-size`): a whole large
/// packet, so that both ends of a pipe work at the same time.
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

/// One whole text to stderr, in one call where there is room for it. That it cannot be said is no
/// error: nobody is left to tell that nobody listens.
pub(crate) fn say(text: &[u8]) {
    let _ = Patient::new(io::stderr().lock()).write_all(text);
}

/// Makes the pipe larger, if it is one and the system lets us.
pub(crate) fn widen(pipe: impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
}
