//! A conversation through a postbox, as the two people have it.

use std::io::{BufRead as _, BufReader, Read};

use crate::people::{fails, ok, otr, pair, restart, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{self, Form, Place as Spot, Postbox};

#[test]
fn a_conversation_goes_both_ways_and_ends() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    for turn in ["two", "three"] {
        ok(&place, "bob", &["send"], turn.as_bytes());
        ok(&place, "alice", &["send"], turn.as_bytes());
        assert_eq!(ok(&place, "alice", &["recv"], b"not read"), turn.as_bytes());
        assert_eq!(ok(&place, "bob", &["recv"], b"not read"), turn.as_bytes());
    }
    assert_eq!(code(&otr(&place, "bob", &["recv", "--wait", "1s"], b"")), 8);
    assert_eq!(code(&otr(&place, "bob", &["recv", "--all"], b"")), 8);
    for number in 0..5 {
        ok(&place, "bob", &["send"], format!("{number}\n").as_bytes());
    }
    assert_eq!(ok(&place, "alice", &["recv"], b""), b"0\n");
    assert_eq!(ok(&place, "alice", &["recv", "--count", "2"], b""), b"1\n2\n");
    assert_eq!(ok(&place, "alice", &["recv", "--all"], b""), b"3\n4\n");
    assert_eq!(ok(&place, "alice", &["close"], b""), b"");
    assert_eq!(code(&otr(&place, "bob", &["recv"], b"")), 7);
    assert_eq!(code(&otr(&place, "bob", &["recv"], b"")), 7, "and does not wait for ever");
    assert_eq!(code(&otr(&place, "bob", &["send"], b"late")), 7);
}

#[test]
fn one_who_follows_gets_what_comes_while_he_sends() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut follower = spawn(&place, "bob", &["recv", "--follow"], b"");
    for turn in 0..4 {
        // Each changes the turn while the other waits.
        ok(&place, "bob", &["send"], b"from bob");
        assert_eq!(ok(&place, "alice", &["recv", "--wait", "10s"], b""), b"from bob");
        ok(&place, "alice", &["send"], format!("{turn}\n").as_bytes());
        let mut line = [0; 2];
        follower.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(text(&line), format!("{turn}\n"));
    }
    ok(&place, "alice", &["close"], b"");
    let ended = follower.wait_with_output().unwrap();
    assert_eq!(code(&ended), 0, "text came with it");
    let said = text(&ended.stderr);
    assert!(
        said.ends_with("the other side has closed the session: nothing more will come\n"),
        "{said}"
    );
}

#[test]
fn what_ends_before_all_has_come_says_why() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    for (arguments, said) in [
        (&["recv", "--all"][..], "otr: nothing is there; look again later\n"),
        (&["recv", "--wait", "1s"], "otr: nothing came in the time given; look again later\n"),
    ] {
        assert_eq!(fails(&place, "bob", arguments, b"", 8), said);
    }
    for (arguments, said) in [
        (&["recv", "--follow", "--wait", "1s"][..], "otr: nothing more came for 1s\n"),
        (&["recv", "--count", "2", "--wait", "1s"], "otr: nothing more came for 1s\n"),
        (&["recv", "--count", "1", "--wait", "1s"], ""),
        (&["recv"], ""),
        (&["recv", "--all"], ""),
    ] {
        ok(&place, "alice", &["send"], b"one");
        let ended = otr(&place, "bob", arguments, b"");
        assert_eq!((code(&ended), &ended.stdout[..]), (0, &b"one"[..]), "{arguments:?}");
        let unchecked = "compare 'otr words' by voice\n";
        let told = text(&ended.stderr);
        let told = told.split_once(unchecked).map_or(told.as_str(), |(_, rest)| rest);
        assert_eq!(told, said, "{arguments:?}");
    }
}

/// A question is heard at once, and can be answered while `recv` keeps waiting.
#[test]
fn a_question_is_told_while_recv_waits() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let secret = place.path("secret");
    std::fs::write(&secret, "the cat").unwrap();
    let by = ["--secret-file", secret.to_str().unwrap()];
    for arguments in [&["recv"][..], &["recv", "--follow"], &["recv", "-o", "file"]] {
        let mut waiting = spawn(&place, "bob", arguments, b"");
        ok(&place, "alice", &[&["verify", "--question", "where?"], &by[..]].concat(), b"");
        let mut said = BufReader::new(waiting.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("otr: the other side asks \"where?\"; answer: otr verify") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
        }
        ok(&place, "bob", &[&["verify"], &by[..]].concat(), b"");
        ok(&place, "alice", &["recv", "--wait", "10s"], b"");
        ok(&place, "alice", &["send"], b"equal");
        while !line.contains("otr: the secrets are equal") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
        }
        waiting.kill().unwrap();
        waiting.wait().unwrap();
        otr(&place, "bob", &["recv", "--all"], b"");
    }
}

#[test]
fn the_postbox_is_called_only_with_consent() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let invite = ok(&place, "alice", &["init", "--postbox", &postbox.url], b"");
    for arguments in [&["respond"][..], &["respond", "--postbox", "https://elsewhere.example"]] {
        let refused = otr(&place, "bob", arguments, &invite);
        assert!(!refused.status.success());
        assert!(!place.state("bob").exists(), "{arguments:?}");
    }
    assert_eq!(code(&otr(&place, "alice", &["send", "--wait", "1s"], b"x")), 14);
    let reply = ok(&place, "bob", &["respond", "--stdout"], &invite);
    assert!(reply.starts_with(b"otr1r:"));
    assert_eq!(ok(&place, "bob", &["respond", "--again", "--postbox", &postbox.url], b""), b"");
    ok(&place, "alice", &["send"], b"it came");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"it came");
}

#[test]
fn what_could_not_be_posted_is_posted_by_the_next_command() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let listen = postbox.url.strip_prefix("http://").unwrap().to_owned();
    drop(postbox);
    let failed = otr(&place, "bob", &["send", "--retry", "0"], b"first\n");
    assert_eq!(code(&failed), 9, "{}", text(&failed.stderr));
    assert_eq!(code(&otr(&place, "alice", &["recv", "--all"], b"")), 9);
    let _again = Postbox::run(postbox::otr().args(["postbox", "--listen", &listen]));
    ok(&place, "bob", &["send"], b"second\n");
    assert_eq!(ok(&place, "alice", &["recv", "--all"], b""), b"first\nsecond\n");
}

#[test]
fn a_restarted_postbox_has_lost_its_packets_and_the_receiver_says_so() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    ok(&place, "bob", &["send"], b"lost");
    let _again = restart(postbox);
    ok(&place, "bob", &["send"], b"here");
    let output = otr(&place, "alice", &["recv"], b"");
    assert_eq!(text(&output.stdout), "here");
    assert!(text(&output.stderr).contains("not here (yet): message 0"), "{}", text(&output.stderr));
}

#[test]
fn junk_under_a_token_is_thrown_away() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let token = ok(&place, "alice", &["expect", "--raw"], b"");
    let spot = Spot { token: token[..32].try_into().unwrap() };
    for fill in 1..=3 {
        assert_eq!(
            postbox.call("/v1/post", Form::Raw, &postbox::raw(&spot.packet(12, fill))).status,
            201
        );
    }
    ok(&place, "bob", &["send"], b"real");
    assert_eq!(ok(&place, "alice", &["recv"], b""), b"real");
    let left = postbox.call("/v1/collect", Form::Raw, &spot.token);
    assert_eq!(left.status, 204, "nothing is left there");
}

#[test]
fn a_stream_larger_than_the_postbox_flows_through_it() {
    let (place, postbox) = (Place::new(), Postbox::start(&["--memory", "16M"]));
    pair(&place, &postbox);
    let sent: Vec<u8> =
        (0..64_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut receiver = spawn(&place, "bob", &["recv"], b"");
    let mut out = receiver.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        out.read_to_end(&mut all).unwrap();
        all
    });
    ok(&place, "alice", &["send"], &sent);
    assert!(reading.join().unwrap() == sent);
    assert_eq!(receiver.wait().unwrap().code(), Some(0));
}

#[test]
fn nothing_but_curl_in_between() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let script = r#"
        set -e; export OTR_DIR=dir
        alice() { "$0" -s alice "$@"; }
        bob() { "$0" -s bob "$@"; }
        call() { curl -sSf --max-time 30 --data-binary @- "$BOX/v1/$1"; }

        echo by curl | alice send --stdout | call post
        bob expect > tokens
        call "collect?wait=60" < tokens | bob recv --stdin
        # It lies there until it is discarded, and not a moment longer.
        call collect < tokens | wc -l
        bob expect --spent | call discard
        call collect < tokens | wc -l
        bob expect --spent | wc -l

        # A stream, which curl must not collect in memory first.
        tar cf - tree > tree.tar
        alice send --stdout < tree.tar | curl -sSf -X POST -T - $BOX/v1/post
        bob expect --count 16 | call "collect?max=33554432" | bob recv --stdin > copy.tar
        cmp tree.tar copy.tar
        bob expect --spent | call discard

        # And back; what curl discards is published, so that the sender knows.
        echo and back | bob send --confirm --wait 30s & sender=$!
        alice expect | call "collect?wait=60" | alice recv --stdin
        alice expect --spent | call discard
        wait $sender
    "#;
    std::fs::create_dir(place.path("tree")).unwrap();
    let random: Vec<u8> =
        (0..5_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(place.path("tree/file"), random).unwrap();
    let output = place.shell(&script.replace("$BOX", &postbox.url));
    let shown = "1\nby curl\n1\n0\n0\n6\nand back\n";
    assert_eq!(text(&output.stdout), shown, "{}", text(&output.stderr));
}

#[test]
fn a_send_that_takes_the_reply_says_that_there_was_another() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let invite = ok(&place, "alice", &["init", "--postbox", &postbox.url], b"");
    for who in ["bob", "carol"] {
        ok(&place, who, &["respond", "--yes"], &invite);
    }
    let sent = otr(&place, "alice", &["send"], b"hello");
    let said = text(&sent.stderr);
    assert!(sent.status.success() && said.contains("refused a"), "{said}");
    assert!(said.contains("the session is open"), "{said}");
}
