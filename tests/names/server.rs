//! A name server for a test: it gives the answers that it was told to, and records the questions.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// On port 53 of an address of 127.0.0.0/8; it serves until the test's process ends.
pub(crate) struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// A server that knows these names, and says that all others do not exist. It answers for the
    /// names in `large` only over TCP.
    pub(crate) fn start(at: Ipv4Addr, names: &[(&str, IpAddr)], large: &'static str) -> Self {
        let mut known: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (name, address) in names {
            known.entry((*name).to_owned()).or_default().push(*address);
        }
        let known = Arc::new(known);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let hint = "this test needs port 53 of 127.0.0.0/8: run it as root";
        let udp = UdpSocket::bind((at, 53)).expect(hint);
        let tcp = TcpListener::bind((at, 53)).expect(hint);
        let (names, notes) = (Arc::clone(&known), Arc::clone(&asked));
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((size, from)) = udp.recv_from(&mut question) {
                let (name, whole) = answer(&question[..size], &names);
                let mut whole = whole;
                if name == large {
                    // Cut short: behind the question, nothing.
                    whole.truncate(size);
                    whole[2] |= 2;
                    whole[7] = 0;
                }
                notes.lock().unwrap().push(name);
                udp.send_to(&whole, from).unwrap();
            }
        });
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut question = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut question).unwrap();
                let (_, whole) = answer(&question, &known);
                let length = u16::try_from(whole.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &whole].concat()).unwrap();
            }
        });
        Self { asked }
    }

    /// The names that were asked for since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// The name that a question is about, and what to say (RFC 1035, 4.1).
fn answer(question: &[u8], known: &BTreeMap<String, Vec<IpAddr>>) -> (String, Vec<u8>) {
    let mut labels = Vec::new();
    let mut at = 12;
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8(question[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    let name = labels.join(".").to_ascii_lowercase();
    let six = question[at + 2] == 28;
    let all = known.get(&name);
    let addresses: Vec<_> = all.into_iter().flatten().filter(|ip| ip.is_ipv6() == six).collect();
    let mut whole = question[..at + 5].to_vec();
    // An answer; that there is no such name, where there is none.
    (whole[2], whole[3]) = (0x81, if all.is_some() { 0x80 } else { 0x83 });
    whole[7] = u8::try_from(addresses.len()).unwrap();
    whole[8..12].fill(0);
    for address in addresses {
        whole.extend([0xC0, 12, 0, question[at + 2], 0, 1, 0, 0, 0, 60]);
        let bytes = match address {
            IpAddr::V4(four) => four.octets().to_vec(),
            IpAddr::V6(six) => six.octets().to_vec(),
        };
        whole.extend([0, u8::try_from(bytes.len()).unwrap()]);
        whole.extend(bytes);
    }
    (name, whole)
}
