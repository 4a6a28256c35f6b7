//! The directory of the tour: private, safe for sessions, and removed afterwards, whatever happens,
//! together with the process that serves the tour.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, PoisonError};
use std::thread;

use otr::store::Search;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tempfile::TempDir;

use super::family::Family;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process::not_ignored;

/// The tour's directory, removed when this is dropped, and before a signal ends the process.
pub(super) struct Place {
    directory: TempDir,
    /// The process that serves the tour and ends with it.
    servant: Mutex<Option<Child>>,
    /// All processes of the tour, which end at a signal.
    family: Family,
}

impl Place {
    /// Makes the directory next to this user's sessions.
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
        let family = Family::default();
        remove_at_signal(directory.path().to_owned(), family.clone()).map_err(failed)?;
        Ok(Self { directory, servant: Mutex::default(), family })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn family(&self) -> &Family {
        &self.family
    }

    /// Makes this process end with the tour.
    pub(super) fn take_in(&self, child: Child) {
        *self.servant.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    }

    /// Lets the serving process end by itself.
    pub(super) fn let_go(&self) -> Option<Child> {
        self.servant.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // If a signal came first, the signal ends this process, not the result of its steps.
        let _members = self.family.hold();
        if let Some(mut child) = self.let_go() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn remove_at_signal(path: PathBuf, family: Family) -> std::io::Result<()> {
    let mut signals = Signals::new(not_ignored(&[SIGINT, SIGTERM, SIGHUP]))?;
    let watch = move || {
        for signal in signals.forever() {
            // Held to the end, so that no process is started any more.
            let mut members = family.hold();
            members.end();
            let _ = fs::remove_dir_all(&path);
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}
