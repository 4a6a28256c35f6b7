//! The five calls: what each does with its body, and what it answers.
//!
//! No answer repeats anything of a request: not a byte of a packet, a token or an address.

use super::body::{BadRecords, Piece, Records, Upload, linger, next_piece, records};
use super::caller::Caller;
use super::form::{Form, TEXT};
use super::intake::{Intake, Unfit};
#[cfg(feature = "redis")]
use super::keys;
use super::keys::Keys;
use super::lane::{between, steps};
use super::limits::PACKET_TIME;
use super::outgoing::Packets;
use super::reply::{self, Answer, Body, answer, answer_in, nothing, retry, text};
use super::state::Server;
use crate::postbox::api::{Address, Discard, KEEPS, MAX_WAIT, PacketStatus, address_of};
use crate::postbox::storage::Store;
use crate::postbox::storage::budget::{Budget, Full, Purpose};
#[cfg(feature = "redis")]
use crate::postbox::storage::far;
use crate::postbox::storage::found::Found;
use crate::postbox::storage::packet::{Packet, most_cost};
use crate::postbox::storage::standing::{Away, Unstored};
use crate::postbox::storage::unfinished::GRACE;
use crate::postbox::storage::watch::{self, Addresses, Wanted, Watch};
use crate::postbox::work::{self, Price, Proof};
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep_until};

/// The values of `?wait=` and `&max=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wishes {
    wait: Duration,
    max: u64,
}

impl Wishes {
    /// Reads a query; `None` for anything but these two fields, each at most once, in whole
    /// numbers.
    pub(crate) fn of_query(query: &str) -> Option<Self> {
        let (mut wait, mut max) = (None, None);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            let place = match name {
                "wait" => &mut wait,
                "max" => &mut max,
                _ => return None,
            };
            let digits = value.bytes().all(|byte| byte.is_ascii_digit());
            if place.replace(value.parse().ok().filter(|_| digits)?).is_some() {
                return None;
            }
        }
        let wait = Duration::from_secs(wait.unwrap_or(0)).min(MAX_WAIT);
        Some(Self { wait, max: max.unwrap_or(u64::MAX) })
    }
}

/// See [`KEEPS`].
static KEEPS_FIELD: HeaderName = HeaderName::from_static(KEEPS);

/// Why a packet and all packets after it were not stored.
enum Refusal {
    Unfit(Unfit),
    Unpaid(Price),
    Crowded,
    /// The store is full.
    Full,
    /// Others need the memory, and it is behind.
    Behind,
    /// The store is away.
    Away,
    Slow,
    Broken,
}

/// Takes packets; the answer's fields go into `headers`.
pub(crate) async fn post(
    server: &Server,
    budget: &Arc<Budget>,
    headers: HeaderMap,
    mut body: Upload,
) -> Answer {
    let mut done = Done::default();
    let outcome = take_packets(server, budget, &mut body, &mut done).await;
    let Done { stored, keeps } = done;
    let price = match outcome {
        Err(Refusal::Unpaid(price)) => Some(price),
        _ => server.gate.price(&server.store),
    };
    let refused = &server.refused;
    let (status, count, again) = match outcome {
        // An empty body is a mistake, likely at the other end of the caller's pipe.
        Ok(()) if stored == 0 => (StatusCode::BAD_REQUEST, Some(&refused.unfit), false),
        Ok(()) => (StatusCode::CREATED, None, false),
        Err(Refusal::Unfit(Unfit::NotAPacket | Unfit::PublishedKey)) => {
            (StatusCode::BAD_REQUEST, Some(&refused.unfit), false)
        }
        Err(Refusal::Unfit(Unfit::TooLarge)) => {
            (StatusCode::PAYLOAD_TOO_LARGE, Some(&refused.unfit), false)
        }
        // Packets lie elsewhere, and there may be room: it is only we who have none now.
        Err(Refusal::Unfit(Unfit::Full)) if !server.store.is_here() => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(&refused.busy), true)
        }
        Err(Refusal::Unfit(Unfit::Full) | Refusal::Full) => {
            (StatusCode::INSUFFICIENT_STORAGE, Some(&refused.full), false)
        }
        Err(Refusal::Unpaid(_)) => (StatusCode::PAYMENT_REQUIRED, Some(&refused.unpaid), false),
        Err(Refusal::Crowded) => (StatusCode::TOO_MANY_REQUESTS, Some(&refused.crowded), true),
        Err(Refusal::Behind | Refusal::Away) => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(&refused.busy), true)
        }
        Err(Refusal::Slow) => (StatusCode::REQUEST_TIMEOUT, Some(&refused.slow), false),
        // The caller is gone and cannot read it.
        Err(Refusal::Broken) => (StatusCode::BAD_REQUEST, None, false),
    };
    if let Some(count) = count {
        count.fetch_add(1, Relaxed);
        linger(body);
        server.callers.lane().turn().await;
    }
    let mut answer = answer_in(headers, status, TEXT, reply::count(stored));
    if let Some(value) = price.and_then(|price| price.header().try_into().ok()) {
        answer.headers_mut().insert(work::HEADER, value);
    }
    if let Some(seconds) = keeps {
        answer.headers_mut().insert(&KEEPS_FIELD, server.keeps(seconds));
    }
    if again { retry(answer) } else { answer }
}

/// The outcome of a body of packets.
#[derive(Default)]
struct Done {
    stored: u64,
    /// The shortest of their lifetimes, seconds.
    keeps: Option<u32>,
}

async fn take_packets(
    server: &Server,
    budget: &Arc<Budget>,
    body: &mut Upload,
    done: &mut Done,
) -> Result<(), Refusal> {
    let mut intake = Intake::new(budget, server.choices.max_packet);
    let (mut since, all) = (Instant::now(), server.store.unfinished());
    loop {
        match next_piece(body, since + PACKET_TIME).await {
            Piece::Bytes(bytes) => {
                let grace = if body.has_come() { Duration::ZERO } else { GRACE };
                let cost = most_cost(bytes.len());
                all.make_room(budget, Purpose::Packets, cost, grace).await;
                let mut rest = &bytes[..];
                while let Some(packet) = intake.next(&mut rest).map_err(Refusal::Unfit)? {
                    // Otherwise it would count twice.
                    body.is_whole();
                    put(server, packet, intake.take_proof(), done).await?;
                    if !body.has_come() {
                        since = Instant::now();
                    }
                }
                body.has_brought(all, since, intake.begun());
            }
            Piece::End => {
                let last = intake.end().map_err(Refusal::Unfit)?;
                body.is_whole();
                return match last {
                    Some(packet) => put(server, packet, intake.take_proof(), done).await,
                    None => Ok(()),
                };
            }
            Piece::Behind => return Err(Refusal::Behind),
            Piece::Slow => return Err(Refusal::Slow),
            Piece::Broken => return Err(Refusal::Broken),
        }
    }
}

/// Stores one packet, if its work is done.
async fn put(
    server: &Server,
    packet: Packet,
    proof: Option<Proof>,
    done: &mut Done,
) -> Result<(), Refusal> {
    server.gate.admit(&server.store, &packet, proof.as_ref()).map_err(Refusal::Unpaid)?;
    let life = server.store.put(packet).await.map_err(|why| match why {
        Unstored::Crowded => Refusal::Crowded,
        Unstored::Full => Refusal::Full,
        Unstored::Away => Refusal::Away,
    })?;
    done.stored += 1;
    done.keeps = Some(done.keeps.map_or(life, |shortest| shortest.min(life)));
    Ok(())
}

/// Gives what lies under the addresses of tokens, at once or as soon as something comes.
pub(crate) async fn collect(
    server: &Server,
    budget: &Arc<Budget>,
    wishes: Wishes,
    form: Form,
    mut body: Upload,
) -> Answer {
    let tokens = match records(&mut body, form, budget, &server.records).await {
        Ok(tokens) => tokens,
        Err(why) => return refuse_records(server, why, body).await,
    };
    let turn = server.turn(tokens.list().len()).await;
    let mut addresses = tokens.without_repeats().await.map(address_of).await;
    addresses.wait();
    let begun = server.store.moment();
    let Ok(mut found) = find(server, budget, addresses.list(), wishes.max).await else {
        return busy(server);
    };
    if found.is_empty() && !wishes.wait.is_zero() {
        let addresses = Arc::new(addresses.into());
        let waiting = (body.caller(), &addresses, turn);
        let wanted = (Wanted::Packet, Some(begun));
        match wait_for(server, budget, waiting, wishes.wait, wanted).await {
            Ok(watch) if watch.is_due() => {
                let _turn = server.turn(addresses.list().len()).await;
                match find_told(server, budget, addresses.list(), wishes.max, watch).await {
                    Ok(now) => found = now,
                    Err(Away) => return busy(server),
                }
            }
            Ok(_) => {}
            Err(Busy) => return busy(server),
        }
    }
    if found.is_empty() {
        return nothing();
    }
    let packets = Packets::new(form, found, budget);
    charged(server, form, packets.map(Body::packets))
}

async fn find(
    server: &Server,
    budget: &Arc<Budget>,
    addresses: &[Address],
    max: u64,
) -> Result<Vec<Arc<Packet>>, Away> {
    let mut found = Found::up_to(max);
    for some in steps(addresses.len()) {
        between(&some).await;
        server.store.find(budget, &addresses[some], &mut found).await?;
        if found.is_full() {
            break;
        }
    }
    // What was found goes out, whatever else is away.
    if found.packets.is_empty() && found.lacks_some() { Err(Away) } else { Ok(found.packets) }
}

/// The same after a watch was woken: what has woken it, or else all that is there.
async fn find_told(
    server: &Server,
    budget: &Arc<Budget>,
    addresses: &[Address],
    max: u64,
    watch: Watch,
) -> Result<Vec<Arc<Packet>>, Away> {
    let mut found = Found::up_to(max);
    server.store.find_told(budget, addresses, watch, &mut found).await?;
    if found.packets.is_empty() {
        return find(server, budget, addresses, max).await;
    }
    Ok(found.packets)
}

/// Discards packets, and keeps the keys of those that were there.
pub(crate) async fn discard(
    server: &Server,
    budget: &Arc<Budget>,
    form: Form,
    mut body: Upload,
) -> Answer {
    let records: Records<{ Discard::SIZE }> =
        match records(&mut body, form, budget, &server.records).await {
            Ok(records) => records,
            Err(why) => return refuse_records(server, why, body).await,
        };
    let turn = server.turn(records.list().len()).await;
    let records = records.without_repeats().await;
    drop(turn);
    for some in steps(records.list().len()) {
        if let Err(Away) = server.store.discard(&records.list()[some]).await {
            return busy(server);
        }
    }
    nothing()
}

/// Says what has become of packets, as soon as none of them is held.
pub(crate) async fn gone(
    server: &Server,
    budget: &Arc<Budget>,
    wishes: Wishes,
    form: Form,
    mut body: Upload,
) -> Answer {
    let mut addresses: Records<32> = match records(&mut body, form, budget, &server.records).await {
        Ok(addresses) => addresses,
        Err(why) => return refuse_records(server, why, body).await,
    };
    let turn = server.turn(addresses.list().len()).await;
    addresses.wait();
    let Ok(mut statuses) = look_at(server, addresses.list()).await else { return busy(server) };
    if statuses.contains(&PacketStatus::Held) && !wishes.wait.is_zero() {
        let addresses = Arc::new(addresses.into());
        let waiting = (body.caller(), &addresses, turn);
        let wanted = (Wanted::Collected, None);
        match wait_for(server, budget, waiting, wishes.wait, wanted).await {
            // Some packets may be gone, and others not.
            Ok(watch) => drop(watch),
            Err(Busy) => return busy(server),
        }
        let _turn = server.turn(addresses.list().len()).await;
        match look_at(server, addresses.list()).await {
            Ok(now) => statuses = now,
            Err(Away) => return busy(server),
        }
    }
    let mut out: Vec<u8> = statuses.into_iter().map(|status| status as u8).collect();
    if form == Form::Text {
        out.push(b'\n');
    }
    charged(server, form, Body::charged(out, budget))
}

async fn look_at(server: &Server, addresses: &[Address]) -> Result<Vec<PacketStatus>, Away> {
    let mut statuses = Vec::with_capacity(addresses.len());
    for some in steps(addresses.len()) {
        between(&some).await;
        statuses.extend(server.store.statuses(&addresses[some]).await?);
    }
    Ok(statuses)
}

/// Gives published keys.
pub(crate) async fn revealed(
    server: &Arc<Server>,
    budget: &Arc<Budget>,
    form: Form,
    mut body: Upload,
) -> Answer {
    let addresses: Records<32> = match records(&mut body, form, budget, &server.records).await {
        Ok(addresses) => addresses,
        Err(why) => return refuse_records(server, why, body).await,
    };
    let _turn = server.turn(addresses.list().len()).await;
    let addresses = addresses.without_repeats().await;
    match &server.store {
        Store::Memory(_) => {
            charged(server, form, Keys::new(server, form, addresses, budget).await.map(Body::Keys))
        }
        #[cfg(feature = "redis")]
        Store::Shared(shared) => {
            match far(keys::all(shared, form, addresses.list(), budget)).await {
                Ok((keys, charge)) => charged(server, form, Ok(Body::Charged(keys, charge))),
                Err(Away) => busy(server),
            }
        }
    }
}

/// The answer with this body, if there was memory for it.
fn charged(server: &Server, form: Form, body: Result<Body, Full>) -> Answer {
    match body {
        Ok(body) => answer(StatusCode::OK, form.media_type(), body),
        Err(Full) => busy(server),
    }
}

/// No more calls may wait.
struct Busy;

/// Waits until what is wanted has come, the time is up, another call needs the seat, or the caller
/// sends no more; the watch says whether it has come. A caller that has finished sending may still
/// listen or may be gone. We can't tell, so it gets its answer and the seat becomes free.
async fn wait_for(
    server: &Server,
    budget: &Arc<Budget>,
    (caller, addresses, turn): (&Caller, &Arc<Addresses>, Option<SemaphorePermit<'_>>),
    wait: Duration,
    (wanted, empty_at): (Wanted, Option<u64>),
) -> Result<Watch, Busy> {
    let deadline = Instant::now() + wait;
    let bytes = addresses.charged() + watch::cost(addresses.list());
    let seat = server.waiting.enter(bytes, budget.left(Purpose::Waits)).ok_or(Busy)?;
    let (mut watch, mut ears) = server.store.watch(budget, addresses, wanted, empty_at);
    for some in steps(addresses.list().len()) {
        between(&some).await;
        server.store.add((&mut watch, &mut ears), some).await.map_err(|Away| Busy)?;
    }
    drop(turn);
    let _waits = caller.waits();
    while !watch.is_due() {
        if server.is_stopping() {
            return Err(Busy);
        }
        tokio::select! {
            () = watch.changed() => {}
            () = sleep_until(deadline) => break,
            () = seat.needed() => break,
            () = caller.hangs_up() => break,
        }
    }
    Ok(watch)
}

pub(crate) fn busy(server: &Server) -> Answer {
    server.refused.busy.fetch_add(1, Relaxed);
    retry(text(StatusCode::SERVICE_UNAVAILABLE, "busy; try again later\n"))
}

async fn refuse_records(server: &Server, why: BadRecords, body: Upload) -> Answer {
    linger(body);
    server.callers.lane().turn().await;
    let refused = &server.refused;
    let (count, status, words) = match why {
        BadRecords::Full => return busy(server),
        BadRecords::TooMany => {
            (&refused.unfit, StatusCode::PAYLOAD_TOO_LARGE, "too many records for one call\n")
        }
        BadRecords::Slow => {
            (&refused.slow, StatusCode::REQUEST_TIMEOUT, "the body came too slowly\n")
        }
        BadRecords::Unfit | BadRecords::Broken => (
            &refused.unfit,
            StatusCode::BAD_REQUEST,
            "not records of this call; raw ones need Content-Type: application/octet-stream\n",
        ),
    };
    count.fetch_add(1, Relaxed);
    text(status, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_time_and_size_and_nothing_else() {
        let wishes = |query| Wishes::of_query(query);
        let secs = Duration::from_secs;
        assert_eq!(wishes(""), Some(Wishes { wait: secs(0), max: u64::MAX }));
        assert_eq!(wishes("wait=5&max=9"), Some(Wishes { wait: secs(5), max: 9 }));
        assert_eq!(wishes("wait=9999").map(|wishes| wishes.wait), Some(MAX_WAIT));
        for wrong in ["wait", "wait=", "wait=-1", "wait=+1", "wait=1&wait=2", "token=AAAA", "max=x"]
        {
            assert_eq!(wishes(wrong), None, "{wrong}");
        }
    }
}
