//! Every recipe of docs/recipes.md, run as it stands there: each block by a bash of its own, in order,
//! and what stands below a block is what it must print.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "helpers of tests, outside of #[test]"
)]

#[path = "ends/people.rs"]
mod people;
mod place;
#[path = "postbox/support.rs"]
mod postbox;
mod support;

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use place::{Place, set_mode};
use postbox::Postbox;
use support::tool;

/// No recipe takes longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many recipes run at the same time: most of the time they wait.
const AT_ONCE: usize = 4;

/// What the tests' machine need not have. `ssh` is Bob's machine.
const STAND_INS: [(&str, &str); 7] = [
    ("ssh", "shift; cd \"$PLACE/bob\"; OTR_SESSION=bob exec sh -c \"$*\""),
    ("notify-send", "echo \"[$1] $2\""),
    ("journalctl", "echo disk full; echo link down"),
    ("wl-copy", "cat > copied"),
    ("wl-paste", "cat copied"),
    ("pg_dump", "echo 'CREATE TABLE app;'; [ \"$1\" = app ]"),
    ("pass", "case $2 in otr/*) echo the cat ;; *) echo correct horse battery staple ;; esac"),
];

/// What lies at Alice's, or at Bob's.
const FILES: &str = "
    mkdir alice bob alice/photos bob/drop
    echo meow > alice/photos/cat.jpg; echo woof > alice/photos/dog.jpg
    echo 'Dear Bob, all is well.' > alice/letter.txt
    printf 'started\\nlistening on :80\\n' > alice/app.log
    echo 'what alice has copied' > alice/copied
    echo s3cr3t > alice/token
    echo attack at dawn > bob/drop/plan.txt
    export GIT_CONFIG_GLOBAL=$PWD/gitconfig
    git config --global user.name Alice; git config --global user.email alice@example.org
    git init -q -b main alice/project
    cd alice/project
    echo light > first; git add .; git commit -qm 'First light'
    git clone -q . ../../bob/clone
    echo no > first; git commit -qam 'Second thoughts'";

/// One block.
struct Step {
    who: String,
    /// Whether what follows does not wait for its end.
    running: bool,
    script: String,
    prints: String,
}

struct Recipe {
    title: String,
    steps: Vec<Step>,
}

impl Recipe {
    /// Whether the two have no session before it.
    fn of_strangers(&self) -> bool {
        self.steps.iter().any(|step| step.script.contains("init"))
    }
}

fn parse(document: &str) -> Vec<Recipe> {
    let sections = document.split("\n## ").skip(1);
    sections
        .map(|section| {
            let title = section.lines().next().unwrap().to_owned();
            let mut steps: Vec<Step> = Vec::new();
            let mut parts = section.split("```");
            parts.next();
            while let (Some(block), Some(between)) = (parts.next(), parts.next()) {
                let (info, text) = block.split_once('\n').unwrap();
                match info.split(' ').collect::<Vec<_>>()[..] {
                    ["sh", who, ref how @ ..] => steps.push(Step {
                        who: who.to_owned(),
                        running: how == ["running"],
                        script: text.to_owned(),
                        prints: String::new(),
                    }),
                    ["text"] => text.clone_into(&mut steps.last_mut().unwrap().prints),
                    _ => panic!("{title}: {info}"),
                }
                assert!(steps.len() < 2 || between.starts_with('\n'), "{title}");
            }
            Recipe { title, steps }
        })
        .collect()
}

/// A step that has begun.
struct Begun<'a> {
    step: &'a Step,
    child: Child,
    out: std::path::PathBuf,
    err: std::path::PathBuf,
}

impl Drop for Begun<'_> {
    /// What still runs ends with its recipe.
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn content(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

impl<'a> Begun<'a> {
    fn begin(place: &Place, step: &'a Step, number: usize, postbox: &str) -> Self {
        let [out, err] = ["out", "err"].map(|name| place.path(&format!("{name}.{number}")));
        let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.args(["-euc", &step.script]).current_dir(place.path(&step.who)).env_clear();
        bash.env("PATH", path).env("HOME", place.path("")).env("PLACE", place.path(""));
        bash.env("GIT_CONFIG_GLOBAL", place.path("gitconfig")).env("BOX", postbox);
        bash.env("OTR_SESSION", &step.who).env("OTR_DIR", place.path("dir"));
        bash.stdin(Stdio::null()).stdout(File::create(&out).unwrap());
        let child = bash.stderr(File::create(&err).unwrap()).process_group(0).spawn().unwrap();
        Self { step, child, out, err }
    }

    /// Waits until it has printed all, and, unless it goes on, has ended well.
    fn end(&mut self, since: Instant) -> Result<(), String> {
        loop {
            let (ended, printed) = (self.child.try_wait().unwrap(), content(&self.out));
            let is_well = ended.is_none_or(|ended| ended.success());
            let is_over = ended.is_some() || self.step.running;
            if is_well && is_over && printed == self.step.prints {
                return Ok(());
            }
            if ended.is_some() || since.elapsed() > PATIENCE {
                let Step { script, prints, .. } = self.step;
                let said = content(&self.err);
                return Err(format!(
                    "{script}--- {ended:?}; should print\n{prints}--- printed\n{printed}--- and said\n{said}"
                ));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A place with everything, where both have a session unless the recipe makes it.
fn prepare(recipe: &Recipe, postbox: &Postbox) -> Place {
    let place = Place::new();
    let made = place.shell(&format!("set -e\n{FILES}"));
    assert!(made.status.success(), "{}", place::text(&made.stderr));
    fs::create_dir(place.path("bin")).unwrap();
    for (name, script) in STAND_INS {
        let path = place.path(&format!("bin/{name}"));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        set_mode(&path, 0o755);
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_otr"), place.path("bin/otr")).unwrap();
    if !recipe.of_strangers() {
        people::pair(&place, postbox);
    }
    place
}

fn run(recipe: &Recipe, postbox: &Postbox) -> Result<(), String> {
    let (place, since) = (prepare(recipe, postbox), Instant::now());
    let mut begun = Vec::new();
    for (number, step) in recipe.steps.iter().enumerate() {
        begun.push(Begun::begin(&place, step, number, &postbox.url));
        if !step.running {
            begun.last_mut().unwrap().end(since)?;
        }
    }
    begun.iter_mut().try_for_each(|begun| begun.end(since))
}

#[test]
fn each_recipe_does_what_stands_there() {
    for (program, package) in [("jq", "jq"), ("git", "git"), ("curl", "curl")] {
        drop(tool(program, package));
    }
    let recipes = parse(include_str!("../docs/recipes.md"));
    assert!(recipes.len() >= 20, "{} recipes", recipes.len());
    for recipe in &recipes {
        assert!(recipe.steps.iter().any(|step| !step.prints.is_empty()), "{}", recipe.title);
    }
    let postbox = Postbox::start(&[]);
    let left = Mutex::new(recipes.iter());
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(recipe) = left.lock().unwrap().next() else { return };
                    let begun = Instant::now();
                    if let Err(fault) = run(recipe, &postbox) {
                        faults.lock().unwrap().push(format!("## {}\n{fault}", recipe.title));
                    }
                    println!("{:?} {}", begun.elapsed(), recipe.title);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_recipe_that_is_wrong_fails() {
    let postbox = Postbox::start(&[]);
    let right = "\n## Right\n```sh alice\necho hi | otr send\n```\n```sh bob\notr recv\n```\n```text\nhi\n```\n";
    assert_eq!(run(&parse(right)[0], &postbox), Ok(()));
    for (before, after, fault) in [
        ("otr recv", "otr recv --nonsense", "unexpected argument"),
        ("text\nhi", "text\nho", "printed\nhi"),
        ("otr send\n", "otr send; echo more\n", "printed\nmore"),
        ("otr send\n", "false; otr send\n", "unix_wait_status(256)"),
        ("otr send\n", "otr send; : $UNSET\n", "UNSET: unbound variable"),
    ] {
        let why = run(&parse(&right.replace(before, after))[0], &postbox).unwrap_err();
        assert!(why.contains(fault), "{why}");
    }
}
