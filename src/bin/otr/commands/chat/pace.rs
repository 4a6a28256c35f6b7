//! When what is stored is posted: at once, each packet at a moment of its own, or in the place of one that says
//! nothing.

use std::time::{Duration, Instant};

use otr::conversation::{Cover, Error, random_part};
use otr::protocol::packet::ADDRESS;

/// How often to see what other commands of the session have left, or posted.
const REFRESH: Duration = Duration::from_secs(5);

/// How packets are posted.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    AtOnce,
    /// Each at a random moment within this time.
    Hold(Duration),
    /// In the place of the next packet of the cover.
    Cover(Cover),
}

impl Pace {
    pub(super) fn of(hold: Option<Duration>, cover: Option<Cover>) -> Self {
        match (cover, hold.filter(|hold| !hold.is_zero())) {
            (Some(cover), _) => Self::Cover(cover),
            (None, Some(hold)) => Self::Hold(hold),
            (None, None) => Self::AtOnce,
        }
    }

    pub(super) fn is_at_once(self) -> bool {
        matches!(self, Self::AtOnce)
    }

    /// What the person should know of it.
    pub(super) fn note(self) -> Option<&'static str> {
        match self {
            Self::AtOnce => None,
            Self::Hold(_) => Some("--hold: what you enter is posted later, at a moment of its own"),
            Self::Cover(_) => {
                Some("--cover: what you enter goes out with the next packet of the cover")
            }
        }
    }
}

/// A packet that waits in the session.
pub(super) struct Stored {
    /// Its message, if that was entered here.
    pub(super) number: Option<u64>,
    pub(super) address: [u8; ADDRESS],
    due: Instant,
}

/// The packets that wait, and the moments.
pub(super) struct Stock {
    pub(super) pace: Pace,
    pub(super) packets: Vec<Stored>,
    /// When the file or long text may go that is next.
    long: Option<Instant>,
    /// When the next packet of the cover goes.
    cover: Option<Instant>,
    /// Whether the other side has closed.
    pub(super) is_over: bool,
}

impl Stock {
    pub(super) fn new(pace: Pace) -> Result<Self, Error> {
        let mut stock = Self { pace, packets: Vec::new(), long: None, cover: None, is_over: false };
        stock.next_cover()?;
        Ok(stock)
    }

    /// A packet is stored; its moment comes after those of the ones before it.
    pub(super) fn add(&mut self, number: Option<u64>, address: [u8; ADDRESS]) -> Result<(), Error> {
        let due = self.moment()?;
        self.packets.push(Stored { number, address, due });
        Ok(())
    }

    /// These wait by now: what is not among them is posted, and taken out; what is new gets its moment. Says
    /// which messages are posted.
    pub(super) fn waits(&mut self, waiting: &[[u8; ADDRESS]]) -> Result<Vec<u64>, Error> {
        let posted = self.packets.extract_if(.., |one| !waiting.contains(&one.address));
        let posted = posted.filter_map(|one| one.number).collect();
        for address in waiting {
            if !self.packets.iter().any(|one| one.address == *address) {
                self.add(None, *address)?;
            }
        }
        Ok(posted)
    }

    /// All of them are posted; the messages among them.
    pub(super) fn all_posted(&mut self) -> impl Iterator<Item = u64> {
        self.packets.drain(..).filter_map(|one| one.number)
    }

    /// How many messages wait that were entered here.
    pub(super) fn messages(&self) -> usize {
        self.packets.iter().filter(|one| one.number.is_some()).count()
    }

    /// Whether the first packet's moment has come.
    pub(super) fn is_due(&self) -> bool {
        self.packets.first().is_some_and(|one| one.due <= Instant::now())
    }

    /// Whether the moment of a file or a long text has come, which is next.
    pub(super) fn is_long_due(&mut self) -> Result<bool, Error> {
        let due = match self.long {
            Some(due) => due,
            None => self.moment()?,
        };
        let is_due = self.packets.is_empty() && due <= Instant::now();
        self.long = (!is_due).then_some(due);
        Ok(is_due)
    }

    /// Whether the cover's moment has come; then the next one is decided.
    pub(super) fn is_cover_due(&mut self) -> Result<bool, Error> {
        let is_due = self.cover.is_some_and(|due| due <= Instant::now());
        if is_due {
            self.next_cover()?;
        }
        Ok(is_due)
    }

    /// The other side has closed: nothing more will be posted.
    pub(super) fn end(&mut self) {
        (self.cover, self.is_over) = (None, true);
    }

    /// How long nothing is to be done, in a chat that holds its messages or posts cover.
    pub(super) fn pause(&self) -> Duration {
        let held = || self.packets.first().map(|one| one.due).or(self.long);
        let next = if let Pace::Cover(_) = self.pace { self.cover } else { held() };
        match next.map(|due| due.saturating_duration_since(Instant::now())) {
            // What could not be posted is tried again.
            Some(Duration::ZERO) | None => REFRESH,
            Some(left) => left.min(REFRESH),
        }
    }

    /// A random moment within the time, after those of all packets.
    fn moment(&self) -> Result<Instant, Error> {
        let now = Instant::now();
        let Pace::Hold(hold) = self.pace else { return Ok(now) };
        let earliest = self.packets.last().map_or(now, |one| one.due.max(now));
        Ok(earliest + random_part((now + hold).saturating_duration_since(earliest))?)
    }

    fn next_cover(&mut self) -> Result<(), Error> {
        if let Pace::Cover(cover) = self.pace {
            self.cover = Some(Instant::now() + cover.next()?);
        }
        Ok(())
    }
}
