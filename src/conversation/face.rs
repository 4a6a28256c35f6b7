//! One end of a conversation, for programs: what can be done with it, each in its order of effects.

use super::cause::Cause;
use super::close::{self, Last};
use super::driver::{Host, Outlet, Piece, Sink};
use super::error::Error;
use super::handshake::create;
use super::long::{Course, give_back};
use super::outbox::{flush, resend};
use super::receive::{Counts, Receiver};
use super::short::{K_SHORT, Sent, Short, short};
use super::transaction::Transaction;
use super::verify::{self, Compared, Question};
use crate::protocol::authentication::Authentication;
use crate::protocol::authentication::password::Password;
use crate::protocol::authentication::verify::Event as Check;
use crate::protocol::authentication::words::WORDS;
use crate::protocol::handshake::{Inviting, respond};
use crate::protocol::packet::{K_MAX, K_MIN, size};
use crate::protocol::ratchet::lookahead::LOOK_AHEAD;
use crate::protocol::session::stored::Stage;
use crate::protocol::session::{Identity, Part, Session, body};
use zeroize::Zeroizing;

/// Numbers that a long message takes at a time.
const BATCH: u32 = 32;

/// What an invite is made with; the default names no postbox, has no end and asks for no secret.
#[derive(Clone, Copy, Default)]
pub struct Invitation<'a> {
    /// The URL of the postbox in which both ends leave their packets.
    pub postbox: Option<&'a str>,
    /// Unix seconds after which the invite serves no more.
    pub expires: Option<u64>,
    /// A secret that both sides know.
    pub secret: Option<&'a Password>,
}

/// What happens while packets are taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The reply to the invite has come: the session is open.
    Opened,
    /// A part of a message. Parts of one message come in their order, with no other's in between.
    Part {
        /// The message's number, from 0.
        message: u64,
        /// Where in the message it begins, in bytes.
        offset: u64,
        /// Whether the message ends with it.
        end: bool,
        /// Its text.
        text: &'a [u8],
    },
    /// Nothing more of this message will come.
    Cut(u64),
    /// What a check of a secret has come to.
    Check(&'a Check),
    /// The other side has closed the conversation.
    Closed,
}

/// How far a conversation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether the handshake is done.
    pub is_open: bool,
    /// Whether the other side has closed.
    pub is_closed: bool,
    /// How the other side was authenticated so far.
    pub authentication: Authentication,
    /// Messages that went out.
    pub sent: u64,
    /// Messages that came whole.
    pub received: u64,
    /// Runs of numbers, first and last, of messages that should be here and are not.
    pub missing: Vec<(u64, u64)>,
}

/// One end of a conversation, which sleeps at its host between any two calls.
///
/// Every call may run while other processes use the same session. What a call was given counts as sent
/// or taken when it returns `Ok`; dropped or ended before, it has lost nothing, and done nothing twice.
pub struct Conversation<H: Host> {
    host: H,
    of: Option<Identity>,
}

impl<H: Host> Conversation<H> {
    /// Begins a conversation: stores it, and gives the invite for the other side.
    ///
    /// # Errors
    /// [`Error::Inviting`]; an effect's, such as that a session is there already.
    pub async fn invite(mut host: H, with: Invitation<'_>) -> Result<(Self, Vec<u8>), Error> {
        let (postbox, expires) = (with.postbox.unwrap_or_default(), with.expires.unwrap_or(0));
        let now = host.now();
        let inviting = Inviting::new(postbox, expires, with.secret, now, host.randomness())?;
        let invite = inviting.invite().to_vec();
        create(&mut host, &Stage::Inviting(Box::new(inviting)), false).await?;
        Ok((Self::open(host), invite))
    }

    /// Answers an invite: stores the session, and gives the reply, of 4,096 bytes.
    ///
    /// # Errors
    /// [`Error::Respond`]; an effect's.
    pub async fn respond(
        mut host: H,
        invite: &[u8],
        secret: Option<&Password>,
    ) -> Result<(Self, Vec<u8>), Error> {
        let now = host.now();
        let (session, reply) = respond(invite, secret, now, host.randomness())?;
        create(&mut host, &Stage::Session(Box::new(session)), false).await?;
        Ok((Self::open(host), reply))
    }

    /// Goes on with the conversation that sleeps there.
    pub fn open(host: H) -> Self {
        Self { host, of: None }
    }

    /// The host again.
    pub fn into_host(self) -> H {
        self.host
    }

    /// Sends one message, of any length; its packets are sealed under keys that are out of the stored
    /// state by then.
    ///
    /// # Errors
    /// With [`Error::Taken`] it is stored and goes out with the next message, or [`flush`](Self::flush).
    pub async fn send<O: Outlet>(&mut self, outlet: &mut O, text: &[u8]) -> Result<(), Error> {
        let mut number = None;
        if text.len() < size(K_SHORT) {
            let message = Short { text, least: K_MIN, publish: true, later: false };
            match short(&mut self.host, outlet, &mut self.of, None, &message).await? {
                Sent::Out(_) => return Ok(()),
                Sent::Long(taken) => number = taken,
            }
        }
        let begun = Course::begin(&mut self.host, outlet, &mut self.of, number, BATCH, true).await;
        let (mut course, mut numbers) = begun?;
        let mut offset = 0;
        loop {
            if numbers.reservation.left() == 0 {
                numbers.reservation = course.more(&mut self.host).await?;
            }
            let left = &text[offset..];
            let largest = (K_MIN..=K_MAX).rev().find(|&k| size(k) <= outlet.largest());
            let largest = largest.unwrap_or(K_MIN);
            let length = left.len().min(numbers.reservation.room(largest));
            let k = numbers.reservation.fit(length, K_MIN).unwrap_or(largest);
            let mut packet = vec![0; size(k)];
            let start = numbers.reservation.text_start();
            packet[start..start + length].copy_from_slice(&left[..length]);
            let end = length == left.len();
            let part = Part { message: numbers.message, offset: offset as u64, end, length };
            let randomness = self.host.randomness();
            let sealed = numbers.reservation.seal_part(&mut packet, part, randomness);
            let keys = std::mem::take(&mut numbers.keys);
            let out = match sealed {
                Ok(_) => outlet.hand_out(&keys, std::slice::from_ref(&packet)).await,
                Err(error) => return Err(error.into()),
            };
            match out {
                Ok(refused) if refused.is_empty() => {}
                failed => {
                    give_back(&mut self.host, numbers.of, numbers.reservation).await?;
                    return Err(failed.err().unwrap_or_else(|| outlet.nothing_fits()).into());
                }
            }
            offset += length;
            if end {
                return course.end(&mut self.host, Some(numbers.reservation), None).await;
            }
        }
    }

    /// Hands out what waits.
    pub async fn flush<O: Outlet>(&mut self, outlet: &mut O) -> Result<(), Error> {
        flush(&mut self.host, outlet, self.of).await
    }

    /// Hands the last short message out once more, the same bytes; whether there is one.
    pub async fn resend<O: Outlet>(&mut self, outlet: &mut O) -> Result<bool, Error> {
        resend(&mut self.host, outlet, self.of).await
    }

    /// Becomes the session's one receiver. `deliver` is told what comes; when it returns `Ok`, the text
    /// is where it should be for good, and its keys may be forgotten.
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
        let receiver = Receiver::open(&mut self.host, None, LOOK_AHEAD, outlet).await?;
        let sink = Deliver { tell: deliver, pieces: Vec::new(), writing: None, cut: Vec::new() };
        Ok(Receiving { receiver, sink, counts: Counts::default(), told: (false, false), role })
    }

    /// The four words that two people compare by voice; `None` on the answering side until the first
    /// packet has come.
    pub async fn words(&mut self) -> Result<Option<[&'static str; WORDS]>, Error> {
        Ok(Transaction::begin(&mut self.host).await?.session()?.words().ok())
    }

    /// Records that the other person has the same words; whether there are words yet.
    pub async fn confirm_words(&mut self) -> Result<bool, Error> {
        let mut transaction = Transaction::begin(&mut self.host).await?;
        if transaction.session()?.record_same_words().is_err() {
            return Ok(false);
        }
        transaction.commit().await.map(|_| true)
    }

    /// Asks whether the other side knows a secret; `question` is shown to it, and may be empty.
    pub async fn ask<O: Outlet>(
        &mut self,
        outlet: &mut O,
        secret: Password,
        question: &str,
    ) -> Result<(), Error> {
        verify::step(&mut self.host, outlet, Compared::Question(secret, question)).await
    }

    /// What the other side asks, if it does.
    pub async fn question(&mut self) -> Result<Option<Question>, Error> {
        verify::question(&mut self.host).await
    }

    /// Answers that question. Its packets tell the other side whether the two secrets are equal; this
    /// side learns it with the next packet.
    pub async fn answer<O: Outlet>(
        &mut self,
        outlet: &mut O,
        asked: &Question,
        secret: &Password,
    ) -> Result<(), Error> {
        let prs = secret.stretch(&asked.run).map_err(|_| {
            Error::Verify(crate::protocol::session::verify::VerifyError::OutOfMemory)
        })?;
        verify::step(&mut self.host, outlet, Compared::Answer(prs)).await
    }

    /// How far the conversation is.
    pub async fn status(&mut self) -> Result<Status, Error> {
        let stage = Transaction::begin(&mut self.host).await?.into_snapshot().stage;
        Ok(match stage {
            Stage::Session(session) => Status {
                is_open: true,
                is_closed: session.peer_closed(),
                authentication: session.authentication(),
                sent: session.sent(),
                received: session.received(),
                missing: session.missing(),
            },
            Stage::Inviting(_) => Status {
                is_open: false,
                is_closed: false,
                authentication: Authentication::default(),
                sent: 0,
                received: 0,
                missing: Vec::new(),
            },
        })
    }

    /// Ends the conversation: its state is wiped first, whatever is in the way, and then the other side
    /// is told by what this gives.
    ///
    /// # Errors
    /// It is not wiped.
    pub async fn close(mut self) -> Result<Last, Error> {
        close::end(&mut self.host, false).await
    }
}

/// The receiving half, while packets come.
pub struct Receiving<'a, H: Host, O: Outlet, D> {
    receiver: Receiver<&'a mut H, O>,
    sink: Deliver<D>,
    counts: Counts,
    /// Whether it was told that the session is open, and closed.
    told: (bool, bool),
    #[expect(dead_code, reason = "held for its drop")]
    role: H::Role,
}

impl<H: Host, O: Outlet, D: FnMut(Event<'_>) -> Result<(), Cause>> Receiving<'_, H, O, D> {
    /// Takes a packet, or the reply to the invite. One that is not accepted changes nothing, and is
    /// counted. Text is delivered with [`store`](Self::store), or before.
    pub async fn packet(&mut self, packet: Vec<u8>) -> Result<(), Error> {
        self.receiver.packet(packet, None, &mut self.sink, &mut self.counts).await
    }

    /// Delivers what was opened, and stores the state that forgets its keys. To be called whenever
    /// nothing more is there for the moment.
    pub async fn store(&mut self) -> Result<(), Error> {
        self.receiver.settle(&mut self.sink, &mut self.counts).await?;
        self.receiver.store(&mut self.sink).await?;
        self.tell()
    }

    /// Nothing more will come: gives up messages that are not whole.
    pub async fn finish(&mut self) -> Result<(), Error> {
        self.receiver.finish(&mut self.sink, &mut self.counts).await?;
        self.store().await
    }

    /// The tokens, 32 bytes each and secret, under which the next packets lie in a postbox: `count` of
    /// the other side's chain, and of its next one.
    pub fn expected(&self, count: u32) -> Vec<[u8; 32]> {
        match self.receiver.stage() {
            Stage::Inviting(inviting) => vec![*inviting.reply_token()],
            Stage::Session(session) => session.awaited_tokens(&(0..count).collect::<Vec<_>>()),
        }
    }

    /// What has come so far, in numbers.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn tell(&mut self) -> Result<(), Error> {
        for message in std::mem::take(&mut self.sink.cut) {
            (self.sink.tell)(Event::Cut(message))?;
        }
        if self.counts.replied && !std::mem::replace(&mut self.told.0, true) {
            (self.sink.tell)(Event::Opened)?;
        }
        if self.counts.closed && !std::mem::replace(&mut self.told.1, true) {
            (self.sink.tell)(Event::Closed)?;
        }
        Ok(())
    }
}

/// Text on its way to the caller's closure.
struct Deliver<D> {
    tell: D,
    pieces: Vec<Piece>,
    writing: Option<u64>,
    cut: Vec<u64>,
}

impl<D: FnMut(Event<'_>) -> Result<(), Cause>> Sink for Deliver<D> {
    fn writing(&self) -> Option<u64> {
        self.writing
    }

    fn add(&mut self, piece: Piece) {
        self.writing = (!piece.data.end).then_some(piece.data.message);
        self.pieces.push(piece);
    }

    fn cut(&mut self, message: u64) {
        if self.writing == Some(message) {
            self.writing = None;
        }
        self.cut.push(message);
    }

    async fn deliver(
        &mut self,
        packets: &[Zeroizing<Vec<u8>>],
        _: Option<&Session>,
    ) -> Result<(), Cause> {
        for piece in std::mem::take(&mut self.pieces) {
            let Some(packet) = packets.get(piece.packet) else { continue };
            let text = body(packet).get(piece.data.text.clone()).unwrap_or_default();
            let (message, offset, end) = (piece.data.message, piece.data.offset, piece.data.end);
            (self.tell)(Event::Part { message, offset, end, text })?;
        }
        Ok(())
    }

    async fn checked(&mut self, event: &Check, _: Option<&Session>) -> Result<(), Cause> {
        (self.tell)(Event::Check(event))
    }
}
