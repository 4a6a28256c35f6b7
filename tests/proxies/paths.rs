//! A postbox under a path of a server that does other things, too.

use crate::front::{Front, nginx};

#[test]
fn a_postbox_may_lie_under_a_path() {
    let front = Front::start(|parts| {
        let (at, socket, home) = (&parts.at, &parts.socket, &parts.home);
        let server = format!(
            "server {{ listen {at}; listen unix:{home}/web.sock; access_log off;\n\
            client_max_body_size 2m;\n\
            location /a/otr/ {{ proxy_pass http://unix:{socket}:/; }}\n}}"
        );
        nginx(home, &server)
    });
    let socket = front.place.path("home/web.sock").display().to_string();
    for url in [
        format!("http://{}/a/otr", front.at),
        format!("http://{}/a/otr/", front.at),
        format!("unix:{socket}:/a/otr"),
        format!("unix://{socket}:/a/otr/"),
    ] {
        front.conversation(&url);
    }
    // And what lies beside it is no postbox.
    let url = format!("http://{}/a", front.at);
    let said =
        crate::people::fails(&front.place, "alice", &["init", "--code", "--postbox", &url], b"", 9);
    assert!(said.contains("status 404"), "{said}");
}
