//! `--serve`: no other machine in between, and no process left behind.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::Child;

use super::faults::held;
use super::{Putting, World, begin, end};
use crate::support::network::apart;
use crate::support::{Chance, feed, start, until};

fn served(world: &World, address: &str) -> Putting {
    fs::write(world.path("file"), "text").unwrap();
    let args = format!("put --serve {address} file");
    Putting::start(world.end("alice", &args).env_remove("OTR_POSTBOX"))
}

fn is_open(code: &str) -> bool {
    TcpStream::connect(code.split_once("@http://").unwrap().1).is_ok()
}

#[test]
fn a_postbox_of_its_own_ends_with_the_transfer() {
    let world = World::new();
    let putting = served(&world, "127.0.0.1:0");
    let code = putting.code.clone();
    assert!(is_open(&code));
    let mut getting = world.getting(&format!("--yes {code}"));
    let run = crate::support::feed(getting.env_remove("OTR_POSTBOX"), b"");
    assert_eq!(run.text(), "file\n");
    assert_eq!(putting.end().code, 0);
    assert!(!is_open(&code));
    world.leaves_nothing();
}

#[test]
fn it_leaves_no_process_however_it_ends() {
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        let world = World::new();
        let putting = served(&world, "127.0.0.1:0");
        let shown = putting.code.clone();
        putting.signal(signal);
        assert_eq!(putting.end().code, code);
        until("the postbox ends", || !is_open(&shown));
        if signal == "TERM" {
            world.leaves_nothing();
        }
    }
}

/// Whether before somebody has answered or in the middle: the postbox is opened again, with the code that was shown.
#[test]
fn a_put_that_is_killed_with_its_postbox_opens_it_again() {
    let world = World::new();
    let (path, content) = (world.path("file"), Chance::new().bytes(9 << 20));
    let putting = served(&world, "127.0.0.1:0");
    let code = putting.code.clone();
    let address = code.split_once("@http://").unwrap().1.to_owned();
    let killed = |mut child: Child| {
        child.kill().unwrap();
        child.wait().unwrap();
        until("the postbox ends", || !is_open(&code));
    };
    fs::write(&path, &content).unwrap();
    killed(putting.child);
    let failed = feed(&mut world.end("alice", "put --resume file"), b"").fails(9);
    assert!(failed.contains(&format!("--serve {address}")), "{failed}");
    let args = "put --resume --serve 127.0.0.1:0 file";
    let failed = feed(world.end("alice", args).env_remove("OTR_POSTBOX"), b"").fails(2);
    assert!(failed.contains(&format!("give --serve {address}")), "{failed}");
    let args = format!("put --resume --serve {address} file");
    let resume = || start(world.end("alice", &args).env_remove("OTR_POSTBOX"));
    let putting = resume();
    until("the postbox is there again", || is_open(&code));
    let gate = held(&path, content[..4 << 20].to_vec());
    let getting = begin(&mut world.getting(&format!("--yes {code}")));
    until("a part has come", || world.part().is_some_and(|length| length > 0));
    killed(putting);
    drop(gate);
    fs::remove_file(&path).unwrap();
    fs::write(&path, &content).unwrap();
    let putting = resume();
    let (get, put) = (end(getting), end(putting));
    assert_eq!((get.code, put.code), (0, 0), "{} {}", get.err, put.err);
    assert!(fs::read(world.path("in/file")).unwrap() == content);
    world.leaves_nothing();
}

/// A put in a network of its own, which this script makes.
fn put_in(world: &World, network: &str, args: &str) -> Child {
    fs::write(world.path("file"), "text").unwrap();
    let put = world.end("alice", &format!("put {args} file"));
    let mut command = apart();
    let script = format!("{network} exec \"$@\"");
    command.args(["sh", "-ec", &script, "sh"]).arg(put.get_program()).args(put.get_args());
    for (name, value) in put.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    command.current_dir(world.path("")).env_remove("OTR_POSTBOX").env_remove("OTR_SESSION");
    super::start(&mut command)
}

#[test]
fn an_address_that_nobody_can_call_is_not_shown() {
    let world = World::new();
    let run = super::end(put_in(&world, "", "--serve 0.0.0.0:0"));
    assert_eq!((run.code, run.out.as_slice()), (2, &b""[..]), "{}", run.err);
    assert!(run.err.contains("ip address"), "{}", run.err);
    // One in the same room is called, as get calls it.
    let run = super::end(put_in(&world, "", "--postbox http://10.7.0.1:7363"));
    assert!(run.code == 9 && run.err.contains("cannot reach"), "{}", run.err);
    world.leaves_nothing();
}

#[test]
fn of_all_addresses_the_one_that_leads_out_is_shown() {
    let world = World::new();
    let network = "ip link set lo up; ip link add near type veth peer name far; ip link set far up;
        ip addr add 10.7.0.1/24 dev near; ip link set near up; ip route add default dev near;";
    let mut child = put_in(&world, network, "--serve 0.0.0.0:0");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    super::signal(&child, "TERM");
    child.wait().unwrap();
    assert!(line.contains("@http://10.7.0.1:"), "{line}");
    world.leaves_nothing();
}

#[test]
fn an_address_that_is_in_use_is_said() {
    let world = World::new();
    fs::write(world.path("file"), "text").unwrap();
    let taken = world.postbox.url.strip_prefix("http://").unwrap();
    let failed = world.pair.alice(&format!("put --serve {taken} file"), b"").fails(2);
    assert!(failed.contains("no postbox could be opened"), "{failed}");
    assert!(failed.contains("ip address") && !failed.contains("--listen"), "{failed}");
}
