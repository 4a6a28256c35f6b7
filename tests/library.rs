//! The library over a postbox of its own, as a program would use it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use otr::conversation::{
    Cause, Conversation, Error, ErrorKind, Event, Files, Invitation, Notice, Packets, Until,
    Window, block_on,
};
use otr::postbox::client::{Client, Route, Stop, Url, Why};
use otr::postbox::server::{Choices, Embedded};
use otr::protocol::authentication::password::Password;
use otr::store::{Options, Store};
use tempfile::TempDir;

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
const SOON: Option<Duration> = Some(Duration::from_secs(30));

/// A directory for sessions, a postbox, and a client of it.
struct Place {
    relay: Embedded,
    client: Client,
    options: Options,
    _directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self::with(Choices::default())
    }

    fn with(choices: Choices) -> Self {
        let relay = Embedded::start("127.0.0.1:0", choices).unwrap();
        let url = Url::parse(relay.url()).unwrap();
        let client = Client::new(url, &Route::default()).unwrap();
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let named = Some(directory.path().join("sessions"));
        let options = Options { named, ..Options::default() };
        Self { relay, client, options, _directory: directory }
    }

    /// Where `name` sleeps, and how many guesses it tells of.
    fn files(&self, name: &str) -> (Files, Receiver<usize>) {
        let (tell, told) = channel();
        let store = Store::prepare(&self.options, &name.parse().unwrap()).unwrap();
        let files = Files::new(store, Duration::from_secs(10), move |notice| {
            if let Notice::Guesses(Ok(count)) = notice {
                tell.send(*count).unwrap();
            }
        });
        (files, told)
    }

    /// Where `name`, which is there, sleeps.
    fn files_of(&self, name: &str) -> Files {
        let store = Store::open(&self.options, &name.parse().unwrap()).unwrap();
        Files::new(store, Duration::from_secs(10), |_| {})
    }

    fn invite(&self, secret: Option<&Password>) -> (Conversation<Files>, Vec<u8>) {
        let with = Invitation { postbox: Some(self.relay.url()), secret, ..Invitation::default() };
        block_on(Conversation::invite(self.files("alice").0, with)).unwrap()
    }

    /// What comes, a line for each event.
    fn collect(
        &self,
        conversation: &mut Conversation<Files>,
        until: Until,
        wait: Option<Duration>,
    ) -> Result<Vec<String>, Error> {
        let mut events = Vec::new();
        block_on(conversation.collect(&self.client, until, wait, |event| {
            events.push(match event {
                Event::Opened => "opened".to_owned(),
                Event::Part { message, text, end, .. } => {
                    format!("{message} {} {end}", String::from_utf8_lossy(text))
                }
                Event::Closed => "closed".to_owned(),
                other => format!("{other:?}"),
            });
            Ok(())
        }))?;
        Ok(events)
    }
}

#[test]
fn a_conversation_over_an_embedded_postbox() {
    let mut place = Place::new();
    let (mut alice, invite) = place.invite(None);
    // Nobody has answered.
    for (until, wait) in [(Until::Messages(1), AT_ONCE), (Until::Empty, None)] {
        let early = place.collect(&mut alice, until, wait);
        assert!(matches!(early, Err(Error::NoReply)), "{early:?}");
    }
    let (bob, _) = place.files("bob");
    let (mut bob, reply) = block_on(Conversation::respond(bob, &invite, None)).unwrap();
    assert_eq!(block_on(bob.status()).unwrap().postbox.as_deref(), Some(place.relay.url()));
    place.client.post(&[reply]).unwrap();
    for text in ["one", "two"] {
        block_on(bob.send(&mut place.client, text.as_bytes())).unwrap();
    }
    let heard = place.collect(&mut alice, Until::Messages(1), SOON).unwrap();
    assert_eq!(heard, ["opened", "0 one true"]);
    assert_eq!(place.collect(&mut alice, Until::Empty, None).unwrap(), ["1 two true"]);
    assert_eq!(place.collect(&mut alice, Until::Messages(1), AT_ONCE).unwrap(), [""; 0]);

    block_on(alice.send(&mut place.client, b"three")).unwrap();
    let last = block_on(alice.close()).unwrap();
    place.client.post(&last.packets).unwrap();
    place.client.discard(&last.spent).unwrap();
    let heard = place.collect(&mut bob, Until::Closed, SOON).unwrap();
    assert_eq!(heard, ["0 three true", "closed"]);
    let sent = block_on(bob.send(&mut place.client, b"four")).unwrap_err();
    assert_eq!(sent.kind(), ErrorKind::Closed);
}

#[test]
fn a_postbox_says_what_is_lost_with_it_and_is_gone() {
    let Place { relay, client, .. } = Place::new();
    client.post(&[vec![7; 4096], vec![8; 4096]]).unwrap();
    assert_eq!(relay.stop(), 2);
    let error = client.post(&[vec![9; 4096]]).unwrap_err();
    assert!(matches!(error.why(), Why::Connection(_)), "{error}");
}

/// Who made the invite may drop the answer and make another: each is a guess at the secret.
#[test]
fn an_answer_with_a_secret_is_counted() {
    let place = Place::new();
    let secret = Password::from_text("the same word").unwrap();
    let (alice, invite) = place.invite(Some(&secret));
    for (name, count) in [("bob", 1), ("carol", 2)] {
        let (files, told) = place.files(name);
        block_on(Conversation::respond(files, &invite, Some(&secret))).unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [count]);
    }
    drop(alice);
    let (files, told) = place.files("dave");
    assert!(block_on(Conversation::respond(files, &invite, None)).is_err(), "it asks for one");
    assert_eq!(told.try_iter().count(), 0);
    // Where no answer was stored, none was given.
    let taken = place.files_of("bob");
    let error = block_on(Conversation::respond(taken, &invite, Some(&secret))).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Exists);
    let (files, told) = place.files("dave");
    block_on(Conversation::respond(files, &invite, Some(&secret))).unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [3]);
}

/// What is meant for one person goes to no other, who has the name by now.
#[test]
fn an_invite_that_took_the_name_is_not_this_conversation() {
    let mut place = Place::new();
    let (mut alice, invite) = place.invite(None);
    let (mut bob, reply) =
        block_on(Conversation::respond(place.files("bob").0, &invite, None)).unwrap();
    place.client.post(&[reply]).unwrap();
    block_on(bob.send(&mut place.client, b"one")).unwrap();
    place.collect(&mut alice, Until::Messages(1), SOON).unwrap();
    block_on(Conversation::open(place.files_of("alice")).close()).unwrap();
    let (_, invite) = place.invite(None);
    let (_, reply) =
        block_on(Conversation::respond(place.files("carol").0, &invite, None)).unwrap();
    place.client.post(&[reply]).unwrap();
    let other = place.collect(&mut alice, Until::Messages(1), AT_ONCE);
    assert!(matches!(other, Err(Error::Another(_))), "{other:?}");
    assert!(matches!(block_on(alice.status()), Err(Error::Another(_))));
    // And its reply lies there still.
    let mut anew = Conversation::open(place.files_of("alice"));
    assert_eq!(place.collect(&mut anew, Until::Messages(1), AT_ONCE).unwrap(), ["opened"]);
}

#[test]
fn a_postbox_that_cannot_be_served_is_refused() {
    for choices in [
        Choices { memory: 0, ..Choices::default() },
        Choices { ttl: Duration::ZERO, ..Choices::default() },
        Choices { max_packet: 1 << 21, ..Choices::default() },
        Choices { work: 99, ..Choices::default() },
    ] {
        let error = Embedded::start("127.0.0.1:0", choices).err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

/// More than fits into the postbox at a time.
#[test]
fn a_long_message_waits_for_room() {
    const LENGTH: usize = 40 << 20;
    let place = Place::with(Choices { memory: 24 << 20, ..Choices::default() });
    let (mut alice, invite) = place.invite(None);
    let (mut bob, reply) =
        block_on(Conversation::respond(place.files("bob").0, &invite, None)).unwrap();
    place.client.post(&[reply]).unwrap();
    let mut window = Window::new(place.client.clone());
    let text: Vec<u8> = (0..=250_u8).cycle().take(LENGTH).collect();
    let (sent, heard) = thread::scope(|threads| {
        let sending = threads.spawn(|| block_on(bob.send(&mut window, &text)));
        let mut heard = Vec::with_capacity(LENGTH);
        let came = alice.collect(&place.client, Until::Messages(1), SOON, |event| {
            if let Event::Part { text, .. } = event {
                heard.extend_from_slice(text);
            }
            Ok(())
        });
        let came = block_on(came).map(|counts| counts.whole);
        assert_eq!(came.unwrap(), 1);
        (sending.join().unwrap(), heard)
    });
    sent.unwrap();
    assert!(heard == text, "{} bytes", heard.len());
}

/// A thread that waits for packets is told to end by another one, and loses nothing.
#[test]
fn a_wait_is_stopped_from_another_thread() {
    let mut place = Place::new();
    let (mut alice, invite) = place.invite(None);
    let stop = Stop::default();
    let stopped = place.client.until(&stop);
    let waits = |conversation: &mut Conversation<Files>, client: &Client| {
        block_on(conversation.collect(client, Until::Closed, None, |_| Ok(())))
            .map(|counts| counts.whole)
    };
    thread::scope(|threads| {
        let waiting = threads.spawn(|| waits(&mut alice, &stopped));
        stop.stop();
        // Nobody has answered yet.
        assert!(matches!(waiting.join().unwrap(), Err(Error::NoReply)));
    });
    let (bob, _) = place.files("bob");
    let (mut bob, reply) = block_on(Conversation::respond(bob, &invite, None)).unwrap();
    place.client.post(&[reply]).unwrap();
    assert_eq!(place.collect(&mut alice, Until::Messages(0), SOON).unwrap(), ["opened"]);
    let stop = Stop::default();
    let stopped = place.client.until(&stop);
    thread::scope(|threads| {
        let waiting = threads.spawn(|| waits(&mut alice, &stopped));
        stop.stop();
        assert_eq!(waiting.join().unwrap().unwrap(), 0);
    });
    block_on(bob.send(&mut place.client, b"after all")).unwrap();
    assert_eq!(waits(&mut alice, &stopped).unwrap(), 0, "it is stopped for good");
    assert_eq!(place.collect(&mut alice, Until::Messages(1), SOON).unwrap(), ["0 after all true"]);
}

/// A message that is read as it is sent, at every length where packets or reads end.
#[test]
fn a_message_is_read_as_it_is_sent() {
    let place = Place::new();
    let (mut alice, invite) =
        block_on(Conversation::invite(place.files("alice").0, Invitation::default())).unwrap();
    let (mut bob, reply) =
        block_on(Conversation::respond(place.files("bob").0, &invite, None)).unwrap();
    let mut receiving = block_on(alice.receive(None::<Packets>, |_| Ok(()))).unwrap();
    block_on(receiving.packet(reply)).unwrap();
    block_on(receiving.store()).unwrap();
    drop(receiving);
    let text: Vec<u8> = (0..=250_u8).cycle().take(3 << 20).collect();
    let lengths =
        [0, 1, 4000, (64 << 10) - 1, 64 << 10, (1 << 20) - 200, (1 << 20) - 16, 1 << 20, 3 << 20];
    // The room in a packet is this, give or take an opening of the chain.
    let near = ((1 << 20) - 140)..((1 << 20) - 40);
    for length in lengths.into_iter().chain(near.step_by(7)) {
        let (mut left, mut reads) = (&text[..length], 0_usize);
        let mut out = Packets::default();
        let read = |room: &mut [u8]| {
            reads += 1;
            let count = left.len().min(room.len()).min(1 + reads * 7919);
            room[..count].copy_from_slice(&left[..count]);
            left = &left[count..];
            Ok(count)
        };
        block_on(bob.send_from(&mut out, read)).unwrap();
        let (mut came, mut whole) = (Vec::new(), 0);
        let mut receiving = block_on(alice.receive(None::<Packets>, |event| {
            if let Event::Part { text, end, .. } = event {
                came.extend_from_slice(text);
                whole += usize::from(end);
            }
            Ok(())
        }))
        .unwrap();
        for packet in out.packets {
            block_on(receiving.packet(packet)).unwrap();
        }
        block_on(receiving.store()).unwrap();
        drop(receiving);
        assert!(came == text[..length] && whole == 1, "{length}: {} bytes, {whole}", came.len());
    }
    // What cannot be read is not sent, or cut.
    for (before, cut) in [(0, false), (3 << 20, true)] {
        let mut left = before;
        let read = |room: &mut [u8]| {
            let count = room.len().min(left);
            left -= count;
            if count == 0 { Err(Cause::new(ErrorKind::Failed, "gone")) } else { Ok(count) }
        };
        let sent = block_on(bob.send_from(&mut Packets::default(), read)).unwrap_err();
        assert_eq!(matches!(sent, Error::Truncated(_)), cut, "{sent}");
    }
}
