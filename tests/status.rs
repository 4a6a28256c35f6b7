//! `otr status`: every stage is shown, one bad state does not hide the others, and nothing secret
//! is shown.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod place;

use std::fs;

use place::{Place, code, text};
use serde_json::Value;

fn document(place: &Place, arguments: &[&str]) -> Value {
    let output = place.otr(arguments).arg("--json").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one session of this name.
fn session(place: &Place, name: &str) -> Value {
    let sessions = document(place, &["status"])["sessions"].as_array().unwrap().clone();
    sessions.into_iter().find(|session| session["name"] == name).unwrap()
}

#[test]
fn without_a_session_the_document_is_empty_and_the_code_3() {
    let place = Place::new();
    let output = place.otr(&["status", "--json"]).output().unwrap();
    assert_eq!(code(&output), 3);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["version"], 1);
    assert_eq!(told["sessions"], serde_json::json!([]));
    let output = place.otr(&["-s", "nobody", "status"]).output().unwrap();
    assert_eq!(code(&output), 3);
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_conversation_goes_through_its_stages() {
    let place = Place::new();
    let invite = place.run(&["-s", "alice", "init"], b"");
    assert_eq!(session(&place, "alice")["stage"], "inviting");
    let reply = place.run(&["-s", "bob", "respond"], &invite);
    assert_eq!(session(&place, "bob")["stage"], "unconfirmed");
    assert_eq!(session(&place, "bob")["role"], "responder");
    place.run(&["-s", "alice", "recv"], &reply);
    assert_eq!(session(&place, "alice")["stage"], "open");
    assert_eq!(session(&place, "alice")["authenticated"], serde_json::json!([]));

    let first = place.run(&["-s", "alice", "send"], b"one");
    let second = place.run(&["-s", "alice", "send"], b"two");
    place.run(&["-s", "bob", "recv"], &second);
    let bob = session(&place, "bob");
    assert_eq!(bob["stage"], "open");
    assert_eq!((&bob["received"], &bob["skipped"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(bob["missing"], serde_json::json!([[0, 0]]));
    assert_eq!(bob["unpublished"]["waiting"], 1);
    assert_eq!(session(&place, "alice")["sent"], 2);
    let page = text(&place.run(&["status"], b""));
    assert!(page.contains("0 sent, 1 received; not here: 0\n"), "{page}");

    place.run(&["-s", "bob", "recv"], &first);
    assert_eq!(session(&place, "bob")["missing"], serde_json::json!([]));
    let last = place.run(&["-s", "alice", "close"], b"");
    place.otr(&["-s", "bob", "recv"]).write_stdin(last).output().unwrap();
    assert_eq!(session(&place, "bob")["stage"], "closed");
}

#[test]
fn a_name_that_was_typed_shows_that_session_alone() {
    let place = Place::new();
    place.run(&["-s", "alice", "init"], b"");
    place.run(&["-s", "bob", "init", "--expires", "1h"], b"");
    for arguments in [["-s", "bob", "status"], ["status", "-s", "bob"]] {
        let told = document(&place, &arguments);
        assert_eq!(told["sessions"].as_array().unwrap().len(), 1);
        assert_eq!(told["sessions"][0]["name"], "bob");
        assert!(told["sessions"][0]["expires"].as_u64().is_some());
    }
    // The environment names the session to talk in; it hides none.
    let output = place.otr(&["status", "--json"]).env("OTR_SESSION", "bob").output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["sessions"].as_array().unwrap().len(), 2);
}

#[test]
fn bad_states_are_shown_and_hide_no_other() {
    let place = Place::new();
    for name in ["cut", "good", "later", "open", "text"] {
        place.run(&["-s", name, "init"], b"");
    }
    let state = fs::read(place.state("cut")).unwrap();
    fs::write(place.state("cut"), &state[..100]).unwrap();
    let mut later = state;
    later[9] = 2;
    fs::write(place.state("later"), later).unwrap();
    fs::write(place.state("text"), "hello").unwrap();
    place::set_mode(&place.state("open"), 0o644);
    for (name, stage) in [
        ("cut", "damaged"),
        ("good", "inviting"),
        ("later", "foreign"),
        ("open", "damaged"),
        ("text", "damaged"),
    ] {
        let session = session(&place, name);
        assert_eq!(session["stage"], stage, "{name}");
        assert_eq!(session["problem"].is_null(), name == "good", "{name}");
        assert_eq!(session["sent"].is_null(), name != "good", "{name}");
    }
    let output = place.otr(&["status"]).output().unwrap();
    assert_eq!(code(&output), 0);
    let page = text(&output.stdout);
    assert!(page.contains("later: foreign: it has version 2; use the otr that made it"), "{page}");
    assert!(page.contains("good: waits for the reply"), "{page}");
}

#[test]
fn all_objects_have_the_same_fields() {
    let place = Place::new();
    for name in ["good", "bad"] {
        place.run(&["-s", name, "init"], b"");
    }
    fs::write(place.state("bad"), "hello").unwrap();
    let fields = |name| {
        let session = session(&place, name);
        session.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(fields("good"), fields("bad"));
    let help = text(&place.run(&["status", "--help"], b""));
    for field in fields("good") {
        assert!(help.contains(&field), "{field} is not documented");
    }
}

#[test]
fn a_state_from_a_descriptor_is_shown_without_name_and_directory() {
    let place = Place::new();
    let script = "\"$0\" --state-fd 3,4 init 3</dev/null 4>state >invite &&
        \"$0\" --state-fd 3,4 status --json 3<state 4>/dev/null";
    let output = place.shell(script);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let session = &told["sessions"][0];
    assert_eq!(session["stage"], "inviting");
    for field in ["name", "directory", "in_memory", "swap", "logout_erases"] {
        assert!(session[field].is_null(), "{field}");
    }
    let output = place.shell("\"$0\" --state-fd 3,4 status 3</dev/null 4>/dev/null");
    assert_eq!(code(&output), 3);
}

#[test]
fn a_session_that_is_held_is_busy() {
    let place = Place::new();
    place.run(&["-s", "alice", "init"], b"");
    let lock = fs::File::options().write(true).open(place.path("dir/alice.lock")).unwrap();
    lock.lock().unwrap();
    let output = place.otr(&["status", "--lock-wait", "0", "--json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["sessions"][0]["stage"], "busy");
    assert_eq!(code(&output), 0);
}
