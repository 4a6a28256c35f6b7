//! A postbox with its own certificate: the recipe of docs/postbox.md, run unchanged, and the
//! messages about files and certificates that are not valid.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

#[path = "postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use postbox::Postbox;
use support::{Pair, Run, feed, tool};

/// Lines of the recipe that make the certificate.
fn recipe() -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/postbox.md");
    let docs = fs::read_to_string(docs).unwrap();
    let lines = docs.lines().skip_while(|line| !line.contains("openssl req -x509"));
    let lines = lines.take_while(|line| !line.contains("otr postbox"));
    lines.map(str::trim).collect::<Vec<_>>().join("\n")
}

/// A place, and the certificate that a changed recipe makes there.
fn made(change: impl Fn(String) -> String) -> Pair {
    let pair = Pair::strangers();
    tool("openssl", "openssl");
    let recipe = recipe().replace("box.example", "localhost");
    pair.sh(&change(recipe)).ok();
    pair
}

fn serve(pair: &Pair) -> (Postbox, String) {
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| pair.path(name));
    let mut command = postbox::otr();
    command.args(["postbox", "--listen", "127.0.0.1:0", "--tls-cert"]).arg(cert);
    let postbox = Postbox::run(command.arg("--tls-key").arg(key));
    let url = format!("https://localhost:{}", postbox.url.rsplit(':').next().unwrap());
    (postbox, url)
}

fn code(pair: &Pair, url: &str, more: &str) -> Run {
    let mut command: Command = pair.end("alice", "init --anew --code --postbox");
    command.arg(url).args(more.split_whitespace()).env_remove("OTR_PROXY");
    feed(&mut command, b"")
}

/// What another system's editor does to a file.
fn mark(path: &Path) {
    let text = fs::read_to_string(path).unwrap().replace('\n', "\r\n");
    fs::write(path, format!("\u{FEFF}{text}")).unwrap();
}

#[test]
fn the_recipe_works_as_it_stands_and_with_a_byte_order_mark() {
    let pair = made(|recipe| recipe);
    for name in ["", "cert.pem", "key.pem"] {
        if !name.is_empty() {
            mark(&pair.path(name));
        }
        let (_postbox, url) = serve(&pair);
        code(&pair, &url, "--ca-file cert.pem").ok();
    }
    // Among several.
    let other = rcgen::generate_simple_self_signed(["other.test".to_owned()]).unwrap().cert.pem();
    let own = fs::read_to_string(pair.path("cert.pem")).unwrap().replace('\u{FEFF}', "");
    fs::write(pair.path("both.pem"), format!("# two\n{other}{own}")).unwrap();
    let (_postbox, url) = serve(&pair);
    code(&pair, &url, "--ca-file both.pem").ok();
    // Each mistake by its words.
    fs::write(pair.path("other.pem"), other).unwrap();
    for more in ["", "--ca-file other.pem"] {
        let said = code(&pair, &url, more).fails(9);
        assert!(said.contains("give its certificate with --ca-file"), "{said}");
    }
    let said = code(&pair, &url.replace("localhost", "127.0.0.1"), "--ca-file cert.pem").fails(9);
    assert!(said.contains("another name") && said.contains("subjectAltName"), "{said}");
    let plain = Postbox::start(&[]);
    let said = code(&pair, &plain.url.replace("http", "https"), "--ca-file cert.pem").fails(9);
    assert!(said.contains("does not speak TLS"), "{said}");
}

#[test]
fn the_certificate_of_an_authority_is_named_as_what_it_is() {
    let pair = made(|recipe| recipe.replace("critical,CA:FALSE", "critical,CA:TRUE"));
    let (_postbox, url) = serve(&pair);
    let said = code(&pair, &url, "--ca-file cert.pem").fails(9);
    assert!(said.contains("CA:TRUE") && said.contains("docs/postbox.md"), "{said}");
}

#[test]
fn a_file_that_is_no_certificate_or_no_key_is_called_what_it_is() {
    let pair = made(|recipe| recipe);
    pair.sh("openssl x509 -in cert.pem -outform der -out der
        openssl pkey -in key.pem -aes256 -passout pass:x -out locked.pem
        openssl genpkey -algorithm ed25519 -out other.pem
        sed '3s/^..../!!!!/' cert.pem > bent.pem
        sed '3s/^..../AAAA/' cert.pem > changed.pem
        echo text > text; : > empty")
        .ok();
    let ca = |file: &str| code(&pair, "https://localhost:1", &format!("--ca-file {file}")).fails(2);
    for (file, words) in [
        ("der", "DER form; openssl x509 -inform der"),
        ("key.pem", "a key and no certificate"),
        ("text", "no certificate in PEM form"),
        ("empty", "no certificate in PEM form"),
        ("bent.pem", "damaged"),
        ("changed.pem", "certificate 1 in it is damaged"),
        ("nowhere", "No such file"),
    ] {
        let said = ca(file);
        assert!(said.contains(words) && said.contains("--ca-file"), "{file}: {said}");
    }
    let serving = |cert: &str, key: &str| {
        let arguments = format!("postbox --listen 127.0.0.1:0 --tls-cert {cert} --tls-key {key}");
        feed(&mut pair.end("alice", &arguments), b"").fails(2)
    };
    for (cert, key, words) in [
        ("nowhere", "key.pem", "--tls-cert nowhere: No such file"),
        ("key.pem", "key.pem", "--tls-cert key.pem: it holds no certificate"),
        ("bent.pem", "key.pem", "--tls-cert bent.pem: it is damaged"),
        ("cert.pem", "nowhere", "--tls-key nowhere: No such file"),
        ("cert.pem", "cert.pem", "--tls-key cert.pem: it holds no private key"),
        ("cert.pem", "locked.pem", "--tls-key locked.pem: it needs a passphrase"),
        ("cert.pem", "other.pem", "--tls-key other.pem: it is not the key"),
    ] {
        let said = serving(cert, key);
        assert!(said.contains(words), "{cert} {key}: {said}");
    }
}
