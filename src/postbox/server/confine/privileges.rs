//! What a process has from the user that started it: capabilities, which it gives up, and memory
//! that it may lock.

use super::Memory;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// Gives up all capabilities, and in a process of root the way back to them. True if none is left.
pub(super) fn drop_capabilities() -> bool {
    // Ends at the first number that this kernel does not know.
    for one in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        match capability_is_in_bounding_set(one) {
            // Only a process that may set capabilities can do this; for others the set gives
            // nothing.
            Ok(true) => drop(remove_capability_from_bounding_set(one)),
            Ok(false) => {}
            Err(_) => break,
        }
    }
    let _ = clear_ambient_capability_set();
    let empty = || {
        capabilities(None)
            .is_ok_and(|left| (left.effective | left.permitted | left.inheritable).is_empty())
    };
    let none = CapabilitySet::empty();
    empty()
        || set_capabilities(
            None,
            CapabilitySets { effective: none, permitted: none, inheritable: none },
        )
        .is_ok_and(|()| empty())
}

/// Keeps all memory out of swap, as it comes into use, where `needed` bytes may be locked: with a
/// lower limit, an allocation beyond it would end the process.
pub(super) fn lock_memory(needed: u64) -> Memory {
    // Root may set any limit; others raise theirs to the hard limit.
    let endless = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, endless).is_err() {
        let most = getrlimit(Resource::Memlock).maximum;
        let _ = setrlimit(Resource::Memlock, Rlimit { current: most, maximum: most });
    }
    if let Some(limit) = getrlimit(Resource::Memlock).current.filter(|&limit| limit < needed) {
        return Memory::Above { limit, needed };
    }
    let how = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if mlockall(how).is_ok() { Memory::Locked } else { Memory::Refused }
}
