//! Who may post: callers who show the work that a crowded postbox asks for, and in a private one
//! only callers who have its secret.

use crate::support::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// A postbox that asks for at most this many bits, and for that many now.
fn crowded(most: &str, bits: u32) -> Postbox {
    let postbox = Postbox::start(&["--memory", "8M", "--work", most]);
    crowd(&postbox, bits);
    postbox
}

#[test]
fn nothing_is_asked_for_while_there_is_room_and_again_when_it_has_come_back() {
    let postbox = Postbox::start(&["--memory", "8M", "--work", "9"]);
    assert_eq!(Price::now(&postbox).bits, 0);
    let first = postbox.post(&raw(&Place::new(1).packet(12, 1)));
    assert_eq!((first.status, Price::told(&first).is_none()), (201, true));
    let held = crowd(&postbox, 8);
    assert!((200..900).contains(&held), "{held} packets for nothing");
    assert_eq!(Price::now(&postbox).bits, 8);
    let refused = postbox.post(&raw(&Place::new(2).packet(12, 1)));
    assert_eq!((refused.status, refused.text()), (402, "0\n"));
    assert!(Price::told(&refused).is_some(), "{}", refused.head);
    let page = get(&mut postbox.connect(), "/", "*/*");
    assert!(page.text().contains("8 zero bits, 16 times"), "{}", page.text());
    let spent: Vec<u8> = (7_000_000..7_000_000 + held)
        .map(Place::new)
        .flat_map(|place| place.spent(&place.packet(12, 1), [0; 32]))
        .collect();
    assert_eq!(postbox.call("/v1/discard", Form::Raw, &spent).status, 204);
    assert_eq!(postbox.post(&raw(&Place::new(2).packet(12, 1))).status, 201);
    assert_eq!(Price::now(&postbox).bits, 0);
}

#[test]
fn work_is_for_one_packet_and_one_postbox() {
    let postbox = crowded("9", 8);
    let price = Price::now(&postbox);
    let (mine, other) = (Place::new(1).packet(12, 1), Place::new(2).packet(12, 1));
    let proof = price.proof(&mine);
    let post = |proof: &[u8], packet: &[u8]| {
        postbox.call("/v1/post", Form::Raw, &[&[0xC1], proof, &raw(packet)].concat()).status
    };
    let collect = || postbox.call("/v1/collect", Form::Raw, &Place::new(1).token).status;
    let mut wrong = proof.clone();
    wrong[127] ^= 1;
    assert_eq!(post(&wrong, &mine), 402);
    assert_eq!(post(&proof, &other), 402, "of another packet");
    let large = [&mine[..], &mine].concat();
    assert_eq!(post(&proof, &large), 402, "of a smaller one");
    let elsewhere = Price { salt: vec![7; 16], ..price };
    assert_eq!(post(&elsewhere.proof(&mine), &mine), 402, "of another salt");
    assert_eq!(collect(), 204, "none of it lies here");
    assert_eq!(post(&proof, &mine), 201);
    assert_eq!(post(&proof, &mine), 201, "to post again does no harm");
    assert_eq!(collect(), 200);
    // What was stored before is counted, and what is behind waits for its own.
    let body = [price.paid(&mine), raw(&other), price.paid(&mine)].concat();
    assert_eq!(postbox.call("/v1/post", Form::Raw, &body).both(), (402, "1\n"));
    // A larger packet takes more, by as much as it is larger.
    let large = Place::new(3).packet(14, 1);
    assert_eq!(post(&price.proof(&large), &large), 201);
}

/// Forty connections, each with a fresh share, filled all the room for packets.
#[test]
fn a_flood_of_connections_without_work_stops_at_the_border() {
    let postbox = Postbox::start(&["--memory", "16M", "--work", "12"]);
    let before = Place::new(1);
    let answer = postbox.post(&raw(&before.packet(12, 1)));
    assert!(answer.head.contains("otr-keeps: 86400"), "{}", answer.head);
    let mut taken = 0;
    for connection in 0..60 {
        let mut stream = postbox.connect();
        for n in 0..20 {
            let packet = raw(&Place::new(1000 + connection * 20 + n).packet(16, 1));
            match call(&mut stream, "/v1/post", Form::Raw, &packet).status {
                201 => taken += 1,
                402 => break,
                other => panic!("{other}"),
            }
        }
    }
    // Of 160 that there is room for; by its speed before it is half.
    assert!((30..81).contains(&taken), "{taken} packets of 64 KiB");
    let fate = postbox.call("/v1/gone", Form::Raw, &before.address());
    assert_eq!(fate.both(), (200, "h"), "what lay there stays");
    let packet = Place::new(2).packet(12, 1);
    assert_eq!(postbox.post(&raw(&packet)).status, 402);
    let paid = postbox.call("/v1/post", Form::Raw, &Price::now(&postbox).paid(&packet));
    assert_eq!(paid.status, 201, "who pays is let in");
    assert!(paid.head.contains("otr-keeps: 86400"), "{}", paid.head);
    let got = postbox.call("/v1/collect", Form::Raw, &Place::new(2).token);
    assert_eq!((got.status, got.body.len()), (200, 4097));
}

#[test]
fn the_recipe_for_curl_pays() {
    let postbox = crowded("9", 8);
    let book = include_str!("../../docs/postbox.md");
    let recipe = &book[book.find("#!/usr/bin/env python3").expect("the recipe")..];
    let recipe: String = recipe
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    ") || line.starts_with("#!"))
        .map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n")
        .collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pay"), recipe).unwrap();
    let send = |script: &str, lines: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(folder.path()).env("BOX", &postbox.url);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let lines: String = [12, 14].map(|k| packet_line(&Place::new(k).packet(k, 1))).concat();
    let post = "curl -sS -w '%{http_code}' --data-binary @- $BOX/v1/post";
    assert_eq!(send(post, &lines), "0\n402");
    let paid = format!("python3 pay $BOX | {post}");
    assert_eq!(send(&paid, &lines), "2\n201", "Debian packages: python3, curl");
    let empty = Postbox::start(&[]);
    let free = format!("python3 pay {} | cat", empty.url);
    assert_eq!(send(&free, &lines), lines, "nothing is asked for");
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_private_postbox_takes_packets_from_who_has_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let postbox = Postbox::start(&["--post-secret", file.to_str().unwrap()]);
    assert!(postbox.said.iter().all(|line| !line.contains(SECRET)));
    let place = Place::new(1);
    let body = packet_line(&place.packet(12, 1));
    let refused = postbox.post(body.as_bytes());
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("www-authenticate: basic"), "{}", refused.head);
    assert_eq!(postbox.call("/v1/collect", Form::Raw, &place.token).status, 204);
    let curl = |options: &[&str], url: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", "%{http_code}", "--max-time", "20", "--data-binary", "@-"]);
        curl.args(options).arg(format!("{url}/v1/post"));
        let mut child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap().stdout;
        String::from_utf8(out).unwrap().lines().last().unwrap_or_default().to_owned()
    };
    let netrc = folder.path().join("netrc");
    std::fs::write(&netrc, format!("machine 127.0.0.1 login x password {SECRET}\n")).unwrap();
    assert_eq!(curl(&["-u", ":0123456789abcdef0123456789abcdeF"], &postbox.url), "401");
    assert_eq!(curl(&["--netrc-file", netrc.to_str().unwrap()], &postbox.url), "201");
    let url = postbox.url.replace("http://", &format!("http://:{SECRET}@"));
    assert_eq!(curl(&[], &url), "201");
    // The token is all that collecting takes.
    assert_eq!(postbox.call("/v1/collect", Form::Raw, &place.token).status, 200);
}

#[test]
fn a_post_secret_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    for wrong in ["", "short", "with a blank in it, and more", "0123456789abcdef/"] {
        std::fs::write(&file, wrong).unwrap();
        let output = otr().args(["postbox", "--post-secret"]).arg(&file).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(wrong.is_empty() || !said.contains(wrong), "{said}");
    }
}
