//! Asks the slow second implementation in `tests/reference/`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// # Panics
/// Where python3 is missing, or the second implementation does not agree.
pub(crate) fn ask(question: &Value) -> Value {
    let mut child = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/otr_reference.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 (Debian: apt-get install python3) runs the second implementation");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(question.to_string().as_bytes()).unwrap();
    drop(stdin);
    let answer = child.wait_with_output().unwrap();
    assert!(answer.status.success(), "the second implementation does not agree");
    serde_json::from_slice(&answer.stdout).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
