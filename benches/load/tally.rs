//! What is counted and timed, and how it is told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::wire::Traffic;

/// Times of one kind, in microseconds.
#[derive(Default)]
pub(crate) struct Times(RefCell<Vec<u32>>);

impl Times {
    pub(crate) fn add(&self, time: Duration) {
        self.0.borrow_mut().push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// Percentiles in milliseconds.
    fn told(&self) -> Value {
        let mut times = self.0.borrow_mut();
        times.sort_unstable();
        let at = |thousandths: usize| {
            let at = (times.len() * thousandths / 1000).min(times.len().saturating_sub(1));
            times.get(at).map(|&time| f64::from(time) / 1000.0)
        };
        json!({
            "p50": at(500), "p90": at(900), "p99": at(990), "p999": at(999), "max": at(1000),
            "count": times.len(),
        })
    }
}

/// Counts of everything.
#[derive(Default)]
pub(crate) struct Tally {
    /// Packets that were answered 201, that came, and that were discarded.
    pub(crate) posted: Cell<u64>,
    pub(crate) collected: Cell<u64>,
    pub(crate) discarded: Cell<u64>,
    /// Posts and discards that never got an answer that says yes.
    pub(crate) unposted: Cell<u64>,
    pub(crate) undiscarded: Cell<u64>,
    /// Packets that were answered 201 and are unknown to the postbox before they came; of these, those that
    /// came after they were posted again.
    pub(crate) lost: Cell<u64>,
    pub(crate) recovered: Cell<u64>,
    /// Packets that came again after their discard was answered, and packets with other bytes than those
    /// that were posted.
    pub(crate) duplicates: Cell<u64>,
    pub(crate) altered: Cell<u64>,
    /// Packets that were held when patience was over: their wake-up was lost.
    pub(crate) late: Cell<u64>,
    /// Calls whose connection broke, or that were not answered in time.
    pub(crate) broken: Cell<u64>,
    /// A post; from its answer until the other end has the packet; both; a discard.
    pub(crate) post: Times,
    pub(crate) wake: Times,
    pub(crate) delivery: Times,
    pub(crate) discard: Times,
    pub(crate) traffic: Traffic,
    answers: RefCell<BTreeMap<u16, u64>>,
}

/// One more.
pub(crate) fn count(one: &Cell<u64>) {
    one.set(one.get() + 1);
}

/// What came of a run.
pub(crate) struct Outcome {
    /// All of it.
    pub(crate) report: Value,
    whole: bool,
}

impl Outcome {
    /// Whether no packet was lost, altered, or came twice.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }
}

impl Tally {
    pub(crate) fn answered(&self, status: u16) {
        *self.answers.borrow_mut().entry(status).or_default() += 1;
    }

    /// The whole of it, after `seconds`, with CPU microseconds by name.
    pub(crate) fn outcome(&self, seconds: f64, cpu: &[(String, u64)], asked: &Value) -> Outcome {
        // Of a run that only leaves packets there is no other measure.
        let packets = self.collected.get().max(self.discarded.get());
        let packets = if packets == 0 { self.posted.get() } else { packets };
        let each = |value: u64| ratio(value, packets);
        let bad = [&self.lost, &self.duplicates, &self.altered].map(Cell::get);
        let cpu: serde_json::Map<_, _> =
            cpu.iter().map(|(name, spent)| (name.clone(), each(*spent))).collect();
        let (sent, received) = (self.traffic.sent.get(), self.traffic.received.get());
        let answers = self.answers.borrow();
        let answers: serde_json::Map<_, _> =
            answers.iter().map(|(status, count)| (status.to_string(), json!(count))).collect();
        let report = json!({
            "asked": asked,
            "seconds": seconds,
            "posted": self.posted.get(),
            "collected": self.collected.get(),
            "discarded": self.discarded.get(),
            "posts_per_second": if seconds > 0.0 { per_second(self.posted.get(), seconds) } else { 0.0 },
            "lost": bad[0],
            "recovered": self.recovered.get(),
            "duplicates": bad[1],
            "altered": bad[2],
            "late": self.late.get(),
            "unposted": self.unposted.get(),
            "undiscarded": self.undiscarded.get(),
            "broken": self.broken.get(),
            "answers": answers,
            "post_ms": self.post.told(),
            "wake_ms": self.wake.told(),
            "delivery_ms": self.delivery.told(),
            "discard_ms": self.discard.told(),
            "cpu_us_each": cpu,
            "wire_bytes_each": { "sent": each(sent), "received": each(received) },
        });
        Outcome { report, whole: bad == [0; 3] }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn ratio(value: u64, packets: u64) -> Value {
    if packets == 0 { Value::Null } else { json!(value as f64 / packets as f64) }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}
