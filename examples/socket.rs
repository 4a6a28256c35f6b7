//! Two ends over a socket, each in its own thread. The socket carries the bytes of `otr send
//! --raw`.
//!
//!     cargo run --example socket

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use otr::armor::{Item, Scanner, encode};
use otr::conversation::{
    Cause, Conversation, ErrorKind, Event, Files, Invitation, Outlet, OutletKind, Packets, block_on,
};
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::Packet;
use otr::store::{Options, Store};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Packets leave through the socket.
struct Socket<'a>(&'a TcpStream);

impl Outlet for Socket<'_> {
    fn kind(&self) -> OutletKind {
        OutletKind::Stream
    }

    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> std::result::Result<Vec<usize>, Cause> {
        let mut bytes = Vec::new();
        for key in keys {
            encode::raw_key(&mut bytes, key);
        }
        for packet in packets {
            encode::raw_packet(&mut bytes, packet);
        }
        let written = self.0.write_all(&bytes);
        written.map_err(|error| Cause::new(ErrorKind::Unreachable, error))?;
        Ok(Vec::new())
    }
}

/// Receives until the other side has nothing more to say; returns the text.
fn listen(conversation: &mut Conversation<Files>, mut socket: &TcpStream) -> Result<Vec<u8>> {
    let mut heard = Vec::new();
    let mut receiving = block_on(conversation.receive(None::<Packets>, |event| {
        if let Event::Part { text, .. } = event {
            heard.extend_from_slice(text);
        }
        Ok(())
    }))?;
    let (mut scanner, mut buffer) = (Scanner::new(), vec![0; 1 << 16]);
    loop {
        let count = socket.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        let mut left = &buffer[..count];
        while !left.is_empty() {
            left = &left[scanner.push(left)..];
            while let Some(item) = scanner.next_item() {
                if let Item::Packet(packet) | Item::Reply(packet) = item {
                    block_on(receiving.packet(packet))?;
                }
            }
        }
        block_on(receiving.store())?;
    }
    drop(receiving);
    Ok(heard)
}

fn files(options: &Options, name: &str) -> Result<Files> {
    let store = Store::prepare(options, &name.parse().map_err(|_| "a bad name")?)?;
    Ok(Files::new(store, Duration::from_secs(10), |_| {}))
}

fn bob(options: &Options, socket: &TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 2];
    { socket }.read_exact(&mut length)?;
    let mut invite = vec![0; u16::from_be_bytes(length).into()];
    { socket }.read_exact(&mut invite)?;
    let (mut bob, reply) = block_on(Conversation::respond(files(options, "bob")?, &invite, None))?;
    block_on(
        Socket(socket)
            .hand_out(&[], &[Packet::new(reply).ok_or("a reply has the size of a packet")?]),
    )?;
    block_on(bob.send(&mut Socket(socket), b"who is there?"))?;
    socket.shutdown(Shutdown::Write)?;
    listen(&mut bob, socket)
}

fn alice(options: &Options, socket: &TcpStream) -> Result<Vec<u8>> {
    let (mut alice, invite) =
        block_on(Conversation::invite(files(options, "alice")?, Invitation::default()))?;
    { socket }.write_all(&u16::try_from(invite.len())?.to_be_bytes())?;
    { socket }.write_all(&invite)?;
    let heard = listen(&mut alice, socket)?;
    block_on(alice.send(&mut Socket(socket), b"nobody"))?;
    socket.shutdown(Shutdown::Write)?;
    Ok(heard)
}

fn main() -> Result<()> {
    let [alice, bob] = talk()?;
    println!("Alice heard: {alice}\nBob heard: {bob}");
    Ok(())
}

/// What the two ends heard.
pub(crate) fn talk() -> Result<[String; 2]> {
    let ours_alone = Permissions::from_mode(0o700);
    let place = tempfile::Builder::new().permissions(ours_alone).tempdir_in("/dev/shm")?;
    let options =
        Options { named: Some(place.path().to_owned()), usual: vec![], allow_disk: false };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::scope(|threads| {
        let bob = threads.spawn(|| bob(&options, &TcpStream::connect(address)?));
        let alice = alice(&options, &listener.accept()?.0)?;
        let bob = bob.join().map_err(|_| "bob's thread has ended")??;
        Ok([String::from_utf8(alice)?, String::from_utf8(bob)?])
    })
}
