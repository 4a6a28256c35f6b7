//! The load generator (benches/load) counts right: it finds what a lying postbox loses, brings again and
//! alters, packet by packet, and nothing else; and it goes on where a postbox is gone.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use clap::Parser as _;
use serde_json::Value;

use super::support::{Form, Postbox, call};

#[path = "../../benches/load/main.rs"]
#[allow(dead_code, reason = "its `main` is its program's")]
mod generator;

/// What it counts, and whether it found nothing wrong.
fn run(arguments: &[&str]) -> (Value, bool) {
    let all = ["load"].iter().chain(arguments);
    let outcome = generator::run(generator::Options::try_parse_from(all).unwrap()).unwrap();
    let is_whole = outcome.is_whole();
    (outcome.report, is_whole)
}

/// These counts of a report.
fn counts(report: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| report[*name].as_u64().unwrap()).collect()
}

/// What has gone through a liar: posts, discards, collected packets.
#[derive(Default)]
struct Seen {
    posts: AtomicUsize,
    discards: AtomicUsize,
    packets: AtomicUsize,
}

/// Numbers of the posts that a liar drops and answers 201, of the discards that he drops and answers 204,
/// and of the packet in which he changes a bit.
const DROPPED: [usize; 3] = [7, 50, 51];
const FORGOTTEN: [usize; 2] = [9, 60];
const ALTERED: usize = 30;

/// The URL of one who lies between callers and a postbox.
fn liar(postbox: &Postbox) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (behind, seen) = (postbox.url.clone(), Arc::new(Seen::default()));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (behind, seen) = (behind.clone(), Arc::clone(&seen));
            thread::spawn(move || lie(stream, &behind, &seen));
        }
    });
    url
}

/// Hands on the calls of one connection, but for some.
fn lie(mut caller: TcpStream, behind: &str, seen: &Seen) {
    use std::io::{Read as _, Write as _};

    let mut behind = super::support::connect(behind.strip_prefix("http://").unwrap());
    behind.set_read_timeout(None).unwrap();
    caller.set_nodelay(true).unwrap();
    loop {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            if caller.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let length = head.split_once("content-length: ").unwrap().1;
        let mut body = vec![0; length.split_once('\r').unwrap().0.parse().unwrap()];
        caller.read_exact(&mut body).unwrap();
        let is_lie = match &*path {
            "/v1/post" => DROPPED.contains(&seen.posts.fetch_add(1, SeqCst)),
            "/v1/discard" => FORGOTTEN.contains(&seen.discards.fetch_add(1, SeqCst)),
            _ => false,
        };
        let (status, mut body) = if is_lie {
            (if path == "/v1/post" { 201 } else { 204 }, Vec::new())
        } else {
            let answer = call(&mut behind, &path, Form::Raw, &body);
            (answer.status, answer.body)
        };
        if status == 200 && path.starts_with("/v1/collect") {
            let number = seen.packets.fetch_add(1, SeqCst);
            if number == ALTERED {
                body[1000] ^= 1;
            }
        }
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
        if caller.write_all(head.as_bytes()).and_then(|()| caller.write_all(&body)).is_err() {
            return;
        }
    }
}

#[test]
fn every_packet_that_goes_through_is_counted() {
    let postbox = Postbox::start(&["--memory", "64M"]);
    // Nobody listens at the second one any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let pid = format!("postbox={}", postbox.child.id());
    let asked =
        ["--conversations", "20", "--count", "400", "--sizes", "4096:9,65536:1", "--pid", &pid];
    let (report, is_whole) = run(&[&[&postbox.url[..], &away], &asked[..]].concat());
    assert!(is_whole, "{report}");
    let through = ["posted", "collected", "discarded", "lost", "duplicates", "altered", "unposted"];
    assert_eq!(counts(&report, &through), [400, 400, 400, 0, 0, 0, 0], "{report}");
    assert!(report["broken"].as_u64().unwrap() > 0, "{report}");
    assert!(report["cpu_us_each"]["postbox"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["wire_bytes_each"]["sent"].as_f64().unwrap() > 4096.0, "{report}");
    assert_eq!(report["post_ms"]["count"], 400, "{report}");
}

#[test]
fn what_a_lying_postbox_does_is_found() {
    let postbox = Postbox::start(&["--memory", "64M"]);
    let asked = ["--conversations", "10", "--count", "400", "--patience", "0.2", "--wait", "5"];
    let url = liar(&postbox);
    let (report, is_whole) = run(&[&[&url[..]], &asked[..]].concat());
    assert!(!is_whole, "{report}");
    let names = ["posted", "collected", "lost", "recovered", "duplicates", "altered"];
    assert_eq!(counts(&report, &names), [400, 397, 3, 0, 2, 1], "{report}");

    // A sender who posts again brings each of them through; that it was lost is told all the same.
    let url = liar(&postbox);
    let (report, is_whole) = run(&[&[&url[..], "--repost"], &asked[..]].concat());
    assert!(!is_whole, "{report}");
    assert_eq!(counts(&report, &names), [400, 400, 3, 3, 2, 1], "{report}");
}
