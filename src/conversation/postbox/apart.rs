//! Receiving where calls are kept apart (Tor, a proxy): the relay sees each address by itself, and when
//! it is named must tell nothing. So every token is asked for at moments of its own, by a connection
//! that ends with the answer; what was read is discarded later, and what we owe is posted later. The
//! order of effects is the same: open, deliver, store, discard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::errands::{Done, Errand, Errands};
use super::plan;
use super::receiving::{Collecting, Until};
use super::schedule::{SPREAD, Schedule, part};
use super::searching::Searches;
use super::start;
use crate::conversation::driver::{Host, Notice, Sink};
use crate::conversation::error::Error;
use crate::kind::ErrorKind;
use crate::postbox::api::{Discard, Token, front};
use crate::postbox::client::{Client, Found, Patience};
use crate::protocol::session::stored::Stage;
use crate::protocol::session::{SealError, Session};

/// Within this time a packet is discarded that was opened and stored.
const LATER: Duration = Duration::from_mins(1);
/// Within this time a number is asked for that comes after the next one, first and then again. Since it was
/// asked for long before the next one came, nobody can tell that it follows.
const AHEAD: [Duration; 2] = [Duration::from_mins(10), Duration::from_mins(2)];
/// For up to this long a token is still asked for that is not wanted any more: else the numbers of a chain
/// that is over would be seen to end together.
const LINGERING: Duration = Duration::from_mins(10);
/// Within this time the next number of each chain is asked for at another postbox than its own, and again.
const ELSEWHERE: Duration = Duration::from_mins(10);
/// How many numbers of each chain to ask for at a time.
const NEAR: u32 = 2;
/// The same of a long message.
const LONG: u32 = 4;
/// How many numbers that were skipped to ask for, and how often each.
const BEHIND: (usize, u32) = (4, 3);
/// How long what was posted before may be on its way, when something of the same chain is here that was
/// posted later; and when something of the next chain is here, to which the peer had to receive first.
const ON_ITS_WAY: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(1)];
/// A call that is younger may not have reached the postbox.
const CONNECTING: Duration = Duration::from_secs(15);
/// The most packets that wait for being discarded: with many more the queue of keys to publish would lose some.
const MANY: usize = 512;
/// The most calls at a time.
const CALLS: usize = 16;
/// How long to wait for the rest of a message while later ones are here.
const PATIENT: Duration = Duration::from_secs(200);
/// How often to see what a sender has stored meanwhile.
const REFRESH: Duration = Duration::from_secs(5);
/// The longest time within which what could not be posted is posted again.
const OWED_MOST: Duration = Duration::from_mins(10);

/// What was asked in this run.
struct Asked {
    begun: Instant,
    schedule: Schedule<Errand>,
    errands: Errands,
    /// Where nothing lay when it was asked last.
    empty: BTreeSet<Token>,
    /// Packets that are here, while others may be there that were posted before.
    later: Vec<Later>,
    /// Where junk lay.
    poor: BTreeSet<Token>,
    /// Until when to ask for the tokens that were asked for; as long as they are wanted there is no end.
    named: BTreeMap<Token, Option<Duration>>,
    /// How often skipped numbers were asked for.
    behind: BTreeMap<Token, u32>,
    searches: Searches,
    /// How often numbers were asked for at another postbox than their own.
    elsewhere: BTreeMap<Token, usize>,
    /// Within which time to post what we owe.
    owed: Duration,
}

impl Asked {
    /// Whether a packet is here that lay under this token.
    fn is_here(&self, token: &Token) -> bool {
        self.later.iter().any(|one| one.found.token == *token)
    }

    /// Since when this token is being asked for, if it is.
    fn asks_since(&self, token: &Token) -> Option<Duration> {
        self.schedule.runs_since(&Errand::Ask(*token))
    }
}

/// A packet that waits for those that were posted before it.
struct Later {
    found: Found,
    /// Whether it lay where it was searched for.
    beyond: bool,
    since: Instant,
}

/// A token under which a packet may come.
struct Near {
    token: Token,
    /// Whether it is the next one of its chain.
    next: bool,
    /// Whether that is the peer's next chain.
    of_next_chain: bool,
}

impl<H: Host> Collecting<H> {
    /// Receives until it is to stop, or nothing has come for `wait`. What we owe goes out before the end.
    pub(super) async fn receive_apart<S: Sink>(
        &mut self,
        sink: &mut S,
        wait: Option<Duration>,
    ) -> Result<(), Error> {
        self.rounds_apart(sink, wait).await?;
        self.discard_urgent().await?;
        if self.receiver.owes() && !self.client.is_stopped() {
            self.pause()?;
            self.pay_apart().await?;
        }
        Ok(())
    }

    /// Discards, each at a moment of its own, the packets whose senders wait to hear of it, since a later command may come
    /// too late for them, and those that lay elsewhere than their address says, since a later command does not know where.
    async fn discard_urgent(&mut self) -> Result<(), Error> {
        let mut records = self.receiver.session().map(Session::collected).unwrap_or_default();
        records.retain(|record| self.is_urgent(record));
        records.truncate(CALLS);
        if !self.receiver.is_ahead()
            && !self.client.is_stopped()
            // What fails is for a later command.
            && discard_within(&self.client, &records, SPREAD).is_ok()
        {
            self.receiver.forget_collected(&records).await?;
        }
        Ok(())
    }

    fn is_urgent(&self, record: &[u8; Discard::SIZE]) -> bool {
        self.receiver.owes_receipt(record) || self.client.elsewhere(&front(record)).is_some()
    }

    async fn rounds_apart<S: Sink>(
        &mut self,
        sink: &mut S,
        wait: Option<Duration>,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let mut asked = Asked {
            begun,
            schedule: Schedule::new(),
            errands: Errands::new(self.client.clone()),
            empty: BTreeSet::new(),
            later: Vec::new(),
            poor: BTreeSet::new(),
            named: BTreeMap::new(),
            behind: BTreeMap::new(),
            searches: Searches::new(),
            elsewhere: BTreeMap::new(),
            owed: SPREAD,
        };
        let (mut since, mut patient) = (begun, PATIENT);
        while !self.is_done(sink) {
            self.receiver.refresh().await?;
            self.receiver.end_if_over().await?;
            if let Some(session) = self.receiver.session() {
                asked.searches.begin(session.search(), self.receiver.now());
            }
            if self.counts.closed {
                self.until = Until::Empty;
            }
            let left = wait.filter(|_| self.until != Until::Empty);
            let left = left.map(|wait| wait.saturating_sub(since.elapsed()));
            if let Some(left) = left {
                asked.errands.lasting(Patience::Until(Instant::now() + left.max(SPREAD)));
            }
            self.take_later(&mut asked, sink).await?;
            self.begin(&mut asked, sink.hurries(), left).await?;
            let all_empty = asked.later.is_empty() && {
                let near = self.near(sink.hurries());
                near.iter().all(|near| !near.next || self.is_empty(&asked, &near.token))
            };
            let is_over = all_empty
                && match self.until {
                    Until::Empty => asked.searches.is_over(),
                    _ => left.is_some_and(|left| left.is_zero()),
                };
            let next = asked.schedule.next().map(|next| next.saturating_sub(begun.elapsed()));
            let pause = match next.unwrap_or(REFRESH).min(REFRESH) {
                _ if is_over => Duration::ZERO,
                pause if !asked.later.is_empty() => pause.min(ON_ITS_WAY[1]),
                pause => left.filter(|_| all_empty).map_or(pause, |left| left.min(pause)),
            };
            if let Some(done) = asked.errands.done(pause) {
                if self.done(&mut asked, sink, done).await? {
                    (since, patient) = (Instant::now(), PATIENT);
                }
            } else if is_over {
                return self.end(sink).await;
            }
            if since.elapsed() >= patient {
                patient = since.elapsed() + PATIENT;
                self.receiver.give_up_waiting(sink, &mut self.counts).await?;
                self.store(sink).await?;
            }
        }
        Ok(())
    }

    /// Begins the errands whose moment has come.
    async fn begin(
        &mut self,
        asked: &mut Asked,
        hurries: bool,
        left: Option<Duration>,
    ) -> Result<(), Error> {
        let now = asked.begun.elapsed();
        self.linger(asked, now, hurries)?;
        let wanted = self.wanted(asked, hurries);
        asked.schedule.want(wanted, now, random)?;
        for errand in asked.schedule.begin(now, CALLS) {
            match errand {
                Errand::Ask(token) => {
                    if self.receiver.session().is_some() {
                        asked.named.insert(token, None);
                    }
                    let wait = self.wait(asked, &token, left)?;
                    asked.errands.ask(errand, token, wait)?;
                }
                Errand::Behind(token) => {
                    let times = asked.behind.entry(token).or_default();
                    *times += 1;
                    if times.is_multiple_of(2) && self.client.count() > 1 {
                        asked.errands.ask_elsewhere(errand, token, 0)?;
                    } else {
                        asked.errands.ask(errand, token, Duration::ZERO)?;
                    }
                }
                Errand::Elsewhere(token) => {
                    let times = asked.elsewhere.entry(token).or_default();
                    asked.errands.ask_elsewhere(errand, token, *times)?;
                    *times += 1;
                }
                Errand::Search(place) => {
                    if let Some(token) = self.searched(asked, place)? {
                        asked.errands.ask(errand, token, Duration::ZERO)?;
                    } else {
                        asked.schedule.ended(&errand);
                        self.note_search(asked, place, false).await?;
                    }
                }
                Errand::Discard(record) => asked.errands.discard(errand, record)?,
                Errand::Pay => {
                    self.pay_apart().await?;
                    asked.schedule.ended(&errand);
                    let owes = self.receiver.owes();
                    asked.owed = if owes { (asked.owed * 2).min(OWED_MOST) } else { SPREAD };
                }
            }
        }
        Ok(())
    }

    /// Posts what we owe; if that fails, it waits.
    pub(super) async fn pay_apart(&mut self) -> Result<(), Error> {
        let posted = self.receiver.hand_out_owed().await;
        self.or_waits(posted)
    }

    /// What could not be posted waits in the session, unless that is over.
    fn or_waits(&mut self, posted: Result<(), Error>) -> Result<(), Error> {
        match posted {
            Err(error)
                if !matches!(error.kind(), ErrorKind::NotAuthentic | ErrorKind::NoSession) =>
            {
                self.receiver.notice(Notice::StillWaits(&error));
                Ok(())
            }
            other => other,
        }
    }

    /// Decides how long to go on asking for the tokens that are not wanted any more.
    fn linger(&self, asked: &mut Asked, now: Duration, hurries: bool) -> Result<(), SealError> {
        if hurries || self.until == Until::Empty {
            asked.named.retain(|_, until| until.is_none());
            return Ok(());
        }
        let wanted: BTreeSet<Token> = self.near(hurries).iter().map(|near| near.token).collect();
        for (token, until) in &mut asked.named {
            match until {
                None if !wanted.contains(token) => *until = Some(now + part(LINGERING, random()?)),
                _ if wanted.contains(token) => *until = None,
                _ => {}
            }
        }
        asked.named.retain(|_, until| until.is_none_or(|until| until > now));
        Ok(())
    }

    /// How long the postbox may wait with its answer: as long as it can, or a random part of what is left, so
    /// that calls do not end together.
    fn wait(
        &self,
        asked: &Asked,
        token: &Token,
        left: Option<Duration>,
    ) -> Result<Duration, SealError> {
        let is_awaited = asked.later.iter().any(|one| self.blockers(asked, one).contains(token));
        if self.until == Until::Empty || is_awaited {
            return Ok(Duration::ZERO);
        }
        let longest = self.client.longest_wait();
        Ok(match left {
            Some(left) if left < longest => left / 2 + part(left / 2, random()?),
            _ => longest,
        })
    }

    /// What there is to do now, each with the time within which it is to begin.
    fn wanted(&self, asked: &Asked, hurries: bool) -> Vec<(Errand, Duration)> {
        let is_once = self.until == Until::Empty;
        let mut wanted = Vec::new();
        for Near { token, next, .. } in self.near(hurries) {
            let soon = match next {
                _ if hurries && !asked.poor.contains(&token) => Duration::ZERO,
                true => SPREAD,
                false => AHEAD[usize::from(asked.named.contains_key(&token))],
            };
            let is_due = !is_once || ((next || hurries) && !asked.empty.contains(&token));
            if is_due && !asked.is_here(&token) {
                wanted.push((Errand::Ask(token), soon));
            }
        }
        wanted.extend(self.wanted_elsewhere(asked, hurries));
        let lingering = asked.named.iter().filter(|(_, until)| until.is_some());
        wanted.extend(lingering.map(|(token, _)| (Errand::Ask(*token), SPREAD)));
        if self.receiver.owes() && !self.leaves_posting {
            wanted.push((Errand::Pay, asked.owed));
        }
        let Some(session) = self.receiver.session() else { return wanted };
        if asked.later.iter().any(|one| one.beyond) {
            // First that one must be taken.
        } else if is_once {
            wanted.extend(asked.searches.left().map(|place| (Errand::Search(place), SPREAD)));
        } else {
            let (follows, elapsed) = (self.until == Until::Closed, asked.begun.elapsed());
            let within = asked.searches.within(follows, elapsed, SPREAD);
            wanted.push((Errand::Search(session.search().places), within));
        }
        if !is_once {
            let often =
                |token: &Token| asked.behind.get(token).is_some_and(|times| *times >= BEHIND.1);
            let some = session.skipped_tokens().into_iter().rev().filter(|token| {
                !often(token) && !asked.is_here(token) && asked.asks_since(token).is_none()
            });
            wanted.extend(some.take(BEHIND.0).map(|token| (Errand::Behind(token), AHEAD[1])));
        }
        if !self.receiver.is_ahead() {
            let records = [&session.collected()[..], &self.junk[..]].concat();
            let too_many = records.len().saturating_sub(MANY);
            wanted.extend(records.iter().enumerate().map(|(at, record)| {
                let soon = at < too_many || self.is_urgent(record);
                let later = if soon { SPREAD } else { LATER };
                (Errand::Discard(*record), if hurries { Duration::ZERO } else { later })
            }));
        }
        wanted
    }

    /// The next numbers to ask for at other postboxes than their own, where they lie if the sender could not reach that one.
    fn wanted_elsewhere(&self, asked: &Asked, hurries: bool) -> Vec<(Errand, Duration)> {
        if self.client.count() < 2 {
            return Vec::new();
        }
        let is_once = self.until == Until::Empty;
        let is_due = |token: &Token| !is_once || !asked.elsewhere.contains_key(token);
        let near = self.near(hurries).into_iter().filter(|near| near.next).map(|near| near.token);
        let due = near.filter(|token| is_due(token) && !asked.is_here(token));
        let time = if is_once || hurries { SPREAD } else { ELSEWHERE };
        due.map(|token| (Errand::Elsewhere(token), time)).collect()
    }

    /// Whether nothing lies under a token, as far as whoever looks once sees.
    fn is_empty(&self, asked: &Asked, token: &Token) -> bool {
        let has_looked = || {
            asked.elsewhere.contains_key(token)
                && asked.schedule.runs_since(&Errand::Elsewhere(*token)).is_none()
        };
        asked.empty.contains(token)
            && (self.until != Until::Empty || self.client.count() < 2 || has_looked())
    }

    /// The tokens under which packets may come, in the order in which they would be posted.
    fn near(&self, hurries: bool) -> Vec<Near> {
        let session = match self.receiver.stage() {
            Stage::Inviting(inviting) => {
                let token = *inviting.reply_token();
                return vec![Near { token, next: true, of_next_chain: false }];
            }
            Stage::Session(session) => session,
        };
        let count = if hurries { LONG } else { NEAR };
        let numbers = count.saturating_add(u32::try_from(self.held_back.len()).unwrap_or(count));
        let numbers: Vec<u32> = (0..numbers.min(self.look_ahead)).collect();
        let tokens = session.awaited_tokens(&numbers);
        let mut near = Vec::new();
        let chains = tokens.chunks(numbers.len().max(1));
        let last = chains.len().saturating_sub(1);
        for (nth, chain) in chains.enumerate() {
            let of_next_chain = nth == last;
            // Nothing of the next chain comes before a long message is whole.
            let count = if of_next_chain && hurries { 1 } else { count as usize };
            let free = chain.iter().filter(|token| !self.held_back.contains(*token)).take(count);
            let of =
                |(at, token): (usize, &Token)| Near { token: *token, next: at == 0, of_next_chain };
            near.extend(free.enumerate().map(of));
        }
        near
    }

    /// The token to search for in this place.
    fn searched(&self, asked: &Asked, place: u32) -> Result<Option<Token>, SealError> {
        let Some(session) = self.receiver.session() else { return Ok(None) };
        let token = plan::searched(session, self.look_ahead, place, random()?);
        Ok(token.filter(|token| {
            !asked.is_here(token)
                && !self.held_back.contains(token)
                && asked.asks_since(token).is_none()
        }))
    }

    /// Notes that a place was searched, so that the next run goes on from there.
    async fn note_search(
        &mut self,
        asked: &mut Asked,
        place: u32,
        failed: bool,
    ) -> Result<(), Error> {
        let Some(search) = self.receiver.session().map(Session::search) else { return Ok(()) };
        let places = asked.searches.searched(place, failed, search);
        self.receiver.note_search(places).await
    }

    /// Takes what an errand has come to; says whether a packet came.
    async fn done<S: Sink>(
        &mut self,
        asked: &mut Asked,
        sink: &mut S,
        Done { errand, found }: Done,
    ) -> Result<bool, Error> {
        asked.schedule.ended(&errand);
        if let Errand::Search(place) = errand {
            self.note_search(asked, place, found.is_err()).await?;
        }
        let found = match (found, errand) {
            (Ok(found), _) => found,
            (Err(_), _) if self.client.is_stopped() => return Ok(false),
            (Err(error), Errand::Ask(_)) => return Err(error.into()),
            // The next call about the next packets says what is wrong, if it goes on.
            (Err(_), Errand::Discard(_)) => return Ok(false),
            (Err(_), _) => Vec::new(),
        };
        match errand {
            Errand::Ask(token) if found.is_empty() => drop(asked.empty.insert(token)),
            // Nothing more comes there.
            Errand::Ask(token) => drop(asked.named.remove(&token)),
            Errand::Discard(record) => {
                self.junk.retain(|junk| *junk != record);
                self.receiver.forget_collected(&[record]).await?;
            }
            Errand::Search(_) | Errand::Behind(_) | Errand::Elsewhere(_) | Errand::Pay => {}
        }
        let any = !found.is_empty();
        let read = self.receiver.session().map(Session::collected).unwrap_or_default();
        for found in found {
            let is_same =
                |one: &Later| one.found.token == found.token && one.found.hash == found.hash;
            let name = [found.token, found.hash].concat();
            if asked.later.iter().any(is_same)
                || read.iter().any(|record| record.starts_with(&name))
            {
                continue;
            }
            let since = Instant::now();
            let one = Later { found, beyond: matches!(errand, Errand::Search(_)), since };
            for blocker in self.blockers(asked, &one) {
                // It was empty before that came.
                if asked.asks_since(&blocker).is_none() {
                    asked.empty.remove(&blocker);
                }
            }
            asked.later.push(one);
        }
        self.take_later(asked, sink).await?;
        Ok(any)
    }

    /// Takes, in their order, the packets that were not posted after others that may be there.
    async fn take_later<S: Sink>(&mut self, asked: &mut Asked, sink: &mut S) -> Result<(), Error> {
        while !asked.later.is_empty()
            && !self.is_done(sink)
            && let Some(at) = self.free(asked, sink.hurries())
        {
            let Later { found, beyond, .. } = asked.later.remove(at);
            let (token, before) = (found.token, self.counts.rejected());
            self.take(sink, vec![found], beyond).await?;
            if self.counts.rejected() > before {
                asked.poor.insert(token);
            } else {
                asked.empty.clear();
                asked.searches.restart();
            }
        }
        Ok(())
    }

    /// Which of the packets to take now.
    fn free(&self, asked: &Asked, hurries: bool) -> Option<usize> {
        let near = self.near(true);
        let place =
            |token: &Token| near.iter().position(|near| near.token == *token).unwrap_or(usize::MAX);
        let is_free = |one: &Later| {
            hurries
                || !self
                    .blockers(asked, one)
                    .iter()
                    .any(|token| self.may_be_there(asked, one, token, &near))
        };
        let free = asked.later.iter().enumerate().filter(|(_, one)| is_free(one));
        free.min_by_key(|(_, one)| place(&one.found.token)).map(|(at, _)| at)
    }

    /// The next numbers that were posted before a packet, and are not here.
    fn blockers(&self, asked: &Asked, one: &Later) -> Vec<Token> {
        let (near, token) = (self.near(true), &one.found.token);
        let skipped = self.receiver.session().map(Session::skipped_tokens).unwrap_or_default();
        if skipped.contains(token) {
            return Vec::new();
        }
        let place = near.iter().position(|near| near.token == *token).unwrap_or(near.len());
        let before =
            near.iter().take(place).filter(|near| near.next && !asked.is_here(&near.token));
        before.map(|near| near.token).collect()
    }

    /// Whether a packet may lie under a token that was posted before this one.
    fn may_be_there(&self, asked: &Asked, one: &Later, token: &Token, near: &[Near]) -> bool {
        let Some(since) = asked.asks_since(token) else {
            return !self.is_empty(asked, token);
        };
        let of_next =
            |token: &Token| near.iter().any(|near| near.token == *token && near.of_next_chain);
        let is_turn = of_next(&one.found.token) && !of_next(token);
        one.since.elapsed() < ON_ITS_WAY[usize::from(is_turn)]
            || asked.begun.elapsed().saturating_sub(since) < CONNECTING
    }

    /// Waits for a random time, so that what follows does not follow what was before.
    pub(super) fn pause(&self) -> Result<(), Error> {
        pause_apart(&self.client)
    }
}

/// Where calls are kept apart, waits for up to ten seconds, so that the next one does not follow the last.
///
/// # Errors
/// The system gave no randomness.
pub fn pause_apart(client: &Client) -> Result<(), Error> {
    if client.isolates() { pause_within(client, SPREAD) } else { Ok(()) }
}

/// Waits for a random part of this time, or until the client's calls are ended.
///
/// # Errors
/// The system gave no randomness.
pub fn pause_within(client: &Client, time: Duration) -> Result<(), Error> {
    client.pause(random_part(time)?);
    Ok(())
}

/// A random part of this time.
///
/// # Errors
/// The system gave no randomness.
pub fn random_part(time: Duration) -> Result<Duration, Error> {
    Ok(part(time, random()?))
}

/// Discards the last packets of a session. Where calls are kept apart, each begins at a moment of its own: within
/// ten seconds, or a second for each if there are more.
///
/// # Errors
/// The first of the calls that failed; the others are made all the same.
pub fn discard_last(client: &Client, records: &[[u8; Discard::SIZE]]) -> Result<(), Error> {
    if !client.isolates() {
        return Ok(client.discard_all(records)?);
    }
    let seconds = u64::try_from(records.len()).unwrap_or(u64::MAX);
    discard_within(client, records, SPREAD.max(Duration::from_secs(seconds)))
}

/// Discards packets, each at a moment of its own within this time.
fn discard_within(
    client: &Client,
    records: &[[u8; Discard::SIZE]],
    spread: Duration,
) -> Result<(), Error> {
    let mut calls = Vec::new();
    for record in records {
        let (client, record, moment) = (client.clone(), *record, part(spread, random()?));
        calls.push(start(move || {
            client.pause(moment);
            client.discard_all(&[record])
        })?);
    }
    let mut all = Ok(());
    for call in calls {
        let done = call.join().map_err(|_| Error::WorkerEnded).and_then(|done| Ok(done?));
        all = all.and(done);
    }
    all
}

/// 64 random bits.
fn random() -> Result<u64, SealError> {
    getrandom::u64().map_err(|_| SealError::NoRandomness)
}
