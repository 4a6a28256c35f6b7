//! A message on its way into a file that the person has named, and names anew when it cannot be written
//! there. What came of it lies beside the file until it is whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use otr::protocol::packet::frame::Data;
use otr::protocol::session::Identity;

use crate::commands::recv::{Output, Target};
use crate::failure::{Code, Failure};
use crate::ui::printable::line;
use crate::ui::speak::warn;

/// What to do about a name that is taken.
const NEW: &str = "nothing was written: give another name";

/// A file that is not whole.
pub(super) struct Saving {
    output: Output,
    pub(super) path: PathBuf,
    /// What came of it.
    pub(super) part: PathBuf,
}

impl Saving {
    /// Into a new file at this path.
    pub(super) fn at(path: &Path, message: u64, identity: &Identity) -> Result<Self, Failure> {
        no_other_kind(path)?;
        let Target::File(output) = Target::open(path, false).map_err(hinted)? else {
            let what = format!("{} is no file", line(&path.to_string_lossy()));
            return Err(Failure::new(Code::Usage, what, "name a file to be made"));
        };
        let part = output.part(message, identity);
        Ok(Self { output, path: path.to_owned(), part })
    }

    /// Makes sure that the message can go on here where `data` begins, and takes its beginning over
    /// from the place where it is.
    pub(super) fn go_on(
        &mut self,
        data: &Data,
        identity: &Identity,
        unfinished: &Unfinished,
    ) -> Result<(), Failure> {
        if data.offset > 0 {
            let known = unfinished.get().as_ref().map(|(_, part)| part.clone());
            // An earlier run has begun it, perhaps under another name.
            let from = known.or_else(|| self.output.begun_beside(data.message, identity));
            let from = from.ok_or_else(|| elsewhere(data))?;
            self.output.take_over(&from, data, identity).map_err(hinted)?;
            unfinished.note(Some(self));
        }
        self.output.check(data, identity).map_err(hinted)
    }

    pub(super) fn write(
        &mut self,
        text: &[u8],
        data: &Data,
        identity: &Identity,
    ) -> Result<(), Failure> {
        self.output.write(text, data, identity).map_err(hinted)?;
        self.output.done |= data.end;
        Ok(())
    }

    /// The session has noted that it is whole.
    pub(super) fn stored(&mut self) {
        self.output.stored();
    }
}

/// The file that a part of a message is in, and that part: for as long as the rest may follow.
#[derive(Clone, Default)]
pub(super) struct Unfinished(Arc<Mutex<Option<(PathBuf, PathBuf)>>>);

impl Unfinished {
    fn get(&self) -> MutexGuard<'_, Option<(PathBuf, PathBuf)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, saving: Option<&Saving>) {
        *self.get() = saving.map(|saving| (saving.path.clone(), saving.part.clone()));
    }

    pub(super) fn is_none(&self) -> bool {
        self.get().is_none()
    }

    /// Removes what came: there will be no rest.
    pub(super) fn remove(&self) {
        if let Some((_, part)) = self.get().take() {
            remove(&part);
        }
    }

    /// Says how it goes on after the end of the chat.
    pub(super) fn say(&self) {
        if let Some((path, part)) = &*self.get() {
            let shown = |path: &Path| line(&path.to_string_lossy());
            warn(format_args!(
                "{} has not all come: what is here is in {}; '/save' in the next chat goes on with it",
                shown(path),
                shown(part)
            ));
        }
    }
}

/// Removes a part file.
pub(super) fn remove(part: &Path) {
    if let Err(error) = fs::remove_file(part)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        warn(format_args!("cannot remove {}: {error}", line(&part.to_string_lossy())));
    }
}

/// Refuses what is there and neither a file nor a directory: a FIFO would wait for its reader, and a link
/// leads elsewhere.
fn no_other_kind(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() && !found.is_dir() => Err(is_there(path)),
        _ => Ok(()),
    }
}

pub(super) fn is_there(path: &Path) -> Failure {
    let what = format!("{} is there already", line(&path.to_string_lossy()));
    Failure::new(Code::Exists, what, NEW)
}

/// An earlier run has begun it, and not here.
fn elsewhere(data: &Data) -> Failure {
    let what = format!("the beginning of message {} was saved in another directory", data.message);
    Failure::new(Code::Refused, what, "give a name in that directory")
}

/// The hints of `recv` are another option, or none.
fn hinted(failure: Failure) -> Failure {
    match failure.code {
        Code::Exists => Failure { hint: NEW.into(), ..failure },
        Code::Failed => Failure { hint: "give another name".into(), ..failure },
        _ => failure,
    }
}
