//! A connection to the postbox that breaks on command.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::postbox::{Postbox, connect};

/// What goes wrong.
#[derive(Clone)]
pub(crate) enum Fault {
    /// All is well.
    None,
    /// Each call of this path gets this answer, and the connection ends.
    Answer(&'static str, Vec<u8>),
    /// Each call of this path gets an answer that never ends.
    Endless(&'static str),
    /// Each waiting call of this path ends with these bytes after two seconds; without bytes, the
    /// connection is closed.
    EndsWaits(&'static str, Vec<u8>),
    /// No call is ever answered.
    Silent,
    /// The next call of this path ends after this many eighths of its request.
    CutRequest(&'static str, usize),
    /// The next call of this path ends after this many eighths of its answer.
    CutAnswer(&'static str, usize),
}

/// A proxy in front of a postbox that passes on whole requests and whole answers.
pub(crate) struct Faulty {
    /// The address that the two ends know.
    pub(crate) url: String,
    fault: Arc<Mutex<Fault>>,
    /// The first lines of requests that were answered.
    answered: Arc<Mutex<Vec<String>>>,
}

impl Faulty {
    pub(crate) fn before(postbox: &Postbox) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fault = Arc::new(Mutex::new(Fault::None));
        let (behind, of) = (postbox.url.clone(), Arc::clone(&fault));
        let answered = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&answered);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (behind, of, noted) = (behind.clone(), Arc::clone(&of), Arc::clone(&noted));
                // An error here is an error for the caller.
                thread::spawn(move || pass_on(stream.unwrap(), &behind, &of, &noted));
            }
        });
        Self { url, fault, answered }
    }

    /// How many calls of this path the postbox has answered.
    pub(crate) fn answered(&self, path: &str) -> usize {
        let lines = self.answered.lock().unwrap();
        lines.iter().filter(|line| is_of(line.as_bytes(), path)).count()
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Whether the call to be cut was made, and was cut.
    pub(crate) fn is_well(&self) -> bool {
        matches!(*self.fault.lock().unwrap(), Fault::None)
    }
}

fn pass_on(
    mut caller: TcpStream,
    behind: &str,
    fault: &Mutex<Fault>,
    answered: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut postbox = connect(behind.strip_prefix("http://").unwrap());
    loop {
        let request = message(&mut caller)?;
        let now = {
            let mut fault = fault.lock().unwrap();
            let now = fault.clone();
            if let Fault::CutRequest(path, _) | Fault::CutAnswer(path, _) = now
                && is_of(&request, path)
            {
                *fault = Fault::None;
            }
            now
        };
        match now {
            Fault::Answer(path, answer) if is_of(&request, path) => {
                caller.write_all(&answer).ok()?;
                // Unread bytes would turn the end of the connection into a reset.
                caller.shutdown(Shutdown::Write).ok()?;
                let _ = caller.read_to_end(&mut Vec::new());
                return None;
            }
            Fault::Endless(path) if is_of(&request, path) => {
                caller.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
                while caller.write_all(&[0xF5; 8192]).is_ok() {}
                return None;
            }
            Fault::EndsWaits(path, answer) if is_of(&request, path) && wait_of(&request) > 2 => {
                thread::sleep(Duration::from_secs(2));
                caller.write_all(&answer).ok()?;
                return None;
            }
            Fault::Silent => {
                let _ = caller.read_to_end(&mut Vec::new());
                return None;
            }
            Fault::CutRequest(path, parts) if is_of(&request, path) => {
                postbox.write_all(&request[..request.len() * parts / 8]).ok()?;
                return None;
            }
            Fault::CutAnswer(path, parts) if is_of(&request, path) => {
                postbox.write_all(&request).ok()?;
                let answer = message(&mut postbox)?;
                caller.write_all(&answer[..answer.len() * parts / 8]).ok()?;
                return None;
            }
            _ => {
                postbox.write_all(&request).ok()?;
                let answer = message(&mut postbox)?;
                let line = request.split(|byte| *byte == b'\r').next().unwrap();
                answered.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
                caller.write_all(&answer).ok()?;
            }
        }
    }
}

/// The seconds that a call is willing to wait.
fn wait_of(request: &[u8]) -> u64 {
    let line = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap());
    let wait = line.split_once("wait=").map_or("0", |(_, wait)| wait);
    wait.split(|byte: char| !byte.is_ascii_digit()).next().unwrap().parse().unwrap()
}

fn is_of(request: &[u8], path: &str) -> bool {
    request.starts_with(format!("POST /v1/{path}").as_bytes())
}

/// A request or an answer, with its body.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    stream.set_read_timeout(None).unwrap();
    let mut message = Vec::new();
    let mut byte = [0];
    while !message.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        message.push(byte[0]);
    }
    let head = String::from_utf8(message.clone()).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    message.extend(body);
    Some(message)
}
