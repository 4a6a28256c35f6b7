//! The ways in: TCP, TLS, Unix socket, systemd's sockets, the operator's; the page; and the end.

use crate::support::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn the_real_port_is_told_on_stderr() {
    let postbox = Postbox::start(&[]);
    assert!(postbox.url.starts_with("http://127.0.0.1:"), "{}", postbox.url);
    assert!(!postbox.url.ends_with(":0"));
}

#[test]
fn a_unix_socket_serves_and_outlives_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", directory.path().join("box").display());
    for _ in 0..2 {
        let postbox = Postbox::run(otr().args(["postbox", "--listen", &address]));
        assert_eq!(postbox.url, address);
        let mut stream = UnixStream::connect(directory.path().join("box")).unwrap();
        assert_eq!(call(&mut stream, "/v1/collect", Form::Raw, &[1; 32]).status, 204);
        let second = otr().args(["postbox", "--listen", &address]).output().unwrap();
        assert_eq!(second.status.code(), Some(1), "somebody listens there");
        // Dropped here, by SIGKILL: the socket file stays.
    }
}

#[test]
fn systemd_hands_its_sockets_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("box");
    // The first word after the options is what gets the socket as descriptor 3.
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(&path).arg(env!("CARGO_BIN_EXE_otr")).arg("postbox");
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("systemd-socket-activate of Debian package systemd");
    let deadline = Instant::now() + PATIENCE;
    let mut stream = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(_) => assert!(Instant::now() < deadline),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(call(&mut stream, "/v1/collect", Form::Raw, &[1; 32]).status, 204);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// As by `Accept=yes`: what is handed over is a caller, and nobody else could call.
#[test]
fn a_connection_that_systemd_hands_over_is_refused_with_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("box");
    let mut command = Command::new("systemd-socket-activate");
    command.arg("--accept").arg("-l").arg(&path).arg(env!("CARGO_BIN_EXE_otr")).arg("postbox");
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("systemd-socket-activate of Debian package systemd");
    let said = BufReader::new(child.stderr.take().unwrap());
    let deadline = Instant::now() + PATIENCE;
    let _caller = loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(_) => assert!(Instant::now() < deadline),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let line = said.lines().map(Result::unwrap).find(|line| line.contains("otr: "));
    assert!(line.as_ref().is_some_and(|line| line.contains("Accept=no")), "{line:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn tls_from_two_files_is_good_enough_for_curl() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, content: String| {
        let path = directory.path().join(name).display().to_string();
        std::fs::write(&path, content).unwrap();
        path
    };
    let (cert, key) =
        (file("cert", made.cert.pem()), file("key", made.signing_key.serialize_pem()));
    let postbox = Postbox::start(&["--tls-cert", &cert, "--tls-key", &key]);
    let port = postbox.url.strip_prefix("https://127.0.0.1:").unwrap();
    let place = Place::new(1);
    let mut curl = Command::new("curl")
        .args(["-sS", "--max-time", "20", "--cacert", &cert, "--data-binary", "@-"])
        .arg(format!("https://localhost:{port}/v1/post"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Debian package curl");
    let packet = packet_line(&place.packet(17, 1));
    curl.stdin.take().unwrap().write_all(packet.as_bytes()).unwrap();
    assert_eq!(curl.wait_with_output().unwrap().stdout, b"1\n");
    let wrong = otr().args(["postbox", "--tls-cert", &key, "--tls-key", &key]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn the_operator_sees_totals_on_a_door_of_its_own_and_nobody_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", path.display())]);
    let place = Place::new(1);
    postbox.post(&raw(&place.packet(12, 1)));
    postbox.post(b"junk");
    let mut admin = UnixStream::connect(&path).unwrap();
    assert_eq!(get(&mut admin, "/healthz", "*/*").both(), (200, "ok\n"));
    let metrics = get(&mut admin, "/metrics", "*/*");
    for line in [
        "otr_postbox_packets 1",
        "otr_postbox_packet_bytes 4096",
        "otr_postbox_stored_total 1",
        "otr_postbox_refused_unfit_total 1",
        "otr_postbox_memory_cap_bytes 268435456",
    ] {
        assert!(metrics.text().lines().any(|l| l == line), "{line} in {}", metrics.text());
    }
    assert_eq!(call(&mut admin, "/v1/post", Form::Raw, b"").status, 404);
    for path in ["/metrics", "/healthz"] {
        assert_eq!(get(&mut postbox.connect(), path, "*/*").status, 404);
    }
}

#[test]
fn the_operator_has_seats_of_his_own_and_not_all_there_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", path.display())]);
    let mut all: Vec<UnixStream> = (0..30).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let refused = read_answer(all.last_mut().unwrap()).unwrap();
    assert_eq!(refused.status, 503);
    let metrics = get(&mut all[0], "/metrics", "*/*");
    assert!(metrics.text().contains("\notr_postbox_admin_connections 16\n"), "{}", metrics.text());
    assert_eq!(postbox.call("/v1/collect", Form::Raw, &[1; 32]).status, 204);
}

#[test]
fn the_page_says_the_same_in_three_ways_and_loads_nothing() {
    let postbox = Postbox::start(&["--ttl", "90m"]);
    let mut stream = postbox.connect();
    let html = get(&mut stream, "/", "text/html,*/*;q=0.8");
    assert!(html.head.contains("content-type: text/html"), "{}", html.head);
    assert!(html.head.contains("default-src 'none'"), "{}", html.head);
    for never in ["<script", "http://", "https://", "src=", "url(", "{"] {
        let text = html.text();
        let text = text.split("</style>").nth(1).unwrap_or_default();
        assert!(!text.contains(never), "{never}");
    }
    let text = get(&mut stream, "/", "*/*");
    assert!(text.head.contains("content-type: text/plain"), "{}", text.head);
    assert!(html.text().contains("90 minutes") && text.text().contains("90 minutes"));
    let json = get(&mut stream, "/", "application/json");
    let json: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(json["ttl_seconds"], 5400);
    assert_eq!(json["max_packet_bytes"], 1 << 20);
}

#[test]
fn a_request_says_once_for_whom_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", path.display())]);
    for (version, hosts, status) in [
        ("1.1", "host: x\r\n", 200),
        ("1.0", "host: x\r\n", 200),
        ("1.0", "", 200),
        ("1.1", "", 400),
        ("1.1", "host: x\r\nhost: x\r\n", 400),
        ("1.1", "host: x\r\nHost: y\r\n", 400),
        ("1.0", "host: x\r\nHost: y\r\n", 400),
    ] {
        let ask = |path: &str, stream: &mut dyn ReadWrite| {
            write!(stream, "GET {path} HTTP/{version}\r\n{hosts}\r\n").unwrap();
            read_answer(&mut &mut *stream).unwrap().status
        };
        assert_eq!(ask("/", &mut postbox.connect()), status, "{version} {hosts}");
        let mut admin = UnixStream::connect(&path).unwrap();
        assert_eq!(ask("/healthz", &mut admin), status, "{version} {hosts}");
    }
}

trait ReadWrite: std::io::Read + std::io::Write {}
impl<S: std::io::Read + std::io::Write> ReadWrite for S {}

#[test]
fn no_answer_can_be_kept_and_none_says_who_answered() {
    let postbox = Postbox::start(&[]);
    let answers = [
        get(&mut postbox.connect(), "/", "*/*"),
        postbox.post(b"junk"),
        postbox.call("/v1/collect", Form::Raw, &[1; 32]),
    ];
    for answer in answers {
        assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
        for never in ["\nset-cookie:", "\nserver:", "\ndate:", "\netag:"] {
            assert!(!answer.head.contains(never), "{}", answer.head);
        }
    }
}

#[test]
fn at_sigterm_running_calls_end_and_what_is_lost_is_counted() {
    let postbox = Postbox::start(&[]);
    let place = Place::new(1);
    let packet = raw(&place.packet(12, 1));
    postbox.post(&raw(&place.packet(12, 2)));
    let (mut idle, mut waiting, mut posting) =
        (postbox.connect(), postbox.connect(), postbox.connect());
    assert_eq!(call(&mut idle, "/v1/collect", Form::Raw, &[1; 32]).status, 204);
    waiting.write_all(head("/v1/collect?wait=60", Form::Raw, 32).as_bytes()).unwrap();
    waiting.write_all(&[1; 32]).unwrap();
    posting.write_all(head("/v1/post", Form::Raw, packet.len()).as_bytes()).unwrap();
    posting.write_all(&packet[..1000]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    postbox.signal("TERM");
    assert_eq!(read_answer(&mut waiting).unwrap().status, 503, "who waits need not");
    assert!(read_answer(&mut idle).is_none());
    std::thread::sleep(Duration::from_millis(300));
    assert!(std::net::TcpStream::connect(postbox.url.strip_prefix("http://").unwrap()).is_err());
    posting.write_all(&packet[1000..]).unwrap();
    assert_eq!(read_answer(&mut posting).unwrap().both(), (201, "1\n"));
    let (status, said) = postbox.end();
    assert!(status.success());
    assert_eq!(said, "otr: the postbox ends; 2 packets are lost with it\n");
}

#[test]
fn options_that_make_no_sense_are_code_2() {
    for options in [
        &["--memory", "1K"][..],
        &["--max-packet", "2M"],
        &["--ttl", "0s"],
        &["--ttl", "soon"],
        &["--tls-cert", "/nowhere"],
        &["--listen", "unix:"],
        &["--listen", "127.0.0.1:0", "--admin", "unix:"],
    ] {
        let output = otr().arg("postbox").args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let script = "trap '' INT HUP; exec \"$0\" postbox --listen 127.0.0.1:0";
    let mut shell = Command::new("sh");
    let postbox = Postbox::run(shell.args(["-c", script, env!("CARGO_BIN_EXE_otr")]));
    postbox.signal("INT");
    postbox.signal("HUP");
    let place = Place::new(1);
    let packet = raw(&place.packet(12, 1));
    // Signals are told before this one: it ends by itself, and as it should.
    assert_eq!(postbox.post(&packet).status, 201);
    postbox.signal("TERM");
    let (status, said) = postbox.end();
    assert!(status.success() && said.contains("1 packet is lost with it"), "{status} {said}");
}
