//! A program that uses `otr rpc`.

#![allow(clippy::needless_pass_by_value, reason = "parameters are written where they are given")]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::place::Place;

/// Nothing that a test waits for takes longer, on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// One client: what it writes to, and the lines that come.
pub(crate) struct Client {
    pub(crate) out: Option<Box<dyn Write + Send>>,
    /// The socket, if it is one.
    socket: Option<UnixStream>,
    lines: Receiver<Value>,
    last: u64,
    /// Notifications that nobody has asked for yet.
    told: VecDeque<Value>,
    /// Answers that nobody has asked for yet.
    answers: Vec<Value>,
}

impl Client {
    fn new(out: Box<dyn Write + Send>, input: impl Read + Send + 'static) -> Self {
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(input).lines() {
                let Ok(line) = line else { return };
                if tell.send(serde_json::from_str(&line).expect(&line)).is_err() {
                    return;
                }
            }
        });
        let (told, answers) = Default::default();
        Self { out: Some(out), socket: None, lines, last: 0, told, answers }
    }

    /// A client at a socket.
    pub(crate) fn at(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        let socket = Some(stream.try_clone().unwrap());
        let mut client = Self::new(Box::new(stream.try_clone().unwrap()), stream);
        client.socket = socket;
        client
    }

    /// Writes these bytes and a newline.
    pub(crate) fn write(&mut self, line: &[u8]) {
        let out = self.out.as_mut().unwrap();
        out.write_all(&[line, b"\n"].concat()).unwrap();
        out.flush().unwrap();
    }

    /// The next line, whatever it is.
    #[track_caller]
    pub(crate) fn line(&mut self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("another line")
    }

    /// Whether the lines have ended.
    #[track_caller]
    pub(crate) fn ends(&mut self) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("the lines go on"),
            }
        }
    }

    /// Begins a call; returns its id.
    pub(crate) fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        let id = self.last;
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.write(call.to_string().as_bytes());
        id
    }

    /// The answer to a call.
    #[track_caller]
    pub(crate) fn answer(&mut self, id: u64) -> Result<Value, Value> {
        let mut answer = loop {
            if let Some(at) = self.answers.iter().position(|answer| answer["id"] == id) {
                break self.answers.swap_remove(at);
            }
            let line = self.line();
            if line.get("method").is_some() {
                self.told.push_back(line);
            } else {
                self.answers.push(line);
            }
        };
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(answer["error"].take()),
        }
    }

    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.begin(method, params);
        self.answer(id)
    }

    /// Its result.
    #[track_caller]
    pub(crate) fn ok(&mut self, method: &str, params: Value) -> Value {
        self.call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The exit code and the name of its error.
    #[track_caller]
    pub(crate) fn fails(&mut self, method: &str, params: Value) -> (u64, String) {
        let error = self.call(method, params).expect_err(method);
        let (code, name) = (&error["data"]["code"], &error["data"]["name"]);
        (code.as_u64().unwrap(), name.as_str().unwrap().to_owned())
    }

    /// The parameters of the next notification of this kind.
    #[track_caller]
    pub(crate) fn told(&mut self, method: &str) -> Value {
        loop {
            if let Some(at) = self.told.iter().position(|told| told["method"] == method) {
                return self.told.remove(at).unwrap()["params"].take();
            }
            let line = self.line();
            if line.get("method").is_some() {
                self.told.push_back(line);
            } else {
                self.answers.push(line);
            }
        }
    }

    /// The next message, not acknowledged.
    #[track_caller]
    pub(crate) fn message(&mut self) -> Value {
        self.told("message")
    }

    /// Acknowledges a message.
    #[track_caller]
    pub(crate) fn ack(&mut self, message: &Value) -> Value {
        let id = self.begin_ack(message);
        self.answer(id).unwrap()
    }

    pub(crate) fn begin_ack(&mut self, message: &Value) -> u64 {
        let of = |name: &str| message[name].clone();
        let params = json!({ "subscription": of("subscription"), "message": of("message"), "offset": of("offset") });
        self.begin("ack", params)
    }

    /// The text of the next message, which is acknowledged.
    #[track_caller]
    pub(crate) fn takes(&mut self) -> String {
        let message = self.message();
        assert_eq!(self.ack(&message), json!({ "stored": true }));
        message["text"].as_str().unwrap().to_owned()
    }

    /// That nothing has been told so far: a call is answered, and nothing came before.
    #[track_caller]
    pub(crate) fn heard_nothing(&mut self) {
        self.ok("rpc.version", json!({}));
        assert!(self.told.is_empty(), "{:?}", self.told);
    }
}

impl Drop for Client {
    /// As a program that has ended: the thread that reads has the socket, too.
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// `otr rpc` on stdin and stdout, and its client.
pub(crate) struct Rpc {
    pub(crate) child: Child,
    pub(crate) client: Client,
}

/// The command line of an `otr rpc` in this place.
pub(crate) fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otr"));
    command.arg("rpc").args(arguments).env("OTR_DIR", place.path("dir"));
    command.env_remove("OTR_POSTBOX").env_remove("OTR_PROXY").env_remove("OTR_SESSION");
    command.current_dir(place.path(""));
    command
}

impl Rpc {
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::run(&mut command(place, arguments))
    }

    pub(crate) fn run(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, client: Client::new(Box::new(stdin), stdout) }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Writes no more; its exit code, once it has ended.
    pub(crate) fn ends(mut self) -> Option<i32> {
        self.client.out = None;
        self.child.wait().unwrap().code()
    }
}

impl Drop for Rpc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::ops::Deref for Rpc {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for Rpc {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Two programs, and a session 'a' of the one and 'b' of the other, through this postbox.
pub(crate) fn pair(place: &Place, url: &str) -> (Rpc, Rpc) {
    let (mut alice, mut bob) = (Rpc::start(place, &["-s", "a"]), Rpc::start(place, &["-s", "b"]));
    let invite = alice.ok("init", json!({ "postbox": url }))["invite"].take();
    let replied = bob.ok("respond", json!({ "invite": invite, "yes": true }));
    assert_eq!(replied, json!({ "posted": true }));
    alice.ok("accept", json!({}));
    (alice, bob)
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
