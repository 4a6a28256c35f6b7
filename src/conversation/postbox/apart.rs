//! Receiving where calls are kept apart (Tor, a proxy): the relay sees each address by itself, and when
//! it is named must tell nothing. So every token is asked for at moments of its own, by a connection
//! that ends with the answer; what was read is discarded later, and what we owe is posted later. The
//! order of effects is the same: open, deliver, store, discard.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::errands::{Done, Errand, Errands};
use super::plan;
use super::receiving::{Collecting, Until};
use super::schedule::{SPREAD, Schedule, part};
use crate::conversation::driver::{Host, Notice, Sink};
use crate::conversation::error::Error;
use crate::postbox::api::{Discard, Token};
use crate::postbox::client::{Client, Found, Patience};
use crate::protocol::session::stored::Stage;
use crate::protocol::session::{SealError, Session};

/// Within this time one more number is searched for, far ahead or behind, whether or not one is missing.
const SEARCH: Duration = Duration::from_secs(100);
/// For this long, who follows searches faster, one number each [`SPREAD`]: what came while nobody
/// followed may have been lost.
const CATCHING_UP: Duration = Duration::from_mins(5);
/// How often who looks only once searches.
const SEARCHES_ONCE: u32 = 2;
/// Within this time a packet is discarded that was opened and stored.
const LATER: Duration = Duration::from_mins(1);
/// Within this time a number is asked for, each time, that comes after the next one. Since it was asked for
/// before the next one came, nobody can tell that it follows.
const AHEAD: Duration = Duration::from_mins(2);
/// How long what was posted before may be on its way, when something that was posted later is here.
const ON_ITS_WAY: Duration = Duration::from_secs(3);
/// The most packets that wait for it: with many more the queue of keys to publish would lose some.
const MANY: usize = 512;
/// How many numbers of each chain to ask for at a time.
const NEAR: u32 = 2;
/// The same of a long message.
const LONG: u32 = 4;
/// How long to wait for the rest of a message while later ones are here.
const PATIENT: Duration = Duration::from_secs(200);
/// How often to see what a sender has stored meanwhile.
const REFRESH: Duration = Duration::from_secs(5);

/// What was asked in this run.
struct Asked {
    begun: Instant,
    schedule: Schedule<Errand>,
    errands: Errands,
    /// Where nothing lay when it was asked last.
    empty: BTreeSet<Token>,
    /// Packets that were posted after others, which may be there, and since when they are here.
    later: Vec<Found>,
    since: Instant,
    /// How many searches there were since something came.
    searches: u32,
    /// How many are done, in a run that looks once.
    searched: u32,
}

impl<H: Host> Collecting<H> {
    /// Receives until it is to stop, or nothing has come for `wait`. What we owe goes out before the end.
    pub(super) async fn receive_apart<S: Sink>(
        &mut self,
        sink: &mut S,
        wait: Option<Duration>,
    ) -> Result<(), Error> {
        self.rounds_apart(sink, wait).await?;
        if self.receiver.owes() && !self.client.is_stopped() {
            self.pause()?;
            if let Err(error) = self.receiver.hand_out_owed().await {
                self.receiver.notice(Notice::StillWaits(&error));
            }
        }
        Ok(())
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
            since: begun,
            searches: 0,
            searched: 0,
        };
        let (mut since, mut patient) = (begun, PATIENT);
        while !self.is_done(sink) {
            self.receiver.refresh().await?;
            self.receiver.end_if_over().await?;
            if self.counts.closed {
                self.until = Until::Empty;
            }
            let left = wait.filter(|_| self.until != Until::Empty);
            let left = left.map(|wait| wait.saturating_sub(since.elapsed()));
            if let Some(left) = left {
                asked.errands.lasting(Patience::Until(Instant::now() + left.max(SPREAD)));
            }
            self.begin(&mut asked, sink.hurries()).await?;
            self.take_later(&mut asked, sink).await?;
            let near = self.near(sink.hurries());
            let all_empty = near.iter().all(|near| !near.next || asked.empty.contains(&near.token));
            let is_over = all_empty
                && asked.later.is_empty()
                && match self.until {
                    Until::Empty => {
                        asked.searched >= SEARCHES_ONCE || self.receiver.session().is_none()
                    }
                    _ => left.is_some_and(|left| left.is_zero()),
                };
            if is_over {
                return self.end(sink).await;
            }
            let next = asked.schedule.next().map(|next| next.saturating_sub(begun.elapsed()));
            let pause = next.unwrap_or(REFRESH).min(REFRESH);
            let pause = if asked.later.is_empty() { pause } else { pause.min(ON_ITS_WAY) };
            let pause = left.filter(|_| all_empty).map_or(pause, |left| left.min(pause));
            let Some(done) = asked.errands.done(pause) else { continue };
            if self.done(&mut asked, sink, done).await? {
                (since, patient) = (Instant::now(), PATIENT);
            } else if since.elapsed() >= patient {
                patient = since.elapsed() + PATIENT;
                self.receiver.give_up_waiting(sink, &mut self.counts).await?;
                self.store(sink).await?;
            }
        }
        Ok(())
    }

    /// Begins the errands whose moment has come.
    async fn begin(&mut self, asked: &mut Asked, hurries: bool) -> Result<(), Error> {
        let (now, wanted) = (asked.begun.elapsed(), self.wanted(asked, hurries));
        asked.schedule.want(wanted, now, random)?;
        for errand in asked.schedule.begin(now) {
            match errand {
                Errand::Ask(token) => {
                    let brief = self.until == Until::Empty || !asked.later.is_empty();
                    let wait = if brief { Duration::ZERO } else { self.client.longest_wait() };
                    asked.errands.ask(errand, token, wait)?;
                }
                Errand::Search => {
                    if let Some(token) = self.searched(asked)? {
                        asked.errands.ask(errand, token, Duration::ZERO)?;
                    } else {
                        asked.searched += 1;
                        asked.schedule.ended(&errand);
                    }
                }
                Errand::Discard(record) => asked.errands.discard(errand, record)?,
                Errand::Pay => {
                    if let Err(error) = self.receiver.hand_out_owed().await {
                        self.receiver.notice(Notice::StillWaits(&error));
                    }
                    asked.schedule.ended(&errand);
                }
            }
        }
        Ok(())
    }

    /// What there is to do now, each with the time within which it is to begin.
    fn wanted(&self, asked: &Asked, hurries: bool) -> Vec<(Errand, Duration)> {
        let is_once = self.until == Until::Empty;
        let mut wanted = Vec::new();
        for Near { token, next } in self.near(hurries) {
            let soon = match next {
                _ if hurries => Duration::ZERO,
                true => SPREAD,
                false => AHEAD,
            };
            if !is_once || (next && !asked.empty.contains(&token)) {
                wanted.push((Errand::Ask(token), soon));
            }
        }
        if self.receiver.session().is_some() && !(is_once && asked.searched >= SEARCHES_ONCE) {
            let catches_up = self.until == Until::Closed && asked.begun.elapsed() < CATCHING_UP;
            wanted.push((Errand::Search, if is_once || catches_up { SPREAD } else { SEARCH }));
        }
        if self.receiver.owes() {
            wanted.push((Errand::Pay, SPREAD));
        }
        if !self.receiver.is_ahead() {
            let read = self.receiver.session().map(Session::collected).unwrap_or_default();
            let at_once = hurries || read.len() + self.junk.len() > MANY;
            let later = if at_once { Duration::ZERO } else { LATER };
            wanted.extend(
                read.iter().chain(&self.junk).map(|record| (Errand::Discard(*record), later)),
            );
        }
        wanted
    }

    /// The tokens under which packets may come, in the order in which they would be posted.
    fn near(&self, hurries: bool) -> Vec<Near> {
        let of = |token: &Token, next: bool| Near { token: *token, next };
        let mut near = match self.receiver.stage() {
            Stage::Inviting(inviting) => vec![of(inviting.reply_token(), true)],
            Stage::Session(session) => {
                let count = if hurries { LONG } else { NEAR }.min(self.look_ahead).max(1);
                let tokens = session.awaited_tokens(&(0..count).collect::<Vec<u32>>());
                tokens
                    .iter()
                    .zip((0..count).cycle())
                    .map(|(token, at)| of(token, at == 0))
                    .collect()
            }
        };
        near.retain(|near| !self.held_back.contains(&near.token));
        near
    }

    /// A token to search for besides.
    fn searched(&self, asked: &mut Asked) -> Result<Option<Token>, SealError> {
        let Some(session) = self.receiver.session() else { return Ok(None) };
        let random = random()?;
        // Who looks once does not know how often others have.
        let nth = (self.until != Until::Empty).then_some(asked.searches);
        asked.searches = asked.searches.wrapping_add(1);
        let token = plan::searched(session, self.look_ahead, nth, random);
        Ok(token.filter(|token| !self.held_back.contains(token)))
    }

    /// Takes what an errand has come to; says whether a packet came.
    async fn done<S: Sink>(
        &mut self,
        asked: &mut Asked,
        sink: &mut S,
        Done { errand, found }: Done,
    ) -> Result<bool, Error> {
        asked.schedule.ended(&errand);
        let mut found = found?;
        let is_found = !found.is_empty();
        match errand {
            Errand::Ask(token) if !is_found => drop(asked.empty.insert(token)),
            Errand::Search => asked.searched += 1,
            Errand::Discard(record) => {
                self.junk.retain(|junk| *junk != record);
                self.receiver.forget_collected(&[record]).await?;
            }
            Errand::Ask(_) | Errand::Pay => {}
        }
        if errand == Errand::Search {
            self.take(sink, found, true).await?;
        } else if is_found {
            if asked.later.is_empty() {
                asked.since = Instant::now();
            }
            asked.later.append(&mut found);
            for blocker in self.blockers(asked) {
                // It was empty before that came.
                if !asked.schedule.runs(&Errand::Ask(blocker)) {
                    asked.empty.remove(&blocker);
                }
            }
            self.take_later(asked, sink).await?;
        }
        Ok(is_found)
    }

    /// Takes what is here and was not posted after something that may be there.
    async fn take_later<S: Sink>(&mut self, asked: &mut Asked, sink: &mut S) -> Result<(), Error> {
        let is_long_here = asked.since.elapsed() >= ON_ITS_WAY;
        let may_be_there = |token: &Token| {
            let runs = asked.schedule.runs(&Errand::Ask(*token));
            if runs { !is_long_here } else { !asked.empty.contains(token) }
        };
        if asked.later.is_empty() || self.blockers(asked).iter().any(may_be_there) {
            return Ok(());
        }
        let mut found = std::mem::take(&mut asked.later);
        let near = self.near(true);
        found.sort_by_key(|one| near.iter().position(|near| near.token == one.token));
        asked.empty.clear();
        asked.searches = 0;
        self.take(sink, found, false).await
    }

    /// The next numbers that were posted before something that is here.
    fn blockers(&self, asked: &Asked) -> Vec<Token> {
        let is_here = |near: &Near| asked.later.iter().any(|one| one.token == near.token);
        let near = self.near(true);
        let last = near.iter().rposition(is_here).unwrap_or_default();
        let before = near.iter().take(last).filter(|near| near.next && !is_here(near));
        before.map(|near| near.token).collect()
    }

    /// Waits for a random time, so that what follows does not follow what was before.
    pub(super) fn pause(&self) -> Result<(), Error> {
        self.client.pause(part(SPREAD, random()?));
        Ok(())
    }
}

/// Discards the last packets of a session. Where calls are kept apart, each at a moment of its own, within ten
/// seconds if the calls themselves are done by then.
pub fn discard_last(client: &Client, records: &[[u8; Discard::SIZE]]) -> Result<(), Error> {
    if !client.isolates() {
        return Ok(client.discard(records)?);
    }
    let begun = Instant::now();
    let mut moments = Vec::new();
    for record in records {
        moments.push((part(SPREAD, random()?), record));
    }
    moments.sort_unstable();
    for (moment, record) in moments {
        client.pause(moment.saturating_sub(begun.elapsed()));
        client.discard(&[*record])?;
    }
    Ok(())
}

/// A token under which a packet may come.
struct Near {
    token: Token,
    /// Whether it is the next one of its chain.
    next: bool,
}

/// 64 random bits.
fn random() -> Result<u64, SealError> {
    getrandom::u64().map_err(|_| SealError::NoRandomness)
}
