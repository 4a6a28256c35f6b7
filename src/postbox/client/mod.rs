//! The client of a session's postbox, or of several: the five calls, in raw form.
//!
//! `one` makes the calls to one postbox; where a session has several, `spread` says at which of them a
//! packet lies, and `several` calls that one, or the next in order if it is away. `wait` waits at several
//! at a time.

mod answer;
mod dial;
mod ended;
mod error;
mod one;
mod patience;
mod pay;
mod post;
mod race;
mod route;
mod several;
mod socks;
mod spread;
mod stop;
mod url;
mod urls;
mod wait;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::api::{Address, Discard, Key, PacketHash, PacketStatus, Token, address_of, front};
pub use super::names::NoAddress;
pub use error::{Error, TlsFault, Why};
use one::One;
pub use patience::{Listener, Notice, Patience};
use patience::{Told, Trying};
pub use route::{Authorities, BadAuthorities, BadProxy, Proxy, Route};
use spread::Spread;
pub use stop::Stop;
pub use url::{Url, with_secret};
pub use urls::{MOST_POSTBOXES, Urls, first_url, without_secret};

/// A session's postboxes, from the outside. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    /// At least one.
    all: Arc<[One]>,
    trying: Trying,
    /// Where packets lie, if there are several.
    spread: Option<Arc<Spread>>,
}

/// A packet that lay under one of the tokens.
pub struct Found {
    /// The token.
    pub token: Token,
    /// The packet; anyone who knows the token's address may have put it there.
    pub packet: Vec<u8>,
    /// The hash by which a discard names it.
    pub hash: PacketHash,
}

impl Client {
    /// A client, which makes no call yet. If one of several postboxes is called through Tor, all are.
    ///
    /// # Errors
    /// A postbox that cannot be reached by this route.
    pub fn new(urls: impl Into<Urls>, route: &Route) -> Result<Self, Error> {
        let Urls { all, spread } = urls.into();
        let tor = route.tor || all.iter().any(Url::is_onion);
        let route = Route { tor, ..route.clone() };
        let urls: Vec<Arc<Url>> = all.into_iter().map(Arc::new).collect();
        let is_one = urls.len() == 1;
        let made = || urls.iter().map(|url| One::new(Arc::clone(url), &route, is_one));
        let all = made().collect::<Result<Arc<[One]>, Error>>()?;
        let spread = match spread {
            Some(key) => Some(Arc::new(Spread::new(key, made().collect::<Result<_, _>>()?))),
            None => None,
        };
        Ok(Self { all, trying: Trying::default(), spread })
    }

    /// The same postboxes; `listener` is notified of what takes long.
    #[must_use]
    pub fn telling(&self, listener: Listener) -> Self {
        let told = Told::default();
        self.with(Trying { listener: Some(listener), told, ..self.trying.clone() })
    }

    /// The same, with another patience; without one it is [`Patience::Brief`].
    #[must_use]
    pub fn lasting(&self, patience: Patience) -> Self {
        self.with(Trying { patience, ..self.trying.clone() })
    }

    /// The same; `stop` ends its calls. One that waits for packets is then over at once, as if none
    /// had come.
    #[must_use]
    pub fn until(&self, stop: &Stop) -> Self {
        let stop = Some(stop.clone());
        self.with(Trying { stop, gives_up: false, ..self.trying.clone() })
    }

    /// The same; here `stop` ends every call at once, with an error if it would not have waited. What it was
    /// about may happen all the same: for calls about what is stored, which are made again later.
    #[must_use]
    pub fn until_at_once(&self, stop: &Stop) -> Self {
        let stop = Some(stop.clone());
        self.with(Trying { stop, gives_up: true, ..self.trying.clone() })
    }

    fn with(&self, trying: Trying) -> Self {
        Self { all: Arc::clone(&self.all), trying, spread: self.spread.clone() }
    }

    /// Whether its calls were ended.
    pub fn is_stopped(&self) -> bool {
        self.trying.stop.as_ref().is_some_and(Stop::is_asked)
    }

    /// Whether somebody may end its calls.
    pub fn can_be_stopped(&self) -> bool {
        self.trying.stop.is_some()
    }

    /// Pauses for this long, or until its calls are ended.
    pub fn pause(&self, time: Duration) {
        match &self.trying.stop {
            Some(stop) => stop.pause(time),
            None => thread::sleep(time),
        }
    }

    /// The longest that one call waits, as far as is known by now.
    pub fn longest_wait(&self) -> Duration {
        self.all.iter().map(One::longest_wait).min().unwrap_or_default()
    }

    /// The host of its postbox, or of the first of them.
    pub fn host(&self) -> &str {
        self.all.first().map_or("", One::host)
    }

    /// How many postboxes there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// At which of several postboxes this packet was found, from 0, if its address does not say so.
    pub fn elsewhere(&self, token: &Token) -> Option<u8> {
        let at = self.spread.as_ref()?.elsewhere_at(&address_of(token))?;
        u8::try_from(at).ok()
    }

    /// Learns where packets were found before.
    pub fn know(&self, elsewhere: &BTreeMap<Token, u8>) {
        if let Some(spread) = &self.spread {
            for (token, at) in elsewhere {
                spread.note(&address_of(token), usize::from(*at));
            }
        }
    }

    /// Whether each call names only one address, by a circuit of its own.
    pub fn isolates(&self) -> bool {
        self.all.iter().any(One::isolates)
    }

    /// How many addresses one call may name.
    pub fn at_once(&self) -> usize {
        self.all.iter().map(One::at_once).min().unwrap_or(1)
    }

    /// The connections by a proxy that are open now: another process may keep them until their calls are answered.
    ///
    /// # Errors
    /// The system's reason.
    pub fn connections(&self) -> std::io::Result<Vec<OwnedFd>> {
        if !self.isolates() {
            return Ok(Vec::new());
        }
        let open = self.all.iter().map(One::connections).collect::<Result<Vec<_>, _>>()?;
        Ok(open.into_iter().flatten().collect())
    }

    /// Whether each postbox answers a single call, which asks for a packet that does not exist.
    ///
    /// # Errors
    /// The first that does not.
    pub fn answers(&self) -> Result<(), Error> {
        self.all.iter().try_for_each(|one| self.at(one).answers())
    }

    /// What lies under these tokens, at once or as soon as there is something, within `wait` (at
    /// most a minute of it); at most 8 MiB and a packet, in the order of the tokens.
    ///
    /// # Errors
    /// No postbox can be called, beyond the client's patience.
    pub fn collect(&self, tokens: &[Token], wait: Duration) -> Result<Vec<Found>, Error> {
        match &self.spread {
            None => self.only()?.collect(tokens, wait),
            Some(spread) => self.collect_spread(spread, tokens, wait),
        }
    }

    /// The same, of one token, at another postbox than [`collect`](Self::collect) asks: where the packet
    /// lies if its sender could not reach that one. Each `nth` time at another one. Nothing where there is
    /// none.
    ///
    /// # Errors
    /// That one cannot be called.
    pub fn collect_elsewhere(&self, token: &Token, nth: usize) -> Result<Vec<Found>, Error> {
        let Some(spread) = &self.spread else { return Ok(Vec::new()) };
        self.collect_beside(spread, token, nth)
    }

    /// Discards packets, and publishes the keys of those that were there. Says which: of several postboxes some
    /// may be away.
    ///
    /// # Errors
    /// None was discarded.
    pub fn discard(
        &self,
        records: &[[u8; Discard::SIZE]],
    ) -> Result<Vec<[u8; Discard::SIZE]>, Error> {
        match &self.spread {
            None => self.only()?.discard(records).map(|()| records.to_vec()),
            Some(spread) => self.discard_spread(spread, records),
        }
    }

    /// The same, where all of them must be discarded.
    ///
    /// # Errors
    /// Not all of them were.
    pub fn discard_all(&self, records: &[[u8; Discard::SIZE]]) -> Result<(), Error> {
        match &self.spread {
            None => self.only()?.discard(records),
            Some(spread) => self.discard_all_spread(spread, records),
        }
    }

    /// The status of each packet, as soon as none of them is held, or after `wait`.
    ///
    /// # Errors
    /// The postbox cannot be called where one may lie.
    pub fn gone(&self, addresses: &[Address], wait: Duration) -> Result<Vec<PacketStatus>, Error> {
        match &self.spread {
            None => self.only()?.gone(addresses, wait),
            Some(spread) => self.gone_spread(spread, addresses, wait),
        }
    }

    /// The published keys of packets, as far as they were published.
    ///
    /// # Errors
    /// No postbox can be called.
    pub fn revealed(&self, addresses: &[Address]) -> Result<Vec<(Address, Key)>, Error> {
        match &self.spread {
            None => self.only()?.revealed(addresses),
            Some(spread) => self.revealed_spread(spread, addresses),
        }
    }

    /// Posts packets, in order.
    ///
    /// # Errors
    /// Also a packet that is refused for its size.
    pub fn post<P: AsRef<[u8]>>(&self, packets: &[P]) -> Result<(), Error> {
        let refused = self.post_fitting(packets)?;
        match refused.first().and_then(|&at| packets.get(at)) {
            Some(packet) => Err(self.too_large(packet.as_ref().len())),
            None => Ok(()),
        }
    }

    /// Posts packets in order, except those that are refused for their size; returns which these
    /// are.
    ///
    /// # Errors
    /// No postbox takes them.
    pub fn post_fitting<P: AsRef<[u8]>>(&self, packets: &[P]) -> Result<Vec<usize>, Error> {
        match &self.spread {
            None => self.only()?.post_fitting(packets),
            Some(spread) => self.post_spread(spread, packets),
        }
    }

    /// Posts a packet of a long message, which has a byte of room before it.
    ///
    /// # Errors
    /// Among others [`Why::Full`], also if the postbox asks for long work and the caller `may_wait`
    /// for room instead.
    pub fn post_framed(&self, framed: &mut [u8], may_wait: bool) -> Result<(), Error> {
        match &self.spread {
            None => self.only()?.post_framed(framed, may_wait),
            Some(spread) => self.post_framed_spread(spread, framed, may_wait),
        }
    }

    /// The seconds for which a postbox keeps what was posted, if that is much shorter than the
    /// usual day. Returned only once.
    pub fn take_keeps_short(&self) -> Option<u64> {
        self.all.iter().filter_map(One::take_keeps_short).min()
    }

    /// The error for a packet that is refused for its size.
    pub fn too_large(&self, bytes: usize) -> Error {
        Error::new(self.host(), Why::TooLarge(bytes))
    }

    /// Bytes of the largest packet that may come through: less than the smallest that was refused,
    /// and no more than what each postbox says, if it was asked.
    pub fn largest_known(&self) -> usize {
        self.all.iter().map(One::largest_known).min().unwrap_or_default()
    }

    /// The same; asks each postbox for it, once.
    pub fn largest_packet(&self) -> usize {
        self.all.iter().map(One::largest_packet).min().unwrap_or_default()
    }

    /// Takes the buffer of a packet back for a later one, and wipes the text in it.
    pub fn recycle(&self, buffer: Zeroizing<Vec<u8>>) {
        if let Some(first) = self.all.first() {
            first.recycle(buffer);
        }
    }

    /// No further call will be about this address.
    pub fn forget(&self, address: &Address) {
        self.all.iter().for_each(|one| one.forget(address));
    }

    /// One of the postboxes, with this client's patience.
    fn at(&self, one: &One) -> One {
        one.trying(self.trying.clone())
    }

    /// The only postbox.
    fn only(&self) -> Result<One, Error> {
        let one = self.all.first().ok_or_else(|| Error::new("", Why::Nonsense))?;
        Ok(self.at(one))
    }
}

#[cfg(test)]
pub(super) mod tests;
