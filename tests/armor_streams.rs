//! Armor, and everything that mail, chats, pipes and attackers do to it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of #[test]")]

use otr::armor::{Form, Item, Reason, Scanner, Wrap, encode};
use proptest::prelude::*;

/// Reads `input` in pieces of these sizes, over and over, as from a pipe.
fn scan_in(input: &[u8], pieces: &[usize]) -> (Vec<Item>, Scanner) {
    let mut scanner = Scanner::new();
    let mut items = Vec::new();
    let mut pieces = pieces.iter().cycle();
    let mut rest = input;
    while !rest.is_empty() {
        let piece = (*pieces.next().unwrap()).clamp(1, rest.len());
        let count = scanner.push(&rest[..piece]);
        assert!(count > 0, "no room");
        rest = &rest[count..];
        items.extend(std::iter::from_fn(|| scanner.next_item()));
    }
    scanner.finish();
    items.extend(std::iter::from_fn(|| scanner.next_item()));
    (items, scanner)
}

fn scan(input: &[u8]) -> Vec<Item> {
    scan_in(input, &[usize::MAX]).0
}

/// Bytes that look random and are the same each time.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap()
    };
    (0..len).map(|_| next()).collect()
}

fn write(out: &mut Vec<u8>, item: &Item, wrap: Option<Wrap>) {
    match item {
        Item::Invite(bytes) => encode::invite(out, bytes, wrap),
        Item::Reply(bytes) => encode::reply(out, bytes, wrap),
        Item::Packet(bytes) => encode::packet(out, bytes, wrap),
        Item::Key(bytes) => encode::key(out, bytes, wrap),
        Item::Damaged(_) => unreachable!(),
    }
}

fn items(sizes: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = Item> {
    let packet = (sizes, any::<u64>()).prop_map(|(k, seed)| Item::Packet(noise(seed, 1 << k)));
    prop_oneof![
        (1292..=2348_usize, any::<u64>()).prop_map(|(len, seed)| Item::Invite(noise(seed, len))),
        any::<u64>().prop_map(|seed| Item::Reply(noise(seed, 8192))),
        packet,
        any::<u64>().prop_map(|seed| Item::Key(noise(seed, 64).try_into().unwrap())),
    ]
}

fn unrelated_line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "hello",
        "-- ",
        "> ",
        "From: Alice <alice@example.org>",
        "Content-Type: text/plain; charset=utf-8",
        "[12:03] <bob> otr is nice",
        "lines begin with otr1p: or so",
        "> > hello",
        "otr1",
        "otr1x:AAAA",
        "otr2p:AAAA",
        "\u{feff}ünï: cödé",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ])
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..20_usize, 1..5000_usize, 1..200_000_usize], 1..20)
}

fn quote(text: &[u8], quoting: &str, newline: &str) -> Vec<u8> {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    lines
        .flat_map(|line| [quoting.as_bytes(), line.trim_ascii_end(), newline.as_bytes()].concat())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn text_comes_back_however_it_was_wrapped_quoted_and_cut(
        items in prop::collection::vec((items(12..=15), unrelated_line()), 1..6),
        columns in prop::option::of(32..12_000_usize),
        quoting in prop::sample::select(vec!["", "> ", "> > ", ">>> ", "  ", "\t| "]),
        newline in prop::sample::select(vec!["\n", "\r\n", " \n"]),
        pieces in pieces(),
    ) {
        let wrap = columns.and_then(Wrap::new);
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for (item, unrelated) in items {
            let mut lines = Vec::new();
            write(&mut lines, &item, wrap);
            text.extend(quote(&lines, quoting, newline));
            text.extend_from_slice(unrelated.as_bytes());
            text.extend_from_slice(newline.as_bytes());
            expected.push(item);
        }
        let (found, scanner) = scan_in(&text, &pieces);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(scanner.form(), Some(Form::Text));
    }

    #[test]
    fn raw_streams_come_back_however_they_were_cut(
        items in prop::collection::vec((12..=18_u32, any::<u64>(), any::<bool>()), 1..8),
        pieces in pieces(),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (k, seed, key) in items {
            let packet = noise(seed, 1 << k);
            prop_assert!(encode::raw_packet(&mut stream, &packet));
            expected.push(Item::Packet(packet));
            if key {
                let key = noise(!seed, 64).try_into().unwrap();
                encode::raw_key(&mut stream, &key);
                expected.push(Item::Key(key));
            }
        }
        let (found, scanner) = scan_in(&stream, &pieces);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(scanner.form(), Some(Form::Raw));
    }

    #[test]
    fn no_input_breaks_it_and_cuts_change_nothing(
        lead in prop::sample::select(vec![vec![], vec![0xF5], vec![0xFD], vec![0xC0], b"otr1i:".to_vec()]),
        tokens in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::sample::select(vec![
                "otr1p:", "otr1i:", "otr1k:", "otr1r:", "otr1", "\n", "\r\n", "> ", " ", ":", "=",
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "hello", "+",
            ]).prop_map(|token| token.as_bytes().to_vec()),
        ], 0..200),
        pieces in pieces(),
    ) {
        let input = [lead, tokens.concat()].concat();
        let (whole, one) = scan_in(&input, &[usize::MAX]);
        let (cut, other) = scan_in(&input, &pieces);
        prop_assert_eq!(whole, cut);
        prop_assert_eq!(one.unrelated_lines(), other.unrelated_lines());
        prop_assert_eq!(one.quoted_lines(), other.quoted_lines());
    }
}

fn packet_line(k: u32, seed: u64) -> (Item, Vec<u8>) {
    let item = Item::Packet(noise(seed, 1 << k));
    let mut line = Vec::new();
    write(&mut line, &item, None);
    (item, line)
}

#[test]
fn every_size_comes_back_in_lines_of_every_common_width() {
    for k in 12..=20_u32 {
        for columns in [32, 36, 37, 51, 64, 72, 76, 80, 153, 998, 1367, 5468, 10929] {
            let item = Item::Packet(noise(k.into(), 1 << k));
            let mut text = Vec::new();
            write(&mut text, &item, Wrap::new(columns));
            let longest = text.split(|&byte| byte == b'\n').map(<[u8]>::len).max();
            assert!(longest <= Some(columns));
            assert_eq!(scan(&text), [item], "k = {k}, {columns} columns");
        }
    }
}

#[test]
fn an_item_comes_out_with_its_newline_before_anything_follows() {
    let invite = Item::Invite(noise(5, 1292));
    let mut line = Vec::new();
    write(&mut line, &invite, None);
    let (packet, packet_line) = packet_line(12, 6);
    for (item, line) in [(invite, line), (packet, packet_line)] {
        let mut scanner = Scanner::new();
        assert_eq!(scanner.push(&line), line.len());
        assert_eq!(scanner.next_item(), Some(item));
    }
}

#[test]
fn cut_at_every_byte_it_is_whole_or_refused() {
    let (packet, line) = packet_line(12, 7);
    let mut invite_line = Vec::new();
    encode::invite(&mut invite_line, &noise(8, 1300), Wrap::new(76));
    for text in [&line, &invite_line] {
        for end in 0..text.len() - 1 {
            let items = scan(&text[..end]);
            assert!(items.iter().all(|item| matches!(item, Item::Damaged(_))), "{end}: {items:?}");
            assert_eq!(items.len(), usize::from(end > b"otr1p:".len()), "{end}");
        }
    }
    // Its newline is not needed at the end of the input.
    assert_eq!(scan(&line[..line.len() - 1]), [packet]);

    let mut raw = Vec::new();
    assert!(encode::raw_packet(&mut raw, &noise(9, 4096)));
    encode::raw_key(&mut raw, &[1; 64]);
    for end in 1..raw.len() {
        let cut_short =
            scan(&raw[..end]).iter().filter(|item| is_damaged(item, Reason::CutShort)).count();
        assert_eq!(cut_short, usize::from(end != 4097), "{end}");
    }
}

fn is_damaged(item: &Item, reason: Reason) -> bool {
    matches!(item, Item::Damaged(damaged) if damaged.reason == reason)
}

#[test]
fn lines_around_are_counted_and_blank_ones_are_not() {
    let (packet, line) = packet_line(12, 10);
    let mut text = b"From: Bob\r\n\r\nHi,\r\n\r\n> ".to_vec();
    text.extend_from_slice(&line);
    text.extend_from_slice(b"\r\n[12:03] <bob> ");
    text.extend_from_slice(&line);
    text.extend_from_slice(&line);
    text.extend_from_slice(b"-- \r\nbye");
    let (items, scanner) = scan_in(&text, &[usize::MAX]);
    assert_eq!(items, [&packet; 3].map(|item| Item::Packet(bytes(item))));
    assert_eq!((scanner.unrelated_lines(), scanner.quoted_lines()), (4, 2));
}

fn bytes(item: &Item) -> Vec<u8> {
    match item {
        Item::Packet(bytes) => bytes.clone(),
        _ => panic!("no packet"),
    }
}

#[test]
fn after_a_damaged_item_the_next_one_is_found() {
    let (good, line) = packet_line(12, 11);
    let damaged: [(&[u8], Reason); 7] = [
        (b"otr1p:AAAA\n", Reason::Length),
        (b"otr1p:AAAA==\n", Reason::Character),
        (b"otr1p:AAAA=\n", Reason::Length), // a soft break: the line goes on
        (b"otr1p:AA*AA\n", Reason::Character),
        (b"otr1k:AAAA", Reason::Length), // its newline got lost
        (&line[..3000], Reason::Length),
        (b"otr1i:AAAAAAAA\nhello there\n", Reason::Checksum),
    ];
    for (bad, reason) in damaged {
        let items = scan(&[bad, &line].concat());
        assert_eq!(items.len(), 2, "{items:?}");
        assert!(is_damaged(&items[0], reason), "{items:?}");
        assert_eq!(items[1], good);
    }
}

#[test]
fn a_marker_in_prose_is_no_item() {
    let prose = b"paste the line with `otr1p:` here\notr1i: is an invite\n\notr1k:\n\n";
    let (items, scanner) = scan_in(prose, &[1]);
    assert_eq!(items, []);
    assert_eq!(scanner.unrelated_lines(), 3);
}

#[test]
fn punctuation_right_behind_an_item_does_not_harm_it() {
    let (packet, line) = packet_line(12, 12);
    let line = line.trim_ascii_end();
    for around in [["\"", "\""], ["`", "`"], ["<", ">"], ["bob: ", " (hi)"]] {
        let text = [around[0].as_bytes(), line, around[1].as_bytes(), b"\n"].concat();
        assert_eq!(scan(&text), [&packet].map(|item| Item::Packet(bytes(item))));
    }
}

#[test]
fn a_raw_stream_is_lost_behind_an_unknown_byte() {
    let mut raw = Vec::new();
    encode::raw_key(&mut raw, &[2; 64]);
    raw.push(b'\n');
    encode::raw_key(&mut raw, &[3; 64]);
    let items = scan(&raw);
    assert_eq!(items.len(), 2);
    assert_eq!(items[0], Item::Key([2; 64]));
    assert!(is_damaged(&items[1], Reason::UnknownByte));
}

#[test]
fn large_raw_packets_are_read_in_place_with_the_next_lead_byte() {
    let mut stream = Vec::new();
    for seed in 0..4 {
        assert!(encode::raw_packet(&mut stream, &noise(seed, 1 << 20)));
    }
    let mut scanner = Scanner::new();
    let mut rest = &stream[..];
    let mut reads = 0;
    let mut found = 0;
    while !rest.is_empty() {
        let space = scanner.space();
        let count = space.len().min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        scanner.filled(count);
        rest = &rest[count..];
        reads += 1;
        while let Some(Item::Packet(packet)) = scanner.next_item() {
            assert_eq!(packet, noise(found, 1 << 20));
            found += 1;
            scanner.recycle(packet);
        }
    }
    // One to tell the form, then one a packet.
    assert_eq!((reads, found), (5, 4));
}

/// As Python's `quopri` and Perl's `MIME::QuotedPrint` encode a text: lines of at most 76 columns,
/// `=` and all but ASCII as three characters, also a blank at the end of a line.
fn quoted_printable(text: &[u8], newline: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let (line, end) = line.strip_suffix(b"\n").map_or((line, ""), |line| (line, newline));
        let mut width = 0;
        for (at, &byte) in line.iter().enumerate() {
            let last = at + 1 == line.len();
            let plain =
                matches!(byte, b'!'..=b'<' | b'>'..=b'~') || matches!(byte, b' ' | b'\t') && !last;
            let written = if plain { vec![byte] } else { format!("={byte:02X}").into_bytes() };
            if width + written.len() > 76 - usize::from(!last) {
                out.extend_from_slice(b"=");
                out.extend_from_slice(newline.as_bytes());
                width = 0;
            }
            width += written.len();
            out.extend(written);
        }
        out.extend_from_slice(end.as_bytes());
    }
    out
}

fn utf_16(text: &[u8], little_endian: bool) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
    units
        .flat_map(|unit| if little_endian { unit.to_le_bytes() } else { unit.to_be_bytes() })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Mail, encoded on its way and saved as it lies there; or a file of a shell that writes UTF-16.
    #[test]
    fn text_comes_back_from_mail_and_from_other_encodings(
        items in prop::collection::vec((items(12..=14), unrelated_line(), any::<bool>()), 1..5),
        columns in prop::option::of(prop_oneof![Just(72), Just(76), 32..2_000_usize]),
        before in prop::sample::select(vec!["", "> ", "[12:03] <bob> ", "see = here: "]),
        newline in prop::sample::select(vec!["\n", "\r\n"]),
        encoding in 0..4,
        pieces in pieces(),
    ) {
        let wrap = columns.and_then(Wrap::new);
        let mut text = Vec::new();
        let mut expected = Vec::new();
        let quoting = if before == "> " { before } else { "" };
        for (item, unrelated, joined) in items {
            let mut lines = Vec::new();
            write(&mut lines, &item, wrap);
            let mut lines = quote(&lines, quoting, "\n");
            if joined {
                // Its newline got lost.
                lines.pop();
            } else {
                lines.extend_from_slice(b"\n");
                lines.extend_from_slice(unrelated.as_bytes());
                lines.extend_from_slice(b"\n");
            }
            if quoting.is_empty() && wrap.is_none() && text.last().is_none_or(|&last| last == b'\n') {
                text.extend_from_slice(before.as_bytes());
            }
            text.extend(lines);
            expected.push(item);
        }
        let text = match encoding {
            0 => quoted_printable(&text, newline),
            1 => utf_16(&text, true),
            2 => utf_16(&text, false),
            _ => text,
        };
        let (found, _) = scan_in(&text, &pieces);
        prop_assert_eq!(found, expected);
    }

    /// A recording of both ends may hold both forms, in any order.
    #[test]
    fn raw_and_text_follow_each_other(
        items in prop::collection::vec((items(12..=16), any::<bool>(), any::<bool>()), 1..8),
        pieces in pieces(),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (item, raw, newline) in items {
            match (&item, raw) {
                (Item::Packet(bytes), true) => {
                    encode::raw_packet(&mut stream, bytes);
                }
                (Item::Key(bytes), true) => encode::raw_key(&mut stream, bytes),
                _ => {
                    write(&mut stream, &item, None);
                    if !newline {
                        stream.pop();
                    }
                }
            }
            expected.push(item);
        }
        let (found, scanner) = scan_in(&stream, &pieces);
        prop_assert_eq!(found, expected);
        prop_assert_eq!((scanner.unrelated_lines(), scanner.quoted_lines()), (0, 0));
    }
}

#[test]
fn items_of_every_greatest_length_end_where_the_next_begins() {
    let small = Item::Packet(noise(1, 4096));
    for longest in [
        Item::Invite(noise(2, 4014)),
        Item::Reply(noise(3, 8192)),
        Item::Key(noise(4, 64).try_into().unwrap()),
        Item::Packet(noise(5, 1 << 20)),
    ] {
        for wrap in [None, Wrap::new(72)] {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            write(&mut first, &longest, wrap);
            write(&mut second, &small, wrap);
            first.pop();
            for text in [
                [&first[..], &second].concat(),
                quoted_printable(&[&first[..], &second].concat(), "\r\n"),
            ] {
                for piece in [1, 7, usize::MAX] {
                    assert!(
                        scan_in(&text, &[piece]).0 == [copy(&longest), copy(&small)],
                        "{longest:?}"
                    );
                }
            }
            // One character too many makes an item invalid, but harms no other item.
            let items = scan(&[&first[..], b"A", &second].concat());
            assert!(is_damaged(&items[0], Reason::Length) && items[1] == small, "{items:?}");
        }
    }
}

fn copy(item: &Item) -> Item {
    match item {
        Item::Invite(bytes) => Item::Invite(bytes.clone()),
        Item::Reply(bytes) => Item::Reply(bytes.clone()),
        Item::Packet(bytes) => Item::Packet(bytes.clone()),
        Item::Key(bytes) => Item::Key(*bytes),
        Item::Damaged(_) => unreachable!(),
    }
}

#[test]
fn mail_that_is_cut_anywhere_gives_the_whole_items_before_the_cut() {
    let mut text = b"Subject: =?utf-8?q?hi?=\n\n".to_vec();
    let mut ends = Vec::new();
    for seed in 0..3 {
        encode::key(&mut text, &noise(seed, 64).try_into().unwrap(), None);
        ends.push(text.len());
    }
    for mail in [quoted_printable(&text, "\r\n"), utf_16(&text, true), text] {
        for end in 0..mail.len() {
            for piece in [1, usize::MAX] {
                let (items, _) = scan_in(&mail[..end], &[piece]);
                let whole = items.iter().filter(|item| matches!(item, Item::Key(_))).count();
                let damaged = items.iter().any(|item| matches!(item, Item::Damaged(_)));
                assert!(whole <= 3 && items.len() <= whole + usize::from(damaged));
            }
        }
        assert_eq!(scan(&mail).len(), 3);
    }
    assert_eq!(ends.len(), 3);
}

#[test]
fn a_line_of_old_text_behind_an_item_is_passed_over() {
    let (packet, line) = packet_line(12, 13);
    let old = b"\xFCber den Fluss und in die W\xE4lder, dann weiter\r\n\xC0 bient\xF4t !\r\n";
    let text = [&line[..], old, &line, old].concat();
    let (items, scanner) = scan_in(&text, &[usize::MAX]);
    assert_eq!(items, [&packet; 2].map(|item| Item::Packet(bytes(item))));
    assert_eq!(scanner.unrelated_lines(), 4);
}
