//! A judge who has transcripts, and his criteria: their structure, bytes that are always the same,
//! and how random the rest is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use otr::armor::{Item, Scanner};
use otr::protocol::deniability::forge::verifies;

/// What a judge has: transcripts, and the texts of each.
pub(crate) struct Corpus(pub(crate) Vec<Vec<Item>>);

pub(crate) fn items(transcript: &[u8]) -> Vec<Item> {
    let mut scanner = Scanner::new();
    let mut items = Vec::new();
    for chunk in transcript.chunks(1 << 12) {
        scanner.space()[..chunk.len()].copy_from_slice(chunk);
        scanner.filled(chunk.len());
        items.extend(std::iter::from_fn(|| scanner.next_item()));
    }
    scanner.finish();
    items.extend(std::iter::from_fn(|| scanner.next_item()));
    items
}

pub(crate) fn bytes(item: &Item) -> (&'static str, &[u8]) {
    match item {
        Item::Invite(bytes) => ("invite", bytes),
        Item::Reply(bytes) => ("reply", bytes),
        Item::Packet(bytes) => ("packet", bytes),
        Item::Key(bytes) => ("key", bytes),
        Item::Damaged(_) => ("damaged", b""),
    }
}

/// Order, kinds and sizes; of each key which packet it names, and whether it verifies it.
pub(crate) fn structure(transcript: &[Item]) -> String {
    let mut told = String::new();
    for item in transcript {
        let (kind, bytes) = bytes(item);
        write!(told, "{kind} {}", bytes.len()).unwrap();
        if let Item::Key(key) = item {
            for (at, other) in transcript.iter().enumerate() {
                if let Item::Packet(packet) = other
                    && packet[..32] == key[..32]
                {
                    write!(told, " of {at}, {}", verifies(key, packet)).unwrap();
                }
            }
        }
        let copies = transcript.iter().filter(|other| *other == item).count();
        if copies > 1 {
            write!(told, ", there {copies} times").unwrap();
        }
        told.push('\n');
    }
    told
}

/// By kind and place, the value that a byte has in every item; of up to 8,192 places.
pub(crate) fn constants(corpus: &Corpus) -> BTreeMap<(&'static str, usize), u8> {
    let mut seen: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for item in corpus.0.iter().flatten() {
        let (kind, bytes) = bytes(item);
        seen.entry(kind).or_default().push(bytes);
    }
    let mut constants = BTreeMap::new();
    for (kind, all) in seen {
        let shortest = all.iter().map(|bytes| bytes.len()).min().unwrap_or_default();
        for at in 0..shortest {
            if all.iter().all(|bytes| bytes[at] == all[0][at]) {
                constants.insert((kind, at), all[0][at]);
            }
        }
    }
    constants
}

/// How far the counts of byte values, bits and repeated neighbours lie from chance, in standard
/// deviations; of all that has to look random.
pub(crate) fn deviations(corpus: &Corpus) -> [f64; 3] {
    let mut counts = [0_f64; 256];
    let (mut ones, mut repeats, mut total) = (0_f64, 0_f64, 0_f64);
    for item in corpus.0.iter().flatten() {
        let (kind, bytes) = bytes(item);
        if kind == "invite" {
            continue;
        }
        for &byte in bytes {
            counts[usize::from(byte)] += 1.0;
            ones += f64::from(byte.count_ones());
            total += 1.0;
        }
        repeats += bytes.windows(2).map(|two| f64::from(u8::from(two[0] == two[1]))).sum::<f64>();
    }
    let expected = total / 256.0;
    let chi_square: f64 = counts.iter().map(|n| (n - expected).powi(2) / expected).sum();
    [
        (chi_square - 255.0) / (2.0 * 255.0_f64).sqrt(),
        (ones - total * 4.0) / (total * 2.0).sqrt(),
        (repeats - expected) / expected.sqrt(),
    ]
}

/// Whether made-up transcripts can be told from real ones; why.
pub(crate) fn judge(real: &Corpus, suspect: &Corpus) -> Result<(), String> {
    for (a, b) in real.0.iter().zip(&suspect.0) {
        let (a, b) = (structure(a), structure(b));
        if a != b {
            return Err(format!("structure:\n{a}---\n{b}"));
        }
    }
    let (a, b) = (constants(real), constants(suspect));
    if a != b {
        let flaw = b.iter().find(|(place, value)| a.get(place) != Some(value));
        return Err(format!("constant: {flaw:?}"));
    }
    for (which, deviation) in deviations(suspect).into_iter().enumerate() {
        // Seven standard deviations: not once in a hundred thousand million runs.
        if deviation.abs() > 7.0 {
            return Err(format!("randomness {which}: {deviation}"));
        }
    }
    Ok(())
}

/// Numbers that chance makes, taken out: addresses, chi-square, p.
pub(crate) fn without_chance(told: &str) -> String {
    let chancy = |word: &str| {
        word.contains('…') || word.contains('.') && word.chars().any(|c| c.is_ascii_digit())
    };
    let line = |line: &str| {
        let words = line.split_whitespace().map(|word| if chancy(word) { "*" } else { word });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    told.lines().map(line).collect()
}
