//! The postbox confines itself: after this it can open no file, run no program and make no
//! connection, whatever hole a caller finds in it. So anyone can check that it writes no log. With
//! its packets in a store elsewhere it can make connections by TCP to the ports of that store, and
//! no others.
//!
//! It has two walls, each of which would suffice for files: Landlock (no file, no TCP of its own)
//! and seccomp (only the system calls and arguments that a server with open sockets needs). And it
//! keeps no capability with which to climb them, even if root started it.

#[cfg(target_os = "linux")]
mod privileges;
mod probe;
#[cfg(target_os = "linux")]
mod walls;

use std::fmt;

pub use probe::Outside;

/// Memory that is locked beside the cap: the program itself, and the heap's gaps.
const BESIDE_THE_CAP: u64 = 64 << 20;

/// What Landlock calls connections by TCP.
const TCP: &str = "TCP";

/// What the kernel granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// What Landlock refuses; empty if the kernel has none.
    landlock: Vec<&'static str>,
    /// Whether seccomp refuses every system call that serving does not need.
    seccomp: bool,
    /// Whether all capabilities are gone.
    powerless: bool,
    /// Ports to which it may connect.
    ports: Vec<u16>,
    /// Whether packets stay out of swap.
    pub memory: Memory,
}

/// Whether the system may write our memory to a swap device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It may not.
    Locked,
    /// It may: the limit, in bytes, is lower than what has to be locked.
    Above {
        /// Bytes that may be locked.
        limit: u64,
        /// Bytes that have to be locked.
        needed: u64,
    },
    /// It may, for an unknown reason.
    Refused,
}

impl Granted {
    /// Whether all walls stand. Locked memory is not one of them.
    pub fn whole(&self) -> bool {
        let stays_here = self.ports.is_empty() || self.landlock.contains(&TCP);
        !self.landlock.is_empty() && stays_here && self.seccomp && self.powerless
    }
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NONE: &str = "not to be had from this kernel";
        match &self.landlock[..] {
            [] => write!(f, "Landlock {NONE}")?,
            refused => write!(f, "Landlock ({})", refused.join(", "))?,
        }
        match &self.ports[..] {
            [] => {}
            _ if !self.landlock.contains(&TCP) => f.write_str(", TCP TO EVERYWHERE")?,
            ports => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                write!(f, ", TCP but to port {}", ports.join(", "))?;
            }
        }
        f.write_str(", seccomp")?;
        if !self.seccomp {
            write!(f, " {NONE}")?;
        }
        f.write_str(if self.powerless { ", no capabilities" } else { ", CAPABILITIES KEPT" })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("memory locked"),
            Self::Refused => f.write_str("memory not locked"),
            Self::Above { limit, needed } => write!(
                f,
                "memory not locked: ulimit -l is {}, and {} are needed",
                limit >> 10,
                needed >> 10
            ),
        }
    }
}

/// Confines the process. It must have one thread: only that thread, and those that it starts, are
/// confined. `cap` is how much memory is worth locking; `ports` are those to which it may connect.
#[cfg(target_os = "linux")]
pub fn confine(cap: usize, ports: &[u16]) -> Granted {
    // The order matters: each step needs what a later one takes away.
    Granted {
        memory: privileges::lock_memory(cap as u64 + BESIDE_THE_CAP),
        powerless: privileges::drop_capabilities(),
        landlock: walls::landlock(ports),
        seccomp: walls::seccomp(!ports.is_empty()),
        ports: ports.to_vec(),
    }
}

/// For a process that only reads files: if the kernel has Landlock, it can write no file, run none
/// and connect nowhere.
pub fn only_read() {
    #[cfg(target_os = "linux")]
    walls::only_read();
}

/// Other systems have no such walls.
#[cfg(not(target_os = "linux"))]
pub fn confine(_: usize, ports: &[u16]) -> Granted {
    Granted {
        landlock: Vec::new(),
        seccomp: false,
        powerless: false,
        ports: ports.to_vec(),
        memory: Memory::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let mut granted = Granted {
            landlock: vec!["files", "TCP"],
            seccomp: true,
            powerless: true,
            ports: Vec::new(),
            memory: Memory::Locked,
        };
        let whole = "Landlock (files, TCP), seccomp, no capabilities";
        assert!(granted.whole());
        assert_eq!(granted.to_string(), whole);
        let memory = Memory::Above { limit: 8 << 20, needed: 320 << 20 };
        let told = "memory not locked: ulimit -l is 8192, and 327680 are needed";
        assert_eq!(memory.to_string(), told);
        granted.memory = memory;
        assert!(granted.whole());
        granted.ports = vec![6379, 6380];
        let but = "Landlock (files, TCP), TCP but to port 6379, 6380, seccomp, no capabilities";
        assert!(granted.whole() && granted.to_string() == but, "{granted}");
        granted.landlock = vec!["files"];
        assert!(!granted.whole() && granted.to_string().contains("TCP TO EVERYWHERE"));
        granted.landlock = vec!["files", "TCP"];
        granted.powerless = false;
        assert!(!granted.whole() && granted.to_string().contains("CAPABILITIES KEPT"));
    }
}
