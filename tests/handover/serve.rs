//! `--serve`: no other machine in between, and no process left behind.

use std::fs;
use std::net::TcpStream;

use super::{Putting, World};
use crate::support::until;

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
    let world = World::new();
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        let putting = served(&world, "127.0.0.1:0");
        let shown = putting.code.clone();
        putting.signal(signal);
        assert_eq!(putting.end().code, code);
        until("the postbox ends", || !is_open(&shown));
    }
}

#[test]
fn an_address_that_nobody_can_call_is_not_shown() {
    let world = World::new();
    fs::write(world.path("file"), "text").unwrap();
    let mut command = world.end("alice", "put --serve 0.0.0.0:0 file");
    let mut child = super::start(command.env_remove("OTR_POSTBOX"));
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    if line.is_empty() {
        let run = super::ended(child, Vec::new());
        assert!(run.code == 2 && run.err.contains("ip address"), "{}", run.err);
        return;
    }
    assert!(line.contains("@http://") && !line.contains("0.0.0.0"), "{line}");
    super::signal(&child, "TERM");
    child.wait().unwrap();
    let taken = world.postbox.url.strip_prefix("http://").unwrap();
    let failed = world.pair.alice(&format!("put --serve {taken} file"), b"").fails(2);
    assert!(failed.contains("no postbox could be opened"), "{failed}");
}
