//! The clients under examples/, each as a program of its own.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::client::{Rpc, pair};
use crate::place::Place;
use crate::postbox::Postbox;

/// A program of examples/rpc, with `otr` on its path, and its sessions in this place.
fn example(
    place: &Place,
    program: &str,
    package: &str,
    script: &str,
    arguments: &[&str],
) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    assert!(found, "this test needs {program}: apt-get install {package}");
    let otr = Path::new(env!("CARGO_BIN_EXE_otr")).parent().unwrap().to_owned();
    let paths = std::iter::once(otr).chain(std::env::split_paths(&path));
    let mut command = Command::new(program);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rpc").join(script));
    command.args(arguments).env("PATH", std::env::join_paths(paths).unwrap());
    command.env("OTR_DIR", place.path("dir")).current_dir(place.path(""));
    command.env_remove("OTR_POSTBOX").env_remove("OTR_PROXY").env_remove("OTR_SESSION");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::null());
    command
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Alice, whose partner is a program with the session 'b'.
fn alice(place: &Place, postbox: &Postbox) -> Rpc {
    let (mut alice, bob) = pair(place, &postbox.url);
    assert_eq!(bob.ends(), Some(0));
    alice.ok("subscribe", json!({}));
    alice
}

#[test]
fn an_echo_in_python_and_in_node() {
    for (program, package, script, arguments) in [
        ("python3", "python3", "bot.py", &["echo", "b"][..]),
        ("node", "nodejs", "client.mjs", &["b"]),
    ] {
        let (place, postbox) = (Place::new(), Postbox::start(&[]));
        let mut alice = alice(&place, &postbox);
        let bot = example(&place, program, package, script, arguments).spawn().unwrap();
        let mut bot = Running(bot);
        for text in ["hello", "grüße\nauf zwei Zeilen"] {
            alice.ok("send", json!({ "text": text }));
            assert_eq!(alice.takes(), format!("echo: {text}"), "{program}");
        }
        // Quoted in JSON it is six times as long.
        let controls = vec![1; 1_000_000];
        fs::write(place.path("controls"), &controls).unwrap();
        alice.ok("send", json!({ "file": "controls" }));
        assert_eq!(alice.takes().as_bytes(), [b"echo: ", &controls[..]].concat(), "{program}");
        // It ends with the session.
        alice.ok("close", json!({}));
        assert_eq!(bot.0.wait().unwrap().code(), Some(0), "{program}");
        // And says why, where there is none.
        let refused = example(&place, program, package, script, arguments)
            .env("OTR_DIR", place.path("nowhere"))
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_ne!(refused.status.code(), Some(0), "{program}");
        assert!(!refused.stderr.is_empty(), "{program}");
    }
}

#[test]
fn a_dead_drop_hands_out_files() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let mut alice = alice(&place, &postbox);
    fs::create_dir(place.path("files")).unwrap();
    let long: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
    fs::write(place.path("files/long"), &long).unwrap();
    fs::write(place.path("secret"), "not this one").unwrap();
    let bot = example(&place, "python3", "python3", "bot.py", &["drop", "b", "files"]);
    let _bot = Running({ bot }.spawn().unwrap());
    for name in ["../secret", "secret", "/etc/passwd"] {
        alice.ok("send", json!({ "text": name }));
        assert_eq!(alice.takes(), format!("no file '{name}' here; there are: long"));
    }
    alice.ok("send", json!({ "text": "long\n" }));
    let mut came = Vec::new();
    while came.len() < long.len() {
        let part = alice.message();
        assert_eq!(part["offset"], came.len());
        came.extend(
            base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                part["base64"].as_str().unwrap(),
            )
            .unwrap(),
        );
        assert_eq!(part["end"], came.len() == long.len());
        alice.ack(&part);
    }
    assert!(came == long);
}

#[test]
fn a_log_is_shipped_line_by_line() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let mut alice = alice(&place, &postbox);
    let mut bot = example(&place, "python3", "python3", "bot.py", &["ship", "b"]);
    let mut bot = Running(bot.stdin(Stdio::piped()).spawn().unwrap());
    let mut log = bot.0.stdin.take().unwrap();
    for line in ["one\n", "two\n"] {
        log.write_all(line.as_bytes()).unwrap();
        assert_eq!(alice.takes(), line, "it comes while the log is open");
    }
    drop(log);
    assert_eq!(bot.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_shell_sends_and_takes() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let mut alice = alice(&place, &postbox);
    let shell = |arguments: &[&str]| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).any(|directory| directory.join("jq").is_file());
        assert!(found, "this test needs jq: apt-get install jq");
        example(&place, "bash", "bash", "client.sh", arguments)
    };
    fs::write(place.path("text"), b"with a NUL \0 and newlines\n\n").unwrap();
    let input = fs::File::open(place.path("text")).unwrap();
    let sent = shell(&["send", "b"]).stdin(input).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(alice.takes().as_bytes(), fs::read(place.path("text")).unwrap());
    for text in ["one\n", "two\n", "three\n"] {
        alice.ok("send", json!({ "text": text }));
    }
    let taken = shell(&["take", "b", "2"]).output().unwrap();
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    assert_eq!(taken.stdout, b"one\ntwo\n");
    assert_eq!(shell(&["take", "b"]).output().unwrap().stdout, b"three\n");
    let refused = shell(&["take", "nobody"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
}
