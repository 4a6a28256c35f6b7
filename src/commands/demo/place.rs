//! The directory that the tour happens in: private, where sessions may lie, and gone afterwards,
//! whatever happens; and so is the process that serves it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tempfile::TempDir;

use crate::commands::Context;
use crate::failure::{Code, Failure};
use crate::state::Search;

/// How often the directory is removed when a signal came: a process of the tour may be about to
/// write its last file there.
const REMOVALS: usize = 3;

/// Removed when it is dropped, and before a signal ends the process.
pub(super) struct Place {
    directory: TempDir,
    /// The process that serves the tour, to be ended with it.
    servant: Servant,
}

type Servant = Arc<Mutex<Option<Child>>>;

impl Place {
    /// Makes it beside the sessions of this user.
    pub(super) fn make(context: &Context) -> Result<Self, Failure> {
        let home = Search::new(&context.options).home()?;
        let failed = |error| {
            let what = format!("cannot make a directory in {}: {error}", home.path().display());
            Failure::new(Code::Failed, what, "name another with --dir")
        };
        let directory = tempfile::Builder::new()
            .prefix("demo-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(home.path());
        let directory = directory.map_err(failed)?;
        let servant = Servant::default();
        remove_at_signal(directory.path().to_owned(), Arc::clone(&servant)).map_err(failed)?;
        Ok(Self { directory, servant })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// From now on this process ends with the tour.
    pub(super) fn take_in(&self, child: Child) {
        *self.servant.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    }

    /// Lets it end by itself.
    pub(super) fn let_go(&self) -> Option<Child> {
        self.servant.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        end(&self.servant);
    }
}

fn end(servant: &Servant) {
    if let Some(mut child) = servant.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn remove_at_signal(path: PathBuf, servant: Servant) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let watch = move || {
        for signal in signals.forever() {
            end(&servant);
            for _ in 0..REMOVALS {
                let _ = fs::remove_dir_all(&path);
            }
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}
