//! `otr put` and `otr get`, on two machines.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::support::network::{FAR, Link};
use crate::support::{Chance, Pair, until};

/// The link between them is cut for some seconds in the middle, with no other machine around.
#[test]
fn a_transfer_outlives_a_cut_of_the_link() {
    let link = Link::new();
    let pair = Pair::strangers();
    fs::create_dir(pair.path("in")).unwrap();
    let content = Chance::new().bytes(9 << 20);
    let mut command = link.far(&pair.end("alice", &format!("put --serve {FAR}:7363 -")));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut putting = command.spawn().unwrap();
    let mut code = String::new();
    let mut out = BufReader::new(putting.stdout.take().unwrap());
    out.read_line(&mut code).unwrap();
    assert!(code.trim_end().ends_with(&format!("@http://{FAR}:7363")), "{code}");

    let mut getting = pair.end("bob", &format!("get --yes -o here {}", code.trim_end()));
    getting.current_dir(pair.path("in"));
    let mut command = link.near(&getting);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut getting = command.spawn().unwrap();
    let mut stdin = putting.stdin.take().unwrap();
    stdin.write_all(&content[..4 << 20]).unwrap();
    let part = || {
        let mut names = fs::read_dir(pair.path("in")).unwrap().map(|entry| entry.unwrap().path());
        names.any(|path| fs::metadata(path.join("content")).is_ok_and(|part| part.len() > 0))
    };
    until("a part has come", part);
    link.set(false);
    stdin.write_all(&content[4 << 20..]).unwrap();
    drop(stdin);
    sleep(Duration::from_secs(8));
    link.set(true);

    let mut said = String::new();
    getting.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(getting.wait().unwrap().success(), "{said}");
    let mut told = String::new();
    putting.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(putting.wait().unwrap().success(), "{told}");
    assert!(fs::read(pair.path("in/here")).unwrap() == content);
}
