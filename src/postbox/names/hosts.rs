//! `/etc/hosts`: an address and its names on each line.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;

const PATH: &str = "/etc/hosts";
/// The most bytes to read of it: blocklists have about 10 MiB.
const SIZE_MAX: u64 = 64 << 20;

/// The addresses that the file has for a name in lower case; none if there is no such file.
pub(super) fn addresses(name: &str) -> Vec<IpAddr> {
    let mut text = Vec::new();
    let read = File::open(PATH).and_then(|file| file.take(SIZE_MAX).read_to_end(&mut text));
    if read.is_err() { Vec::new() } else { of(&text, name) }
}

fn of(file: &[u8], name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in file.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        // A line that is not UTF-8 names no host that a user could ask for.
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let mut words = line.split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        let is_it = |word: &str| word.trim_end_matches('.').eq_ignore_ascii_case(name);
        if words.any(is_it) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_addresses_of_all_its_lines() {
        let file = b"# box 10.9.9.9\n127.0.0.1\tlocalhost\n\n10.0.0.1 a Box.example. box # old\r\n\
            fd00::1 box.example\n10.0.0.1 box.example\n300.0.0.1 box.example\n\xFF box.example\n\
            10.0.0.2 otherbox.example #box.example";
        let ips = |texts: &[&str]| {
            texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>()
        };
        assert_eq!(of(file, "box.example"), ips(&["10.0.0.1", "fd00::1"]));
        assert_eq!(of(file, "box"), ips(&["10.0.0.1"]));
        assert_eq!(of(file, "example"), ips(&[]));
        assert_eq!(of(b"", "box"), ips(&[]));
    }
}
