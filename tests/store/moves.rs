//! A slot moves from node to node under those who wait there, and a part of the store goes away.

use crate::servers::{Redis, Store};
use crate::support::*;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Begins to wait for a packet.
fn waits(front: &Postbox, place: &Place) -> TcpStream {
    let mut stream = front.connect();
    let body = head("/v1/collect?wait=60", Form::Raw, 32);
    std::io::Write::write_all(&mut stream, &[body.as_bytes(), &place.token].concat()).unwrap();
    // It waits, as far as one can see.
    std::thread::sleep(Duration::from_millis(300));
    stream
}

/// Posts a packet; who waits for it gets it long before his time is over, and it is discarded.
fn comes(front: &Postbox, place: &Place, fill: u8, mut waiting: TcpStream) {
    let (packet, begun) = (place.packet(12, fill), Instant::now());
    assert_eq!(front.call("/v1/post", Form::Raw, &raw(&packet)).status, 201, "{fill}");
    assert!(read_answer(&mut waiting).unwrap().body == raw(&packet), "{fill}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{fill}: {:?}", begun.elapsed());
    let record = place.spent(&packet, [0; 32]);
    assert_eq!(front.call("/v1/discard", Form::Raw, &record).status, 204, "{fill}");
}

#[test]
fn who_waits_is_told_while_a_slot_moves_and_who_collects_gets_what_is_there() {
    let mut store = Store::cluster();
    let fronts = [store.front(&[]), store.front(&[])];
    // Where it lies is known only by its key.
    let place = Place::new(1);
    assert_eq!(fronts[0].call("/v1/post", Form::Raw, &raw(&place.packet(12, 1))).status, 201);
    let holds = |server: &Redis| server.cli(&["DBSIZE"]).trim() == "1";
    let from = store.servers[..3].iter().position(holds).unwrap();
    let (source, target) = (&store.servers[from], &store.servers[(from + 1) % 3]);
    let bucket = source.cli(&["KEYS", "*"])[..6].to_owned();
    let slot = source.cli(&["CLUSTER", "KEYSLOT", &bucket]).trim().to_owned();
    source.cli(&["FLUSHALL"]);
    let id = |server: &Redis| server.cli(&["CLUSTER", "MYID"]).trim().to_owned();
    let (source_id, target_id) = (id(source), id(target));
    let set = |server: &Redis, what: &[&str]| {
        let said = server.cli(&[&["CLUSTER", "SETSLOT", &slot], what].concat());
        assert_eq!(said.trim(), "OK", "{what:?}");
    };

    comes(&fronts[1], &place, 2, waits(&fronts[0], &place));
    source.cli(&["FLUSHALL"]);
    set(target, &["IMPORTING", &source_id]);
    set(source, &["MIGRATING", &target_id]);
    // It has moved, and nobody has asked anew.
    let waiting = waits(&fronts[0], &place);
    set(target, &["NODE", &target_id]);
    set(source, &["NODE", &target_id]);
    comes(&fronts[1], &place, 4, waiting);

    // A part of the store goes away for good: what lies elsewhere is given all the same.
    for server in &store.servers {
        server.cli(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let places: Vec<Place> = (100..400).map(Place::new).collect();
    let body: Vec<u8> = places.iter().flat_map(|place| raw(&place.packet(12, 1))).collect();
    assert_eq!(fronts[0].call("/v1/post", Form::Raw, &body).both(), (201, "300\n"));
    let tokens: Vec<u8> = places.iter().flat_map(|place| place.token).collect();
    for number in [3, 0] {
        store.kill(number);
    }
    let begun = Instant::now();
    for front in &fronts {
        let found = front.call("/v1/collect", Form::Raw, &tokens);
        assert_eq!(found.status, 200, "{:?}", begun.elapsed());
        let count = found.body.len() / 4097;
        assert!((100..300).contains(&count), "{count}");
    }
}
