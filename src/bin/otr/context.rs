//! What all commands know, and how they open the session's store.

use std::env;
use std::ffi::OsString;
use std::path::{self, PathBuf};
use std::time::Duration;

use otr::conversation::Files;
pub(crate) use otr::conversation::now;
use otr::store::{Name, Numbers, Options, Store, StoreError, usual_places};

use crate::failure::{Code, Failure};
use crate::options::Common;
use crate::origins::Origins;
use crate::ui::notices;
use crate::ui::speak::{Voice, warn_of_file};

/// What all commands know: which session, where it is stored, how to talk to the user.
pub(crate) struct Context {
    pub(crate) name: Name,
    /// Whether options were typed or come from the environment.
    pub(crate) origins: Origins,
    pub(crate) options: Options,
    pub(crate) state_fd: Option<Numbers>,
    pub(crate) lock_wait: Duration,
    pub(crate) json: bool,
    pub(crate) voice: Voice,
}

impl Context {
    pub(crate) fn new(common: Common, origins: Origins, voice: Voice) -> Self {
        Self {
            name: common.session,
            origins,
            options: places(common.dir, common.allow_disk),
            state_fd: common.state_fd,
            lock_wait: common.lock_wait,
            json: common.json,
            voice,
        }
    }

    /// The same for another session.
    pub(crate) fn of(&self, name: Name) -> Self {
        Self { name, origins: self.origins.clone(), options: self.options.clone(), ..*self }
    }

    /// Opens the session, which must exist.
    pub(crate) fn open(&self) -> Result<Files, Failure> {
        self.files(Store::open)
    }

    /// The environment in which another `otr` finds this session by itself.
    pub(crate) fn for_commands(&self) -> Vec<(&'static str, OsString)> {
        let mut told = vec![("OTR_SESSION", self.name.to_string().into())];
        if let Some(named) = &self.options.named {
            // The command may change its working directory.
            let directory = path::absolute(named).unwrap_or_else(|_| named.clone());
            told.push(("OTR_DIR", directory.into()));
        }
        told
    }

    /// Prepares the place for a new session.
    pub(crate) fn prepare(&self) -> Result<Files, Failure> {
        self.files(Store::prepare)
    }

    fn files(
        &self,
        by_name: fn(&Options, &Name) -> Result<Store, StoreError>,
    ) -> Result<Files, Failure> {
        let store = match self.state_fd {
            Some(numbers) => Store::from_descriptors(numbers)?,
            None => by_name(&self.options, &self.name)
                .inspect(|store| self.tell_where(store))
                .map_err(|error| self.by_variable(error.into()))?,
        };
        Ok(Files::new(store, self.lock_wait, notices::of_engine(self.voice)))
    }

    /// Like [`Self::prepare`]; if `anew`, an existing session is acceptable.
    pub(crate) fn prepare_anew(&self, anew: bool) -> Result<Files, Failure> {
        match self.prepare() {
            Err(failure) if anew && failure.code == Code::Exists => self.open(),
            other => other,
        }
    }

    /// Names the variable that caused the error, if the option was not typed.
    pub(crate) fn by_variable(&self, failure: Failure) -> Failure {
        let (option, variable) = match failure.code {
            Code::UnsafeState => ("dir", "OTR_DIR"),
            Code::NoSession | Code::Exists => ("session", "OTR_SESSION"),
            _ => return failure,
        };
        if !self.origins.is_from_environment(option) {
            return failure;
        }
        let hint = format!("{variable} names it: {}", failure.hint);
        Failure { hint: hint.into(), ..failure }
    }

    fn tell_where(&self, store: &Store) {
        if let Some(path) = store.on_disk() {
            let shown = path.display();
            let words =
                format_args!("the state lies on a disk, {shown}; wiped bytes may stay there");
            warn_of_file(path, words);
        } else if let Some(directory) = store.directory() {
            let path = directory.path().display();
            self.voice.detail(format_args!("session '{}' lies in {path}", self.name));
        }
    }
}

/// Where sessions may be stored: in this directory, or in those that the environment names.
pub(crate) fn places(named: Option<PathBuf>, allow_disk: bool) -> Options {
    let usual = match named {
        Some(_) => Vec::new(),
        None => usual_places(env::var_os("RUNTIME_DIRECTORY"), env::var_os("XDG_RUNTIME_DIR")),
    };
    Options { named, usual, allow_disk }
}
