//! Programs that write nonsense, too much, or stop reading; postboxes and partners that go away.

use std::fs;
use std::io::Write as _;
use std::thread;

use serde_json::{Value, json};

use crate::client::{Rpc, pair, until};
use crate::people;
use crate::place::Place;
use crate::postbox::{Postbox, resident};

/// How many threads a process has.
fn threads(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/task")).unwrap().count()
}

#[test]
fn what_is_no_call_is_refused_and_the_next_line_is_served() {
    let mut rpc = Rpc::start(&Place::new(), &[]);
    for (line, number) in [
        (&b"{"[..], -32700),
        (b"\xff\xfe", -32700),
        (b"[1", -32700),
        (b"[]", -32600),
        (b"7", -32600),
        (br#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":"no_such"}"#, -32601),
        (br#"{"jsonrpc":"2.0","id":1,"method":"rpc.version","params":7}"#, -32602),
    ] {
        rpc.write(line);
        let answer = rpc.line();
        assert_eq!(answer["error"]["code"], number, "{answer}");
        assert_eq!(answer["jsonrpc"], "2.0");
        assert!(answer["error"]["data"]["hint"].is_string());
    }
    // A batch has one answer for all its calls, but for notifications.
    rpc.write(
        br#"[{"jsonrpc":"2.0","id":"a","method":"rpc.version"},
            {"jsonrpc":"2.0","method":"rpc.version"},
            7,
            {"jsonrpc":"2.0","id":"b","method":"words","params":{"session":"nobody"}}]"#
            .to_vec()
            .into_iter()
            .filter(|byte| *byte != b'\n')
            .collect::<Vec<u8>>()
            .as_slice(),
    );
    let Value::Array(answers) = rpc.line() else { panic!("an array") };
    let of = |id: Value| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(answers.len(), 3);
    assert!(of("a".into())["result"]["otr"].is_string());
    assert_eq!(of("b".into())["error"]["code"], -32003);
    assert_eq!(of(Value::Null)["error"]["code"], -32600);
    // Notifications alone have none.
    rpc.write(
        br#"[{"jsonrpc":"2.0","method":"rpc.version"},{"jsonrpc":"2.0","method":"no_such"}]"#,
    );
    rpc.write(br#"{"jsonrpc":"2.0","method":"status"}"#);
    rpc.heard_nothing();
    assert_eq!(rpc.ends(), Some(0));
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let mut rpc = Rpc::start(&Place::new(), &[]);
    rpc.ok("rpc.version", json!({}));
    let before = resident(rpc.child.id());
    let mebibyte = vec![b'x'; 1 << 20];
    // No JSON, and JSON that is a call.
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"send","params":{"text":""#;
    for (begins, ends) in [("", ""), (call, r#""}}"#)] {
        let out = rpc.client.out.as_mut().unwrap();
        out.write_all(begins.as_bytes()).unwrap();
        for _ in 0..100 {
            out.write_all(&mebibyte).unwrap();
        }
        rpc.write(ends.as_bytes());
        assert_eq!(rpc.line()["error"]["code"], -32600);
    }
    rpc.ok("rpc.version", json!({}));
    let grown = resident(rpc.child.id()).saturating_sub(before);
    // A line of 4 MiB at the most, which has grown, and what the allocator keeps of that.
    assert!(grown < 24 << 20, "{grown} bytes more");
}

/// A flood of calls whose answers nobody reads: then no more is read, and others are served.
#[test]
fn a_flood_of_calls_waits_for_its_answers() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    people::pair(&place, &postbox);
    flood(&place, "status", &json!({}));
    flood(&place, "send", &json!({ "session": "alice", "text": "x".repeat(1000) }));
}

fn flood(place: &Place, method: &'static str, params: &Value) {
    const CALLS: u64 = 5_000;
    let mut rpc = Rpc::start(place, &[]);
    rpc.ok(method, params.clone());
    let params = params.clone();
    let before = resident(rpc.child.id());
    let mut out = rpc.client.out.take().unwrap();
    let writing = thread::spawn(move || {
        for id in 0..CALLS {
            let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
            out.write_all(format!("{call}\n").as_bytes()).unwrap();
        }
        out
    });
    let mut seen = vec![false; usize::try_from(CALLS).unwrap()];
    for _ in 0..CALLS {
        let answer = rpc.line();
        let id = usize::try_from(answer["id"].as_u64().unwrap()).unwrap();
        assert!(answer["result"].is_object() && !std::mem::replace(&mut seen[id], true));
    }
    rpc.client.out = Some(writing.join().unwrap());
    let grown = resident(rpc.child.id()).saturating_sub(before);
    assert!(grown < 12 << 20, "{method}: {grown} bytes more");
}

/// They do not wait for it one after another.
#[test]
fn messages_that_wait_for_a_busy_session_end_together() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    people::pair(&place, &postbox);
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(made.success());
    let mut busy = Rpc::start(&place, &["-s", "alice"]);
    busy.begin("send", json!({ "file": "pipe" }));
    let mut pipe = fs::OpenOptions::new().write(true).open(place.path("pipe")).unwrap();
    pipe.write_all(&vec![7; 1 << 20]).unwrap();
    let mut rpc = Rpc::start(&place, &["-s", "alice", "--lock-wait", "5s"]);
    until("it is busy", || {
        let sent = people::otr(&place, "alice", &["send", "--lock-wait", "0s"], b"x");
        sent.status.code() == Some(15)
    });
    let since = std::time::Instant::now();
    let calls: Vec<_> = (0..20).map(|_| rpc.begin("send", json!({ "text": "x" }))).collect();
    for call in calls {
        let error = rpc.answer(call).unwrap_err();
        assert_eq!((&error["code"], &error["data"]["taken"]), (&json!(-32015), &json!(false)));
    }
    // The first waits alone, if it begins before the others are here.
    assert!(since.elapsed() < std::time::Duration::from_secs(50), "{:?}", since.elapsed());
}

#[test]
fn a_program_that_stops_reading_holds_up_nobody_else() {
    let place = Place::new();
    people::ok(&place, "alice", &["init"], b"");
    let mut rpc = Rpc::run(crate::client::command(&place, &[]).stdout(std::process::Stdio::null()));
    drop(rpc.client.out.take());
    let child = crate::client::command(&place, &["--socket", "dir/rpc"])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let id = child.id();
    rpc.child = child;
    let path = place.path("dir/rpc");
    until("it listens", || std::os::unix::net::UnixStream::connect(&path).is_ok());
    let deaf = std::os::unix::net::UnixStream::connect(&path).unwrap();
    deaf.set_nonblocking(true).unwrap();
    // Until it takes no more.
    let call = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n".repeat(64);
    let mut blocked = 0;
    until("nothing more is taken", || {
        match (&deaf).write(&call) {
            Ok(_) => blocked = 0,
            Err(_) => blocked += 1,
        }
        blocked > 100
    });
    let held = resident(id);
    let mut other = crate::client::Client::at(&path);
    for _ in 0..100 {
        other.ok("status", json!({}));
    }
    assert!(threads(id) < 80);
    let grown = resident(id).saturating_sub(held);
    assert!(grown < 12 << 20, "{grown} bytes more");
    // Nor does it hold up the end.
    rpc.signal("TERM");
    rpc.child.wait().unwrap();
    assert!(!path.exists());
}

#[test]
fn two_programs_do_not_share_a_subscription() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    people::pair(&place, &postbox);
    let (mut one, mut other) = (Rpc::start(&place, &[]), Rpc::start(&place, &[]));
    one.ok("subscribe", json!({ "session": "bob" }));
    let mut hasty = Rpc::start(&place, &["--lock-wait", "0s"]);
    assert_eq!(hasty.fails("subscribe", json!({ "session": "bob" })), (15, "busy".to_owned()));
    // The other half of the session is free.
    other.ok("send", json!({ "session": "bob", "text": "hello" }));
    other.ok("send", json!({ "session": "alice", "text": "hello" }));
    assert_eq!(one.takes(), "hello");
    one.signal("KILL");
    until("the session is free", || other.call("subscribe", json!({ "session": "bob" })).is_ok());
}

#[test]
fn a_postbox_that_is_away_holds_up_its_own_session_alone() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    alice.ok("send", json!({ "text": "before" }));
    bob.ok("subscribe", json!({}));
    assert_eq!(bob.takes(), "before");
    let listen = postbox.url.strip_prefix("http://").unwrap().to_owned();
    drop(postbox);
    assert_eq!(bob.told("event")["event"], "postbox_away");
    // It is taken, goes out later, and is not to be sent again.
    let error = alice.call("send", json!({ "text": "later", "retry": 0 })).unwrap_err();
    assert_eq!((&error["code"], &error["data"]["taken"]), (&json!(-32009), &json!(true)));
    // So are those that wait together.
    let waiting = [0, 1, 2]
        .map(|number| alice.begin("send", json!({ "text": number.to_string(), "retry": 0 })));
    for call in waiting {
        let error = alice.answer(call).unwrap_err();
        assert_eq!((&error["code"], &error["data"]["taken"]), (&json!(-32009), &json!(true)));
    }
    let slow = alice.begin("send", json!({ "text": "patient" }));
    // Meanwhile the rest goes on, in both.
    alice.ok("status", json!({}));
    alice.ok("init", json!({ "session": "other" }));
    bob.ok("status", json!({}));
    let _postbox = Postbox::run(crate::postbox::otr().args(["postbox", "--listen", &listen]));
    alice.answer(slow).unwrap();
    assert_eq!(bob.told("event")["event"], "postbox_back");
    for text in ["later", "0", "1", "2"] {
        assert_eq!(bob.takes(), text);
    }
    assert_eq!(bob.takes(), "patient");
    // The partner is gone, which nobody can see.
    alice.signal("KILL");
    bob.ok("send", json!({ "text": "are you there?" }));
    bob.heard_nothing();
}

#[test]
fn a_signal_ends_it_and_loses_nothing() {
    for signal in ["HUP", "TERM", "INT"] {
        let (place, postbox) = (Place::new(), Postbox::start(&[]));
        let (mut alice, mut bob) = pair(&place, &postbox.url);
        for text in ["one", "two"] {
            alice.ok("send", json!({ "text": text }));
        }
        bob.ok("subscribe", json!({}));
        let one = bob.message();
        bob.message();
        bob.ack(&one);
        bob.signal(signal);
        bob.client.ends();
        let ended = bob.child.wait().unwrap();
        assert!(
            std::os::unix::process::ExitStatusExt::signal(&ended).is_some(),
            "{signal}: {ended}"
        );
        assert_eq!(people::ok(&place, "b", &["recv", "--all"], b""), b"two", "{signal}");
    }
}

/// Both send in one session at the same time, in steps of several messages.
#[test]
fn two_programs_that_send_in_one_session_lose_and_double_nothing() {
    const EACH: usize = 100;
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    people::pair(&place, &postbox);
    let sending = ["one", "other"].map(|name| {
        let mut rpc = Rpc::start(&place, &["-s", "alice", "--lock-wait", "1m"]);
        thread::spawn(move || {
            let text = |number: usize| format!("{name} {number}");
            let calls: Vec<_> = (0..EACH)
                .map(|number| rpc.begin("send", json!({ "text": text(number) })))
                .collect();
            for call in calls {
                rpc.answer(call).unwrap();
            }
        })
    });
    let mut bob = Rpc::start(&place, &["-s", "bob"]);
    bob.ok("subscribe", json!({}));
    let came: Vec<String> = (0..2 * EACH).map(|_| bob.takes()).collect();
    for name in ["one", "other"] {
        let of: Vec<_> = came.iter().filter(|text| text.starts_with(&format!("{name} "))).collect();
        let sent: Vec<_> = (0..EACH).map(|number| format!("{name} {number}")).collect();
        assert!(of.into_iter().eq(&sent), "{came:?}");
    }
    bob.heard_nothing();
    for sender in sending {
        sender.join().unwrap();
    }
}

/// What was answered has gone out; of the rest, what was stored goes out with the next call.
#[test]
fn a_sender_that_is_killed_loses_and_doubles_nothing() {
    for answers in [0, 1, 40] {
        let (place, postbox) = (Place::new(), Postbox::start(&[]));
        let (mut alice, mut bob) = pair(&place, &postbox.url);
        let calls: Vec<_> = (0..200)
            .map(|number| alice.begin("send", json!({ "text": number.to_string() })))
            .collect();
        for call in &calls[..answers] {
            alice.answer(*call).unwrap();
        }
        alice.signal("KILL");
        drop(alice);
        Rpc::start(&place, &["-s", "a"]).ok("flush", json!({}));
        bob.ok("subscribe", json!({ "until": "empty", "credit": 300 }));
        let mut came = 0;
        loop {
            let line = bob.line();
            match line["method"].as_str() {
                Some("message") => {
                    assert_eq!(line["params"]["text"], came.to_string());
                    came += 1;
                    bob.begin_ack(&line["params"]);
                }
                Some("ended") => break,
                _ => {}
            }
        }
        assert!(came >= answers, "{came} came, {answers} were answered");
    }
}

/// It vanishes within a message: there is no more of it, and its file does not stay unnoticed.
#[test]
fn a_partner_who_vanishes_within_a_message_has_cut_it() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(made.success());
    fs::create_dir(place.path("here")).unwrap();
    alice.begin("send", json!({ "file": "pipe" }));
    let mut pipe = fs::OpenOptions::new().write(true).open(place.path("pipe")).unwrap();
    pipe.write_all(&vec![7; 3 << 20]).unwrap();
    bob.ok("subscribe", json!({ "files": "here" }));
    until("its beginning is here", || fs::read_dir(place.path("here")).unwrap().count() > 0);
    alice.signal("KILL");
    bob.heard_nothing();
    bob.ok("unsubscribe", json!({ "subscription": 1 }));
    assert_eq!(bob.told("ended")["reason"], "stopped");
    // Whoever goes on waits no longer than he says.
    bob.ok("subscribe", json!({ "files": "here", "wait": 1 }));
    let event = bob.told("event");
    assert_eq!((&event["event"], &event["message"]), (&json!("truncated"), &json!(0)));
    assert_eq!(bob.told("ended")["reason"], "nothing_more");
    let file = event["file"].as_str().unwrap();
    assert!(fs::metadata(file).unwrap().len() >= 1 << 20);
    fs::remove_file(file).unwrap();
    assert_eq!(fs::read_dir(place.path("here")).unwrap().count(), 0);
    // What comes next is not held up.
    let mut alice = Rpc::start(&place, &["-s", "a"]);
    alice.ok("send", json!({ "text": "here I am again" }));
    bob.ok("subscribe", json!({}));
    assert_eq!(bob.takes(), "here I am again");
}

/// They share the calls of a program, and each has to know.
#[test]
fn each_subscription_hears_that_the_postbox_is_away_and_back() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    people::pair(&place, &postbox);
    let mut rpc = Rpc::start(&place, &[]);
    let both = ["alice", "bob"];
    for session in both {
        rpc.ok("subscribe", json!({ "session": session }));
    }
    let listen = postbox.url.strip_prefix("http://").unwrap().to_owned();
    drop(postbox);
    let mut told = |what: &str| {
        let mut sessions = both.map(|_| {
            let event = rpc.told("event");
            assert_eq!(event["event"], what);
            event["session"].as_str().unwrap().to_owned()
        });
        sessions.sort();
        assert_eq!(sessions, both, "{what}");
    };
    told("postbox_away");
    let _postbox = Postbox::run(crate::postbox::otr().args(["postbox", "--listen", &listen]));
    told("postbox_back");
}
