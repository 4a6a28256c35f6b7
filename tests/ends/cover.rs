//! Cover: packets that say nothing, in whose place those go that say something.

use std::collections::BTreeSet;

use crate::people::{fails, ok, otr, pair, running, spawn};
use crate::place::{Place, text};
use crate::postbox::{Postbox, stored};
use crate::socks::Socks;
use crate::support::until;

#[test]
fn a_message_takes_the_place_of_the_next_packet_of_the_cover() {
    let place = Place::new();
    let admin = place.path("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", admin.display())]);
    pair(&place, &postbox);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let tor = ["--tor", "--proxy", &socks.url];
    fails(&place, "bob", &["recv", "--follow", "--cover", "1m"], b"", 2);
    for how in [&["--all"][..], &[], &["--count", "2"]] {
        let said = fails(&place, "bob", &[&["recv", "--cover", "1m"], how, &tor].concat(), b"", 2);
        assert!(said.contains("'recv --follow --cover'"), "{said}");
    }
    let follow = ["recv", "--follow", "--cover", "constant=2s"];
    let before = stored(&admin);
    // Nobody is called for that.
    ok(&place, "bob", &["send", "--later"], b"one");
    ok(&place, "bob", &["send", "--later"], b"two");
    assert_eq!(stored(&admin), before);
    let (mut bob, _stdin) = running(&place, "bob", &[&follow[..], &tor].concat());
    // One by one.
    until("the first is there", || stored(&admin) == before + 1);
    assert_eq!(ok(&place, "alice", &["recv", "--all"], b""), b"one");
    until("the second is there", || stored(&admin) == before + 2);
    assert_eq!(ok(&place, "alice", &["recv", "--all"], b""), b"two");
    // And then packets that say nothing, beside which all goes on.
    until("cover is there", || stored(&admin) >= before + 4);
    ok(&place, "bob", &["send", "--later"], b"three");
    until("more is there", || stored(&admin) >= before + 6);
    assert_eq!(ok(&place, "alice", &["recv", "--all"], b""), b"three");
    fails(&place, "alice", &["recv", "--all"], b"", 8);
    bob.kill().unwrap();
    bob.wait().unwrap();
    fails(&place, "bob", &["send", "--later"], &vec![b'x'; 3 << 20], 4);
}

/// Many at a time: nothing is lost, nothing comes twice, and the cover goes on beside them.
#[test]
fn senders_of_every_kind_beside_the_cover_lose_nothing() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let follow = ["recv", "--follow", "--cover", "constant=1s", "--tor", "--proxy", &socks.url];
    let (mut bob, _stdin) = running(&place, "bob", &follow);
    let mut sending = Vec::new();
    for nth in 0..18 {
        let how = [&["send"][..], &["send", "--later"], &["send", "--hold", "3s"]][nth % 3];
        sending.push(spawn(&place, "bob", how, format!("{nth}").as_bytes()));
    }
    for mut one in sending {
        assert!(one.wait().unwrap().success());
    }
    let mut came = BTreeSet::new();
    until("all of them are there", || {
        let some = otr(&place, "alice", &["recv", "--all", "--null"], b"").stdout;
        for one in text(&some).split_terminator('\0') {
            assert!(came.insert(one.parse::<usize>().unwrap()), "{one} came twice");
        }
        came.len() == 18
    });
    assert!(came.into_iter().eq(0..18));
    bob.kill().unwrap();
    bob.wait().unwrap();
}

/// The last step of a check, which nobody types, takes the place of a packet of the cover.
#[test]
fn a_check_comes_to_its_end_beside_the_cover() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    std::fs::write(place.path("secret"), "rice").unwrap();
    let compare = ["verify", "--secret-file", "secret"];
    ok(&place, "alice", &compare, b"");
    ok(&place, "bob", &["recv", "--all", "--json"], b"");
    ok(&place, "bob", &compare, b"");
    let follow = ["recv", "--follow", "--cover", "constant=1s", "--tor", "--proxy", &socks.url];
    let (mut alice, _stdin) = running(&place, "alice", &follow);
    until("bob knows", || {
        otr(&place, "bob", &["recv", "--all", "--json"], b"");
        text(&ok(&place, "bob", &["status", "--json"], b""))
            .contains("\"authenticated\":[\"verify\"]")
    });
    alice.kill().unwrap();
    alice.wait().unwrap();
}

/// What comes, and what is done with it, does not show in its moments.
#[test]
fn the_cover_goes_on_while_a_command_has_the_message() {
    let place = Place::new();
    let admin = place.path("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", admin.display())]);
    pair(&place, &postbox);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    ok(&place, "alice", &["send"], b"two");
    let follow = ["recv", "--follow", "--cover", "constant=1s", "--tor", "--proxy", &socks.url];
    let busy = ["--exec", "touch begun; read -r end < go-on; rm -f begun"];
    let made = std::process::Command::new("mkfifo").arg(place.path("go-on")).status().unwrap();
    assert!(made.success());
    let (mut bob, _stdin) = running(&place, "bob", &[&follow[..], &busy].concat());
    until("the command runs", || place.path("begun").exists());
    let before = stored(&admin);
    until("cover is there", || stored(&admin) >= before + 2);
    assert!(place.path("begun").exists());
    std::fs::write(place.path("go-on"), "\n").unwrap();
    until("the command has ended", || !place.path("begun").exists());
    bob.kill().unwrap();
    bob.wait().unwrap();
}
