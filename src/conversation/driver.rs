//! What the engine asks of its caller: one method for each effect.

use zeroize::Zeroizing;

use crate::protocol::authentication::verify::Event;
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::Packet;
use crate::protocol::packet::frame::Data;
use crate::protocol::packet::pipe::PipeFrames;
use crate::protocol::packet::receipt::Receipt;
use crate::protocol::randomness::Randomness;
use crate::protocol::ratchet::skipped::Position;
use crate::protocol::session::{Accepted, Identity, Session, Takes};

use super::cause::Cause;
use super::error::Error;
use crate::kind::ErrorKind;

/// What the caller may want to tell a person; everything also works without it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// Packets that wait from earlier are refused for their size, and stay.
    TooLarge {
        /// How many.
        count: usize,
        /// Bytes of the largest.
        largest: usize,
    },
    /// A pending step could not be handed out to the other side, and waits.
    Waits(&'a Error),
    /// Packets that waited to be handed out are dropped with the session.
    Dropped(usize),
    /// A message is given up: later messages have arrived, but its rest has not.
    GivenUp(u64),
    /// Packets still wait, because they could not be handed out now.
    StillWaits(&'a Error),
    /// The reply has arrived at the postbox, and the session is open.
    Opened {
        /// Whether the handshake used a secret, which the other side has shown that it knows.
        secret: bool,
    },
    /// The other side has not been told yet that the session is open.
    NotTold(&'a Error),
    /// The reply was accepted, but stays in the postbox until it expires.
    ReplyStays(&'a Error),
    /// How many invites were answered with a secret within a day, none of whose authors has shown yet
    /// that they know it; or why they cannot be counted.
    Guesses(Result<usize, &'a std::io::Error>),
    /// A message continues whose beginning an earlier process has delivered.
    GoesOn(u64),
}

/// What a session needs from its surroundings: storage, a clock, randomness.
///
/// If the engine is dropped while it awaits one of these methods, the lock is released; so an
/// abandoned `replace`, `create` or `wipe` must not take effect later, when somebody else may have
/// the lock. A version is never used again, not even after a wipe.
///
/// Dropping a lock releases it. The engine holds the state's lock from loading to storing, and
/// never while it hands out or delivers anything; it takes the sender's and the receiver's locks
/// before the state's.
#[expect(async_fn_in_trait, reason = "the engine awaits on its caller's thread")]
pub trait Host {
    /// Proof that nobody else reads or replaces the state.
    type Lock;
    /// Proof of being the session's one sender, or its one receiver.
    type Role;
    /// Identifies a stored state.
    type Version;

    /// Unix seconds.
    fn now(&self) -> u64;

    /// The source of every random byte.
    fn randomness(&mut self) -> &mut dyn Randomness;

    /// Locks the state.
    async fn lock(&mut self) -> Result<Self::Lock, Cause>;

    /// Becomes the one sender. If `at_once`, it does not wait, but fails with [`ErrorKind::Busy`].
    async fn become_sender(&mut self, at_once: bool) -> Result<Self::Role, Cause>;

    /// Becomes the one receiver; otherwise like [`become_sender`](Self::become_sender).
    async fn become_receiver(&mut self, at_once: bool) -> Result<Self::Role, Cause>;

    /// The stored state and its version.
    async fn load(
        &mut self,
        lock: &Self::Lock,
    ) -> Result<(Zeroizing<Vec<u8>>, Self::Version), Cause>;

    /// Whether `version` is still the stored state.
    async fn is_current(
        &mut self,
        lock: &Self::Lock,
        version: &Self::Version,
    ) -> Result<bool, Cause>;

    /// Stores the state that follows `version`, overwrites the old one, and updates `version` to
    /// the new one. Fails and changes nothing if `version` is no longer the stored state.
    async fn replace(
        &mut self,
        lock: &Self::Lock,
        version: &mut Self::Version,
        bytes: &[u8],
    ) -> Result<(), Cause>;

    /// Stores the first state.
    async fn create(&mut self, lock: &Self::Lock, bytes: &[u8]) -> Result<(), Cause>;

    /// Overwrites and removes the state; no error if there is none.
    async fn wipe(&mut self, lock: &Self::Lock) -> Result<(), Cause>;

    /// The invite answered at `at` (Unix seconds) asked for a secret: its author has one guess at it,
    /// unless they turn out to know it.
    fn gave_guess(&mut self, at: u64) {
        let _ = at;
    }

    /// The session created at `created` (Unix seconds) has given away no guess at the secret: the
    /// other side knows it.
    fn was_no_guess(&mut self, created: u64) {
        let _ = created;
    }

    /// Receives a notice.
    fn notice(&mut self, notice: Notice<'_>) {
        let _ = notice;
    }
}

/// What happens to packets that were handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutletKind {
    /// They may get lost on their way, so they are kept to be sent again.
    Stream,
    /// They lie in a place from which the other side collects them.
    Postbox,
}

/// Where packets go.
#[expect(async_fn_in_trait, reason = "the engine awaits on its caller's thread")]
pub trait Outlet {
    /// What happens to packets there.
    fn kind(&self) -> OutletKind;

    /// Bytes of the largest packet that is known to get through.
    fn largest(&self) -> usize {
        usize::MAX
    }

    /// Hands out published keys and packets, in order; returns the indices of the packets that were
    /// refused for their size.
    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause>;

    /// A packet of a message was sealed, and comes to be handed out. By the receipt, the outlet can
    /// learn later that the other side has opened it.
    fn sealed(&mut self, packet: &Packet, receipt: &Receipt) {
        let _ = (packet, receipt);
    }

    /// Whether somebody waits to hear that messages were opened, which they then say.
    fn asks_for_receipts(&self) -> bool {
        false
    }

    /// The error that a packet of `bytes` bytes does not get through.
    fn too_large(&self, bytes: usize) -> Cause {
        let what = format!("a packet of {bytes} bytes is refused for its size");
        Cause::new(ErrorKind::Failed, what)
    }
}

/// An outlet that gathers what goes out, for the program to carry in its own way.
#[derive(Debug, Default)]
pub struct Packets {
    /// MAC keys to be published, `address ‖ key`: anyone may have them.
    pub keys: Vec<[u8; PUBLISHED_KEY]>,
    /// Packets for the other side, in order.
    pub packets: Vec<Packet>,
}

impl Outlet for Packets {
    fn kind(&self) -> OutletKind {
        OutletKind::Stream
    }

    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        self.keys.extend_from_slice(keys);
        self.packets.extend_from_slice(packets);
        Ok(Vec::new())
    }
}

/// A host that is borrowed for one call.
impl<H: Host> Host for &mut H {
    type Lock = H::Lock;
    type Role = H::Role;
    type Version = H::Version;

    fn now(&self) -> u64 {
        (**self).now()
    }

    fn randomness(&mut self) -> &mut dyn Randomness {
        (**self).randomness()
    }

    async fn lock(&mut self) -> Result<H::Lock, Cause> {
        (**self).lock().await
    }

    async fn become_sender(&mut self, at_once: bool) -> Result<H::Role, Cause> {
        (**self).become_sender(at_once).await
    }

    async fn become_receiver(&mut self, at_once: bool) -> Result<H::Role, Cause> {
        (**self).become_receiver(at_once).await
    }

    async fn load(&mut self, lock: &H::Lock) -> Result<(Zeroizing<Vec<u8>>, H::Version), Cause> {
        (**self).load(lock).await
    }

    async fn is_current(&mut self, lock: &H::Lock, version: &H::Version) -> Result<bool, Cause> {
        (**self).is_current(lock, version).await
    }

    async fn replace(
        &mut self,
        lock: &H::Lock,
        version: &mut H::Version,
        bytes: &[u8],
    ) -> Result<(), Cause> {
        (**self).replace(lock, version, bytes).await
    }

    async fn create(&mut self, lock: &H::Lock, bytes: &[u8]) -> Result<(), Cause> {
        (**self).create(lock, bytes).await
    }

    async fn wipe(&mut self, lock: &H::Lock) -> Result<(), Cause> {
        (**self).wipe(lock).await
    }

    fn gave_guess(&mut self, at: u64) {
        (**self).gave_guess(at);
    }

    fn was_no_guess(&mut self, created: u64) {
        (**self).was_no_guess(created);
    }

    fn notice(&mut self, notice: Notice<'_>) {
        (**self).notice(notice);
    }
}

/// A part of a message, in one of the opened packets.
pub struct Piece {
    /// The index of the packet among those that are delivered together.
    pub packet: usize,
    /// Which part of which message it is, and where its text is in the packet.
    pub data: Data,
}

/// Where text goes.
///
/// Parts come in order, one message after another. The engine queues a part when its packet has
/// opened, and delivers it before storing the state that forgets the packet's key.
#[expect(async_fn_in_trait, reason = "the engine awaits on its caller's thread")]
pub trait Sink {
    /// The message that must be finished before a part of another can be delivered.
    fn writing(&self) -> Option<u64>;

    /// Whether what follows is waited for and comes in many packets, which would be seen to belong together
    /// anyway: where calls are kept apart, it is then asked for at once.
    fn hurries(&self) -> bool {
        self.writing().is_some()
    }

    /// Whether the sink has taken text that is not delivered yet, so that its keys must not be
    /// forgotten.
    fn keeps_back(&self) -> bool {
        false
    }

    /// Whether this packet begins a message whose text will be kept back.
    fn will_keep_back(&self, accepted: &Accepted) -> bool {
        let _ = accepted;
        false
    }

    /// Whether each message is stored as soon as it is delivered, before the next one is delivered:
    /// for a sink that may refuse one message and must not be given the earlier ones again.
    fn takes_singly(&self) -> bool {
        false
    }

    /// Whether this continues a message whose beginning an earlier process has delivered.
    fn is_rest(&self, data: &Data) -> bool {
        data.offset > 0 && self.writing() != Some(data.message)
    }

    /// Whether the sink takes nothing more: packets that follow keep their keys for another
    /// process.
    fn is_done(&self) -> bool {
        false
    }

    /// Refuses a packet whose text could not be delivered, before its key is spent; `waiting`
    /// changes of the session are not stored yet.
    fn check(&self, accepted: &Accepted, identity: &Identity, waiting: usize) -> Result<(), Cause> {
        let _ = (accepted, identity, waiting);
        Ok(())
    }

    /// What is taken here.
    fn takes(&self) -> Takes {
        Takes::Messages(self.writing())
    }

    /// Queues a part.
    fn add(&mut self, piece: Piece);

    /// Queues the frames of a pipe in the packet `at` this place, which has this index among those
    /// that are delivered together. Only called where streams are taken.
    fn add_streams(&mut self, packet: usize, at: Position, frames: &PipeFrames) {
        let _ = (packet, at, frames);
    }

    /// A message was given up: no more of it follows.
    fn truncated(&mut self, message: u64);

    /// Nobody has checked yet who the other side is. Returns whether the person was told, which
    /// happens once.
    fn tell_unchecked(&mut self) -> bool {
        false
    }

    /// Delivers the queued parts for good; their text is in these packets, whose buffers the sink may keep.
    async fn deliver(
        &mut self,
        packets: &mut [Zeroizing<Vec<u8>>],
        session: Option<&Session>,
    ) -> Result<(), Cause>;

    /// The buffers that it has kept and needs no more, for reuse.
    fn take_used(&mut self) -> Vec<Zeroizing<Vec<u8>>> {
        Vec::new()
    }

    /// How many of the packets that are delivered together have their text in its final place by now, if
    /// that is not all: the engine stores the state that forgets these, and calls
    /// [`deliver`](Self::deliver) again, with the same packets. If it is no more than before, there is a
    /// pause, in which what is settled is discarded where the packets came from.
    fn settled(&self) -> Option<usize> {
        None
    }

    /// The stored state now covers what was delivered.
    fn stored(&mut self) {}

    /// The result of a step in a check of a secret.
    async fn checked(&mut self, event: &Event, session: Option<&Session>) -> Result<(), Cause>;

    /// Whether keys to be published go to [`publish`](Self::publish) instead of out with the next
    /// packet.
    fn publishes(&self) -> bool {
        false
    }

    /// Publishes keys, which are no longer in the state.
    async fn publish(&mut self, keys: &[[u8; PUBLISHED_KEY]]) -> Result<(), Cause> {
        let _ = keys;
        Ok(())
    }
}
