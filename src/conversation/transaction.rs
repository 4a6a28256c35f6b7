//! A transaction on the stored state: locked, loaded, changed, stored, and only then unlocked.
//!
//! What was loaded carries the version it came from, and is stored only where that one still is: what
//! another process has stored since is never lost to an older copy.

use zeroize::Zeroizing;

use super::driver::Host;
use super::error::Error;
use crate::protocol::randomness::Randomness;
use crate::protocol::session::Session;
use crate::protocol::session::stored::{Expired, Stage, Stored, StoredError};
use crate::protocol::session::verify::Ending;

/// What was loaded, and which stored state that was.
pub struct Snapshot<H: Host> {
    /// How far the conversation was.
    pub stage: Stage,
    /// Which stored state that is.
    pub version: H::Version,
}

impl<H: Host> Snapshot<H> {
    /// Loads what is stored.
    pub async fn load(host: &mut H, lock: &H::Lock) -> Result<Self, Error> {
        let (bytes, version) = host.load(lock).await?;
        Ok(Self { stage: read(&bytes)?, version })
    }
}

/// The stored state while nobody else can read or replace it. Dropped, it lets go and stores nothing.
pub struct Transaction<'a, H: Host> {
    host: &'a mut H,
    lock: H::Lock,
    /// How far the conversation is.
    pub stage: Stage,
    version: H::Version,
}

/// Reads a state's bytes.
///
/// # Errors
/// [`Error::Damaged`], [`Error::StateVersion`]; [`Error::Frozen`] where the session was exported.
fn read(bytes: &Zeroizing<Vec<u8>>) -> Result<Stage, Error> {
    let stored = read_even_frozen(bytes)?;
    if stored.frozen { Err(Error::Frozen) } else { Ok(stored.stage) }
}

/// As [`read`], for moving sessions.
pub(super) fn read_even_frozen(bytes: &Zeroizing<Vec<u8>>) -> Result<Stored, Error> {
    Stored::from_bytes(bytes).map_err(|error| match error {
        StoredError::Damaged => Error::Damaged,
        StoredError::Version(version) => Error::StateVersion(version),
    })
}

/// Whether failed checks have ended the session, and nothing of it is still to be handed out.
pub(super) fn is_over(session: &Session) -> bool {
    session.ending() == Ending::Now && session.waiting().is_empty()
}

impl<'a, H: Host> Transaction<'a, H> {
    /// Locks and loads. A session that failed checks of a secret have ended is wiped
    /// ([`Error::Over`]). Keys whose time is up go, and that is stored; an invite whose time is up is
    /// wiped ([`Error::NobodyAnswered`]).
    pub async fn begin(host: &'a mut H) -> Result<Self, Error> {
        let lock = host.lock().await?;
        let snapshot = Snapshot::load(host, &lock).await?;
        Self::checked(host, lock, snapshot).await
    }

    /// As [`begin`](Self::begin), with what was loaded before, if nobody has stored since.
    pub async fn resume(host: &'a mut H, snapshot: Snapshot<H>) -> Result<Self, Error> {
        let lock = host.lock().await?;
        let is_current = host.is_current(&lock, &snapshot.version).await?;
        let snapshot = if is_current { snapshot } else { Snapshot::load(host, &lock).await? };
        Self::checked(host, lock, snapshot).await
    }

    async fn checked(host: &'a mut H, lock: H::Lock, snapshot: Snapshot<H>) -> Result<Self, Error> {
        let Snapshot { stage, version } = snapshot;
        let mut all = Self { host, lock, stage, version };
        match all.stage.expire(all.host.now()) {
            Expired::Nothing => {}
            Expired::Numbers => all.store().await?,
            Expired::Invite => {
                all.wipe().await?;
                return Err(Error::NobodyAnswered);
            }
        }
        match &all.stage {
            Stage::Session(session) if is_over(session) => {
                all.wipe().await?;
                Err(Error::Over)
            }
            _ => Ok(all),
        }
    }

    /// The session, whose handshake must be done, and which failed checks have not ended.
    pub fn session(&mut self) -> Result<&mut Session, Error> {
        match &mut self.stage {
            Stage::Session(session) if session.ending() != Ending::GoesOn => Err(Error::NearlyOver),
            Stage::Session(session) => Ok(session),
            Stage::Inviting(_) => Err(Error::NoReply),
        }
    }

    /// As [`session`](Self::session), with the randomness that it needs.
    pub fn session_and_randomness(&mut self) -> Result<(&mut Session, &mut dyn Randomness), Error> {
        match &mut self.stage {
            Stage::Session(session) if session.ending() != Ending::GoesOn => Err(Error::NearlyOver),
            Stage::Session(session) => Ok((session, self.host.randomness())),
            Stage::Inviting(_) => Err(Error::NoReply),
        }
    }

    /// As [`session_and_randomness`](Self::session_and_randomness), also where failed checks have ended
    /// it; none before the handshake is done.
    pub(super) fn any_session(&mut self) -> Option<(&mut Session, &mut dyn Randomness)> {
        match &mut self.stage {
            Stage::Session(session) => Some((session, self.host.randomness())),
            Stage::Inviting(_) => None,
        }
    }

    /// Unix seconds.
    pub(super) fn now(&self) -> u64 {
        self.host.now()
    }

    /// Stores what was changed; the lock stays.
    pub async fn store(&mut self) -> Result<(), Error> {
        let bytes = self.stage.to_bytes(false);
        Ok(self.host.replace(&self.lock, &mut self.version, &bytes).await?)
    }

    /// Stores what was changed, and lets the lock go; which stored state that is now.
    pub async fn commit(mut self) -> Result<H::Version, Error> {
        self.store().await?;
        Ok(self.version)
    }

    /// As [`commit`](Self::commit); the host that it was begun on.
    pub(super) async fn commit_for_host(mut self) -> Result<&'a mut H, Error> {
        self.store().await?;
        Ok(self.host)
    }

    /// Lets the lock go, and stores nothing; the host that it was begun on.
    pub(super) fn into_host(self) -> &'a mut H {
        self.host
    }

    /// Lets the lock go, and stores nothing.
    pub fn into_snapshot(self) -> Snapshot<H> {
        Snapshot { stage: self.stage, version: self.version }
    }

    /// Ends the session: its state is overwritten and removed.
    pub async fn wipe(self) -> Result<(), Error> {
        Ok(self.host.wipe(&self.lock).await?)
    }
}

/// What is stored, also where it is frozen, to be looked at.
pub async fn look<H: Host>(host: &mut H) -> Result<Stored, Error> {
    let lock = host.lock().await?;
    let (bytes, _) = host.load(&lock).await?;
    read_even_frozen(&bytes)
}
