//! What several tests need: named randomness from a seed, and a finished handshake.

#![allow(dead_code, reason = "each test uses some of it")]

mod seeded;

use std::ops::{Deref, DerefMut};

use otr::protocol::handshake::{Invitation, Inviting, respond};
use otr::protocol::ratchet::address_index::AddressIndex;
use otr::protocol::session::Session;
use otr::protocol::session::stored::{Stage, Stored};

pub(crate) use seeded::Seeded;

/// Both ends after a handshake without a secret: inviter, responder.
pub(crate) fn handshake(random: &mut Seeded) -> [Awake; 2] {
    let mut inviting = Inviting::new(Invitation::default(), 0, random).unwrap();
    let (responder, reply) = respond(inviting.invite(), None, 0, random).unwrap();
    let opened = inviting.open(&reply).unwrap();
    [inviting.accept(opened, 0).unwrap(), responder].map(Awake::new)
}

/// A session with its state at hand.
pub(crate) struct Awake(Stored);

impl Awake {
    pub(crate) fn new(session: Session) -> Self {
        Self(Stored { frozen: false, stage: Stage::Session(Box::new(session)) })
    }

    /// The bytes of its state file.
    pub(crate) fn state(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }

    /// Stores and loads it, as after a restart.
    pub(crate) fn from_state(bytes: &[u8]) -> Self {
        Self(Stored::from_bytes(bytes).unwrap())
    }
}

impl Deref for Awake {
    type Target = Session;

    fn deref(&self) -> &Session {
        match &self.0.stage {
            Stage::Session(session) => session,
            Stage::Inviting(_) => panic!("it went to sleep as a session"),
        }
    }
}

impl DerefMut for Awake {
    fn deref_mut(&mut self) -> &mut Session {
        match &mut self.0.stage {
            Stage::Session(session) => session,
            Stage::Inviting(_) => panic!("it went to sleep as a session"),
        }
    }
}

/// Searches less far ahead than the default, because each packet of a stranger costs the whole
/// search.
pub(crate) fn short_sighted() -> AddressIndex {
    AddressIndex::new(512)
}
