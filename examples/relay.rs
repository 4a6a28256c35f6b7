//! Two ends over a postbox that the program runs itself: for a test, or for two people in one room.
//!
//!     cargo run --example relay

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use otr::conversation::{Conversation, Event, Files, Invitation, Until, block_on};
use otr::postbox::client::{Client, Route, Url};
use otr::postbox::server::{Choices, Embedded};
use otr::store::{Options, Store};

/// Alice invites Bob, who says something; what she hears.
pub(crate) fn talk(options: &Options) -> Result<String, Box<dyn Error>> {
    let files = |name: &str| -> Result<Files, Box<dyn Error>> {
        let store = Store::prepare(options, &name.parse()?)?;
        Ok(Files::new(store, Duration::from_secs(10), |_| {}))
    };
    let relay = Embedded::start("127.0.0.1:0", Choices::default())?;
    let mut client = Client::new(Url::parse(relay.url())?, &Route::default())?;

    let with = Invitation { postbox: Some(relay.url()), ..Invitation::default() };
    let (mut alice, invite) = block_on(Conversation::invite(files("alice")?, with))?;
    let (mut bob, reply) = block_on(Conversation::respond(files("bob")?, &invite, None))?;
    client.post(&[reply])?;
    block_on(bob.send(&mut client, b"I never said that"))?;

    let mut heard = String::new();
    block_on(alice.collect(&client, Until::Messages(1), None, |event| {
        if let Event::Part { text, .. } = event {
            heard.push_str(&String::from_utf8_lossy(text));
        }
        Ok(())
    }))?;
    let last = block_on(alice.close())?;
    let told = client.post(&last.packets);
    client.discard(&last.spent)?;
    told?;
    Ok(heard)
}

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir_in("/dev/shm")?;
    let named = Some(place.path().join("sessions"));
    println!("Alice heard: {}", talk(&Options { named, ..Options::default() })?);
    Ok(())
}
