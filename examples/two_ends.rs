//! Two ends in one process, whose states are stored in a directory in memory.
//!
//!     cargo run --example two_ends

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use otr::conversation::{Conversation, Event, Files, Invitation, Packets, block_on};
use otr::store::{Options, Store};

fn main() -> Result<(), Box<dyn Error>> {
    println!("Bob heard: {}", talk()?);
    Ok(())
}

/// What Bob heard.
pub(crate) fn talk() -> Result<String, Box<dyn Error>> {
    let ours_alone = Permissions::from_mode(0o700);
    let place = tempfile::Builder::new().permissions(ours_alone).tempdir_in("/dev/shm")?;
    let options =
        Options { named: Some(place.path().to_owned()), usual: vec![], allow_disk: false };
    let files = |name: &str| -> Result<Files, Box<dyn Error>> {
        let store = Store::prepare(&options, &name.parse()?)?;
        Ok(Files::new(store, Duration::from_secs(10), |_| {}))
    };

    // The invite goes to Bob over any channel, and his reply comes back.
    let (mut alice, invite) =
        block_on(Conversation::invite(files("alice")?, Invitation::default()))?;
    let (mut bob, reply) = block_on(Conversation::respond(files("bob")?, &invite, None))?;
    let mut receiving = block_on(alice.receive(None::<Packets>, |_| Ok(())))?;
    block_on(receiving.packet(reply))?;
    block_on(receiving.store())?;
    drop(receiving);

    // When `send` returns, the keys of these packets are gone from Alice's state.
    let mut out = Packets::default();
    block_on(alice.send(&mut out, b"I never said that"))?;

    // Bob's state forgets the keys once his closure has the text.
    let mut heard = Vec::new();
    let mut receiving = block_on(bob.receive(None::<Packets>, |event| {
        if let Event::Part { text, .. } = event {
            heard.extend_from_slice(text);
        }
        Ok(())
    }))?;
    for packet in out.packets {
        block_on(receiving.packet(packet))?;
    }
    block_on(receiving.store())?;
    drop(receiving);
    // Both ends have the same four words, unless somebody sits in between: compare them by voice.
    assert_eq!(block_on(alice.words())?, block_on(bob.words())?);

    // Bob's state is wiped, and then Alice is told.
    let last = block_on(bob.close())?;
    let mut closed = false;
    let mut receiving = block_on(alice.receive(None::<Packets>, |event| {
        closed |= matches!(event, Event::Closed);
        Ok(())
    }))?;
    for packet in last.packets {
        block_on(receiving.packet(packet))?;
    }
    block_on(receiving.store())?;
    drop(receiving);
    assert!(closed);
    block_on(alice.close())?;
    Ok(String::from_utf8(heard)?)
}
