//! What must be done before a signal ends the process: numbers are given back, programs that run for
//! us end with us.
//!
//! One thread waits for signals. It does everything that is registered, the latest first, and then what
//! the signal would have done. Meanwhile nothing else may end the process: whoever is about to say how
//! the work went drops its [`Guard`], and waits there.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::failure::{Code, Failure};
use crate::process::not_ignored;
use crate::worker;

/// What ends a command from outside.
const WATCHED: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

type Action = Box<dyn FnOnce() + Send>;

static ACTIONS: Mutex<BTreeMap<u64, Action>> = Mutex::new(BTreeMap::new());

fn actions() -> MutexGuard<'static, BTreeMap<u64, Action>> {
    ACTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An action that is to be done; dropping this takes it back, unless a panic drops it: then it is done.
pub(crate) struct Guard(u64);

impl Drop for Guard {
    fn drop(&mut self) {
        let mut actions = actions();
        if let Some(action) = actions.remove(&self.0).filter(|_| thread::panicking()) {
            action();
        }
    }
}

/// Does this before SIGINT, SIGTERM or SIGHUP ends the process, unless the parent switched the signal
/// off. It must be over within a few seconds.
///
/// # Errors
/// Code 1 where signals cannot be watched.
pub(crate) fn first(action: impl FnOnce() + Send + 'static) -> Result<Guard, Failure> {
    watch()?;
    let mut actions = actions();
    let number = actions.last_key_value().map_or(0, |(last, _)| last + 1);
    actions.insert(number, Box::new(action));
    Ok(Guard(number))
}

/// Does everything that is registered; nothing else is, while the result lives.
pub(crate) fn now() -> impl Sized {
    let mut actions = actions();
    while let Some((_, action)) = actions.pop_last() {
        action();
    }
    actions
}

/// From now on a signal ends the process at once, with nothing done before: for what may take long.
pub(crate) fn at_once() {
    for signal in not_ignored(&WATCHED) {
        // Where that fails, the first signal still ends it, later.
        drop(register_conditional_default(signal, Arc::new(AtomicBool::new(true))));
    }
}

fn watch() -> Result<(), Failure> {
    static WATCHES: OnceLock<()> = OnceLock::new();
    if WATCHES.get().is_some() {
        return Ok(());
    }
    let mut signals = Signals::new(not_ignored(&WATCHED)).map_err(|error| {
        Failure::new(Code::Failed, format!("cannot watch for signals: {error}"), "")
    })?;
    worker::start(move || {
        for signal in signals.forever() {
            let _held = now();
            let _ = emulate_default_handler(signal);
        }
    })?;
    // The thread stays: without it the signals would have no effect any more.
    let _ = WATCHES.set(());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn what_a_panic_ends_is_done_and_what_is_over_is_not() {
        let (tell, told) = channel();
        let panics = tell.clone();
        let ended = thread::spawn(move || {
            let _guard = first(move || panics.send("done").unwrap()).unwrap();
            panic!("as a fault of ours would");
        });
        assert!(ended.join().is_err());
        assert_eq!(told.recv(), Ok("done"));
        drop(first(move || tell.send("not done").unwrap()).unwrap());
        assert!(told.recv().is_err(), "whoever could say it is gone");
    }
}
