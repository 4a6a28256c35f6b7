//! A transaction on the stored state: lock, load, change, store, and only then unlock.
//!
//! A loaded state carries the version that it came from, and its successor is stored only if that
//! version is still the stored one: an older copy never replaces what another process has stored
//! since.

use zeroize::Zeroizing;

use super::driver::Host;
use super::error::Error;
use crate::protocol::randomness::Randomness;
use crate::protocol::session::Session;
use crate::protocol::session::stored::{Expired, Stage, Stored, StoredError};
use crate::protocol::session::verify::Ending;

/// A loaded state and its version.
pub struct Snapshot<H: Host> {
    /// How far the conversation had come.
    pub stage: Stage,
    /// The version of the stored state.
    pub version: H::Version,
}

impl<H: Host> Snapshot<H> {
    /// Loads the stored state.
    pub async fn load(host: &mut H, lock: &H::Lock) -> Result<Self, Error> {
        let (bytes, version) = host.load(lock).await?;
        Ok(Self { stage: read(&bytes)?, version })
    }
}

/// The stored state while nobody else can read or replace it. Dropping it releases the lock and
/// stores nothing.
pub struct Transaction<'a, H: Host> {
    host: &'a mut H,
    lock: H::Lock,
    /// How far the conversation has come.
    pub stage: Stage,
    version: H::Version,
}

/// Reads a state's bytes.
///
/// # Errors
/// [`Error::Damaged`], [`Error::StateVersion`]; [`Error::Frozen`] if the session was exported.
fn read(bytes: &Zeroizing<Vec<u8>>) -> Result<Stage, Error> {
    let stored = read_even_frozen(bytes)?;
    if stored.frozen { Err(Error::Frozen) } else { Ok(stored.stage) }
}

/// Like [`read`], for moving sessions.
pub(super) fn read_even_frozen(bytes: &Zeroizing<Vec<u8>>) -> Result<Stored, Error> {
    Stored::from_bytes(bytes).map_err(|error| match error {
        StoredError::Damaged => Error::Damaged,
        StoredError::Version(version) => Error::StateVersion(version),
    })
}

/// Whether failed checks have ended the session, and no packet of it still waits to be handed out.
pub(super) fn is_over(session: &Session) -> bool {
    session.ending() == Ending::Now && session.waiting().is_empty()
}

impl<'a, H: Host> Transaction<'a, H> {
    /// Locks and loads. Wipes a session that failed checks of a secret have ended
    /// ([`Error::Over`]), and an invite that has expired ([`Error::NobodyAnswered`]). Drops expired
    /// keys and stores that.
    pub async fn begin(host: &'a mut H) -> Result<Self, Error> {
        let lock = host.lock().await?;
        let snapshot = Snapshot::load(host, &lock).await?;
        Self::checked(host, lock, snapshot).await
    }

    /// Like [`begin`](Self::begin), but starts from `snapshot` if nobody has stored since.
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

    /// The session; an error if the handshake is not done or failed checks have ended the session.
    pub fn session(&mut self) -> Result<&mut Session, Error> {
        match &mut self.stage {
            Stage::Session(session) if session.ending() != Ending::GoesOn => Err(Error::NearlyOver),
            Stage::Session(session) => Ok(session),
            Stage::Inviting(_) => Err(Error::NoReply),
        }
    }

    /// Like [`session`](Self::session), together with the randomness that it needs.
    pub fn session_and_randomness(&mut self) -> Result<(&mut Session, &mut dyn Randomness), Error> {
        match &mut self.stage {
            Stage::Session(session) if session.ending() != Ending::GoesOn => Err(Error::NearlyOver),
            Stage::Session(session) => Ok((session, self.host.randomness())),
            Stage::Inviting(_) => Err(Error::NoReply),
        }
    }

    /// Like [`session_and_randomness`](Self::session_and_randomness), even if failed checks have
    /// ended the session; `None` before the handshake is done.
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

    /// Stores the changes; keeps the lock.
    pub async fn store(&mut self) -> Result<(), Error> {
        let bytes = self.stage.to_bytes(false);
        Ok(self.host.replace(&self.lock, &mut self.version, &bytes).await?)
    }

    /// Stores the changes and releases the lock; returns the new version.
    pub async fn commit(mut self) -> Result<H::Version, Error> {
        self.store().await?;
        Ok(self.version)
    }

    /// Like [`commit`](Self::commit), but returns the host.
    pub(super) async fn commit_for_host(mut self) -> Result<&'a mut H, Error> {
        self.store().await?;
        Ok(self.host)
    }

    /// Releases the lock without storing anything; returns the host.
    pub(super) fn into_host(self) -> &'a mut H {
        self.host
    }

    /// Releases the lock without storing anything.
    pub fn into_snapshot(self) -> Snapshot<H> {
        Snapshot { stage: self.stage, version: self.version }
    }

    /// Ends the session: overwrites and removes its state.
    pub async fn wipe(self) -> Result<(), Error> {
        Ok(self.host.wipe(&self.lock).await?)
    }
}

/// The stored state, even if it is frozen, for inspection.
pub async fn look<H: Host>(host: &mut H) -> Result<Stored, Error> {
    let lock = host.lock().await?;
    let (bytes, _) = host.load(&lock).await?;
    read_even_frozen(&bytes)
}
