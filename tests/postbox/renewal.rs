//! SIGHUP: a certificate that was renewed, and a terminal that was closed.

use crate::support::*;
use std::fs;
use std::io::BufRead as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Puts a new certificate in the place of what is there, as certbot does: by another file.
pub(crate) fn renew(directory: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, content) in [("cert", made.cert.pem()), ("key", made.signing_key.serialize_pem())] {
        fs::write(directory.join("new"), content).unwrap();
        fs::rename(directory.join("new"), directory.join(name)).unwrap();
    }
    made.cert.pem()
}

pub(crate) fn trusts(postbox: &Postbox, directory: &Path, certificate: &str) -> bool {
    let file = directory.join("trusted");
    fs::write(&file, certificate).unwrap();
    let port = postbox.url.rsplit_once(':').unwrap().1;
    let Output { status, stderr, .. } = Command::new("curl")
        .args(["-sS", "--max-time", "20", "-o", "/dev/null", "--cacert"])
        .arg(file)
        .arg(format!("https://localhost:{port}/"))
        .output()
        .expect("Debian package curl");
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success() || said.contains("certificate"), "{said}");
    status.success()
}

fn next_line(postbox: &mut Postbox) -> String {
    let mut line = String::new();
    postbox.stderr.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_renewed_certificate_is_taken_at_sighup_and_a_bad_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let first = renew(place);
    let [cert, key] = ["cert", "key"].map(|name| place.join(name).display().to_string());
    let options = ["--tls-cert", &cert, "--tls-key", &key, "--require-confinement"];
    let mut postbox = Postbox::start(&options);
    assert!(trusts(&postbox, place, &first));
    let keeper = child_of(postbox.child.id());

    let second = renew(place);
    assert!(trusts(&postbox, place, &first), "it is not told yet");
    postbox.signal("HUP");
    assert_eq!(next_line(&mut postbox), "otr: the certificate was read again\n");
    assert!(trusts(&postbox, place, &second) && !trusts(&postbox, place, &first));

    // Between the writing of the two files; and without one of them.
    let third = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&cert, third.cert.pem()).unwrap();
    postbox.signal("HUP");
    let said = next_line(&mut postbox);
    let old = "otr: the certificate stays the old one: --tls-";
    assert!(said.starts_with(old) && said.contains("not the key of that certificate"), "{said}");
    fs::remove_file(&key).unwrap();
    postbox.signal("HUP");
    let said = next_line(&mut postbox);
    assert!(said.starts_with(old) && said.contains("No such file"), "{said}");
    assert!(trusts(&postbox, place, &second));

    let fourth = renew(place);
    postbox.signal("HUP");
    assert_eq!(next_line(&mut postbox), "otr: the certificate was read again\n");
    assert!(trusts(&postbox, place, &fourth));
    // The second process goes with the first, however that ends.
    drop(postbox);
    let deadline = Instant::now() + PATIENCE;
    while fs::read_to_string(format!("/proc/{keeper}/cmdline")).is_ok_and(|line| !line.is_empty()) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn child_of(id: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    children.trim().parse().expect(&children)
}

#[test]
fn a_terminal_that_is_closed_ends_nothing() {
    let master =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY)
            .unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let terminal = fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut command = Command::new("setsid");
    command.args(["--ctty", env!("CARGO_BIN_EXE_otr"), "postbox", "--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::from(terminal));
    let postbox = Postbox::run(&mut command);
    drop((command, master));
    postbox.signal("HUP");
    assert_eq!(postbox.post(&raw(&Place::new(1).packet(12, 1))).status, 201);
    postbox.signal("TERM");
    let (status, said) = postbox.end();
    assert!(status.success() && said.contains("1 packet is lost with it"), "{status} {said}");
}
