//! How the process protects its secrets: no core dump, no `ptrace`, no key on a swap device.
//!
//! Locking pages is a separate step, for commands that wait: it costs about 0.1 ms, which is
//! nothing before a wait but a lot for a command that ends after 2 ms, and pages in use are not
//! swapped out in so short a time. Why not simply `mlockall`? With `MCL_FUTURE` every later mapping
//! counts against `RLIMIT_MEMLOCK`, and one that exceeds it fails, which ends the process. With
//! `MCL_CURRENT` all mappings count, including libraries, which may exceed the usual limit of 8
//! MiB, and the system kills a process whose stack then grows beyond it. So `mlockall` is used only
//! without a limit. With a limit, only the pages that hold keys are locked: the heap and the used
//! part of the stack. `mlock` takes a pointer; `region` wraps it safely. Hibernation writes even
//! locked pages.

use std::hint::black_box;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::path::PathBuf;
use std::ptr;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// How many bytes of the stack below the current frame to lock. The deepest use is a KEM step,
/// which in an optimised build needs less.
const STACK: usize = 64 << 10;

/// The smallest `RLIMIT_MEMLOCK`, in bytes, that keeps the keys of a usual session locked: glibc's
/// first heap of 132 KiB, the stack, and as much again.
pub(crate) const LOCK_NEEDED: u64 = 512 << 10;

/// Isolates the process, and restores the owner's permissions in its umask: with 0277 a process
/// could not use a directory, lock or socket that it has made itself. `main` calls this first.
/// Nothing in it is an error, because a command must also work if the system refuses.
pub(crate) fn harden() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    let mask = umask(Mode::RWXG | Mode::RWXO);
    umask(mask - Mode::RWXU);
    // This also hides /proc/PID/mem, environ and descriptors from other processes of the same user.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// This very program, to run it once more, even if its file was replaced since it was started.
pub(crate) fn itself() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// The current `RLIMIT_MEMLOCK` in bytes, if it is smaller than [`LOCK_NEEDED`].
pub(crate) fn lock_limit_too_small() -> Option<u64> {
    getrlimit(Resource::Memlock).current.filter(|&limit| limit < LOCK_NEEDED)
}

/// Keeps the pages that hold keys out of swap until the process ends: what this thread's heap and
/// stack use now and, if there is no lock limit, all future pages. A command calls this before it
/// waits, after loading the session. Returns whether it worked; failure is not an error, and
/// `status` reports a limit that is too small.
pub(crate) fn lock_pages() -> bool {
    #[cfg(target_os = "linux")]
    if getrlimit(Resource::Memlock).current.is_none() {
        use rustix::mm::{MlockAllFlags, mlockall};
        // ONFAULT: pages are locked when they are used, and none is read in for locking.
        let how = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        if mlockall(how).is_ok() {
            return true;
        }
    }
    let on_heap = Box::new(0_u8);
    let heap = mapping(&on_heap).is_some_and(lock);
    let on_stack = black_box(0_u8);
    heap && mapping(&on_stack).map(|all| upper_stack(&all, &on_stack)).is_some_and(lock)
}

/// The mapping that contains this byte.
fn mapping(byte: &u8) -> Option<Range<*const u8>> {
    region::query(ptr::from_ref(byte)).ok().map(|region| region.as_ptr_range())
}

/// The part of the stack that is in use or soon will be. It never includes the lowest page: if that
/// is locked, the stack's growth counts against the limit, and the process is killed beyond it.
fn upper_stack(all: &Range<*const u8>, here: &u8) -> Range<*const u8> {
    let lowest = all.start.wrapping_add(rustix::param::page_size());
    ptr::from_ref(here).wrapping_sub(STACK).max(lowest)..all.end
}

/// Locks pages until the process ends.
fn lock(range: Range<*const u8>) -> bool {
    let length = range.end.addr().saturating_sub(range.start.addr());
    region::lock(range.start, length).map(ManuallyDrop::new).is_ok()
}

/// Ends the process as SIGPIPE would have ended it, for a command whose output was closed. Rust
/// ignores SIGPIPE from the start, and it stays ignored, because `close` must wipe even if nobody
/// reads its output. So a closed pipe is an ordinary error, and `main` finally calls this for it.
/// Returns only if the system does not allow it.
pub(crate) fn end_by_broken_pipe() {
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
}

/// Ends the process as Ctrl-C does, when a line editor has read that as a key. Returns only if the
/// system does not allow it.
pub(crate) fn end_by_interrupt() {
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGINT);
}

/// Ends this process with the thread that started it, however that ends; at once, if its process has.
pub(crate) fn end_with_parent(parent: u32) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
        // It may have ended before that was asked for.
        let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
        if now != Some(parent) {
            let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTERM);
        }
    }
}

/// Those of these signals that were not ignored from the start. A parent process ignores the
/// signals that we should survive, as `nohup` does, and a shell for its background jobs; a handler
/// would override that. Do not ask about SIGPIPE, which Rust ignores before `main`.
pub(crate) fn not_ignored(signals: &[i32]) -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    signals.iter().copied().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
}

/// The set of ignored signals: one bit each, the lowest for signal 1. Empty if the system does not
/// say.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn ignored_signals_are_found_in_what_the_system_says() {
        let status = "Name:\totr\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\n";
        assert_eq!(ignored(status), 0b1_0000_0000_0011);
        assert_eq!(ignored("Name:\totr\n"), 0);
        // Rust ignores SIGPIPE before `main`; nobody can ignore SIGKILL.
        assert_eq!(not_ignored(&[13, 9]), [9]);
    }

    #[test]
    fn pages_are_locked_within_the_limit() {
        let keys = vec![0_u8; 64 << 10];
        let limit = getrlimit(Resource::Memlock).current;
        assert_eq!(lock(keys.as_ptr_range()), limit.is_none_or(|limit| limit >= 1 << 20));
    }

    /// Runs in a separate process, because hardening applies to a whole process and cannot be
    /// undone.
    #[test]
    fn a_hardened_process_dumps_no_core_and_cannot_be_traced() {
        const INNER: &str = "OTR_TEST_HARDENED";
        const TEST: &str = "process::tests::a_hardened_process_dumps_no_core_and_cannot_be_traced";
        if std::env::var_os(INNER).is_none() {
            let mut inner = Command::new(std::env::current_exe().unwrap());
            let output = inner.args(["--exact", TEST]).env(INNER, "1").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        harden();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        #[cfg(target_os = "linux")]
        assert_eq!(
            rustix::process::dumpable_behavior().unwrap(),
            rustix::process::DumpableBehavior::NotDumpable
        );
        // The shell's descriptors can still be duplicated, and pages locked.
        let (reader, _writer) = std::io::pipe().unwrap();
        let number = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&reader)).unwrap();
        otr::store::inherited::duplicate(number, otr::store::inherited::Use::Read).unwrap();
        assert!(lock_pages() || lock_limit_too_small().is_some());
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        let locked: usize = locked.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(locked >= (STACK >> 10) || lock_limit_too_small().is_some(), "{locked}");
    }
}
