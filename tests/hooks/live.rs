//! Lines that leave as soon as they are there, and what is read line by line at the other end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::end_by;
use crate::people::{ok, otr, pair, running, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{self, Form, Postbox};
use crate::support::{peak_memory, terminal, tool, until};

/// Two programs, and otr between them: each line arrives before the next one is written.
#[test]
fn each_line_arrives_at_jq_while_the_next_one_is_not_written_yet() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut bob = spawn(&place, "bob", &["--json", "recv", "--follow"], b"");
    let mut jq = tool("jq", "jq");
    jq.args(["--unbuffered", "-r", ".text"])
        .stdin(bob.stdout.take().unwrap())
        .stdout(Stdio::piped());
    let mut jq = jq.spawn().unwrap();
    let mut shown = BufReader::new(jq.stdout.take().unwrap());
    let (alice, mut stdin) = running(&place, "alice", &["send", "--lines"]);
    for text in ["one", "", "three"] {
        writeln!(stdin, "{text}").unwrap();
        let mut lines = String::new();
        shown.read_line(&mut lines).unwrap();
        shown.read_line(&mut lines).unwrap();
        assert_eq!(lines, format!("{text}\n\n"));
    }
    drop(stdin);
    assert!(alice.wait_with_output().unwrap().status.success());
    ok(&place, "alice", &["close"], b"");
    assert_eq!(code(&bob.wait_with_output().unwrap()), 0);
    assert!(jq.wait().unwrap().success());
}

/// And from a terminal, where Ctrl-C ends both ends of `--exec`.
#[test]
fn a_line_that_is_typed_leaves_at_once() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let (mut person, program) = terminal();
    let mut command = Command::new(env!("CARGO_BIN_EXE_otr"));
    command.args(["-s", "alice", "send", "--lines"]).env("OTR_DIR", place.path("dir"));
    command.stdin(program.try_clone().unwrap()).stdout(program.try_clone().unwrap());
    let mut alice = command.stderr(program).spawn().unwrap();
    drop(command);
    let mut screen = person.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut screen, &mut std::io::sink()));
    for typed in ["one", "two"] {
        person.write_all(format!("{typed}\r").as_bytes()).unwrap();
        let got = ok(&place, "bob", &["recv", "--wait", "30s"], b"");
        assert_eq!(text(&got), format!("{typed}\n"));
    }
    person.write_all(b"\x04").unwrap();
    assert!(alice.wait().unwrap().success());
}

/// A line that waits for the postbox does not wait for the next line, too.
#[test]
fn a_line_that_waits_is_posted_as_soon_as_the_postbox_is_back() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let listen = postbox.url.strip_prefix("http://").unwrap().to_owned();
    drop(postbox);
    let arguments = ["send", "--lines", "--retry", "0s"];
    let (mut alice, mut stdin) = running(&place, "alice", &arguments);
    stdin.write_all(b"while it was away\n").unwrap();
    let mut said = BufReader::new(alice.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("otr: lines wait to be posted"), "{line}");
    let _again = Postbox::run(postbox::otr().args(["postbox", "--listen", &listen]));
    let got = ok(&place, "bob", &["recv", "--wait", "60s"], b"");
    assert_eq!(got, b"while it was away\n");
    stdin.write_all(b"and then\n").unwrap();
    assert_eq!(ok(&place, "bob", &["recv", "--wait", "60s"], b""), b"and then\n");
    drop(stdin);
    assert!(alice.wait_with_output().unwrap().status.success());
}

/// The program that controls it stops reading: nothing is lost, nothing grows, and it goes on.
#[test]
fn a_reader_that_stops_holds_everything_up_and_loses_nothing() {
    const MESSAGES: usize = 300;
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut bob = spawn(&place, "bob", &["--json", "recv", "--follow"], b"");
    let line = "x".repeat(20_000);
    let lines = format!("{line}\n").repeat(MESSAGES);
    ok(&place, "alice", &["send", "--lines"], lines.as_bytes());
    // It is stopped by a full pipe, and has not taken what it could not hand on.
    let mut out = BufReader::new(bob.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let peak = peak_memory(bob.id());
    assert!(peak < 48 << 20, "{peak}");
    // Its reader goes without having read: what it had not read comes again.
    kill_process(Pid::from_child(&bob), Signal::KILL).unwrap();
    bob.wait().unwrap();
    let mut seen = first;
    out.read_to_string(&mut seen).unwrap();
    let seen: Vec<Value> = seen.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
    assert!(seen.len() < MESSAGES / 2, "{}", seen.len());
    let rest = ok(&place, "bob", &["--json", "recv", "--all"], b"");
    let rest: Vec<Value> =
        text(&rest).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let number = |object: &Value| object["message"].as_u64().unwrap();
    assert!(number(&rest[0]) <= number(seen.last().unwrap()) + 1, "a gap");
    assert_eq!(number(rest.last().unwrap()), MESSAGES as u64);
    assert!(rest.windows(2).all(|two| number(&two[1]) == number(&two[0]) + 1));
}

/// Parts of a message that was cut do not begin the next one.
#[test]
fn a_cut_message_is_no_part_of_the_next_object() {
    let (place, postbox) = (Place::new(), Postbox::start(&["--max-packet", "64K"]));
    pair(&place, &postbox);
    let (alice, mut stdin) = running(&place, "alice", &["send"]);
    stdin.write_all(&vec![b'x'; 300_000]).unwrap();
    until("some of it is posted", || {
        let token = ok(&place, "bob", &["expect", "--raw", "--count", "2"], b"");
        postbox.call("/v1/collect", Form::Raw, &token[32..64]).status == 200
    });
    end_by(alice, Signal::TERM);
    drop(stdin);
    ok(&place, "alice", &["send"], b"next");
    let got = otr(&place, "bob", &["--json", "recv", "--all"], b"");
    assert_eq!(code(&got), 6);
    let object: Value = serde_json::from_slice(&got.stdout).unwrap();
    assert_eq!((&object["text"], &object["bytes"]), (&"next".into(), &4.into()));
}
