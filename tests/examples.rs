//! The library's examples do what they say. `cargo test` also builds them as programs.

#![allow(clippy::unwrap_used, dead_code, reason = "an example's `main` is its program's")]

#[path = "../examples/own_storage.rs"]
mod own_storage;
#[path = "../examples/relay.rs"]
mod relay;
#[path = "../examples/socket.rs"]
mod socket;
#[path = "../examples/two_ends.rs"]
mod two_ends;

#[test]
fn two_ends_in_one_process() {
    assert_eq!(two_ends::talk().unwrap(), "I never said that");
}

#[test]
fn two_ends_over_a_socket() {
    assert_eq!(socket::talk().unwrap(), ["who is there?", "nobody"]);
}

#[test]
fn two_ends_over_an_embedded_postbox() {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let named = Some(place.path().join("sessions"));
    let options = otr::store::Options { named, ..Default::default() };
    assert_eq!(relay::talk(&options).unwrap(), "I never said that");
}

#[test]
fn a_program_with_its_own_storage() {
    assert_eq!(own_storage::talk().unwrap(), 3 << 20);
}
