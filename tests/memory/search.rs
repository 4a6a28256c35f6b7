//! Searches all writable memory of this process for bytes that the searcher itself never holds in
//! clear: it keeps them masked, and compares byte by byte.

use std::fs::File;
use std::os::unix::fs::FileExt;

use zeroize::Zeroize;

const MASK: u8 = 0xa7;
/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// A secret, masked, and what it is.
pub(crate) struct Wanted {
    pub(crate) name: String,
    masked: Vec<u8>,
}

impl Wanted {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        // One byte at a time: black_box keeps whole keys out of vector registers and their spills.
        let masked = bytes.iter().map(|byte| core::hint::black_box(*byte) ^ MASK).collect();
        Self { name: name.to_owned(), masked }
    }

    /// From hex, which never was these bytes in memory.
    pub(crate) fn from_hex(name: &str, hex: &str) -> Self {
        let nibble = |at: usize| (hex.as_bytes()[at] as char).to_digit(16).unwrap();
        let masked = (0..hex.len() / 2)
            .map(|at| u8::try_from(nibble(2 * at) << 4 | nibble(2 * at + 1)).unwrap() ^ MASK)
            .collect();
        Self { name: name.to_owned(), masked }
    }

    /// The bytes in clear, in memory that the caller wipes.
    pub(crate) fn plant(&self) -> Vec<u8> {
        self.masked.iter().map(|byte| byte ^ MASK).collect()
    }

    fn is_at(&self, memory: &[u8]) -> bool {
        memory.len() >= self.masked.len()
            && self.masked.iter().zip(memory).all(|(masked, byte)| masked ^ MASK == *byte)
    }
}

/// The names of those that are in memory, and where (the mapping's name).
pub(crate) fn found(wanted: &[Wanted]) -> Vec<(String, String)> {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut buffer = vec![0; CHUNK + 64];
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + buffer.len() as u64;
    let mut first = [false; 256];
    for one in wanted {
        first[usize::from(one.masked[0] ^ MASK)] = true;
    }
    let mut found = Vec::new();
    for (start, end, name) in writable() {
        // The buffer itself holds what was read last.
        for (mut at, end) in [(start, end.min(own.start)), (start.max(own.end), end)] {
            while at < end {
                let length = usize::try_from(end - at).unwrap().min(buffer.len());
                let Ok(length) = memory.read_at(&mut buffer[..length], at) else { break };
                if length == 0 {
                    break;
                }
                for offset in (0..length).filter(|o| first[usize::from(buffer[*o])]) {
                    let here = wanted.iter().filter(|one| one.is_at(&buffer[offset..length]));
                    found.extend(here.map(|one| (one.name.clone(), name.clone())));
                }
                // What begins in the last bytes is whole in the next chunk.
                at += if length > CHUNK { CHUNK as u64 } else { length as u64 };
            }
        }
    }
    buffer.zeroize();
    found.sort();
    found.dedup();
    found
}

/// Start, end and name of every mapping that can be read and written.
fn writable() -> Vec<(u64, u64, String)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut writable = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        if rights.starts_with("rw") {
            let (start, end) = range.split_once('-').unwrap();
            let name = fields.nth(3).unwrap_or("anonymous").to_owned();
            let bound = |text| u64::from_str_radix(text, 16).unwrap();
            writable.push((bound(start), bound(end), name));
        }
    }
    writable
}
