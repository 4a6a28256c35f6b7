//! What the process does for its secrets before it reads the first one: no core dump, no
//! `ptrace`, no key on a swap device.
//!
//! Why not simply `mlockall`: with `MCL_FUTURE` every later mapping counts against
//! `RLIMIT_MEMLOCK`, and one that does not fit fails, which ends the process; with `MCL_CURRENT`
//! alone all that is mapped counts, libraries included, which is about the usual limit of 8 MiB,
//! and a stack that grows beyond it is killed. So it is used only where there is no limit. Where
//! there is one, the pages are locked where keys of a short command come to lie: the beginning of
//! the heap and the upper part of the main thread's stack. `mlock` itself takes a pointer; `region`
//! wraps it safely. Hibernation writes locked pages too.

use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::ptr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How much of the heap is locked, in bytes: what glibc maps at first (132 KiB) without the pages
/// already passed. A state, a packet and the tables of the ratchet lie in it.
const HEAP: usize = 124 << 10;

/// How much of the stack below `main` is locked, in bytes: what Linux maps at first is 132 KiB,
/// part of it taken by arguments and environment; the deepest use, a KEM step, stays below it.
const STACK: usize = 64 << 10;

/// The least `RLIMIT_MEMLOCK`, in bytes, with which the pages of keys can be locked.
pub(crate) const LOCK_NEEDED: u64 = (HEAP + STACK) as u64 + (16 << 10);

/// What is kept out of swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locked {
    /// Every page, now and later.
    All,
    /// The beginning of the heap and of the stack.
    Part,
    /// Nothing: the lock limit is too small, or the system has no locking.
    Nothing,
}

/// Shuts the process in. Called first in `main`; nothing in it is ever an error, for a command
/// must also work where the system refuses.
pub(crate) fn harden() -> Locked {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    // Also hides /proc/PID/mem, environ and descriptors from other processes of the same user.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    lock_pages()
}

/// The present `RLIMIT_MEMLOCK` in bytes if it is smaller than [`LOCK_NEEDED`].
pub(crate) fn lock_limit_too_small() -> Option<u64> {
    getrlimit(Resource::Memlock).current.filter(|&limit| limit < LOCK_NEEDED)
}

fn lock_pages() -> Locked {
    #[cfg(target_os = "linux")]
    if getrlimit(Resource::Memlock).current.is_none() {
        use rustix::mm::{MlockAllFlags, mlockall};
        // ONFAULT: nothing is read in for it, pages are locked as they are used.
        let how = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        if mlockall(how).is_ok() {
            return Locked::All;
        }
    }
    let heap = Box::new(0_u8);
    let stack = black_box(0_u8);
    let below = ptr::from_ref(&stack).wrapping_sub(STACK);
    let heap = lock(ptr::from_ref(&*heap), HEAP);
    let stack = lock(below, STACK);
    if heap && stack { Locked::Part } else { Locked::Nothing }
}

/// Locks pages until the process ends.
fn lock(address: *const u8, length: usize) -> bool {
    region::lock(address, length).map(ManuallyDrop::new).is_ok()
}

/// Ends the process as SIGPIPE would have ended it, for a command whose output was closed. Rust
/// starts with SIGPIPE ignored, and so it stays: `close` has to wipe even when nobody reads what
/// it says. So a closed pipe is an ordinary error, and this is what `main` does with it last.
/// Returns only if the system does not let it.
pub(crate) fn end_by_broken_pipe() {
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
}

#[cfg(test)]
mod tests {
    use super::*;

    // `harden` itself would shut in the other tests too: `tests/` looks at a process of its own.
    #[test]
    fn pages_of_the_heap_and_the_stack_can_be_locked_within_the_limit() {
        match getrlimit(Resource::Memlock).current {
            None => assert_eq!(lock_pages(), Locked::All),
            Some(_) => {
                assert_eq!(lock_limit_too_small().is_some(), lock_pages() == Locked::Nothing)
            }
        }
    }
}
