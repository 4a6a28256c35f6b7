//! The ways in: TCP, TLS, Unix socket, systemd's sockets, the operator's; and the page.

use crate::support::*;
use std::os::unix::net::UnixStream;
use std::process::Command;

#[test]
fn the_default_door_is_told_on_stderr() {
    let postbox = Postbox::start(&[]);
    assert!(postbox.url.starts_with("http://127.0.0.1:"), "{}", postbox.url);
    assert!(!postbox.url.ends_with(":0"));
}
