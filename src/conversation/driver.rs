//! What the engine asks of its caller: one effect a method.

use zeroize::Zeroizing;

use crate::protocol::authentication::verify::Event;
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::Packet;
use crate::protocol::packet::frame::Data;
use crate::protocol::randomness::Randomness;
use crate::protocol::session::{Accepted, Identity, Session};

use super::cause::{Cause, ErrorKind};
use super::error::Error;

/// What the caller may want to tell a person, without which everything goes on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// Packets that were taken earlier are refused for their size, and stay: how many, and the bytes of
    /// the largest.
    TooLarge {
        /// How many.
        count: usize,
        /// Bytes of the largest.
        largest: usize,
    },
    /// What is owed to the other side could not be handed out, and waits.
    Waits(&'a Error),
    /// Packets that waited to be handed out are dropped with the session.
    Dropped(usize),
    /// A message is given up: later ones came, and its rest did not.
    GivenUp(u64),
    /// Packets wait still, since they could not be handed out now.
    StillWaits(&'a Error),
    /// The reply has come, and the session is open; whether the other side has shown that it knows the
    /// secret.
    Opened {
        /// Whether there is one.
        secret: bool,
    },
    /// The other side was not told yet that the session is open.
    NotTold(&'a Error),
    /// The reply was taken, and stays in the postbox until its time is up.
    ReplyStays(&'a Error),
    /// A message goes on whose beginning an earlier process has delivered.
    GoesOn(u64),
}

/// Where a session lives: its storage, its clock, its randomness.
///
/// Where the engine is dropped while one of these is awaited, the lock is released; so a `replace`, `create`
/// or `wipe` that is given up must not take effect later, when somebody else has the lock. A version is
/// never used again, not even after a wipe.
///
/// Locks are released when they are dropped. The state's lock is held from loading to storing, and
/// never while anything is handed out or delivered; the sender's and the receiver's are taken before
/// it.
#[expect(async_fn_in_trait, reason = "the engine awaits on its caller's thread")]
pub trait Host {
    /// Proof that nobody else reads or replaces the state.
    type Lock;
    /// Proof of being the session's one sender, or its one receiver.
    type Role;
    /// Which stored state something is.
    type Version;

    /// Unix seconds.
    fn now(&self) -> u64;

    /// Where every random byte is drawn from.
    fn randomness(&mut self) -> &mut dyn Randomness;

    /// Locks the state.
    async fn lock(&mut self) -> Result<Self::Lock, Cause>;

    /// Becomes the one sender; `at_once`, or not at all ([`ErrorKind::Busy`]).
    async fn become_sender(&mut self, at_once: bool) -> Result<Self::Role, Cause>;

    /// Becomes the one receiver; as [`become_sender`](Self::become_sender).
    async fn become_receiver(&mut self, at_once: bool) -> Result<Self::Role, Cause>;

    /// The stored state, and which one it is.
    async fn load(
        &mut self,
        lock: &Self::Lock,
    ) -> Result<(Zeroizing<Vec<u8>>, Self::Version), Cause>;

    /// Whether that one is still the stored state.
    async fn is_current(
        &mut self,
        lock: &Self::Lock,
        version: &Self::Version,
    ) -> Result<bool, Cause>;

    /// Stores what follows `version`, overwrites that one, and says in its place which the new one is.
    /// Fails, and changes nothing, where that one is no longer the stored one.
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

    /// The session that was created at that time (Unix seconds) gave no guess at the secret away: the
    /// other side has it.
    fn was_no_guess(&mut self, created: u64) {
        let _ = created;
    }

    /// Hears what may be told.
    fn notice(&mut self, notice: Notice<'_>) {
        let _ = notice;
    }
}

/// What becomes of packets that were handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutletKind {
    /// They may be lost on their way, and are kept to be sent again.
    Stream,
    /// They lie where the other side collects them.
    Postbox,
}

/// Where packets go.
#[expect(async_fn_in_trait, reason = "the engine awaits on its caller's thread")]
pub trait Outlet {
    /// What becomes of packets there.
    fn kind(&self) -> OutletKind;

    /// Bytes of the largest packet that is known to come through.
    fn largest(&self) -> usize {
        usize::MAX
    }

    /// Hands out published keys and packets, in order; which packets were refused for their size, by
    /// their place in `packets`.
    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause>;

    /// Why a packet of so many bytes does not come through.
    fn too_large(&self, bytes: usize) -> Cause {
        let what = format!("a packet of {bytes} bytes is refused for its size");
        Cause::new(ErrorKind::Failed, what)
    }
}

/// An outlet that gathers what goes out, to be carried by whatever the program has.
#[derive(Debug, Default)]
pub struct Packets {
    /// MAC keys to be published, `address ‖ key`; they are for the public.
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

/// A host that is lent for one call.
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

    fn was_no_guess(&mut self, created: u64) {
        (**self).was_no_guess(created);
    }

    fn notice(&mut self, notice: Notice<'_>) {
        (**self).notice(notice);
    }
}

/// A part of a message, in one of the packets that were opened.
pub struct Piece {
    /// The packet, by its place among those that are delivered together.
    pub packet: usize,
    /// Which part of which message, and where in the packet its text is.
    pub data: Data,
}

/// Where text goes.
///
/// Parts come in their order, one message after the other. They are put in line when their packet has
/// opened, and delivered before the state is stored that forgets its key.
#[expect(async_fn_in_trait, reason = "the engine awaits on its caller's thread")]
pub trait Sink {
    /// The message that must be finished before a part of another can go out.
    fn writing(&self) -> Option<u64>;

    /// Whether text was taken and is delivered nowhere yet, so that its keys must not be forgotten.
    fn keeps_back(&self) -> bool {
        false
    }

    /// Whether with this packet a message begins of which text will be kept back.
    fn will_keep_back(&self, accepted: &Accepted) -> bool {
        let _ = accepted;
        false
    }

    /// Whether this is the rest of a message whose beginning an earlier process has delivered.
    fn is_rest(&self, data: &Data) -> bool {
        data.offset > 0 && self.writing() != Some(data.message)
    }

    /// Whether nothing more is taken: what follows keeps its keys for another process.
    fn is_done(&self) -> bool {
        false
    }

    /// Refuses what could not be delivered, before its key is spent; of the session, so many changes
    /// wait to be stored.
    fn check(&self, accepted: &Accepted, identity: &Identity, waiting: usize) -> Result<(), Cause> {
        let _ = (accepted, identity, waiting);
        Ok(())
    }

    /// Puts a part in line.
    fn add(&mut self, piece: Piece);

    /// A message was given up: nothing of it follows.
    fn cut(&mut self, message: u64);

    /// Nobody has checked yet who the other side is. Whether the person was told, who is told once.
    fn tell_unchecked(&mut self) -> bool {
        false
    }

    /// Delivers the parts in line, whose text is in these packets, for good.
    async fn deliver(
        &mut self,
        packets: &[Zeroizing<Vec<u8>>],
        session: Option<&Session>,
    ) -> Result<(), Cause>;

    /// The state has noted what was delivered.
    fn stored(&mut self) {}

    /// What a check of a secret has come to.
    async fn checked(&mut self, event: &Event, session: Option<&Session>) -> Result<(), Cause>;

    /// Whether keys to be published go to [`publish`](Self::publish) instead of the next packet.
    fn publishes(&self) -> bool {
        false
    }

    /// Publishes keys; they are out of the state.
    async fn publish(&mut self, keys: &[[u8; PUBLISHED_KEY]]) -> Result<(), Cause> {
        let _ = keys;
        Ok(())
    }
}
