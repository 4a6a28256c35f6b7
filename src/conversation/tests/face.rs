//! The public face, dropped at each of its steps: a sent message arrives or its sender knows that
//! it does not, and what arrives is delivered.

use std::rc::Rc;

use super::processes::wire;
use super::schedules::{Process, meet, poll, to_end};
use super::world::{Flaw, SimHost, World};
use crate::conversation::{Conversation, Error, ErrorKind, Event, OutletKind};

fn conversation(world: &Rc<World>, end: usize) -> Conversation<SimHost> {
    Conversation::open(SimHost::new(world, end))
}

/// Bob receives what is there, dropped after `steps` steps; returns whether it finished.
fn receives(world: &Rc<World>, steps: usize) -> bool {
    let (ours, outlet) = (Rc::clone(world), wire(world, 1));
    let mut process: Process = Box::pin(async move {
        let mut bob = conversation(&ours, 1);
        let heard = |event: Event<'_>| {
            if let Event::Part { text, .. } = event {
                *ours.ledger.borrow_mut().came.entry(text.to_vec()).or_default() += 1;
            }
            Ok(())
        };
        let mut receiving = bob.receive(Some(outlet), heard).await.unwrap();
        let lies = ours.machines[1].inbox.borrow().clone();
        for packet in lies {
            receiving.packet(packet).await.unwrap();
        }
        receiving.store().await.unwrap();
        let spent = receiving.spent();
        receiving.discarded(&spent).await.unwrap();
        assert!(receiving.spent().is_empty());
    });
    (0..steps).any(|_| poll(&mut process))
}

/// The length of everything that arrived.
fn length(world: &World) -> usize {
    world.ledger.borrow().came.keys().map(Vec::len).sum()
}

/// What happened to a message whose sending and receiving were dropped.
struct Stopped {
    was_sent: bool,
    was_received: bool,
    faults: Vec<String>,
}

/// Sends a message of this length; sending and receiving are dropped after this many steps each.
fn stopped(
    flaw: Flaw,
    kind: OutletKind,
    bytes: usize,
    [sending, receiving]: [usize; 2],
) -> Stopped {
    let world = Rc::new(World::new(7, kind, Flaw::None));
    world.calm.set(true);
    meet(&world, 7);
    to_end(super::processes::receive(Rc::clone(&world), 0, false));
    // Without a chain that continues, a ratchet step would hide a key that is used twice.
    let ours = Rc::clone(&world);
    to_end(async move {
        conversation(&ours, 0).send(&mut wire(&ours, 0), b"before").await.unwrap();
    });
    world.flaw.set(flaw);
    // No two parts of the text are equal.
    let text: Vec<u8> =
        (0..bytes / 4).flat_map(|at| u32::try_from(at).unwrap().to_be_bytes()).collect();
    let (ours, sent) = (Rc::clone(&world), text.clone());
    let mut process: Process = Box::pin(async move {
        let mut out = wire(&ours, 0);
        out.most = 16 << 10;
        conversation(&ours, 0).send(&mut out, &sent).await.unwrap();
    });
    let was_sent = (0..sending).any(|_| poll(&mut process));
    drop(process);
    let ours = Rc::clone(&world);
    to_end(async move { conversation(&ours, 0).flush(&mut wire(&ours, 0)).await.unwrap() });
    let was_received = receives(&world, receiving);
    assert!(receives(&world, usize::MAX), "a receiver that was dropped does not block others");
    let mut faults = Vec::new();
    let came = length(&world) - b"before".len();
    if was_sent && came != text.len() {
        faults.push(format!("{came} bytes of {} came", text.len()));
    }
    // A call that was dropped does not hinder the next one.
    let ours = Rc::clone(&world);
    to_end(async move {
        conversation(&ours, 0).send(&mut wire(&ours, 0), b"and then").await.unwrap();
    });
    let ours = Rc::clone(&world);
    to_end(super::processes::receive(Rc::clone(&ours), 1, true));
    let mut ledger = world.ledger.borrow_mut();
    if !ledger.came.contains_key(&b"and then"[..]) {
        faults.push("the next message did not come".to_owned());
    }
    faults.append(&mut ledger.faults);
    Stopped { was_sent, was_received, faults }
}

/// Drops the calls at each of their steps; returns how many steps there are, and what was wrong.
fn at_each_step(flaw: Flaw, kind: OutletKind, bytes: usize, sends: bool) -> (usize, Vec<String>) {
    let mut faults = Vec::new();
    for steps in 0.. {
        let limits = if sends { [steps, usize::MAX] } else { [usize::MAX, steps] };
        let stopped = stopped(flaw, kind, bytes, limits);
        faults.extend(stopped.faults);
        if (sends && stopped.was_sent) || (!sends && stopped.was_received) {
            return (steps, faults);
        }
    }
    unreachable!("it ends")
}

#[test]
fn dropped_at_any_step_nothing_is_lost_and_no_key_serves_twice() {
    for kind in [OutletKind::Postbox, OutletKind::Stream] {
        for (bytes, sends) in [(8, true), (8, false), (80 << 10, true), (80 << 10, false)] {
            let (steps, faults) = at_each_step(Flaw::None, kind, bytes, sends);
            assert!(steps > 5, "it has steps at which to drop it: {steps}");
            assert_eq!(faults, [""; 0], "{kind:?}, {bytes} bytes, {sends}");
        }
    }
    let (_, faults) = at_each_step(Flaw::StoresLate, OutletKind::Stream, 8, true);
    assert!(faults.iter().any(|fault| fault.contains("served twice")), "{faults:?}");
}

/// If the closure fails, nothing is stored, and the text comes again.
#[test]
fn what_could_not_be_delivered_comes_again() {
    let world = Rc::new(World::new(3, OutletKind::Stream, Flaw::None));
    world.calm.set(true);
    meet(&world, 3);
    to_end(super::processes::receive(Rc::clone(&world), 0, false));
    let ours = Rc::clone(&world);
    to_end(async move {
        let mut alice = conversation(&ours, 0);
        for text in [b"one", b"two"] {
            alice.send(&mut wire(&ours, 0), text).await.unwrap();
        }
        let mut bob = conversation(&ours, 1);
        let lies = ours.machines[1].inbox.borrow().clone();
        let full = |_: Event<'_>| Err(crate::conversation::Cause::new(ErrorKind::Full, "full"));
        let mut receiving = bob.receive(Some(wire(&ours, 1)), full).await.unwrap();
        for packet in lies {
            receiving.packet(packet).await.unwrap();
        }
        assert!(matches!(receiving.store().await, Err(Error::Effect(_))));
        // Called again, it does not store what was never delivered.
        assert!(matches!(receiving.store().await, Err(Error::Undelivered)));
    });
    assert!(receives(&world, usize::MAX));
    assert_eq!(length(&world), 6);
}

/// What it has taken is out or queued; the rest is as if it had not been tried.
#[test]
fn several_are_sent_in_one_step_as_far_as_they_fit() {
    let world = Rc::new(World::new(9, OutletKind::Postbox, Flaw::None));
    world.calm.set(true);
    meet(&world, 9);
    to_end(super::processes::receive(Rc::clone(&world), 0, false));
    let ours = Rc::clone(&world);
    to_end(async move {
        let (mut alice, mut out) = (conversation(&ours, 0), wire(&ours, 0));
        let (short, long) = (vec![b"short".as_slice(); 70], [7; 5000]);
        let together = alice.send_together(&mut out, &[b"a", b"b", &long, b"c"]).await;
        assert!(matches!(together, (2, Ok(()))), "{together:?}");
        let together = alice.send_together(&mut out, &[&long, b"a"]).await;
        assert!(matches!(together, (0, Ok(()))), "{together:?}");
        // As many as the queue holds.
        let together = alice.send_together(&mut out, &short).await;
        assert!(matches!(together, (64, Ok(()))), "{together:?}");
        assert_eq!(ours.machines[1].inbox.borrow().len(), 1 + 2 + 64);
        // What is refused is not sent, and waits for nothing.
        out.takes = 3;
        let together = alice.send_together(&mut out, &short).await;
        assert!(matches!(together, (3, Ok(()))), "{together:?}");
        out.takes = 0;
        let together = alice.send_together(&mut out, &short).await;
        assert!(matches!(together, (0, Ok(()))), "{together:?}");
        out.takes = usize::MAX;
        alice.flush(&mut out).await.unwrap();
        assert_eq!(ours.machines[1].inbox.borrow().len(), 1 + 2 + 64 + 3);
        let mut nobody = conversation(&World::new(9, OutletKind::Postbox, Flaw::None).into(), 0);
        let together = nobody.send_together(&mut out, &short).await;
        assert!(matches!(together, (0, Err(_))), "{together:?}");
    });
}

/// Another session under the same name is not this one.
#[test]
fn what_is_meant_for_one_goes_to_no_other() {
    let world = Rc::new(World::new(5, OutletKind::Stream, Flaw::None));
    world.calm.set(true);
    meet(&world, 5);
    let ours = Rc::clone(&world);
    to_end(async move {
        let mut bob = conversation(&ours, 1);
        assert!(bob.words().await.unwrap().is_none());
        meet(&ours, 6);
        let another = |error: Error| assert!(matches!(error, Error::Another(_)), "{error}");
        another(bob.words().await.unwrap_err());
        another(bob.confirm_words(&[""; 4]).await.unwrap_err());
        another(bob.send(&mut wire(&ours, 1), b"for Alice").await.unwrap_err());
        another(bob.resend(&mut wire(&ours, 1)).await.unwrap_err());
        another(bob.flush(&mut wire(&ours, 1)).await.unwrap_err());
        another(bob.status().await.unwrap_err());
        another(bob.question().await.map(drop).unwrap_err());
        another(bob.receive(Some(wire(&ours, 1)), |_| Ok(())).await.map(drop).unwrap_err());
        another(bob.close().await.map(drop).unwrap_err());
        assert!(ours.machines[1].disk.borrow().state.is_some(), "nothing was wiped");
        assert_eq!(ours.machines[0].inbox.borrow().len(), 2, "two replies, and nothing else");
    });
}
