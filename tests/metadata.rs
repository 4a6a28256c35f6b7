//! What a relay may learn from when it is asked for what: the schedule of the client, simulated, is
//! judged by two linkers, and conducts that must not come back are found by them. Needs python3.

use std::process::Command;

use serde_json::Value;

/// Bits of partner anonymity, above the floor, that the linkers may take from the schedule.
const LINK: f64 = 0.1;
const LINK_MORE: f64 = 0.2;

#[test]
fn the_schedule_hides_the_partner_and_what_does_not_is_found() {
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/metadata/check.py"))
        .output()
        .expect("python3 (Debian: apt-get install python3) runs the linkers");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let judged: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = |log: &str, what: &str| judged[log][what].as_f64().unwrap();
    for log in ["schedule, dense", "schedule, sparse", "schedule, one of two"] {
        assert!(found(log, "connections") > 500.0, "{judged}");
        assert!(found(log, "link") <= LINK, "{judged}");
        assert!(found(log, "link_more") <= LINK_MORE, "{judged}");
        assert!(found(log, "same end") <= 0.1, "{judged}");
    }
    // All addresses asked for in the same moment: nearly all connections of an end are linked.
    assert!(found("at once, dense", "link") >= 3.0 * LINK, "{judged}");
    assert!(found("at once, dense", "same end") >= 0.5, "{judged}");
    // The next number asked for soon after the last one has come.
    assert!(found("next number soon, sparse", "link_more") >= 2.5 * LINK_MORE, "{judged}");
    // By one of two postboxes, too, which sees half of it.
    assert!(found("next number soon, one of two", "link_more") >= 1.25 * LINK_MORE, "{judged}");
    // After a reply the first packet is posted, but not at once; what comes then is not linked with it.
    assert!(found("handshakes", "handshakes") >= 10.0, "{judged}");
    assert!(found("handshakes", "first packet") <= 0.4, "{judged}");
    assert!(found("handshakes", "link_more") <= 0.3, "{judged}");
    assert!(found("handshakes without pauses", "first packet") >= 0.9, "{judged}");
    assert!(found("handshakes without pauses", "link_more") >= 0.6, "{judged}");
}
