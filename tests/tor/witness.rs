//! Stands between an onion service and the postbox, and notes what a curious operator could: which
//! circuit each connection came by, and which addresses were named on it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest as _, Sha256};

/// An address in a postbox.
pub(crate) type Address = [u8; 32];

/// What was said on one connection.
#[derive(Default)]
struct Connection {
    circuit: String,
    /// From the caller.
    bytes: Vec<u8>,
}

/// Listens on a Unix socket, and hands on to another.
pub(crate) struct Witness(Arc<Mutex<Vec<Connection>>>);

impl Witness {
    pub(crate) fn stand(at: &Path, before: &Path) -> Self {
        let listener = UnixListener::bind(at).unwrap();
        let (seen, before) = (Arc::default(), before.to_owned());
        let notes = Arc::clone(&seen);
        // It waits for connections until this process ends.
        thread::spawn(move || {
            for caller in listener.incoming() {
                let (notes, before) = (Arc::clone(&notes), before.clone());
                thread::spawn(move || pass(caller.unwrap(), &before, &notes));
            }
        });
        Self(seen)
    }

    /// By circuit, the addresses that were named in calls that came by it.
    pub(crate) fn seen(&self) -> BTreeMap<String, BTreeSet<Address>> {
        let mut all: BTreeMap<String, BTreeSet<Address>> = BTreeMap::new();
        for connection in self.0.lock().unwrap().iter() {
            let named = addresses(&connection.bytes);
            all.entry(connection.circuit.clone()).or_default().extend(named);
        }
        all.retain(|_, addresses| !addresses.is_empty());
        all
    }

    /// Begins anew, while nobody is connected.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().iter_mut().for_each(|connection| connection.bytes.clear());
    }
}

/// No two addresses came by one circuit, and none came by no circuit at all; how many circuits.
pub(crate) fn judge(seen: &BTreeMap<String, BTreeSet<Address>>) -> Result<usize, String> {
    for (circuit, addresses) in seen {
        if circuit.is_empty() || addresses.len() != 1 {
            return Err(format!("circuit {circuit:?} named {} addresses", addresses.len()));
        }
    }
    Ok(seen.len())
}

fn pass(caller: UnixStream, before: &Path, notes: &Mutex<Vec<Connection>>) {
    let mut from_caller = BufReader::new(caller.try_clone().unwrap());
    // tor's "PROXY TCP6 fc00:dead:beef:4dad::CIRCUIT ::1 PORT PORT".
    let mut first = String::new();
    from_caller.read_line(&mut first).unwrap();
    let circuit = first.split(' ').nth(2).unwrap_or_default().to_owned();
    let mut to_postbox = UnixStream::connect(before).unwrap();
    let answers = to_postbox.try_clone().unwrap();
    let back = thread::spawn(move || hand_on(answers, caller));
    let number = {
        let mut notes = notes.lock().unwrap();
        notes.push(Connection { circuit, bytes: Vec::new() });
        notes.len() - 1
    };
    loop {
        let bytes = from_caller.fill_buf().unwrap_or_default();
        notes.lock().unwrap()[number].bytes.extend_from_slice(bytes);
        let count = bytes.len();
        if count == 0 || to_postbox.write_all(bytes).is_err() {
            break;
        }
        from_caller.consume(count);
    }
    let _ = to_postbox.shutdown(Shutdown::Write);
    back.join().unwrap();
}

fn hand_on(mut from: UnixStream, mut to: UnixStream) {
    // The caller may have gone.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// All addresses that the calls in a connection's bytes name, by themselves or by their tokens.
fn addresses(mut bytes: &[u8]) -> Vec<Address> {
    let mut all = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = std::str::from_utf8(&bytes[..end]).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let body = &bytes[end + 4..];
        let body = &body[..length.min(body.len())];
        bytes = &bytes[end + 4 + body.len()..];
        let path = head.split([' ', '?']).nth(1).unwrap();
        all.extend(match path {
            "/" => Vec::new(),
            "/v1/post" => packets(body),
            "/v1/collect" => records(body, 32, opened_by),
            "/v1/discard" => records(body, 96, |record| opened_by(&record[..32])),
            "/v1/gone" | "/v1/revealed" => records(body, 32, |it| it.try_into().unwrap()),
            other => panic!("a call to {other}"),
        });
    }
    all
}

fn packets(mut body: &[u8]) -> Vec<Address> {
    let mut all = Vec::new();
    while let Some((first, rest)) = body.split_first() {
        let (packet, rest) = rest.split_at_checked(1 << (first - 0xE9)).unwrap_or((rest, b""));
        all.extend(packet.first_chunk::<32>().copied());
        body = rest;
    }
    all
}

fn records(body: &[u8], size: usize, address: impl Fn(&[u8]) -> Address) -> Vec<Address> {
    body.chunks_exact(size).map(address).collect()
}

pub(crate) fn opened_by(token: &[u8]) -> Address {
    Sha256::new().chain_update(b"otr/1 address").chain_update(token).finalize().into()
}

#[test]
fn the_judge_finds_addresses_that_share_a_circuit() {
    let seen = |list: &[(&str, &[u8])]| {
        list.iter()
            .map(|(circuit, firsts)| {
                let addresses = firsts.iter().map(|&first| [first; 32]).collect();
                ((*circuit).to_owned(), addresses)
            })
            .collect()
    };
    assert_eq!(judge(&seen(&[("a", &[1]), ("b", &[2])])), Ok(2));
    assert!(judge(&seen(&[("a", &[1, 2])])).is_err());
    assert!(judge(&seen(&[("", &[1])])).is_err());
    let call = |path: &str, body: &[u8]| {
        [format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body]
            .concat()
    };
    let packet = [&[0xF5][..], &[7; 4096]].concat();
    let both = [call("/v1/collect?wait=5", &[3; 64]), call("/v1/post", &packet)].concat();
    assert_eq!(addresses(&both), [opened_by(&[3; 32]), opened_by(&[3; 32]), [7; 32]]);
}
