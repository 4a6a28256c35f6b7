//! stdin and stdout as plain descriptors: no second buffer between a packet and its pipe.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use crate::failure::Failure;

/// The most that an unprivileged process may ask for (`/proc/sys/fs/pipe-max-size`): a whole large
/// packet, so that both ends of a pipe work at the same time.
const PIPE: usize = 1 << 20;

/// A descriptor of stdin.
pub(crate) fn input() -> Result<File, Failure> {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    stdin.map(File::from).map_err(|error| Failure::input(&error))
}

/// A descriptor of stdout.
pub(crate) fn output() -> Result<File, Failure> {
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    stdout.map(File::from).map_err(|error| Failure::output(&error))
}

/// Makes the pipe larger, if it is one and the system lets us.
pub(crate) fn widen(pipe: impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
}
