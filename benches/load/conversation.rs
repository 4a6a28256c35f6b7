//! One conversation, turn by turn: one end waits, the other thinks and posts, the first discards.

use std::rc::Rc;
use std::time::Duration;

use otr::postbox::api::Discard;
use tokio::time::{Instant, sleep};

use super::front::Call;
use super::options::Options;
use super::tally::count;
use super::world::{Packet, World};

/// The pause before it is asked elsewhere, where one does not answer.
const PAUSE: Duration = Duration::from_millis(20);

/// Until it is over.
pub(crate) async fn hold(world: Rc<World>, number: usize) {
    let mut before = None;
    for turn in 0.. {
        if !world.next_turn() {
            return;
        }
        let packet = world.packet();
        // Where it is waited for; it is posted at the next one.
        let front = number + turn;
        if world.options.leave.is_some() {
            world.gathered.set(world.gathered.get() + usize::from(turn == 0));
            world.beginning().await;
            post(&world, &packet, front).await;
        } else if one(&world, &packet, before.as_ref(), front, turn == 0).await {
            before = Some(packet);
        }
    }
}

/// One packet from its post to its discard; whether that was answered.
async fn one(
    world: &World,
    packet: &Packet,
    before: Option<&Packet>,
    front: usize,
    is_first: bool,
) -> bool {
    let patience = Options::time(world.options.patience);
    let collecting = collect(world, packet, before, front, is_first);
    let posting = async {
        world.beginning().await;
        sleep(world.think().min(world.rest())).await;
        if world.is_over() { None } else { post(world, packet, front + 1).await }
    };
    tokio::pin!(collecting, posting);
    let (mut came, mut posted, mut is_lost) = (None, None, false);
    loop {
        tokio::select! {
            biased;
            at = &mut posting, if posted.is_none() => {
                posted = Some(at);
                if at.is_none() {
                    break;
                }
            }
            at = &mut collecting, if came.is_none() => came = Some(at),
            () = sleep(patience), if posted.is_some() && came.is_none() => {
                match status(world, packet, front).await {
                    Some(b'u') => {
                        if !is_lost {
                            count(&world.tally.lost);
                        }
                        is_lost = true;
                        if !world.options.repost {
                            break;
                        }
                        post_again(world, packet, front).await;
                    }
                    _ => count(&world.tally.late),
                }
            }
            else => break,
        }
    }
    let (Some(came), Some(Some((begun, answered)))) = (came, posted) else {
        return false;
    };
    count(&world.tally.collected);
    if is_lost {
        count(&world.tally.recovered);
    }
    // It may have come before the post was answered.
    world.tally.wake.add(came.saturating_duration_since(answered));
    world.tally.delivery.add(came.saturating_duration_since(begun));
    discard(world, packet, front).await
}

/// When a post began and was answered 201.
async fn post(world: &World, packet: &Packet, front: usize) -> Option<(Instant, Instant)> {
    let begun = Instant::now();
    if !post_again(world, packet, front).await {
        count(&world.tally.unposted);
        return None;
    }
    let answered = Instant::now();
    count(&world.tally.posted);
    world.tally.post.add(answered - begun);
    Some((begun, answered))
}

async fn post_again(world: &World, packet: &Packet, front: usize) -> bool {
    let call = Call { path: "/v1/post", parts: &[&packet.bytes], wait: Duration::ZERO };
    let take = |status, _: &[u8]| (status == 201).then_some(());
    world.fronts.call(front, call, give_up(world), &world.tally, take).await.is_some()
}

fn give_up(world: &World) -> Instant {
    Instant::now() + Options::time(world.options.give_up)
}

/// Waits for a packet, however often and wherever that has to be asked. Asks, too, for the one before, which
/// must not come again.
async fn collect(
    world: &World,
    packet: &Packet,
    before: Option<&Packet>,
    front: usize,
    is_first: bool,
) -> Instant {
    let path = format!("/v1/collect?wait={}", world.options.wait);
    let empty: &[u8] = &[];
    let parts = [&packet.token[..], before.map_or(empty, |before| &before.token)];
    let call = Call { path: &path, parts: &parts, wait: Duration::from_secs(world.options.wait) };
    if is_first {
        // The call itself is under way in the same breath.
        world.gathered.set(world.gathered.get() + 1);
    }
    for at in front.. {
        let mut has_come = false;
        let take = |status, body: &[u8]| {
            if status == 204 {
                return Some(false);
            }
            let mut is_again = false;
            for one in (status == 200).then_some(Stream(body)).into_iter().flatten() {
                if one.get(1..33) == Some(&packet.address) {
                    has_come = true;
                    if one != packet.bytes {
                        count(&world.tally.altered);
                    }
                } else {
                    is_again = before.is_some_and(|before| one == before.bytes);
                    count(if is_again { &world.tally.duplicates } else { &world.tally.altered });
                }
            }
            (status == 200).then_some(is_again)
        };
        let soon = Instant::now();
        let is_again = world.fronts.call(at, call, soon, &world.tally, take).await;
        match (is_again, before) {
            (Some(true), Some(before)) => {
                discard(world, before, at).await;
            }
            (None, _) => sleep(PAUSE).await,
            _ => {}
        }
        if has_come {
            return Instant::now();
        }
    }
    Instant::now()
}

/// Discards it, and publishes a key for it; whether that was answered.
async fn discard(world: &World, packet: &Packet, front: usize) -> bool {
    let begun = Instant::now();
    let mut record = Discard::without_key(&packet.token, &packet.hash);
    record[64..].copy_from_slice(&packet.address);
    let call = Call { path: "/v1/discard", parts: &[&record], wait: Duration::ZERO };
    let take = |status, _: &[u8]| (status == 204).then_some(());
    let done = world.fronts.call(front, call, give_up(world), &world.tally, take).await.is_some();
    if done {
        count(&world.tally.discarded);
        world.tally.discard.add(begun.elapsed());
    } else {
        count(&world.tally.undiscarded);
    }
    done
}

/// What the postbox knows of it.
async fn status(world: &World, packet: &Packet, front: usize) -> Option<u8> {
    let call = Call { path: "/v1/gone", parts: &[&packet.address], wait: Duration::ZERO };
    let take = |status, body: &[u8]| (status == 200).then(|| body.first().copied()).flatten();
    world.fronts.call(front, call, give_up(world), &world.tally, take).await
}

/// The packets of an answer, each with the byte before it that tells its size.
struct Stream<'a>(&'a [u8]);

impl<'a> Iterator for Stream<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let power = self.0.first()?.wrapping_sub(0xE9);
        let size = 1_usize.checked_shl(u32::from(power)).unwrap_or(usize::MAX);
        let (one, rest) = self.0.split_at_checked(size.saturating_add(1))?;
        self.0 = rest;
        Some(one)
    }
}
