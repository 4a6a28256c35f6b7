//! Bugs that a review found in the commands, each as a sentence that has held since its fix.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod place;
#[path = "postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox_support;
mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use postbox_support::Postbox;
use support::{Pair, until};

/// A raw packet of the largest size with its lead byte.
const LARGE: usize = 1 + (1 << 20);

/// Bob's `recv ARGS`, reading a pipe that stays open, writing into the file `out`.
fn receiving(pair: &Pair, args: &str) -> Child {
    let out = File::create(pair.path("out")).unwrap();
    let mut command = pair.end("bob", &format!("recv {args}"));
    command.stdin(Stdio::piped()).stdout(out).stderr(Stdio::piped()).spawn().unwrap()
}

fn put(child: &mut Child, bytes: &[u8]) {
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(bytes).unwrap();
    stdin.flush().unwrap();
}

/// Lets Bob take the first large packet of this message, and kills his `recv`.
fn first_part_taken(pair: &Pair, args: &str, packets: &[u8]) {
    let state = fs::read(pair.state_path("bob")).unwrap();
    let mut bob = receiving(pair, args);
    put(&mut bob, &packets[..LARGE]);
    until("stored", || fs::read(pair.state_path("bob")).unwrap() != state);
    bob.kill().unwrap();
    bob.wait().unwrap();
}

/// `recv` from stdin loaded the session once.
#[test]
fn a_recv_that_reads_on_takes_the_answer_to_what_a_send_beside_it_sent() {
    let pair = Pair::new();
    let mut bob = receiving(&pair, "");
    put(&mut bob, &pair.sealed("", b"one "));
    until("one came", || fs::read(pair.path("out")).unwrap() == b"one ");
    // Bob answers in another process: the turn changes.
    let answer = pair.bob("send", b"answer").ok();
    pair.alice("recv", &answer).ok();
    put(&mut bob, &pair.sealed("", b"two"));
    drop(bob.stdin.take());
    let said = bob.wait_with_output().unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    assert_eq!(fs::read(pair.path("out")).unwrap(), b"one two", "{said}");
}

/// The state forgot parts whose text was only in the memory of `recv --json`.
#[test]
fn what_json_tells_is_the_whole_message_even_after_a_kill() {
    let pair = Pair::new();
    let text = vec![b'B'; 3_000_000];
    let packets = pair.sealed("--raw", &text);
    let state = pair.state("bob");
    let mut bob = receiving(&pair, "--json");
    put(&mut bob, &packets[..LARGE]);
    thread::sleep(Duration::from_millis(500));
    bob.kill().unwrap();
    bob.wait().unwrap();
    // What nobody has seen is not forgotten.
    assert!(pair.state("bob") == state);
    // The whole input once more: nothing is lost by a crash (protocol.md, 8).
    let told = pair.bob("recv --json", &packets);
    let object: serde_json::Value = serde_json::from_slice(&told.out).unwrap_or_default();
    assert_eq!((told.code, &object["bytes"]), (0, &serde_json::json!(text.len())), "{}", told.err);
}

/// The same without any crash: the error's own hint lost 64 MiB.
#[test]
fn a_message_too_large_for_json_can_be_received_without_json() {
    let pair = Pair::new();
    let text = vec![b'B'; 70_000_000];
    let packets = pair.sealed("--raw", &text);
    assert_eq!(pair.bob("recv --json", &packets).code, 10);
    let out = pair.bob("recv", &packets);
    assert_eq!((out.code, out.out.len()), (0, text.len()), "{}", out.err);
}

/// The rest of a message was reported as success.
#[test]
fn the_rest_alone_of_a_message_is_not_code_0() {
    let pair = Pair::new();
    let packets = pair.sealed("--raw", &vec![b'B'; 3_000_000]);
    first_part_taken(&pair, "", &packets);
    let rest = pair.bob("recv", &packets[LARGE..]);
    assert_ne!((rest.code, rest.err.as_str()), (0, ""), "{} bytes came", rest.out.len());
}

/// The part file's name told neither session nor message.
#[test]
fn a_file_is_never_put_together_of_two_messages() {
    let pair = Pair::new();
    // Message 0 is truncated; what arrived of it stays in the part file.
    let old = pair.sealed("--raw", &vec![b'A'; 3_000_000]);
    assert_eq!(pair.bob("recv -o file", &old[..2 * LARGE]).code, 6);
    // The beginning of message 1 goes elsewhere.
    let new = pair.sealed("--raw", &vec![b'B'; 3_000_000]);
    first_part_taken(&pair, "", &new);
    let rest = pair.bob("recv -o file", &new[LARGE..]);
    let file = fs::read(pair.path("file")).unwrap_or_default();
    assert!(!file.contains(&b'A'), "code {}, a file of {} bytes", rest.code, file.len());
}

/// The part file was taken as it was found.
#[test]
fn a_file_that_others_can_write_is_not_gone_on_with() {
    for spoil in ["chmod 666", "ln -T second"] {
        let pair = Pair::new();
        let packets = pair.sealed("--raw", &vec![b'B'; 3_000_000]);
        first_part_taken(&pair, "-o file", &packets);
        let part = fs::read_dir(pair.path("")).unwrap().map(|file| file.unwrap().path());
        let part = part.into_iter().find(|path| path.to_string_lossy().ends_with(".otr-part"));
        let part = part.unwrap();
        if spoil.starts_with("chmod") {
            fs::set_permissions(&part, fs::Permissions::from_mode(0o666)).unwrap();
        } else {
            fs::hard_link(&part, pair.path("second")).unwrap();
        }
        let said = pair.bob("recv -o file", &packets).fails(4);
        assert!(said.contains("receive its rest without --output"), "{spoil}: {said}");
        assert!(!pair.path("file").exists());
    }
}

/// A symlink that somebody put there beforehand is not followed, and what is there not kept.
#[test]
fn a_new_part_file_is_nobody_elses() {
    let pair = Pair::new();
    let packets = pair.sealed("--raw", &vec![b'B'; 3_000_000]);
    let state = pair.state("bob");
    first_part_taken(&pair, "-o file", &packets);
    let beside = fs::read_dir(pair.path("")).unwrap().map(|file| file.unwrap().path());
    let part = beside.into_iter().find(|path| path.to_string_lossy().ends_with(".otr-part"));
    let part = part.unwrap();
    fs::remove_file(&part).unwrap();
    symlink(pair.path("elsewhere"), &part).unwrap();
    fs::write(pair.path("elsewhere"), b"not ours").unwrap();
    // As if the message had not begun yet.
    fs::write(pair.state_path("bob"), state).unwrap();
    pair.bob("recv -o file", &packets).ok();
    assert_eq!(fs::read(pair.path("elsewhere")).unwrap(), b"not ours");
    let file = fs::metadata(pair.path("file")).unwrap();
    assert_eq!((file.len(), file.permissions().mode() & 0o777), (3_000_000, 0o600));
}

/// A `recv` that was still reading showed what came after `close` had ended the session.
#[test]
fn a_recv_that_reads_on_shows_nothing_after_the_session_was_closed() {
    let pair = Pair::new();
    let mut bob = receiving(&pair, "");
    put(&mut bob, &pair.sealed("", b"one"));
    until("one came", || fs::read(pair.path("out")).unwrap() == b"one");
    pair.bob("close --silent", b"").ok();
    put(&mut bob, &pair.sealed("", b"two"));
    drop(bob.stdin.take());
    let ended = bob.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(fs::read(pair.path("out")).unwrap(), b"one");
}

/// `recv` read stdin, at a terminal for ever, in a session that has a postbox and is frozen.
#[test]
fn a_session_that_may_not_be_used_is_told_before_stdin_is_read() {
    let postbox = Postbox::start(&[]);
    let pair = at_home(&postbox.url);
    let lock = File::open(pair.path("bob").join("default.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut command = pair.end("bob", "recv --lock-wait 0");
    let mut bob = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let _open = bob.stdin.take();
    assert_eq!(bob.wait().unwrap().code(), Some(15));
    drop(lock);
    pair.bob("export", b"").ok();
    let mut command = pair.end("bob", "recv");
    let mut bob = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let _open_too = bob.stdin.take();
    assert_eq!(bob.wait().unwrap().code(), Some(14));
}

/// Both ends on this postbox, one message each way of alice's first chain.
fn at_home(url: &str) -> Pair {
    let pair = Pair::strangers();
    let invite = pair.alice(&format!("init --postbox {url}"), b"").ok();
    pair.bob("respond --yes", &invite).ok();
    pair.alice("send", b"one").ok();
    assert_eq!(pair.bob("recv", b"").ok(), b"one");
    pair
}

/// Sixteen numbers were asked for, whatever --look-ahead said; what was beyond it passed for junk.
#[test]
fn no_packet_of_the_other_side_is_thrown_away() {
    let postbox = Postbox::start(&[]);
    let pair = at_home(&postbox.url);
    // One number travels by another road, and comes later.
    let late = pair.alice("send --stdout", b"late").ok();
    pair.alice("send", b"next").ok();
    pair.bob("recv --all --look-ahead 1", b"");
    assert_eq!(pair.bob("recv --stdin", &late).ok(), b"late");
    let next = pair.bob("recv --all", b"");
    assert_eq!((next.code, next.out.as_slice()), (0, &b"next"[..]), "{}", next.err);
}

/// `send --stdout` replaced a packet that was promised to be posted by its own.
#[test]
fn what_waits_to_be_posted_goes_out_with_what_is_sent_to_stdout() {
    let mut postbox = Postbox::start(&[]);
    let address = postbox.url.strip_prefix("http://").unwrap().to_owned();
    let pair = at_home(&postbox.url);
    postbox.child.kill().unwrap();
    postbox.child.wait().unwrap();
    let failed = pair.alice("send --retry 0", b"first");
    assert!(failed.code == 9 && failed.err.contains("nothing is lost"), "{}", failed.err);
    // The state keeps one message: what was not posted goes the way of the next.
    let both = pair.alice("send --stdout", b"second").ok();
    assert_eq!(pair.bob("recv --stdin", &both).ok(), b"firstsecond");
    assert_eq!(pair.alice("send --last --stdout", b"").ok(), both);
    let again = postbox_support::otr()
        .args(["postbox", "--listen", &address])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ended = Ended(again);
    thread::sleep(Duration::from_secs(1));
    pair.alice("send", b"third").ok();
    let came = pair.bob("recv --all", b"");
    assert_eq!(came.out, b"third", "{}", came.err);
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What came after a message whose sender died was never shown while `recv` ran.
#[test]
fn a_message_that_was_cut_off_does_not_hold_up_all_that_follow() {
    let postbox = Postbox::start(&[]);
    let pair = at_home(&postbox.url);
    pair.bob("send", b"hi").ok();
    pair.alice("recv", b"").ok();
    let out = File::create(pair.path("out")).unwrap();
    let mut command = pair.end("bob", "recv --follow");
    let _bob = Ended(command.stdout(out).stdin(Stdio::null()).spawn().unwrap());
    let mut alice = pair.end("alice", "send").stdin(Stdio::piped()).spawn().unwrap();
    put(&mut alice, &vec![b'A'; 3_500_000]);
    until("a part came", || fs::metadata(pair.path("out")).unwrap().len() > 3_000_000);
    alice.kill().unwrap();
    alice.wait().unwrap();
    // A new turn, so that the numbers that alice's batch left unused are out of the way.
    pair.bob("send", b"turn").ok();
    pair.alice("recv", b"").ok();
    pair.alice("send", b"hello").ok();
    until("what follows came", || fs::read(pair.path("out")).unwrap().ends_with(b"hello"));
}

/// Answers a POST with `status` and no body, or what `answer` says.
fn serve(
    listener: TcpListener,
    answer: impl Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send + Sync + 'static,
) {
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            thread::spawn(move || {
                while let Some((path, body)) = request(&mut stream) {
                    let (status, body) = answer(&path, &body);
                    let length = if status == 204 {
                        String::new()
                    } else {
                        format!("content-length: {}\r\n", body.len())
                    };
                    let head = format!("HTTP/1.1 {status} x\r\n{length}\r\n");
                    if stream.write_all(&[head.as_bytes(), &body].concat()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let path = head.split_whitespace().nth(1)?.to_owned();
    let length = head.split("content-length:").nth(1)?.split_whitespace().next()?;
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    Some((path, body))
}

/// The reply was stored, then discarded, then answered: a failed discard left it unanswered.
#[test]
fn the_answering_side_is_greeted_even_if_the_reply_could_not_be_discarded() {
    let postbox = Postbox::start(&[]);
    let real = postbox.url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let failures = AtomicUsize::new(0);
    serve(listener, move |path, body| {
        if path.starts_with("/v1/discard") && failures.fetch_add(1, Ordering::Relaxed) < 5 {
            return (503, Vec::new());
        }
        let answer = postbox_support::call(
            &mut postbox_support::connect(&real),
            path,
            postbox_support::Form::Raw,
            body,
        );
        (answer.status, answer.body)
    });
    let pair = Pair::strangers();
    let invite = pair.alice(&format!("init --postbox {url}"), b"").ok();
    pair.bob("respond --yes", &invite).ok();
    let taken = pair.alice("recv --wait 1s", b"");
    assert!(
        taken.code == 0 && taken.err.contains("the reply stays in the postbox"),
        "{}",
        taken.err
    );
    pair.bob("recv --wait 1s", b"");
    let status = pair.bob("status", b"").text();
    assert!(!status.contains("waits for the other side's first packet"), "{status}");
}

/// A postbox, or a proxy before it, that does not wait was asked without a pause.
#[test]
fn a_postbox_that_does_not_wait_is_not_called_hundreds_of_times_a_second() {
    let postbox = Postbox::start(&[]);
    let address = postbox.url.strip_prefix("http://").unwrap().to_owned();
    let pair = at_home(&postbox.url);
    drop(postbox);
    let listener = TcpListener::bind(address).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    serve(listener, move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        (204, Vec::new())
    });
    let mut command = pair.end("bob", "recv");
    let _bob = Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    thread::sleep(Duration::from_secs(3));
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls < 30, "{calls} calls in three seconds");
}
