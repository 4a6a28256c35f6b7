//! A sender who says what no `otr put` would: made of `init --code`, `send` and `recv`.

use std::fs;
use std::io::Write as _;

use tar::{Builder, EntryType, Header};

use super::{World, begin, end};
use crate::support::{Run, feed, start};

/// Mallory offers `offer`, and sends `content` if Bob takes it; how that ended for Bob, and what he told her.
fn offered(world: &World, offer: &str, content: Option<&[u8]>, args: &str) -> (Run, String) {
    let otr = |args: &str, input: &[u8]| feed(&mut world.end("mallory", args), input);
    let code = otr("init --code", b"").text();
    let getting = begin(&mut world.getting(&format!("{args} {}", code.trim_end())));
    otr("send --wait 60s", offer.as_bytes()).ok();
    let mut told = otr("recv --wait 60s", b"").text();
    if told.contains("\"take\"")
        && let Some(content) = content
    {
        otr("send", content).ok();
        told.push_str(&otr("recv --wait 60s", b"").text());
    }
    otr("close", b"");
    (end(getting), told)
}

fn file(name: &str, size: u64) -> String {
    let name = serde_json::Value::from(name);
    format!("{{\"offer\":\"file\",\"name\":{name},\"size\":{size},\"files\":1}}\n")
}

const WHOLE: &[u8] = b"{\"content\":0}\ntext\0";

#[test]
fn a_name_becomes_one_harmless_component() {
    let world = World::new();
    let long = "x".repeat(255);
    for (name, made) in [
        ("../../x", "_._.._x"),
        ("/etc/passwd", "_etc_passwd"),
        ("-rf", "_rf"),
        (".bashrc", "_bashrc"),
        ("a\nb\u{0}c\u{1b}[2Jd", "a_b_c_[2Jd"),
        (&long, &long),
    ] {
        let (run, told) = offered(&world, &file(name, 4), Some(WHOLE), "--yes");
        assert!(!run.err.contains('\u{1b}'), "{:?}", run.err);
        assert_eq!(run.text(), format!("{made}\n"), "{name:?}");
        assert!(told.contains("\"done\":true"), "{told}");
        assert_eq!(world.came(), [made], "{name:?}");
        fs::remove_file(world.path("in").join(made)).unwrap();
    }
    for name in ["", ".", "..", "/"] {
        let (run, _) = offered(&world, &file(name, 4), Some(WHOLE), "--yes");
        let made = run.text();
        assert!(made.starts_with("otr-") && world.came() == [made.trim_end()], "{name:?}: {made}");
        fs::remove_file(world.path("in").join(made.trim_end())).unwrap();
    }
    assert!(fs::read_dir(world.path("")).unwrap().all(|entry| {
        let name = entry.unwrap().file_name();
        ["alice", "bob", "mallory", "in"].iter().any(|known| name == *known)
    }));
}

/// Neither more, nor less, nor what the sender calls broken, nor what is no handover at all.
#[test]
fn content_that_is_not_what_was_offered_is_not_kept() {
    let world = World::new();
    for (offer, content, code, why) in [
        (file("x", 3), WHOLE, 6, "\"cut\""),
        (file("x", 5), WHOLE, 6, "\"cut\""),
        (file("x", 4), &b"{\"content\":0}\ntext\x01"[..], 6, "\"cut\""),
        (file("x", 4), b"{\"content\":0}\ntext", 6, "\"cut\""),
        (file("x", 4), b"{\"content\":0}\n", 6, "\"cut\""),
        (file("x", 4), b"{\"content\":18446744073709551615}\ntext\0", 6, "\"cut\""),
        // Behind what is there: a hole would be in it.
        (file("x", 4), b"{\"content\":3}\nt\0", 6, "\"cut\""),
        (file("x", 4), b"no line at all", 4, "\"cut\""),
        (file("x", u64::MAX), WHOLE, 10, "\"full\""),
        ("{\"content\":0}\ntext\0".to_owned(), WHOLE, 4, "\"cut\""),
        ("hello\u{1b}[2J".to_owned(), WHOLE, 4, "\"cut\""),
    ] {
        let (run, told) = offered(&world, &offer, Some(content), "--yes");
        assert_eq!(run.code, code, "{offer}: {}", run.err);
        assert!(told.contains(why) && !told.contains("\"done\":true"), "{offer}: {told}");
        assert_eq!(world.came(), [""; 0], "{offer}");
        assert!(run.out.is_empty() && !run.err.contains('\u{1b}'), "{}", run.err);
    }
    // On stdout it cannot be taken back, and the code says so; of what is more, nothing comes out.
    let text = "{\"offer\":\"text\",\"name\":\"\",\"size\":3,\"files\":1}\n";
    let less = "{\"offer\":\"text\",\"name\":\"\",\"size\":5,\"files\":1}\n";
    for (offer, args, out) in [
        (&file("x", 5)[..], "--yes --to-stdout", &b"text"[..]),
        (&file("x", 3), "--yes --to-stdout", b""),
        (text, "", b""),
        (text, "--to-stdout", b""),
        (less, "", b""),
    ] {
        let (run, told) = offered(&world, offer, Some(WHOLE), args);
        assert_eq!((run.code, &run.out[..]), (6, out), "{offer}: {}", run.err);
        assert!(told.contains("\"cut\""), "{told}");
    }
}

/// A text that is as long as it likes: nothing of it is shown.
#[test]
fn a_text_is_not_longer_than_announced() {
    let world = World::new();
    let offer = "{\"offer\":\"text\",\"name\":\"\",\"size\":9,\"files\":1}\n";
    let content = [b"{\"content\":0}\n", &vec![b'x'; 3 << 20][..], b"\0"].concat();
    let (run, _) = offered(&world, offer, Some(&content), "");
    assert_eq!((run.code, run.out.len()), (6, 0), "{}", run.err);
    assert!(run.err.contains("more has come"), "{}", run.err);
}

/// An archive of entries whose names and targets nobody has checked.
fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (kind, path, target) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_size(0);
        header.set_cksum();
        archive.append(&header, &b""[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn an_archive_that_leads_out_is_not_unpacked() {
    let world = World::new();
    let offer = "{\"offer\":\"tree\",\"name\":\"d\",\"size\":4,\"files\":1,\"entries\":9}\n";
    for entries in [
        &[(EntryType::Regular, "../x", "")][..],
        &[(EntryType::Regular, "/tmp/otr-test-x", "")],
        &[(EntryType::Symlink, "x", "../../alice")],
        &[(EntryType::Link, "x", "/etc/passwd")],
        &[(EntryType::Fifo, "x", "")],
        // The link `l` is the tree's root, so that `x` is less deep than its path, and leads out.
        &[
            (EntryType::Directory, "a", ""),
            (EntryType::Directory, "a/b", ""),
            (EntryType::Symlink, "a/b/l", "../.."),
            (EntryType::Symlink, "a/b/l/x", "../../.."),
            (EntryType::Symlink, "x/.bash_profile", "in/d/payload"),
        ],
    ] {
        let archive = archive(entries);
        let content = [b"{\"content\":0}\n", &archive[..], b"\0"].concat();
        let (run, told) = offered(&world, offer, Some(&content), "--yes");
        assert!(fs::symlink_metadata(world.path(".bash_profile")).is_err(), "it was planted");
        assert_eq!(run.code, 4, "{entries:?}: {}", run.err);
        assert!(told.contains("\"unsafe\""), "{told}");
        assert_eq!(world.came(), [""; 0], "{entries:?}");
    }
    let cut = [b"{\"content\":0}\n", &[b'x'; 700][..], b"\0"].concat();
    let (run, _) = offered(&world, offer, Some(&cut), "--yes");
    assert_eq!((run.code, world.came()), (6, vec![]), "{}", run.err);
}

/// What a header shows ends it then, and not when all has come, which may be never.
#[test]
fn an_archive_is_refused_while_it_comes() {
    let world = World::new();
    let otr = |args: &str, input: &[u8]| feed(&mut world.end("mallory", args), input);
    let large = |path: &str, size: u64| {
        let mut header = Header::new_gnu();
        header.set_path(path).unwrap();
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let leads_out = archive(&[(EntryType::Symlink, "x", "/etc")])[..512].to_vec();
    for (beginning, args, code, why) in [
        ([leads_out, large("y", 4)].concat(), "", 4, "\"unsafe\""),
        (large("y", 5 << 30), "", 6, "\"cut\""),
        (large("y", 5 << 30), "--to-stdout", 6, "\"cut\""),
    ] {
        let invited = otr("init --code", b"").text();
        let getting = begin(&mut world.getting(&format!("--yes {args} {}", invited.trim_end())));
        let offer = "{\"offer\":\"tree\",\"name\":\"d\",\"size\":4,\"files\":1,\"entries\":2}\n";
        otr("send --wait 60s", offer.as_bytes()).ok();
        assert!(otr("recv --wait 60s", b"").text().contains("\"take\""));
        let mut sending = start(&mut world.end("mallory", "send"));
        let mut stdin = sending.stdin.take().unwrap();
        let content = [b"{\"content\":0}\n", &beginning[..], &vec![7; 4 << 20]].concat();
        stdin.write_all(&content).unwrap();
        let told = otr("recv --wait 60s", b"").text();
        let run = end(getting);
        assert_eq!((run.code, world.came()), (code, vec![]), "{}", run.err);
        assert!(told.contains(why) && run.out.is_empty(), "{told}");
        drop(stdin);
        sending.wait().unwrap();
        otr("close", b"");
    }
}

/// Who is not asked again must not get something else.
#[test]
fn what_was_agreed_to_is_what_comes() {
    let world = World::new();
    let otr = |args: &str, input: &[u8]| feed(&mut world.end("mallory", args), input);
    let code = otr("init --code", b"").text();
    let getting = begin(&mut world.getting(&format!("--yes {}", code.trim_end())));
    otr("send --wait 60s", file("small", 4).as_bytes()).ok();
    otr("recv --wait 60s", b"").ok();
    otr("send", file("large", 4_000_000).as_bytes()).ok();
    let told = otr("recv --wait 60s", b"").text();
    assert!(told.contains("\"another\""), "{told}");
    otr("close", b"");
    let run = end(getting);
    assert_eq!((run.code, world.came()), (4, vec![]), "{}", run.err);
}

/// Bob's `get`, killed when he has taken Mallory's offer of four bytes: its arguments, and its code's number.
fn killed_after_take(world: &World) -> (String, String) {
    let otr = |args: &str, input: &[u8]| feed(&mut world.end("mallory", args), input);
    let code = otr("init --code", b"").text();
    let args = format!("--yes -o here {}", code.trim_end());
    let mut getting = begin(&mut world.getting(&args));
    otr("send --wait 60s", file("x", 4).as_bytes()).ok();
    assert!(otr("recv --wait 60s", b"").text().contains("\"take\""));
    getting.kill().unwrap();
    getting.wait().unwrap();
    (args, code.split('-').next().unwrap().to_owned())
}

/// A run that has stored the offer may be killed before it takes it; the next one takes it, perhaps again.
#[test]
fn a_get_that_was_killed_before_it_answered_answers() {
    let world = World::new();
    let otr = |args: &str, input: &[u8]| feed(&mut world.end("mallory", args), input);
    let (args, _) = killed_after_take(&world);
    let mut getting = begin(&mut world.getting(&args));
    let told = otr("recv --wait 60s", b"");
    if told.code != 0 {
        getting.kill().unwrap();
    }
    assert!(told.text().contains("\"take\""));
    otr("send", WHOLE).ok();
    assert!(otr("recv --wait 60s", b"").text().contains("\"done\":true"));
    otr("close", b"");
    assert_eq!(end(getting).text(), "here\n");
}

/// What a run leaves that is killed when all is in its place: before it has said so, or afterwards.
#[test]
fn a_get_that_was_killed_when_all_was_here_ends_well() {
    for has_said in [false, true] {
        let world = World::new();
        let otr = |args: &str, input: &[u8]| feed(&mut world.end("mallory", args), input);
        let (args, number) = killed_after_take(&world);
        let bob = |args: &str, input: &[u8]| {
            feed(&mut world.end("bob", &format!("-s get-{number} {args}")), input)
        };
        otr("send", WHOLE).ok();
        bob("recv --wait 60s", b"").ok();
        let work = world.came().remove(0);
        let work = world.path("in").join(work);
        fs::write(work.join("content"), b"text").unwrap();
        fs::write(work.join("placed"), b"").unwrap();
        fs::rename(work.join("content"), world.path("in/here")).unwrap();
        if has_said {
            bob("send", b"{\"done\":true}\n").ok();
            otr("close", b"").ok();
        }
        let getting = begin(&mut world.getting(&args));
        if !has_said {
            let told = otr("recv --wait 30s", b"");
            otr("close", b"");
            assert!(told.text().contains("\"done\":true"));
        }
        let run = end(getting);
        assert_eq!((run.code, run.out.as_slice()), (0, &b"here\n"[..]), "{}", run.err);
        assert_eq!(world.came(), ["here"]);
    }
}

/// Who calls it done before all was sent has not got it.
#[test]
fn done_before_all_was_sent_is_no_success() {
    let world = World::new();
    let otr = |args: &str, input: &[u8]| feed(&mut world.end("mallory", args), input);
    for takes in [false, true] {
        let putting = world.put(if takes { "-" } else { "--text x" });
        otr(&format!("respond --anew --code {}", putting.code), b"").ok();
        otr("recv --wait 60s", b"").ok();
        if takes {
            otr("send", b"{\"take\":true}\n").ok();
        }
        otr("send", b"{\"done\":true}\n").ok();
        let run = putting.finished();
        assert_eq!(run.code, 6, "{}", run.err);
        assert!(run.err.contains("before all was sent"), "{}", run.err);
        otr("close", b"");
    }
}
