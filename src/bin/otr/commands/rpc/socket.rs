//! The Unix socket at which programs of this user call.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use otr::store::patient::Patient;
use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

use crate::failure::{Code, Failure};

/// The pause when the system gives no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// An open socket.
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Which file it is: device and inode.
    is: (u64, u64),
}

impl Socket {
    /// Listens there. It replaces a socket at which nobody listens, and nothing else.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let what = format!("cannot listen at {}: {error}", path.display());
            Failure::new(Code::Failed, what, "").about(path)
        };
        let directory = closed_directory(path)?;
        // Two that start at once must not both find the other's old socket dead.
        flock(&directory, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                let what = format!("{} is there already, and is no socket", path.display());
                return Err(Failure::new(Code::Exists, what, "choose another path").about(path));
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                let what = format!("another program listens at {}", path.display());
                let hint = "use it, or choose another path";
                return Err(Failure::new(Code::Exists, what, hint).about(path));
            }
            Ok(_) => fs::remove_file(path).map_err(failed)?,
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        // Nobody else gets as far as to the socket meanwhile.
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        let found = fs::symlink_metadata(path).map_err(failed)?;
        let path = std::path::absolute(path).map_err(failed)?;
        Ok(Self { listener, path, is: (found.dev(), found.ino()) })
    }

    /// The next client: what it writes, and what it reads.
    pub(super) fn accept(&self) -> Result<(Patient<File>, Patient<File>), Failure> {
        loop {
            let accepted = self.listener.accept().and_then(|(stream, _)| {
                let input: std::os::fd::OwnedFd = stream.try_clone()?.into();
                let out: std::os::fd::OwnedFd = stream.into();
                Ok((Patient::new(File::from(input)), Patient::new(File::from(out))))
            });
            match accepted {
                Ok(both) => return Ok(both),
                // A client that has gone, or one too many.
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    let what =
                        format!("cannot listen at {} any more: {error}", self.path.display());
                    return Err(Failure::new(Code::Failed, what, "").about(&self.path));
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    /// Removes the socket, unless something else is in its place by now.
    pub(super) fn remove(&self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.is) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The directory of the socket, into which nobody else can look: a socket of its own mode is not
/// enough on every system.
fn closed_directory(path: &Path) -> Result<File, Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let unfit = |what: String, hint: &'static str| {
        Failure::new(Code::UnsafeState, what, hint).about(parent)
    };
    let opened = File::open(parent).and_then(|file| Ok((file.metadata()?, file)));
    let (found, file) = opened.map_err(|error| {
        unfit(
            format!("cannot use the directory {}: {error}", parent.display()),
            "make it with 'mkdir -m 700'",
        )
    })?;
    if found.uid() != geteuid().as_raw() {
        let what = format!("the directory {} is somebody else's", parent.display());
        return Err(unfit(what, "name a directory of your own"));
    }
    if found.mode() & 0o077 != 0 {
        let what = format!("others can enter the directory {}", parent.display());
        return Err(unfit(what, "close it with 'chmod 700'"));
    }
    Ok(file)
}
