//! Nobody takes what others need: memory, time, places to wait.

use crate::support::*;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// Sends a question that waits.
fn ask(postbox: &Postbox, path: &str, tokens: &[u8]) -> TcpStream {
    let mut stream = postbox.connect();
    // Who is refused may find the connection closed.
    let _ = stream.write_all(head(path, Form::Raw, tokens.len()).as_bytes());
    let _ = stream.write_all(tokens);
    stream
}

/// One connection filled a postbox in two seconds, and for a day.
#[test]
fn one_connection_takes_no_more_than_it_leaves() {
    let postbox = Postbox::start(&["--memory", "16M", "--work", "0"]);
    let mut flood = postbox.connect();
    let post = |stream: &mut TcpStream, n| {
        call(stream, "/v1/post", Form::Raw, &raw(&Place::new(n).packet(16, 1))).status
    };
    let taken = (0..1000).find(|n| post(&mut flood, *n) == 507).unwrap();
    assert!((70..80).contains(&taken), "{taken} of 64 KiB");
    let mut other = postbox.connect();
    for n in 1000..1030 {
        assert_eq!(post(&mut other, n), 201, "{n}");
    }
    // What its receiver collects is not held by it any more.
    let spent: Vec<u8> = (0..taken)
        .map(Place::new)
        .flat_map(|place| place.spent(&place.packet(16, 1), [0; 32]))
        .collect();
    assert_eq!(postbox.call("/v1/discard", Form::Raw, &spent).status, 204);
    assert_eq!(post(&mut flood, 2000), 201);
}

#[test]
fn what_comes_into_a_full_postbox_lives_for_a_short_time_and_is_told_so() {
    let postbox = Postbox::start(&["--memory", "16M", "--work", "0", "--ttl", "12h"]);
    let post = |n: u32| {
        let answer = postbox.call("/v1/post", Form::Raw, &raw(&Place::new(n).packet(17, 1)));
        let keeps = answer.head.lines().find_map(|line| line.strip_prefix("otr-keeps: "));
        (answer.status, keeps.map(|seconds| seconds.parse::<u32>().unwrap()))
    };
    let lives: Vec<u32> = (0..1000)
        .map(post)
        .take_while(|(status, _)| *status == 201)
        .map(|(_, keeps)| keeps.unwrap())
        .collect();
    assert!(lives.len() > 70 && lives.is_sorted_by(|a, b| a >= b), "{lives:?}");
    assert!(lives[..38].iter().all(|life| *life == 43_200), "{lives:?}");
    assert!(*lives.last().unwrap() < 120, "{lives:?}");
    let fate = postbox.call("/v1/gone", Form::Raw, &Place::new(0).address());
    assert_eq!(fate.both(), (200, "h"), "what lies there stays");
}

/// 312 callers who waited for 8,192 tokens each once locked out everybody.
#[test]
fn who_waits_for_much_makes_room_for_who_waits_for_little() {
    let postbox = Postbox::start(&["--memory", "8M", "--work", "0"]);
    let mut waiting = Vec::new();
    let mut seed = 10;
    for count in [8192, 1024, 128, 16] {
        for _ in 0..40 {
            let tokens: Vec<u8> = (0..count).flat_map(|n| Place::new(seed + n).token).collect();
            seed += count;
            waiting.push(ask(&postbox, "/v1/collect?wait=60", &tokens));
        }
    }
    let place = Place::new(1);
    let mut little = ask(&postbox, "/v1/collect?wait=60", &place.token);
    little.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    assert!(little.peek(&mut [0]).is_err(), "it waits");
    little.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(postbox.post(&raw(&place.packet(12, 1))).status, 201);
    assert_eq!(read_answer(&mut little).unwrap().status, 200);
}

/// 10,750 callers who waited for one token each once took every place.
#[test]
fn who_has_waited_longest_makes_room_for_the_next() {
    let postbox = Postbox::start(&["--memory", "8M", "--work", "0"]);
    let mut waiting: Vec<TcpStream> =
        (0..190).map(|n| ask(&postbox, "/v1/collect?wait=60", &Place::new(n).token)).collect();
    assert_eq!(read_answer(&mut waiting[0]).unwrap().status, 204, "as if its time were over");
    assert_eq!(postbox.post(&raw(&Place::new(189).packet(12, 1))).status, 201);
    assert_eq!(read_answer(&mut waiting[189]).unwrap().status, 200);
}

/// 1.8 million discards filled a postbox with what it remembered of them.
#[test]
fn of_what_was_discarded_the_oldest_is_forgotten_first() {
    let directory = tempfile::tempdir().unwrap();
    let admin = directory.path().join("admin");
    let postbox = Postbox::start(&[
        "--memory",
        "8M",
        "--work",
        "0",
        "--admin",
        &format!("unix:{}", admin.display()),
    ]);
    let mut stream = postbox.connect();
    for some in 0..20u32 {
        let places: Vec<Place> = (some * 400..(some + 1) * 400).map(Place::new).collect();
        let packets: Vec<u8> = places.iter().flat_map(|place| raw(&place.packet(12, 1))).collect();
        assert_eq!(call(&mut stream, "/v1/post", Form::Raw, &packets).status, 201);
        let spent: Vec<u8> =
            places.iter().flat_map(|place| place.spent(&place.packet(12, 1), [1; 32])).collect();
        assert_eq!(call(&mut stream, "/v1/discard", Form::Raw, &spent).status, 204);
    }
    let remembered = metric(&admin, "remembered");
    assert!((4_500..5_000).contains(&remembered), "{remembered}");
    let asked = [0, 3999, 7999].map(|n| Place::new(n).address()).concat();
    assert_eq!(postbox.call("/v1/gone", Form::Raw, &asked).both(), (200, "ucc"));
}

/// In a network of its own, where callers have addresses that are not this machine's own.
#[test]
fn all_connections_from_one_address_take_no_more_than_they_leave() {
    let directory = tempfile::tempdir().unwrap();
    for seed in 0..40 {
        let packets: Vec<u8> =
            (0..4).flat_map(|n| raw(&Place::new(seed * 4 + n).packet(17, 1))).collect();
        std::fs::write(directory.path().join(seed.to_string()), packets).unwrap();
    }
    let script = r#"
        ip link set lo up
        ip addr add 192.0.2.1/24 dev lo; ip addr add 192.0.2.2/24 dev lo
        "$0" postbox --listen 192.0.2.1:7363 --memory 16M --work 0 2> said & box=$!
        until grep -q OTR_POSTBOX said; do sleep 0.05; done
        from() {
            address=$1; shift
            curl -s -o /dev/null --max-time 30 --interface $address \
                -H 'Content-Type: application/octet-stream' "$@"
        }
        # As long as one of its connections is open, an address is known.
        head -c 32 /dev/zero | from 192.0.2.1 --data-binary @- \
            "192.0.2.1:7363/v1/collect?wait=60" & open=$!
        post() { from $1 --data-binary @$2 -w '%{http_code}\n' 192.0.2.1:7363/v1/post; }
        n=0
        while [ $n -lt 30 ] && [ "$(post 192.0.2.1 $n)" = 201 ]; do n=$((n + 1)); done
        echo $n
        post 192.0.2.2 $((n + 1))
        kill $box; wait $box $open 2> /dev/null
    "#;
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", script, env!("CARGO_BIN_EXE_otr")])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("Debian packages util-linux and iproute2, as root");
    let said = String::from_utf8(output.stdout).unwrap();
    let warned = String::from_utf8_lossy(&output.stderr);
    let (taken, other) = said.trim().split_once('\n').expect(&warned);
    let taken: u32 = taken.parse().unwrap();
    assert!((8..12).contains(&taken), "{taken} of 512 KiB; {warned}");
    assert_eq!(other, "201", "{warned}");
}
