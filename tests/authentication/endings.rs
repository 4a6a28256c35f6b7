//! A session that failed checks have ended hands out nothing more, waits for nothing, and is wiped,
//! however telling the other side fails.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Stdio;

use crate::faulty::{Fault, Faulty};
use crate::support::{lines, shell_code, until};
use crate::world::World;

/// Two of whose checks two have failed.
fn nearly(world: &World) {
    world.meet(None);
    for _ in 0..2 {
        fail_once(world);
        world.take_pending("alice", "bob").ok();
    }
}

/// Alice asks, Bob answers with something else, and she hears of it.
fn fail_once(world: &World) {
    world.verify("alice", "bob", "cat", "").ok();
    world.verify("bob", "alice", "dog", "").ok();
}

/// Alice asks for the third time; Bob's wrong answer.
fn third_answer(world: &World, options: &str) -> Vec<u8> {
    world.verify("alice", "bob", "cat", "").ok();
    let file = world.secret("dog");
    world.otr("bob", &format!("verify --secret-file {file} {options}"), b"").ok()
}

/// Two whose postbox can be made to fail.
fn with_faults() -> (World, Faulty) {
    let mut world = World::of_postbox();
    let postbox = world.postbox.as_mut().unwrap();
    let faulty = Faulty::before(postbox);
    postbox.url.clone_from(&faulty.url);
    (world, faulty)
}

fn full() -> Fault {
    Fault::Answer("post", b"HTTP/1.1 507 Full\r\ncontent-length: 2\r\n\r\n0\n".to_vec())
}

#[test]
fn a_postbox_that_takes_nothing_does_not_keep_the_session_alive() {
    let (world, faulty) = with_faults();
    nearly(&world);
    third_answer(&world, "");
    world.otr("bob", "send", b"text").ok();
    faulty.set(full());
    let said = world.otr("alice", "recv --count 2", b"").fails(5);
    assert!(said.contains("(3 of 3 failures)") && said.contains("was not told"), "{said}");
    assert!(world.is_wiped("alice"));
    world.otr("alice", "words", b"").fails(3);
}

/// The third failure came by hand: the pending step waits, and the next `recv` does nothing else
/// first.
#[test]
fn what_ended_by_hand_takes_nothing_from_the_postbox() {
    for works in [true, false] {
        let (world, faulty) = with_faults();
        nearly(&world);
        let answer = third_answer(&world, "--stdout");
        world.otr("bob", "send", b"text").ok();
        world.otr("alice", "recv --stdin", &answer).fails(5);
        if !works {
            faulty.set(full());
        }
        world.otr("alice", "recv --wait 2s", b"").fails(5);
        assert!(world.is_wiped("alice"));
        faulty.set(Fault::None);
        if works {
            assert!(world.otr("bob", "recv", b"").fails(5).contains("3 of 3"));
            assert!(world.is_wiped("bob"));
        }
    }
}

/// Alice has answered, and has a packet that nobody takes.
#[test]
fn what_is_over_and_unposted_waits_for_nothing() {
    let (world, faulty) = with_faults();
    nearly(&world);
    world.verify("bob", "alice", "cat", "").ok();
    let file = world.secret("dog");
    world.otr("alice", &format!("verify --secret-file {file}"), b"").ok();
    faulty.set(full());
    world.otr("alice", "send", b"never posted").fails(9);
    faulty.set(Fault::None);
    world.otr("bob", "recv", b"").fails(5);
    assert!(world.is_wiped("bob"));
    faulty.set(full());
    world.otr("alice", "recv", b"").fails(5);
    assert!(world.is_wiped("alice"));
}

#[test]
fn a_send_that_cannot_tell_wipes_as_well() {
    let (world, faulty) = with_faults();
    nearly(&world);
    let answer = third_answer(&world, "--stdout");
    world.otr("alice", "recv --stdin", &answer).fails(5);
    faulty.set(full());
    assert!(world.otr("alice", "send", b"text").fails(5).contains("was not told"));
    assert!(world.is_wiped("alice"));
}

#[test]
fn what_comes_behind_the_third_failure_is_not_shown() {
    let world = World::of_pipes();
    nearly(&world);
    let mut packets = third_answer(&world, "");
    packets.extend(world.otr("bob", "send", b"text").ok());
    let said = world.otr("alice", "recv", &packets).fails(5);
    assert!(said.contains("(3 of 3 failures)"), "{said}");
    world.otr("alice", "recv", &packets).fails(5);
    // The pending step, and the end.
    let last = lines(&world.otr("alice", "close", b"").ok());
    assert_eq!(last.iter().filter(|line| line.starts_with(b"otr1p:")).count(), 2);
}

/// The one packet that tells the other side cannot be written.
#[test]
fn a_send_to_a_full_disk_wipes_as_well() {
    let world = World::of_pipes();
    nearly(&world);
    fail_third(&world);
    let run = world.pair.sh("echo text | alice send > /dev/full");
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains("the session has been ended"), "{}", run.err);
    assert!(world.is_wiped("alice"));
}

fn fail_third(world: &World) {
    let answer = third_answer(world, "");
    world.otr("alice", "recv", &answer).fails(5);
    assert!(!world.is_wiped("alice"));
}

/// A long `send` seals nothing more when another process has ended the session.
#[test]
fn a_long_send_stops_when_another_process_ends_the_session() {
    for (end, code) in [("verify", 5), ("their close", 7), ("our close", 3)] {
        let world = World::of_pipes();
        nearly(&world);
        let answer = if end == "verify" { third_answer(&world, "") } else { Vec::new() };
        let out = world.pair.path("packets");
        let mut command = world.pair.end("alice", "send");
        command.stdin(Stdio::piped()).stdout(File::create(&out).unwrap()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&vec![7; 2 << 20]).unwrap();
        until("a packet is out", || fs::metadata(&out).unwrap().len() > 1 << 20);
        match end {
            "verify" => drop(world.otr("alice", "recv", &answer).fails(5)),
            "our close" => drop(world.otr("alice", "close", b"").ok()),
            _ => {
                let last = world.otr("bob", "close", b"").ok();
                world.otr("alice", "recv", &last).fails(7);
            }
        }
        // It may have stopped reading.
        let _ = stdin.write_all(&vec![7; 8 << 20]);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(shell_code(output.status), code, "{end}: {said}");
        let sent = lines(&fs::read(&out).unwrap());
        let large = sent.iter().filter(|line| line.len() > 1 << 20).count();
        assert!(large <= 2, "{end}: {large} large packets");
        assert_eq!(world.is_wiped("alice"), end != "their close", "{said}");
        if end == "verify" {
            let told = world.otr("bob", "recv", sent.last().unwrap()).fails(5);
            assert!(told.contains("3 of 3"), "{told}");
        }
    }
}
