//! What it is for: each kind of content, the question, and what scripts see.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use super::{Putting, World, begin, end};
use crate::support::{Chance, feed, terminal, tool, until};

#[test]
fn a_file_goes_over_in_two_commands() {
    let world = World::new();
    let content = Chance::new().bytes(3_000_001);
    fs::write(world.path("letter.pdf"), &content).unwrap();
    let putting = world.put("letter.pdf");
    let words = putting.code.split('@').next().unwrap();
    assert_eq!(words.split('-').count(), 3, "{}", putting.code);
    let run = world.get(&format!("--yes {}", putting.code));
    assert!(run.err.contains("letter.pdf (2.8 MiB), to ./letter.pdf"), "{}", run.err);
    assert_eq!(run.text(), "letter.pdf\n");
    let run = putting.end();
    assert_eq!((run.code, run.out.as_slice()), (0, &b""[..]), "{}", run.err);
    assert!(fs::read(world.path("in/letter.pdf")).unwrap() == content);
    world.leaves_nothing();
}

#[test]
fn an_empty_file_and_a_place_that_was_chosen() {
    let world = World::new();
    fs::write(world.path("empty"), b"").unwrap();
    fs::create_dir(world.path("in/into")).unwrap();
    for (output, path) in [("into", "into/empty"), ("into/other", "into/other")] {
        let putting = world.put("empty");
        let run = world.get(&format!("-y -o {output} {}", putting.code));
        assert_eq!(run.text(), format!("{path}\n"));
        assert_eq!(putting.end().code, 0);
        assert_eq!(fs::read(world.path("in").join(path)).unwrap(), b"");
    }
    world.leaves_nothing();
}

/// As long as file systems have them, and with a letter that is cut nowhere.
#[test]
fn a_name_of_255_bytes_stays() {
    let world = World::new();
    let name = format!("{}.txt", "ü".repeat(125)) + "x";
    assert_eq!(name.len(), 255);
    fs::write(world.path(&name), "text").unwrap();
    let putting = Putting::start(world.end("alice", "put --").arg(&name));
    assert_eq!(world.get(&format!("--yes {}", putting.code)).text(), format!("{name}\n"));
    assert_eq!(putting.end().code, 0);
    world.leaves_nothing();
}

#[test]
fn a_directory_and_several_files_go_over_with_their_links() {
    let world = World::new();
    let deep = world.path("photos/a/very/deep");
    fs::create_dir_all(&deep).unwrap();
    let long = "n".repeat(200);
    fs::write(deep.join(&long), Chance::new().bytes(1_500_000)).unwrap();
    fs::write(world.path("photos/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(world.path("photos/run"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("../run", world.path("photos/a/link")).unwrap();
    // Whose name a terminal would obey.
    symlink("run", world.path("photos/\u{1b}[2Jred")).unwrap();
    let putting = world.put("photos/");
    let run = world.get(&format!("--yes {}", putting.code));
    assert!(run.err.contains("the directory photos (2 files, 1.4 MiB)"), "{}", run.err);
    assert!(run.err.contains("1 of the names in it") && !run.err.contains('\u{1b}'), "{}", run.err);
    assert_eq!(run.text(), "photos\n");
    let said = putting.end().fails_saying(0);
    assert!(said.contains("such as ^[[2Jred, as _[2Jred"), "{said}");
    assert_eq!(fs::read_link(world.path("in/photos/_[2Jred")).unwrap().to_str(), Some("run"));
    fs::rename(world.path("photos/\u{1b}[2Jred"), world.path("photos/_[2Jred")).unwrap();
    let mut diff = tool("diff", "diffutils");
    diff.args(["-r", "photos", "in/photos"]).current_dir(world.path(""));
    assert!(diff.status().unwrap().success());
    assert_eq!(fs::read_link(world.path("in/photos/a/link")).unwrap().to_str(), Some("../run"));
    let mode = fs::metadata(world.path("in/photos/run")).unwrap().permissions().mode();
    assert_eq!((mode & 0o7000, mode & 0o100), (0, 0o100), "no setuid");

    fs::write(world.path("one"), "1").unwrap();
    let putting = world.put("one photos/run");
    let number = putting.code.split('-').next().unwrap().to_owned();
    assert_eq!(world.get(&format!("-y {}", putting.code)).text(), format!("otr-{number}\n"));
    assert_eq!(putting.end().code, 0);
    assert_eq!(fs::read(world.path(&format!("in/otr-{number}/one"))).unwrap(), b"1");
    world.leaves_nothing();
}

#[test]
fn what_cannot_be_handed_over_is_said_before_there_is_a_code() {
    let world = World::new();
    fs::create_dir_all(world.path("same/dir")).unwrap();
    fs::write(world.path("same/dir/a\n"), "").unwrap();
    fs::write(world.path("same/dir/a\t"), "").unwrap();
    fs::create_dir(world.path("dir")).unwrap();
    let fifo = Command::new("mkfifo").arg(world.path("dir/fifo")).status().unwrap();
    assert!(fifo.success());
    for (args, code, told) in [
        ("put nothing", 2, "cannot read nothing"),
        ("put dir", 2, "neither a file, a directory nor a link"),
        ("put dir/fifo", 2, "neither a file nor a directory"),
        ("put - dir", 2, "one of several"),
        ("put", 2, "nothing to hand over"),
        ("put -s name dir", 2, "a session of its own"),
        ("put --resume dir/fifo", 2, "neither a file"),
        ("put same", 2, "would both be named"),
        ("put --text", 8, "the text is empty"),
        ("put --tor --serve 127.0.0.1:0 --text x", 2, "--tor leads away"),
        ("put --tor --postbox http://10.7.0.1:7363 --text x", 2, "not encrypted"),
        ("get --tor 417-guitar-vanish@http://10.7.0.1:7363", 2, "not encrypted"),
        ("get --yes -o no/such 417-guitar-vanish", 2, "no is no directory"),
        ("get --yes -o nothing/ 417-guitar-vanish", 2, "nothing/ is no directory"),
    ] {
        let failed = feed(&mut world.end("alice", args), b"").fails(code);
        assert!(failed.contains(told), "{args}: {failed}");
    }
    let failed = feed(world.end("alice", "put --text x").env_remove("OTR_POSTBOX"), b"").fails(2);
    assert!(failed.contains("--serve"), "{failed}");
    world.leaves_nothing();
}

#[test]
fn a_text_is_shown_at_once_and_stdin_goes_to_stdout() {
    let world = World::new();
    let putting = world.put("--text grüße");
    assert_eq!(world.get(&putting.code).ok(), "grüße".as_bytes());
    assert_eq!(putting.end().code, 0);

    let content = Chance::new().bytes(2_500_000);
    let mut putting = world.put("-");
    let mut stdin = putting.stdin();
    let code = putting.code.clone();
    let run = std::thread::scope(|scope| {
        let content = &content;
        scope.spawn(move || stdin.write_all(content).unwrap());
        // The code on stdin, as from another program, which knows its number alone by the postbox.
        let bare = code.split('@').next().unwrap().to_owned();
        feed(&mut world.getting("--yes --to-stdout -"), bare.as_bytes())
    });
    assert!(run.ok() == content);
    assert_eq!(putting.end().code, 0);
    assert_eq!(world.came(), [""; 0]);
    world.leaves_nothing();
}

/// `get` at a terminal, where this is answered.
fn answered(world: &World, code: &str, answer: &str) -> (i32, String) {
    let (mut person, program) = terminal();
    let mut command = tool("setsid", "util-linux");
    let getting = world.getting(code);
    command.args(["-c", "-w"]).arg(getting.get_program()).args(getting.get_args());
    for (name, value) in getting.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    command.env_remove("OTR_SESSION").current_dir(world.path("in"));
    command.stdin(program.try_clone().unwrap()).stderr(program).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut shown = String::new();
    while !shown.contains("[y/N]") {
        let mut some = [0; 512];
        let count = person.read(&mut some).unwrap();
        shown.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    person.write_all(answer.as_bytes()).unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    (child.wait().unwrap().code().unwrap(), shown)
}

#[test]
fn a_person_is_asked_before_anything_is_written() {
    let world = World::new();
    fs::write(world.path("\u{1b}[31mred"), "text").unwrap();
    let putting = Putting::start(world.end("alice", "put").arg("\u{1b}[31mred"));
    let (code, shown) = answered(&world, &putting.code, "n\n");
    assert_eq!((code, world.came()), (4, vec![]), "{shown}");
    assert!(shown.contains("take ^[[31mred, as _[31mred (4 B), to ./_[31mred?"), "{shown}");
    let failed = putting.end().fails_saying(4);
    assert!(failed.contains("the other person did not want it"), "{failed}");

    let putting = Putting::start(world.end("alice", "put").arg("\u{1b}[31mred"));
    let (code, shown) = answered(&world, &putting.code, "y\n");
    assert_eq!((code, world.came()), (0, vec!["_[31mred".to_owned()]), "{shown}");
    assert_eq!(putting.end().code, 0);
    world.leaves_nothing();
}

#[test]
fn without_a_terminal_nothing_is_taken_unasked() {
    let world = World::new();
    fs::write(world.path("file"), "text").unwrap();
    let putting = world.put("file");
    let failed = world.get(&putting.code).fails(2);
    assert!(failed.contains("no terminal") && failed.contains("--yes"), "{failed}");
    let failed = putting.end().fails_saying(4);
    assert!(failed.contains("nobody could be asked"), "{failed}");
    assert_eq!(world.came(), [""; 0]);
    world.leaves_nothing();
}

#[test]
fn what_is_there_is_never_replaced() {
    let world = World::new();
    fs::write(world.path("file"), "new").unwrap();
    for old in ["in/file", "in/other"] {
        fs::write(world.path(old), "old").unwrap();
    }
    for args in ["", "-o other"] {
        let putting = world.put("file");
        let failed = world.get(&format!("--yes {args} {}", putting.code)).fails(13);
        assert!(failed.contains("is there already") && failed.contains("-o"), "{failed}");
        let failed = putting.end().fails_saying(4);
        assert!(failed.contains("something of that name already"), "{failed}");
    }
    // It comes in between, after it was agreed to.
    let mut putting = world.put("-");
    let getting = begin(&mut world.getting(&format!("--yes -o late {}", putting.code)));
    let stdin = super::begun(&world, &mut putting, &vec![7; 3 << 20]);
    fs::write(world.path("in/late"), "old").unwrap();
    drop(stdin);
    let run = end(getting);
    assert_eq!(run.code, 13, "{}", run.err);
    assert_eq!(putting.end().code, 4);
    for old in ["in/file", "in/other", "in/late"] {
        assert_eq!(fs::read(world.path(old)).unwrap(), b"old");
    }
    assert_eq!(world.came(), ["file", "late", "other"]);
    world.leaves_nothing();
}

#[test]
fn a_wrong_code_is_one_guess_and_both_hear_of_it() {
    let world = World::new();
    fs::write(world.path("file"), "text").unwrap();
    let putting = world.put("file");
    let code = putting.code.clone();
    let (words, host) = code.split_once('@').unwrap();
    let (right, last) = words.rsplit_once('-').unwrap();
    let other = if last == "abandon" { "zoo" } else { "abandon" };
    let getting = begin(&mut world.getting(&format!("--yes {right}-{other}@{host}")));
    let failed = putting.end().fails_saying(5);
    assert!(failed.contains("wrong code"), "{failed}");
    let run = end(getting);
    assert_eq!((run.code, world.came()), (5, vec![]), "{}", run.err);
    assert!(run.err.contains("did not accept the code"), "{}", run.err);
    let failed = world.get(&format!("--yes {words}")).fails(8);
    assert!(failed.contains("no invite"), "{failed}");
}

#[test]
fn the_qr_code_has_the_size_of_its_text() {
    let world = World::new();
    fs::write(world.path("file"), "text").unwrap();
    let (mut person, program) = terminal();
    let mut command = world.end("alice", "put --qr file");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(program);
    let child = command.spawn().unwrap();
    drop(command);
    let mut shown = String::new();
    let square = |shown: &str| {
        let is_row = |line: &&str| line.chars().any(|sign| "█▀▄".contains(sign));
        shown.lines().filter(is_row).map(|line| line.trim_end().chars().count()).collect::<Vec<_>>()
    };
    // Version 2 or 3, as its words are long: 25 or 29 modules, and four of margin at each side.
    until("it is drawn", || {
        let mut some = [0; 4096];
        let count = person.read(&mut some).unwrap();
        shown.push_str(&String::from_utf8_lossy(&some[..count]));
        shown.contains("that was the code") || square(&shown).len() >= 17
    });
    let rows = square(&shown);
    assert!([33, 37].contains(&rows[0]), "{shown}");
    assert!(rows.len() >= 17 && rows.iter().all(|row| *row == rows[0]), "{shown}");
    super::signal(&child, "TERM");
    let mut child = child;
    child.stderr = None;
    assert_eq!(child.wait_with_output().unwrap().status.code(), None);
    world.leaves_nothing();
}

impl crate::support::Run {
    /// What it said; it must have failed with this code, also if it has said something before.
    #[track_caller]
    fn fails_saying(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}", self.err);
        self.err
    }
}

#[test]
fn a_transfer_that_runs_is_not_disturbed_by_a_second_one() {
    let world = World::new();
    fs::write(world.path("file"), "text").unwrap();
    let mut first = world.put("-");
    let getting = begin(&mut world.getting(&format!("--yes -o first {}", first.code)));
    let mut stdin = super::begun(&world, &mut first, &vec![7; 3 << 20]);
    let second = world.put("file");
    assert_eq!(world.get(&format!("--yes {}", second.code)).text(), "file\n");
    assert_eq!(second.end().code, 0);
    stdin.write_all(b"end").unwrap();
    drop(stdin);
    assert_eq!(end(getting).code, 0);
    assert_eq!(first.end().code, 0);
    assert_eq!(fs::metadata(world.path("in/first")).unwrap().len(), (3 << 20) + 3);
    world.leaves_nothing();
}
