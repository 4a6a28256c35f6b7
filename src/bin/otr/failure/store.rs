//! What went wrong with a store, for a person: its exit code, and what to do about it.

use std::borrow::Cow;

use otr::store::{BadName, StoreError, Unfit};

use super::{Code, Failure};

const BEGIN: &str = "begin one with 'otr init' or 'otr respond'";

#[cfg(target_os = "linux")]
const ELSEWHERE: &str = "name a directory on tmpfs with --dir, or use --allow-disk";
#[cfg(not(target_os = "linux"))]
const ELSEWHERE: &str =
    "no memory file system is known on this system: use --state-fd, or a RAM disk and --allow-disk";

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let what = match &error {
            StoreError::Descriptor { number, error } => {
                format!("cannot use descriptor {number} of --state-fd: {error}")
            }
            error => error.to_string(),
        };
        let failure = Self::new(Code::of(error.kind()), what, hint(&error));
        match error.path() {
            Some(path) => failure.about(path),
            None => failure,
        }
    }
}

fn hint(error: &StoreError) -> Cow<'static, str> {
    let hint = match error {
        StoreError::NoSession { .. } | StoreError::NothingInDescriptor => BEGIN,
        StoreError::Gone { .. } => "it was ended, or moved away",
        StoreError::Exists(_) => "choose another name with -s, or end it with 'otr close'",
        StoreError::ExistsInDescriptor => "give it empty input for a new one",
        StoreError::Busy { .. } => "try again when it is done",
        StoreError::Unfit { unfit, .. } if unfit.is_shortage() => "try again later",
        StoreError::Unfit { unfit: Unfit::Open, .. } => "close it with 'chmod 700'",
        StoreError::Unfit { unfit: Unfit::Missing, .. } => "make it with 'mkdir -m 700'",
        StoreError::Unfit { unfit: Unfit::Disk, .. } | StoreError::NoPlace { .. } => ELSEWHERE,
        StoreError::Unfit { .. } => "name a directory of your own",
        StoreError::Damaged { .. } => "it is not used; 'otr close --silent' wipes it",
        StoreError::DamagedLine { .. } => "give it the lines that otr wrote, or nothing",
        StoreError::Changed { .. } => "nothing was stored; try again",
        StoreError::Full { place: Some(place), .. } => {
            let place = place.display();
            return format!("make room in {place} and try again: the session is as it was").into();
        }
        StoreError::Full { error: Some(_), .. } => "make room there; the last whole line counts",
        StoreError::Descriptor { .. } => "open it in the shell, as in 3<state 4>state.new",
        _ => "",
    };
    hint.into()
}

impl From<BadName> for Failure {
    fn from(name: BadName) -> Self {
        let text = name.to_string();
        let (what, hint) = text.split_once("; ").unwrap_or((&text, ""));
        Self::new(Code::Usage, what.to_owned(), hint.to_owned())
    }
}
