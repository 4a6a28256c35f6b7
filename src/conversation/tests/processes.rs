//! The processes of an end: each is a future that can be dropped at any step.

use std::rc::Rc;

use zeroize::Zeroizing;

use super::ledger::Promise;
use super::world::{Flaw, SimHost, Wire, World, step};
use crate::conversation::{
    self, Cause, Compared, Conversation, Counts, Course, Error, ErrorKind, Host, Outlet,
    OutletKind, Piece, Receiver, Sent, Short, Sink, flush, give_back, prepare, question, short,
    step as step_of_check,
};
use crate::protocol::authentication::password::Password;
use crate::protocol::authentication::verify::Event;
use crate::protocol::packet::{K_MIN, Packet};
use crate::protocol::session::{Part, Session, body};

pub(super) fn wire(world: &Rc<World>, from: usize) -> Wire {
    Wire { world: Rc::clone(world), from, most: usize::MAX, takes: usize::MAX, sealed: Vec::new() }
}

/// Notes what happens to a text; `Open` until more is known.
fn promise(world: &World, text: &[u8], promise: Promise, packet: Option<&[u8]>) {
    let address = packet.map(|packet| *packet.first_chunk().unwrap());
    world.ledger.borrow_mut().promise(text, promise, address);
}

/// `otr send` of a short text.
pub(super) async fn send(world: Rc<World>, end: usize, text: Vec<u8>) {
    promise(&world, &text, Promise::Open, None);
    let mut host = SimHost::new(&world, end);
    let message = Short { text: &text, least: K_MIN, publish: true, later: false, receipt: false };
    let sent = short(&mut host, &mut wire(&world, end), &mut None, None, &message).await;
    match sent {
        Ok(Sent::Out(Some(posted))) => {
            promise(&world, &text, Promise::Taken, Some(&posted.packet));
        }
        Ok(Sent::Out(None)) | Err(Error::Taken(_)) => {
            assert!(host.own.is_some(), "it is in the state");
            world.ledger.borrow_mut().promise(&text, Promise::Taken, host.own);
        }
        Ok(Sent::Long(_)) => unreachable!("it fits"),
        // A process that ended the session between storing and handing out may have handed it out.
        Err(error) if error.kind() == ErrorKind::NoSession => {}
        // Written in part, perhaps.
        Err(Error::Effect(_)) if world.kind == OutletKind::Stream => {}
        Err(_) => promise(&world, &text, Promise::Refused, None),
    }
}

/// `otr rpc` that was called for several texts at once.
pub(super) async fn send_together(world: Rc<World>, end: usize, texts: Vec<Vec<u8>>) {
    for text in &texts {
        promise(&world, text, Promise::Open, None);
    }
    let mut out = wire(&world, end);
    let all: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let mut conversation = Conversation::open(SimHost::new(&world, end));
    let (count, sent) = conversation.send_together(&mut out, &all).await;
    let (taken, others) = texts.split_at(count);
    for text in others {
        promise(&world, text, Promise::Refused, None);
    }
    match sent {
        Ok(()) | Err(Error::Taken(_)) => {
            for (text, packet) in taken.iter().zip(&out.sealed) {
                promise(&world, text, Promise::Taken, Some(packet));
            }
        }
        // As above.
        Err(error) if error.kind() == ErrorKind::NoSession => {}
        Err(_) => {
            for text in taken {
                promise(&world, text, Promise::Refused, None);
            }
        }
    }
}

/// `otr send` of a text of several packets.
pub(super) async fn send_long(world: Rc<World>, end: usize, parts: Vec<Vec<u8>>) {
    for text in &parts {
        promise(&world, text, Promise::Open, None);
    }
    let mut host = SimHost::new(&world, end);
    let mut out = wire(&world, end);
    let Ok((mut course, numbers)) =
        Course::begin(&mut host, &mut out, &mut None, None, 2, true).await
    else {
        for text in &parts {
            promise(&world, text, Promise::Refused, None);
        }
        return;
    };
    let _ = out.hand_out(&numbers.keys, &[]).await;
    let (mut left, mut offset) = (numbers.reservation, 0);
    let mut packets = Vec::new();
    for (at, text) in parts.iter().enumerate() {
        let more = if left.left() == 0 { course.more(&mut host).await.map(Some) } else { Ok(None) };
        match more {
            Ok(Some(more)) => left = more,
            Ok(None) => {}
            Err(_) => return drop(give_back(&mut host, numbers.of, left).await),
        }
        let end = at + 1 == parts.len();
        let part = Part { message: numbers.message, offset, end, length: text.len() };
        let (packet, _) = left.seal_text(K_MIN, text, part, host.randomness()).unwrap();
        offset += text.len() as u64;
        if out.hand_out(&[], std::slice::from_ref(&packet)).await.is_err() {
            return drop(give_back(&mut host, numbers.of, left).await);
        }
        packets.push(packet);
    }
    if course.end(&mut host, || Some(left), packets.last().map(Packet::address)).await.is_ok() {
        // If a part is lost, so are the parts after it.
        let lost = packets.iter().any(|packet| world.ledger.borrow().is_lost(packet));
        for (text, packet) in parts.iter().zip(&packets) {
            let promised = if lost { Promise::Open } else { Promise::Taken };
            promise(&world, text, promised, Some(packet));
        }
    }
}

/// `otr verify`: answers if the other side has asked, otherwise asks; both have the same secret.
pub(super) async fn check(world: Rc<World>, end: usize) {
    let mut host = SimHost::new(&world, end);
    let mut out = wire(&world, end);
    let secret = Password::cheap("the same").unwrap();
    let asked = async {
        prepare(&mut host, &mut out).await?;
        question(&mut host).await
    };
    let compared = match asked.await {
        Ok(Some(asked)) => Compared::Answer(secret.stretch(&asked.run).unwrap()),
        Ok(None) => Compared::Question(secret, ""),
        Err(_) => return,
    };
    drop(step_of_check(&mut host, &mut out, compared).await);
}

/// `otr close`, or `close --silent`.
pub(super) async fn close(world: Rc<World>, end: usize, silent: bool) {
    let mut host = SimHost::new(&world, end);
    if let Ok(last) = conversation::end(&mut host, None, silent).await {
        drop(wire(&world, end).hand_out(&last.keys, &last.packets).await);
    }
}

/// Hands out waiting packets.
pub(super) async fn hand_out(world: Rc<World>, end: usize) {
    let mut host = SimHost::new(&world, end);
    drop(flush(&mut host, &mut wire(&world, end), None).await);
}

/// Text on its way out: noted at once, and again when its keys are forgotten.
struct Page {
    world: Rc<World>,
    end: usize,
    pieces: Vec<Piece>,
    writing: Option<u64>,
    /// Delivered, and not stored yet.
    fresh: Vec<Vec<u8>>,
    /// Packets and texts that [`Flaw::DeliversLate`] keeps back.
    late: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether each message is stored before the next one is delivered.
    singly: bool,
}

impl Drop for Page {
    /// The next process delivers text again if this one is stopped here.
    fn drop(&mut self) {
        self.world.ledger.borrow_mut().may_repeat.extend(self.fresh.drain(..));
    }
}

impl Sink for Page {
    fn writing(&self) -> Option<u64> {
        self.writing
    }

    fn takes_singly(&self) -> bool {
        self.singly
    }

    fn add(&mut self, piece: Piece) {
        self.writing = (!piece.data.end).then_some(piece.data.message);
        self.pieces.push(piece);
    }

    fn truncated(&mut self, message: u64) {
        if self.writing == Some(message) {
            self.writing = None;
        }
    }

    async fn deliver(
        &mut self,
        packets: &mut [Zeroizing<Vec<u8>>],
        _: Option<&Session>,
    ) -> Result<(), Cause> {
        // All of it, or only some before the engine has to store that.
        let some = if self.world.dice.happens(1, 2) {
            self.pieces.len()
        } else {
            self.world.dice.roll(self.pieces.len() + 1)
        };
        let later = self.pieces.split_off(some);
        for piece in std::mem::replace(&mut self.pieces, later) {
            step().await;
            let packet = &packets[piece.packet];
            let text = body(packet)[piece.data.text.clone()].to_vec();
            if self.world.flaw.get() == Flaw::DeliversLate {
                self.late.push((packet.to_vec(), text));
            } else {
                self.world.ledger.borrow_mut().delivered(self.end, packet, &text);
                self.fresh.push(text);
            }
        }
        step().await;
        Ok(())
    }

    fn settled(&self) -> Option<usize> {
        self.pieces.first().map(|next| next.packet)
    }

    fn stored(&mut self) {
        self.fresh.clear();
        // If the process is stopped before this, they are gone.
        for (packet, text) in self.late.drain(..) {
            self.world.ledger.borrow_mut().delivered(self.end, &packet, &text);
        }
    }

    async fn checked(&mut self, event: &Event, _: Option<&Session>) -> Result<(), Cause> {
        let mut ledger = self.world.ledger.borrow_mut();
        match event {
            Event::Equal => ledger.equal += 1,
            Event::Different { .. } => ledger.faults.push("one secret and two".to_owned()),
            _ => {}
        }
        Ok(())
    }
}

/// `otr recv`: takes some of what is there, in any order, and discards what it has stored. With
/// `to_end` it takes everything, and gives up unfinished messages.
pub(super) async fn receive(world: Rc<World>, end: usize, to_end: bool) {
    let received = receive_some(&world, end, to_end).await;
    if let Err(error) = received
        && error.kind() != ErrorKind::Busy
        && !(error.kind() == ErrorKind::NoSession && world.ledger.borrow().ended[end])
        // This reports a state that was overwritten.
        && world.flaw.get() == Flaw::None
    {
        world.ledger.borrow_mut().faults.push(format!("receiving ended: {error}"));
    }
}

async fn receive_some(world: &Rc<World>, end: usize, to_end: bool) -> Result<(), Error> {
    let mut host = SimHost::new(world, end);
    let _receiver = host.become_receiver(!to_end).await?;
    let outlet = (world.kind == OutletKind::Postbox).then(|| wire(world, end));
    let mut receiver = Receiver::open(host, None, 256, outlet).await?;
    let mut page = Page {
        world: Rc::clone(world),
        end,
        pieces: Vec::new(),
        writing: None,
        fresh: Vec::new(),
        late: Vec::new(),
        singly: world.dice.roll(2) == 0,
    };
    let mut counts = Counts::default();
    let mut taken = Vec::new();
    let some = if to_end { usize::MAX } else { 1 + world.dice.roll(6) };
    let mut left = world.machines[end].inbox.borrow().clone();
    while taken.len() < some && !left.is_empty() {
        // Most often in order, as a postbox gives them.
        let at = if world.dice.happens(1, 3) { world.dice.roll(left.len()) } else { 0 };
        let packet = left.remove(at);
        receiver.packet(packet.clone(), None, &mut page, &mut counts).await?;
        taken.push(packet);
        if world.dice.happens(1, 3) {
            receiver.settle(&mut page, &mut counts).await?;
            receiver.store(&mut page).await?;
            throw_away(world, end, &mut taken, &receiver).await;
        }
        receiver.refresh().await?;
    }
    receiver.settle(&mut page, &mut counts).await?;
    receiver.store(&mut page).await?;
    throw_away(world, end, &mut taken, &receiver).await;
    if to_end {
        receiver.finish(&mut page, &mut counts).await?;
        receiver.store(&mut page).await?;
    }
    Ok(())
}

/// Held packets stay until they are due; some of the others are delivered once more.
async fn throw_away(
    world: &World,
    end: usize,
    taken: &mut Vec<Vec<u8>>,
    receiver: &Receiver<SimHost, Wire>,
) {
    step().await;
    let mut inbox = world.machines[end].inbox.borrow_mut();
    for packet in taken.drain(..) {
        let address = packet.first_chunk().unwrap();
        let repeated = world.dice.happens(1, 10);
        if !receiver.holds(address) && !repeated {
            inbox.retain(|one| *one != packet);
        }
    }
}
