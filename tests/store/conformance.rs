//! Runs the cases against each store.

use crate::cases;
use crate::servers::Store;
use crate::support::Postbox;

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
    let store = Store::single(&["--maxmemory", "16mb"]);
    cases::full(&store.front(&["--work", "0"]), &store.front(&["--work", "0"]));
    cases::work(&store.front(&["--work", "8"]), &store.front(&["--work", "8"]));
}

#[test]
fn a_cluster_is_such_a_store() {
    let store = Store::cluster();
    let fronts = (store.front(&["--replicas", "1"]), store.front(&["--replicas", "1"]));
    cases::all(&fronts.0, &fronts.1);
}
