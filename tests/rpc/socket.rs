//! The socket: for this user's programs alone, several at once.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::client::{Client, Rpc, command, until};
use crate::people;
use crate::place::{Place, set_mode};
use crate::postbox::Postbox;

/// `otr rpc --socket`, until it is dropped.
struct Served(Child);

impl Served {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut command = command(place, &[&["--socket", "dir/rpc"], arguments].concat());
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let path = place.path("dir/rpc");
        until("it listens", || std::os::unix::net::UnixStream::connect(&path).is_ok());
        Self(child)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn several_programs_share_it_and_it_is_nobody_elses() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    people::pair(&place, &postbox);
    let path = place.path("dir/rpc");
    let mut served = Served::start(&place, &[]);
    let mut hasty = Rpc::start(&place, &["--lock-wait", "0s"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (mut one, mut other) = (Client::at(&path), Client::at(&path));
    one.ok("subscribe", json!({ "session": "bob" }));
    other.ok("send", json!({ "session": "alice", "text": "hello" }));
    let message = one.message();
    assert_eq!(message["text"], "hello");
    // A subscription belongs to the client that has made it.
    assert_eq!(other.fails("ack", json!({ "subscription": 1, "message": 1 })).0, 4);
    assert_eq!(hasty.fails("subscribe", json!({ "session": "bob" })).0, 15);
    // One goes before it has acknowledged; the other gets the message.
    drop(one);
    until("the session is free", || other.call("subscribe", json!({ "session": "bob" })).is_ok());
    assert_eq!(other.takes(), "hello");
    // A signal ends it, and the socket is gone.
    let id = served.0.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&served.0.wait().unwrap()), Some(15));
    other.ends();
    assert!(!path.exists());
}

#[test]
fn a_living_socket_is_kept_a_dead_one_is_replaced() {
    let place = Place::new();
    let path = place.path("dir/rpc");
    drop(UnixListener::bind(&path).unwrap());
    let first = Served::start(&place, &[]);
    let found = fs::metadata(&path).unwrap().ino();
    let refused = command(&place, &["--socket", "dir/rpc"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(13), "{}", String::from_utf8_lossy(&refused.stderr));
    assert_eq!(fs::metadata(&path).unwrap().ino(), found);
    drop(first);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    assert_eq!(command(&place, &["--socket", "dir/rpc"]).output().unwrap().status.code(), Some(13));
    assert_eq!(fs::read(&path).unwrap(), b"a file");
}

#[test]
fn a_directory_that_others_can_enter_is_refused() {
    let place = Place::new();
    for mode in [0o755, 0o710, 0o701] {
        fs::create_dir_all(place.path("open")).unwrap();
        set_mode(&place.path("open"), mode);
        let refused = command(&place, &["--socket", "open/rpc"]).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(11), "{said}");
        assert!(said.contains("chmod 700"), "{said}");
        assert!(!place.path("open/rpc").exists());
    }
    let missing = command(&place, &["--socket", "missing/rpc"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(11));
    let descriptors = command(&place, &["--state-fd", "3,4"]).output().unwrap();
    assert_eq!(descriptors.status.code(), Some(2));
}

/// A program that has written all its calls reads their answers, and then the end.
#[test]
fn a_client_that_has_said_all_gets_its_answers() {
    use std::io::{Read as _, Write as _};

    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    people::pair(&place, &postbox);
    let _served = Served::start(&place, &[]);
    let mut client = std::os::unix::net::UnixStream::connect(place.path("dir/rpc")).unwrap();
    let calls = [("subscribe", "bob"), ("status", "alice")];
    for (id, (method, session)) in calls.into_iter().enumerate() {
        let params = json!({ "session": session });
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        client.write_all(format!("{call}\n").as_bytes()).unwrap();
    }
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut read = String::new();
    client.read_to_string(&mut read).unwrap();
    for id in 0..calls.len() {
        assert!(read.contains(&format!("\"id\":{id}")), "{read}");
    }
}
