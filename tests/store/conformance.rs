//! Runs the cases against each store.

use crate::cases;
use crate::servers::Store;
use crate::support::*;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn the_memory_is_such_a_store() {
    let postbox = Postbox::start(&[]);
    cases::all(&postbox, &postbox);
    let brief = Postbox::start(&["--ttl", "1s"]);
    cases::times(&brief, &brief);
    let small = Postbox::start(&["--memory", "16M", "--work", "0"]);
    cases::full(&small, &small);
}

#[test]
fn one_redis_is_such_a_store() {
    let store = Store::single(&[]);
    cases::all(&store.front(&[]), &store.front(&[]));
    cases::times(&store.front(&["--ttl", "1s"]), &store.front(&["--ttl", "1s"]));
    cases::remembered(&store.front(&[]), &store.front(&["--ttl", "1s"]));
    let store = Store::single(&["--maxmemory", "16mb"]);
    cases::full(&store.front(&["--work", "0"]), &store.front(&["--work", "0"]));
    cases::work(&store.front(&["--work", "8"]), &store.front(&["--work", "8"]));
}

/// Somebody who posts and discards for ever would fill the store with what is remembered of it.
#[test]
fn a_flood_of_discards_is_not_remembered_for_long() {
    let store = Store::single(&[]);
    let fronts = [store.front(&["--work", "0"]), store.front(&["--work", "0"])];
    let discard = |front: &Postbox, first: u32| {
        let places: Vec<Place> = (first..first + 200).map(Place::new).collect();
        let body: Vec<u8> = places.iter().flat_map(|place| raw(&place.packet(12, 1))).collect();
        assert_eq!(front.call("/v1/post", Form::Raw, &body).both(), (201, "200\n"));
        let spent = places.iter().flat_map(|place| place.spent(&place.packet(12, 1), [1; 32]));
        let spent: Vec<u8> = spent.collect();
        assert_eq!(front.call("/v1/discard", Form::Raw, &spent).status, 204);
    };
    // The shortest time for which an address is remembered, of those that were discarded.
    let shortest = || {
        let script = "local least = 9999999; for _, key in ipairs(redis.call('KEYS', '*')) do \
            least = math.min(least, redis.call('TTL', key)) end; return least";
        store.servers[0].cli(&["EVAL", script, "0"]).trim().parse::<u32>().unwrap()
    };
    discard(&fronts[0], 0);
    let deadline = Instant::now() + PATIENCE;
    // What goes through one postbox counts at the other, too.
    for round in 1.. {
        discard(&fronts[1], round * 200);
        if shortest() < 43_200 {
            break;
        }
        assert!(Instant::now() < deadline, "{}", shortest());
    }
    assert!(shortest() >= 60);
}

#[test]
fn a_cluster_is_such_a_store() {
    let store = Store::cluster();
    let fronts = (store.front(&["--replicas", "1"]), store.front(&["--replicas", "1"]));
    cases::all(&fronts.0, &fronts.1);
}

/// Reading is no flood: it makes nobody's packets short-lived.
#[test]
fn what_is_asked_changes_no_lifetime() {
    let store = Store::single(&["--maxmemory", "32mb"]);
    let (one, other) = (store.front(&["--work", "0"]), store.front(&["--work", "0"]));
    let keeps = |n: u32| -> u32 {
        let answer = one.call("/v1/post", Form::Raw, &raw(&Place::new(n).packet(18, 1)));
        assert_eq!(answer.status, 201);
        let keeps = answer.head.lines().find_map(|line| line.strip_prefix("otr-keeps: "));
        keeps.unwrap().parse().unwrap()
    };
    let mut last = (1..200).map(keeps).find(|keeps| *keeps < 600).unwrap();
    // It has been seen how full it is.
    std::thread::sleep(Duration::from_millis(2500));
    last = last.min(keeps(5000));
    let tokens: Vec<u8> = (10_000..18_192).flat_map(|n| Place::new(n).token).collect();
    for _ in 0..24 {
        assert_eq!(other.call("/v1/collect", Form::Raw, &tokens).status, 204);
    }
    std::thread::sleep(Duration::from_millis(1500));
    let now = keeps(5001);
    assert!(now > last / 10 * 8, "{last} before, {now} now");
}

/// A copy of what is in a store lies here until it is read: so an answer has only so much.
#[test]
fn an_answer_from_a_store_is_bounded() {
    let store = Store::single(&[]);
    let front = store.front(&[]);
    let places: Vec<Place> = (0..12).map(Place::new).collect();
    let body: Vec<u8> = places.iter().flat_map(|place| raw(&place.packet(19, 1))).collect();
    assert_eq!(front.call("/v1/post", Form::Raw, &body).both(), (201, "12\n"));
    let tokens: Vec<u8> = places.iter().flat_map(|place| place.token).collect();
    let first = front.call("/v1/collect?max=8388608", Form::Raw, &tokens).body;
    assert!(first == body[..8 * ((1 << 19) + 1)], "{}", first.len());
    // Who does not read holds copies of answers, and no room for what is posted.
    let readers: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = front.connect();
            let head = head("/v1/collect", Form::Raw, tokens.len());
            std::io::Write::write_all(&mut stream, &[head.as_bytes(), &tokens].concat()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    let more = raw(&Place::new(99).packet(20, 1));
    assert_eq!(front.call("/v1/post", Form::Raw, &more).status, 201);
    drop(readers);
}

/// Its own memory is full, and the store is not: who comes later gets in.
#[test]
fn a_front_that_has_no_room_for_what_comes_in_is_busy_and_not_full() {
    let store = Store::single(&[]);
    let front = store.front(&["--memory", "16M", "--work", "0"]);
    let body = raw(&Place::new(1).packet(20, 1));
    let head = head("/v1/post", Form::Raw, body.len());
    // More than there is room for, each without its last byte: so fast that none is behind.
    let begun = (0..20).map(|_| {
        let mut stream = front.connect();
        // It may be refused before all of it is out.
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&body[..body.len() - 1]);
        stream
    });
    let mut begun: Vec<_> = begun.collect();
    let is_answered = |stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let is_answered = matches!(stream.peek(&mut [0]), Ok(1));
        stream.set_nonblocking(false).unwrap();
        is_answered
    };
    let deadline = Instant::now() + PATIENCE;
    while !begun.iter().any(is_answered) {
        assert!(Instant::now() < deadline, "none is refused");
        std::thread::sleep(Duration::from_millis(50));
    }
    let refused = begun.iter_mut().filter(|stream| is_answered(stream));
    let refused: Vec<u16> = refused.map(|stream| read_answer(stream).unwrap().status).collect();
    assert!(refused.iter().all(|status| *status == 503), "{refused:?}");
}
