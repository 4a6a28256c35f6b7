//! Why something cannot be handed over, and the names of files in what is said of them.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::failure::{Code, Failure};
use crate::ui::printable;

/// Why the content is not whole, once it has been read, and whether that is so.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<String>>>, Arc<AtomicBool>);

impl Fault {
    pub(super) fn set(&self, why: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// All of the content has been read.
    pub(super) fn end(&self) {
        self.1.store(true, Ordering::Release);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.1.load(Ordering::Acquire)
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot read {}: {error}", shown(path));
    Failure::new(Code::Usage, what, "nobody was called").about(path)
}

pub(super) fn shown(path: &Path) -> String {
    printable::line(&path.to_string_lossy())
}
