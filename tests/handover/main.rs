//! `otr put` and `otr get`: both ends as real processes, a real postbox between them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod exits;
mod faults;
mod hostile;
mod plain;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod serve;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use postbox::Postbox;
use support::{Pair, Run, feed, shell_code, start, until};

/// Alice, who puts, Bob, who gets into the directory `in`, and their postbox.
struct World {
    pair: Pair,
    postbox: Postbox,
}

impl World {
    fn new() -> Self {
        let world = Self { pair: Pair::strangers(), postbox: Postbox::start(&[]) };
        fs::create_dir(world.pair.path("in")).unwrap();
        world
    }

    fn path(&self, file: &str) -> PathBuf {
        self.pair.path(file)
    }

    fn end(&self, who: &str, args: &str) -> Command {
        let mut command = self.pair.end(who, args);
        command.env("OTR_POSTBOX", &self.postbox.url).env_remove("OTR_PROXY");
        command
    }

    fn put(&self, args: &str) -> Putting {
        Putting::start(&mut self.end("alice", &format!("put {args}")))
    }

    fn getting(&self, args: &str) -> Command {
        let mut command = self.end("bob", &format!("get {args}"));
        command.current_dir(self.path("in"));
        command
    }

    fn get(&self, args: &str) -> Run {
        feed(&mut self.getting(args), b"")
    }

    /// The names in Bob's directory.
    fn came(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("in")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The content so far, beside its place.
    fn part(&self) -> Option<u64> {
        let work = self.came().into_iter().find(|name| name.starts_with(".otr-get-"))?;
        Some(fs::metadata(self.path("in").join(work).join("content")).ok()?.len())
    }

    /// Nothing is left of either session, and nothing in the postbox.
    #[track_caller]
    fn leaves_nothing(self) {
        self.leaves_no_session();
        self.postbox.signal("TERM");
        let (status, said) = self.postbox.end();
        assert!(status.success() && said.contains("0 packets"), "{said}");
    }

    /// Nothing is left of either session.
    #[track_caller]
    fn leaves_no_session(&self) {
        self.leaves_no_session_but(".guesses");
    }

    /// The same; a file whose name ends so may stay.
    #[track_caller]
    fn leaves_no_session_but(&self, end: &str) {
        for who in ["alice", "bob"] {
            let Ok(found) = fs::read_dir(self.path(who)) else { continue };
            let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let names: Vec<_> = names.collect();
            // How many codes were tried: the file stays, with no time in it.
            let may_stay = |name: &String| name == ".guesses" || name.ends_with(end);
            assert!(names.iter().all(may_stay), "{who}: {names:?}");
        }
        assert!(!self.came().iter().any(|name| name.starts_with('.')), "{:?}", self.came());
    }
}

/// A `put` that has shown its code.
struct Putting {
    child: Child,
    out: BufReader<ChildStdout>,
    code: String,
}

impl Putting {
    #[track_caller]
    fn start(command: &mut Command) -> Self {
        let mut child = start(command);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut code = String::new();
        if out.read_line(&mut code).unwrap() == 0 {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("no code: {said}");
        }
        Self { child, out, code: code.trim_end().to_owned() }
    }

    fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    fn end(mut self) -> Run {
        drop(self.child.stdin.take());
        self.finished()
    }

    /// The same, while more may still come on its stdin.
    fn finished(mut self) -> Run {
        let _stdin = self.child.stdin.take();
        let mut out = Vec::new();
        self.out.read_to_end(&mut out).unwrap();
        ended(self.child, out)
    }
}

fn ended(mut child: Child, out: Vec<u8>) -> Run {
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    Run { code: shell_code(child.wait().unwrap()), out, err }
}

/// A `get` that runs.
fn begin(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(mut child: Child) -> Run {
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    ended(child, out)
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

/// Writes a beginning to a `put -`, of which a part has come to Bob.
fn begun(world: &World, putting: &mut Putting, content: &[u8]) -> ChildStdin {
    let mut stdin = putting.stdin();
    stdin.write_all(content).unwrap();
    until("a part has come", || world.part().is_some_and(|length| length > 0));
    stdin
}
