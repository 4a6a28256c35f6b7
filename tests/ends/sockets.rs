//! A postbox on a Unix socket: both ends are on its machine, and need nothing else.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::people::{fails, ok, otr, pair, spawn};
use crate::place::{Place, code, set_mode, text};
use crate::postbox::{Postbox, otr as program};
use crate::support::{as_user, feed};

/// A postbox that was given a relative path to listen on.
fn postbox(place: &Place) -> Postbox {
    let mut command = program();
    command.args(["postbox", "--listen", "unix:box.sock"]).current_dir(place.path(""));
    let postbox = Postbox::run(&mut command);
    assert_eq!(postbox.url, format!("unix:{}", place.path("box.sock").display()));
    postbox
}

#[test]
fn a_conversation_goes_over_a_unix_socket() {
    let place = Place::new();
    let postbox = postbox(&place);
    pair(&place, &postbox);
    let waiting = spawn(&place, "alice", &["recv", "--wait", "50s"], b"");
    let confirmed = spawn(&place, "bob", &["send", "--confirm"], b"short");
    assert_eq!(waiting.wait_with_output().unwrap().stdout, b"short");
    let ended = confirmed.wait_with_output().unwrap();
    assert_eq!(code(&ended), 0, "{}", text(&ended.stderr));
    let long: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_be_bytes).collect();
    ok(&place, "bob", &["send"], &long);
    assert!(ok(&place, "alice", &["recv"], b"") == long);
    ok(&place, "alice", &["close"], b"");
    assert_eq!(code(&otr(&place, "bob", &["recv"], b"")), 7);
}

#[test]
fn a_code_names_a_unix_socket() {
    let place = Place::new();
    let postbox = postbox(&place);
    let said = ok(&place, "alice", &["init", "--code", "--postbox", &postbox.url], b"");
    let spoken = text(&said);
    assert!(spoken.trim_end().ends_with(&format!("@{}", postbox.url)), "{spoken}");
    ok(&place, "bob", &["respond", "--code", "-"], &said);
    ok(&place, "alice", &["send"], b"hello");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"hello");
}

/// Two ways of writing one address are the same consent.
#[test]
fn the_postbox_of_an_invite_is_known_by_what_it_is() {
    let place = Place::new();
    let postbox = postbox(&place);
    let invite = ok(&place, "alice", &["init", "--postbox", &postbox.url], b"");
    let other = postbox.url.replace("unix:", "unix://");
    let said = fails(&place, "bob", &["respond", "--postbox", &format!("{other}x")], &invite, 4);
    assert!(said.contains("names another postbox"), "{said}");
    ok(&place, "bob", &["respond", "--postbox", &other], &invite);
}

#[test]
fn no_proxy_leads_to_a_unix_socket() {
    let place = Place::new();
    let postbox = postbox(&place);
    pair(&place, &postbox);
    let proxy = ["--proxy", "socks5h://127.0.0.1:1"];
    for arguments in [
        &["send", "--tor"][..],
        &["recv", "--tor"],
        &["send", proxy[0], proxy[1]],
        &["init", "--anew", "--tor", "--postbox", &postbox.url],
    ] {
        let said = fails(&place, "alice", arguments, b"text", 2);
        assert!(said.contains("to which no proxy leads"), "{said}");
    }
    let mut command = place.otr(&["-s", "alice", "send"]);
    let output = command.env("OTR_PROXY", proxy[1]).write_stdin("text").output().unwrap();
    assert!(code(&output) == 2 && text(&output.stderr).contains("OTR_PROXY"));
    // None of it was taken.
    assert_eq!(code(&otr(&place, "bob", &["recv", "--all"], b"")), 8);
}

#[test]
fn what_is_no_postbox_is_told() {
    let place = Place::new();
    let path = |name: &str| format!("unix:{}", place.path(name).display());
    let init = |url: &str| otr(&place, "alice", &["init", "--code", "--postbox", url], b"");
    drop(UnixListener::bind(place.path("dead")).unwrap());
    fs::write(place.path("file"), "").unwrap();
    let relative = "unix:box.sock".to_owned();
    let long = path(&"x".repeat(108));
    for (url, exit, told) in [
        (path("none"), 9, "there is no such socket; is it up? a Unix socket is reached on its own"),
        (path("dead"), 9, "connection refused"),
        (path("file"), 9, "connection refused"),
        (path("my box"), 2, "without blanks"),
        (relative, 2, "is unix:/PATH"),
        (long, 2, "at most 107 bytes"),
    ] {
        let output = init(&url);
        let said = text(&output.stderr);
        assert_eq!(code(&output), exit, "{url}: {said}");
        assert!(said.contains(told), "{url}: {said}");
    }
}

#[test]
fn a_socket_of_somebody_else_is_told() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let postbox = postbox(&place);
    pair(&place, &postbox);
    let packets = ok(&place, "alice", &["send", "--stdout"], b"text");
    set_mode(&place.path(""), 0o755);
    set_mode(&place.path("box.sock"), 0o600);
    let binary = elsewhere.path("otr");
    set_mode(&elsewhere.path(""), 0o755);
    fs::copy(env!("CARGO_BIN_EXE_otr"), &binary).unwrap();
    let mut command = as_user(65534, &binary);
    command.args(["inspect", "--postbox", &postbox.url]);
    let said = feed(&mut command, &packets).err;
    assert!(said.contains("this user may not call it"), "{said}");
}
