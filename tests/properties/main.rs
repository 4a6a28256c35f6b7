//! Properties that hold whatever happens on the way: random schedules with sending on both sides,
//! loss, doubling, reordering, forgery, crashes and restarts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

#[path = "../common/mod.rs"]
mod common;
mod pair;

use pair::{Delivery, Event, Pair};
use proptest::collection::vec;
use proptest::prelude::*;

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        6 => Just(Delivery::AtOnce),
        1 => Just(Delivery::SendBetween),
        1 => Just(Delivery::OpenTwice),
    ]
}

/// Mostly one packet's worth, sometimes many.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        1 => Just(0usize),
        12 => 0..1_692usize,
        4 => 1_600..20_000usize,
        1 => 20_000..120_000usize,
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let side = any::<bool>;
    let which = 0..1_000usize;
    prop_oneof![
        6 => (side(), length(), 12..=16u8, 1..6u32).prop_map(|(side, length, largest, batch)| {
            Event::Begin { side, length, largest, batch }
        }),
        6 => (side(), 1..4usize).prop_map(|(side, parts)| Event::Continue { side, parts }),
        1 => side().prop_map(|side| Event::Crash { side }),
        1 => side().prop_map(|side| Event::Nothing { side }),
        8 => (side(), which.clone(), delivery())
            .prop_map(|(side, which, how)| Event::Deliver { side, which, how }),
        8 => side().prop_map(|side| Event::DeliverOldest { side }),
        2 => (side(), which.clone()).prop_map(|(side, which)| Event::Lose { side, which }),
        1 => (side(), which.clone()).prop_map(|(side, which)| Event::Again { side, which }),
        1 => (side(), which.clone(), any::<usize>())
            .prop_map(|(side, which, bit)| Event::Flip { side, which, bit }),
        1 => (side(), proptest::option::of(which), 12..=14u8)
            .prop_map(|(side, which, k)| Event::Junk { side, which, k }),
        1 => side().prop_map(|side| Event::Restart { side }),
        1 => side().prop_map(|side| Event::Publish { side }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn both_ends_understand_each_other(seed: u64, events in vec(event(), 0..200)) {
        let mut pair = Pair::new(seed);
        for event in &events {
            pair.run(event);
        }
        pair.finish();
    }
}

#[test]
fn a_message_of_five_mebibytes_in_any_order() {
    let mut pair = Pair::new(5);
    for (side, batch) in [(true, 256), (false, 2)] {
        // In the last message, the last full packet carries the end.
        let full = (1 << 20) - 2_404 - 22 - if side { 0 } else { 37 };
        for length in [5 << 20, 1 << 20, 2 * full] {
            pair.run(&Event::Begin { side, length, largest: 20, batch });
            pair.run(&Event::Continue { side, parts: 6 });
        }
        assert_eq!(pair.on_the_way(!side), 6 + 2 + 2);
        for which in [5, 1, 3, 2, 0] {
            pair.run(&Event::Deliver { side: !side, which, how: Delivery::AtOnce });
        }
    }
    pair.finish();
}
