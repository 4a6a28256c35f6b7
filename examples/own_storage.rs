//! A program with storage of its own: here, a cell in its memory. A database would do as well, as long as it
//! overwrites what it replaces and never goes back to an older state.
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

/// The state, if there is one; and how often one was stored, which tells which it is, and never goes back.
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

/// One thread has it, so that no lock is needed: its proofs are empty.
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
        // What was there is wiped when it is dropped.
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
    println!("{} bytes came through", talk()?);
    Ok(())
}

/// How many bytes came through.
pub(crate) fn talk() -> Result<usize, Box<dyn Error>> {
    let (mut alice, invite) =
        block_on(Conversation::invite(InMemory::new(), Invitation::default()))?;
    let (mut bob, reply) = block_on(Conversation::respond(InMemory::new(), &invite, None))?;
    let mut receiving = block_on(alice.receive(None::<Packets>, |_| Ok(())))?;
    block_on(receiving.packet(reply))?;
    block_on(receiving.store())?;
    drop(receiving);
    // Longer than one packet holds: it flows.
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
