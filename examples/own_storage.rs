//! A program with its own storage: here, a cell in memory. A database works as well, provided that
//! it overwrites what it replaces and never goes back to an older state.
//!
//!     cargo run --example own_storage

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use otr::conversation::{
    Cause, Conversation, ErrorKind, Event, Host, Invitation, Packets, block_on,
};
use otr::protocol::randomness::{Draw, NoRandomness, Randomness};
use zeroize::Zeroizing;

/// The state, if there is one, and its version: how many states were stored so far, which only
/// grows.
#[derive(Default)]
struct Memory {
    state: Option<Zeroizing<Vec<u8>>>,
    version: u64,
}

struct InMemory {
    memory: Rc<RefCell<Memory>>,
    randomness: System,
}

struct System;

impl Randomness for System {
    fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(out).map_err(|_| NoRandomness)
    }
}

impl InMemory {
    fn new() -> Self {
        Self { memory: Rc::default(), randomness: System }
    }
}

fn none() -> Cause {
    Cause::new(ErrorKind::NoSession, "there is no session")
}

/// Only one thread has it, so it needs no locks: the proofs are empty.
impl Host for InMemory {
    type Lock = ();
    type Role = ();
    type Version = u64;

    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
    }

    fn randomness(&mut self) -> &mut dyn Randomness {
        &mut self.randomness
    }

    async fn lock(&mut self) -> Result<(), Cause> {
        Ok(())
    }

    async fn become_sender(&mut self, _at_once: bool) -> Result<(), Cause> {
        Ok(())
    }

    async fn become_receiver(&mut self, _at_once: bool) -> Result<(), Cause> {
        Ok(())
    }

    async fn load(&mut self, (): &()) -> Result<(Zeroizing<Vec<u8>>, u64), Cause> {
        let memory = self.memory.borrow();
        Ok((memory.state.clone().ok_or_else(none)?, memory.version))
    }

    async fn is_current(&mut self, (): &(), version: &u64) -> Result<bool, Cause> {
        let memory = self.memory.borrow();
        Ok(memory.state.is_some() && memory.version == *version)
    }

    async fn replace(&mut self, (): &(), version: &mut u64, bytes: &[u8]) -> Result<(), Cause> {
        if !self.is_current(&(), version).await? {
            return Err(Cause::new(ErrorKind::Failed, "another state is there"));
        }
        *version += 1;
        let mut memory = self.memory.borrow_mut();
        memory.version = *version;
        // The old state is wiped when it is dropped.
        memory.state = Some(Zeroizing::new(bytes.to_vec()));
        Ok(())
    }

    async fn create(&mut self, (): &(), bytes: &[u8]) -> Result<(), Cause> {
        let mut memory = self.memory.borrow_mut();
        if memory.state.is_some() {
            return Err(Cause::new(ErrorKind::Exists, "a session already exists"));
        }
        memory.version += 1;
        memory.state = Some(Zeroizing::new(bytes.to_vec()));
        Ok(())
    }

    async fn wipe(&mut self, (): &()) -> Result<(), Cause> {
        self.memory.borrow_mut().state = None;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{} bytes arrived", talk()?);
    Ok(())
}

/// How many bytes arrived.
pub(crate) fn talk() -> Result<usize, Box<dyn Error>> {
    let (mut alice, invite) =
        block_on(Conversation::invite(InMemory::new(), Invitation::default()))?;
    let (mut bob, reply) = block_on(Conversation::respond(InMemory::new(), &invite, None))?;
    let mut receiving = block_on(alice.receive(None::<Packets>, |_| Ok(())))?;
    block_on(receiving.packet(reply))?;
    block_on(receiving.store())?;
    drop(receiving);
    // Longer than one packet holds, so it goes out in several.
    let text = vec![b'x'; 3 << 20];
    let mut out = Packets::default();
    block_on(bob.send(&mut out, &text))?;
    let mut length = 0;
    let mut receiving = block_on(alice.receive(None::<Packets>, |event| {
        if let Event::Part { text, .. } = event {
            length += text.len();
        }
        Ok(())
    }))?;
    for packet in out.packets {
        block_on(receiving.packet(packet))?;
        block_on(receiving.store())?;
    }
    drop(receiving);
    Ok(length)
}
