//! `recv` from a postbox: collect, open, write, store, discard, in this order, so that whatever
//! ends it in between, the packet still lies there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use otr::conversation::{Counts, Files, Receiver, Rejected, Sink as _, block_on};
use otr::protocol::handshake::reply::REPLY;
use otr::protocol::ratchet::lookahead::LOOK_AHEAD;
use otr::protocol::session::Session;
use otr::protocol::session::stored::Stage;
use otr::store::ErrorKind;

use super::Args;
use super::collector::{self, Collector};
use super::delivery::{Delivery, JSON_MAX_POSTBOX};
use super::discarding::Discarding;
use super::outcome::Outcome;
use crate::commands::authenticated;
use crate::commands::held;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::postbox::api::{Discard, Token};
use crate::postbox::client::{Client, Found, Patience};
use crate::process;
use crate::ui::speak::warn;
use crate::ui::units;

/// Packets that are opened before the state is stored: no more keys wait to be published at a
/// time than the state has room for.
const BATCH: usize = 256;
/// So many rounds in vain, the last of ten seconds, a message is waited for while later ones are here.
const PATIENT: u32 = 2;
/// The same through Tor, where each round asks for few numbers.
const PATIENT_BY_TOR: u32 = 6;
/// How long a `send` that waits for the reply looks whether a `recv` beside it has taken it.
const GLANCE: Duration = Duration::from_millis(300);

/// When to stop.
#[derive(Clone, Copy)]
enum Until {
    /// So many messages came whole.
    Messages(u64),
    /// Nothing more is there.
    Empty,
    /// The other side closes.
    Closed,
}

struct Receiving<'a> {
    context: &'a Context,
    receiver: Receiver<Files, Client>,
    delivery: Delivery,
    outcome: Outcome,
    client: Client,
    collector: Collector,
    until: Until,
    look_ahead: u32,
    /// Packets that were put under our tokens by somebody else.
    junk: Vec<[u8; Discard::SIZE]>,
    /// Tokens of later parts that are held, and stay in the postbox until they are due.
    parked: BTreeSet<Token>,
    /// What the postbox throws away beside all this.
    discarding: Option<Discarding>,
}

pub(super) fn run(
    context: &Context,
    args: &Args,
    files: Files,
    client: &Client,
) -> Result<u8, Failure> {
    let delivery = Delivery::new(context, args, JSON_MAX_POSTBOX)?;
    let _receiver = files.store.lock_receiver(context.lock_wait)?;
    let patience = match args.wait {
        _ if args.all => Patience::Brief,
        Some(wait) => Patience::For(wait),
        None => Patience::Endless,
    };
    let client = client.patient(patience, context.voice);
    let outlet = Some(client.clone());
    let receiver = block_on(Receiver::open(files, None, args.look_ahead, outlet))?;
    let until = match args.count {
        _ if args.all => Until::Empty,
        _ if args.follow => Until::Closed,
        count => Until::Messages(count.unwrap_or(1)),
    };
    let mut receiving = Receiving {
        context,
        receiver,
        delivery,
        outcome: Outcome::of_postbox(args.wait.is_some()),
        collector: Collector::new(client.clone()),
        client,
        until,
        look_ahead: args.look_ahead,
        junk: Vec::new(),
        parked: BTreeSet::new(),
        discarding: None,
    };
    receiving.take_up()?;
    // From here on it may sleep for days.
    process::lock_pages();
    let result = receiving.receive(args.wait);
    result.and(receiving.discarded())?;
    let why = receiving.why(args);
    let code = receiving.outcome.tell(context.voice, receiving.receiver.session())?;
    if let Some(why) = why {
        context.voice.say(why);
    }
    Ok(code)
}

impl Receiving<'_> {
    /// Finishes what an earlier command could not.
    fn take_up(&mut self) -> Result<(), Failure> {
        block_on(self.receiver.end_if_over())?;
        if let Some(session) = self.receiver.session() {
            self.outcome.counts.closed = session.peer_closed();
            if self.outcome.counts.closed {
                // Nothing new will come; what was on its way may still be there.
                self.until = Until::Empty;
            }
            if let Err(error) = block_on(self.receiver.hand_out_waiting()) {
                warn(format_args!("a packet still waits to be posted: {error}"));
            }
        }
        self.discard()
    }

    /// Whether to go on waiting for the rest of a message, after rounds in vain, while parts of later
    /// ones are here: a message goes out after the other, so its sender has ended before its end.
    fn give_up_waiting(&mut self, round: u32) -> Result<(), Failure> {
        let patient = if self.client.isolates() { PATIENT_BY_TOR } else { PATIENT };
        if round >= patient {
            let counts = &mut self.outcome.counts;
            block_on(self.receiver.give_up_waiting(&mut self.delivery, counts))?;
            self.store()?;
        }
        Ok(())
    }

    fn receive(&mut self, wait: Option<Duration>) -> Result<(), Failure> {
        let (mut round, mut since) = (0, Instant::now());
        while !self.is_done() {
            block_on(self.receiver.refresh())?;
            block_on(self.receiver.end_if_over())?;
            let left = wait.map(|wait| wait.saturating_sub(since.elapsed()));
            let longest = collector::patience(round).min(self.client.longest_wait());
            let patience = match self.until {
                Until::Empty => Duration::ZERO,
                _ => left.map_or(longest, |left| left.min(longest)),
            };
            if let (Some(left), false) = (left, matches!(self.until, Until::Empty)) {
                self.collector.lasting(Patience::Until(Instant::now() + left));
            }
            if !self.collector.is_ahead() {
                // Not for as long as nothing comes.
                self.discarded()?;
            }
            let asked = Instant::now();
            let mut found = self.collector.collect(&self.tokens(round), patience)?;
            let in_vain = found.is_empty() && asked.elapsed() >= patience / 2;
            if in_vain {
                found = self.collector.collect(&self.beyond(round), Duration::ZERO)?;
                if found.is_empty() && matches!(self.until, Until::Empty) {
                    found = self.collector.collect(&self.by_chance()?, Duration::ZERO)?;
                }
            }
            if !found.is_empty() {
                self.take(found, in_vain)?;
                (round, since) = (0, Instant::now());
            } else if matches!(self.until, Until::Empty)
                || wait.is_some_and(|wait| since.elapsed() >= wait)
            {
                return self.end();
            } else if in_vain {
                round += 1;
                self.give_up_waiting(round)?;
            }
        }
        Ok(())
    }

    /// Why it ends, where that cannot be seen: it was to go on, or to bring more.
    fn why(&self, args: &Args) -> Option<String> {
        if !args.follow && args.count.is_none() {
            None
        } else if self.outcome.counts.closed {
            Some("the other side has closed the session: nothing more will come".to_owned())
        } else if self.is_done() {
            None
        } else {
            let wait = args.wait.unwrap_or_default().as_secs();
            Some(format!("nothing more came for {}", units::age(wait)))
        }
    }

    /// The wait has ended: what is unfinished now stays so.
    fn end(&mut self) -> Result<(), Failure> {
        block_on(self.receiver.finish(&mut self.delivery, &mut self.outcome.counts))?;
        self.store()
    }

    fn is_done(&self) -> bool {
        let enough = match self.until {
            Until::Messages(count) => {
                self.outcome.counts.whole >= count
                    || !self.outcome.counts.cut.is_empty()
                    || self.outcome.counts.closed
            }
            Until::Empty => false,
            Until::Closed => self.outcome.counts.closed,
        };
        self.delivery.is_done() || (enough && self.delivery.writing().is_none())
    }

    fn tokens(&self, round: u32) -> Vec<Token> {
        let mut tokens = match self.receiver.stage() {
            Stage::Inviting(inviting) => vec![*inviting.reply_token()],
            Stage::Session(session) => {
                collector::tokens(session, round, self.look_ahead, self.client.isolates())
            }
        };
        tokens.retain(|token| !self.parked.contains(token));
        tokens
    }

    /// As [`Self::tokens`], beyond a gap.
    fn beyond(&self, round: u32) -> Vec<Token> {
        let Some(session) = self.receiver.session() else { return Vec::new() };
        let mut tokens = collector::beyond(session, round, self.look_ahead, self.client.isolates());
        tokens.retain(|token| !self.parked.contains(token));
        tokens
    }

    /// As [`Self::beyond`], still farther, where that is chance.
    fn by_chance(&self) -> Result<Vec<Token>, Failure> {
        match self.receiver.session() {
            Some(session) if self.client.isolates() => {
                collector::by_chance(session, self.look_ahead)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Takes what was found, maybe `beyond` a gap.
    fn take(&mut self, mut found: Vec<Found>, beyond: bool) -> Result<(), Failure> {
        if matches!(self.receiver.stage(), Stage::Inviting(_)) {
            let opened =
                take_replies(&mut self.receiver, &self.client, &found, &mut self.outcome.counts)?;
            if opened {
                let opened = self.receiver.session().map(authenticated::opened);
                self.context.voice.say(opened.unwrap_or_default());
            }
            return Ok(());
        }
        // A `send` beside may have made possible what came.
        block_on(self.receiver.refresh())?;
        if let Some(session) = self.receiver.session() {
            collector::one_chain(session, self.look_ahead, &mut found);
            self.collector.ask_ahead(session, &found, &self.parked, self.look_ahead)?;
        }
        for (nth, one) in found.into_iter().enumerate() {
            if self.is_done() {
                break;
            }
            if nth % BATCH == BATCH - 1 {
                self.store()?;
            }
            self.packet(one, beyond)?;
        }
        block_on(self.receiver.settle(&mut self.delivery, &mut self.outcome.counts))?;
        self.store()
    }

    fn packet(&mut self, found: Found, beyond: bool) -> Result<(), Failure> {
        let (refused, unexpected) =
            (self.outcome.counts.rejected(), self.outcome.counts.unexpected());
        let address = crate::postbox::api::address_of(&found.token);
        let record = Discard::without_key(&found.token, &found.hash);
        let (sink, counts) = (&mut self.delivery, &mut self.outcome.counts);
        block_on(self.receiver.packet(found.packet, Some(found.hash), sink, counts))?;
        let unexpected = self.outcome.counts.unexpected() > unexpected;
        if self.receiver.holds(&address)
            || (unexpected && (beyond || self.is_awaited(&found.token)))
        {
            self.parked.insert(found.token);
        } else if self.outcome.counts.rejected() > refused {
            self.junk.push(record);
        }
        Ok(())
    }

    /// Whether a packet that is not expected lies where one will be: it is not ours to throw away.
    fn is_awaited(&self, token: &Token) -> bool {
        let session = self.receiver.session();
        session.is_some_and(|session| {
            collector::tokens(session, 0, self.look_ahead, false).contains(token)
        })
    }

    fn store(&mut self) -> Result<(), Failure> {
        block_on(self.receiver.store(&mut self.delivery))?;
        for mut buffer in self.receiver.take_buffers() {
            self.client.recycle(std::mem::take(&mut buffer));
        }
        self.discard()
    }

    /// Throws away what was opened and stored, and what will never open. The keys stay in the
    /// state until the postbox has them.
    fn discard(&mut self) -> Result<(), Failure> {
        self.discarded()?;
        if self.receiver.is_ahead() {
            return Ok(());
        }
        let spent = self.receiver.session().map(Session::collected).unwrap_or_default();
        let all = [&spent[..], &self.junk[..]].concat();
        if all.is_empty() {
            return Ok(());
        }
        self.junk.clear();
        if self.collector.is_ahead() {
            // In the middle of a long message: the next packets are opened meanwhile.
            self.discarding = Some(Discarding::start(&self.client, spent, all)?);
            return Ok(());
        }
        self.client.discard(&all)?;
        Ok(block_on(self.receiver.forget_collected(&spent))?)
    }

    /// Waits until the postbox has thrown away what it was told to.
    fn discarded(&mut self) -> Result<(), Failure> {
        let Some(discarding) = self.discarding.take() else { return Ok(()) };
        Ok(block_on(self.receiver.forget_collected(&discarding.end()?))?)
    }
}

/// Looks for the reply in what lay under its token; whether it was there. The other side is
/// answered at once.
fn take_replies(
    receiver: &mut Receiver<Files, Client>,
    client: &Client,
    found: &[Found],
    counts: &mut Counts,
) -> Result<bool, Failure> {
    for one in found {
        if one.packet.len() == REPLY {
            block_on(receiver.reply(&one.packet, counts))?;
        } else {
            counts.reject(Rejected::NoReply);
        }
    }
    let records: Vec<_> =
        found.iter().map(|one| Discard::without_key(&one.token, &one.hash)).collect();
    if receiver.session().is_none() {
        return client.discard(&records).map(|()| false);
    }
    if let Err(error) = block_on(receiver.hand_out_waiting()) {
        warn(format_args!("the other side was not told yet that the session is open: {error}"));
    }
    if let Err(failure) = client.discard(&records) {
        warn(format_args!("the reply stays in the postbox until its time is up: {}", failure.what));
    }
    Ok(true)
}

/// Waits for the reply on behalf of `send`; code 14 if it does not come.
pub(crate) fn take_reply(
    context: &Context,
    mut files: Files,
    client: &Client,
    wait: Duration,
) -> Result<Files, Failure> {
    let deadline = Instant::now() + wait;
    let _receiver = loop {
        match files.store.lock_receiver(GLANCE) {
            // A `recv` is at it.
            Err(error) if error.kind() == ErrorKind::Busy => {
                if matches!(held::take(&mut files)?.stage, Stage::Session(_)) {
                    return Ok(files);
                }
                if Instant::now() >= deadline {
                    return Err(not_answered());
                }
            }
            other => break other?,
        }
    };
    let outlet = Some(client.clone());
    let mut receiver = block_on(Receiver::open(files, None, LOOK_AHEAD, outlet))?;
    let mut outcome = Outcome::default();
    loop {
        let inviting = match receiver.stage() {
            Stage::Inviting(inviting) => inviting,
            Stage::Session(session) => {
                outcome.tell_refused(context.voice);
                context.voice.say(authenticated::opened(session));
                return Ok(receiver.into_host());
            }
        };
        let token = *inviting.reply_token();
        let left = deadline.saturating_duration_since(Instant::now());
        let found = client.lasting(Patience::Until(deadline)).collect(&[token], left)?;
        if found.is_empty() && Instant::now() >= deadline {
            outcome.tell_refused(context.voice);
            return Err(not_answered());
        }
        take_replies(&mut receiver, client, &found, &mut outcome.counts)?;
    }
}

fn not_answered() -> Failure {
    let what = "nobody has answered the invite yet";
    Failure::new(Code::NotReady, what, "nothing was sent: try again later")
}
