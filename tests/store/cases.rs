//! What every store guarantees, asked of two postboxes that share it: what one takes, the other gives.

use crate::support::*;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// All cases that need nothing else.
pub(crate) fn all(one: &Postbox, other: &Postbox) {
    packets_under_an_address(one, other);
    discarding(one, other);
    published_keys(one, other);
    junk(one, other);
    sizes_and_forms(one, other);
    many_records(one, other);
    waiting_for_a_packet(one, other);
    waiting_for_its_end(one, other);
    refusals(one);
}

fn post(postbox: &Postbox, packet: &[u8]) -> Answer {
    postbox.call("/v1/post", Form::Raw, &raw(packet))
}

fn held(postbox: &Postbox, place: &Place) -> Vec<u8> {
    postbox.call("/v1/collect", Form::Raw, &place.token).body
}

fn status(postbox: &Postbox, place: &Place) -> String {
    postbox.call("/v1/gone", Form::Raw, &place.address()).text().to_owned()
}

fn discard(postbox: &Postbox, place: &Place, packet: &[u8], key: u8) {
    let record = place.spent(packet, [key; 32]);
    assert_eq!(postbox.call("/v1/discard", Form::Raw, &record).status, 204);
}

fn keys(postbox: &Postbox, place: &Place) -> Vec<u8> {
    let answer = postbox.call("/v1/revealed", Form::Raw, &place.address());
    assert_eq!(answer.status, 200);
    let keys = answer.body.chunks(65).map(|record| {
        assert_eq!(record[1..33], place.address());
        record[33]
    });
    let mut keys: Vec<u8> = keys.collect();
    keys.sort_unstable();
    keys
}

fn packets_under_an_address(one: &Postbox, other: &Postbox) {
    let place = Place::new(100);
    assert_eq!(status(one, &place), "u");
    for (postbox, fill) in [(one, 1), (other, 2), (one, 3), (other, 3), (other, 4), (other, 1)] {
        let answer = post(postbox, &place.packet(12, fill));
        assert_eq!(answer.both(), (201, "1\n"), "{fill}");
        // What lies there already is kept for what is left of its time.
        let keeps = answer.head.lines().find_map(|line| line.strip_prefix("otr-keeps: "));
        assert!((86_300..=86_400).contains(&keeps.unwrap().parse().unwrap()), "{}", answer.head);
    }
    assert_eq!(post(one, &place.packet(12, 5)).status, 429);
    assert_eq!(post(other, &place.packet(12, 5)).status, 429);
    let mut fills: Vec<u8> = held(other, &place).chunks(4097).map(|packet| packet[4096]).collect();
    fills.sort_unstable();
    assert_eq!(fills, [1, 2, 3, 4]);
    assert_eq!(status(other, &place), "h");
    let some = other.call("/v1/collect?max=8192", Form::Raw, &place.token);
    assert_eq!(some.body.len(), 2 * 4097);
    let first = other.call("/v1/collect?max=1", Form::Raw, &place.token);
    assert_eq!(first.body.len(), 4097, "the first one always");
    discard(one, &place, &place.packet(12, 2), 0);
    assert_eq!(post(other, &place.packet(12, 5)).status, 201, "there is room again");
}

fn discarding(one: &Postbox, other: &Postbox) {
    let place = Place::new(101);
    let (packet, wrong) = (place.packet(12, 1), place.packet(12, 9));
    discard(one, &place, &packet, 7);
    assert_eq!(status(one, &place), "u", "nothing was taken away");
    assert!(keys(one, &place).is_empty());
    post(one, &packet);
    discard(other, &place, &wrong, 7);
    assert_eq!((status(one, &place).as_str(), keys(one, &place).len()), ("h", 0));
    // The token of another address discards nothing here.
    let foreign = [&Place::new(102).token[..], &place.spent(&packet, [7; 32])[32..]].concat();
    assert_eq!(other.call("/v1/discard", Form::Raw, &foreign).status, 204);
    assert_eq!(held(other, &place), raw(&packet));
    discard(other, &place, &packet, 0);
    assert_eq!(status(one, &place), "c");
    assert!(held(one, &place).is_empty());
    assert_eq!(post(one, &packet).both(), (201, "1\n"), "it was here");
    assert_eq!(post(other, &packet).status, 201);
    assert!(held(other, &place).is_empty(), "and is not stored again");
    post(other, &place.packet(12, 2));
    assert_eq!(status(one, &place), "h", "another one is");
}

fn published_keys(one: &Postbox, other: &Postbox) {
    let place = Place::new(103);
    for fill in 1..=20 {
        assert_eq!(post(one, &place.packet(12, fill)).status, 201);
        discard(other, &place, &place.packet(12, fill), fill);
    }
    let kept = keys(one, &place);
    assert!(kept.len() == 5 && kept.contains(&20), "{kept:?}");
    assert_eq!(status(other, &place), "c");
    // Each is remembered also without a key.
    let place = Place::new(104);
    let packets: Vec<_> = (1..=4).map(|fill| place.packet(13, fill)).collect();
    for packet in &packets {
        post(other, packet);
    }
    for packet in &packets {
        discard(one, &place, packet, 0);
    }
    for packet in &packets {
        assert_eq!(post(one, packet).status, 201);
    }
    assert!(held(other, &place).is_empty() && keys(other, &place).is_empty());
    // As lines, for several addresses, of which one has none.
    let place = Place::new(105);
    post(one, &place.packet(12, 1));
    discard(one, &place, &place.packet(12, 1), 33);
    let asked = line(&Place::new(104).address()) + &line(&place.address());
    let lines = other.call("/v1/revealed", Form::Text, asked.as_bytes());
    assert_eq!(lines.text(), format!("otr1k:{}", line(&[place.address(), [33; 32]].concat())));
}

/// A key is published for the one packet that opened: what else lies there is junk.
fn junk(one: &Postbox, other: &Postbox) {
    let place = Place::new(106);
    for fill in 1..=3 {
        post(one, &place.packet(12, fill));
    }
    discard(other, &place, &place.packet(12, 1), 0);
    assert_eq!(status(one, &place), "h", "what was discarded may have been junk");
    discard(other, &place, &place.packet(12, 2), 7);
    assert_eq!(status(one, &place), "c");
    post(other, &place.packet(12, 4));
    assert_eq!(status(one, &place), "c");
    assert_eq!(held(one, &place).len(), 2 * 4097, "who has the token sees all");
}

fn sizes_and_forms(one: &Postbox, other: &Postbox) {
    for k in 12..=20 {
        let place = Place::new(200 + k);
        let packet: Vec<u8> = place
            .packet(k, 0)
            .iter()
            .enumerate()
            .map(|(n, b)| if n < 32 { *b } else { n.to_le_bytes()[0] })
            .collect();
        let body = packet_line(&packet);
        assert_eq!(one.post(body.as_bytes()).both(), (201, "1\n"), "{k}");
        assert!(held(other, &place) == raw(&packet), "{k}");
        let lines = other.call("/v1/collect", Form::Text, line(&place.token).as_bytes());
        assert!(lines.text() == body, "{k}");
    }
    // Many in one body and in one answer, in the order of the tokens.
    let places: Vec<Place> = (300..340).map(Place::new).collect();
    let body: Vec<u8> = places.iter().flat_map(|place| raw(&place.packet(16, 1))).collect();
    assert_eq!(other.call("/v1/post", Form::Raw, &body).both(), (201, "40\n"));
    let tokens: Vec<u8> = places.iter().flat_map(|place| place.token).collect();
    assert!(one.call("/v1/collect", Form::Raw, &tokens).body == body);
    let some = one.call("/v1/collect?max=1000000", Form::Raw, &tokens).body;
    assert!(some == body[..15 * 65_537], "{}", some.len());
}

fn many_records(one: &Postbox, other: &Postbox) {
    let places: Vec<Place> = (10_000..18_192).map(Place::new).collect();
    let few = || places.iter().step_by(100);
    for place in few() {
        assert_eq!(post(one, &place.packet(12, 1)).status, 201);
    }
    let tokens: Vec<u8> = places.iter().flat_map(|place| place.token).collect();
    let addresses: Vec<u8> = places.iter().flat_map(Place::address).collect();
    let found = other.call("/v1/collect?wait=5", Form::Raw, &tokens).body;
    assert_eq!(found.len(), few().count() * 4097);
    let records: Vec<u8> =
        few().flat_map(|place| place.spent(&place.packet(12, 1), [9; 32])).collect();
    assert_eq!(other.call("/v1/discard", Form::Raw, &records).status, 204);
    let statuses = one.call("/v1/gone", Form::Raw, &addresses).body;
    assert!(
        statuses.chunks(100).all(|some| some[0] == b'c' && some[1..].iter().all(|s| *s == b'u'))
    );
    let keys = one.call("/v1/revealed", Form::Raw, &addresses).body;
    assert_eq!(keys.len(), few().count() * 65);
}

/// Begins a call that waits.
fn ask(postbox: &Postbox, path: &str, body: &[u8]) -> TcpStream {
    let mut stream = postbox.connect();
    stream.write_all(head(path, Form::Raw, body.len()).as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    // It waits, as far as one can see.
    std::thread::sleep(Duration::from_millis(300));
    stream.set_nonblocking(true).unwrap();
    assert!(stream.peek(&mut [0]).is_err());
    stream.set_nonblocking(false).unwrap();
    stream
}

fn waiting_for_a_packet(one: &Postbox, other: &Postbox) {
    let places: Vec<Place> = (400..416).map(Place::new).collect();
    let tokens: Vec<u8> = places.iter().flat_map(|place| place.token).collect();
    let mut waiting = [one, other].map(|postbox| ask(postbox, "/v1/collect?wait=30", &tokens));
    let begun = Instant::now();
    assert_eq!(post(one, &places[3].packet(12, 1)).status, 201);
    for stream in &mut waiting {
        assert!(read_answer(stream).unwrap().body == raw(&places[3].packet(12, 1)));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // Once more, where both listen already, and for one of several packets that come.
    let mut waiting =
        [one, other].map(|postbox| ask(postbox, "/v1/collect?wait=30", &tokens[4 * 32..]));
    assert_eq!(post(other, &places[5].packet(12, 1)).status, 201);
    for stream in &mut waiting {
        assert!(read_answer(stream).unwrap().body == raw(&places[5].packet(12, 1)));
    }
    post(one, &places[5].packet(12, 2));
    assert_eq!(held(other, &places[5]).len(), 2 * ((1 << 12) + 1), "all that lies there");
    // A time that is over.
    let begun = Instant::now();
    let nothing = other.call("/v1/collect?wait=1", Form::Raw, &Place::new(420).token);
    assert!(nothing.status == 204 && begun.elapsed() >= Duration::from_secs(1));
}

fn waiting_for_its_end(one: &Postbox, other: &Postbox) {
    let places = [Place::new(430), Place::new(431), Place::new(432)];
    for place in &places[..2] {
        post(one, &place.packet(12, 1));
    }
    let addresses: Vec<u8> = places.iter().flat_map(Place::address).collect();
    let mut waiting = [one, other].map(|postbox| ask(postbox, "/v1/gone?wait=30", &addresses));
    let begun = Instant::now();
    discard(other, &places[0], &places[0].packet(12, 1), 0);
    std::thread::sleep(Duration::from_millis(300));
    for stream in &waiting {
        stream.set_nonblocking(true).unwrap();
        assert!(stream.peek(&mut [0]).is_err(), "the other one still lies there");
        stream.set_nonblocking(false).unwrap();
    }
    discard(one, &places[1], &places[1].packet(12, 1), 5);
    for stream in &mut waiting {
        assert_eq!(read_answer(stream).unwrap().both(), (200, "ccu"));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

fn refusals(one: &Postbox) {
    let key = [&[0xF5][..], &[1; 64]].concat();
    assert_eq!(one.call("/v1/post", Form::Raw, &key).status, 400);
    assert_eq!(one.post(format!("otr1k:{}", line(&[1; 64])).as_bytes()).status, 400);
    assert_eq!(one.call("/v1/post", Form::Raw, &[0xF5; 100]).status, 400);
    let good = Place::new(440);
    let body = [&raw(&good.packet(12, 1))[..], b"junk"].concat();
    assert_eq!(one.call("/v1/post", Form::Raw, &body).both(), (400, "1\n"));
    assert_eq!(status(one, &good), "h", "what came before it is stored");
}

/// Where packets live for a second.
pub(crate) fn times(one: &Postbox, other: &Postbox) {
    let (place, spent) = (Place::new(500), Place::new(501));
    for place in [&place, &spent] {
        let answer = post(one, &place.packet(12, 1));
        assert!(answer.head.contains("otr-keeps: 1\r"), "{}", answer.head);
    }
    discard(other, &spent, &spent.packet(12, 1), 3);
    assert_eq!(held(other, &place).len(), 4097);
    assert_eq!(keys(other, &spent), [3]);
    let deadline = Instant::now() + PATIENCE;
    while status(other, &place) != "u" || status(one, &spent) != "u" {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(held(one, &place).is_empty() && keys(one, &spent).is_empty());
    assert_eq!(post(other, &spent.packet(12, 1)).status, 201);
    assert_eq!(status(one, &spent), "h", "nothing is remembered any more");
}

/// What was discarded is remembered for its whole time, whatever lies beside it for a shorter one.
pub(crate) fn remembered(one: &Postbox, brief: &Postbox) {
    let (place, gone) = (Place::new(510), Place::new(511));
    for (place, key) in [(&place, 3), (&gone, 0)] {
        post(one, &place.packet(12, 1));
        discard(one, place, &place.packet(12, 1), key);
        let answer = post(brief, &place.packet(12, 2));
        assert!(answer.head.contains("otr-keeps: 1\r"), "{}", answer.head);
    }
    let deadline = Instant::now() + PATIENCE;
    while !held(brief, &place).is_empty() || !held(brief, &gone).is_empty() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(100));
    }
    for (place, published) in [(&place, vec![3]), (&gone, vec![])] {
        assert_eq!((status(one, place).as_str(), keys(one, place)), ("c", published));
        assert_eq!(post(one, &place.packet(12, 1)).status, 201);
        assert_eq!(status(brief, place), "c", "the same packet is not stored again");
    }
}

/// Where little fits, and no work is asked for.
pub(crate) fn full(one: &Postbox, other: &Postbox) {
    let (mut stored, mut shortest) = (Vec::new(), 86_400);
    let answer = loop {
        let place = Place::new(600 + u32::try_from(stored.len()).unwrap());
        let answer = post(one, &place.packet(18, 1));
        if answer.status != 201 {
            break answer;
        }
        let keeps = answer.head.lines().find_map(|line| line.strip_prefix("otr-keeps: "));
        shortest = shortest.min(keeps.unwrap().parse().unwrap());
        stored.push(place);
    };
    assert_eq!(answer.status, 507);
    assert!(stored.len() > 20, "{}", stored.len());
    assert!(shortest < 86_400, "what comes late is not kept for the whole time");
    for place in &stored {
        assert_eq!(held(other, place).len(), (1 << 18) + 1, "nothing was thrown out");
    }
    for place in &stored {
        discard(one, place, &place.packet(18, 1), 1);
    }
    let deadline = Instant::now() + PATIENCE;
    while post(one, &Place::new(599).packet(18, 1)).status != 201 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Where it is crowded, work is asked for, and what is done for one postbox is good at another.
pub(crate) fn work(one: &Postbox, other: &Postbox) {
    crowd(one, 8);
    let deadline = Instant::now() + PATIENCE;
    while Price::now(other).bits < 8 {
        assert!(Instant::now() < deadline, "the other one sees the same fill");
        std::thread::sleep(Duration::from_millis(50));
    }
    let packet = Place::new(700).packet(12, 1);
    assert_eq!(post(other, &packet).status, 402);
    let paid = Price::now(one).paid(&packet);
    assert_eq!(other.call("/v1/post", Form::Raw, &paid).status, 201);
}
