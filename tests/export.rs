//! `otr export` and `otr import`: a session moves completely, is frozen where it was, and bad input
//! changes nothing.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod place;

use std::fs;

use place::{Place, code, text};

/// Two sessions in conversation, alice and bob.
fn conversation() -> Place {
    let place = Place::new();
    let invite = place.run(&["-s", "alice", "init"], b"");
    let reply = place.run(&["-s", "bob", "respond"], &invite);
    place.run(&["-s", "alice", "recv"], &reply);
    fs::write(place.path("secret"), "correct horse\n").unwrap();
    fs::write(place.path("wrong"), "battery\n").unwrap();
    place
}

/// The exit code and what was said.
fn fails(place: &Place, arguments: &[&str], input: &[u8]) -> (i32, String) {
    let output = place.otr(arguments).write_stdin(input).output().unwrap();
    assert!(output.stdout.is_empty(), "{arguments:?}");
    (code(&output), text(&output.stderr))
}

#[test]
fn a_session_goes_on_where_it_was_imported() {
    let place = conversation();
    let line = place.run(&["-s", "alice", "export"], b"");
    assert!(line.starts_with(b"otr1s:") && line.ends_with(b"\n"));
    place.run(&["-s", "moved", "import"], &line);
    let packet = place.run(&["-s", "moved", "send"], b"from afar");
    assert_eq!(place.run(&["-s", "bob", "recv"], &packet), b"from afar");
    place.run(&["-s", "alice", "export", "--forget"], b"");
    assert!(!place.state("alice").exists());
    assert_eq!(fails(&place, &["-s", "alice", "send"], b"x").0, 3);
}

#[test]
fn an_exported_session_is_frozen_for_every_verb() {
    let place = conversation();
    let packet = place.run(&["-s", "bob", "send"], b"hello");
    let line = place.run(&["-s", "alice", "export"], b"");
    for arguments in [
        &["-s", "alice", "send"][..],
        &["-s", "alice", "send", "--last"],
        &["-s", "alice", "recv"],
        &["-s", "alice", "expect"],
        &["-s", "alice", "init", "--again"],
    ] {
        let (code, said) = fails(&place, arguments, &packet);
        assert_eq!(code, 14, "{arguments:?}: {said}");
        assert!(said.contains("otr export --undo"), "{said}");
    }
    let page = text(&place.run(&["status"], b""));
    assert!(page.contains("alice: frozen by export"), "{page}");
    // The same once more, in case the first got lost on its way.
    assert!(place.run(&["-s", "alice", "export"], b"") == line);
}

#[test]
fn it_is_frozen_before_the_line_is_out() {
    let place = conversation();
    let output = place.shell("\"$0\" --dir dir -s alice export >/dev/full");
    assert_eq!(code(&output), 1);
    assert_eq!(fails(&place, &["-s", "alice", "send"], b"x").0, 14);
}

#[test]
fn undo_thaws_and_warns() {
    let place = conversation();
    for verb in ["--undo", "--forget"] {
        assert_eq!(fails(&place, &["-s", "alice", "export", verb], b"").0, 14);
    }
    place.run(&["-s", "alice", "export"], b"");
    let output = place.otr(&["-q", "-s", "alice", "export", "--undo"]).output().unwrap();
    assert_eq!(code(&output), 0);
    assert!(text(&output.stderr).contains("never use the exported copy"));
    let packet = place.run(&["-s", "alice", "send"], b"here again");
    assert_eq!(place.run(&["-s", "bob", "recv"], &packet), b"here again");
}

#[test]
fn an_open_invite_moves_too() {
    let place = Place::new();
    let invite = place.run(&["-s", "alice", "init"], b"");
    let line = place.run(&["-s", "alice", "export"], b"");
    place.run(&["-s", "moved", "import"], &line);
    let reply = place.run(&["-s", "bob", "respond"], &invite);
    place.run(&["-s", "moved", "recv"], &reply);
    assert_eq!(fails(&place, &["-s", "alice", "recv"], &reply).0, 14);
}

#[test]
fn a_passphrase_seals_the_line() {
    let place = conversation();
    let sealed = ["-s", "alice", "export", "--passphrase-file", "secret"];
    let line = place.run(&sealed, b"");
    assert!(line.starts_with(b"otr1e:"));
    // A fresh salt, so a fresh key.
    assert!(place.run(&sealed, b"") != line);

    let import = |file| fails(&place, &["-s", "moved", "import", "--passphrase-file", file], &line);
    let (code, said) = import("wrong");
    assert_eq!(code, 4);
    assert!(said.contains("the passphrase is wrong"), "{said}");
    assert_eq!(import("missing").0, 2);
    assert!(!place.state("moved").exists());
    fs::write(place.path("line"), &line).unwrap();
    let script = "\"$0\" --dir dir -s moved import --passphrase-fd 3 <line 3<secret";
    let output = place.shell(script);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let packet = place.run(&["-s", "moved", "send"], b"sealed");
    assert_eq!(place.run(&["-s", "bob", "recv"], &packet), b"sealed");
}

/// Composed or decomposed, with a byte order mark and another system's newline, or without.
#[test]
fn a_passphrase_is_the_same_however_it_was_written() {
    let place = conversation();
    fs::write(place.path("secret"), "\u{feff}cafe\u{301}\r\n").unwrap();
    fs::write(place.path("typed"), "caf\u{e9}").unwrap();
    fs::write(place.path("latin-1"), b"caf\xe9").unwrap();
    let unfit = ["-s", "alice", "export", "--passphrase-file", "latin-1"];
    let (code, said) = fails(&place, &unfit, b"");
    assert_eq!(code, 2);
    assert!(said.contains("the passphrase is not UTF-8"), "{said}");
    let line = place.run(&["-s", "alice", "export", "--passphrase-file", "secret"], b"");
    fs::write(place.path("line"), &line).unwrap();
    let script = "\"$0\" --dir dir -s moved import --passphrase-fd 3 <line 3<typed";
    let output = place.shell(script);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_passphrase_must_be_one() {
    let place = conversation();
    for content in [&b""[..], b"\n", &[b'x'; 1025], &[b'x'; 4096]] {
        fs::write(place.path("secret"), content).unwrap();
        let sealed = ["-s", "alice", "export", "--passphrase-file", "secret"];
        assert_eq!(fails(&place, &sealed, b"").0, 2);
    }
    let both = ["export", "--passphrase-file", "secret", "--ask-passphrase"];
    assert_eq!(fails(&place, &both, b"").0, 2);
    // None of it has frozen anything.
    place.run(&["-s", "alice", "send"], b"x");
}

#[test]
fn a_plain_line_in_place_of_a_sealed_one_is_refused() {
    let place = conversation();
    let line = place.run(&["-s", "alice", "export"], b"");
    let import = ["-s", "moved", "import", "--passphrase-file", "secret"];
    assert_eq!(fails(&place, &import, &line).0, 4);
}

#[test]
fn bad_input_makes_no_session() {
    let place = conversation();
    let line = place.run(&["-s", "alice", "export"], b"");
    let middle = line.len() / 2;
    let changed = |byte| {
        let mut changed = line.clone();
        changed[middle] = byte;
        changed
    };
    let other = if line[middle] == b'A' { b'B' } else { b'A' };
    for (input, expected) in [
        (Vec::new(), 8),
        (b"\n".to_vec(), 4),
        (b"hello\n".to_vec(), 4),
        (b"otr1s:\n".to_vec(), 4),
        (b"otr1s:AAAA\n".to_vec(), 4),
        (b"otr1s:=\n".to_vec(), 4),
        (b"otr1e:\n".to_vec(), 4),
        (b"otr1e:AgAA\n".to_vec(), 4),
        (b"\xff\x00\xfe".to_vec(), 4),
        (vec![b'A'; 12 << 20], 4),
        (line[..middle].to_vec(), 4),
        (changed(other), 4),
        (changed(b'!'), 4),
    ] {
        let (code, said) = fails(&place, &["-s", "moved", "import"], &input);
        assert_eq!(code, expected, "{said}");
        assert!(!place.state("moved").exists());
    }
    // Other lines around it do no harm, nor does a missing newline.
    let mail = [b"Hello\r\n\r\n", line.strip_suffix(b"\n").unwrap(), b"\r\nGoodbye"].concat();
    place.run(&["-s", "moved", "import"], &mail);
    assert_eq!(fails(&place, &["-s", "moved", "import"], &line).0, 13);
}

#[test]
fn a_frozen_state_is_no_export() {
    let place = Place::new();
    let script = "\"$0\" --state-fd 3,4 init 3</dev/null 4>state >invite &&
        \"$0\" --state-fd 3,4 export 3<state 4>frozen >line";
    let output = place.shell(script);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let frozen = fs::read(place.path("frozen")).unwrap();
    assert_eq!(fails(&place, &["import"], &frozen).0, 14);
    // Export wrote exactly the earlier state.
    let line = fs::read(place.path("line")).unwrap();
    assert!(line == fs::read(place.path("state")).unwrap());
    place.run(&["import"], &line);
}

#[test]
fn a_damaged_session_is_not_exported() {
    let place = conversation();
    fs::write(place.state("alice"), "hello").unwrap();
    for arguments in [&["-s", "alice", "export"][..], &["-s", "alice", "export", "--forget"]] {
        assert_eq!(fails(&place, arguments, b"").0, 11);
    }
    assert_eq!(fails(&place, &["-s", "nobody", "export"], b"").0, 3);
}

#[test]
fn export_waits_for_a_running_send() {
    let place = conversation();
    let lock = fs::File::create(place.path("dir/alice.send")).unwrap();
    place::set_mode(&place.path("dir/alice.send"), 0o600);
    lock.lock().unwrap();
    assert_eq!(fails(&place, &["-s", "alice", "export", "--lock-wait", "0"], b"").0, 15);
    drop(lock);
    place.run(&["-s", "alice", "export"], b"");
}
