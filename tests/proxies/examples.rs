//! The examples in `packaging/` for nginx and Caddy, unchanged except for names, ports and paths: a
//! conversation passes through, and neither keeps a line or a byte of it.

use std::fs;
use std::path::Path;

use crate::front::{Front, example, nginx};
use crate::support::tool;

#[test]
fn nginx_passes_a_conversation_on_and_keeps_nothing() {
    let mut front = Front::start(|parts| {
        let server = example(
            "nginx.conf",
            &[
                ("listen 443 ssl;", &format!("listen {} ssl;", parts.at)),
                ("listen [::]:443 ssl;", ""),
                ("/etc/ssl/box.example.pem", &parts.cert),
                ("/etc/ssl/private/box.example.key", &parts.key),
                ("/run/otr-postbox.sock", &parts.socket),
            ],
        );
        nginx(&parts.home, &server)
    });
    front.conversation(&format!("https://{}", front.at));
    front.kept_nothing();
}

#[test]
fn caddy_passes_a_conversation_on_and_keeps_nothing() {
    let mut front = Front::start(|parts| {
        let tls = format!("https://{} {{\n\ttls {} {}", parts.at, parts.cert, parts.key);
        let file = example(
            "Caddyfile",
            &[
                // No port of the machine's own, and no certificate authority.
                (
                    "{\n\tlog default",
                    "{\n\tadmin off\n\tauto_https disable_redirects\n\tlog default",
                ),
                ("box.example {", &tls),
                ("unix//run/otr-postbox.sock", &format!("unix/{}", parts.socket)),
            ],
        );
        fs::write(Path::new(&parts.home).join("Caddyfile"), file).unwrap();
        let mut caddy = tool("caddy", "caddy");
        caddy.args(["run", "--config", "Caddyfile"]);
        caddy.env("HOME", &parts.home).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        caddy
    });
    front.conversation(&format!("https://{}", front.at));
    front.kept_nothing();
}
