//! A session in hand: locked, loaded, and stored back before the lock is let go.

use std::time::Duration;

use otr::protocol::session::Session;
use otr::protocol::session::stored::{Expired, Stage, Stored, StoredError};
use otr::protocol::session::verify::Ending;
use otr::store::{Loaded, StateLock, Store, Version, hazards};
use zeroize::Zeroizing;

use super::ending;
use crate::context::now;
use crate::failure::{Code, Failure};
use crate::ui::logout::LOGOUT;
use crate::ui::speak::warn;

/// What was loaded, and which stored state that was. It can be stored only where that one still is:
/// what another process has stored since is never lost to it.
pub(crate) struct Known {
    pub(crate) stage: Stage,
    pub(crate) version: Version,
}

impl Known {
    /// Loads what is stored.
    pub(crate) fn load(store: &Store, lock: &StateLock) -> Result<Self, Failure> {
        let Loaded { bytes, version } = store.load(lock)?;
        Ok(Self { stage: parse(&bytes)?, version })
    }
}

/// The stored state while nobody else can read or replace it.
pub(crate) struct Held<'a> {
    pub(crate) store: &'a mut Store,
    lock: StateLock,
    pub(crate) stage: Stage,
    version: Version,
}

/// Reads a state's bytes.
///
/// # Errors
/// 11 where they are damaged or of another version, 14 where the session is frozen.
pub(crate) fn parse(bytes: &Zeroizing<Vec<u8>>) -> Result<Stage, Failure> {
    let stored = parse_even_frozen(bytes)?;
    if stored.frozen {
        let hint = "use it there, or thaw it here with 'otr export --undo'";
        return Err(Failure::new(
            Code::NotReady,
            "the session was exported and is frozen here",
            hint,
        ));
    }
    Ok(stored.stage)
}

/// As [`parse`], for the commands that move sessions.
pub(crate) fn parse_even_frozen(bytes: &Zeroizing<Vec<u8>>) -> Result<Stored, Failure> {
    Stored::from_bytes(bytes).map_err(|error| match error {
        StoredError::Damaged => Failure::new(
            Code::UnsafeState,
            "the state is damaged",
            "its keys are lost: wipe it with 'otr close' and begin a new session",
        ),
        StoredError::Version(version) => Failure::new(
            Code::UnsafeState,
            format!("the state is of version {version}, which this otr does not know"),
            "use the otr that made it",
        ),
    })
}

/// What is stored, also where it is frozen.
pub(crate) fn load_even_frozen(store: &Store, lock: &StateLock) -> Result<Stored, Failure> {
    parse_even_frozen(&store.load(lock)?.bytes)
}

impl<'a> Held<'a> {
    /// Locks and loads. A session that failed checks of a secret have ended is wiped: code 5. Keys
    /// whose time is up go, and that is stored; an invite whose time is up is wiped: code 12.
    pub(crate) fn take(store: &'a mut Store, wait: Duration) -> Result<Self, Failure> {
        let lock = store.lock_state(wait)?;
        let Known { stage, version } = Known::load(store, &lock)?;
        Self { store, lock, stage, version }.without_old_keys()?.unless_over()
    }

    /// As [`take`](Self::take), with what this command loaded before, if nobody stored since.
    pub(crate) fn retake(
        store: &'a mut Store,
        known: Known,
        wait: Duration,
    ) -> Result<Self, Failure> {
        let lock = store.lock_state(wait)?;
        let is_current = store.is_current(&lock, &known.version)?;
        let known = if is_current { known } else { Known::load(store, &lock)? };
        Self { store, lock, stage: known.stage, version: known.version }
            .without_old_keys()?
            .unless_over()
    }

    fn without_old_keys(mut self) -> Result<Self, Failure> {
        match self.stage.expire(now()) {
            Expired::Nothing => Ok(self),
            Expired::Numbers => {
                self.keep_on()?;
                Ok(self)
            }
            Expired::Invite => {
                self.wipe()?;
                Err(nobody_answered())
            }
        }
    }

    fn unless_over(self) -> Result<Self, Failure> {
        match &self.stage {
            Stage::Session(session) if ending::is_over(session) => {
                self.wipe()?;
                Err(ending::over())
            }
            _ => Ok(self),
        }
    }

    /// The session, whose handshake must be done, and which failed checks have not ended.
    pub(crate) fn session(&mut self) -> Result<&mut Session, Failure> {
        match &mut self.stage {
            Stage::Session(session) if session.ending() != Ending::GoesOn => {
                Err(ending::nearly_over())
            }
            Stage::Session(session) => Ok(session),
            Stage::Inviting(_) => Err(no_reply_yet()),
        }
    }

    /// Stores what was changed, and lets the lock go; which stored state that is now.
    pub(crate) fn keep(mut self) -> Result<Version, Failure> {
        self.keep_on()?;
        Ok(self.version)
    }

    /// What was loaded; the lock is let go.
    pub(crate) fn into_known(self) -> Known {
        Known { stage: self.stage, version: self.version }
    }

    /// Stores what was changed, and lets the lock go; the store it was taken from.
    pub(crate) fn keep_open(mut self) -> Result<&'a mut Store, Failure> {
        self.keep_on()?;
        Ok(self.store)
    }

    /// Lets the lock go, and stores nothing; the store it was taken from.
    pub(crate) fn let_go(self) -> &'a mut Store {
        self.store
    }

    /// Stores what was changed; the lock stays.
    pub(crate) fn keep_on(&mut self) -> Result<(), Failure> {
        Ok(self.store.replace(&self.lock, &mut self.version, &self.stage.to_bytes(false))?)
    }

    /// Stores `stage` in place of what was loaded; the lock stays.
    pub(crate) fn keep_and_hold(&mut self, stage: Stage) -> Result<(), Failure> {
        self.stage = stage;
        self.keep_on()
    }

    /// Ends the session: its state is overwritten and removed.
    pub(crate) fn wipe(self) -> Result<(), Failure> {
        Ok(self.store.wipe(&self.lock)?)
    }
}

/// Says how many packets that were taken to be handed out go with the state that is about to be
/// wiped. One that is frozen here has gone elsewhere with them.
pub(crate) fn tell_dropped(state: &Zeroizing<Vec<u8>>) {
    let stored = parse_even_frozen(state);
    if let Ok(Stored { stage: Stage::Session(session), frozen: false }) = &stored {
        warn_dropped(session.waiting().len());
    }
}

/// Says how many packets that were taken to be handed out are dropped.
pub(crate) fn warn_dropped(count: usize) {
    match count {
        0 => {}
        1 => warn("a packet that waited to be handed out is dropped with the session"),
        count => warn(format_args!(
            "{count} packets that waited to be handed out are dropped with the session"
        )),
    }
}

/// The invite's end is long past, and its keys are wiped.
pub(crate) fn nobody_answered() -> Failure {
    let what = "nobody answered the invite before its end; its keys are wiped";
    Failure::new(Code::Expired, what, "begin again with 'otr init'")
}

/// The handshake waits for the other side.
pub(crate) fn no_reply_yet() -> Failure {
    Failure::new(
        Code::NotReady,
        "no reply to the invite yet",
        "take it with 'otr recv', or show the invite again with 'otr init --again'",
    )
}

/// The other side has ended the conversation.
pub(crate) fn peer_has_closed() -> Failure {
    let hint = "end it here too with 'otr close'";
    Failure::new(Code::Closed, "the other side has closed the session", hint)
}

/// Stores a new session; where `anew`, in place of the one that is there, which is wiped. Nobody
/// who looks meanwhile finds none.
pub(crate) fn create(
    store: &mut Store,
    wait: Duration,
    stage: &Stage,
    anew: bool,
) -> Result<(), Failure> {
    let lock = store.lock_state(wait)?;
    let bytes = stage.to_bytes(false);
    match anew.then(|| store.load(&lock)) {
        Some(Ok(Loaded { bytes: before, mut version })) => {
            tell_dropped(&before);
            store.replace(&lock, &mut version, &bytes)?;
        }
        before => {
            if before.is_some() {
                // There is none, or none that can be read.
                store.wipe(&lock)?;
            }
            store.create(&lock, &bytes)?;
        }
    }
    warn_of_logout(store);
    Ok(())
}

/// Says so where the session will not outlive the login.
fn warn_of_logout(store: &Store) {
    if store.directory().is_some_and(hazards::logout_erases) {
        warn(LOGOUT);
    }
}
