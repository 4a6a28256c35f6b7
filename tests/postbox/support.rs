//! A postbox for a test, and the few lines of HTTP that it takes to call one.

use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// No answer of a test takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A postbox that ends with the test.
pub(crate) struct Postbox {
    pub(crate) child: Child,
    pub(crate) stderr: BufReader<ChildStderr>,
    /// Lines of stderr up to the address.
    pub(crate) said: Vec<String>,
    /// What stands behind `OTR_POSTBOX=`.
    pub(crate) url: String,
}

impl Postbox {
    /// One on a port of the system's choice.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::run(otr().args(["postbox", "--listen", "127.0.0.1:0"]).args(options))
    }

    /// One that this command starts.
    #[expect(clippy::zombie_processes, reason = "dropping the postbox waits for it")]
    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended: {said:?}");
            said.push(line.trim_end().to_owned());
            if let Some(url) = line.trim_end().strip_prefix("OTR_POSTBOX=") {
                return Self { child, stderr, url: url.to_owned(), said };
            }
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.url.strip_prefix("http://").unwrap())
    }

    /// One call on a connection of its own.
    pub(crate) fn call(&self, path: &str, form: Form, body: &[u8]) -> Answer {
        call(&mut self.connect(), path, form, body)
    }

    pub(crate) fn post(&self, body: &[u8]) -> Answer {
        self.call("/v1/post", Form::Text, body)
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// What it says at its end.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Postbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn otr() -> Command {
    Command::new(env!("CARGO_BIN_EXE_otr"))
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Raw,
    Text,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Status and body, for most asserts.
    pub(crate) fn both(&self) -> (u16, &str) {
        (self.status, self.text())
    }
}

/// The head of a request with a body of that length.
pub(crate) fn head(path: &str, form: Form, length: usize) -> String {
    let kind = if form == Form::Raw { "application/octet-stream" } else { "text/plain" };
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    )
}

pub(crate) fn call(
    stream: &mut (impl Read + Write),
    path: &str,
    form: Form,
    body: &[u8],
) -> Answer {
    stream.write_all(head(path, form, body.len()).as_bytes()).unwrap();
    // A refusal may come before the whole body has gone.
    let _ = stream.write_all(body);
    read_answer(stream).expect("an answer")
}

pub(crate) fn get(stream: &mut (impl Read + Write), path: &str, accept: &str) -> Answer {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n\r\n").unwrap();
    read_answer(stream).expect("an answer")
}

/// How many packets the postbox has taken that has this `--admin` socket.
#[allow(dead_code, reason = "each test file uses its part of it")]
pub(crate) fn stored(admin: &Path) -> u64 {
    let told = get(&mut UnixStream::connect(admin).unwrap(), "/metrics", "*/*");
    let line = told.text().lines().find_map(|line| line.strip_prefix("otr_postbox_stored_total "));
    line.unwrap_or_else(|| panic!("{told:?}")).parse().unwrap()
}

/// Reads an answer; `None` if the connection ends before one begins.
pub(crate) fn read_answer(stream: &mut impl Read) -> Option<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) if head.is_empty() => return None,
            // What traces the postbox may stop us, too.
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            other => panic!("{other:?} in {:?}", String::from_utf8_lossy(&head)),
        }
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    if head.lines().any(|line| line == "transfer-encoding: chunked") {
        body = chunks(stream);
    }
    Some(Answer { status, head, body })
}

/// A body that comes in chunks.
fn chunks(stream: &mut impl Read) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut size = Vec::new();
        while !size.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            size.push(byte[0]);
        }
        let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim(), 16).unwrap();
        let begin = body.len();
        body.resize(begin + size + 2, 0);
        stream.read_exact(&mut body[begin..]).unwrap();
        body.truncate(begin + size);
        if size == 0 {
            return body;
        }
    }
}

/// A token, its address, and packets under it.
pub(crate) struct Place {
    pub(crate) token: [u8; 32],
}

impl Place {
    pub(crate) fn new(seed: u32) -> Self {
        Self { token: Sha256::digest(seed.to_be_bytes()).into() }
    }

    pub(crate) fn address(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"otr/1 address").chain_update(self.token).finalize().into()
    }

    /// A packet of 2^k bytes.
    pub(crate) fn packet(&self, k: u32, fill: u8) -> Vec<u8> {
        let mut packet = vec![fill; 1 << k];
        packet[..32].copy_from_slice(&self.address());
        packet
    }

    /// A record of `discard`.
    pub(crate) fn spent(&self, packet: &[u8], key: [u8; 32]) -> Vec<u8> {
        [&self.token[..], &Sha256::digest(packet), &key].concat()
    }
}

pub(crate) fn line(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes) + "\n"
}

pub(crate) fn packet_line(packet: &[u8]) -> String {
    format!("otr1p:{}", line(packet))
}

pub(crate) fn raw(packet: &[u8]) -> Vec<u8> {
    let k = u8::try_from(packet.len().ilog2()).unwrap();
    [&[0xE9 + k], packet].concat()
}

/// One of the operator's numbers.
pub(crate) fn metric(admin: &std::path::Path, name: &str) -> usize {
    let mut stream = std::os::unix::net::UnixStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let metrics = get(&mut stream, "/metrics", "*/*");
    let name = format!("otr_postbox_{name} ");
    let value = metrics.text().lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap().parse().unwrap()
}

/// Resident memory of a process, bytes.
pub(crate) fn resident(id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// What a crowded postbox asks for: zero bits for a packet of 4 KiB, and the salt.
pub(crate) struct Price {
    pub(crate) bits: u32,
    pub(crate) salt: Vec<u8>,
}

impl Price {
    /// That of an answer, if it tells one.
    pub(crate) fn told(answer: &Answer) -> Option<Self> {
        let value = answer.head.lines().find_map(|line| line.strip_prefix("otr-work: "))?;
        let bits = value.split_once(' ').unwrap().0.parse().unwrap();
        // The head was made small, and a salt is in letters of both sizes.
        Some(Self { bits, salt: Vec::new() })
    }

    /// What `GET /` tells now.
    pub(crate) fn now(postbox: &Postbox) -> Self {
        let page = get(&mut postbox.connect(), "/", "application/json");
        let field = |name: &str| {
            let (_, rest) = page.text().split_once(&format!("\"{name}\":")).unwrap();
            rest.split([',', '}']).next().unwrap().trim_matches('"').to_owned()
        };
        let salt = URL_SAFE_NO_PAD.decode(field("work_salt")).unwrap();
        Self { bits: field("work_bits").parse().unwrap(), salt }
    }

    /// The proof for a packet, as docs/postbox.md says.
    pub(crate) fn proof(&self, packet: &[u8]) -> Vec<u8> {
        let bits = self.bits + (packet.len() / 4096).ilog2();
        let seed = Sha256::new_with_prefix(b"otr/1 work").chain_update(&self.salt);
        let seed = seed.chain_update(Sha256::digest(packet)).finalize();
        let fits = |part: u8, nonce: &u64| {
            let hash = Sha256::new_with_prefix(seed).chain_update([part]);
            let hash = hash.chain_update(nonce.to_be_bytes()).finalize();
            u64::from_be_bytes(hash[..8].try_into().unwrap()).leading_zeros() >= bits
        };
        let nonces = (0..16).map(|part| (0..u64::MAX).find(|nonce| fits(part, nonce)).unwrap());
        nonces.flat_map(u64::to_be_bytes).collect()
    }

    /// The body of a post of it.
    pub(crate) fn paid(&self, packet: &[u8]) -> Vec<u8> {
        [&[0xC1], &self.proof(packet)[..], &raw(packet)].concat()
    }
}

/// Fills it until it asks for this many bits, paying for that; returns how many packets of 4 KiB
/// that took.
pub(crate) fn crowd(postbox: &Postbox, bits: u32) -> u32 {
    let mut stream = postbox.connect();
    for n in 0.. {
        let packet = Place::new(7_000_000 + n).packet(12, 1);
        let mut body = raw(&packet);
        loop {
            let answer = call(&mut stream, "/v1/post", Form::Raw, &body);
            if Price::told(&answer).is_some_and(|price| price.bits >= bits) {
                return n;
            }
            match answer.status {
                201 => break,
                402 => body = Price::now(postbox).paid(&packet),
                other => panic!("{other}"),
            }
        }
    }
    unreachable!()
}
