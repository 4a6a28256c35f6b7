//! Off-the-record conversations between two people: forward secrecy for every packet, deniability,
//! no long-term key.
//!
//! [`protocol`] holds the conversation, [`armor`] its lines of text. These two do no I/O, read no clock
//! and draw randomness only from what they are handed, so they build for WebAssembly, too
//! (`--no-default-features`). `store` is where a session sleeps: a directory in memory, its locks and
//! files. The `otr` command around all this reads and sends. `docs/protocol.md` tells what is computed, complete enough for a second
//! implementation, and `docs/architecture.md` where what stands.
//!
//! # A conversation
//!
//! Alice invites, Bob answers, and says something.
//!
//! ```
//! use otr::protocol::handshake::{Inviting, respond};
//! use otr::protocol::packet;
//! use otr::protocol::randomness::{Draw, NoRandomness, Randomness};
//! use otr::protocol::ratchet::lookahead::{LOOK_AHEAD, Lookahead};
//! use otr::protocol::session::{Outcome, Part, body};
//!
//! struct System;
//!
//! impl Randomness for System {
//!     fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
//!         getrandom::fill(out).map_err(|_| NoRandomness)
//!     }
//! }
//!
//! let now = 1_800_000_000;
//! // The invite goes to Bob over any channel, and his reply comes back.
//! let mut inviting = Inviting::new("", 0, None, now, &mut System).unwrap();
//! let (mut bob, reply) = respond(inviting.invite(), None, now, &mut System).unwrap();
//! let opened = inviting.open(&reply).unwrap();
//! let mut alice = inviting.accept(opened, now).unwrap();
//!
//! // Bob takes a number out of his state. What is left of it is stored first: then, and not
//! // before, the packet may go out, so that no key ever serves twice.
//! let text = b"I never said that";
//! let mut number = bob.reserve(1, &mut System).unwrap();
//! let message = bob.begin_message();
//! let mut packet = vec![0; packet::size(packet::K_MIN)];
//! let start = number.text_start();
//! packet[start..start + text.len()].copy_from_slice(text);
//! let part = Part { message, offset: 0, end: true, length: text.len() };
//! number.seal_part(&mut packet, part, &mut System).unwrap();
//!
//! // Alice opens it, which changes nothing yet: the text is written out before her state
//! // forgets the key.
//! let mut expected = Lookahead::new(LOOK_AHEAD);
//! let Ok(Outcome::Accepted(accepted)) = alice.open(&mut expected, &mut packet, None) else {
//!     panic!("not a packet of this conversation")
//! };
//! let data = accepted.frames.data.as_ref().unwrap();
//! assert_eq!(&body(&packet)[data.text.clone()], text);
//! alice.accept(&mut expected, &accepted, now).unwrap();
//!
//! // Both see the same four words unless somebody sits in between: compare them by voice. Bob
//! // knows his with the first packet of Alice.
//! assert!(alice.words().is_ok() && bob.words().is_err());
//!
//! // What Alice has read she can publish the key of: from now on anybody can rewrite that packet.
//! assert_eq!(alice.take_published().len(), 1);
//! ```
//!
//! # What not to do with it
//!
//! - Keep a copy of a state, or go back to one. Two copies that send make packets of which one is
//!   refused; two that receive may accept what anybody made with a published key.
//! - Let a packet out before the state is stored that spent its number, or store the state that
//!   forgets a key before the text is out.
//! - Store a state on a disk, which keeps what was overwritten. It holds every secret of the session.
//! - Take it for audited. Nobody outside the project has looked at it yet.
//!
//! # Features
//!
//! - `cli` (default): the command and its postbox; a program of your own does without.
//! - `store` (with `cli`): [`store`], on Unix.
//! - `fast-aead`: ChaCha20-Poly1305 by ring, faster on processors without AVX-512.

#![forbid(unsafe_code)]

pub mod armor;
pub mod conversation;
pub mod protocol;
#[cfg(feature = "store")]
pub mod store;
