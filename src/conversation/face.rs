//! One end of a conversation, for programs: every operation, with its effects in the right order.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::cause::Cause;
use super::close::{self, Last};
use super::driver::{Host, Outlet, OutletKind, Piece, Sink};
use super::error::{Doing, Error};
use super::flow::{Ahead, Flow};
use super::handshake::create;
use super::long::{Course, Numbers, give_back};
use super::outbox::{flush, resend};
use super::receive::{Counts, Receiver};
use super::short::{self, K_SHORT, Sent, Short, short};
use super::transaction::Transaction;
use super::verify::{self, Compared, Question};
use crate::protocol::authentication::Authentication;
use crate::protocol::authentication::password::Password;
use crate::protocol::authentication::verify::Event as Check;
use crate::protocol::authentication::words::WORDS;
use crate::protocol::handshake::{Invitation, Inviting, respond};
use crate::protocol::packet::{ADDRESS, K_MIN, size};
use crate::protocol::ratchet::address_index::LOOK_AHEAD;
use crate::protocol::session::stored::Stage;
use crate::protocol::session::verify::VerifyError;
use crate::protocol::session::{Identity, Session, body};

/// How many numbers a long message reserves at a time.
const BATCH: u32 = 32;

/// What happens while packets are received.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The reply to the invite has come: the session is open.
    Opened,
    /// A part of a message. The parts of one message come in order, with no other message's in
    /// between.
    Part {
        /// The message's number, from 0.
        message: u64,
        /// Where in the message the part begins, in bytes.
        offset: u64,
        /// Whether the message ends with this part.
        end: bool,
        /// Its text.
        text: &'a [u8],
    },
    /// No more of this message will come.
    Truncated(u64),
    /// The result of a step in a check of a secret.
    Check(&'a Check),
    /// The other side has closed the conversation.
    Closed,
}

/// How far a conversation has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether the handshake is done.
    pub is_open: bool,
    /// Whether the other side has closed.
    pub is_closed: bool,
    /// How the other side has been authenticated so far.
    pub authentication: Authentication,
    /// How many messages were sent.
    pub sent: u64,
    /// How many messages arrived complete.
    pub received: u64,
    /// Ranges of numbers, first and last, of messages that should have arrived and have not.
    pub missing: Vec<(u64, u64)>,
    /// The URL of the postbox in which both ends leave their packets, from the invite.
    pub postbox: Option<String>,
}

/// One end of a conversation. Between two calls its state is stored at its host.
///
/// Every call may run while other processes use the same session. If another session takes its name
/// meanwhile, calls fail with [`Error::Another`], and nothing meant for one person goes to another.
/// Dropping a call before it has returned loses nothing and uses no key twice, but the call may
/// have taken effect: a message may be queued ([`flush`](Self::flush) hands it out), and text that
/// was delivered but not stored is delivered again.
pub struct Conversation<H: Host> {
    pub(super) host: H,
    /// Which session it is, as soon as that is known.
    pub(super) of: Option<Identity>,
}

impl<H: Host> Conversation<H> {
    /// Begins a conversation: stores it and returns the invite for the other side.
    ///
    /// # Errors
    /// [`Error::Inviting`]; an effect's error, for example because a session exists already.
    pub async fn invite(mut host: H, with: Invitation<'_>) -> Result<(Self, Vec<u8>), Error> {
        let now = host.now();
        let inviting = Inviting::new(with, now, host.randomness())?;
        let invite = inviting.invite().to_vec();
        create(&mut host, &Stage::Inviting(Box::new(inviting)), false).await?;
        Ok((Self::open(host), invite))
    }

    /// Answers an invite: stores the session and returns the reply, of
    /// [`REPLY`](crate::protocol::handshake::reply::REPLY) bytes.
    ///
    /// # Errors
    /// [`Error::Respond`]; an effect's error.
    pub async fn respond(
        mut host: H,
        invite: &[u8],
        secret: Option<&Password>,
    ) -> Result<(Self, Vec<u8>), Error> {
        let now = host.now();
        let (session, reply) = respond(invite, secret, now, host.randomness())?;
        if secret.is_some() {
            // Before anything is out: who made the invite may drop the answer, and make another.
            host.gave_guess(now);
        }
        let of = Some(session.identity());
        let created = create(&mut host, &Stage::Session(Box::new(session)), false).await;
        if created.is_err() && secret.is_some() {
            host.was_no_guess(now);
        }
        created?;
        Ok((Self { host, of }, reply))
    }

    /// Opens the conversation that is stored at this host.
    pub fn open(host: H) -> Self {
        Self { host, of: None }
    }

    /// Returns the host.
    pub fn into_host(self) -> H {
        self.host
    }

    /// Sends one message, of any length. The keys of its packets are gone from the stored state
    /// before the packets are handed out.
    ///
    /// # Errors
    /// With [`Error::Taken`] the message is stored and goes out with the next one, or with
    /// [`flush`](Self::flush); with [`Error::Truncated`] the other side has a part of it. If a stream
    /// failed under a short message, [`resend`](Self::resend) hands it out once more.
    pub async fn send<O: Outlet>(&mut self, outlet: &mut O, text: &[u8]) -> Result<(), Error> {
        let mut number = None;
        if text.len() < size(K_SHORT) {
            match self.short(outlet, text).await? {
                None => return Ok(()),
                Some(taken) => number = taken,
            }
        }
        let mut left = text;
        let read = |room: &mut [u8]| {
            let (now, later) = left.split_at(left.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            left = later;
            Ok(now.len())
        };
        self.long(outlet, number, Ahead::new(read)).await
    }

    /// Sends several short messages to a postbox in one step, which costs little more than one of them.
    /// Returns how many it has taken, from the first on, none if the first does not fit into a small packet:
    /// what it has not taken is for [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send), for all that it has taken; if it has taken none, for the first.
    pub async fn send_together<O: Outlet>(
        &mut self,
        outlet: &mut O,
        texts: &[&[u8]],
    ) -> (usize, Result<(), Error>) {
        match outlet.kind() {
            OutletKind::Postbox => {
                short::together(&mut self.host, outlet, &mut self.of, texts).await
            }
            OutletKind::Stream => (0, Ok(())),
        }
    }

    /// Sends what `read` gives, up to where it gives nothing more, as one message. A few packets of it
    /// are in memory at a time, and nothing is taken before the first bytes are here.
    ///
    /// # Errors
    /// As [`send`](Self::send); `read`'s own.
    pub async fn send_from<O, R>(&mut self, outlet: &mut O, read: R) -> Result<(), Error>
    where
        O: Outlet,
        R: FnMut(&mut [u8]) -> Result<usize, Cause>,
    {
        let (mut text, mut number) = (Ahead::new(read), None);
        text.fill(size(K_SHORT))?;
        if text.held.len() < size(K_SHORT) {
            match self.short(outlet, &text.held).await? {
                None => return Ok(()),
                Some(taken) => number = taken,
            }
        }
        self.long(outlet, number, text).await
    }

    /// Sends a short message; if it has to go as a long one, the number that it may already have.
    async fn short<O: Outlet>(
        &mut self,
        outlet: &mut O,
        text: &[u8],
    ) -> Result<Option<Option<u64>>, Error> {
        let receipt = outlet.asks_for_receipts();
        let message = Short { text, least: K_MIN, publish: true, later: false, receipt };
        match short(&mut self.host, outlet, &mut self.of, None, &message).await? {
            Sent::Out(_) => Ok(None),
            Sent::Long(taken) => Ok(Some(taken)),
        }
    }

    async fn long<O, R>(
        &mut self,
        outlet: &mut O,
        number: Option<u64>,
        text: Ahead<R>,
    ) -> Result<(), Error>
    where
        O: Outlet,
        R: FnMut(&mut [u8]) -> Result<usize, Cause>,
    {
        let begun = Course::begin(&mut self.host, outlet, &mut self.of, number, BATCH, true).await;
        let (mut course, numbers) = begun?;
        let Numbers { message, of, keys, mut reservation } = numbers;
        let mut flow = Flow { message, text, offset: 0, keys };
        let flowed = flow.run(&mut self.host, outlet, &mut course, &mut reservation).await;
        match flowed {
            Ok(last) => {
                let posted = (outlet.kind() == OutletKind::Postbox).then_some(last);
                course.end(&mut self.host, || Some(reservation), posted).await
            }
            Err(error) => {
                // The caller learns why the message ended; a failure to give the numbers back adds
                // nothing.
                drop(give_back(&mut self.host, of, reservation).await);
                Err(if flow.offset > 0 { Error::Truncated(error.into()) } else { error })
            }
        }
    }

    /// Hands out packets that are waiting.
    pub async fn flush<O: Outlet>(&mut self, outlet: &mut O) -> Result<(), Error> {
        flush(&mut self.host, outlet, self.of).await
    }

    /// Hands out the last short message once more, the same bytes; returns whether there is one.
    pub async fn resend<O: Outlet>(&mut self, outlet: &mut O) -> Result<bool, Error> {
        resend(&mut self.host, outlet, self.of).await
    }

    /// Becomes the session's one receiver. `deliver` gets every event; when it returns `Ok`, the
    /// text is in its final place, and its keys may be forgotten. A pending step for the other side
    /// goes to `outlet`, if there is one, and otherwise out with the next message.
    pub async fn receive<D, O>(
        &mut self,
        outlet: Option<O>,
        deliver: D,
    ) -> Result<Receiving<'_, H, O, D>, Error>
    where
        D: FnMut(Event<'_>) -> Result<(), Cause>,
        O: Outlet,
    {
        let role = self.host.become_receiver(false).await?;
        let mut receiver = Receiver::open(&mut self.host, None, LOOK_AHEAD, outlet).await?;
        Self::is_still(&mut self.of, receiver.session(), Doing::Receiving)?;
        receiver.end_if_over().await?;
        let sink = Deliver::new(deliver);
        let (counts, told) = (Counts::default(), Told::default());
        Ok(Receiving { receiver, sink, counts, told, role })
    }

    /// Whether what is stored is this conversation still, from now on that session.
    pub(super) fn is_still(
        of: &mut Option<Identity>,
        session: Option<&Session>,
        doing: Doing,
    ) -> Result<(), Error> {
        match (session.map(Session::identity), &of) {
            (Some(found), Some(known)) if known.is(&found) => Ok(()),
            (Some(found), None) => {
                *of = Some(found);
                Ok(())
            }
            (None, None) => Ok(()),
            _ => Err(Error::Another(doing)),
        }
    }

    /// The stored session, if it is this conversation's.
    pub(super) async fn session(&mut self) -> Result<Transaction<'_, H>, Error> {
        let mut transaction = Transaction::begin(&mut self.host).await?;
        Self::is_still(&mut self.of, Some(transaction.session()?), Doing::Sending)?;
        Ok(transaction)
    }

    /// The four words that two people compare by voice; `None` on the answering side until the
    /// first packet has arrived.
    pub async fn words(&mut self) -> Result<Option<[&'static str; WORDS]>, Error> {
        Ok(self.session().await?.session()?.words().ok())
    }

    /// Records that the other person has the words `same`; returns whether these are this session's
    /// words.
    pub async fn confirm_words(&mut self, same: &[&str; WORDS]) -> Result<bool, Error> {
        let mut transaction = self.session().await?;
        let session = transaction.session()?;
        if !session.words().is_ok_and(|words| words == *same) {
            return Ok(false);
        }
        // The words exist, so this cannot fail.
        let _ = session.record_same_words();
        transaction.commit().await.map(|_| true)
    }

    /// Asks whether the other side knows a secret. The other side sees `question`, which may be
    /// empty.
    pub async fn ask<O: Outlet>(
        &mut self,
        outlet: &mut O,
        secret: Password,
        question: &str,
    ) -> Result<(), Error> {
        if self.session().await?.session()?.peer_closed() {
            return Err(Error::PeerClosed);
        }
        verify::step(&mut self.host, outlet, Compared::Question(secret, question)).await
    }

    /// The other side's question, if it has asked one.
    pub async fn question(&mut self) -> Result<Option<Question>, Error> {
        drop(self.session().await?);
        verify::question(&mut self.host).await
    }

    /// Answers the question `asked`. This tells the other side whether the two secrets are equal;
    /// this side learns it with the next packet.
    pub async fn answer<O: Outlet>(
        &mut self,
        outlet: &mut O,
        asked: &Question,
        secret: &Password,
    ) -> Result<(), Error> {
        drop(self.session().await?);
        let prs = secret.stretch(&asked.run).map_err(VerifyError::from)?;
        verify::step(&mut self.host, outlet, Compared::Answer(prs)).await
    }

    /// How far the conversation has come.
    pub async fn status(&mut self) -> Result<Status, Error> {
        let stage = Transaction::begin(&mut self.host).await?.into_snapshot().stage;
        Self::is_still(&mut self.of, stage.session(), Doing::Receiving)?;
        Ok(match stage {
            Stage::Session(session) => Status {
                is_open: true,
                is_closed: session.peer_closed(),
                authentication: session.authentication(),
                sent: session.sent(),
                received: session.received(),
                missing: session.missing(),
                postbox: session.postbox().map(str::to_owned),
            },
            Stage::Inviting(inviting) => Status {
                is_open: false,
                is_closed: false,
                authentication: Authentication::default(),
                sent: 0,
                received: 0,
                missing: Vec::new(),
                postbox: inviting.postbox(),
            },
        })
    }

    /// Ends the conversation: wipes its state first, whatever happens, and returns what tells the
    /// other side.
    ///
    /// # Errors
    /// The state is not wiped.
    pub async fn close(mut self) -> Result<Last, Error> {
        close::end(&mut self.host, self.of, false).await
    }
}

/// What the caller has been told.
#[derive(Default)]
struct Told {
    opened: bool,
    closed: bool,
}

/// The receiving half of a conversation, while packets arrive.
pub struct Receiving<'a, H: Host, O: Outlet, D> {
    receiver: Receiver<&'a mut H, O>,
    sink: Deliver<D>,
    counts: Counts,
    told: Told,
    #[expect(dead_code, reason = "held for its drop")]
    role: H::Role,
}

impl<H: Host, O: Outlet, D: FnMut(Event<'_>) -> Result<(), Cause>> Receiving<'_, H, O, D> {
    /// Takes a packet, or the reply to the invite. A packet that is not accepted changes nothing,
    /// and is counted. Keep every packet until [`store`](Self::store) has returned `Ok` since, and
    /// [`holds`](Self::holds) is false for its address: until then it would be lost with this
    /// process.
    pub async fn packet(&mut self, packet: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.receiver.packet(packet.into(), None, &mut self.sink, &mut self.counts).await
    }

    /// Whether a packet with this address, its first 32 bytes, waits for an earlier one. It is only
    /// in memory.
    pub fn holds(&self, address: &[u8; ADDRESS]) -> bool {
        self.receiver.holds(address)
    }

    /// Delivers the text of opened packets, and stores the state that forgets their keys. Call this
    /// whenever no more packets are available for the moment.
    ///
    /// # Errors
    /// If `deliver` has failed, this receiver can receive nothing more; the next receiver gets
    /// everything that was not stored again.
    pub async fn store(&mut self) -> Result<(), Error> {
        self.receiver.settle(&mut self.sink, &mut self.counts).await?;
        let stored = self.receiver.store(&mut self.sink).await;
        // Their text has been delivered.
        drop(self.receiver.take_buffers(&mut self.sink));
        stored?;
        self.tell().await
    }

    /// Says that nothing more will come: gives up messages that are not complete.
    pub async fn finish(&mut self) -> Result<(), Error> {
        self.receiver.finish(&mut self.sink, &mut self.counts).await?;
        self.store().await
    }

    /// The tokens, 32 secret bytes each, of the next packets in a postbox: `count` of the other
    /// side's chain, and as many of its next chain.
    pub fn expected(&self, count: u32) -> Vec<[u8; 32]> {
        match self.receiver.stage() {
            Stage::Inviting(inviting) => vec![*inviting.reply_token()],
            Stage::Session(session) => session.awaited_tokens(&(0..count).collect::<Vec<_>>()),
        }
    }

    /// What a postbox may discard by now: token, packet hash and MAC key, 96 bytes each.
    pub fn spent(&self) -> Vec<[u8; 96]> {
        self.receiver.session().map(Session::collected).unwrap_or_default()
    }

    /// Records that the postbox has discarded these.
    pub async fn discarded(&mut self, records: &[[u8; 96]]) -> Result<(), Error> {
        self.receiver.forget_collected(records).await
    }

    /// What has arrived so far, in numbers.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    async fn tell(&mut self) -> Result<(), Error> {
        self.sink.tell_all(&[])?;
        if self.counts.replied && !self.told.opened {
            // The other side learns that its reply has arrived.
            self.receiver.hand_out_waiting().await?;
            (self.sink.tell)(Event::Opened)?;
            self.told.opened = true;
        }
        if self.counts.closed && !self.told.closed {
            (self.sink.tell)(Event::Closed)?;
            self.told.closed = true;
        }
        Ok(())
    }
}

/// What to tell the caller next.
enum Next {
    Piece(Piece),
    Truncated(u64),
}

/// Events on their way to the caller's closure.
pub(super) struct Deliver<D> {
    pub(super) tell: D,
    line: VecDeque<Next>,
    writing: Option<u64>,
}

impl<D: FnMut(Event<'_>) -> Result<(), Cause>> Deliver<D> {
    pub(super) fn new(tell: D) -> Self {
        Self { tell, line: VecDeque::new(), writing: None }
    }

    /// Tells what waits, whose text is in these packets.
    pub(super) fn tell_all(&mut self, packets: &[Zeroizing<Vec<u8>>]) -> Result<(), Cause> {
        while let Some(next) = self.line.front() {
            match next {
                Next::Truncated(message) => (self.tell)(Event::Truncated(*message))?,
                Next::Piece(Piece { packet, data }) => {
                    let packet = packets.get(*packet).map(|packet| body(packet));
                    let text = packet.and_then(|body| body.get(data.text.clone()));
                    let (message, offset, end) = (data.message, data.offset, data.end);
                    let text = text.unwrap_or_default();
                    (self.tell)(Event::Part { message, offset, end, text })?;
                }
            }
            self.line.pop_front();
        }
        Ok(())
    }
}

impl<D: FnMut(Event<'_>) -> Result<(), Cause>> Sink for Deliver<D> {
    fn writing(&self) -> Option<u64> {
        self.writing
    }

    fn add(&mut self, piece: Piece) {
        self.writing = (!piece.data.end).then_some(piece.data.message);
        self.line.push_back(Next::Piece(piece));
    }

    fn truncated(&mut self, message: u64) {
        if self.writing == Some(message) {
            self.writing = None;
        }
        self.line.push_back(Next::Truncated(message));
    }

    async fn deliver(
        &mut self,
        packets: &mut [Zeroizing<Vec<u8>>],
        _: Option<&Session>,
    ) -> Result<(), Cause> {
        self.tell_all(packets)
    }

    async fn checked(&mut self, event: &Check, _: Option<&Session>) -> Result<(), Cause> {
        (self.tell)(Event::Check(event))
    }
}
