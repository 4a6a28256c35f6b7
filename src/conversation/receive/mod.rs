//! Receiving: packets are opened on a working copy, their text is delivered, and only then the stored
//! state follows, even if a sender has moved it on meanwhile.

mod changes;
mod counts;
mod held;
mod owed;

use std::collections::BTreeMap;
#[cfg(feature = "client")]
use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::driver::{Host, Notice, Outlet, Piece, Sink};
use super::error::{Doing, Error};
use super::handshake;
use super::outbox::greet;
use super::transaction::{Snapshot, Transaction};
use crate::protocol::authentication::verify::Event;
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::handshake::ReplyError;
use crate::protocol::handshake::reply::REPLY;
use crate::protocol::ratchet::address_index::AddressIndex;
use crate::protocol::ratchet::skipped::Position;
#[cfg(feature = "client")]
use crate::protocol::session::Search;
use crate::protocol::session::stored::{Expired, Stage};
use crate::protocol::session::verify::Ending;
use crate::protocol::session::{Accepted, Outcome as Opened, Refusal, Role, Session, Takes};
use changes::Change;
pub use counts::{Counts, Rejected};

/// A later part that came first, or a part of a message that is not being written out.
struct HeldPacket {
    packet: Vec<u8>,
    at: Position,
}

/// The receiving half of a session. Its caller is the session's one receiver, as long as it lives.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Receiver<H: Host, O: Outlet> {
    host: H,
    stage: Stage,
    /// The stored state on which the changes were made.
    version: H::Version,
    index: AddressIndex,
    look_ahead: u32,
    changes: Vec<Change>,
    /// Opened packets whose text waits to be delivered.
    opened: Vec<Zeroizing<Vec<u8>>>,
    /// Packets whose text is delivered.
    delivered: Vec<Zeroizing<Vec<u8>>>,
    /// Held parts, by message and offset.
    held: BTreeMap<(u64, u64), HeldPacket>,
    held_bytes: usize,
    /// Whether parts are held that [`settle`](Self::settle) has not seen.
    held_more: bool,
    /// Results of secret checks, from packets that are about to be stored.
    checks: Vec<Event>,
    /// Whether the user was told in this run that the other side's identity is unchecked.
    unchecked_told: bool,
    /// Whether the other side has yet to show that it knows the secret.
    is_guess: bool,
    /// The outlet for packets that we owe the other side.
    outlet: Option<O>,
    /// Whether the caller says when that goes out.
    pays_later: bool,
    /// Whether a delivery began and did not finish: then nothing more is stored.
    undelivered: bool,
    /// How many of the opened packets are stored already.
    settled: usize,
    /// Whether the sink has settled nothing more when it was last asked.
    is_pause: bool,
    /// What a postbox may discard of these.
    spent: Vec<[u8; 96]>,
    /// Where packets lie that do not lie where their address says.
    #[cfg(feature = "client")]
    elsewhere: BTreeMap<[u8; 32], u8>,
    /// The tokens of packets whose sender waits to hear that they were opened.
    #[cfg(feature = "client")]
    receipts: BTreeSet<[u8; 32]>,
}

impl<H: Host, O: Outlet> Receiver<H, O> {
    /// Loads the session, or uses `known`, a state loaded before, if nothing was stored since.
    /// Packets are expected up to `look_ahead` numbers ahead. What we owe the other side goes to
    /// `outlet`, if it can be called meanwhile; otherwise it waits for the next packet.
    pub async fn open(
        mut host: H,
        known: Option<Snapshot<H>>,
        look_ahead: u32,
        outlet: Option<O>,
    ) -> Result<Self, Error> {
        let transaction = match known {
            Some(known) => Transaction::resume(&mut host, known).await?,
            None => Transaction::begin(&mut host).await?,
        };
        let Snapshot { stage, version } = transaction.into_snapshot();
        let is_guess = is_unconfirmed(&stage);
        Ok(Self {
            host,
            stage,
            version,
            index: AddressIndex::new(look_ahead),
            look_ahead,
            changes: Vec::new(),
            opened: Vec::new(),
            delivered: Vec::new(),
            held: BTreeMap::new(),
            held_bytes: 0,
            held_more: false,
            checks: Vec::new(),
            unchecked_told: false,
            is_guess,
            outlet,
            pays_later: false,
            undelivered: false,
            settled: 0,
            is_pause: false,
            spent: Vec::new(),
            #[cfg(feature = "client")]
            receipts: BTreeSet::new(),
            #[cfg(feature = "client")]
            elsewhere: BTreeMap::new(),
        })
    }

    /// The current session, if the handshake is done.
    pub fn session(&self) -> Option<&Session> {
        self.stage.session()
    }

    /// How far the conversation has come.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Ends the receiving.
    pub fn into_host(self) -> H {
        self.host
    }

    /// Takes over what a sender has stored meanwhile; returns whether it has.
    pub async fn refresh(&mut self) -> Result<bool, Error> {
        let lock = self.host.lock().await?;
        let changed = !self.host.is_current(&lock, &self.version).await?;
        if changed {
            let Snapshot { stage, version } = Snapshot::load(&mut self.host, &lock).await?;
            self.stage = match (&self.stage, stage) {
                (Stage::Inviting(ours), Stage::Session(opened)) if ours.became(&opened) => {
                    Stage::Session(opened)
                }
                (Stage::Inviting(ours), Stage::Inviting(same))
                    if same.invite() == ours.invite() =>
                {
                    Stage::Inviting(same)
                }
                (Stage::Inviting(_), _) => return Err(Error::Another(Doing::Receiving)),
                (Stage::Session(_), stage) => self.again(stage)?,
            };
            self.version = version;
        } else if self.changes.is_empty() {
            // For a receiver that runs for weeks.
            match self.stage.expire(self.host.now()) {
                Expired::Nothing => {}
                Expired::Numbers => self.replace(&lock).await?,
                Expired::Invite => {
                    self.host.wipe(&lock).await?;
                    return Err(Error::NobodyAnswered);
                }
            }
        }
        Ok(changed)
    }

    /// Tells the caller.
    #[cfg(feature = "client")]
    pub(super) fn notice(&mut self, notice: Notice<'_>) {
        self.host.notice(notice);
    }

    /// Whether accepted packets are not stored yet.
    pub fn is_ahead(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether a later part with this address is held.
    pub fn holds(&self, address: &[u8; 32]) -> bool {
        self.held.values().any(|held| held.packet.starts_with(address))
    }

    /// Notes that the postbox has these keys: token, packet hash and key, 96 bytes each.
    pub async fn forget_collected(&mut self, records: &[[u8; 96]]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let lock = self.catch_up().await?;
        if let Stage::Session(session) = &mut self.stage {
            session.forget_collected(records);
        }
        #[cfg(feature = "client")]
        self.receipts.retain(|token| !records.iter().any(|record| record.starts_with(token)));
        if self.is_ahead() {
            // The text of accepted packets may still be only in memory. The state that forgets them
            // is stored later, and this with it. Until then the postbox may be told twice.
            return Ok(());
        }
        self.replace(&lock).await
    }

    /// Notes at which postbox a packet lies, if not at the one that its address says.
    #[cfg(feature = "client")]
    pub(super) fn lies_at(&mut self, token: [u8; 32], at: u8) {
        self.elsewhere.insert(token, at);
    }

    /// Unix seconds.
    #[cfg(feature = "client")]
    pub(super) fn now(&self) -> u64 {
        self.host.now()
    }

    /// Notes that packets were searched for in so many places, since one was accepted.
    #[cfg(feature = "client")]
    pub(super) async fn note_search(&mut self, places: u32) -> Result<(), Error> {
        let lock = self.catch_up().await?;
        let at = self.host.now();
        if let Stage::Session(session) = &mut self.stage {
            session.note_search(Search { places, at });
        }
        // As above: it is stored with what was accepted, or forgotten with it.
        if self.is_ahead() { Ok(()) } else { self.replace(&lock).await }
    }

    async fn replace(&mut self, lock: &H::Lock) -> Result<(), Error> {
        #[cfg(feature = "client")]
        if let Stage::Session(session) = &mut self.stage {
            session.note_elsewhere(&self.elsewhere);
        }
        let bytes = self.stage.to_bytes(false);
        Ok(self.host.replace(lock, &mut self.version, &bytes).await?)
    }

    /// Reads what this process itself has stored elsewhere.
    async fn reload(&mut self) -> Result<(), Error> {
        let lock = self.host.lock().await?;
        self.load(&lock).await
    }

    /// Loads the stored state, and repeats the changes on it.
    async fn load(&mut self, lock: &H::Lock) -> Result<(), Error> {
        let Snapshot { stage, version } = Snapshot::load(&mut self.host, lock).await?;
        self.stage = self.again(stage)?;
        self.version = version;
        Ok(())
    }

    /// Takes the reply to the invite, and stores the session that it opens.
    pub async fn reply(&mut self, reply: &[u8], counts: &mut Counts) -> Result<(), Error> {
        let invite = match &self.stage {
            Stage::Inviting(inviting) => inviting.invite(),
            Stage::Session(session) => {
                counts.reject(match session.role() {
                    Role::Responder => Rejected::ReplyToResponder,
                    Role::Inviter => Rejected::ReplyToAnswered,
                });
                return Ok(());
            }
        };
        let mut transaction = Transaction::begin(&mut self.host).await?;
        match handshake::accept(&mut transaction, invite, reply).await? {
            Ok(session) => {
                transaction.stage = Stage::Session(Box::new(session));
                if let Some((session, randomness)) = transaction.any_session()
                    && session.postbox().is_some()
                {
                    // Stored in the same step, so it is posted even if this process ends here.
                    greet(session, randomness)?;
                }
                transaction.store().await?;
                let opened = transaction.into_snapshot();
                (self.stage, self.version) = (opened.stage, opened.version);
                counts.replied = true;
            }
            Err(ReplyError::Junk) => counts.reject(Rejected::ReplyToAnother),
            Err(ReplyError::Bad) => counts.reject(Rejected::BadReply),
            Err(ReplyError::Second) => counts.reject(Rejected::SecondReply),
            Err(ReplyError::NotAuthentic) => {
                let code = matches!(
                    &transaction.stage,
                    Stage::Inviting(inviting) if inviting.is_by_code()
                );
                transaction.wipe().await?;
                return Err(Error::WrongGuess { code });
            }
        }
        Ok(())
    }

    /// Takes a packet: its text, if it is due, is queued at `sink`. `hash` is its SHA-256, if
    /// known.
    pub async fn packet<S: Sink>(
        &mut self,
        packet: Vec<u8>,
        hash: Option<[u8; 32]>,
        sink: &mut S,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        self.refuse_if_over()?;
        if matches!(self.stage, Stage::Inviting(_)) {
            // A raw reply looks like any packet of its size.
            if packet.len() == REPLY {
                return self.reply(&packet, counts).await;
            }
            return Err(Error::NoReply);
        }
        if sink.is_done() {
            counts.left += 1;
            return Ok(());
        }
        if self.try_packet(packet, hash, sink, counts).await? {
            self.try_held(sink, counts).await?;
            self.give_up_hopeless(sink, counts).await?;
        }
        Ok(())
    }

    /// Whether the packet was accepted.
    async fn try_packet<S: Sink>(
        &mut self,
        mut packet: Vec<u8>,
        hash: Option<[u8; 32]>,
        sink: &mut S,
        counts: &mut Counts,
    ) -> Result<bool, Error> {
        match self.open_packet(&mut packet, hash, sink.takes()).await? {
            Ok(Opened::Accepted(accepted)) => {
                if sink.will_keep_back(&accepted) {
                    // Earlier text is out, and must not wait for the end of this message.
                    self.store(sink).await?;
                }
                self.accept(packet, accepted, sink, counts).await
            }
            Ok(Opened::Held { message, offset, at }) => {
                let held = HeldPacket { packet, at };
                // It may give up a message, after which held parts are tried.
                Box::pin(self.hold((message, offset), held, sink, counts)).await?;
                Ok(false)
            }
            Err(Refusal::CommitmentBroken) => {
                let ours = self.session().map(Session::identity);
                let transaction = Transaction::begin(&mut self.host).await?;
                // Never another session that got the name meanwhile.
                match (ours, &transaction.stage) {
                    (Some(ours), Stage::Session(session)) if ours.is(&session.identity()) => {}
                    _ => return Err(Error::Changed),
                }
                transaction.wipe().await?;
                Err(Error::SomebodyBetween)
            }
            Err(refusal) => {
                counts.reject(refusal.into());
                Ok(false)
            }
        }
    }

    /// Takes an opened packet into the working copy, and queues its text.
    async fn accept<S: Sink>(
        &mut self,
        packet: Vec<u8>,
        accepted: Box<Accepted>,
        sink: &mut S,
        counts: &mut Counts,
    ) -> Result<bool, Error> {
        let Stage::Session(session) = &mut self.stage else { return Ok(false) };
        sink.check(&accepted, &session.identity(), self.changes.len())?;
        let at = self.host.now();
        let effects = session.accept(&mut self.index, &accepted, at).map_err(|_| Error::Changed)?;
        let over = session.ending() != Ending::GoesOn;
        self.checks.extend(effects.verify);
        counts.packets += 1;
        counts.lost += effects.lost.fell_out + effects.lost.given_up;
        for message in effects.truncated {
            counts.truncated.push(message);
            sink.truncated(message);
        }
        counts.closed |= accepted.frames.close.is_some();
        let mut whole = false;
        if let (Some(data), false) = (&accepted.frames.data, accepted.dropped || over) {
            if sink.is_rest(data) {
                self.host.notice(Notice::GoesOn(data.message));
                counts.rests.push(data.message);
            }
            counts.whole += u64::from(data.end);
            if session.is_unchecked_untold() && sink.tell_unchecked() {
                session.record_unchecked_told();
                self.unchecked_told = true;
            }
            sink.add(Piece { packet: self.opened.len(), data: data.clone() });
            whole = data.end;
        }
        if let (Some(frames), false) = (&accepted.frames.pipe, over) {
            sink.add_streams(self.opened.len(), accepted.at, frames);
        }
        #[cfg(feature = "client")]
        self.receipts.extend(accepted.asks_for_receipt());
        self.opened.push(Zeroizing::new(packet));
        self.changes.push(Change::Accepted(accepted, at));
        // At the session's end, later packets are not tried.
        if over || (whole && sink.takes_singly()) {
            self.store(sink).await?;
        }
        Ok(true)
    }

    /// Opens a packet. An unexpected one may answer what a parallel sender has sent: then it is
    /// tried once more on the state that the sender has stored.
    async fn open_packet(
        &mut self,
        packet: &mut [u8],
        hash: Option<[u8; 32]>,
        takes: Takes,
    ) -> Result<Result<Opened, Refusal>, Error> {
        let opened = self.open_here(packet, hash, takes);
        if matches!(opened, Err(Refusal::NotOurs)) && self.refresh().await? {
            return Ok(self.open_here(packet, hash, takes));
        }
        Ok(opened)
    }

    fn open_here(
        &mut self,
        packet: &mut [u8],
        hash: Option<[u8; 32]>,
        takes: Takes,
    ) -> Result<Opened, Refusal> {
        match &self.stage {
            Stage::Session(session) => session.open_hashed(&mut self.index, packet, hash, takes),
            Stage::Inviting(_) => Err(Refusal::NotOurs),
        }
    }

    /// Delivers opened packets. If that fails, or is abandoned midway, the receiver can no longer
    /// be used: what was not stored comes again to the next one.
    pub async fn deliver<S: Sink>(&mut self, sink: &mut S) -> Result<(), Error> {
        while self.deliver_some(sink).await? {}
        Ok(())
    }

    /// Delivers until all of it is, or a part is settled; then stores that, and returns true.
    async fn deliver_some<S: Sink>(&mut self, sink: &mut S) -> Result<bool, Error> {
        if self.undelivered {
            return Err(Error::Undelivered);
        }
        self.undelivered = true;
        sink.deliver(&mut self.opened, self.stage.session()).await?;
        let settled = sink.settled();
        self.is_pause = settled.is_some_and(|count| count <= self.settled);
        if let Some(count) = settled {
            self.store_first(count.saturating_sub(self.settled), sink).await?;
            self.settled = self.settled.max(count);
        } else {
            self.settled = 0;
            self.delivered.append(&mut self.opened);
        }
        self.undelivered = false;
        Ok(settled.is_some())
    }

    /// The buffers of delivered packets, for reuse; their text is still in them.
    pub fn take_buffers<S: Sink>(&mut self, sink: &mut S) -> Vec<Zeroizing<Vec<u8>>> {
        let mut buffers = sink.take_used();
        // A sink that has kept the buffer has left none here.
        buffers.extend(self.delivered.drain(..).filter(|buffer| !buffer.is_empty()));
        buffers
    }

    /// Delivers opened packets, then stores the state that forgets their keys.
    pub async fn store<S: Sink>(&mut self, sink: &mut S) -> Result<(), Error> {
        while self.store_some(sink).await?.is_some() {}
        Ok(())
    }

    /// The same, as far as it is settled by now: if that is not all, what a postbox may discard of it, once
    /// nothing more was settled for a moment. Then call this again.
    pub async fn store_some<S: Sink>(
        &mut self,
        sink: &mut S,
    ) -> Result<Option<Vec<[u8; 96]>>, Error> {
        if self.deliver_some(sink).await? {
            let spent = self.is_pause.then(|| std::mem::take(&mut self.spent));
            return Ok(Some(spent.unwrap_or_default()));
        }
        // At the session's end the rest of incomplete messages will never come.
        if self.changes.is_empty() || (sink.keeps_back() && !self.is_over()) {
            return Ok(None);
        }
        let lock = self.catch_up().await?;
        let published = match &mut self.stage {
            Stage::Session(session) if sink.publishes() => session.take_published(),
            _ => Vec::new(),
        };
        self.replace(&lock).await?;
        drop(lock);
        self.changes.clear();
        sink.stored();
        self.count_no_guess();
        let told = self.tell(sink, &published).await;
        let ended = self.end_if_over().await;
        told.and(ended).map(|()| None)
    }

    /// Reports the results of secret checks, and publishes keys.
    async fn tell<S: Sink>(
        &mut self,
        sink: &mut S,
        published: &[[u8; PUBLISHED_KEY]],
    ) -> Result<(), Error> {
        for event in std::mem::take(&mut self.checks) {
            sink.checked(&event, self.session()).await?;
        }
        if !published.is_empty() {
            sink.publish(published).await?;
        }
        Ok(())
    }

    /// Once the other side has shown that it knows the secret, no longer counts answering the
    /// invite as a failed guess.
    fn count_no_guess(&mut self) {
        if !self.is_guess || is_unconfirmed(&self.stage) {
            return;
        }
        self.is_guess = false;
        if let Stage::Session(session) = &self.stage {
            self.host.was_no_guess(session.created());
        }
    }

    /// Refuses to accept more in a session that failed checks have ended.
    pub fn refuse_if_over(&self) -> Result<(), Error> {
        if self.is_over() { Err(Error::NearlyOver) } else { Ok(()) }
    }

    /// Whether failed checks have ended the session.
    fn is_over(&self) -> bool {
        self.session().is_some_and(|session| session.ending() != Ending::GoesOn)
    }
}

/// Whether the other side has yet to show that it knows the secret.
fn is_unconfirmed(stage: &Stage) -> bool {
    matches!(stage, Stage::Session(session) if session.used_secret() && !session.is_confirmed())
}
