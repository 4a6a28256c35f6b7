//! Published keys on their way out. They are looked up a window at a time, so that a caller that
//! reads nothing costs only the addresses that it named and the few windows that can wait for it.

use super::body::Records;
use super::form::{Form, write_key};
#[cfg(feature = "redis")]
use super::lane::steps;
use super::outgoing::Charged;
use super::state::Server;
use crate::postbox::api::{Address, Key, MAX_UNDER_ADDRESS};
use crate::postbox::storage::Store;
use crate::postbox::storage::budget::{Budget, Charge, Full, Purpose};
#[cfg(feature = "redis")]
use crate::postbox::storage::{shared::Shared, standing::Away};
use bytes::Bytes;
use std::sync::Arc;

/// Bytes of keys that are looked up at a time.
const WINDOW: usize = 1024;
/// The memory of a window: the keys of its last address may reach beyond its end, and its own
/// structures count.
const WINDOW_COST: usize = WINDOW + 768;
/// Windows that wait at once: those that hyper takes ahead, and one here.
const WINDOWS: usize = 17;
/// The most bytes of a key, as a line.
const KEY: usize = 93;
/// The most bytes of one address's keys, as lines.
const KEYS: usize = (MAX_UNDER_ADDRESS + 1) * KEY;

/// All published keys of some addresses.
pub(crate) struct Keys {
    server: Arc<Server>,
    form: Form,
    addresses: Records<32>,
    /// How many addresses were looked up.
    done: usize,
    window: Bytes,
    /// Shared by all windows that are on their way.
    charge: Arc<Charge>,
}

impl Keys {
    /// The published keys of these addresses, each of which is named once.
    ///
    /// # Errors
    /// [`Full`] if there is no memory for the windows.
    pub(crate) async fn new(
        server: &Arc<Server>,
        form: Form,
        mut addresses: Records<32>,
        budget: &Arc<Budget>,
    ) -> Result<Self, Full> {
        addresses.retain(|address| has_key(server, address)).await;
        let windows = (addresses.list().len() * KEYS).div_ceil(WINDOW).min(WINDOWS);
        let charge = Charge::new(budget, Purpose::Answers, windows * WINDOW_COST)?;
        let mut keys = Self {
            server: Arc::clone(server),
            form,
            addresses,
            done: 0,
            window: Bytes::new(),
            charge: Arc::new(charge),
        };
        keys.window = keys.look_up();
        Ok(keys)
    }

    /// The length of the rest, which is known once nothing is left to look up.
    pub(crate) fn size(&self) -> Option<u64> {
        (self.done == self.addresses.list().len()).then_some(self.window.len() as u64)
    }

    fn look_up(&mut self) -> Bytes {
        let mut window = Vec::new();
        while window.len() < WINDOW {
            let Some(address) = self.addresses.list().get(self.done) else { break };
            if window.capacity() == 0 {
                window.reserve_exact(WINDOW + KEYS);
            }
            revealed(&self.server, address, |key| {
                write_key(&mut window, self.form, address, key);
            });
            self.done += 1;
        }
        window.into()
    }
}

fn has_key(server: &Server, address: &Address) -> bool {
    let mut any = false;
    revealed(server, address, |_| any = true);
    any
}

/// The keys that this process's memory has for an address.
fn revealed(server: &Server, address: &Address, each: impl FnMut(&Key)) {
    match &server.store {
        Store::Memory(memory) => memory.revealed(address, each),
        #[cfg(feature = "redis")]
        Store::Shared(_) => {}
    }
}

/// All keys that a store elsewhere has for these addresses, in one piece: it takes a question there,
/// for which an answer that has begun cannot wait.
#[cfg(feature = "redis")]
pub(crate) async fn all(
    shared: &Shared,
    form: Form,
    addresses: &[Address],
    budget: &Arc<Budget>,
) -> Result<(Bytes, Arc<Charge>), Away> {
    let mut charge = Charge::nothing(budget, Purpose::Answers);
    let mut out = Vec::new();
    for some in steps(addresses.len()) {
        let some = &addresses[some];
        for (address, keys) in some.iter().zip(shared.revealed(some).await?) {
            charge.grow(keys.len() * KEY).map_err(|Full| Away)?;
            for key in &keys {
                write_key(&mut out, form, address, key);
            }
        }
    }
    Ok((out.into(), Arc::new(charge)))
}

impl Iterator for Keys {
    type Item = Charged;

    fn next(&mut self) -> Option<Self::Item> {
        if self.window.is_empty() {
            return None;
        }
        let next = self.look_up();
        Some(Charged::new(std::mem::replace(&mut self.window, next), &self.charge))
    }
}
