//! Receiving from a postbox: collect, open, deliver, store, discard, in this order, so that the
//! packet is still there, whatever ends this in between.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::collector::Collector;
use super::discarding::Discarding;
use super::plan;
use crate::conversation::driver::{Host, Notice, Sink};
use crate::conversation::error::Error;
use crate::conversation::receive::{Counts, Receiver, Rejected};
use crate::kind::ErrorKind;
use crate::postbox::api::{Discard, MAX_WAIT, Token, address_of};
use crate::postbox::client::{Client, Found, Patience};
use crate::protocol::handshake::reply::REPLY;
use crate::protocol::session::Session;
use crate::protocol::session::stored::Stage;

/// Packets that are opened before the state is stored: no more keys wait to be published at a
/// time than the state has room for.
const BATCH: usize = 256;
/// How many rounds, the last of ten seconds, to wait for a message while later ones are here.
const PATIENT: u32 = 2;

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// This many messages have arrived complete.
    Messages(u64),
    /// Nothing more is there.
    Empty,
    /// The other side closes.
    Closed,
}

/// The receiving half of a session with a postbox. Its caller is the session's one receiver, as long as it
/// lives.
pub struct Collecting<H: Host> {
    pub(super) receiver: Receiver<H, Client>,
    pub(super) client: Client,
    collector: Collector,
    pub(super) until: Until,
    pub(super) look_ahead: u32,
    /// What has arrived so far, in numbers.
    pub counts: Counts,
    /// Packets that somebody else has posted under our tokens.
    pub(super) junk: Vec<[u8; Discard::SIZE]>,
    /// Tokens of later parts that are held back, and stay in the postbox until they are due.
    pub(super) held_back: BTreeSet<Token>,
    /// What the postbox is discarding meanwhile.
    discarding: Option<Discarding>,
    /// Whether somebody else posts what waits.
    pub(super) leaves_posting: bool,
}

impl<H: Host> Collecting<H> {
    /// Loads the session, whose postbox `client` calls. Packets are expected up to `look_ahead` numbers
    /// ahead.
    pub async fn open(
        host: H,
        client: Client,
        look_ahead: u32,
        until: Until,
    ) -> Result<Self, Error> {
        let mut receiver = Receiver::open(host, None, look_ahead, Some(client.clone())).await?;
        if let Some(session) = receiver.session() {
            client.know(session.elsewhere());
        }
        if client.isolates() {
            receiver.pays_later();
        }
        Ok(Self {
            receiver,
            collector: Collector::new(client.clone()),
            client,
            until,
            look_ahead,
            counts: Counts::default(),
            junk: Vec::new(),
            held_back: BTreeSet::new(),
            discarding: None,
            leaves_posting: false,
        })
    }

    /// The current session, if the handshake is done.
    pub fn session(&self) -> Option<&Session> {
        self.receiver.session()
    }

    /// Ends the receiving.
    pub fn into_host(self) -> H {
        self.receiver.into_host()
    }

    /// From now on somebody else posts what waits in the session, as [`Conversation::cover`] does; this posts it
    /// only at its end, or with what ends the session.
    ///
    /// [`Conversation::cover`]: crate::conversation::Conversation::cover
    pub fn leaves_posting(&mut self) {
        self.leaves_posting = true;
    }

    /// Finishes what an earlier receiver could not finish.
    pub async fn take_up(&mut self) -> Result<(), Error> {
        self.receiver.end_if_over().await?;
        if let Some(session) = self.receiver.session() {
            self.counts.closed = session.peer_closed();
            if self.counts.closed {
                // Nothing new will come; what was on its way may still be there.
                self.until = Until::Empty;
            }
        }
        if self.client.isolates() {
            // At moments of its own, with the rest.
            return Ok(());
        }
        if self.receiver.session().is_some()
            && !self.leaves_posting
            && let Err(error) = self.receiver.hand_out_waiting().await
        {
            self.receiver.notice(Notice::StillWaits(&error));
        }
        self.discard().await
    }

    /// Receives until it is to stop, or nothing has come for `wait`.
    pub async fn receive<S: Sink>(
        &mut self,
        sink: &mut S,
        wait: Option<Duration>,
    ) -> Result<(), Error> {
        if self.client.isolates() {
            return self.receive_apart(sink, wait).await;
        }
        let received = self.rounds(sink, wait).await;
        received.and(self.discarded().await)
    }

    async fn rounds<S: Sink>(&mut self, sink: &mut S, wait: Option<Duration>) -> Result<(), Error> {
        let (mut round, mut since) = (0, Instant::now());
        let mut many = false;
        while !self.is_done(sink) {
            self.receiver.refresh().await?;
            self.receiver.end_if_over().await?;
            if self.counts.closed {
                // A message was cut by the close: what was on its way may still be there.
                self.until = Until::Empty;
            }
            let left = wait.map(|wait| wait.saturating_sub(since.elapsed()));
            let longest = plan::wait(round).min(self.client.longest_wait());
            let patience = match self.until {
                Until::Empty => Duration::ZERO,
                _ => left.map_or(longest, |left| left.min(longest)),
            };
            if let (Some(left), false) = (left, self.until == Until::Empty) {
                self.collector.lasting(Patience::Until(Instant::now() + left));
            }
            if !self.collector.is_ahead() {
                // The session must not stay locked while nothing comes.
                self.discarded().await?;
            }
            let asked = Instant::now();
            let mut found = self.collector.collect(&self.tokens(round, many), patience)?;
            if found.is_empty() && self.client.is_stopped() {
                return Ok(());
            }
            let waited = found.is_empty() && asked.elapsed() >= patience / 2;
            if waited {
                found = self.collector.collect(&self.beyond(round), Duration::ZERO)?;
            }
            if !found.is_empty() {
                let count = found.len();
                self.take(sink, found, waited).await?;
                many = sink.hurries() || count >= plan::NEAR as usize;
                (round, since) = (0, Instant::now());
            } else if self.until == Until::Empty || wait.is_some_and(|wait| since.elapsed() >= wait)
            {
                return self.end(sink).await;
            } else if waited {
                round += 1;
                self.give_up_waiting(sink, round).await?;
            }
        }
        Ok(())
    }

    /// Waits for the reply to the invite, until `deadline` if there is one; returns whether it
    /// came.
    pub async fn reply(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        let client = match deadline {
            Some(deadline) => self.client.lasting(Patience::Until(deadline)),
            None => self.client.clone(),
        };
        let mut looked = 0;
        loop {
            self.receiver.refresh().await?;
            let token = match self.receiver.stage() {
                Stage::Inviting(inviting) => *inviting.reply_token(),
                Stage::Session(_) => return Ok(true),
            };
            if client.isolates() {
                self.pause()?;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let mut found = client.collect(&[token], left.unwrap_or(MAX_WAIT))?;
            if found.is_empty() && client.isolates() && !client.is_stopped() {
                // Where it lies if the other side could not reach that one. Not to reach it, either, says nothing.
                found = client.collect_elsewhere(&token, looked).unwrap_or_default();
                looked += 1;
            }
            let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if found.is_empty() && (over || client.is_stopped()) {
                return Ok(false);
            }
            self.take_replies(&found).await?;
        }
    }

    /// Whether to keep waiting for the rest of a message after rounds in which nothing came, while
    /// parts of later messages are here. Messages go out one after another, so its sender must have
    /// stopped before its end.
    async fn give_up_waiting<S: Sink>(&mut self, sink: &mut S, round: u32) -> Result<(), Error> {
        if round >= PATIENT {
            self.receiver.give_up_waiting(sink, &mut self.counts).await?;
            self.store(sink).await?;
        }
        Ok(())
    }

    /// The wait has ended: unfinished messages stay unfinished.
    pub(super) async fn end<S: Sink>(&mut self, sink: &mut S) -> Result<(), Error> {
        self.receiver.finish(sink, &mut self.counts).await?;
        self.store(sink).await
    }

    /// Whether the requested packets have arrived.
    pub fn is_done(&self, sink: &impl Sink) -> bool {
        let enough = match self.until {
            Until::Messages(count) => {
                self.counts.whole >= count
                    || !self.counts.truncated.is_empty()
                    || self.counts.closed
            }
            Until::Empty => false,
            Until::Closed => self.counts.closed,
        };
        sink.is_done() || self.client.is_stopped() || (enough && sink.writing().is_none())
    }

    fn tokens(&self, round: u32, many: bool) -> Vec<Token> {
        let mut tokens = match self.receiver.stage() {
            Stage::Inviting(inviting) => vec![*inviting.reply_token()],
            Stage::Session(session) => {
                let near = if many { plan::LONG } else { plan::NEAR };
                plan::tokens(session, round, near.min(self.look_ahead))
            }
        };
        tokens.retain(|token| !self.held_back.contains(token));
        tokens
    }

    /// Like [`Self::tokens`], beyond a gap.
    fn beyond(&self, round: u32) -> Vec<Token> {
        let Some(session) = self.receiver.session() else { return Vec::new() };
        let mut tokens = plan::beyond(session, round, self.look_ahead);
        tokens.retain(|token| !self.held_back.contains(token));
        tokens
    }

    /// Takes the packets that were found, perhaps `beyond` a gap.
    pub(super) async fn take<S: Sink>(
        &mut self,
        sink: &mut S,
        mut found: Vec<Found>,
        beyond: bool,
    ) -> Result<(), Error> {
        if matches!(self.receiver.stage(), Stage::Inviting(_)) {
            return self.take_replies(&found).await;
        }
        // A concurrent sender may have made this packet possible.
        self.receiver.refresh().await?;
        if let Some(session) = self.receiver.session() {
            plan::one_chain(session, self.look_ahead, &mut found, |one| one.token);
            if !self.client.isolates() {
                self.collector.ask_ahead(session, &found, &self.held_back, self.look_ahead)?;
            }
        }
        for (nth, one) in found.into_iter().enumerate() {
            if self.is_done(sink) {
                break;
            }
            if nth % BATCH == BATCH - 1 {
                self.store(sink).await?;
            }
            self.packet(sink, one, beyond).await?;
            if sink.takes_singly() {
                // The next message may keep the sink busy for hours.
                self.store(sink).await?;
            }
        }
        self.receiver.settle(sink, &mut self.counts).await?;
        self.store(sink).await
    }

    async fn packet<S: Sink>(
        &mut self,
        sink: &mut S,
        found: Found,
        beyond: bool,
    ) -> Result<(), Error> {
        let refused = self.counts.rejected();
        let unexpected = self.counts.rejected_as(Rejected::Unexpected);
        let elsewhere = self.counts.rejected_as(Rejected::Elsewhere);
        let address = address_of(&found.token);
        let record = Discard::without_key(&found.token, &found.hash);
        if let Some(at) = self.client.elsewhere(&found.token) {
            self.receiver.lies_at(found.token, at);
        }
        self.receiver.packet(found.packet, Some(found.hash), sink, &mut self.counts).await?;
        let unexpected = self.counts.rejected_as(Rejected::Unexpected) > unexpected;
        let elsewhere = self.counts.rejected_as(Rejected::Elsewhere) > elsewhere;
        if self.receiver.holds(&address)
            || elsewhere
            || (unexpected && (beyond || self.is_awaited(&found.token)))
        {
            self.held_back.insert(found.token);
        } else if self.counts.rejected() > refused && !self.junk.contains(&record) {
            self.junk.push(record);
        }
        Ok(())
    }

    /// Whether an unexpected packet lies where one will be expected: then we must not discard it.
    fn is_awaited(&self, token: &Token) -> bool {
        let session = self.receiver.session();
        let near = plan::LONG.min(self.look_ahead);
        session.is_some_and(|session| plan::tokens(session, 0, near).contains(token))
    }

    /// Looks for the reply among the packets under its token, and answers the other side at once.
    async fn take_replies(&mut self, found: &[Found]) -> Result<(), Error> {
        let records: Vec<_> =
            found.iter().map(|one| Discard::without_key(&one.token, &one.hash)).collect();
        for one in found {
            if one.packet.len() != REPLY {
                self.counts.reject(Rejected::NoReply);
            } else if let Err(error) = self.receiver.reply(&one.packet, &mut self.counts).await {
                if error.kind() == ErrorKind::NotAuthentic {
                    // There is no session any more that could. Whoever has answered sees it gone, and that
                    // nothing comes.
                    drop(self.client.discard_all(&records));
                }
                return Err(error);
            }
        }
        let Some(session) = self.receiver.session() else {
            return Ok(self.client.discard_all(&records)?);
        };
        let secret = session.used_secret();
        if self.client.isolates() {
            // Else who has collected the reply is who posts next.
            self.pause()?;
        } else if let Err(error) = self.receiver.hand_out_waiting().await {
            self.receiver.notice(Notice::NotTold(&error));
        }
        if let Err(error) = self.client.discard_all(&records) {
            self.receiver.notice(Notice::ReplyStays(&error.into()));
        }
        if self.client.isolates() {
            self.pause()?;
            self.pay_apart().await?;
        }
        self.receiver.notice(Notice::Opened { secret });
        Ok(())
    }

    pub(super) async fn store<S: Sink>(&mut self, sink: &mut S) -> Result<(), Error> {
        while let Some(spent) = self.receiver.store_some(sink).await? {
            // The sender may wait to hear of it, and who settles the rest may take hours.
            if !spent.is_empty() && !self.client.isolates() {
                let done = self.client.discard(&spent)?;
                self.receiver.forget_collected(&done).await?;
            }
        }
        for buffer in self.receiver.take_buffers(sink) {
            self.client.recycle(buffer);
        }
        self.discard().await
    }

    /// Discards packets that were opened and stored, and those that will never open. The keys stay
    /// in the state until the postbox has them.
    async fn discard(&mut self) -> Result<(), Error> {
        self.discarded().await?;
        if self.receiver.is_ahead() || self.client.isolates() {
            return Ok(());
        }
        let spent = self.receiver.session().map(Session::collected).unwrap_or_default();
        let all = [&spent[..], &self.junk[..]].concat();
        if all.is_empty() {
            return Ok(());
        }
        self.junk.clear();
        if self.collector.is_ahead() {
            // Within a long message the next packets are opened meanwhile.
            self.discarding = Some(Discarding::start(&self.client, spent, all)?);
            return Ok(());
        }
        let done = self.client.discard(&all)?;
        self.receiver.forget_collected(&done).await
    }

    /// Waits until the postbox has discarded what it was told to.
    async fn discarded(&mut self) -> Result<(), Error> {
        let Some(discarding) = self.discarding.take() else { return Ok(()) };
        self.receiver.forget_collected(&discarding.end()?).await
    }
}
