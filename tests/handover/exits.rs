//! Nothing is left at either end, or in the postbox, however and whenever put and get end.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Putting, World, begin, end, signal};
use crate::support::{Chance, Run, feed, start, tool, until};

/// A way to the world's postbox: its URL, and what tells when a post is asked for while they are to be `held`. That
/// gets through when what was told is dropped.
fn held_before_a_post(world: &World, held: &Arc<AtomicBool>) -> (String, Receiver<Sender<()>>) {
    let (tell, told) = channel();
    let holds = Arc::clone(held);
    let url = way(world, move |asked, given| {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = asked.read(&mut bytes) {
            if bytes.starts_with(b"POST /v1/post") && holds.load(Ordering::Acquire) {
                let (go, held) = channel::<()>();
                let _ = tell.send(go);
                let _ = held.recv();
            }
            if given.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
    });
    (url, told)
}

/// The same, but that the post gets through, and then nothing for a second.
fn held_after_a_post(world: &World) -> (String, Receiver<()>) {
    let (tell, told) = channel();
    let url = way(world, move |asked, given| {
        let (mut bytes, mut has_posted) = (vec![0; 1 << 16], false);
        while let Ok(count @ 1..) = asked.read(&mut bytes) {
            if has_posted {
                thread::sleep(Duration::from_secs(1));
            }
            if given.write_all(&bytes[..count]).is_err() {
                break;
            }
            has_posted = bytes.starts_with(b"POST /v1/post");
            if has_posted {
                let _ = tell.send(());
            }
        }
    });
    (url, told)
}

/// A way to the world's postbox on which this carries what is asked.
fn way(
    world: &World,
    carry: impl Fn(&mut TcpStream, &mut TcpStream) + Clone + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let postbox = world.postbox.url.strip_prefix("http://").unwrap().to_owned();
    thread::spawn(move || {
        for caller in listener.incoming() {
            let (mut caller, mut server) = (caller.unwrap(), TcpStream::connect(&postbox).unwrap());
            let (asked, given) = (caller.try_clone().unwrap(), server.try_clone().unwrap());
            let carry = carry.clone();
            thread::spawn(move || {
                carry(&mut caller, &mut server);
                drop(server.shutdown(std::net::Shutdown::Both));
            });
            thread::spawn(move || drop(std::io::copy(&mut &given, &mut &asked)));
        }
    });
    url
}

#[test]
fn a_signal_just_after_the_invite_was_posted_takes_it_back() {
    let world = World::new();
    fs::write(world.path("file"), "text").unwrap();
    let (url, posted) = held_after_a_post(&world);
    let putting = start(&mut world.end("alice", &format!("put --postbox {url} file")));
    posted.recv().unwrap();
    signal(&putting, "TERM");
    let run = end(putting);
    assert_eq!((run.code, run.out), (143, vec![]), "{}", run.err);
    world.leaves_nothing();
}

#[test]
fn a_signal_just_after_the_reply_was_posted_is_told_to_the_other_side() {
    let world = World::new();
    fs::write(world.path("file"), "text").unwrap();
    let (url, posted) = held_after_a_post(&world);
    let mut command = world.end("alice", &format!("put --postbox {url} file"));
    let putting = Putting::start(&mut command);
    posted.recv().unwrap();
    while posted.try_recv().is_ok() {}
    let getting = begin(&mut world.getting(&format!("--yes {}", putting.code)));
    posted.recv().unwrap();
    signal(&getting, "TERM");
    let run = end(getting);
    assert_eq!((run.code, world.came()), (143, vec![]), "{}", run.err);
    let run = putting.end();
    assert_eq!(run.code, 7, "{}", run.err);
    // What Alice says in this moment is for nobody.
    world.leaves_no_session();
}

/// A put whose postbox does not answer any more, which has got a signal.
fn put_at_a_silent_postbox(world: &World) -> Child {
    let putting = world.put("--text x");
    world.postbox.signal("STOP");
    putting.signal("INT");
    putting.child
}

/// Its end, and how long that took.
fn timed(child: Child) -> (Run, Duration) {
    let begun = Instant::now();
    let mut child = child;
    child.stdout = None;
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    let code = crate::support::shell_code(child.wait().unwrap());
    (Run { code, out: Vec::new(), err }, begun.elapsed())
}

#[test]
fn a_second_signal_ends_at_once_what_a_silent_postbox_holds_up() {
    let (one, other) = (World::new(), World::new());
    let (patient, hurried) = (put_at_a_silent_postbox(&one), put_at_a_silent_postbox(&other));
    let patient = thread::spawn(move || timed(patient));
    let mut hurried = hurried;
    let mut said = String::new();
    let mut stderr = hurried.stderr.take().unwrap();
    until("it says that a second one ends it", || {
        let mut byte = [0];
        stderr.read_exact(&mut byte).unwrap();
        said.push(char::from(byte[0]));
        said.contains("once more")
    });
    hurried.stderr = Some(stderr);
    signal(&hurried, "INT");
    let (run, hurry) = timed(hurried);
    assert_eq!(run.code, 130, "{}", run.err);
    let (run, patience) = patient.join().unwrap();
    assert_eq!(run.code, 130, "{}", run.err);
    assert!(hurry < patience / 3, "{hurry:?}, {patience:?}");
    // Here nothing is left, though the postbox has not heard of it.
    one.leaves_no_session();
    other.leaves_no_session();
}

#[test]
fn a_get_that_was_killed_while_it_gave_up_ends_well() {
    let world = World::new();
    let mut putting = world.put("-");
    let args = format!("--yes -o x {}", putting.code);
    let mut getting = begin(&mut world.getting(&args));
    let stdin = super::begun(&world, &mut putting, &vec![7; 3 << 20]);
    world.postbox.signal("STOP");
    signal(&getting, "TERM");
    until("the content is gone", || world.part().is_none());
    getting.kill().unwrap();
    getting.wait().unwrap();
    world.postbox.signal("CONT");
    // Where a call held it up for so long that the session was ended elsewhere, nothing goes on.
    let run = world.get(&args);
    assert!([7, 8].contains(&run.code) && world.came().is_empty(), "{}", run.err);
    putting.signal("TERM");
    drop(stdin);
    putting.end();
    if run.code == 8 {
        // The session had ended: nobody looks any more after the empty lock that the killed one held.
        world.leaves_no_session_but(".recv");
    } else {
        world.leaves_no_session();
    }
}

#[test]
fn two_of_one_session_do_not_disturb_each_other() {
    let world = World::new();
    fs::write(world.path("file"), "text").unwrap();
    let putting = world.put("file");
    let number = putting.code.split('-').next().unwrap();
    // Before somebody has answered, and afterwards.
    let resume = || feed(&mut world.end("alice", &format!("put --resume={number} file")), b"");
    let failed = resume().fails(15);
    assert!(failed.contains("another otr is at work with this code"), "{failed}");
    putting.signal("TERM");
    putting.end();

    let mut putting = world.put("-");
    let args = format!("--yes -o x {}", putting.code);
    let getting = begin(&mut world.getting(&args));
    let stdin = super::begun(&world, &mut putting, &vec![7; 3 << 20]);
    let failed = world.get(&args).fails(15);
    assert!(failed.contains("another otr is at work with this code"), "{failed}");
    drop(stdin);
    assert_eq!(end(getting).code, 0);
    assert_eq!(putting.end().code, 0);
    world.leaves_nothing();
}

/// Two people with one code, of whom one is slow: the other one has taken it before the answer of this one comes.
#[test]
fn of_two_people_with_one_code_one_takes_it() {
    let world = World::new();
    let held = Arc::new(AtomicBool::new(false));
    let (url, posting) = held_before_a_post(&world, &held);
    let mut putting = world.put(&format!("--postbox {url} -"));
    held.store(true, Ordering::Release);
    let slow = begin(&mut world.end("carol", &format!("get --yes -o y {}", putting.code)));
    let go = posting.recv().unwrap();
    held.store(false, Ordering::Release);
    let getting = begin(&mut world.getting(&format!("--yes -o x {}", putting.code)));
    let stdin = super::begun(&world, &mut putting, &vec![7; 3 << 20]);
    drop(go);
    let run = end(slow);
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.err.contains("somebody else has tried it"), "{}", run.err);
    drop(stdin);
    assert_eq!(end(getting).code, 0);
    assert_eq!(putting.end().code, 0);
    assert!(!world.path("y").exists());
    world.leaves_no_session();
}

/// The most that has come when one of them is killed: not so near to the end that it is over by then.
const MIDDLE: usize = 24 << 20;

/// Hands over what lies at this path, of 48 MiB, while one end and the other are killed at random moments, and go on.
fn killed_again_and_again(world: &World, what: &str, chance: &mut Chance) {
    let mut putting = world.put(what);
    let args = format!("--yes {}", putting.code);
    let mut getting = begin(&mut world.getting(&args));
    let mut whom = ["put", "get", "get", "put", "get"];
    chance.shuffle(&mut whom);
    for who in whom {
        let least = chance.below(MIDDLE) as u64;
        until("so much has come", || world.part().is_some_and(|length| length >= least));
        let child = if who == "put" { &mut putting.child } else { &mut getting };
        child.kill().unwrap();
        child.wait().unwrap();
        if who == "put" {
            putting.child = start(&mut world.end("alice", &format!("put --resume {what}")));
        } else {
            getting = begin(&mut world.getting(&args));
        }
    }
    let (get, put) = (end(getting), super::ended(putting.child, Vec::new()));
    assert_eq!((get.code, put.code), (0, 0), "{whom:?}: {} {}", get.err, put.err);
}

#[test]
fn a_file_outlives_kills_of_both_ends() {
    let (world, mut chance) = (World::new(), Chance::new());
    let content = chance.bytes(2 * MIDDLE);
    fs::write(world.path("file"), &content).unwrap();
    killed_again_and_again(&world, "file", &mut chance);
    assert!(fs::read(world.path("in/file")).unwrap() == content);
    // What a put had posted when it was killed may lie there until it expires.
    world.leaves_no_session();
}

#[test]
fn a_tree_outlives_kills_of_both_ends() {
    let (world, mut chance) = (World::new(), Chance::of(Chance::new().next()));
    fs::create_dir_all(world.path("dir/deep")).unwrap();
    for nth in 0..12 {
        let path = format!("dir/{}{nth}", if nth % 2 == 0 { "deep/" } else { "" });
        fs::write(world.path(&path), chance.bytes(MIDDLE / 6)).unwrap();
    }
    killed_again_and_again(&world, "dir", &mut chance);
    let mut diff = tool("diff", "diffutils");
    diff.args(["-r", "dir", "in/dir"]).current_dir(world.path(""));
    assert!(diff.status().unwrap().success());
    // What a put had posted when it was killed may lie there until it expires.
    world.leaves_no_session();
}
