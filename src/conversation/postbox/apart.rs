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
use crate::postbox::api::Token;
use crate::postbox::client::{Found, Patience};
use crate::protocol::session::stored::Stage;
use crate::protocol::session::{SealError, Session};

/// Within this time one more number is looked for, far ahead or behind, whether or not one is missing.
const SEARCH: Duration = Duration::from_mins(2);
/// Within this time a packet is discarded that was opened and stored.
const LATER: Duration = Duration::from_secs(20);
/// The most packets that wait for it: with many more the queue of keys to publish would lose some.
const MANY: usize = 512;
/// How many numbers of a long message to ask for at a time.
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
    /// Packets of the peer's next chain, while there may be more of the one before.
    ahead: Vec<Found>,
    /// How many searches there were since something came.
    searches: u32,
    /// Whether there was one, in a run that looks once.
    searched: bool,
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
            ahead: Vec::new(),
            searches: 0,
            searched: false,
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
            let near: BTreeSet<Token> = self.near(sink.hurries()).into_iter().collect();
            let all_empty = near.is_subset(&asked.empty);
            let is_over = match self.until {
                Until::Empty => all_empty && asked.searched,
                _ => all_empty && left.is_some_and(|left| left.is_zero()),
            };
            if is_over {
                return self.end(sink).await;
            }
            let next = asked.schedule.next().map(|next| next.saturating_sub(begun.elapsed()));
            let pause = next.unwrap_or(REFRESH).min(REFRESH);
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
                    let brief = self.until == Until::Empty || !asked.ahead.is_empty();
                    let wait = if brief { Duration::ZERO } else { self.client.longest_wait() };
                    asked.errands.ask(errand, token, wait)?;
                }
                Errand::Search => {
                    if let Some(token) = self.searched(asked)? {
                        asked.errands.ask(errand, token, Duration::ZERO)?;
                    } else {
                        asked.searched = true;
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
        let soon = if hurries { Duration::ZERO } else { SPREAD };
        let is_once = self.until == Until::Empty;
        let mut wanted = Vec::new();
        for token in self.near(hurries) {
            if !(is_once && asked.empty.contains(&token)) {
                wanted.push((Errand::Ask(token), soon));
            }
        }
        if self.receiver.session().is_some() && !(is_once && asked.searched) {
            wanted.push((Errand::Search, if is_once { SPREAD } else { SEARCH }));
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

    /// The tokens under which the next packet may come.
    fn near(&self, hurries: bool) -> Vec<Token> {
        let mut tokens = match self.receiver.stage() {
            Stage::Inviting(inviting) => vec![*inviting.reply_token()],
            Stage::Session(session) if hurries => {
                let numbers: Vec<u32> = (0..LONG.min(self.look_ahead)).collect();
                session.awaited_tokens(&numbers)
            }
            Stage::Session(session) => session.awaited_tokens(&[0]),
        };
        tokens.retain(|token| !self.held_back.contains(token));
        tokens
    }

    /// A token to search for besides.
    fn searched(&self, asked: &mut Asked) -> Result<Option<Token>, SealError> {
        let Some(session) = self.receiver.session() else { return Ok(None) };
        let random = random()?;
        // Who looks once does not know how often others have.
        let nth = if self.until == Until::Empty { by_chance(random) } else { asked.searches };
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
            Errand::Ask(_) => {
                asked.empty.clear();
                asked.searches = 0;
            }
            Errand::Search => asked.searched = true,
            Errand::Discard(record) => {
                self.junk.retain(|junk| *junk != record);
                self.receiver.forget_collected(&[record]).await?;
            }
            Errand::Pay => {}
        }
        // A chain is received whole before the next.
        found.append(&mut asked.ahead);
        if let Some(session) = self.receiver.session()
            && errand != Errand::Search
            && let Some(current) = current(session)
            && !found.iter().any(|one| one.token == current)
            && !asked.empty.contains(&current)
            && !self.held_back.contains(&current)
            && !asked.schedule.runs(&Errand::Ask(current))
        {
            asked.ahead = found;
            return Ok(is_found);
        }
        if !found.is_empty() {
            self.take(sink, found, errand == Errand::Search).await?;
        }
        Ok(is_found)
    }

    /// Waits for a random time, so that what follows does not follow what was before.
    pub(super) fn pause(&self) -> Result<(), Error> {
        self.client.pause(part(SPREAD, random()?));
        Ok(())
    }
}

/// The token of the next number in the peer's current chain, where there is such a chain.
fn current(session: &Session) -> Option<Token> {
    let awaited = session.awaited_tokens(&[0]);
    awaited.first().copied().filter(|_| awaited.len() > 1)
}

/// One of the first searches, the first ones more often.
fn by_chance(random: u64) -> u32 {
    u32::try_from(random >> 58).unwrap_or_default() >> (random >> 56 & 3)
}

/// 64 random bits.
fn random() -> Result<u64, SealError> {
    getrandom::u64().map_err(|_| SealError::NoRandomness)
}
