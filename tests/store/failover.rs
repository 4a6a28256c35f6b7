//! A master dies under load: what was answered with 201 is collected.

use crate::servers::Store;
use crate::support::*;
use std::time::{Duration, Instant};

/// Packets that are posted, by each of so many callers.
const PACKETS: u32 = 400;
const CALLERS: u32 = 4;

#[test]
fn a_replica_that_a_sentinel_makes_the_master_is_found() {
    let mut store = Store::with_sentinel();
    let front = store.front(&["--replicas", "1"]);
    let (before, after) = (Place::new(1), Place::new(2));
    let post = |place: &Place| front.call("/v1/post", Form::Raw, &raw(&place.packet(12, 1))).status;
    assert_eq!(post(&before), 201);
    drop(store.servers.remove(0));
    store.servers[0].answers("role:master", &["INFO", "replication"]);
    assert_eq!(front.call("/v1/collect", Form::Raw, &before.token).body.len(), 4097);
    assert_eq!(post(&after), 503, "it has no replica");
    assert_eq!(
        store.front(&[]).call("/v1/post", Form::Raw, &raw(&after.packet(12, 1))).status,
        201
    );
}

/// The packet lies on the master already, by the first try; that the second one has nothing to store
/// does not mean that a replica has it.
#[test]
fn what_no_replica_has_is_not_stored_however_often_it_is_posted() {
    let store = Store::with_sentinel();
    let url = store.servers[0].url();
    let fronts = [0, 1].map(|_| store.front(&["--replicas", "1", "--store", &url]));
    let (place, spent) = (Place::new(1), Place::new(2));
    let post = |front: &Postbox, place: &Place| {
        front.call("/v1/post", Form::Raw, &raw(&place.packet(12, 1))).status
    };
    assert_eq!(post(&fronts[0], &spent), 201);
    let replica = &store.servers[1];
    replica.signal("STOP");
    let record = spent.spent(&spent.packet(12, 1), [0; 32]);
    let discard = |front: &Postbox| front.call("/v1/discard", Form::Raw, &record).status;
    assert_eq!(discard(&fronts[0]), 503, "a replica that takes over would have the packet still");
    for front in fronts.iter().chain(&fronts) {
        assert_eq!((post(front, &place), post(front, &spent)), (503, 503));
    }
    replica.signal("CONT");
    let deadline = Instant::now() + PATIENCE;
    while post(&fronts[1], &place) != 201 || discard(&fronts[0]) != 204 {
        assert!(Instant::now() < deadline);
    }
}

/// One packet may have to wait for a replica that is gone; those after it are refused at once, and
/// without a way to the master.
#[test]
fn without_its_replica_a_master_gets_nothing_until_it_has_one_again() {
    let mut store = Store::with_sentinel();
    let url = store.servers[0].url();
    let front = store.front(&["--replicas", "1", "--store", &url]);
    let post =
        |n: u32| front.call("/v1/post", Form::Raw, &raw(&Place::new(n).packet(12, 1))).status;
    assert_eq!(post(0), 201);
    store.servers[1].signal("KILL");
    store.servers[1].child.wait().unwrap();
    for n in 1..6 {
        assert_eq!(post(n), 503);
    }
    let keys = store.servers[0].cli(&["DBSIZE"]);
    assert!(keys.trim() == "1" || keys.trim() == "2", "{keys}");
    store.replace_replica();
    let deadline = Instant::now() + PATIENCE;
    while post(6) != 201 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_was_answered_with_201_outlives_a_master() {
    let mut store = Store::cluster();
    let fronts = [store.front(&["--replicas", "1"]), store.front(&["--replicas", "1"])];
    // Somebody waits on one front for what comes much later, through the other.
    let late = Place::new(1);
    let body = head("/v1/collect?wait=60", Form::Raw, 32);
    let mut waiting = fronts[0].connect();
    std::io::Write::write_all(&mut waiting, &[body.as_bytes(), &late.token].concat()).unwrap();

    let places = |caller: u32| (0..PACKETS).map(move |n| Place::new(1000 + caller * PACKETS + n));
    let refused: u32 = std::thread::scope(|scope| {
        let post = |caller: u32| {
            let front = &fronts[caller as usize % 2];
            let mut refused = 0;
            for place in places(caller) {
                let body = raw(&place.packet(12, 1));
                let deadline = Instant::now() + Duration::from_mins(1);
                // As `otr` does: again, until it is taken.
                while front.call("/v1/post", Form::Raw, &body).status != 201 {
                    refused += 1;
                    assert!(Instant::now() < deadline);
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            refused
        };
        let posting: Vec<_> =
            (0..CALLERS).map(|caller| scope.spawn(move || post(caller))).collect();
        std::thread::sleep(Duration::from_millis(300));
        store.fail_over(0);
        posting.into_iter().map(|one| one.join().unwrap()).sum()
    });
    for caller in 0..CALLERS {
        for (n, place) in places(caller).enumerate() {
            let found = fronts[1].call("/v1/collect", Form::Raw, &place.token);
            assert_eq!(found.body.len(), 4097, "{caller} {n}: {refused} were refused before");
        }
    }
    assert_eq!(fronts[1].call("/v1/post", Form::Raw, &raw(&late.packet(12, 1))).status, 201);
    assert_eq!(read_answer(&mut waiting).unwrap().body.len(), 4097);
}

/// Posts another packet until one is taken.
fn until_taken(front: &Postbox, first: u32) {
    let deadline = Instant::now() + PATIENCE;
    for n in first.. {
        let packet = raw(&Place::new(n).packet(12, 1));
        if front.call("/v1/post", Form::Raw, &packet).status == 201 {
            return;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn watched(store: &Store, options: &[&str]) -> (Postbox, std::path::PathBuf) {
    let admin = store.directory.path().join("admin");
    let address = format!("unix:{}", admin.display());
    let front = store.front(&[&["--admin", &address], options].concat());
    (front, admin)
}

#[test]
fn a_master_that_was_started_again_is_an_alarm() {
    let mut store = Store::single(&[]);
    let (front, admin) = watched(&store, &[]);
    until_taken(&front, 0);
    assert_eq!(metric(&admin, "store_alarms_total"), 0);
    store.restart(0);
    until_taken(&front, 100);
    assert_eq!(metric(&admin, "store_alarms_total"), 1);
    front.signal("TERM");
    let (_, said) = front.end();
    let about = format!("127.0.0.1:{} was started again", store.servers[0].port);
    assert_eq!(said.matches(&about).count(), 1, "{said}");
}

#[test]
fn a_replica_that_would_throw_packets_out_gets_none_when_it_is_the_master() {
    let mut store = Store::with_sentinel();
    let (front, admin) = watched(&store, &[]);
    until_taken(&front, 0);
    store.servers[1].cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    store.servers[0].signal("KILL");
    store.servers[0].child.wait().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while metric(&admin, "store_alarms_total") == 0 {
        let packet = raw(&Place::new(1).packet(12, 1));
        assert_eq!(front.call("/v1/post", Form::Raw, &packet).status, 503);
        assert!(Instant::now() < deadline);
    }
    store.servers[1].cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    until_taken(&front, 2);
    front.signal("TERM");
    let (_, said) = front.end();
    let words = "throws out what was stored when it is full (allkeys-lru); set maxmemory-policy";
    assert_eq!(said.matches(words).count(), 1, "{said}");
}

#[test]
fn a_master_that_the_sentinels_have_replaced_gets_nothing_more() {
    let store = Store::with_sentinel();
    let front = store.front(&[]);
    until_taken(&front, 0);
    let [old, new, sentinel] = &store.servers[..] else { unreachable!() };
    // It never hears of it, as one that is cut off from all others.
    new.cli(&["REPLICAOF", "NO", "ONE"]);
    new.cli(&["FLUSHALL"]);
    sentinel.cli(&["SENTINEL", "REMOVE", "mine"]);
    sentinel.cli(&["SENTINEL", "MONITOR", "mine", "127.0.0.1", &new.port.to_string(), "1"]);
    let deadline = Instant::now() + PATIENCE;
    let mut n = 1;
    while new.cli(&["DBSIZE"]).trim() == "0" {
        until_taken(&front, n);
        n += 1;
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(old.cli(&["INFO", "replication"]).contains("role:master"));
}

#[test]
fn a_cluster_whose_servers_tell_their_names_is_found_by_their_addresses() {
    let store = Store::with_a_name();
    until_taken(&store.front(&[]), 0);
}
