//! Posts packets in bodies as large as allowed, and handles refusals.

use std::io::Read as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ureq::http::response::Parts;
use ureq::{Agent, BodyReader};

use super::error::{Error, Why};
use super::one::{LIMITS_ANSWER, One, POST_MAX, lead, small};
use crate::postbox::api::{self, MAX_PACKET, POST, front};
use crate::postbox::work::{self, FULL_BITS, Price};

/// If packets are kept for fewer seconds than this, the user is told.
const SHORT_LIFE: u64 = 12 * 60 * 60;

/// The outcome of a body.
enum Posted {
    All,
    /// Refused for its size.
    TooLarge,
    /// This many were stored from its beginning, and the next packet has to show work.
    Asked {
        stored: usize,
        price: Price,
    },
}

impl One {
    /// Posts packets in order, except those that are refused for their size; returns which these
    /// are.
    pub(super) fn post_fitting<P: AsRef<[u8]>>(&self, packets: &[P]) -> Result<Vec<usize>, Error> {
        if !self.trying.gives_up {
            return self.post_fitting_here(packets);
        }
        let packets: Vec<Vec<u8>> = packets.iter().map(|packet| packet.as_ref().to_vec()).collect();
        self.or_given_up(move |client| client.post_fitting_here(&packets))
    }

    /// [`One::post_fitting`] in this thread.
    fn post_fitting_here<P: AsRef<[u8]>>(&self, packets: &[P]) -> Result<Vec<usize>, Error> {
        let (mut at, mut refused) = (0, Vec::new());
        let (mut asked, mut asked_for) = (None, 0);
        while let Some(first) = packets.get(at).map(AsRef::as_ref) {
            if first.len() > self.largest_known() {
                refused.push(at);
                at += 1;
                continue;
            }
            let agent = self.agent(&front(first))?;
            let price = asked.take().or_else(|| self.known_price());
            let (body, count) = match price {
                Some(price) => (self.paid(price, first), 1),
                None => self.body(&packets[at..]),
            };
            match self.post_body(&agent, &body, count)? {
                Posted::All => (at, asked_for) = (at + count, 0),
                // If it was refused with others, only all together may be too large.
                Posted::TooLarge if count == 1 => self.is_refused(first.len()),
                Posted::TooLarge => {}
                Posted::Asked { stored, price } => {
                    (at, asked, asked_for) = (at + stored, Some(price), asked_for + 1);
                    self.check_bargain(asked_for)?;
                }
            }
        }
        Ok(refused)
    }

    /// As many of these packets as fit into one body, at least one.
    fn body<P: AsRef<[u8]>>(&self, packets: &[P]) -> (Vec<u8>, usize) {
        let (mut body, mut count) = (Vec::new(), 0);
        for packet in packets.iter().map(AsRef::as_ref) {
            let fits = body.len() + packet.len() <= POST_MAX && !self.one_a_post();
            if count > 0 && (!fits || packet.len() > self.largest_known()) {
                break;
            }
            body.reserve(packet.len() + 1);
            body.push(lead(packet));
            body.extend_from_slice(packet);
            count += 1;
        }
        (body, count)
    }

    /// Posts a packet of a long message, which has a byte of room before it.
    ///
    /// # Errors
    /// Among others [`Why::Full`], also if the postbox asks for long work and the caller `may_wait`
    /// for room instead.
    pub(super) fn post_framed(&self, framed: &mut [u8], may_wait: bool) -> Result<(), Error> {
        if !self.trying.gives_up {
            return self.post_framed_here(framed, may_wait);
        }
        let mut framed = framed.to_vec();
        self.or_given_up(move |client| client.post_framed_here(&mut framed, may_wait))
    }

    /// [`One::post_framed`] in this thread.
    fn post_framed_here(&self, framed: &mut [u8], may_wait: bool) -> Result<(), Error> {
        let Some((room, packet)) = framed.split_first_mut() else { return Ok(()) };
        *room = lead(packet);
        let (address, bytes) = (front(packet), packet.len());
        let agent = if self.isolates() { self.agent(&address)? } else { self.agent_for_long()? };
        let (mut asked, mut asked_for) = (self.known_price(), 0);
        loop {
            let posted = match asked {
                None => self.post_body(&agent, framed, 1)?,
                Some(price) if may_wait && price.bits_for(bytes) > u32::from(FULL_BITS) => {
                    return Err(self.error(Why::Full));
                }
                Some(price) => {
                    let body = self.paid(price, &framed[1..]);
                    self.post_body(&agent, &body, 1)?
                }
            };
            match posted {
                Posted::All => return Ok(()),
                Posted::TooLarge => {
                    self.is_refused(bytes);
                    return Err(self.too_large(bytes));
                }
                Posted::Asked { price, .. } => {
                    (asked, asked_for) = (Some(price), asked_for + 1);
                    self.check_bargain(asked_for)?;
                }
            }
        }
    }

    /// The seconds for which the postbox keeps what was posted, if that is much shorter than the
    /// usual day. Returned only once.
    pub(super) fn take_keeps_short(&self) -> Option<u64> {
        let (keeps, told) = &self.inner.keeps;
        let seconds = u64::from(keeps.load(Ordering::Relaxed));
        (seconds < SHORT_LIFE && !told.swap(true, Ordering::Relaxed)).then_some(seconds)
    }

    /// Notes that a packet of this many bytes was refused by itself.
    fn is_refused(&self, bytes: usize) {
        self.inner.largest.fetch_min(bytes / 2, Ordering::Relaxed);
    }

    /// The error for a packet that is refused for its size.
    pub(super) fn too_large(&self, bytes: usize) -> Error {
        self.error(Why::TooLarge(bytes))
    }

    fn one_a_post(&self) -> bool {
        self.isolates() || self.inner.one_a_post.load(Ordering::Relaxed)
    }

    /// Bytes of the largest packet that may come through: less than the smallest that was refused,
    /// and no more than what the postbox says, if it was asked.
    pub(super) fn largest_known(&self) -> usize {
        self.inner.largest.load(Ordering::Relaxed)
    }

    /// The same; asks the postbox for it, once.
    pub(super) fn largest_packet(&self) -> usize {
        self.inner.asked.call_once(|| {
            if let Some(told) = self.limits() {
                self.inner.largest.fetch_min(told, Ordering::Relaxed);
            }
        });
        self.largest_known()
    }

    fn limits(&self) -> Option<usize> {
        let agent = self.inner.connector.agent().ok()?;
        let request = agent
            .get(self.inner.url.call("/"))
            .header("accept", "application/json")
            .config()
            .timeout_recv_response(Some(self.answer_time()))
            .build();
        let mut answer = request.call().ok()?;
        let mut body = Vec::new();
        let read = answer.body_mut().as_reader().take(LIMITS_ANSWER).read_to_end(&mut body);
        read.ok()?;
        let told: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let bytes = usize::try_from(told.get("max_packet_bytes")?.as_u64()?).ok()?;
        Some(bytes.clamp(api::MIN_PACKET, MAX_PACKET))
    }

    /// The outcome of a body of this many packets.
    fn post_body(&self, agent: &Agent, body: &[u8], count: usize) -> Result<Posted, Error> {
        let read = |head: &Parts, answer: &mut BodyReader<'_>| {
            let price = head.headers.get(work::HEADER).and_then(|value| value.to_str().ok());
            let price = price.and_then(Price::of_header);
            let status = head.status.as_u16();
            let mut stored = || {
                let told = small(answer)?;
                let number =
                    str::from_utf8(&told).ok().and_then(|told| told.trim_end().parse().ok());
                number.ok_or(Why::Nonsense)
            };
            let keeps = head.headers.get(api::KEEPS).and_then(|value| value.to_str().ok());
            if let Some(seconds) = keeps.and_then(|text| text.parse().ok()) {
                self.inner.keeps.0.fetch_min(seconds, Ordering::Relaxed);
            }
            let posted = match (status, price) {
                (201, _) if stored()? == count => Posted::All,
                (413, _) => {
                    self.inner.one_a_post.store(true, Ordering::Relaxed);
                    return Ok(Some(Posted::TooLarge));
                }
                (402, Some(price)) => {
                    let stored = Some(stored()?).filter(|stored| *stored < count);
                    Posted::Asked { stored: stored.ok_or(Why::Nonsense)?, price }
                }
                _ => return Err(Why::answered(status)),
            };
            self.note_price(price);
            Ok(Some(posted))
        };
        let done = self.call_reading(agent, POST, body, Duration::ZERO, read, || None)?;
        // Nothing ends a wait that is none.
        done.ok_or_else(|| self.error(Why::Slow))
    }
}
