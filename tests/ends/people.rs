//! alice and bob, who talk through a postbox.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use crate::place::{Place, text};
use crate::postbox::{Postbox, otr as program};

/// Runs `otr` as one of the two; no call of a test takes longer.
pub(crate) fn otr(place: &Place, who: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = place.otr(&[&["-s", who], arguments].concat());
    command.env_remove("OTR_POSTBOX").env_remove("OTR_PROXY");
    command.timeout(Duration::from_mins(1)).write_stdin(input).output().unwrap()
}

/// Its stdout; it must succeed.
#[track_caller]
pub(crate) fn ok(place: &Place, who: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = otr(place, who, arguments, input);
    assert!(output.status.success(), "{who} {arguments:?}: {}", text(&output.stderr));
    output.stdout
}

/// What it says; it must fail with that code, without output.
#[track_caller]
pub(crate) fn fails(
    place: &Place,
    who: &str,
    arguments: &[&str],
    input: &[u8],
    code: i32,
) -> String {
    let output = otr(place, who, arguments, input);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{who} {arguments:?}: {said}");
    assert!(output.stdout.is_empty() && said.starts_with("otr: "), "{said}");
    said
}

/// Starts `otr` as one of the two, this on its stdin.
pub(crate) fn spawn(place: &Place, who: &str, arguments: &[&str], input: &[u8]) -> Child {
    let ((child, mut stdin), input) = (running(place, who, arguments), input.to_vec());
    // A program may stop reading for good reason; the exit code tells.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    child
}

/// Starts `otr` as one of the two; its stdin stays open.
pub(crate) fn running(place: &Place, who: &str, arguments: &[&str]) -> (Child, ChildStdin) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otr"));
    command.args(["-s", who]).args(arguments).env("OTR_DIR", place.path("dir"));
    command.env_remove("OTR_POSTBOX").env_remove("OTR_PROXY").current_dir(place.path(""));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    (child, stdin)
}

/// alice and bob, open on both sides.
pub(crate) fn pair(place: &Place, postbox: &Postbox) {
    let invite = ok(place, "alice", &["init", "--postbox", &postbox.url], b"");
    assert_eq!(ok(place, "bob", &["respond", "--yes"], &invite), b"");
    ok(place, "alice", &["send"], b"one");
    assert_eq!(ok(place, "bob", &["recv"], b""), b"one");
}

/// Kills a postbox, which thereby loses everything, and starts another one at its address.
pub(crate) fn restart(postbox: Postbox) -> Postbox {
    let listen = postbox.url.strip_prefix("http://").unwrap().to_owned();
    drop(postbox);
    Postbox::run(program().args(["postbox", "--listen", &listen]))
}
