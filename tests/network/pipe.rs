//! `otr pipe`.

use crate::support::network::apart;
use crate::support::{Pair, feed};

/// The network is down for a minute, in the middle of an exchange, and comes back.
#[test]
fn a_network_that_is_cut_for_a_minute_costs_a_minute() {
    let pair = Pair::strangers();
    let script = r"ip link set lo up
        OTR_DIR=box otr postbox --listen 127.0.0.1:7363 2> box.log & box=$!
        trap 'kill $box' EXIT; until grep -q OTR_POSTBOX= box.log; do sleep 0.05; done
        OTR_DIR=alice otr -q init --postbox http://127.0.0.1:7363 | OTR_DIR=bob otr -q respond --yes
        OTR_DIR=bob otr -q pipe --exec cat & there=$!
        for i in $(seq 1 20); do seq 1 $i; done > all
        (for i in $(seq 1 20); do seq 1 $i; sleep 0.2; done) | OTR_DIR=alice otr -q pipe > came & here=$!
        sleep 1.5; ip link set lo down; sleep 60; ip link set lo up
        wait $here || exit 3; wait $there || exit 4; cmp all came || exit 5; echo whole";
    let mut command = apart();
    for (name, value) in pair.script("").get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.current_dir(pair.path(""));
    let run = feed(command.args(["bash", "-c", script]), b"");
    assert_eq!(run.text(), "whole\n");
}
