//! What all conversations share: the postboxes, chance, the counts, and when it begins and ends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use otr::postbox::api::{MAX_PACKET, address_of};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use super::conversation;
use super::front::Fronts;
use super::options::Options;
use super::process;
use super::tally::{Outcome, Tally};

/// How many conversations begin before the others get their turn.
const BATCH: usize = 64;
/// How long it takes at most until everybody waits.
const GATHERING: Duration = Duration::from_mins(2);
/// From where packets' bytes are cut: they need only differ, and look like any.
const NOISE: usize = 2 * MAX_PACKET;

/// What all conversations share.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) fronts: Fronts,
    pub(crate) tally: Tally,
    /// Turns that nobody has begun yet, where they are counted.
    left: Cell<u64>,
    /// Those whose first call waits at a postbox.
    pub(crate) gathered: Cell<usize>,
    begun: watch::Sender<Option<Instant>>,
    chance: RefCell<Chance>,
    noise: Vec<u8>,
}

/// A packet, with what opens its address.
pub(crate) struct Packet {
    pub(crate) token: [u8; 32],
    pub(crate) address: [u8; 32],
    pub(crate) hash: [u8; 32],
    /// The byte that begins it in a stream of packets, and all of its bytes behind that.
    pub(crate) bytes: Vec<u8>,
}

impl World {
    /// Takes a turn, unless it is over.
    pub(crate) fn next_turn(&self) -> bool {
        match self.left.get() {
            0 => false,
            _ if self.is_over() => false,
            left => {
                self.left.set(left - 1);
                true
            }
        }
    }

    /// Whether the time is over.
    pub(crate) fn is_over(&self) -> bool {
        let begun = *self.begun.borrow();
        begun.is_some_and(|begun| begun.elapsed() >= self.options.duration())
    }

    /// The time that is left.
    pub(crate) fn rest(&self) -> Duration {
        let begun = *self.begun.borrow();
        let past = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        self.options.duration().saturating_sub(past)
    }

    /// Waits until everybody waits.
    pub(crate) async fn beginning(&self) {
        let mut begun = self.begun.subscribe();
        let _ = begun.wait_for(Option::is_some).await;
    }

    /// How long somebody thinks.
    pub(crate) fn think(&self) -> Duration {
        if self.options.think <= 0.0 {
            return Duration::ZERO;
        }
        #[expect(clippy::cast_precision_loss, reason = "a little chance less")]
        let even = (self.random() >> 11) as f64 / (1_u64 << 53) as f64;
        Options::time(-(1.0 - even).ln() * self.options.think)
    }

    fn random(&self) -> u64 {
        self.chance.borrow_mut().next()
    }

    /// A packet of its own.
    pub(crate) fn packet(&self) -> Packet {
        let size = self.options.sizes.choose(self.random());
        let mut token = [0; 32];
        for part in token.as_chunks_mut::<8>().0 {
            *part = self.random().to_le_bytes();
        }
        let address = address_of(&token);
        let from = usize::try_from(self.random() % (NOISE - size) as u64).unwrap_or(0);
        // The first byte tells the size: 0xE9 and the power of two.
        let lead = 0xE9 + u8::try_from(size.trailing_zeros()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(size + 1);
        bytes.push(lead);
        bytes.extend_from_slice(&address);
        bytes.extend_from_slice(&self.noise[from..from + size - address.len()]);
        let hash = Sha256::digest(&bytes[1..]).into();
        Packet { token, address, hash, bytes }
    }

    /// CPU time of this process and of the others, by name.
    fn cpu(&self) -> Vec<(String, u64)> {
        let others = self.options.pids.iter().map(|pids| {
            let spent = pids.ids.iter().map(|id| process::cpu(&id.to_string())).sum();
            (pids.name.clone(), spent)
        });
        [("load".to_owned(), process::cpu("self"))].into_iter().chain(others).collect()
    }
}

/// All of it.
pub(crate) async fn run(options: Options) -> Result<Outcome, String> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|why| why.to_string())?;
    let mut noise = vec![0; NOISE];
    getrandom::fill(&mut noise).map_err(|why| why.to_string())?;
    let left = options.count.or(options.leave).unwrap_or(u64::MAX);
    let count = options.conversations;
    let world = Rc::new(World {
        fronts: Fronts::new(&options.urls)?,
        tally: Tally::default(),
        left: Cell::new(left),
        gathered: Cell::new(0),
        begun: watch::Sender::new(None),
        chance: RefCell::new(Chance(u64::from_le_bytes(seed))),
        noise,
        options,
    });
    let mut all = JoinSet::new();
    for number in 0..count {
        all.spawn_local(conversation::hold(Rc::clone(&world), number));
        if number % BATCH == BATCH - 1 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    let gathering = Instant::now();
    // Fewer than all, where there are more of them than packets.
    let expected = usize::try_from(left).unwrap_or(usize::MAX).min(count);
    while world.gathered.get() < expected && gathering.elapsed() < GATHERING {
        sleep(Duration::from_millis(20)).await;
    }
    yield_now().await;
    let before = world.cpu();
    let (sent, received) =
        (world.tally.traffic.sent.replace(0), world.tally.traffic.received.replace(0));
    let begun = Instant::now();
    world.begun.send_replace(Some(begun));
    while let Some(ended) = all.join_next().await {
        ended.map_err(|why| why.to_string())?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = world.cpu().into_iter().zip(before);
    let cpu: Vec<_> =
        after.map(|((name, now), (_, before))| (name, now.saturating_sub(before))).collect();
    let asked = json!({
        "fronts": world.options.urls.len(),
        "conversations": count,
        "think_s": world.options.think,
        "wire_before": { "sent": sent, "received": received },
    });
    Ok(world.tally.outcome(seconds, &cpu, &asked))
}

/// Chance that is quick (`SplitMix64`); nothing here is a secret.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
