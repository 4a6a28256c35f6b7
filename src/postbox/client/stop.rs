//! Ends a client's calls from another thread: a long poll lasts up to 25 seconds, an outage as long as
//! patience, and a postbox that takes a call and does not answer it has half a minute.

use std::io;
use std::sync::mpsc::{TryRecvError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// Ends what waits, once and for all. Clones end the same.
#[derive(Clone, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// From now on no call waits, and none is made again.
    pub fn stop(&self) {
        *self.asked() = true;
        self.0.1.notify_all();
    }

    /// Whether that was asked for.
    pub fn is_asked(&self) -> bool {
        *self.asked()
    }

    fn asked(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pauses for this long, or until the stop.
    pub(super) fn pause(&self, time: Duration) {
        let asked = self.asked();
        drop(self.0.1.wait_timeout_while(asked, time, |asked| !*asked));
    }

    /// What `work` comes to, or `None` at the stop: then it goes on alone to its end, in its thread.
    pub(super) fn unless<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Option<T>> {
        let (tell, told) = channel();
        let ours = self.clone();
        Builder::new().spawn(move || {
            drop(tell.send(work()));
            // Taken, so that the other thread either sees the result or waits for this notice.
            drop(ours.asked());
            ours.0.1.notify_all();
        })?;
        let mut asked = self.asked();
        loop {
            match told.try_recv() {
                Ok(done) => return Ok(Some(done)),
                Err(TryRecvError::Disconnected) => return Ok(None),
                Err(TryRecvError::Empty) if *asked => return Ok(None),
                Err(TryRecvError::Empty) => {
                    asked = self.0.1.wait(asked).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn work_is_waited_for_until_the_stop() {
        let stop = Stop::default();
        assert_eq!(stop.unless(|| 7).unwrap(), Some(7));
        let (forever, end) = channel::<()>();
        let other = stop.clone();
        let stopping = thread::spawn(move || other.stop());
        assert_eq!(stop.unless(move || end.recv()).unwrap(), None);
        stopping.join().unwrap();
        // From now on at once.
        stop.pause(Duration::from_hours(1));
        drop(forever);
    }
}
