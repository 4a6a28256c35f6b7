//! What goes wrong on the way: files that change, disks that are full, processes that are killed or ended.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::{World, begin, begun, end};
use crate::support::{Chance, until};

const MIB: usize = 1 << 20;

#[test]
fn a_file_that_changes_meanwhile_is_kept_by_nobody() {
    let world = World::new();
    fs::create_dir(world.path("dir")).unwrap();
    for length in [2 * MIB as u64, 4 * MIB as u64] {
        for what in ["file", "dir"] {
            let path = world.path(if what == "dir" { "dir/file" } else { "file" });
            fs::write(&path, Chance::new().bytes(3 * MIB)).unwrap();
            let putting = world.put(what);
            File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
            let run = world.get(&format!("--yes {}", putting.code));
            assert_eq!((run.code, world.came()), (6, vec![]), "{}", run.err);
            let run = putting.end();
            assert_eq!(run.code, 6, "{}", run.err);
            assert!(run.err.contains("while it was read"), "{}", run.err);
        }
    }
    world.leaves_nothing();
}

/// Where a small file system may be mounted; elsewhere no file may grow, which is the same way.
#[test]
fn a_full_disk_is_told_to_both_and_keeps_nothing() {
    let world = World::new();
    let mut putting = world.put("-");
    let mut stdin = putting.stdin();
    let script = format!(
        "full='trap \"\" XFSZ; ulimit -f 2048'
        if [ $(id -u) = 0 ] && unshare -m sh -c 'mount -t tmpfs none /mnt' 2> /dev/null
        then prefix='unshare -m' full='mount -t tmpfs -o size=1m none in'
        fi
        export full; $prefix sh -c 'eval \"$full\"; cd in; OTR_DIR=$PLACE/bob otr get --yes -o x {}
            code=$?; ls -A; exit $code'",
        putting.code
    );
    let run = std::thread::scope(|scope| {
        // It ends when the other side has said so.
        scope.spawn(move || drop(stdin.write_all(&vec![7; 8 * MIB])));
        world.pair.sh(&script)
    });
    assert_eq!((run.code, run.out.as_slice()), (10, &b""[..]), "{}", run.err);
    let run = putting.end();
    assert_eq!(run.code, 10, "{}", run.err);
    assert!(run.err.contains("no room"), "{}", run.err);
    world.leaves_nothing();
}

#[test]
fn a_get_that_is_killed_goes_on_by_the_same_command() {
    let world = World::new();
    let content = Chance::new().bytes(9 * MIB);
    let mut putting = world.put("-");
    let args = format!("--yes -o here {}", putting.code);
    let mut getting = begin(&mut world.getting(&args));
    let mut stdin = begun(&world, &mut putting, &content[..4 * MIB]);
    getting.kill().unwrap();
    getting.wait().unwrap();
    let before = world.part().unwrap();
    // Elsewhere its beginning is not to be found, and nothing is spoilt by looking.
    let mut elsewhere =
        world.getting(&format!("--yes -o {} {}", world.path("x").display(), putting.code));
    assert_eq!(end(begin(&mut elsewhere)).code, 14);
    let getting = begin(&mut world.getting(&args));
    stdin.write_all(&content[4 * MIB..]).unwrap();
    drop(stdin);
    let run = end(getting);
    assert!(run.err.contains("goes on where"), "{}", run.err);
    assert_eq!(run.text(), "here\n");
    assert_eq!(putting.end().code, 0);
    assert!(before > 0 && fs::read(world.path("in/here")).unwrap() == content);
    world.leaves_nothing();
}

/// What a `put` reads from this path from now on: a beginning, and no end as long as the result lives.
pub(crate) fn held(path: &Path, beginning: Vec<u8>) -> File {
    fs::remove_file(path).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let gate = File::options().read(true).write(true).open(path).unwrap();
    let mut writer = gate.try_clone().unwrap();
    // What nobody reads any more it keeps, until the tests end.
    thread::spawn(move || writer.write_all(&beginning));
    gate
}

#[test]
fn a_put_that_is_killed_goes_on_with_resume() {
    let world = World::new();
    let (path, content) = (world.path("file"), Chance::new().bytes(9 * MIB));
    fs::write(&path, &content).unwrap();
    let putting = world.put("file");
    // Before anybody has answered.
    putting.signal("KILL");
    let code = putting.code.clone();
    putting.end();
    let resume = || super::start(&mut world.end("alice", "put --resume file"));
    let mut putting = resume();
    let mut said = String::new();
    BufReader::new(putting.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("still good"), "{said}");
    let gate = held(&path, content[..4 * MIB].to_vec());
    let getting = begin(&mut world.getting(&format!("--yes {code}")));
    until("a part has come", || world.part().is_some_and(|length| length > 0));
    putting.kill().unwrap();
    putting.wait().unwrap();
    drop(gate);
    fs::remove_file(&path).unwrap();
    fs::write(&path, &content).unwrap();
    let putting = resume();
    let run = end(getting);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(end(putting).code, 0);
    assert!(fs::read(world.path("in/file")).unwrap() == content);
    world.leaves_nothing();
}

/// What has gone to stdout cannot be taken back, and must not come a second time.
#[test]
fn what_went_to_stdout_does_not_come_again() {
    let world = World::new();
    let (path, content) = (world.path("file"), Chance::new().bytes(9 * MIB));
    fs::write(&path, &content).unwrap();
    let mut putting = world.put("file");
    let gate = held(&path, content[..4 * MIB].to_vec());
    let mut getting = begin(&mut world.getting(&format!("--yes --to-stdout {}", putting.code)));
    let mut stdout = getting.stdout.take().unwrap();
    let mut out = vec![0; MIB];
    stdout.read_exact(&mut out).unwrap();
    putting.child.kill().unwrap();
    putting.end();
    drop(gate);
    fs::remove_file(&path).unwrap();
    fs::write(&path, &content).unwrap();
    let putting = super::start(&mut world.end("alice", "put --resume file"));
    stdout.read_to_end(&mut out).unwrap();
    let (run, put) = (super::ended(getting, out), end(putting));
    assert_eq!((run.code, put.code), (6, 6), "{} {}", run.err, put.err);
    assert!(run.err.contains("had gone to stdout") && content.starts_with(&run.out), "{}", run.err);
    world.leaves_nothing();
}

#[test]
fn a_resumed_put_of_another_file_is_refused() {
    let world = World::new();
    fs::write(world.path("file"), vec![1; 9 * MIB]).unwrap();
    let putting = world.put("file");
    let _gate = held(&world.path("file"), vec![1; 3 * MIB]);
    let getting = begin(&mut world.getting(&format!("--yes {}", putting.code)));
    until("a part has come", || world.part().is_some_and(|length| length > 0));
    putting.signal("KILL");
    putting.end();
    fs::write(world.path("other"), b"other").unwrap();
    let putting = super::start(&mut world.end("alice", "put --resume other"));
    let (run, get) = (end(putting), end(getting));
    assert_eq!((run.code, get.code), (4, 4), "{} {}", run.err, get.err);
    assert!(run.err.contains("not what was offered"), "{}", run.err);
    assert_eq!(world.came(), [""; 0]);
    world.leaves_nothing();
}

/// The file is there whole, and Alice knows it, or neither is so.
#[test]
fn an_interrupt_at_the_end_means_the_same_to_both() {
    for _ in 0..4 {
        let world = World::new();
        fs::write(world.path("file"), b"text").unwrap();
        let putting = world.put("file");
        let mut getting = begin(&mut world.getting(&format!("--yes {}", putting.code)));
        while !world.path("in/file").exists() && getting.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        super::signal(&getting, "TERM");
        let get = end(getting);
        assert!([0, 143].contains(&get.code), "{}", get.err);
        let put = putting.end();
        assert_eq!((put.code, world.came()), (0, vec!["file".to_owned()]), "{}", put.err);
        world.leaves_nothing();
    }
}

#[test]
fn a_code_that_could_not_be_shown_is_taken_back() {
    let world = World::new();
    let mut command = world.end("alice", "put --text x");
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    let put = command.spawn().unwrap().wait_with_output().unwrap();
    assert!(!put.status.success());
    world.leaves_nothing();
}

#[test]
fn an_interrupt_ends_it_at_both_ends() {
    let world = World::new();
    // Before anybody has answered: the invite goes, too.
    fs::write(world.path("file"), b"text").unwrap();
    let putting = world.put("file");
    putting.signal("TERM");
    let code = putting.code.clone();
    assert_eq!(putting.end().code, 143);
    world.get(&format!("--yes {code}")).fails(8);
    // In the middle, at either end.
    for who in ["put", "get"] {
        let mut putting = world.put("-");
        let getting = begin(&mut world.getting(&format!("--yes -o x {}", putting.code)));
        let stdin = begun(&world, &mut putting, &vec![7; 3 * MIB]);
        if who == "put" {
            putting.signal("TERM");
            assert_eq!(putting.end().code, 143);
            let run = end(getting);
            assert_eq!(run.code, 7, "{}", run.err);
            drop(stdin);
        } else {
            super::signal(&getting, "TERM");
            assert_eq!(end(getting).code, 143);
            drop(stdin);
            let run = putting.end();
            assert_eq!(run.code, 7, "{}", run.err);
        }
        assert_eq!(world.came(), [""; 0]);
    }
    world.leaves_nothing();
}

/// Something that fills the window waits for a reader who is gone for good: it must not wait for ever.
#[test]
fn an_end_at_the_other_side_is_noticed_while_nothing_moves() {
    let world = World::new();
    fs::write(world.path("file"), vec![7; 80 * MIB]).unwrap();
    let putting = world.put("file");
    // One byte is never there, so that it cannot be over.
    let _gate = held(&world.path("file"), vec![7; 80 * MIB - 1]);
    let getting = begin(&mut world.getting(&format!("--yes {}", putting.code)));
    until("a part has come", || world.part().is_some_and(|length| length > 0));
    super::signal(&getting, "TERM");
    assert_eq!(end(getting).code, 143);
    let run = putting.end();
    assert_eq!(run.code, 7, "{}", run.err);
}
