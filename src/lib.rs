//! Off-the-record conversations between two people: forward secrecy for every packet, deniability,
//! no long-term key.
//!
//! [`conversation`] is the front door: an invite, an answer, messages, words to compare, an end; and the
//! order in which all of it is stored, handed out and delivered. It does no I/O: the program lends it a
//! [`Host`](conversation::Host) where the session sleeps, an [`Outlet`](conversation::Outlet) where
//! packets go, and a closure that hears what comes. `store` is the host that most programs want: a
//! directory in memory, with its locks. Below stand [`protocol`], which computes, and [`armor`], its lines
//! of text. All but `store` build for WebAssembly (`--no-default-features`).
//!
//! `docs/protocol.md` tells what is computed, complete enough for a second implementation, and
//! `docs/architecture.md` where what stands.
//!
//! # A conversation
//!
//! Alice invites, Bob answers, and says something. What carries the bytes between them is the program's
//! own; `examples/` has a socket, and storage of one's own.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use otr::conversation::{Conversation, Event, Files, Invitation, Packets, block_on};
//! use otr::store::{Options, Store};
//!
//! # use std::os::unix::fs::PermissionsExt;
//! # let ours_alone = std::fs::Permissions::from_mode(0o700);
//! # let place = tempfile::Builder::new().permissions(ours_alone).tempdir_in("/dev/shm")?;
//! let options = Options { named: Some(place.path().into()), usual: vec![], allow_disk: false };
//! let sleeps = |name: &str| -> Result<Files, Box<dyn std::error::Error>> {
//!     let store = Store::prepare(&options, &name.parse()?)?;
//!     Ok(Files::new(store, std::time::Duration::from_secs(10), |_| {}))
//! };
//!
//! // The invite goes to Bob over any channel, and his reply comes back.
//! let (mut alice, invite) =
//!     block_on(Conversation::invite(sleeps("alice")?, Invitation::default()))?;
//! let (mut bob, reply) = block_on(Conversation::respond(sleeps("bob")?, &invite, None))?;
//!
//! // When `send` returns, the key of this packet is no longer in Bob's state.
//! let mut out = Packets::default();
//! block_on(bob.send(&mut out, b"I never said that"))?;
//!
//! // Alice's state forgets the key when her closure has the text.
//! let mut heard = Vec::new();
//! let mut receiving = block_on(alice.receive(None::<Packets>, |event| {
//!     if let Event::Part { text, .. } = event {
//!         heard.extend_from_slice(text);
//!     }
//!     Ok(())
//! }))?;
//! block_on(receiving.packet(reply))?;
//! for packet in out.packets {
//!     block_on(receiving.packet(packet))?;
//! }
//! block_on(receiving.store())?;
//! drop(receiving);
//! assert_eq!(heard, b"I never said that");
//!
//! // Both see the same four words unless somebody sits in between: compare them by voice. Bob
//! // knows his with the first packet of Alice.
//! assert!(block_on(alice.words())?.is_some() && block_on(bob.words())?.is_none());
//!
//! // The state is wiped first; what tells the other side, and publishes the keys of what Alice has read,
//! // so that from now on anybody can rewrite it, comes after.
//! let last = block_on(alice.close())?;
//! assert_eq!((last.packets.len(), last.keys.len()), (1, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # What not to do with it
//!
//! - Keep a copy of a state, or go back to one. Two copies that send make packets of which one is
//!   refused; two that receive may accept what anybody made with a published key.
//! - With [`protocol`] alone: let a packet out before the state is stored that spent its number, or store
//!   the state that forgets a key before the text is out. [`conversation`] sees to that.
//! - Store a state on a disk, which keeps what was overwritten. It holds every secret of the session.
//! - Take it for audited. Nobody outside the project has looked at it yet.
//!
//! # Features
//!
//! - `cli` (default): the command and its postbox; a program of your own does without
//!   (`default-features = false, features = ["store"]`).
//! - `store` (with `cli`): `store`, and [`conversation`]'s host of it, on Unix.
//! - `fast-aead`: ChaCha20-Poly1305 by ring, faster on processors without AVX-512.

#![forbid(unsafe_code)]

pub mod armor;
pub mod conversation;
#[cfg(any(feature = "client", feature = "server"))]
pub mod postbox;
pub mod protocol;
#[cfg(feature = "store")]
pub mod store;
