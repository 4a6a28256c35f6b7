//! Codes: an invite in a postbox, under a number.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use otr::conversation::System;
use otr::protocol::authentication::nameplate::Nameplate;
use otr::protocol::handshake::{Invitation, Inviting};
use serde_json::json;

use crate::postbox::{self, Form, Postbox, raw};
use crate::world::World;

fn code(world: &World) -> String {
    let url = &world.postbox.as_ref().unwrap().url;
    let code = world.otr("alice", &format!("init --postbox {url} --code"), b"").text();
    code.trim_end().to_owned()
}

fn number(code: &str) -> u32 {
    code.split('-').next().unwrap().parse().unwrap()
}

/// The same number, host and first word; another second word.
fn guess(code: &str) -> String {
    let (number, rest) = code.split_once('-').unwrap();
    let (words, host) = rest.split_once('@').unwrap();
    let (first, second) = words.split_once('-').unwrap();
    let other = if second == "abandon" { "zoo" } else { "abandon" };
    format!("{number}-{first}-{other}@{host}")
}

/// What lies under a number.
fn lies(postbox: &Postbox, number: u32) -> Vec<u8> {
    postbox.call("/v1/collect", Form::Raw, Nameplate::of(number).token()).body
}

/// Another invite, sealed for this number.
fn another(number: u32, url: &str) -> Vec<u8> {
    let inviting =
        Inviting::new(Invitation { postbox: Some(url), ..Invitation::default() }, 0, &mut System)
            .unwrap();
    raw(&Nameplate::of(number).seal(inviting.invite(), &mut System).unwrap())
}

#[test]
fn a_code_carries_the_invite_and_is_the_secret() {
    let world = World::of_postbox();
    let postbox = world.postbox.as_ref().unwrap();
    let code = code(&world);
    assert!(code.ends_with(&format!("@{}", postbox.url)), "http needs the whole URL: {code}");
    assert_eq!(world.otr("alice", "init --again", b"").code, 4, "it is not kept");
    assert_eq!(world.otr("bob", &format!("respond --code {code}"), b"").quietly(), b"");
    assert_eq!(lies(postbox, number(&code)), b"", "nobody else can answer it");
    world.otr("bob", "send", b"too early").fails(14);
    world.otr("alice", "recv --all", b"").ok();
    world.otr("bob", "recv --all", b"").ok();
    assert_eq!(world.say("bob", "alice", "hello").ok(), b"hello");
    assert_eq!(world.words("alice"), world.words("bob"));
    for who in ["alice", "bob"] {
        assert_eq!(world.authenticated(who), json!(["secret"]));
    }
    // A second person who has the code finds nothing.
    let late = world.otr("carol", "respond --code -", format!("{code}\n").as_bytes()).fails(8);
    assert!(late.contains("no invite lies under this number"), "{late}");
}

#[test]
fn a_code_without_a_host_is_looked_for_in_the_usual_postbox() {
    let world = World::of_postbox();
    let url = world.postbox.as_ref().unwrap().url.clone();
    let whole = code(&world);
    let (bare, _) = whole.split_once('@').unwrap();
    let nowhere = world.otr("bob", &format!("respond --code {bare}"), b"").fails(2);
    assert!(nowhere.contains("names no postbox"), "{nowhere}");
    let other = format!("respond --code {whole} --postbox http://127.0.0.1:1");
    assert!(world.otr("bob", &other, b"").fails(4).contains("names another postbox"));
    let mut command = world.pair.end("bob", &format!("respond --code {}", bare.to_uppercase()));
    crate::support::feed(command.env("OTR_POSTBOX", &url), b"").quietly();
    world.otr("alice", "recv --all", b"").ok();
    assert_eq!(world.authenticated("alice"), json!(["secret"]));
}

#[test]
fn a_typing_error_that_can_be_seen_uses_nothing_up() {
    let world = World::of_postbox();
    let code = code(&world);
    for (wrong, told) in [
        (code.replacen('-', "-x", 1), "the first word"),
        (code.replacen('@', "x@", 1), "the second word"),
        (format!("0{code}"), "number"),
        (code.replacen('-', "#", 1), "a number and two words"),
    ] {
        let failed = world.otr("bob", "respond --code -", wrong.as_bytes()).fails(2);
        assert!(failed.contains(told) && failed.contains("nothing was tried"), "{failed}");
        let typed = wrong.split('@').next().unwrap();
        assert!(!failed.contains(typed), "a code is secret until its use: {failed}");
    }
    world.otr("bob", &format!("respond --code {code}"), b"").ok();
    world.otr("alice", "recv --all", b"").ok();
}

/// The postbox's operator tries all numbers, reads the invite, and guesses the words.
#[test]
fn an_operator_who_guesses_a_code_burns_it_visibly() {
    let world = World::of_postbox();
    let postbox = world.postbox.as_ref().unwrap();
    let code = code(&world);
    let found = (100..=999).find(|number| {
        let lies = lies(postbox, *number);
        !lies.is_empty() && Nameplate::of(*number).open(&lies[1..]).is_some()
    });
    assert_eq!(found, Some(number(&code)));
    let lay = lies(postbox, number(&code));
    world.otr("mallory", &format!("respond --code {}", guess(&code)), b"").ok();
    // He puts the invite back, so that Bob notices nothing.
    let plate = Nameplate::of(number(&code));
    let again = raw(&plate.seal(&plate.open(&lay[1..]).unwrap(), &mut System).unwrap());
    assert_eq!(postbox.call("/v1/post", Form::Raw, &again).status, 201);
    world.otr("bob", &format!("respond --code {code}"), b"").ok();
    let told = world.otr("alice", "recv --all", b"").fails(5);
    assert!(told.contains("somebody tried with a wrong code"), "{told}");
    assert!(told.contains("postbox's operator") && told.lines().count() == 1, "{told}");
    assert!(world.is_wiped("alice"));
    // Neither he nor Bob has a session with anybody.
    for who in ["mallory", "bob"] {
        world.otr(who, "send", b"text").fails(14);
        let waits = world.otr(who, "recv --wait 1s", b"").fails(8);
        assert!(waits.contains("has not shown yet that it knows the secret"), "{waits}");
    }
}

/// The operator replaces Alice's invite by his own: he gets Bob's answer, and one guess.
#[test]
fn an_invite_put_in_place_of_another_gives_one_guess_as_well() {
    let world = World::of_postbox();
    let postbox = world.postbox.as_ref().unwrap();
    let code = code(&world);
    let guessed = Inviting::new(
        Invitation {
            postbox: Some(&postbox.url),
            secret: Some(
                &otr::protocol::authentication::password::Password::from_text("417-guitar-vanish")
                    .unwrap(),
            ),
            ..Invitation::default()
        },
        0,
        &mut System,
    );
    let mut guessed = guessed.unwrap();
    let plate = Nameplate::of(number(&code));
    let lay = lies(postbox, number(&code));
    let spot = postbox::Place { token: *plate.token() };
    let record = spot.spent(&lay[1..], [0; 32]);
    assert_eq!(postbox.call("/v1/discard", Form::Raw, &record).status, 204);
    let his = raw(&plate.seal(guessed.invite(), &mut System).unwrap());
    assert_eq!(postbox.call("/v1/post", Form::Raw, &his).status, 201);
    world.otr("bob", &format!("respond --code {code}"), b"").ok();
    let reply = postbox.call("/v1/collect", Form::Raw, guessed.reply_token()).body;
    let opened = guessed.open(&reply[1..]).unwrap();
    assert!(guessed.accept(opened, 0).is_err());
    world.otr("bob", "send", b"text").fails(14);
}

#[test]
fn two_invites_under_one_number_are_refused() {
    let world = World::of_postbox();
    let postbox = world.postbox.as_ref().unwrap();
    let code = code(&world);
    let other = another(number(&code), &postbox.url);
    assert_eq!(postbox.call("/v1/post", Form::Raw, &other).status, 201);
    let refused = world.otr("bob", &format!("respond --code {code}"), b"").fails(4);
    assert!(refused.contains("two invites lie under this number"), "{refused}");
    assert!(world.is_wiped("bob"));
}

#[test]
fn an_invite_under_a_number_cannot_send_the_reply_elsewhere() {
    let world = World::of_postbox();
    let postbox = world.postbox.as_ref().unwrap();
    let other = another(417, "https://elsewhere.example");
    assert_eq!(postbox.call("/v1/post", Form::Raw, &other).status, 201);
    let code = format!("417-guitar-vanish@{}", postbox.url);
    let refused = world.otr("bob", &format!("respond --code {code}"), b"").fails(4);
    assert!(refused.contains("names another postbox"), "{refused}");
    // An invite that asks for no secret was not made for a code.
    let plain = another(418, &postbox.url);
    assert_eq!(postbox.call("/v1/post", Form::Raw, &plain).status, 201);
    let code = format!("418-guitar-vanish@{}", postbox.url);
    let refused = world.otr("bob", &format!("respond --code {code}"), b"").fails(5);
    assert!(refused.contains("somebody removed that"), "{refused}");
}

#[test]
fn when_short_numbers_are_taken_longer_ones_are_used() {
    let world = World::of_postbox();
    let postbox = world.postbox.as_ref().unwrap();
    let mut all = Vec::new();
    for number in 100..=999 {
        let spot = postbox::Place { token: *Nameplate::of(number).token() };
        all.extend_from_slice(&raw(&spot.packet(12, 7)));
    }
    assert_eq!(postbox.call("/v1/post", Form::Raw, &all).both(), (201, "900\n"));
    let code = code(&world);
    assert!((1_000..=9_999).contains(&number(&code)), "{code}");
}

/// Somebody between Alice and the postbox, who once posts a second invite under the number at the
/// very moment when hers arrives.
#[test]
fn a_clash_makes_a_new_code_take_another_number() {
    let world = World::of_postbox();
    let url = world.postbox.as_ref().unwrap().url.clone();
    let behind = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let front = format!("http://{}", listener.local_addr().unwrap());
    let clashed = Arc::new(AtomicBool::new(false));
    let (once, front_url) = (Arc::clone(&clashed), front.clone());
    thread::spawn(move || {
        for client in listener.incoming() {
            let (behind, once, url) = (behind.clone(), Arc::clone(&once), front_url.clone());
            thread::spawn(move || relay(client.unwrap(), &behind, &once, &url));
        }
    });
    let run = world.otr("alice", &format!("init --postbox {front} --code"), b"");
    let code = run.text().trim_end().to_owned();
    assert!(clashed.load(Ordering::SeqCst));
    // The clashing invite is left alone under its number; hers works.
    world.otr("bob", &format!("respond --code {code}"), b"").ok();
    world.otr("alice", "recv --all", b"").ok();
    assert_eq!(world.authenticated("alice"), json!(["secret"]));
}

/// Passes on every call; after the first post, it posts another invite under the same number.
fn relay(mut client: TcpStream, behind: &str, clashed: &AtomicBool, url: &str) {
    while let Some((head, body)) = request(&mut client) {
        let mut server = postbox::connect(behind);
        server.write_all(head.as_bytes()).unwrap();
        server.write_all(&body).unwrap();
        let answer = postbox::read_answer(&mut server).unwrap();
        if head.starts_with("POST /v1/post") && !clashed.swap(true, Ordering::SeqCst) {
            let number = (100..=999).find(|number| body[1..33] == Nameplate::of(*number).address());
            let other = another(number.unwrap(), url);
            let posted = postbox::call(&mut server, "/v1/post", Form::Raw, &other);
            assert_eq!(posted.status, 201);
        }
        let head = answer.head.replacen("http", "HTTP", 1);
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(&answer.body).unwrap();
    }
}

fn request(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).unwrap();
    let lower = head.to_ascii_lowercase();
    let length =
        lower.lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
    client.read_exact(&mut body).unwrap();
    Some((head, body))
}

/// Somebody who posted an invite under a number may drop the answer and post another invite: each
/// answer with the same code gives him one more guess.
#[test]
fn answering_with_codes_again_and_again_is_warned_of() {
    let world = World::of_postbox();
    world.said("bob", &format!("respond --code {}", code(&world)), b"").ok();
    for who in ["alice", "bob"] {
        world.otr(who, "close --silent", b"").ok();
    }
    let second = world.said("bob", &format!("respond --code {}", code(&world)), b"");
    assert!(second.err.contains("one guess at the secret"), "{}", second.err);
}

/// A friend's next code does not count as a guess after the first one was right.
#[test]
fn a_code_that_was_right_is_not_counted_as_a_guess() {
    let world = World::of_postbox();
    for _ in 0..3 {
        let answered = world.said("bob", &format!("respond --code {}", code(&world)), b"");
        assert_eq!(answered.err, "", "no warning");
        world.otr("alice", "recv --all", b"").ok();
        world.otr("bob", "recv --all", b"").ok();
        for who in ["alice", "bob"] {
            world.otr(who, "close --silent", b"").ok();
        }
    }
    // The outcome of one is not known yet, so it counts.
    for warned in [false, true] {
        let answered = world.said("bob", &format!("respond --code {}", code(&world)), b"");
        assert_eq!(answered.err.contains("one guess at the secret"), warned, "{}", answered.err);
        for who in ["alice", "bob"] {
            world.otr(who, "close --silent", b"").ok();
        }
    }
}
