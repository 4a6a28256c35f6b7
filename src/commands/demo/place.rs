//! The directory that the tour happens in: private, where sessions may lie, and gone afterwards,
//! whatever happens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
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
pub(super) struct Place(TempDir);

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
        remove_at_signal(directory.path().to_owned()).map_err(failed)?;
        Ok(Self(directory))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

fn remove_at_signal(path: PathBuf) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let watch = move || {
        for signal in signals.forever() {
            for _ in 0..REMOVALS {
                let _ = fs::remove_dir_all(&path);
            }
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}
