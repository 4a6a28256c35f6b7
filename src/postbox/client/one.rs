//! One postbox, from the outside: the five calls, in raw form.
//!
//! Every call can be repeated without harm. When the connection fails or the postbox is busy, it is
//! repeated for a short while, or as long as the command has patience. What the postbox says is never
//! shown: an error only tells its kind.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use ureq::http::Response;
use ureq::http::response::Parts;
use ureq::{Agent, Body, BodyReader};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::{Error, Why, pause};
use super::patience::{Notice, Outage, Trying, Waits};
use super::route::{Connector, Route};
use super::stop::Stop;
use super::url::Url;
use super::{Found, answer};
use crate::armor::marks::PACKET_LEAD;
use crate::postbox::api::{
    self, Address, COLLECT, DISCARD, Discard, GONE, Key, MAX_PACKET, MAX_RECORDS, MAX_WAIT, POST,
    PacketStatus, RAW, REVEALED, Token, address_of, front,
};
use crate::postbox::work::Price;

/// Bytes of packets to ask for at a time: enough that a stream's calls cost little, and only a part
/// of the 96 MiB that a command may take.
const COLLECT_MAX: usize = 8 << 20;
/// The most bytes of an answer to `collect`: what was asked for, a byte before each packet of at
/// least 4 KiB, and room for one more packet.
const COLLECT_ANSWER: usize = COLLECT_MAX + COLLECT_MAX / api::MIN_PACKET + MAX_PACKET + 1;
/// Bytes of packets in one `post`; a body that is refused midway is sent again whole.
pub(super) const POST_MAX: usize = 4 << 20;
/// Bytes of the other answers: a record of 65 bytes for each address asked about.
const SMALL_ANSWER: usize = 65 * MAX_RECORDS;
/// The time for an answer to begin, beyond the time that the call itself waits: two round trips
/// through Tor.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// The same where another postbox can be called instead, and this one directly.
const NEXT_TIME: Duration = Duration::from_secs(8);
/// The most bytes of a postbox's description of itself, which has about 300.
pub(super) const LIMITS_ANSWER: u64 = 16 << 10;
/// The pause after an empty answer that came well before the requested time.
const PAUSE: Duration = Duration::from_secs(1);
/// How many buffers of the largest size are kept for later packets: enough for two answers.
const BUFFERS: usize = 2 * (COLLECT_MAX / MAX_PACKET + 1);
/// How many agents are kept when each address has its own; beyond them the oldest circuit is of no
/// more use.
const AGENTS: usize = 4_096;

/// A postbox. Clones share their connections.
#[derive(Clone)]
pub(super) struct One {
    pub(super) inner: Arc<Inner>,
    pub(super) trying: Trying,
}

pub(super) struct Inner {
    pub(super) url: Arc<Url>,
    /// Whether no other one can be called instead.
    is_only: bool,
    pub(super) connector: Connector,
    /// The agent for all addresses, if none is isolated.
    shared: Agent,
    /// The same for the packets of a long message.
    long: OnceLock<Agent>,
    /// Agents by address: what became of a packet is asked by the circuit that posted it.
    own: Mutex<BTreeMap<Address, Agent>>,
    /// Buffers of the largest packets, so that a long stream asks the system for no new pages.
    pub(super) buffers: Mutex<Vec<Vec<u8>>>,
    outage: Mutex<Outage>,
    waits: Waits,
    /// Whether the postbox or a proxy refuses bodies of several packets.
    pub(super) one_a_post: AtomicBool,
    /// Bytes of the largest packet that may come through, as far as is known.
    pub(super) largest: AtomicUsize,
    /// Whether the postbox was asked for that size.
    pub(super) asked: Once,
    /// The price that it asked of the last post, and when.
    pub(super) price: Mutex<Option<(Price, Instant)>>,
    /// The fewest seconds for which it keeps what was posted, and whether the user was told.
    pub(super) keeps: (AtomicU32, AtomicBool),
    /// Whether it was told that the proxy may join all calls.
    joined_told: AtomicBool,
}

impl One {
    /// A client, which makes no call yet.
    ///
    /// # Errors
    /// This route does not lead there.
    pub(super) fn new(url: Arc<Url>, route: &Route, is_only: bool) -> Result<Self, Error> {
        let connector = Connector::new(&url, route, is_only)?;
        let isolates = connector.isolates;
        let shared = connector.agent().map_err(|why| Error::new(url.host(), why))?;
        let (long, own, buffers) = Default::default();
        let inner = Inner {
            url,
            is_only,
            connector,
            shared,
            long,
            own,
            buffers,
            outage: Mutex::default(),
            waits: Waits::new(isolates),
            one_a_post: AtomicBool::new(false),
            largest: AtomicUsize::new(MAX_PACKET),
            asked: Once::new(),
            price: Mutex::default(),
            keeps: (AtomicU32::new(u32::MAX), AtomicBool::new(false)),
            joined_told: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner), trying: Trying::default() })
    }

    /// The same postbox, with another patience, listener or stop.
    pub(super) fn trying(&self, trying: Trying) -> Self {
        Self { inner: Arc::clone(&self.inner), trying }
    }

    /// Whether this is the same postbox.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Whether its calls were ended.
    pub(super) fn is_stopped(&self) -> bool {
        self.trying.stop.as_ref().is_some_and(Stop::is_asked)
    }

    /// Pauses for this long, or until its calls are ended.
    pub(super) fn pause(&self, time: Duration) {
        match &self.trying.stop {
            Some(stop) => stop.pause(time),
            None => thread::sleep(time),
        }
    }

    /// The longest that one call waits, as far as is known by now.
    pub(super) fn longest_wait(&self) -> Duration {
        self.inner.waits.longest()
    }

    /// The host of its postbox.
    pub(super) fn host(&self) -> &str {
        self.inner.url.host()
    }

    /// Whether each call names only one address, by a circuit of its own.
    pub(super) fn isolates(&self) -> bool {
        self.inner.connector.isolates
    }

    /// The connections by a proxy that are open now: another process may keep them until their calls
    /// are answered.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn connections(&self) -> std::io::Result<Vec<std::os::fd::OwnedFd>> {
        self.inner.connector.known.open()
    }

    /// Whether the postbox answers a single call, which asks for a packet that does not exist.
    pub(super) fn answers(&self) -> Result<(), Error> {
        let mut token = [0; 32];
        getrandom::fill(&mut token).map_err(|_| self.error(Why::NoRandomness))?;
        let agent = self.agent(&address_of(&token))?;
        let path = format!("{COLLECT}?wait=0");
        let asked = self.once(&agent, &path, &token, Duration::ZERO);
        let told = asked.and_then(|answer| match answer.status().as_u16() {
            200 | 204 => Ok(()),
            status => Err(Why::answered(status)),
        });
        told.map_err(|why| self.error(why))
    }

    /// What lies under these tokens, at once or as soon as there is something, within `wait` (at
    /// most [`MAX_WAIT`] of it); at most 8 MiB and a packet, in the order of the tokens.
    pub(super) fn collect(&self, tokens: &[Token], wait: Duration) -> Result<Vec<Found>, Error> {
        let tokens = tokens.to_vec();
        self.waiting(wait, Vec::new, move |client| client.collect_here(&tokens, wait))
    }

    /// [`One::collect`] in this thread.
    pub(super) fn collect_here(
        &self,
        tokens: &[Token],
        wait: Duration,
    ) -> Result<Vec<Found>, Error> {
        let Some(first) = tokens.first() else { return Ok(Vec::new()) };
        let by_address: BTreeMap<Address, Token> =
            tokens.iter().map(|token| (address_of(token), *token)).collect();
        let agent = self.agent(&address_of(first))?;
        let wait = wait.min(self.longest_wait());
        let path = format!("{COLLECT}?wait={}&max={COLLECT_MAX}", seconds(wait));
        let asked = Instant::now();
        let body = Zeroizing::new(tokens.concat());
        let read = |head: &Parts, answer: &mut BodyReader<'_>| match head.status.as_u16() {
            204 => Ok(Vec::new()),
            200 => self.found(&by_address, &mut answer.take(COLLECT_ANSWER as u64)),
            status => Err(Why::answered(status)),
        };
        let found = self.call_reading(&agent, &path, &body, wait, read, Vec::new);
        if self.isolates() {
            // The circuit ends with the answer.
            self.forget(&address_of(first));
        }
        let found = found?;
        if found.is_empty() {
            wait_instead(asked, wait);
        }
        Ok(found)
    }

    /// Parses an answer as it arrives.
    fn found(
        &self,
        by_address: &BTreeMap<Address, Token>,
        answer: &mut impl Read,
    ) -> Result<Vec<Found>, Why> {
        let mut found = Vec::new();
        while let Some(packet) = answer::next_packet(answer, |size| self.buffer(size))? {
            let token = *by_address.get(&front(&packet)).ok_or(Why::Nonsense)?;
            let hash = Sha256::digest(&packet).into();
            found.push(Found { token, packet, hash });
        }
        Ok(found)
    }

    /// A buffer of this size, with any content.
    pub(super) fn buffer(&self, size: usize) -> Vec<u8> {
        let mut buffers = self.inner.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.pop_if(|buffer| buffer.len() == size).unwrap_or_else(|| vec![0; size])
    }

    /// Takes the buffer of a packet back for a later one, and wipes the text in it.
    pub(super) fn recycle(&self, mut buffer: Zeroizing<Vec<u8>>) {
        if buffer.len() != MAX_PACKET {
            return;
        }
        let mut buffer = std::mem::take(&mut *buffer);
        buffer[..].zeroize();
        let mut buffers = self.inner.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS {
            buffers.push(buffer);
        }
    }

    /// Discards packets, and publishes the keys of those that were there.
    pub(super) fn discard(&self, records: &[[u8; Discard::SIZE]]) -> Result<(), Error> {
        if !self.trying.gives_up {
            return self.discard_here(records);
        }
        let records = records.to_vec();
        self.or_given_up(move |client| client.discard_here(&records))
    }

    /// [`One::discard`] in this thread.
    fn discard_here(&self, records: &[[u8; Discard::SIZE]]) -> Result<(), Error> {
        for some in records.chunks(self.at_once()) {
            let Some(first) = some.first() else { continue };
            let address = address_of(&front(first));
            let agent = self.agent(&address)?;
            self.call(&agent, DISCARD, &some.concat(), |status, _| {
                if status == 204 { Ok(()) } else { Err(Why::answered(status)) }
            })?;
            self.forget(&address);
        }
        Ok(())
    }

    /// The status of each packet, as soon as none of them is held, or after `wait`.
    pub(super) fn gone(
        &self,
        addresses: &[Address],
        wait: Duration,
    ) -> Result<Vec<PacketStatus>, Error> {
        let asked = addresses.to_vec();
        let held = || vec![PacketStatus::Held; addresses.len()];
        self.waiting(wait, held, move |client| client.gone_here(&asked, wait))
    }

    /// [`One::gone`] in this thread.
    fn gone_here(&self, addresses: &[Address], wait: Duration) -> Result<Vec<PacketStatus>, Error> {
        let Some(first) = addresses.first() else { return Ok(Vec::new()) };
        let agent = self.agent(first)?;
        let wait = wait.min(self.longest_wait());
        let path = format!("{GONE}?wait={}", seconds(wait));
        let asked = Instant::now();
        let read = |status, answer: &[u8]| {
            if status != 200 || answer.len() != addresses.len() {
                return Err(Why::answered(status));
            }
            answer::statuses(answer).ok_or(Why::Nonsense)
        };
        let held = || vec![PacketStatus::Held; addresses.len()];
        let statuses = self.call_reading(
            &agent,
            &path,
            &addresses.concat(),
            wait,
            |head, answer| read(head.status.as_u16(), &small(answer)?),
            held,
        )?;
        if statuses.contains(&PacketStatus::Held) {
            wait_instead(asked, wait);
        }
        Ok(statuses)
    }

    /// The published keys of packets, as far as they were published.
    pub(super) fn revealed(&self, addresses: &[Address]) -> Result<Vec<(Address, Key)>, Error> {
        if !self.trying.gives_up {
            return self.revealed_here(addresses);
        }
        let addresses = addresses.to_vec();
        self.or_given_up(move |client| client.revealed_here(&addresses))
    }

    /// [`One::revealed`] in this thread.
    fn revealed_here(&self, addresses: &[Address]) -> Result<Vec<(Address, Key)>, Error> {
        let mut keys = Vec::new();
        for some in addresses.chunks(self.at_once()) {
            let Some(first) = some.first() else { continue };
            let agent = self.agent(first)?;
            let call = |status, answer: &[u8]| match status {
                200 => answer::keys(answer).ok_or(Why::Nonsense),
                _ => Err(Why::answered(status)),
            };
            keys.extend(self.call(&agent, REVEALED, &some.concat(), call)?);
        }
        Ok(keys)
    }

    /// How many addresses one call may name.
    pub(super) fn at_once(&self) -> usize {
        if self.isolates() { 1 } else { MAX_RECORDS }
    }

    /// The time for an answer to begin.
    pub(super) fn answer_time(&self) -> Duration {
        if self.inner.is_only || self.isolates() { ANSWER_TIME } else { NEXT_TIME }
    }

    pub(super) fn agent(&self, address: &Address) -> Result<Agent, Error> {
        if !self.isolates() {
            return Ok(self.inner.shared.clone());
        }
        let mut own = self.inner.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = own.get(address) {
            return Ok(agent.clone());
        }
        while own.len() >= AGENTS {
            own.pop_first();
        }
        let agent = self.inner.connector.agent().map_err(|why| self.error(why))?;
        own.insert(*address, agent.clone());
        Ok(agent)
    }

    pub(super) fn agent_for_long(&self) -> Result<Agent, Error> {
        if let Some(agent) = self.inner.long.get() {
            return Ok(agent.clone());
        }
        let agent = self.inner.connector.agent_for_long().map_err(|why| self.error(why))?;
        Ok(self.inner.long.get_or_init(|| agent).clone())
    }

    /// No further call will be about this address.
    pub(super) fn forget(&self, address: &Address) {
        self.inner.own.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }

    /// [`One::call_reading`] for a short answer that is not waited for.
    fn call<T>(
        &self,
        agent: &Agent,
        path: &str,
        body: &[u8],
        read: impl Fn(u16, &[u8]) -> Result<T, Why>,
    ) -> Result<T, Error> {
        let read = |head: &Parts, answer: &mut BodyReader<'_>| {
            read(head.status.as_u16(), &small(answer)?).map(Some)
        };
        let done = self.call_reading(agent, path, body, Duration::ZERO, read, || None)?;
        // A call that does not wait is not ended early.
        done.ok_or_else(|| self.error(Why::Slow))
    }

    /// Repeats a call until `read` accepts its answer or no try can succeed; if a proxy in between
    /// ended its wait, returns `nothing`, since no packet has come.
    pub(super) fn call_reading<T>(
        &self,
        agent: &Agent,
        path: &str,
        body: &[u8],
        wait: Duration,
        read: impl Fn(&Parts, &mut BodyReader<'_>) -> Result<T, Why>,
        nothing: impl Fn() -> T,
    ) -> Result<T, Error> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let began = Instant::now();
            let done = self.once(agent, path, body, wait).and_then(|answer| {
                let (head, mut body) = answer.into_parts();
                let done = read(&head, &mut body.as_reader());
                done.map_err(|why| why.or_after(retry_after(&head)))
            });
            let why = match done {
                Ok(read) => {
                    self.came_through();
                    return Ok(read);
                }
                Err(why) => why,
            };
            if !self.is_stopped() && self.inner.waits.was_cut(wait, began.elapsed(), &why) {
                return Ok(nothing());
            }
            if !self.tries_again((attempt, began), &why) {
                return Err(self.error(why));
            }
            let pause = pause(attempt, &why).map_err(|why| self.error(why))?;
            self.pause(pause);
        }
    }

    fn came_through(&self) {
        if self.inner.connector.known.joins.load(Ordering::Relaxed)
            && self.trying.listener.is_some()
            && !self.inner.joined_told.swap(true, Ordering::Relaxed)
        {
            self.tell(Notice::Joined);
        }
        self.inner.outage.lock().unwrap_or_else(PoisonError::into_inner).end();
        if self.trying.told.back() {
            self.tell(Notice::Back(self.inner.url.host()));
        }
    }

    fn tries_again(&self, tried: (u32, Instant), why: &Why) -> bool {
        if self.is_stopped() {
            return false;
        }
        let mut is_notable = false;
        let mut outage = self.inner.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = outage.goes_on(tried, why, self.trying.patience, || is_notable = true);
        // The listener may make calls, too.
        drop(outage);
        if is_notable && self.trying.told.away() {
            self.tell(Notice::Unreachable(&self.error(why.clone())));
        }
        goes_on
    }

    pub(super) fn tell(&self, notice: Notice<'_>) {
        if let Some(listener) = &self.trying.listener {
            listener(notice);
        }
    }

    pub(super) fn error(&self, why: Why) -> Error {
        Error::new(self.inner.url.host(), why)
    }

    /// The answer, its body still to be read.
    fn once(
        &self,
        agent: &Agent,
        path: &str,
        body: &[u8],
        wait: Duration,
    ) -> Result<Response<Body>, Why> {
        let mut request = agent.post(self.inner.url.call(path)).content_type(RAW);
        // Only a post shows the secret, and only to the postbox.
        if let (POST, Some(shown)) = (path, self.inner.url.authorization()) {
            request = request.header("authorization", shown);
        }
        let request = request
            .config()
            .timeout_recv_response(Some(wait.min(MAX_WAIT) + self.answer_time()))
            .build();
        request.send(body).map_err(Why::of)
    }
}

/// A short answer's bytes.
pub(super) fn small(answer: &mut BodyReader<'_>) -> Result<Vec<u8>, Why> {
    let mut bytes = Vec::new();
    let mut answer = answer.take(SMALL_ANSWER as u64 + 1);
    answer.read_to_end(&mut bytes).map_err(Why::of_reading)?;
    if bytes.len() > SMALL_ANSWER { Err(Why::Nonsense) } else { Ok(bytes) }
}

/// Pauses in place of a postbox or a proxy that did not wait, since the next call follows at once.
fn wait_instead(asked: Instant, wait: Duration) {
    let (wait, spent) = (wait.min(MAX_WAIT), asked.elapsed());
    if spent < wait / 2 {
        thread::sleep(PAUSE.min(wait.saturating_sub(spent)));
    }
}

fn retry_after(head: &Parts) -> Option<u64> {
    head.headers.get("retry-after")?.to_str().ok()?.parse().ok()
}

/// Whole seconds, as the postbox takes them, rounded up.
fn seconds(wait: Duration) -> u64 {
    let wait = wait.min(MAX_WAIT);
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// The byte before a raw packet.
pub(super) fn lead(packet: &[u8]) -> u8 {
    // Below 21: the length is that of a packet.
    PACKET_LEAD.saturating_add(u8::try_from(packet.len().trailing_zeros()).unwrap_or_default())
}
