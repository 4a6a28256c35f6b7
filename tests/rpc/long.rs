//! Long messages: from files and descriptors, in parts and into files, in constant memory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::client::{Rpc, command, pair};
use crate::people;
use crate::place::Place;
use crate::postbox::{Postbox, resident};

fn text(length: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(length).collect()
}

#[test]
fn a_hundred_mebibytes_take_no_memory() {
    const LENGTH: usize = 100 << 20;
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    let long = text(LENGTH);
    fs::write(place.path("long"), &long).unwrap();
    bob.ok("subscribe", json!({ "credit": 4 }));
    let before = [&alice, &bob].map(|rpc| resident(rpc.child.id()));
    let sending = alice.begin("send", json!({ "file": "long" }));
    let mut came = 0;
    let mut most = 0;
    while came < LENGTH {
        let part = bob.message();
        let bytes = STANDARD.decode(part["base64"].as_str().unwrap()).unwrap();
        assert!(part["offset"] == came && bytes == long[came..came + bytes.len()]);
        came += bytes.len();
        assert_eq!(part["end"], came == LENGTH);
        bob.begin_ack(&part);
        most = most.max(resident(bob.child.id()).saturating_sub(before[1]));
    }
    alice.answer(sending).unwrap();
    let sender = resident(alice.child.id()).saturating_sub(before[0]);
    assert!(most < 48 << 20 && sender < 16 << 20, "{most} and {sender} bytes more");
}

#[test]
fn a_long_message_becomes_a_file() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    let long = text(3 << 20);
    fs::write(place.path("long"), &long).unwrap();
    fs::create_dir(place.path("here")).unwrap();
    assert_eq!(bob.fails("subscribe", json!({ "files": "nowhere" })).0, 2);
    for _ in 0..2 {
        alice.ok("send", json!({ "text": "short" }));
        alice.ok("send", json!({ "file": "long" }));
    }
    bob.ok("subscribe", json!({ "files": "here" }));
    assert_eq!(bob.takes(), "short");
    let message = bob.message();
    assert_eq!((&message["end"], &message["bytes"]), (&json!(true), &json!(long.len())));
    let file = message["file"].as_str().unwrap().to_owned();
    assert!(fs::read(&file).unwrap() == long);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // It was not acknowledged: the next one finds the same file, and the rest.
    bob.signal("KILL");
    drop(bob);
    let mut bob = Rpc::start(&place, &["-s", "b"]);
    bob.ok("subscribe", json!({ "files": "here" }));
    let again = bob.message();
    assert_eq!((again["file"].as_str(), &again["message"]), (Some(&*file), &message["message"]));
    bob.ack(&again);
    assert_eq!(bob.takes(), "short");
    let other = bob.message();
    assert!(fs::read(other["file"].as_str().unwrap()).unwrap() == long);
    bob.ack(&other);
    // Nothing else is left beside them.
    let mut there: Vec<_> =
        fs::read_dir(place.path("here")).unwrap().map(|entry| entry.unwrap().path()).collect();
    there.sort();
    let mut told: Vec<std::path::PathBuf> =
        [&again, &other].map(|one| one["file"].as_str().unwrap().into()).to_vec();
    told.sort();
    assert_eq!(there, told);
}

/// Stopped in the middle, the rest comes to the next one, whatever it is.
#[test]
fn the_rest_of_a_message_goes_on_elsewhere() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    let long = text(3 << 20);
    fs::write(place.path("long"), &long).unwrap();
    alice.ok("send", json!({ "file": "long" }));
    bob.ok("subscribe", json!({ "credit": 1 }));
    let first = bob.message();
    bob.ack(&first);
    assert_eq!(bob.ends(), Some(0));
    let rest = people::otr(&place, "b", &["recv"], b"");
    assert_eq!(rest.status.code(), Some(6), "only the rest is there");
    let bytes = usize::try_from(first["bytes"].as_u64().unwrap()).unwrap();
    assert!(rest.stdout == long[bytes..]);
}

#[test]
fn a_message_comes_from_a_descriptor() {
    let place = Place::new();
    people::ok(&place, "c", &["init"], b"");
    fs::write(place.path("text"), "from a descriptor").unwrap();
    let shell = "exec 5< text; exec \"$0\" \"$@\"";
    let otr = command(&place, &["-s", "a"]);
    let mut through = std::process::Command::new("sh");
    through.args(["-c", shell]).arg(otr.get_program()).args(otr.get_args());
    for (name, value) in otr.get_envs() {
        match value {
            Some(value) => through.env(name, value),
            None => through.env_remove(name),
        };
    }
    through.current_dir(place.path(""));
    let mut alice = Rpc::run(&mut through);
    let mut bob = Rpc::start(&place, &["-s", "b"]);
    let invite = alice.ok("init", json!({}))["invite"].take();
    let reply = bob.ok("respond", json!({ "invite": invite }))["reply"].take();
    alice.ok("accept", json!({ "reply": reply }));
    let sent = alice.ok("send", json!({ "fd": 5 }));
    let id = bob.begin("receive", json!({ "packets": sent["packets"][0] }));
    assert_eq!(bob.takes(), "from a descriptor");
    bob.answer(id).unwrap();
    for params in [
        json!({ "fd": 77 }),
        json!({ "file": "nowhere" }),
        json!({ "text": "a", "fd": 5 }),
        json!({}),
    ] {
        assert_eq!(alice.fails("send", params).0, 2);
    }
    assert_eq!(alice.fails("send", json!({ "base64": "not base64" })).0, 2);
}
