//! Calls that wait at several postboxes at once, for whoever may name several tokens in a call. What waits at
//! one goes on while something comes from another, and ends when other tokens are to be waited for.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::net::{Shutdown, shutdown};

use super::one::One;
use super::patience::{Patience, Trying};
use super::stop::Stop;
use super::{Error, Found, Why};
use crate::postbox::api::Token;

/// How often to look whether the client's calls were ended.
const LOOK: Duration = Duration::from_millis(200);

/// What a call has come to: which, and what was found.
type Told = (usize, u64, Result<Vec<Found>, Error>);

/// The calls that wait.
pub(super) struct Ears {
    all: Vec<One>,
    /// Held while somebody waits: a session has one receiver, so nobody else does.
    state: Mutex<State>,
}

struct State {
    /// The call at each postbox, if there is one.
    calls: Vec<Option<Call>>,
    begun: u64,
    tell: Sender<Told>,
    told: Receiver<Told>,
}

struct Call {
    number: u64,
    tokens: BTreeSet<Token>,
    stop: Stop,
}

impl Ears {
    /// These have connections of their own, so that ending them ends nothing else.
    pub(super) fn new(all: Vec<One>) -> Self {
        let (tell, told) = channel();
        let calls = all.iter().map(|_| None).collect();
        Self { all, state: Mutex::new(State { calls, begun: 0, tell, told }) }
    }

    /// Waits until something is found under these tokens, by the postbox where to ask for them, or `until` is
    /// over. `stopped` says whether to end before.
    ///
    /// # Errors
    /// That of the first that fails, and which it is.
    pub(super) fn wait(
        &self,
        groups: &[Vec<Token>],
        until: Instant,
        stopped: impl Fn() -> bool,
    ) -> Result<(usize, Vec<Found>), (usize, Error)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || stopped() {
                return Ok((0, Vec::new()));
            }
            for (at, tokens) in groups.iter().enumerate() {
                self.begin(&mut state, at, tokens, left)?;
            }
            let (at, number, found) = match state.told.recv_timeout(left.min(LOOK)) {
                Ok(told) => told,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => continue,
            };
            let is_current = |call: &mut Call| call.number == number;
            let call = state.calls.get_mut(at).and_then(|call| call.take_if(is_current));
            if call.is_none() {
                continue;
            }
            let wanted = groups.get(at).map(Vec::as_slice).unwrap_or_default();
            let mut found = found.map_err(|error| (at, error))?;
            found.retain(|one| wanted.contains(&one.token));
            if !found.is_empty() {
                return Ok((at, found));
            }
        }
    }

    /// Waits at one postbox for these tokens, unless that is being done.
    fn begin(
        &self,
        state: &mut State,
        at: usize,
        tokens: &[Token],
        wait: Duration,
    ) -> Result<(), (usize, Error)> {
        let (Some(one), Some(call)) = (self.all.get(at), state.calls.get_mut(at)) else {
            return Ok(());
        };
        if tokens.is_empty() && call.is_none() {
            return Ok(());
        }
        if !tokens.is_empty()
            && call
                .as_ref()
                .is_some_and(|call| tokens.iter().all(|token| call.tokens.contains(token)))
        {
            return Ok(());
        }
        if let Some(before) = call.take() {
            end(one, &before);
        }
        if tokens.is_empty() {
            return Ok(());
        }
        state.begun += 1;
        let (number, stop, tell) = (state.begun, Stop::default(), state.tell.clone());
        let trying =
            Trying { patience: Patience::Short, stop: Some(stop.clone()), ..Trying::default() };
        let (one, asked) = (one.trying(trying), tokens.to_vec());
        let work = move || drop(tell.send((at, number, one.collect_here(&asked, wait))));
        Builder::new().spawn(work).map_err(|error| {
            (at, Error::new(self.all[at].host(), Why::Connection(error.kind())))
        })?;
        *call = Some(Call { number, tokens: tokens.iter().copied().collect(), stop });
        Ok(())
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (one, call) in self.all.iter().zip(&state.calls) {
            if let Some(call) = call {
                end(one, call);
            }
        }
    }
}

/// Ends a call that waits at this postbox, where nothing else waits.
fn end(one: &One, call: &Call) {
    call.stop.stop();
    for connection in one.connections().unwrap_or_default() {
        // It may have ended by itself.
        let _ = shutdown(&connection, Shutdown::Both);
    }
}
