//! What goes wrong: processes that are killed, networks that are cut, programs that stop reading.

use crate::postbox::Postbox;
use crate::support::Pair;
use crate::{bash, met_at};

#[test]
fn an_end_that_is_killed_breaks_the_streams_of_the_other() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    // It is heard of when its next process comes, and its half is not taken for a whole.
    let run = bash(
        &pair,
        "$ALICE pipe < <(echo begun; exec sleep 20 2>&-) > /dev/null & here=$!
         $BOB pipe > half < /dev/null & there=$!
         until grep -q begun half; do sleep 0.05; done
         kill -KILL $here; sleep 0.2
         $ALICE pipe --wait 1s < /dev/null > /dev/null & wait $there; echo \"bob $?\"
         # Both begin anew, and nothing is left of before.
         wait; $BOB pipe < <(echo there) > came & $ALICE pipe < <(echo here); cat came",
    );
    let text = String::from_utf8(run.out).unwrap();
    assert_eq!(text, "bob 6\nthere\nhere\n", "{}", run.err);
}

#[test]
fn a_partner_who_does_not_come_or_vanishes_is_waited_for_as_long_as_was_said() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    let run = bash(&pair, "$ALICE pipe --wait 1s < /dev/null; echo $?");
    assert_eq!(run.out, b"8\n");
    assert!(run.err.contains("not there, or silent"), "{}", run.err);
    let run = bash(
        &pair,
        "$ALICE pipe --wait 3s < <(echo one; sleep 1; echo two; sleep 1; echo three; exec sleep 9 2>&-) & here=$!
         $BOB pipe < /dev/null > came & there=$!
         until grep -q one came; do sleep 0.05; done; kill -KILL $there; wait $here; echo $?",
    );
    assert_eq!(run.out, b"8\n", "{}", run.err);
}

#[test]
fn a_signal_is_told_to_the_other_side() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let run = bash(
            &pair,
            &format!(
                "$BOB pipe < <(exec sleep 9 2>&-) > came.{signal} & there=$!
                 # A shell ignores SIGINT for what runs in the background.
                 python3 -c '
import os, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.environ[\"OTR_DIR\"] = \"alice\"
os.execvp(\"otr\", [\"otr\", \"pipe\"])' < <(echo x; exec sleep 9 2>&-) & here=$!
                 until grep -q x came.{signal} 2>/dev/null; do sleep 0.05; done
                 kill -{signal} $here; wait $there; echo \"bob $?\"; wait $here; echo \"alice $?\""
            ),
        );
        assert_eq!(run.text(), format!("bob 6\nalice {code}\n"), "{signal}");
    }
}

#[test]
fn a_reader_that_stops_stops_the_writer_and_nothing_grows() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    let run = bash(
        &pair,
        "mkfifo out; $BOB pipe > out < /dev/null & there=$!; exec 8< out
         $ALICE pipe < <(head -c 200M /dev/zero; echo ended >&2) > /dev/null & here=$!
         sleep 3; grep -h VmHWM /proc/$here/status /proc/$there/status
         [ \"$(cat <&8 | wc -c)\" = 209715200 ] || exit 9; wait $here || exit 8; wait $there",
    );
    assert_eq!(run.err, "ended\n");
    for line in String::from_utf8(run.out).unwrap().lines() {
        let peak: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(peak < 64 << 10, "{line}");
    }
    assert_eq!(run.code, 0);
}

/// One of many connections is no more than that, whichever way it breaks.
#[test]
fn a_connection_that_is_reset_is_no_failure_of_the_pipe() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    let run = bash(
        &pair,
        "$BOB pipe --exec cat & there=$!; $ALICE pipe --listen unix:near & here=$!
         until [ -S near ]; do sleep 0.05; done
         python3 -c '
import socket
c = socket.socket(socket.AF_UNIX); c.connect(\"near\"); c.sendall(b\"x\"); c.recv(1)
# What it was sent and did not read resets it.
c.sendall(b\"y\" * 9); c.recv(1, socket.MSG_PEEK); c.close()'
         sleep 0.5; kill -TERM $there; wait $there; wait $here; echo \"alice $?\"",
    );
    assert_eq!(run.out, b"alice 0\n", "{}", run.err);
}

/// The reader of the output goes away, as `head` does.
#[test]
fn an_output_that_nobody_reads_ends_it_as_a_broken_pipe() {
    let pair = Pair::new();
    let run = bash(
        &pair,
        "$ALICE pipe --via \"$BOB pipe --stdio --exec 'echo \\$$ > id; exec yes'\" < /dev/null | head -2
         echo ${PIPESTATUS[0]}; for i in 1 2 3 4 5; do kill -0 $(cat id) 2> /dev/null && sleep 0.3; done
         kill -0 $(cat id) 2> /dev/null && echo left; true",
    );
    assert_eq!(run.out, b"y\ny\n141\n", "{}", run.err);
}

#[test]
fn a_session_that_is_closed_ends_its_pipe() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    let run = bash(
        &pair,
        "$ALICE pipe < <(echo x; exec sleep 9 2>&-) & here=$!
         $BOB pipe < /dev/null > came & there=$!
         until grep -q x came 2>/dev/null; do sleep 0.05; done
         bob close; wait $there; echo \"bob $?\"; wait $here; echo \"alice $?\"",
    );
    let text = String::from_utf8(run.out).unwrap();
    assert!(text.contains("bob 3") && text.contains("alice 7"), "{text} {}", run.err);
}
