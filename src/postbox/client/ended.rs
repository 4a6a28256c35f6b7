//! Calls that the client's stop ends: each in a thread of its own, which the caller does not wait for then.

use std::time::Duration;

use super::error::{Error, Why};
use super::one::One;

impl One {
    /// A call that may wait: until the stop, if there is one; then it comes to `nothing`.
    pub(super) fn waiting<T: Send + 'static>(
        &self,
        wait: Duration,
        nothing: impl FnOnce() -> T,
        call: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if self.trying.stop.is_none() || (wait.is_zero() && !self.trying.gives_up) {
            return call(self);
        }
        self.ended_by_stop(call).unwrap_or_else(|| Ok(nothing()))
    }

    /// A call that does not wait, of a client whose stop ends such calls, too.
    pub(super) fn or_given_up<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.ended_by_stop(call).unwrap_or_else(|| Err(self.error(Why::Slow)))
    }

    /// A call in a thread of its own; `None` at the stop.
    fn ended_by_stop<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Option<Result<T, Error>> {
        let stop = self.trying.stop.as_ref().filter(|stop| !stop.is_asked())?;
        let client = self.clone();
        match stop.unless(move || call(&client)) {
            Ok(done) => done,
            Err(error) => Some(Err(self.error(Why::Connection(error.kind())))),
        }
    }
}
