//! A chat that posts packets that say nothing, and one that holds its messages back.

use std::path::PathBuf;
use std::time::Instant;

use crate::postbox::{Postbox, stored};
use crate::socks::Socks;
use crate::support::until;
use crate::{Meeting, lives};

/// Two who share a session, their postbox with its socket for the operator, and a proxy before it.
fn by_a_proxy() -> (Meeting, Postbox, PathBuf, Socks) {
    let meeting = Meeting::strangers();
    let admin = meeting.pair.path("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", admin.display())]);
    meeting.meet(&postbox.url);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    (meeting, postbox, admin, socks)
}

#[test]
fn what_is_typed_takes_the_place_of_the_next_packet_of_the_cover() {
    let (meeting, _postbox, admin, socks) = by_a_proxy();
    let direct = meeting.chat("alice", "--cover 1m", (90, 20));
    assert_eq!(direct.code(), "2");
    assert!(direct.scrollback().contains("--cover would hide nothing"));
    let both = meeting.chat("alice", "--cover 1m --hold 1m", (90, 20));
    assert_eq!(both.code(), "2");
    let with_cover = format!("--tor --proxy {} --cover constant=1s", socks.url);
    let alice = meeting.chat("alice", &with_cover, (90, 20));
    alice.wait_for("NOT CHECKED");
    let begun = stored(&admin);
    until("cover is there, while nobody types", || stored(&admin) >= begun + 2);
    let (since, before) = (Instant::now(), stored(&admin));
    for text in ["one", "two", "three"] {
        alice.enter(text);
    }
    alice.wait_for("you:  three (waiting)");
    alice.wait_until("all is out", |shown| !shown.contains("waiting)"));
    // No packet has gone between those of the cover: then they would be more than the seconds.
    let (count, seconds) = (stored(&admin) - before, since.elapsed().as_secs());
    assert!((3..=seconds + 1).contains(&count), "{count} packets in {seconds} s");
    for text in ["one\n", "two\n", "three\n"] {
        assert_eq!(meeting.received("bob"), text.as_bytes());
    }
    // A file would be seen beside the cover.
    std::fs::write(meeting.pair.path("file"), "x").unwrap();
    alice.enter("/send file");
    alice.wait_for("(NOT SENT: it does not fit into one packet");
    // Nothing is lost if it is killed, and the next command posts it.
    alice.enter("four");
    alice.wait_for("you:  four");
    let pid = alice.pid();
    alice.signal("KILL");
    until("it is gone", || !lives(&pid));
    meeting.pair.alice("recv --all", b"");
    assert_eq!(meeting.received("bob"), b"four\n");
}

#[test]
fn what_is_held_is_posted_later_and_never_lost() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "--hold 1s", (90, 20));
    alice.wait_for("NOT CHECKED");
    // A check goes on, too.
    alice.enter("/verify");
    for asked in ["the secret to compare", "the same again:"] {
        alice.wait_for(asked);
        alice.enter("rice");
    }
    alice.wait_for("asked; the other side answers with /verify");
    std::fs::write(meeting.pair.path("secret"), "rice").unwrap();
    until("bob is asked", || {
        let told = meeting.pair.bob("recv --all --json", b"").out;
        String::from_utf8(told).unwrap().contains("\"verify\":\"asked\"")
    });
    meeting.pair.bob("verify --secret-file secret", b"").ok();
    alice.wait_for("the secrets are equal");
    assert!(!alice.shown().contains("postbox away"), "{}", alice.shown());
    until("bob knows", || {
        meeting.pair.bob("recv --all", b"");
        meeting.pair.bob("status --json", b"").text().contains("\"authenticated\":[\"verify\"]")
    });
    for text in ["one", "two"] {
        alice.enter(text);
    }
    // The end of the chat waits for them, in their order.
    alice.enter("/quit");
    assert_eq!(alice.code(), "0");
    assert!(!alice.scrollback().contains("not posted"), "{}", alice.scrollback());
    for text in [&b"one\n"[..], b"two\n"] {
        assert_eq!(meeting.received("bob"), text);
    }
    // Unless that is ended.
    let alice = meeting.chat("alice", "--hold 300d", (90, 20));
    alice.wait_for("checked by verify");
    alice.enter("three");
    alice.wait_for("you:  three (waiting)");
    alice.enter("/quit");
    alice.wait_for("what you entered last waits for its moment to be posted; Ctrl-C leaves it");
    assert_eq!(meeting.pair.bob("recv --all", b"").code, 8);
    alice.signal("INT");
    assert_eq!(alice.code(), "130");
    assert!(alice.scrollback().contains("not posted yet: 1 of your messages"));
    meeting.pair.alice("send", b"four").ok();
    assert_eq!(meeting.received("bob"), b"three\n");
    assert_eq!(meeting.received("bob"), b"four");
}
