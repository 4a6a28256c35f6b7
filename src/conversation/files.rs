//! The host of sessions that are stored in files or behind descriptors ([`crate::store`]).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::cause::Cause;
use super::driver::{Host, Notice};
use crate::protocol::randomness::{Draw, NoRandomness, Randomness};
use crate::store::{Loaded, RoleLock, StateLock, Store, StoreError, Version};

/// A store, the system's clock and the system's randomness.
pub struct Files {
    /// Where the session is stored.
    pub store: Store,
    /// How long to wait while another process holds a lock.
    pub wait: Duration,
    randomness: System,
    notices: Notices,
}

/// Hears what may be told.
type Notices = Arc<dyn Fn(&Notice<'_>) + Send + Sync>;

impl Files {
    /// Another host of the same session, for another thread and with its own time limit; `None` for
    /// descriptors.
    pub fn another(&self, wait: Duration) -> Option<Self> {
        let notices = Arc::clone(&self.notices);
        self.store.another().map(|store| Self { store, wait, randomness: System, notices })
    }

    /// The host of the session in `store`, which waits at most `wait` for locks and passes notices
    /// to `notices`.
    pub fn new(
        store: Store,
        wait: Duration,
        notices: impl Fn(&Notice<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self { store, wait, randomness: System, notices: Arc::new(notices) }
    }
}

/// The system's randomness: getrandom(2), or its equivalent.
pub struct System;

impl Randomness for System {
    fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(out).map_err(|_| NoRandomness)
    }
}

/// The system's clock, in Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

impl From<StoreError> for Cause {
    fn from(error: StoreError) -> Self {
        Self::new(error.kind(), error)
    }
}

impl Host for Files {
    type Lock = StateLock;
    type Role = RoleLock;
    type Version = Version;

    fn now(&self) -> u64 {
        now()
    }

    fn randomness(&mut self) -> &mut dyn Randomness {
        &mut self.randomness
    }

    async fn lock(&mut self) -> Result<StateLock, Cause> {
        Ok(self.store.lock_state(self.wait)?)
    }

    async fn become_sender(&mut self, at_once: bool) -> Result<RoleLock, Cause> {
        let wait = if at_once { Duration::ZERO } else { self.wait };
        Ok(self.store.lock_sender(wait)?)
    }

    async fn become_receiver(&mut self, at_once: bool) -> Result<RoleLock, Cause> {
        let wait = if at_once { Duration::ZERO } else { self.wait };
        Ok(self.store.lock_receiver(wait)?)
    }

    async fn load(&mut self, lock: &StateLock) -> Result<(Zeroizing<Vec<u8>>, Version), Cause> {
        let Loaded { bytes, version } = self.store.load(lock)?;
        Ok((bytes, version))
    }

    async fn is_current(&mut self, lock: &StateLock, version: &Version) -> Result<bool, Cause> {
        Ok(self.store.is_current(lock, version)?)
    }

    async fn replace(
        &mut self,
        lock: &StateLock,
        version: &mut Version,
        bytes: &[u8],
    ) -> Result<(), Cause> {
        Ok(self.store.replace(lock, version, bytes)?)
    }

    async fn create(&mut self, lock: &StateLock, bytes: &[u8]) -> Result<(), Cause> {
        self.store.create(lock, bytes)?;
        Ok(())
    }

    async fn wipe(&mut self, lock: &StateLock) -> Result<(), Cause> {
        Ok(self.store.wipe(lock)?)
    }

    fn gave_guess(&mut self, at: u64) {
        if let Some(directory) = self.store.directory() {
            let counted = directory.count_guess(at);
            (self.notices)(&Notice::Guesses(counted.as_ref().copied()));
        }
    }

    fn was_no_guess(&mut self, created: u64) {
        if let Some(directory) = self.store.directory() {
            directory.was_no_guess(created);
        }
    }

    fn notice(&mut self, notice: Notice<'_>) {
        (self.notices)(&notice);
    }
}
