//! Through a postbox.

use std::fs;

use crate::postbox::Postbox;
use crate::support::until;
use crate::{bash, met_at};

#[test]
fn both_ways_at_once_whoever_comes_first() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    for pause in ["", "sleep 0.5;"] {
        let run = bash(
            &pair,
            &format!(
                "seq 1 300000 > numbers; head -c 5000000 /dev/urandom > noise
                 ( {pause} $BOB pipe < numbers > noise.came ) & $ALICE pipe < noise > numbers.came
                 code=$?; wait $! && [ $code = 0 ] && cmp noise noise.came && cmp numbers numbers.came"
            ),
        );
        assert_eq!((run.code, run.err.as_str()), (0, ""));
    }
}

#[test]
fn each_connection_is_a_stream_of_its_own() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    let run = bash(
        &pair,
        r#"cat > far.py <<'X'
import socket, threading
s = socket.socket(socket.AF_UNIX); s.bind('far'); s.listen()
def serve(c):
    while True:
        d = c.recv(65536)
        if not d: break
        c.sendall(d)
    try: c.sendall(b'END'); c.close()
    except BrokenPipeError: pass
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
X
python3 far.py & far=$!
until [ -S far ]; do sleep 0.05; done
$BOB pipe --connect unix:far & there=$!
$ALICE pipe --listen unix:near & here=$!
until [ -S near ]; do sleep 0.05; done
[ "$(stat -c %a near)" = 600 ] || exit 99
python3 - <<'X' || exit 98
import socket, os, threading
failed = []
def one(n):
    data = os.urandom(n)
    c = socket.socket(socket.AF_UNIX); c.connect('near')
    threading.Thread(target=lambda: (c.sendall(data), c.shutdown(1))).start()
    came = b''
    while True:
        d = c.recv(65536)
        if not d: break
        came += d
    if came != data + b'END': failed.append(n)
all = [threading.Thread(target=one, args=(n,)) for n in [0, 1, 5, 70000, 300000, 1500000] * 4]
[t.start() for t in all]; [t.join() for t in all]
# One that nobody reads holds up no other.
deaf = socket.socket(socket.AF_UNIX); deaf.connect('near'); deaf.setblocking(False)
try:
    while True: deaf.send(b'x' * 65536)
except BlockingIOError: pass
one(200000)
assert not failed, failed
X
kill $here; wait $here; [ $? = 143 ] || exit 97
wait $there; echo "far: $?"; kill $far; [ ! -e near ] || exit 96"#,
    );
    // The deaf one was broken off, so the end of its connection is not the end of its data; a stream of a
    // connection does not decide how the command ends.
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", String::from_utf8_lossy(&run.out));
    assert_eq!(run.text(), "far: 0\n");
}

#[test]
fn one_end_serves_one_process_of_the_other_after_another() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    let run = bash(
        &pair,
        "$BOB pipe --keep-open --exec 'rev' & there=$!
         for word in otter salmon trout; do echo $word | $ALICE pipe || exit 90; done
         # One that is killed in the middle does not hold up the next.
         $ALICE pipe < <(exec sleep 30 2>&-) > /dev/null & sleep 1; kill -KILL $!; sleep 0.2
         echo eel | $ALICE pipe || exit 91
         kill $there; wait $there; [ $? = 143 ]",
    );
    assert_eq!(run.text(), "retto\nnomlas\ntuort\nlee\n");
}

/// As `ssh` ends its `ProxyCommand`, and the next one begins while the last still says its last words.
#[test]
fn one_that_is_hung_up_takes_nothing_from_the_next() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    let run = bash(
        &pair,
        "$BOB pipe --keep-open --exec cat & there=$!
         for i in $(seq 1 12); do
             rm -f in out; mkfifo in out; $ALICE pipe < in > out & here=$!
             exec 7> in 8< out; echo $i >&7; read -t 20 -r line <&8 && [ $line = $i ] || exit 70
             kill -HUP $here; exec 7>&- 8<&-
         done; kill $there; wait $there; [ $? = 143 ]",
    );
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn messages_and_pipes_leave_each_other_alone() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    let run = bash(
        &pair,
        "echo 'a message before' | alice send || exit 80
         $BOB pipe --exec cat & echo 'through the pipe' | $ALICE pipe || exit 81
         wait $! || exit 82
         # While a pipe is there, others of its kind wait their turn and say so.
         $ALICE pipe < <(exec sleep 20 2>&-) & pipe=$!; sleep 1
         echo x | alice --lock-wait 0 send; [ $? = 15 ] || exit 83
         alice --lock-wait 0 recv --all; [ $? = 15 ] || exit 84
         alice --lock-wait 0 pipe < /dev/null; [ $? = 15 ] || exit 85
         alice status > /dev/null && alice words > /dev/null || exit 86
         kill -KILL $pipe
         # The hello of the one that was killed is no message.
         bob recv || exit 87
         echo 'a message after' | alice send || exit 88
         bob recv --wait 20s || exit 89",
    );
    assert_eq!(run.code, 0, "{}", run.err);
    let text = String::from_utf8(run.out).unwrap();
    assert_eq!(text, "through the pipe\na message before\na message after\n", "{}", run.err);
}

#[test]
fn a_postbox_that_begins_anew_loses_nothing() {
    let postbox = Postbox::start(&[]);
    let address = postbox.url.strip_prefix("http://").unwrap().to_owned();
    let pair = met_at(&postbox);
    let script =
        "( head -c 40000000 /dev/zero | openssl enc -aes-128-ctr -nosalt -K cc -iv 00 2>/dev/null |
             tee >(sha256sum > ours) | $BOB pipe --exec 'cat' > /dev/null ) &
         for i in $(seq 1 60); do seq $i 20000; sleep 0.05; done | tee >(sha256sum > sent) |
             $ALICE pipe | sha256sum > came
         code=$?; wait; cmp sent came && exit $code";
    let again = std::thread::spawn(move || {
        let mut postbox = Some(postbox);
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(900));
            drop(postbox.take());
            let mut command = crate::postbox::otr();
            postbox = Some(Postbox::run(command.args(["postbox", "--listen", &address])));
        }
        postbox
    });
    let run = bash(&pair, script);
    assert_eq!(run.code, 0, "{}", run.err);
    drop(again.join().unwrap());
}

/// A million small writes: neither end grows.
#[test]
fn small_writes_need_no_more_memory_than_large_ones() {
    let postbox = Postbox::start(&[]);
    let pair = met_at(&postbox);
    let run = bash(
        &pair,
        "$BOB pipe --exec 'wc -c; grep VmHWM /proc/$PPID/status > peak' &
         python3 -c \"
import os
for i in range(1000000): os.write(1, b'x')
\" | $ALICE pipe; wait $!",
    );
    assert_eq!(run.text().trim(), "1000000");
    until("the peak is there", || pair.path("peak").exists());
    let peak = fs::read_to_string(pair.path("peak")).unwrap();
    let peak: usize = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 64 << 10, "{peak} KiB");
}
