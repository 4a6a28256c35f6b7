//! Stores that are not taken, what is said of them, and what a postbox with a store may not.

use crate::cases;
use crate::servers::Store;
use crate::support::otr;
use std::fs::{Permissions, set_permissions};
use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

/// Code and stderr of a postbox that does not serve.
fn refused(directory: &Path, options: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let mut command = otr();
    command.args(["postbox", "--listen", "127.0.0.1:0"]).args(options).current_dir(directory);
    let output = command.envs(environment.iter().copied()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_server_that_keeps_or_throws_out_packets_is_not_taken() {
    for (setting, value, words) in [
        ("maxmemory", "0", "has no limit of its memory; set maxmemory"),
        ("maxmemory-policy", "allkeys-lru", "when it is full (allkeys-lru); set maxmemory-policy"),
        ("save", "3600 1", "writes packets to a disk (save); set save \"\""),
        ("appendonly", "yes", "writes packets to a disk (appendonly)"),
        ("repl-diskless-sync", "no", "disk (repl-diskless-sync); set repl-diskless-sync yes"),
        ("repl-diskless-load", "disabled", "disk (repl-diskless-load); set repl-diskless-load"),
        ("repl-diskless-load", "on-empty-db", "disk (repl-diskless-load); set repl-diskless-load"),
    ] {
        let store = Store::single(&[]);
        store.servers[0].cli(&["CONFIG", "SET", setting, value]);
        let options = ["--store", &store.url, "--store-secret", "secret"];
        let (code, said) = refused(store.directory.path(), &options, &[]);
        assert!(code == 1 && said.contains(words), "{setting}: {code} {said}");
        if words.contains("disk") {
            drop(store.front(&["--allow-persistence"]));
        }
    }
}

#[test]
fn what_is_wrong_with_a_store_is_said() {
    let store = Store::single(&["--requirepass", "open"]);
    let (url, directory) = (store.url.as_str(), store.directory.path());
    let with_password = url.replace("://", "://:open@");
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).unwrap();
    write("password", b"open\n");
    write("wrong", b"closed\n");
    write("short", b"too short");
    // As systemd hands over a credential.
    set_permissions(directory.join("short"), Permissions::from_mode(0o440)).unwrap();
    write("seen", &[1; 32]);
    let nothing = format!("redis://127.0.0.1:{}", 1);
    let mine = ["--store-secret", "secret"];
    for (options, environment, code, words) in [
        (vec!["--store", url], vec![], 2, "a store needs the secret of its postboxes; give it"),
        (vec!["--store", url, "--store-secret", "short"], vec![], 2, "has 9 bytes, not 32"),
        (vec!["--store", url, "--store-secret", "seen"], vec![], 2, "others may read the store's"),
        (
            vec!["--store", &with_password, mine[0], mine[1]],
            vec![],
            2,
            "a password in the arguments",
        ),
        (
            vec!["--store", "http://box", mine[0], mine[1]],
            vec![],
            2,
            "a store's address is redis://",
        ),
        (vec!["--store", "rediss://box", mine[0], mine[1]], vec![], 2, "give it with --store-ca"),
        (vec![mine[0], mine[1]], vec![], 2, "there is no store; name one with --store URL"),
        (vec!["--store", &nothing, mine[0], mine[1]], vec![], 1, "none of its servers answers"),
        (vec!["--store", url, mine[0], mine[1]], vec![], 1, "refuses"),
        (
            vec![mine[0], mine[1], "--store-password-file", "wrong"],
            vec![("OTR_STORE", url)],
            1,
            "refuses",
        ),
    ] {
        let (ended, said) = refused(directory, &options, &environment);
        assert!(ended == code && said.contains(words), "{options:?}: {ended} {said}");
        assert!(!said.contains("open@") && !said.contains("closed"), "{said}");
    }
    // What docs/postbox.md says that its user needs is enough.
    let docs = include_str!("../../docs/postbox.md");
    let (_, acl) = docs.split_once("ACL SETUSER otr on >PASSWORD ").unwrap();
    let acl = acl.split("\n\n").next().unwrap().replace('\\', " ");
    let mut user = vec!["-a", "open", "ACL", "SETUSER", "otr", "on", ">mine"];
    user.extend(acl.split_whitespace());
    assert_eq!(store.servers[0].cli(&user).trim(), "OK");
    let mut limited = Store::single(&[]);
    limited.url = url.replace("://", "://otr@");
    write("mine", b"mine");
    let password = directory.join("mine");
    let options = ["--store-password-file", password.to_str().unwrap()];
    cases::all(&limited.front(&options), &limited.front(&options));
    drop(store.front(&["--store-password-file", directory.join("password").to_str().unwrap()]));
}

#[test]
fn a_store_with_tls_shows_a_certificate_for_its_name() {
    let (mut store, cert) = Store::with_tls();
    let cert = cert.to_str().unwrap();
    let front = store.front(&["--store-ca", cert]);
    cases::all(&front, &front);
    store.url = store.url.replace("localhost", "127.0.0.1");
    let options = ["--store", &store.url, "--store-secret", "secret", "--store-ca", cert];
    let (code, said) = refused(store.directory.path(), &options, &[]);
    assert!(code == 1 && said.contains("TLS: "), "{said}");
}

#[test]
fn the_walls_let_it_call_the_store_and_nobody_else() {
    let store = Store::single(&[]);
    let secret_of = |name: &str| store.directory.path().join(name);
    let output = otr()
        .args(["postbox", "--show-confinement", "--require-confinement", "--store", &store.url])
        .arg("--store-secret")
        .arg(secret_of("secret"))
        .output()
        .unwrap();
    let (said, warned) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}{warned}");
    let port = store.servers[0].port;
    for what in [
        "write a file: refused (",
        "read /etc/passwd: refused (",
        "run /bin/true: refused (",
        "connect elsewhere: refused (Permission denied",
        "connect by a socket that listened: refused (",
        "start a thread: refused (",
        &format!("connect to the store, 127.0.0.1:{port}: allowed"),
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert!(warned.contains(&format!(", TCP but to port {port}, seccomp")), "{warned}");
}

/// Each of them would be waited for in vain.
#[test]
fn servers_that_say_nothing_are_asked_at_the_same_time() {
    let silent: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let hosts: Vec<String> =
        silent.iter().map(|one| one.local_addr().unwrap().to_string()).collect();
    let store = Store::single(&[]);
    let url = format!("redis+cluster://{}", hosts.join(","));
    let mut postbox = otr();
    postbox.args([
        "postbox",
        "--listen",
        "127.0.0.1:0",
        "--store",
        &url,
        "--store-secret",
        "secret",
    ]);
    postbox.current_dir(store.directory.path()).stderr(Stdio::null());
    let mut postbox = postbox.spawn().unwrap();
    let mut asked: Vec<TcpStream> = silent.iter().map(|one| one.accept().unwrap().0).collect();
    let first = &mut asked[0];
    // While the last one is asked, the first one still may answer.
    let mut greeting = [0; 4096];
    assert!(first.read(&mut greeting).unwrap() > 0);
    first.set_nonblocking(true).unwrap();
    let more = first.read(&mut greeting);
    assert_eq!(more.unwrap_err().kind(), ErrorKind::WouldBlock, "it was given up first");
    drop(asked);
    assert_eq!(postbox.wait().unwrap().code(), Some(1));
}
