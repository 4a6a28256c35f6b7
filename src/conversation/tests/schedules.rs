//! Thousands of schedules, and flaws that the ledger must find.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::processes::{check, close, hand_out, receive, send, send_long, send_together};
use super::world::{Flaw, World};
use crate::conversation::OutletKind;
use crate::protocol::handshake::{Invitation, Inviting, respond};
use crate::protocol::session::stored::Stage;
use crate::protocol::tests::support::Seeded;

pub(super) type Process = Pin<Box<dyn Future<Output = ()>>>;

/// Gives both ends a session; a process of the inviting end may still have to accept the reply.
pub(super) fn meet(world: &World, seed: u64) {
    let postbox = if world.kind == OutletKind::Postbox { "http://postbox" } else { "" };
    let mut random = Seeded::numbered(seed ^ 0xA5A5);
    let now = world.time.get();
    let inviting = Inviting::new(
        Invitation { postbox: Some(postbox), ..Invitation::default() },
        now,
        &mut random,
    )
    .unwrap();
    let (responder, reply) = respond(inviting.invite(), None, now, &mut random).unwrap();
    let stages = [Stage::Inviting(Box::new(inviting)), Stage::Session(Box::new(responder))];
    for (machine, stage) in world.machines.iter().zip(stages) {
        machine.disk.borrow_mut().state = Some((0, stage.to_bytes(false).to_vec()));
    }
    world.machines[0].inbox.borrow_mut().push(reply);
}

fn start(world: &Rc<World>, number: usize) -> Process {
    let (world, dice) = (Rc::clone(world), &world.dice);
    let end = dice.roll(2);
    let name = |part| format!("{} {number}.{part}", ["alice", "bob"][end]).into_bytes();
    if dice.happens(1, 100) {
        let silent = dice.happens(1, 2);
        return Box::pin(close(world, end, silent));
    }
    match dice.roll(12) {
        4 if world.kind == OutletKind::Postbox => {
            let texts = (0..2 + dice.roll(3)).map(name).collect();
            Box::pin(send_together(world, end, texts))
        }
        0..=4 => Box::pin(send(world, end, name(0))),
        5 => {
            let parts = (0..2 + dice.roll(3)).map(name).collect();
            Box::pin(send_long(world, end, parts))
        }
        6 => Box::pin(hand_out(world, end)),
        7 => Box::pin(check(world, end)),
        _ => Box::pin(receive(world, end, false)),
    }
}

/// Lets a process take a step; returns whether it has ended.
pub(super) fn poll(process: &mut Process) -> bool {
    matches!(process.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()))
}

pub(super) fn to_end(process: impl Future<Output = ()> + 'static) {
    let mut process: Process = Box::pin(process);
    let mut steps = 0;
    while !poll(&mut process) {
        steps += 1;
        assert!(steps < 1_000_000, "it waits for ever");
    }
}

/// The result of one schedule.
#[derive(PartialEq, Eq, Debug)]
struct Shown {
    faults: Vec<String>,
    /// How many texts arrived, and how many checks of a secret were completed.
    came: usize,
    equal: u64,
}

fn run(seed: u64, kind: OutletKind, flaw: Flaw) -> Shown {
    let world = Rc::new(World::new(seed, kind, flaw));
    meet(&world, seed);
    to_end(receive(Rc::clone(&world), 0, false));
    let mut processes: Vec<Process> = Vec::new();
    let mut begun = 0;
    while begun < 24 || !processes.is_empty() {
        if begun < 24 && (processes.is_empty() || world.dice.happens(1, 12)) {
            processes.push(start(&world, begun));
            begun += 1;
        }
        let at = world.dice.roll(processes.len());
        // The process is stopped at some step: its locks are released, and its memory is gone.
        if world.dice.happens(1, 120) || poll(&mut processes[at]) {
            drop(processes.swap_remove(at));
        }
        world.time.set(world.time.get() + 1);
    }
    world.calm.set(true);
    for _ in 0..3 {
        for end in [0, 1] {
            to_end(hand_out(Rc::clone(&world), end));
        }
        for end in [0, 1] {
            to_end(receive(Rc::clone(&world), end, false));
        }
    }
    for end in [0, 1] {
        to_end(receive(Rc::clone(&world), end, true));
        to_end(receive(Rc::clone(&world), end, true));
    }
    let mut ledger = world.ledger.borrow_mut();
    for (machine, ended) in world.machines.iter().zip(ledger.ended) {
        if ended && machine.disk.borrow().state.is_some() {
            ledger.faults.push("a session that was ended is there again".to_owned());
        }
    }
    Shown { faults: ledger.judge(), came: ledger.came.len(), equal: ledger.equal }
}

fn all(kind: OutletKind, schedules: u64) {
    let (mut came, mut equal) = (0, 0);
    for seed in 0..schedules {
        let shown = run(seed, kind, Flaw::None);
        assert!(shown.faults.is_empty(), "{kind:?}, seed {seed}: {:#?}", shown.faults);
        (came, equal) = (came + shown.came as u64, equal + shown.equal);
    }
    // Make sure that the schedules did something.
    assert!(came > 5 * schedules && equal > schedules / 20, "{came} texts, {equal} checks");
}

#[test]
fn by_a_postbox_nothing_is_lost_and_no_key_serves_twice() {
    all(OutletKind::Postbox, 1_500);
}

#[test]
fn by_a_stream_nothing_is_lost_and_no_key_serves_twice() {
    all(OutletKind::Stream, 1_500);
}

/// Whether some hundred schedules find a fault of this kind for this flaw.
fn finds(flaw: Flaw, kind: OutletKind, fault: &str) -> bool {
    (0..600).any(|seed| run(seed, kind, flaw).faults.iter().any(|found| found.contains(fault)))
}

#[test]
fn the_ledger_finds_each_flaw() {
    for kind in [OutletKind::Postbox, OutletKind::Stream] {
        for (flaw, fault) in [
            (Flaw::StoresLate, "served twice"),
            (Flaw::NoLock, "served twice"),
            (Flaw::DeliversLate, "never came"),
            (Flaw::NoLock, "never came"),
            (Flaw::NoLock, "there again"),
        ] {
            assert!(finds(flaw, kind, fault), "{flaw:?}, {kind:?}: {fault}");
        }
        // With the lock nothing is ever overwritten, so this flaw alone is harmless.
        assert!(!finds(Flaw::StoresOver, kind, ""), "{kind:?}");
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..20 {
        let [one, other] = [0, 1].map(|_| run(seed, OutletKind::Postbox, Flaw::NoLock));
        assert_eq!(one, other);
    }
}
