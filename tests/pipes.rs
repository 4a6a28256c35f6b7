//! `send` and `recv` between other programs: streams, mail, files, pipes that close early and
//! disks that are full.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::thread;

use support::{
    Chance, Pair, assert_spoken, feed, lines, peak_memory, shell_code, start, terminal, tool, until,
};

const MIB: usize = 1 << 20;

#[test]
fn a_directory_goes_through_as_tar() {
    drop(tool("tar", "tar"));
    let pair = Pair::new();
    let run = pair.sh("set -e
        mkdir dir out
        head -c 3000000 /dev/urandom > dir/big
        echo small > dir/small
        ln -s small dir/link
        tar c dir | alice send --raw | bob recv | tar x -C out
        diff -r dir out/dir
        tar c dir | alice send | bob recv | tar x -C out
        diff -r dir out/dir");
    assert_eq!(run.quietly(), b"");
}

#[test]
fn bytes_are_not_for_a_terminal() {
    let pair = Pair::new();
    let before = pair.state("alice");
    let (person, program) = terminal();
    let mut command = pair.end("alice", "send --raw");
    let output = command
        .stdin(Stdio::null())
        .stdout(program.try_clone().unwrap())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_spoken(&said);
    assert!(pair.state("alice") == before, "the state changed");
    drop(command);
    // Nothing was written: the first thing that comes is what we write now.
    (&program).write_all(b"!").unwrap();
    let mut byte = [0];
    (&person).read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"!");
}

#[test]
fn a_line_arrives_before_the_input_ends() {
    let pair = Pair::new();
    let mut send = start(&mut pair.end("alice", "send --lines"));
    let mut command = pair.end("bob", "recv");
    command.stdin(send.stdout.take().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut recv = command.spawn().unwrap();
    let mut typed = send.stdin.take().unwrap();
    let mut shown = BufReader::new(recv.stdout.take().unwrap());
    for text in ["one\n", "\n", "three\n"] {
        typed.write_all(text.as_bytes()).unwrap();
        let mut line = String::new();
        shown.read_line(&mut line).unwrap();
        assert_eq!(line, text);
    }
    typed.write_all(b"the last, without a newline").unwrap();
    drop(typed);
    let mut rest = String::new();
    shown.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "the last, without a newline");
    assert!(send.wait().unwrap().success() && recv.wait().unwrap().success());
}

#[test]
fn lines_of_all_lengths_are_messages() {
    let pair = Pair::new();
    // Around the largest packet that the state keeps, and around the large ones of a stream.
    let lengths = [0, 1, 1691, 1692, 63_000, 63_132, 63_133, 65_534, 65_535, 65_536, 2 * MIB, 5];
    let text: Vec<u8> =
        lengths.iter().flat_map(|&n| [vec![b'x'; n], vec![b'\n']].concat()).collect();
    let packets = pair.sealed("--lines", &text);
    let run = pair.bob("recv --json", &packets);
    let got: Vec<usize> = lines(&run.quietly())
        .iter()
        .map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap())
        .map(|object| usize::try_from(object["bytes"].as_u64().unwrap()).unwrap() - 1)
        .collect();
    assert_eq!(got, lengths);
    assert_eq!(pair.sealed("--lines", b""), b"");
}

/// Puts something before each line, and ends it as mail does.
fn quoted(text: &[u8], before: &str) -> Vec<u8> {
    let line = |line: Vec<u8>| [before.as_bytes(), line.trim_ascii_end(), b"\r\n"].concat();
    lines(text).into_iter().flat_map(line).collect()
}

/// Messages that overtake each other: those that wait for the end of another one are held, not
/// given up.
#[test]
fn short_messages_among_the_packets_of_a_long_one_all_come() {
    let pair = Pair::new();
    assert_eq!(pair.bob("recv", &pair.sealed("", b"zero\n")).ok(), b"zero\n");
    let (one, two) = (pair.sealed("", b"one\n"), pair.sealed("", b"two\n"));
    let long = vec![b'x'; 5 * MIB / 2];
    let packets = lines(&pair.sealed("", &long));
    assert!(packets.len() >= 3, "several packets");
    let input = [&packets[0][..], &one, &two, &packets[1..].concat()].concat();
    let run = pair.bob("recv", &input);
    assert!(run.ok() == [&long[..], b"one\n", b"two\n"].concat());
}

#[test]
fn a_packet_survives_mail_quoting_and_chat() {
    let pair = Pair::new();
    let head = b"From: alice\r\nSubject: a = b; otr1 is not otr1p\r\n\r\n";
    let wrapped = pair.sealed("--wrap 76", b"in a mail\n");
    assert!(lines(&wrapped).iter().all(|line| line.len() <= 77) && lines(&wrapped).len() > 50);
    let mail = [head, &quoted(&wrapped, "> > ")[..], b"> > -- \r\n> > alice\r\n"].concat();
    let before = pair.state("bob");
    let said = pair.bob("recv --strict", &mail).fails(4);
    assert!(said.contains("--strict"), "{said}");
    assert!(pair.state("bob") == before, "the state changed");
    let run = pair.bob("recv", &mail);
    assert!(run.err.contains("passed over 4 lines"), "{}", run.err);
    assert_eq!(run.ok(), b"in a mail\n");

    let [one, two] = ["first\n", "second\n"].map(|text| pair.sealed("", text.as_bytes()));
    let log = [
        b"12:01 <bob> where are you?\n".as_slice(),
        &quoted(&one, "12:02 <alice> "),
        b"12:03 <bob> otr1p: looks odd\n",
        &quoted(&two, "12:04 <alice> "),
    ]
    .concat();
    let run = pair.bob("recv", &log);
    assert_eq!(run.ok(), b"first\nsecond\n");
    assert_eq!(pair.bob("recv --strict", &pair.sealed("", b"bare")).quietly(), b"bare");
}

#[test]
fn strict_takes_no_reply_out_of_a_mail() {
    let pair = Pair::strangers();
    let reply = pair.bob("respond", &pair.alice("init", b"").ok()).ok();
    let before = pair.state("alice");
    let mail = [b"Subject: your invite\n\n".to_vec(), reply].concat();
    pair.alice("recv --strict", &mail).fails(4);
    assert!(pair.state("alice") == before, "the state changed");
    pair.alice("recv", &mail).ok();
    pair.talk();
}

#[test]
fn json_is_one_object_a_message() {
    let pair = Pair::new();
    let packets = [
        pair.sealed("", b"caf\xc3\xa9 \"1\"\n\x1b"),
        pair.sealed("", b"\xff\x00"),
        pair.sealed("", b""),
    ]
    .concat();
    let out = pair.bob("-s default recv --json", &packets).quietly();
    let text = String::from_utf8(out).unwrap();
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 3);
    let expected = serde_json::json!({"session": "default", "message": 0, "bytes": 11,
        "text": "café \"1\"\n\u{1b}", "authenticated": [], "missing": []});
    assert_eq!(objects[0], expected);
    assert_eq!(objects[1]["base64"], "/wA=");
    assert!(objects[1].get("text").is_none());
    assert_eq!((&objects[2]["text"], &objects[2]["message"]), (&"".into(), &2.into()));

    let run = pair.bob("recv --json", &packets);
    assert_eq!((run.code, run.out.len()), (4, 0));
    let last: serde_json::Value = serde_json::from_str(run.err.lines().last().unwrap()).unwrap();
    assert_eq!((&last["error"], &last["code"]), (&"refused".into(), &4.into()));
}

#[test]
fn a_nul_ends_each_message() {
    let pair = Pair::new();
    let packets = ["a", "", "b\n"].map(|text| pair.sealed("", text.as_bytes())).concat();
    assert_eq!(pair.bob("recv --null", &packets).quietly(), b"a\0\0b\n\0");
    let long = vec![b'x'; 3 * MIB];
    let out = pair.bob("recv --null", &pair.sealed("--raw", &long)).quietly();
    assert!(out == [&long[..], b"\0"].concat());
}

/// How much of a message is there before it is complete, and whether its file is.
fn part_and_file(pair: &Pair) -> (u64, bool) {
    let beside = fs::read_dir(pair.path("")).unwrap().map(Result::unwrap);
    let part = beside.filter(|file| {
        let name = file.file_name().into_string().unwrap();
        name.starts_with(".file.") && name.ends_with(".otr-part")
    });
    (part.map(|part| part.metadata().unwrap().len()).sum(), pair.path("file").exists())
}

#[test]
fn a_file_appears_when_its_message_is_whole() {
    let pair = Pair::new();
    let text = Chance::new().bytes(3 * MIB);
    let packets = pair.sealed("--raw", &text);
    let mut recv = start(&mut pair.end("bob", "recv -o file"));
    let mut stdin = recv.stdin.take().unwrap();
    stdin.write_all(&packets[..packets.len() / 2]).unwrap();
    until("a part of the message is there", || part_and_file(&pair).0 > 0);
    assert!(!part_and_file(&pair).1);
    stdin.write_all(&packets[packets.len() / 2..]).unwrap();
    drop(stdin);
    assert!(recv.wait().unwrap().success());
    assert_eq!(part_and_file(&pair), (0, true));
    assert!(fs::read(pair.path("file")).unwrap() == text);

    // Unless told to, it replaces nothing, and then accepts nothing.
    let next = pair.sealed("", b"next");
    let before = pair.state("bob");
    let said = pair.bob("recv -o file", &next).fails(13);
    assert!(said.contains("--force"), "{said}");
    assert!(pair.state("bob") == before, "the state changed");
    assert_eq!(pair.bob("recv -o file --force", &next).quietly(), b"");
    assert_eq!(fs::read(pair.path("file")).unwrap(), b"next");
}

#[test]
fn parts_that_come_in_one_read_make_one_file() {
    let pair = Pair::new();
    let text = Chance::new().bytes(MIB);
    // From a file it is read in blocks of 64 KiB: the end of the first line and the second one
    // lie in one.
    let packets = pair.sealed("", &text);
    assert_eq!((lines(&packets).len(), lines(&packets)[0].len() / (64 << 10)), (2, 21));
    fs::write(pair.path("packets"), &packets).unwrap();
    assert_eq!(pair.sh("bob recv -o file < packets").quietly(), b"");
    assert!(fs::read(pair.path("file")).unwrap() == text);
}

#[test]
fn a_file_takes_one_message_and_leaves_the_others() {
    let pair = Pair::new();
    let packets = ["one", "two"].map(|text| pair.sealed("", text.as_bytes())).concat();
    let run = pair.bob("recv -o file", &packets);
    assert!(run.err.contains("1 packet left for another run"), "{}", run.err);
    run.ok();
    assert_eq!(fs::read(pair.path("file")).unwrap(), b"one");
    assert_eq!(pair.bob("recv", &packets).ok(), b"two");
}

#[test]
fn a_file_goes_on_where_a_killed_run_ended() {
    let pair = Pair::new();
    let text = Chance::new().bytes(5 * MIB);
    let packets = pair.sealed("--raw", &text);
    let before = pair.state("bob");
    let mut recv = start(&mut pair.end("bob", "recv -o file"));
    let mut stdin = recv.stdin.take().unwrap();
    stdin.write_all(&packets[..3 * MIB]).unwrap();
    until("a part is stored", || {
        part_and_file(&pair).0 > 0 && fs::read(pair.state_path("bob")).unwrap() != before
    });
    recv.kill().unwrap();
    recv.wait().unwrap();
    assert!(!part_and_file(&pair).1);
    let run = pair.bob("recv -o file", &packets);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(part_and_file(&pair), (0, true));
    assert!(fs::read(pair.path("file")).unwrap() == text);
}

#[test]
fn what_ends_too_early_is_cut_short_and_no_file() {
    let pair = Pair::new();
    let text = Chance::new().bytes(3 * MIB);
    let packets = pair.sealed("--raw", &text);
    let some = &packets[..packets.len() - 10];
    let said = pair.bob("recv -o file", some).fails(6);
    assert!(said.contains("message 0 ended before the end"), "{said}");
    assert!(!part_and_file(&pair).1);

    let packets = pair.sealed("--raw", &text);
    let run = pair.bob("recv", &packets[..2 * MIB]);
    assert_eq!(run.code, 6, "{}", run.err);
    assert!(text.starts_with(&run.out) && run.out.len() < text.len());
    // What is missing comes too late.
    let run = pair.bob("recv", &packets);
    assert_eq!((run.code, run.out.len()), (0, 0), "{}", run.err);
    pair.talk();
}

/// How many published keys, and how many packets.
fn counted(output: &[u8]) -> (usize, usize) {
    let count = |mark: &[u8]| lines(output).iter().filter(|line| line.starts_with(mark)).count();
    (count(b"otr1k:"), count(b"otr1p:"))
}

#[test]
fn keys_are_published_with_the_next_packets_or_elsewhere() {
    let pair = Pair::new();
    let packets = ["1", "2", "3"].map(|text| pair.sealed("", text.as_bytes())).concat();
    pair.bob("recv", &packets).quietly();
    let kept = pair.bob("send --no-keys", b"").quietly();
    assert_eq!(counted(&kept), (0, 1));
    assert_eq!(pair.alice("recv", &kept).quietly(), b"");
    let sent = pair.bob("send", b"").quietly();
    assert_eq!(counted(&sent), (3, 1));
    assert_eq!(counted(&pair.bob("send", b"").quietly()), (0, 1));
    // Keys that the other side published are not a message, and not an error.
    assert_eq!(pair.alice("recv", &sent).quietly(), b"");
    let keys: Vec<u8> = lines(&sent).into_iter().take(3).flatten().collect();
    assert_eq!(pair.alice("recv", &keys).quietly(), b"");

    let packets = ["4", "5"].map(|text| pair.sealed("--no-keys", text.as_bytes())).concat();
    pair.bob("recv --reveal keys", &packets).quietly();
    pair.bob("recv --reveal keys", &pair.sealed("--no-keys", b"6")).quietly();
    let revealed = fs::read(pair.path("keys")).unwrap();
    assert_eq!(counted(&revealed), (3, 0));
    assert_eq!(counted(&pair.bob("send", b"").quietly()), (0, 1));
}

#[test]
fn a_packet_has_at_least_the_size_asked_for() {
    let pair = Pair::new();
    for (size, bytes) in [("4K", 4096), ("5000", 8192), ("64K", 65_536), ("1M", MIB)] {
        let raw = pair.sealed(&format!("--raw --size {size}"), b"x");
        assert_eq!(raw.len(), 1 + bytes);
        assert_eq!(pair.bob("recv", &raw).quietly(), b"x");
    }
    let run = pair.alice("send --size 2M", b"x");
    assert_eq!((run.code, run.out.len()), (2, 0));
}

#[test]
fn the_last_short_message_comes_again_as_the_same_bytes() {
    let pair = Pair::new();
    pair.alice("send --last", b"").fails(4);
    pair.alice("recv", &pair.bob("send", b"x").ok()).ok();
    let sent = pair.sealed("", b"lost on its way");
    assert_eq!(counted(&sent), (1, 1));
    let packet: Vec<u8> = lines(&sent).pop().unwrap();
    for _ in 0..2 {
        assert_eq!(pair.sealed("--last", b"not read"), packet);
    }
    assert_eq!(pair.bob("recv", &packet).quietly(), b"lost on its way");
    pair.bob("recv", &pair.sealed("--last", b"")).fails(4);
    pair.sealed("--raw", &vec![0; MIB]);
    pair.alice("send --last", b"").fails(4);
}

#[test]
fn who_stops_reading_ends_us_by_sigpipe_and_the_state_stays_whole() {
    let pair = Pair::new();
    let run = pair.sh(
        "{ head -c 5000000 /dev/zero | alice send --raw; echo $? > send; } | head -c 1 > /dev/null
        { sleep 0.1; echo hi | alice send; echo $? >> send; } | true
        alice send --last > packet
        head -c 5000000 /dev/zero | alice send --raw > packets
        { sleep 0.1; bob recv < packet; echo $? > recv; } | true
        bob recv < packet
        { bob recv < packets; echo $? >> recv; } | head -c 1 > /dev/null
        cat send recv",
    );
    let text = String::from_utf8(run.out).unwrap();
    assert_eq!(text, "hi\n141\n141\n141\n141\n");
    assert!(!run.err.contains("panick"), "{}", run.err);
    pair.talk();
}

#[test]
fn a_full_output_is_an_error_and_takes_nothing() {
    let pair = Pair::new();
    let packet = pair.sealed("", b"hi\n");
    let before = pair.state("bob");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    fs::write(pair.path("packet"), &packet).unwrap();
    let run = pair.sh("bob recv < packet > /dev/full");
    assert!(run.fails(1).contains("stdout"));
    assert!(pair.state("bob") == before, "the state changed");
    assert_eq!(pair.bob("recv", &packet).quietly(), b"hi\n");
    // What was sealed is kept for another try.
    let output = pair.end("bob", "send").stdin(Stdio::null()).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(pair.alice("recv", &pair.bob("send --last", b"").quietly()).quietly(), b"");
}

#[test]
fn a_full_file_system_leaves_the_state_as_it_was() {
    let pair = Pair::strangers();
    // A small tmpfs where one may be mounted; elsewhere no file may grow: the same error path.
    let run = pair.sh("full='trap \"\" XFSZ; ulimit -f 64'
        mounted='mkdir -m 700 alice && mount -t tmpfs -o size=64k,mode=700 none alice'
        if [ $(id -u) = 0 ] && unshare -m sh -c 'mount -t tmpfs none /mnt' 2> /dev/null
        then prefix='unshare -m' full=$mounted
        fi
        export full; $prefix sh -c '
            set -e
            eval \"$full\"
            alice() { OTR_DIR=$PLACE/alice otr \"$@\"; }
            bob() { OTR_DIR=$PLACE/bob otr \"$@\"; }
            alice init | bob respond | alice -q recv
            cp alice/default.state before
            code=0; head -c 50000 /dev/zero | alice send > packets || code=$?
            echo $code $(wc -c < packets)
            cmp before alice/default.state
            ls alice
            echo there is room for this | alice send | bob recv
            echo and for an answer | bob send | alice recv
        '");
    assert_eq!(
        String::from_utf8_lossy(&run.out),
        "10 0\ndefault.lock\ndefault.recv\ndefault.send\ndefault.state\n\
         there is room for this\nand for an answer\n",
        "{}",
        run.err
    );
    assert_spoken(&run.err);
    assert_eq!((run.code, run.err.lines().count()), (0, 1), "{}", run.err);
}

/// A stream from Alice's stdin to Bob's stdout.
struct Stream {
    send: Child,
    recv: Child,
    reading: thread::JoinHandle<u64>,
}

impl Stream {
    fn new(pair: &Pair) -> Self {
        let mut send = start(&mut pair.end("alice", "send --raw"));
        let mut command = pair.end("bob", "recv -q");
        command.stdin(send.stdout.take().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut recv = command.spawn().unwrap();
        let mut out = recv.stdout.take().unwrap();
        let reading = thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()).unwrap());
        Self { send, recv, reading }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.send.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// How many bytes came out in all.
    fn end(mut self) -> u64 {
        drop(self.send.stdin.take());
        for end in [self.send, self.recv] {
            let output = end.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((shell_code(output.status), said.as_str()), (0, ""));
        }
        self.reading.join().unwrap()
    }
}

#[test]
fn a_chat_goes_on_beside_a_stream() {
    let pair = Pair::new();
    let mut stream = Stream::new(&pair);
    let block = vec![0x5A; MIB];
    for round in 0..64 {
        stream.write(&block);
        if round % 4 == 0 {
            let text = format!("round {round}").into_bytes();
            let packet = pair.bob("send", &text).quietly();
            assert_eq!(pair.alice("recv", &packet).quietly(), text);
        }
    }
    assert_eq!(stream.end(), 64 << 20);
    pair.talk();
}

#[test]
fn a_second_send_waits_its_turn() {
    let pair = Pair::new();
    let mut stream = Stream::new(&pair);
    stream.write(&vec![0; 2 * MIB]);
    until("the stream has the turn", || pair.path("alice/default.send").exists());
    pair.alice("send --lock-wait 1s", b"x").fails(15);
    let mut second = start(&mut pair.end("alice", "send"));
    drop(second.stdin.take());
    assert_eq!(stream.end(), 2 << 20);
    let output = second.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(pair.bob("recv", &output.stdout).quietly(), b"");
}

#[test]
fn a_stream_needs_little_memory() {
    const MOST: usize = 24 << 20;
    const BLOCKS: u64 = 512;
    let pair = Pair::new();
    let mut stream = Stream::new(&pair);
    let block = vec![0; MIB];
    for _ in 0..BLOCKS {
        stream.write(&block);
    }
    // Both still wait for more: this is the peak of the whole stream.
    let peaks = [stream.send.id(), stream.recv.id()].map(peak_memory);
    assert_eq!(stream.end(), BLOCKS << 20);
    assert!(peaks.iter().all(|&peak| peak < MOST), "{peaks:?}");
}

#[test]
fn a_stream_does_not_go_on_in_another_session_of_the_same_name() {
    let pair = Pair::new();
    let mut send = start(&mut pair.end("alice", "send --raw"));
    let mut stdin = send.stdin.take().unwrap();
    let mut out = send.stdout.take().unwrap();
    stdin.write_all(&vec![0; 2 * MIB]).unwrap();
    // The stream has begun: its numbers are taken, not only its lock.
    let mut packets = vec![0];
    out.read_exact(&mut packets).unwrap();
    let reading = thread::spawn(move || {
        out.read_to_end(&mut packets).unwrap();
        packets
    });
    pair.alice("close", b"").ok();
    let invite = pair.alice("init", b"").ok();
    let reply = feed(&mut pair.end("eve", "respond"), &invite).ok();
    pair.alice("recv", &reply).ok();
    // More than fits the numbers that were taken at once.
    let block = vec![0; MIB];
    for _ in 0..300 {
        if stdin.write_all(&block).is_err() {
            break;
        }
    }
    drop(stdin);
    let output = send.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let packets = reading.join().unwrap();
    let eve = feed(&mut pair.end("eve", "recv"), &packets);
    assert_eq!(eve.code, 4, "{}", eve.err);
    assert_ne!(shell_code(output.status), 0);
    assert_spoken(&said);
}
