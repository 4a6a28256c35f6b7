//! Everything that is not a valid packet, invite or state is refused with the right code and a
//! one-line message; nothing is written, and the session stays the same, byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use support::{
    Chance, Pair, Run, assert_spoken, feed, lines, peak_memory, shell_code, start, terminal, until,
};

const MIB: usize = 1 << 20;
/// Characters of a text packet of 4,096 bytes, its mark and newline with it.
const LINE: usize = 6 + 5462 + 1;

impl Pair {
    /// Bob accepts none of this, and his session is unchanged.
    #[track_caller]
    fn bob_refuses(&self, input: &[u8]) -> String {
        self.refuses("bob", "recv", input, 4)
    }

    #[track_caller]
    fn refuses(&self, who: &str, args: &str, input: &[u8], code: i32) -> String {
        let before = self.state(who);
        let said = feed(&mut self.end(who, args), input).fails(code);
        assert!(self.state(who) == before, "the state changed");
        said
    }
}

#[test]
fn empty_input() {
    let pair = Pair::strangers();
    pair.alice("recv", b"").fails(8);
    pair.alice("respond", b"").fails(8);
    assert!(!pair.path("alice").exists());
    pair.shake_hands();
    for input in ["", "\n", "\r\n \n"] {
        pair.refuses("bob", "recv", input.as_bytes(), 8);
    }
}

#[test]
fn a_small_packet_cut_at_every_character() {
    let pair = Pair::new();
    let packet = pair.sealed("", b"hi");
    assert_eq!(packet.len(), LINE);
    // The last one has lost only its newline, and is complete.
    let mut cut = Vec::new();
    for end in 1..LINE - 1 {
        cut.extend_from_slice(&packet[..end]);
        cut.push(b'\n');
    }
    let said = pair.bob_refuses(&cut);
    assert!(said.contains("packet: wrong length (5461 times)"), "{said}");
    assert_eq!(pair.bob("recv", &packet[..LINE - 1]).quietly(), b"hi");
}

#[test]
fn a_raw_packet_cut_short() {
    let pair = Pair::new();
    let packet = pair.sealed("--raw", b"hi");
    let mut chance = Chance::new();
    for _ in 0..60 {
        let said = pair.bob_refuses(&packet[..=chance.below(packet.len() - 1)]);
        assert!(said.contains("the input ends inside it"), "{said}");
    }
    assert_eq!(pair.bob("recv", &packet).quietly(), b"hi");
}

#[test]
fn a_large_packet_cut_at_200_places() {
    let pair = Pair::new();
    let text = pair.sealed("--size 1M", b"large");
    let raw =
        [&[0xE9 + 20][..], &URL_SAFE_NO_PAD.decode(text[6..].trim_ascii_end()).unwrap()].concat();
    let mut chance = Chance::new();
    let mut cut = Vec::new();
    for _ in 0..180 {
        cut.extend_from_slice(&text[..chance.below(text.len() - 1)]);
        cut.push(b'\n');
    }
    pair.bob_refuses(&cut);
    for _ in 0..20 {
        pair.bob_refuses(&raw[..=chance.below(raw.len() - 1)]);
    }
    assert_eq!(pair.bob("recv", &raw).quietly(), b"large");
}

#[test]
fn every_bit_of_a_packet_flipped() {
    let pair = Pair::new();
    // The first packet of a chain, which makes its receiver compute most.
    let packet = pair.sealed("--raw", b"hi");
    for half in 0..2 {
        let mut flipped = Vec::with_capacity(4096 * 4 * packet.len());
        for bit in (0..4096 * 8).filter(|bit| bit % 2 == half) {
            let mut packet = packet.clone();
            packet[1 + bit / 8] ^= 1 << (bit % 8);
            flipped.append(&mut packet);
        }
        let said = pair.bob_refuses(&flipped);
        let counts = said.lines().filter_map(|line| {
            let (_, count) = line.strip_suffix(" times)")?.rsplit_once('(')?;
            count.parse::<usize>().ok()
        });
        assert_eq!(counts.sum::<usize>(), 4096 * 4, "{said}");
    }
    assert_eq!(pair.bob("recv", &packet).quietly(), b"hi");
}

#[test]
fn swapped_replayed_missing() {
    let pair = Pair::new();
    let packets = ["0", "1", "2", "3"].map(|text| pair.sealed("", text.as_bytes()));
    let swapped = [&packets[1][..], &packets[0]].concat();
    assert_eq!(pair.bob("recv", &swapped).ok(), b"10");
    pair.bob_refuses(&packets[0]);
    pair.bob_refuses(&swapped);

    let run = pair.bob("recv", &packets[3]);
    assert!(run.err.contains("not here (yet): message 2"), "{}", run.err);
    assert_eq!(run.ok(), b"3");
    // In a mixture, the new one counts; the others are reported.
    let run = pair.bob("recv", &packets.concat());
    assert!(run.err.contains("(3 times)"), "{}", run.err);
    assert_eq!(run.ok(), b"2");
}

#[test]
fn parts_of_a_long_message_in_any_order_twice_and_without_one() {
    let pair = Pair::new();
    let text = Chance::new().bytes(4 * MIB);
    let mut parts = lines(&pair.sealed("", &text));
    assert_eq!(parts.len(), 5);
    parts.reverse();
    parts.push(parts[2].clone());
    let run = pair.bob("recv", &parts.concat());
    assert!(run.err.contains("refused"), "{}", run.err);
    assert!(run.ok() == text);
    pair.bob_refuses(&parts.concat());

    let mut parts = lines(&pair.sealed("", &text));
    let missing = parts.remove(2);
    let run = pair.bob("recv", &parts.concat());
    assert_eq!(run.code, 6, "{}", run.err);
    assert!(text.starts_with(&run.out) && run.out.len() < text.len());
    assert_eq!(pair.bob("recv", &missing).out, b"");
    pair.talk();
}

#[test]
fn packets_of_somebody_else() {
    let [pair, other] = [Pair::new(), Pair::new()];
    for form in ["", "--raw", "--size 64K"] {
        let said = pair.bob_refuses(&other.sealed(form, b"x"));
        assert!(said.contains("another session"), "{said}");
    }
    // What one sends oneself.
    let own = pair.sealed("", b"x");
    pair.refuses("alice", "recv", &own, 4);
    // Random bytes of the right size, and of a raw reply's.
    let mut chance = Chance::new();
    for k in [12, 13, 20_u8] {
        pair.bob_refuses(&[vec![0xE9 + k], chance.bytes(1 << k)].concat());
    }
    pair.talk();
}

#[test]
fn an_invite_serves_once() {
    let pair = Pair::strangers();
    let invite = pair.alice("init", b"").ok();
    let [bob, eve] = ["bob", "eve"].map(|who| feed(&mut pair.end(who, "respond"), &invite).ok());
    pair.alice("recv", &bob).ok();
    for reply in [&eve, &bob] {
        let said = pair.refuses("alice", "recv", reply, 4);
        assert!(said.contains("answered already"), "{said}");
    }
    let said = pair.refuses("alice", "recv", &feed(&mut pair.end("eve", "send"), b"x").ok(), 4);
    assert!(said.contains("another session"), "{said}");
    pair.talk();
}

#[test]
fn a_reply_to_an_invite_that_was_given_up_meanwhile() {
    let pair = Pair::strangers();
    let reply = pair.bob("respond", &pair.alice("init", b"").ok()).ok();
    let mut recv = start(&mut pair.end("alice", "recv"));
    let mut stdin = recv.stdin.take().unwrap();
    stdin.write_all(b"before it\n").unwrap();
    until("recv has looked at the session", || pair.path("alice/default.recv").exists());
    pair.alice("close", b"").ok();
    let invite = pair.alice("init", b"").ok();
    stdin.write_all(&reply).unwrap();
    drop(stdin);
    let output = recv.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    // The invite that counts now is the new one.
    assert_eq!(pair.alice("init --again", b"").quietly(), invite);
}

#[test]
fn replies_and_invites_where_they_do_not_belong() {
    let pair = Pair::strangers();
    let invite = pair.alice("init", b"").ok();
    let said = pair.refuses("alice", "respond", &invite, 13);
    assert!(said.contains("your own session"), "{said}");
    let said = pair.refuses("alice", "recv", &invite, 4);
    assert!(said.contains("otr respond"), "{said}");
    pair.refuses("alice", "send", b"too early", 14);
    assert!(!pair.path("bob/default.state").exists());
    pair.bob("recv", &invite).fails(3);
    pair.bob("send", b"x").fails(3);
    pair.bob("close", b"").fails(3);

    let reply = pair.bob("respond", &invite).ok();
    let said = pair.bob_refuses(&reply);
    assert!(said.contains("the side that made the invite"), "{said}");
    let other = Pair::strangers();
    let unasked = other.bob("respond", &other.alice("init", b"").ok()).ok();
    let said = pair.refuses("alice", "recv", &unasked, 4);
    assert!(said.contains("another invite"), "{said}");
    let said = feed(&mut pair.end("carol", "respond"), &reply).fails(4);
    assert!(said.contains("otr recv"), "{said}");
    let early = pair.bob("send", b"before the reply\n").ok();
    pair.refuses("alice", "recv", &early, 14);
    pair.alice("recv", &reply).ok();
    pair.talk();
}

#[test]
fn a_damaged_reply() {
    let pair = Pair::strangers();
    let reply = pair.bob("respond", &pair.alice("init", b"").ok()).ok();
    let bytes = URL_SAFE_NO_PAD.decode(reply[6..].trim_ascii_end()).unwrap();
    let mut input = Vec::new();
    for at in (0..bytes.len()).step_by(31) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        input.extend_from_slice(format!("otr1r:{}\n", URL_SAFE_NO_PAD.encode(&bytes)).as_bytes());
    }
    pair.refuses("alice", "recv", &input, 4);
    pair.refuses("alice", "recv", &reply[..reply.len() / 2], 4);
    pair.alice("recv", &[input, reply].concat()).ok();
    pair.talk();
}

#[test]
fn a_damaged_invite() {
    let pair = Pair::strangers();
    let invite = pair.alice("init", b"").ok();
    let mut damaged = Vec::new();
    for at in 6..invite.len() - 1 {
        let mut invite = invite.clone();
        invite[at] = if invite[at] == b'A' { b'B' } else { b'A' };
        damaged.append(&mut invite);
    }
    let said = pair.bob("respond", &damaged).fails(4);
    assert!(said.contains("damaged on its way"), "{said}");
    let said = pair.bob("respond", &damaged[..invite.len()]).fails(4);
    assert!(said.contains("invite: wrong checksum"), "{said}");
    for end in [7, 100, 1000, invite.len() - 2] {
        pair.bob("respond", &invite[..end]).fails(4);
    }
    pair.bob("respond", b"hello\n").fails(4);
    assert!(!pair.path("bob/default.state").exists());
    pair.bob("respond", &invite).ok();
}

/// The invite with its bytes changed, and the checksum of what they are now.
fn changed(invite: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = URL_SAFE_NO_PAD.decode(invite[6..].trim_ascii_end()).unwrap();
    bytes.truncate(bytes.len() - 4);
    change(&mut bytes);
    let check = Sha256::digest(&bytes);
    bytes.extend_from_slice(&check[..4]);
    format!("otr1i:{}\n", URL_SAFE_NO_PAD.encode(bytes)).into_bytes()
}

#[test]
fn an_invite_of_the_future_or_of_nobody() {
    let pair = Pair::strangers();
    let invite = pair.alice("init --expires 1h", b"").ok();
    let refused = |change: &dyn Fn(&mut Vec<u8>), code: i32, word: &str| {
        let said = pair.bob("respond", &changed(&invite, change)).fails(code);
        assert!(said.contains(word), "{said}");
        assert!(!pair.path("bob/default.state").exists());
    };
    refused(&|bytes| bytes[0] = 2, 4, "version 2");
    refused(&|bytes| bytes[0] = 0, 4, "version 0");
    refused(&|bytes| bytes[1] = 2, 4, "does not know");
    refused(&|bytes| bytes[1] = 1, 4, "otr: ");
    refused(&|bytes| bytes.push(0), 4, "not a valid invite");
    refused(&|bytes| bytes.truncate(bytes.len() - 1), 4, "wrong length");
    refused(&|bytes| bytes[2..34].fill(0), 4, "not a valid invite");
    refused(&|bytes| bytes[34..1218].fill(0xFF), 4, "not a valid invite");
    // version, flags, keys, commitment and reply address, then the time
    let time = 2 + 32 + 1184 + 32 + 32;
    refused(
        &|bytes| bytes[time..time + 8].copy_from_slice(&1_u64.to_be_bytes()),
        12,
        "has expired",
    );
    let unchanged = changed(&invite, |_| {});
    assert_eq!(unchanged, invite);
    pair.bob("respond", &invite).ok();
}

/// Feeds a GiB of this to `otr ARGS` at Bob's.
fn flood(pair: &Pair, args: &str, first: &[u8], block: &[u8]) {
    const MOST: usize = 24 << 20;
    let before = fs::read(pair.state_path("bob")).ok();
    let mut child = start(&mut pair.end("bob", args));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(first).unwrap();
    for _ in 0..(1 << 30) / block.len() {
        stdin.write_all(block).unwrap();
    }
    let peak = peak_memory(child.id());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    Run { code: shell_code(output.status), out: output.stdout, err }.fails(4);
    assert!(peak < MOST, "{peak}");
    assert!(fs::read(pair.state_path("bob")).ok() == before, "the state changed");
}

#[test]
fn a_gib_of_zeros_or_of_one_letter() {
    let pair = Pair::strangers();
    flood(&pair, "respond", b"otr1i:", &vec![b'A'; MIB]);
    pair.shake_hands();
    flood(&pair, "recv", b"", &vec![0; MIB]);
    flood(&pair, "recv", b"", &vec![b'A'; MIB]);
    flood(&pair, "recv", b"otr1p:", &vec![b'A'; MIB]);
    flood(&pair, "recv", b"\xFF", &vec![0xF5; MIB]);
    pair.talk();
}

/// Every command that needs the state refuses it; `close` still wipes.
#[track_caller]
fn state_is_refused(pair: &Pair, word: &str) {
    let packet = pair.sealed("", b"x");
    for (args, input) in [("recv", &packet[..]), ("send", b"x"), ("respond --again", b"")] {
        let said = pair.bob(args, input).fails(11);
        assert!(said.contains(word), "{args}: {said}");
    }
    pair.bob("init", b"").fails(13);
}

#[test]
fn a_damaged_state() {
    let pair = Pair::new();
    let good = pair.state("bob");
    let path = pair.state_path("bob");
    let mut chance = Chance::new();
    let future = [&good[..9], &[2], &good[10..]].concat();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for (bytes, word) in [
        (Vec::new(), "is empty"),
        (chance.bytes(good.len()), "damaged"),
        (chance.bytes(20), "damaged"),
        (good[..good.len() - 1].to_vec(), "damaged"),
        ([&good[..], b"\0"].concat(), "damaged"),
        (flipped, "damaged"),
        (future, "version 2"),
    ] {
        fs::write(&path, bytes).unwrap();
        state_is_refused(&pair, word);
    }
    // What is left to do.
    fs::write(&path, b"otr state of no use").unwrap();
    let said = pair.bob("close", b"").fails(11);
    assert!(said.contains("wiped, but the other side was not told"), "{said}");
    assert!(!path.exists());
    fs::write(&path, good).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    pair.talk();
}

#[test]
fn a_state_that_others_can_reach() {
    let pair = Pair::new();
    let path = pair.state_path("bob");
    for mode in [0o604, 0o640, 0o660, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        state_is_refused(&pair, "open to other users");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let aside = pair.path("aside");
    fs::hard_link(&path, &aside).unwrap();
    state_is_refused(&pair, "hard link");
    fs::remove_file(&path).unwrap();
    symlink(&aside, &path).unwrap();
    state_is_refused(&pair, "symlink");
    fs::remove_file(&path).unwrap();
    fs::rename(&aside, &path).unwrap();

    let directory = pair.path("bob");
    fs::set_permissions(&directory, Permissions::from_mode(0o750)).unwrap();
    let said = pair.bob("send", b"x").fails(11);
    assert!(said.contains("chmod 700"), "{said}");
    fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
    symlink(&directory, pair.path("link")).unwrap();
    for link in ["link", "link/", "link/."] {
        let run = feed(pair.end("bob", "send").arg("--dir").arg(pair.path(link)), b"x");
        run.fails(11);
    }
    pair.talk();
}

/// Under another name a state stays the same: names belong to the user, and nothing that only one
/// of two copies knows protects against the other.
#[test]
fn a_state_under_another_name_is_that_session() {
    let pair = Pair::new();
    let other = pair.path("bob/other.state");
    fs::rename(pair.state_path("bob"), &other).unwrap();
    pair.bob("send", b"x").fails(3);
    let packet = pair.bob("-s other send", b"moved").ok();
    assert_eq!(pair.alice("recv", &packet).ok(), b"moved");
}

/// A directory on a disk.
fn on_disk() -> tempfile::TempDir {
    let memory =
        |path: &Path| rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == 0x0102_1994);
    let places = [PathBuf::from(env!("CARGO_TARGET_TMPDIR")), "/var/tmp".into()];
    let place = places.iter().find(|place| place.is_dir() && !memory(place));
    let place = place.unwrap_or_else(|| panic!("this test needs one of {places:?} on a disk"));
    let closed = Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(closed).tempdir_in(place).unwrap()
}

#[test]
fn a_disk_is_refused_unless_it_is_allowed() {
    let pair = Pair::new();
    let disk = on_disk();
    let on = |args: &str| {
        let mut command = pair.end("bob", args);
        command.env("OTR_DIR", disk.path());
        command
    };
    let said = feed(&mut on("init"), b"").fails(11);
    assert!(said.contains("not on a memory file system"), "{said}");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0);
    fs::copy(pair.state_path("bob"), disk.path().join("default.state")).unwrap();
    let packet = pair.sealed("", b"hi");
    feed(&mut on("recv"), &packet).fails(11);
    for (args, input) in [("recv --allow-disk", &packet[..]), ("send --allow-disk", b"")] {
        let run = feed(&mut on(args), input);
        assert!(run.err.contains("lies on a disk"), "{}", run.err);
        assert_spoken(&run.err);
        run.ok();
    }
}

#[test]
fn a_terminal_as_stdin() {
    let pair = Pair::new();
    let before = pair.state("bob");
    for (args, typed, code) in [
        ("recv", b"\x04".as_slice(), 8),
        ("recv", b"no packet\r\x04", 4),
        ("recv", b"otr1p:AAAA\r\x04", 4),
        ("-s new respond", b"\x04", 8),
    ] {
        let (mut person, program) = terminal();
        let mut command = pair.end("bob", args);
        command.stdin(program.try_clone().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // If typed at once, it would be edited as a line, before anybody switched that off.
        until("the terminal hands out single characters", || {
            let modes = rustix::termios::tcgetattr(&program).unwrap().local_modes;
            !modes.contains(rustix::termios::LocalModes::ICANON)
                || child.try_wait().unwrap().is_some()
        });
        person.write_all(typed).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("Ctrl-D"), "{said}");
        Run { code: shell_code(output.status), out: output.stdout, err: said }.fails(code);
        let modes = rustix::termios::tcgetattr(&program).unwrap().local_modes;
        assert!(modes.contains(rustix::termios::LocalModes::ICANON), "given back");
    }
    assert!(pair.state("bob") == before, "the state changed");
}

#[test]
fn what_cannot_be_read_or_is_not_meant() {
    let pair = Pair::new();
    let [alice, bob] = ["alice", "bob"].map(|who| pair.state(who));
    pair.sh("bob recv < $PLACE").fails(1);
    pair.sh("alice send < $PLACE").fails(1);
    let said = pair.alice("send letter.txt", b"").fails(2);
    assert!(said.contains("echo letter.txt | otr send"), "{said}");
    fs::write(pair.path("letter.txt"), "hello").unwrap();
    let said = pair.alice("send letter.txt", b"").fails(2);
    assert!(said.contains("otr send < letter.txt"), "{said}");
    assert!([alice, bob] == ["alice", "bob"].map(|who| pair.state(who)), "a state changed");
    let packet = pair.sealed("", b"x");
    pair.refuses("bob", "recv -o /nowhere/at/all", &packet, 1);
    assert_eq!(pair.bob("recv", &packet).quietly(), b"x");
}
