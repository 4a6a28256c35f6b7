//! Off-the-record conversations between two people: forward secrecy for every packet, deniability,
//! and no long-term keys.
//!
//! [`conversation`] is the front door: an invite, an answer, messages, words to compare, an end;
//! and the order in which everything is stored, handed out and delivered. Postboxes aside, it does no I/O itself:
//! the program provides a [`Host`](conversation::Host), which stores the session, an
//! [`Outlet`](conversation::Outlet), which carries packets, and a closure that receives events.
//! Most programs want the host in `store`: a directory in memory, with locks. `postbox` has the
//! outlet for two people who are not online together: a client, and the relay that it calls. Below
//! are [`protocol`], which computes, and [`armor`], which turns bytes into lines of text and back.
//! Everything except `store` and `postbox` builds for WebAssembly (`--no-default-features`).
//!
//! `docs/protocol.md` specifies the protocol, in enough detail for a second implementation, and
//! `docs/architecture.md` shows where everything is.
//!
//! # A conversation
//!
//! Alice invites Bob; Bob answers and says something. The program carries the bytes between them in
//! its own way; `examples/` has one with a socket, one with its own storage, and one with a postbox.
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
//! // When `send` returns, the key of this packet is gone from Bob's state.
//! let mut out = Packets::default();
//! block_on(bob.send(&mut out, b"I never said that"))?;
//!
//! // Alice's state forgets the key once her closure has the text.
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
//! // learns his from Alice's first packet.
//! assert!(block_on(alice.words())?.is_some() && block_on(bob.words())?.is_none());
//!
//! // The state is wiped first. Afterwards come the packet that tells the other side, and the
//! // published keys of what Alice has read, with which anyone can rewrite it from now on.
//! let last = block_on(alice.close())?;
//! assert_eq!((last.packets.len(), last.keys.len()), (1, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # Over a postbox
//!
//! The invite names it, and both ends call it. This one runs in the program itself; `otr postbox`
//! is the same behind walls, as a process of its own.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use otr::conversation::{Conversation, Event, Files, Invitation, Until, block_on};
//! use otr::postbox::client::{Client, Route, Url};
//! use otr::postbox::server::{Choices, Embedded};
//! use otr::store::{Options, Store};
//!
//! # let place = tempfile::tempdir_in("/dev/shm")?;
//! # let options = Options { named: Some(place.path().join("sessions")), ..Options::default() };
//! # let sleeps = |name: &str| -> Result<Files, Box<dyn std::error::Error>> {
//! #     let store = Store::prepare(&options, &name.parse()?)?;
//! #     Ok(Files::new(store, std::time::Duration::from_secs(10), |_| {}))
//! # };
//! let relay = Embedded::start("127.0.0.1:0", Choices::default())?;
//! let mut client = Client::new(Url::parse(relay.url())?, &Route::default())?;
//!
//! let with = Invitation { postbox: Some(relay.url()), ..Invitation::default() };
//! let (mut alice, invite) = block_on(Conversation::invite(sleeps("alice")?, with))?;
//! let (mut bob, reply) = block_on(Conversation::respond(sleeps("bob")?, &invite, None))?;
//! client.post(&[reply])?;
//! block_on(bob.send(&mut client, b"I never said that"))?;
//!
//! let mut heard = Vec::new();
//! let came = block_on(alice.collect(&client, Until::Messages(1), None, |event| {
//!     if let Event::Part { text, .. } = event {
//!         heard.extend_from_slice(text);
//!     }
//!     Ok(())
//! }))?;
//! assert_eq!((heard.as_slice(), came.whole), (b"I never said that".as_slice(), 1));
//!
//! // Both, whatever becomes of the first: what was read shows itself as read.
//! let last = block_on(alice.close())?;
//! let told = client.post(&last.packets);
//! client.discard(&last.spent)?;
//! told?;
//! # Ok(())
//! # }
//! ```
//!
//! # What not to do with it
//!
//! - Do not keep a copy of a state, or go back to one. If two copies send, one of their packets is
//!   refused; if two copies receive, they may accept a forgery that anyone made with a published
//!   key.
//! - If you use [`protocol`] alone, do not send a packet before storing the state that spent its
//!   number, and do not store the state that forgets a key before the text is delivered.
//!   [`conversation`] takes care of both.
//! - Do not store a state on a disk, which keeps what was overwritten. A state holds every secret
//!   of the session.
//! - Do not assume that it has been audited. Nobody outside the project has examined it yet.
//!
//! # Features
//!
//! - `cli` (default): the command, with everything below; your own program does not need it
//!   (`default-features = false, features = ["client", "store"]`).
//! - `store`: `store`, and [`conversation`]'s host of it, on Unix.
//! - `client`: calls a postbox, also through Tor, and receives from it; on Unix. What `ureq` logs at
//!   trace level holds parts of requests: a program that logs switches that off (`otr` compiles no log).
//! - `server`: serves a postbox, embedded in a program or as a whole process; on Unix.
//! - `fast-aead`: ChaCha20-Poly1305 by ring, faster on processors without AVX-512.

#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as otr;

pub mod armor;
pub mod conversation;
mod kind;
#[cfg(any(feature = "client", feature = "server"))]
pub mod postbox;
pub mod protocol;
#[cfg(feature = "store")]
pub mod store;
