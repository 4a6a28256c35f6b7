//! What is around a conversation: names, certificates, copies, crowds.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::people::{fails, ok, otr, pair, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{Postbox, connect, resident};

#[test]
fn a_certificate_that_has_expired_is_refused() {
    let place = Place::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let file = |name: &str, content: String| {
        let path = place.path(name).display().to_string();
        fs::write(&path, content).unwrap();
        path
    };
    let made = |until| {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.self_signed(&key).unwrap().pem()
    };
    for (name, until) in [("good", 2100), ("bad", 2020)] {
        let (cert, key) = (file(name, made(until)), file("key", key.serialize_pem()));
        let postbox = Postbox::start(&["--tls-cert", &cert, "--tls-key", &key]);
        let port = postbox.url.rsplit(':').next().unwrap();
        let url = format!("https://localhost:{port}");
        let invite = ok(&place, name, &["init", "--postbox", &url], b"");
        let bob = format!("bob-{name}");
        let respond = ["respond", "--yes", "--ca-file", &cert];
        if name == "good" {
            ok(&place, &bob, &respond, &invite);
            ok(&place, name, &["send", "--ca-file", &cert], b"sealed twice");
            assert_eq!(ok(&place, &bob, &["recv", "--ca-file", &cert], b""), b"sealed twice");
        } else {
            let said = fails(&place, &bob, &respond, &invite, 9);
            assert!(said.contains("has expired"), "{said}");
        }
        // No authority that the system trusts has signed it.
        let again = ["respond", "--yes", "--anew"];
        assert_eq!(code(&otr(&place, "other", &again, &invite)), 9);
    }
}

/// The invite is made all the same: the postbox may answer by the time it is needed.
#[test]
fn an_invite_to_a_postbox_that_does_not_answer_warns() {
    let place = Place::new();
    let (silent, postbox) = (TcpListener::bind("127.0.0.1:0").unwrap(), Postbox::start(&[]));
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let dead = format!("http://{}", free_port());
    let other = format!("{}/elsewhere", postbox.url);
    for (url, said) in [
        (&dead, "cannot reach the postbox 127.0.0.1"),
        (&silent, "the postbox 127.0.0.1 did not answer in time"),
        (&other, "127.0.0.1"),
    ] {
        let made = otr(&place, "alice", &["init", "--anew", "--postbox", url], b"");
        assert!(made.status.success() && made.stdout.starts_with(b"otr1i:"));
        let told = text(&made.stderr);
        assert!(told.contains(said) && told.contains("the invite is valid"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    // A user who will come another way is not seen there.
    for way in [&["--tor"][..], &["--proxy", "socks5h://127.0.0.1:9"]] {
        let arguments = [&["init", "--anew", "--postbox", &dead], way].concat();
        assert_eq!(text(&otr(&place, "alice", &arguments, b"").stderr), "", "{way:?}");
    }
    let good = otr(&place, "alice", &["init", "--anew", "--postbox", &postbox.url], b"");
    assert_eq!(text(&good.stderr), "");
}

/// An address where nobody listens.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_name_without_an_address_is_told() {
    let place = Place::new();
    let invite = ok(&place, "alice", &["init", "--postbox", "https://nowhere.invalid"], b"");
    let said = fails(&place, "bob", &["respond", "--yes"], &invite, 9);
    assert!(said.contains("nowhere.invalid"), "{said}");
    // The session is there, and its reply can go another way.
    let reply = ok(&place, "bob", &["respond", "--again", "--stdout"], b"");
    ok(&place, "alice", &["recv", "--stdin"], &reply);
}

/// Somebody who has a copy of bob's state takes messages away from bob, and shows them; together
/// they have all of them, and neither breaks.
#[test]
fn two_receivers_with_one_state() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    fs::copy(place.state("bob"), place.state("eve")).unwrap();
    let receivers =
        ["bob", "eve"].map(|who| spawn(&place, who, &["recv", "--follow", "--wait", "2s"], b""));
    for number in 1..=40 {
        ok(&place, "alice", &["send"], format!("{number}\n").as_bytes());
    }
    let mut all = Vec::new();
    for receiver in receivers {
        let output = receiver.wait_with_output().unwrap();
        assert!([0, 6, 8].contains(&code(&output)), "{}", text(&output.stderr));
        let shown: Vec<u32> =
            text(&output.stdout).lines().map(|line| line.parse().unwrap()).collect();
        assert!(shown.is_sorted_by(|one, next| one < next), "{shown:?}");
        all.extend(shown);
    }
    all.sort_unstable();
    all.dedup();
    assert!(all.into_iter().eq(1..=40));
}

/// Thousands of callers begin a request and never finish it: the conversation continues, and the
/// postbox stays within its memory.
#[test]
fn a_crowd_of_slow_heads_is_no_matter() {
    const CROWD: usize = 5_000;
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    assert!(most.is_none_or(|most| most > 2 * CROWD as u64), "ulimit -Hn is too small: {most:?}");
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let begun = Instant::now();
    let address = postbox.url.strip_prefix("http://").unwrap().to_owned();
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| connect(&address)).collect();
    for one in &mut crowd {
        one.write_all(b"POST /v1/post HTTP/1.1\r\nx-slow: ").unwrap();
    }
    // Nobody waits for a connection, neither they nor later callers.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let slow = thread::spawn(move || {
        for _ in 0..8 {
            thread::sleep(Duration::from_millis(300));
            for one in &mut crowd {
                let _ = one.write_all(b"x");
            }
        }
    });
    for number in 0..40 {
        let [from, to] = if number % 2 == 0 { ["alice", "bob"] } else { ["bob", "alice"] };
        let message = format!("{number}\n");
        ok(&place, from, &["send"], message.as_bytes());
        assert_eq!(text(&ok(&place, to, &["recv", "--wait", "5s"], b"")), message);
    }
    assert!(resident(postbox.child.id()) < (256 + 32) << 20);
    slow.join().unwrap();
}

#[test]
fn a_umask_that_takes_from_the_owner_shuts_nobody_out() {
    let place = Place::new();
    let script = r#"
        otr() { "$binary" --dir new "$@"; }
        binary=$0
        umask 0277
        otr -s alice init > invite && otr -s bob respond < invite > reply
        otr -s alice recv < reply && echo hello | otr -s alice send > packet
        otr -s bob recv -q -o text < packet && cat text && stat -c %a new new/*"#;
    let output = place.shell(script);
    let shown = text(&output.stdout);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let modes = shown.strip_prefix("hello\n700\n").unwrap_or_else(|| panic!("{shown}"));
    assert!(modes.lines().all(|mode| mode == "600"), "{shown}");
}
