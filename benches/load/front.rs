//! The postboxes that are called, with the connections that are kept to each, and calls that are tried at
//! another one when one goes away.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::tally::Tally;
use super::wire::{Answer, Line};

/// How long one is left alone that did not answer.
const AWAY: Duration = Duration::from_millis(500);
/// The pause before a call is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// The time for an answer, beyond that for which the call itself waits.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// One postbox.
struct Front {
    address: SocketAddr,
    /// Those that nobody uses; the last that was used is the next that is.
    idle: RefCell<Vec<Line>>,
    away_until: Cell<Option<Instant>>,
}

/// All of them.
pub(crate) struct Fronts(Vec<Front>);

/// A call.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// Path and query.
    pub(crate) path: &'a str,
    /// Its body, in parts.
    pub(crate) parts: &'a [&'a [u8]],
    /// How long it may wait at the postbox.
    pub(crate) wait: Duration,
}

impl Fronts {
    /// Those that these URLs name.
    pub(crate) fn new(urls: &[String]) -> Result<Self, String> {
        let one = |url: &String| {
            let host = url.strip_prefix("http://").ok_or_else(|| format!("{url}: http:// only"))?;
            let mut found = host
                .trim_end_matches('/')
                .to_socket_addrs()
                .map_err(|why| format!("{url}: {why}"))?;
            let address = found.next().ok_or_else(|| format!("{url}: no address"))?;
            Ok(Front { address, idle: RefCell::default(), away_until: Cell::default() })
        };
        urls.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// The one with this number, counted round and round, or the next that is not away.
    fn pick(&self, number: usize) -> usize {
        let now = Instant::now();
        let is_there = |&at: &usize| self.0[at].away_until.get().is_none_or(|until| until <= now);
        let count = self.0.len();
        (0..count).map(|next| (number + next) % count).find(is_there).unwrap_or(number % count)
    }

    /// Makes a call until it is answered with what `take` makes something of, at that postbox if possible.
    /// Nothing where `until` comes before.
    pub(crate) async fn call<T>(
        &self,
        number: usize,
        call: Call<'_>,
        until: Instant,
        tally: &Tally,
        mut take: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Option<T> {
        let mut number = number;
        loop {
            let at = self.pick(number);
            if let Ok((line, answer)) = self.once(at, call, tally).await {
                tally.answered(answer.status);
                let taken = take(answer.status, line.body(&answer));
                self.0[at].idle.borrow_mut().push(line);
                if taken.is_some() {
                    return taken;
                }
            } else {
                tally.broken.set(tally.broken.get() + 1);
                self.0[at].away_until.set(Some(Instant::now() + AWAY));
            }
            number = at + 1;
            if Instant::now() >= until {
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    /// One attempt. A connection that the postbox has closed meanwhile is no failure of it.
    async fn once(&self, at: usize, call: Call<'_>, tally: &Tally) -> Result<(Line, Answer), ()> {
        let patience = call.wait + ANSWER_TIME;
        loop {
            let kept = self.0[at].idle.borrow_mut().pop();
            let is_kept = kept.is_some();
            let mut line = match kept {
                Some(line) => line,
                None => match timeout(ANSWER_TIME, Line::open(self.0[at].address)).await {
                    Ok(Ok(line)) => line,
                    _ => return Err(()),
                },
            };
            match timeout(patience, line.call(call.path, call.parts, &tally.traffic)).await {
                Ok(Ok(answer)) => return Ok((line, answer)),
                Ok(Err(_)) if is_kept && !line.has_begun => {}
                _ => return Err(()),
            }
        }
    }
}
