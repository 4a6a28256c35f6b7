//! Cover: packets that say nothing, in whose place those go that say something.

use crate::people::{fails, ok, pair, running};
use crate::place::{Place, text};
use crate::postbox::Postbox;
use crate::socks::Socks;
use crate::support::{tool, until};

/// How many packets the postbox has taken.
fn stored(admin: &str) -> u64 {
    let mut curl = tool("curl", "curl");
    let told = curl.args(["-sf", "--unix-socket", admin, "http://postbox/metrics"]).output();
    let told = told.unwrap();
    let told = text(&told.stdout);
    let line = told.lines().find_map(|line| line.strip_prefix("otr_postbox_stored_total "));
    line.unwrap_or_else(|| panic!("{told}")).parse().unwrap()
}

#[test]
fn a_message_takes_the_place_of_the_next_packet_of_the_cover() {
    let place = Place::new();
    let admin = place.path("admin").display().to_string();
    let postbox = Postbox::start(&["--admin", &format!("unix:{admin}")]);
    pair(&place, &postbox);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let tor = ["--tor", "--proxy", &socks.url];
    fails(&place, "bob", &["recv", "--follow", "--cover", "1m"], b"", 2);
    fails(&place, "bob", &[&["recv", "--all", "--cover", "1m"][..], &tor].concat(), b"", 2);
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
