//! How long a call is repeated while the postbox is away, which notices that gives, and how long
//! one call may wait for a packet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::error::{Error, Why};
use super::stop::Stop;

/// The longest that one call waits: proxies in between end a silent call after a minute (nginx, and
/// load balancers at their defaults), 50 s (`HAProxy`'s examples) or half a minute (many others).
const LONGEST_WAIT: u64 = 25;
/// The same where each token takes a connection of its own: there are fewer of them, and most lead to an
/// onion service.
const LONGEST_WAIT_APART: u64 = 60;
/// No working proxy ends calls sooner than this: a call that ends sooner has failed.
const SHORTEST_WAIT: u64 = 1;
/// A call that ends sooner was not ended for its length.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How often a call is made before it counts as failed: with the pauses between, for some seconds.
pub(super) const ATTEMPTS: u32 = 5;

/// How long to go on calling a postbox that cannot be reached.
#[derive(Clone, Copy, Debug, Default)]
pub enum Patience {
    /// Once more, where another postbox can be called instead.
    Short,
    /// For some seconds, the least that any call is repeated by who has one postbox.
    #[default]
    Brief,
    /// For this long from the first call that failed.
    For(Duration),
    /// Until this moment.
    Until(Instant),
    /// As long as it takes.
    Endless,
}

impl Patience {
    pub(super) fn lasts(self, since: Instant) -> bool {
        match self {
            Self::Short | Self::Brief => false,
            Self::For(time) => since.elapsed() < time,
            Self::Until(end) => Instant::now() < end,
            Self::Endless => true,
        }
    }
}

/// The state of the postbox, for all callers in this process.
#[derive(Default)]
pub(super) struct Outage {
    /// The first call that failed since one came through.
    since: Option<Instant>,
}

/// Whether a listener was told that the postbox is away, and not yet that it is back: whose call notices it
/// first may be a caller without a listener, or with another one.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<AtomicBool>);

impl Told {
    /// Notes that it is away; says whether that is news.
    pub(super) fn away(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// Notes that it is back; says whether that is news.
    pub(super) fn back(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Outage {
    /// Whether to repeat a call after `attempt` tries, the last of which began at `began`. `tell` is called
    /// if that is worth a notice.
    pub(super) fn goes_on(
        &mut self,
        (attempt, began): (u32, Instant),
        why: &Why,
        patience: Patience,
        tell: impl FnOnce(),
    ) -> bool {
        let since = *self.since.get_or_insert(began);
        let attempts = if let Patience::Short = patience { 2 } else { ATTEMPTS };
        let brief = attempt < attempts && why.may_pass();
        let patient = why.may_end() && patience.lasts(since);
        // A failure that passes in a moment is not worth a notice.
        if patient && (attempt >= 3 || !why.may_pass()) {
            tell();
        }
        brief || patient
    }

    /// A call came through: the outage is over.
    pub(super) fn end(&mut self) {
        self.since = None;
    }
}

/// What a person may want to know while a call lasts; the call goes on without an answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The postbox cannot be reached, and is called again and again.
    Unreachable(&'a Error),
    /// One of several postboxes cannot be called, and another one is instead; it is tried again now and then.
    Instead(&'a Error),
    /// The postbox at this host answers again.
    Back(&'a str),
    /// The postbox at this host asks for work first, which takes longer than a second.
    Crowded(&'a str),
    /// The proxy takes no user names: all calls may go one way, and be seen to belong together.
    Joined,
}

/// Receives these notices, from any thread.
pub type Listener = Arc<dyn Fn(Notice<'_>) + Send + Sync>;

/// The patience of a client.
#[derive(Clone, Default)]
pub(super) struct Trying {
    pub(super) patience: Patience,
    pub(super) listener: Option<Listener>,
    pub(super) told: Told,
    pub(super) stop: Option<Stop>,
    /// Whether it ends also the calls that do not wait.
    pub(super) gives_up: bool,
}

/// The longest wait that came through so far, in seconds.
pub(super) struct Waits(AtomicU64);

impl Waits {
    pub(super) fn new(isolates: bool) -> Self {
        let longest = if isolates { LONGEST_WAIT_APART } else { LONGEST_WAIT };
        Self(AtomicU64::new(longest))
    }

    pub(super) fn longest(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    /// Whether a call that was to wait for `asked` and failed after `spent` was ended by a proxy in
    /// between that allows no such wait: then nothing came, and the next call waits half as long.
    pub(super) fn was_cut(&self, asked: Duration, spent: Duration, why: &Why) -> bool {
        let floor = Duration::from_secs(SHORTEST_WAIT);
        if !why.ends_a_wait() || spent < AT_ONCE || asked <= floor {
            return false;
        }
        let half = (asked.as_secs() / 2).max(SHORTEST_WAIT);
        self.0.fetch_min(half, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_shorter_until_they_come_through_and_then_it_is_trouble() {
        let (waits, second) = (Waits::new(false), Duration::from_secs(1));
        let cut = Why::answered(504);
        let mut asked = Vec::new();
        while waits.was_cut(waits.longest(), 2 * second, &cut) {
            asked.push(waits.longest().as_secs());
        }
        assert_eq!(asked, [12, 6, 3, 1]);
        let waits = Waits::new(false);
        assert!(!waits.was_cut(25 * second, second / 2, &cut), "it was refused, not cut");
        assert!(!waits.was_cut(25 * second, 9 * second, &Why::answered(500)));
        assert_eq!(waits.longest(), 25 * second);
    }

    #[test]
    fn trouble_is_told_once_and_lasts_as_long_as_patience() {
        let (mut outage, listener, other) = (Outage::default(), Told::default(), Told::default());
        let (began, refused) =
            (Instant::now(), Why::Connection(std::io::ErrorKind::ConnectionRefused));
        let mut told = 0;
        for attempt in 1..9 {
            let mut tell = || told += u32::from(listener.away());
            assert!(outage.goes_on((attempt, began), &refused, Patience::Endless, &mut tell));
        }
        assert_eq!(told, 1);
        assert!(!outage.goes_on((9, began), &refused, Patience::Brief, || told += 1));
        let no_time = Patience::For(Duration::ZERO);
        assert!(!outage.goes_on((9, began), &refused, no_time, || told += 1));
        assert_eq!(told, 1);
        outage.end();
        // Who was told that it is away is told that it is back, whoever else has noticed.
        assert!(!other.back() && listener.back() && !listener.back());
        // A lasting error is not tried again.
        for status in [400, 404, 413, 500] {
            let trouble = Why::answered(status);
            assert!(!outage.goes_on((1, began), &trouble, Patience::Endless, || told += 1));
        }
    }
}
