//! The subcommands: one file each, a short story in the user's order of events.

mod authenticated;
mod blocks;
mod calling;
mod capture;
pub(crate) mod close;
mod code;
pub(crate) mod complete_sessions;
pub(crate) mod completions;
pub(crate) mod demo;
mod emit;
pub(crate) mod expect;
pub(crate) mod export;
pub(crate) mod forge;
mod guide;
mod held;
mod hidden;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod man;
mod numbers;
mod owed;
mod passphrase;
pub(crate) mod postbox;
mod poster;
pub(crate) mod recv;
pub(crate) mod respond;
mod secret;
pub(crate) mod send;
pub(crate) mod simulate;
mod source;
pub(crate) mod status;
pub(crate) mod verify;
mod window;
pub(crate) mod words;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::arguments::Origins;
use crate::cli::{Command, Common};
use crate::failure::{Code, Failure};
use crate::state::{Name, Numbers, Options, Store};
use crate::ui::speak::{Voice, warn_of_file};

/// What all commands know: which session, where it lies, how to speak.
pub(crate) struct Context {
    pub(crate) name: Name,
    /// Whether options were typed, or come from the environment.
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
            options: Options { named: common.dir, allow_disk: common.allow_disk },
            state_fd: common.state_fd,
            lock_wait: common.lock_wait,
            json: common.json,
            voice,
        }
    }

    /// The store of the session, which must exist.
    fn open(&self) -> Result<Store, Failure> {
        match self.state_fd {
            Some(numbers) => Store::from_descriptors(numbers),
            None => Store::open(&self.options, &self.name)
                .inspect(|store| self.tell_where(store))
                .map_err(|failure| self.by_variable(failure)),
        }
    }

    /// The store of a session that is to be made.
    fn prepare(&self) -> Result<Store, Failure> {
        match self.state_fd {
            Some(numbers) => Store::from_descriptors(numbers),
            None => Store::prepare(&self.options, &self.name)
                .inspect(|store| self.tell_where(store))
                .map_err(|failure| self.by_variable(failure)),
        }
    }

    /// As [`Self::prepare`]; where `anew`, the store of a session that is there will do.
    fn prepare_anew(&self, anew: bool) -> Result<Store, Failure> {
        match self.prepare() {
            Err(failure) if anew && failure.code == Code::Exists => self.open(),
            other => other,
        }
    }

    /// Names the variable that the trouble comes from, where it was not typed.
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

/// Unix seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

/// Runs one command; its exit code where that is not an error.
pub(crate) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Init(args) => init::run(context, &args).map(|()| 0),
        Command::Respond(args) => respond::run(context, &args).map(|()| 0),
        Command::Send(args) => send::run(context, &args).map(|()| 0).map_err(Failure::of_sending),
        Command::Recv(args) => recv::run(context, &args),
        Command::Postbox(args) => args.run(context.voice).map(|()| 0),
        Command::Close(args) => close::run(context, &args).map(|()| 0),
        Command::Expect(args) => expect::run(context, &args).map(|()| 0),
        Command::Words(args) => words::run(context, &args).map(|()| 0),
        Command::Verify(args) => {
            verify::run(context, &args).map(|()| 0).map_err(Failure::of_sending)
        }
        Command::Export(args) => export::run(context, &args).map(|()| 0),
        Command::Forge(args) => forge::run(context, &args).map(|()| 0),
        Command::Import(args) => import::run(context, &args).map(|()| 0),
        Command::Inspect(args) => inspect::run(context, &args).map(|()| 0),
        Command::Simulate(args) => simulate::run(context, &args).map(|()| 0),
        Command::Status(args) => status::run(context, &args).map(|()| 0),
        Command::Completions(args) => completions::run(context, &args).map(|()| 0),
        Command::Man(args) => man::run(context, &args).map(|()| 0),
        Command::Demo => demo::run(context).map(|()| 0),
        Command::CompleteSessions(args) => {
            complete_sessions::run(context, &args);
            Ok(0)
        }
    }
}
