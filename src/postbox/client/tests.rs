use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::*;
use crate::postbox::api::MAX_PACKET;

/// By Tor, which listens at `proxy`.
fn tor(proxy: &str) -> Route {
    Route { tor: true, proxy: proxy.parse().ok(), ..Route::default() }
}

/// A server that gives these bytes as its nth answer, the last one for ever, and then closes.
/// What it was sent comes out of the channel.
fn server(answers: Vec<Vec<u8>>) -> (Client, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, hears) = channel();
    thread::spawn(move || {
        for (nth, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let request = read_request(&mut stream);
            let _ = told.send(request);
            let _ = stream.write_all(&answers[nth.min(answers.len() - 1)]);
        }
    });
    (Client::new(Url::parse(&url).unwrap(), &Route::default()).unwrap(), hears)
}

fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    request.extend(body);
    request
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn packet(fill: u8) -> Vec<u8> {
    vec![fill; 4096]
}

fn error<T>(result: Result<T, Error>) -> Error {
    result.err().expect("it fails")
}

#[test]
fn a_call_says_nothing_of_who_calls() {
    let (client, hears) = server(vec![http("201 Created", b"2\n")]);
    client.post(&[packet(1), packet(2)]).unwrap();
    let request = hears.recv().unwrap();
    let end = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(request[..end].to_vec()).unwrap().to_ascii_lowercase();
    let mut lines: Vec<&str> = head.lines().map(|line| line.split(':').next().unwrap()).collect();
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        ["post /v1/post http/1.1", "content-length", "content-type", "host"],
        "{head}"
    );
    let lead = [0xF5];
    assert_eq!(request[end + 4..], [&lead[..], &packet(1), &lead, &packet(2)].concat());
}

#[test]
fn what_no_postbox_answers_is_an_error_that_repeats_none_of_it() {
    let half = [&[0xF5][..], &[1; 2000]].concat();
    let stranger = [&[0xF5][..], &[1; 4096]].concat();
    for answer in [
        b"SSH-2.0-OpenSSH_9.6 evil\x1b[2J\r\n\r\n".to_vec(),
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n".to_vec(),
        http("500 evil\x1b", b"evil"),
        http("404 Not Found", b"evil"),
        http("200 OK", b"<html>evil</html>"),
        http("200 OK", &half),
        http("200 OK", &stranger),
        http("201 Created", b"7"),
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/evil\r\ncontent-length: 0\r\n\r\n"
            .to_vec(),
        b"HTTP/1.1 307 Over\r\nlocation: http://127.0.0.1:1/evil\r\ncontent-length: 0\r\n\r\n"
            .to_vec(),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let (client, _) = server(vec![answer]);
        let none = Duration::ZERO;
        let failures = [
            client.collect(&[[0; 32]], none).err(),
            client.post(&[packet(0)]).err(),
            client.discard(&[[0; 96]]).err(),
            client.gone(&[[0; 32]], none).err(),
            client.revealed(&[[0; 32]]).err(),
        ];
        for failure in failures {
            let failure = failure.unwrap_or_else(|| panic!("{shown:?} was taken"));
            let what = failure.to_string();
            assert!(!failure.is_full() && !what.contains("evil") && !what.contains('\x1b'));
        }
    }
}

#[test]
fn an_endless_answer_has_an_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[0; 8192]).is_ok() {}
        }
    });
    let client = Client::new(Url::parse(&url).unwrap(), &Route::default()).unwrap();
    assert!(!error(client.collect(&[[0; 32]], Duration::ZERO)).is_full());
    assert!(!error(client.revealed(&[[0; 32]])).is_full());
}

#[test]
fn a_full_postbox_is_another_error() {
    let (client, _) = server(vec![http("507 Insufficient Storage", b"0\n")]);
    assert!(error(client.post(&[packet(0)])).is_full());
}

/// It was called full, which it is not: later it will be refused just the same.
#[test]
fn what_is_too_large_is_told_with_its_size() {
    let (client, hears) = server(vec![http("413 Payload Too Large", b"0\n")]);
    let failure = client.post(&[vec![0; 64 << 10]]).unwrap_err();
    assert!(matches!(failure.why(), Why::TooLarge(65_536)));
    assert!(failure.to_string().contains("64 KiB"), "{failure}");
    assert_eq!(hears.try_iter().count(), 1, "it is not tried again");
}

#[test]
fn packets_that_are_too_much_together_go_one_by_one() {
    let one = http("201 Created", b"1\n");
    let answers = vec![http("413 Payload Too Large", b"0\n"), one];
    let (client, hears) = server(answers);
    client.post(&[packet(1), packet(2)]).unwrap();
    assert_eq!(hears.try_iter().count(), 3);
}

#[test]
fn what_may_pass_is_tried_again() {
    let busy =
        b"HTTP/1.1 503 Busy\r\nconnection: close\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"
            .to_vec();
    let cut = b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n1".to_vec();
    let (client, hears) = server(vec![busy.clone(), cut, Vec::new(), http("201 Created", b"1\n")]);
    client.post(&[packet(3)]).unwrap();
    assert_eq!(hears.try_iter().count(), 4);
    // But not for ever.
    let (client, hears) = server(vec![busy]);
    assert!(!error(client.post(&[packet(3)])).is_full());
    assert_eq!(hears.try_iter().count(), super::patience::ATTEMPTS as usize);
}

#[test]
fn nobody_there_is_told_after_a_few_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(Url::parse(&url).unwrap(), &Route::default()).unwrap();
    let began = Instant::now();
    let failure = client.post(&[packet(0)]).unwrap_err();
    assert!(failure.to_string().contains("refused"), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn packets_come_with_the_token_that_opens_their_address() {
    let tokens = [[1; 32], [2; 32]];
    let mut packet = packet(9);
    packet[..32].copy_from_slice(&address_of(&tokens[1]));
    let (client, hears) = server(vec![http("200 OK", &[&[0xF5][..], &packet].concat())]);
    let found = client.collect(&tokens, Duration::from_millis(1500)).unwrap();
    assert!(found.len() == 1 && found[0].token == tokens[1] && found[0].packet == packet);
    let request = hears.recv().unwrap();
    assert!(request.starts_with(b"POST /v1/collect?wait=2&max=8388608 HTTP/1.1\r\n"));
    assert!(request.ends_with(&tokens.concat()));
}

/// A SOCKS proxy that wants a user and a name, tells both, and answers the call itself.
fn socks(users: std::sync::mpsc::Sender<(Vec<u8>, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("socks5h://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut take = |count: usize| {
                let mut bytes = vec![0; count];
                stream.read_exact(&mut bytes).unwrap();
                bytes
            };
            let methods = take(2)[1];
            assert!(take(methods.into()).contains(&2), "a user is offered");
            stream.write_all(&[5, 2]).unwrap();
            let mut take = |count: usize| {
                let mut bytes = vec![0; count];
                stream.read_exact(&mut bytes).unwrap();
                bytes
            };
            let user = take(2)[1];
            let user = take(user.into());
            let word = take(1)[0];
            take(word.into());
            stream.write_all(&[1, 0]).unwrap();
            let mut head = [0; 5];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(head[..4], [5, 1, 0, 3], "a name, not an address");
            let mut name = vec![0; usize::from(head[4]) + 2];
            stream.read_exact(&mut name).unwrap();
            name.truncate(usize::from(head[4]));
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
            let _ = users.send((user, name));
            thread::spawn(move || {
                loop {
                    let request = read_request(&mut stream);
                    let answer = match request.get(..12) {
                        Some(b"POST /v1/pos") => http("201 Created", b"1\n"),
                        Some(b"POST /v1/gon") => http("200 OK", b"c"),
                        Some(_) => http("204 No Content", b""),
                        None => return,
                    };
                    stream.write_all(&answer).unwrap();
                }
            });
        }
    });
    url
}

#[test]
fn through_tor_each_address_has_a_circuit_of_its_own() {
    let (tell, users) = channel();
    let proxy = socks(tell);
    let client = Client::new(Url::parse("http://postbox.onion").unwrap(), &tor(&proxy)).unwrap();
    // Two posts, one `gone` for the first; one collect and its discard.
    client.post(&[packet(1), packet(2)]).unwrap();
    client.gone(&[[1; 32]], Duration::ZERO).unwrap();
    client.collect(&[[3; 32]], Duration::ZERO).unwrap();
    client.discard(&[[3; 96]]).unwrap();
    let users: Vec<_> = users.try_iter().collect();
    assert_eq!(users.len(), 4, "a post's is used again, a collection's ends with the answer");
    assert!(users.iter().all(|(_, name)| name == b"postbox.onion"));
    let mut names: Vec<_> = users.into_iter().map(|(user, _)| user).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4);
}

/// Tor itself takes a name; what stands before it, or is taken for it, may not.
#[test]
fn through_a_proxy_that_takes_no_name_nothing_is_sent() {
    for chosen in [0, 0xFF] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = format!("socks5h://{}", listener.local_addr().unwrap());
        let (tell, told) = channel();
        thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).unwrap();
            stream.write_all(&[5, chosen]).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            tell.send((greeting, rest)).unwrap();
        });
        let url = Url::parse("http://postbox.onion").unwrap();
        let client = Client::new(url, &tor(&proxy)).unwrap();
        let failure = client.post(&[packet(1)]).unwrap_err();
        assert!(matches!(failure.why(), Why::NoIsolation), "{failure}");
        // A name is all that is offered: Tor would else take none where PreferSOCKSNoAuth is set.
        assert_eq!(told.recv().unwrap(), ([5, 1, 2], Vec::new()));
    }
}

/// What `recv` puts aside was opened in place.
#[test]
fn a_buffer_that_comes_back_holds_no_text() {
    let (client, _) = server(vec![http("204 No Content", b"")]);
    client.recycle(Zeroizing::new(vec![b'A'; MAX_PACKET]));
    assert_eq!(client.all[0].inner.buffers.lock().unwrap().len(), 1);
    assert!(client.all[0].buffer(MAX_PACKET).iter().all(|&byte| byte == 0));
    assert!(client.all[0].inner.buffers.lock().unwrap().is_empty(), "it was that one");
}

#[test]
fn a_stop_that_gives_up_ends_every_call_that_is_not_answered() {
    type Call = fn(&Client) -> bool;
    // It takes connections, and answers nobody.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::new(Url::parse(&url).unwrap(), &Route::default()).unwrap();
    let calls: [Call; 5] = [
        |client| client.post(&[packet(1)]).is_err(),
        |client| client.post_framed(&mut [0; 1 + 4096], true).is_err(),
        |client| client.discard(&[[0; Discard::SIZE]]).is_err(),
        |client| client.revealed(&[[0; 32]]).is_err(),
        // What would not have waited has found nothing.
        |client| client.collect(&[[0; 32]], Duration::ZERO).unwrap().is_empty(),
    ];
    for call in calls {
        let stop = Stop::default();
        let stopped = client.until_at_once(&stop);
        let calling = thread::spawn(move || call(&stopped));
        let _held = listener.accept().unwrap();
        stop.stop();
        assert!(calling.join().unwrap());
        // And the next one is not even made.
        assert!(call(&client.until_at_once(&stop)));
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody called again");
}
