//! Without any server: `--via CMD` at one end, `--stdio` at the other.

use std::fs;

use crate::bash;
use crate::support::Pair;

#[test]
fn a_command_at_the_other_end_answers_and_the_session_stays() {
    let pair = Pair::strangers();
    let pipe = "$ALICE pipe --via \"$BOB pipe --stdio --exec 'tr a-z A-Z'\"";
    let run = bash(&pair, &format!("echo hello | {pipe}"));
    assert_eq!((run.code, &run.out[..]), (0, &b"HELLO\n"[..]), "{}", run.err);
    assert_eq!(run.err.matches("the session is open").count(), 2, "{}", run.err);
    // The session is there now, and used again; its words are the same at both ends.
    let run = bash(&pair, &format!("echo again | {pipe}"));
    assert_eq!((run.code, &run.out[..], run.err.as_str()), (0, &b"AGAIN\n"[..], ""));
    assert_eq!(pair.alice("words", b"").ok(), pair.bob("words", b"").ok());
    pair.talk();
}

#[test]
fn each_direction_closes_by_itself() {
    let pair = Pair::new();
    // The other end says something only when it has seen the end of what it reads.
    let run = bash(&pair, "seq 1 100000 | $ALICE pipe --via \"$BOB pipe --stdio --exec 'wc -l'\"");
    assert_eq!(run.text().trim(), "100000");
    // The other end speaks first, closes, then still reads to the end, and has time to finish.
    let script = "{ read -r greeting; echo \"$greeting\" >&2; cat > /dev/null; seq 1 1000; } \
        <&$in >&$out";
    let run = bash(
        &pair,
        &format!(
            "mkfifo to from; $ALICE pipe --via \"$BOB pipe --stdio --exec 'echo welcome; exec 1>&-; wc -c > \
             $PLACE/size; sleep 0.5; mv $PLACE/size $PLACE/counted'\" < to > from & exec {{out}}> to {{in}}< from; {script}; exec {{out}}>&-; wait $!"
        ),
    );
    assert_eq!((run.code, run.err.as_str()), (0, "welcome\n"));
    assert_eq!(fs::read_to_string(pair.path("counted")).unwrap().trim(), "3893");
}

/// A GiB each way at the same time, and what each end needs for it.
#[test]
fn a_gibibyte_each_way_arrives_in_constant_memory() {
    let pair = Pair::new();
    let noise = |key| {
        format!(
            "openssl enc -aes-128-ctr -nosalt -K {key} -iv 00 -in /dev/zero 2>/dev/null | head -c 1G"
        )
    };
    let (ours, theirs) = (noise("aa"), noise("bb"));
    let far = format!(
        "{theirs} | tee >(sha256sum > theirs) & sha256sum > came; wait; grep VmHWM /proc/$PPID/status > peak"
    );
    fs::write(pair.path("far"), far).unwrap();
    let run = bash(
        &pair,
        &format!(
            "set +o pipefail
             {ours} | tee >(sha256sum > ours) |
             $ALICE pipe --via \"$BOB pipe --stdio --exec 'exec bash far'\" | sha256sum > back
             until [ -s ours ] && [ -s theirs ]; do sleep 0.1; done
             cmp came ours && cmp back theirs && cat peak"
        ),
    );
    let peak = run.text();
    let peak: usize = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn what_the_handshake_needs_is_asked_of_both() {
    let pair = Pair::strangers();
    pair.sh("printf 'the same' > right; printf another > wrong").ok();
    let pipe = |ours: &str, theirs: &str| {
        format!("echo x | $ALICE pipe {ours} --via \"$BOB pipe {theirs} --stdio --exec cat\"")
    };
    let run = bash(&pair, &pipe("--secret-file right", "--secret-file right"));
    assert_eq!((run.code, &run.out[..]), (0, &b"x\n"[..]), "{}", run.err);
    assert!(run.err.contains("the other side knows the secret"), "{}", run.err);
    let pair = Pair::strangers();
    pair.sh("printf 'the same' > right; printf another > wrong").ok();
    let run = bash(&pair, &pipe("--secret-file right", "--secret-file wrong"));
    assert_eq!((run.code, run.out.len()), (5, 0), "{}", run.err);
    // The side that answered cannot tell, and stays unconfirmed.
    let pair = Pair::strangers();
    pair.sh("printf 'the same' > right").ok();
    let run = bash(&pair, &pipe("--secret-file right", ""));
    assert_eq!((run.code, run.out.len()), (14, 0), "{}", run.err);
}

#[test]
fn two_ends_that_do_not_fit_say_so() {
    // One of the two has a session, the other has none.
    let pair = Pair::new();
    pair.bob("close --silent", b"").ok();
    let run = bash(&pair, "echo x | $ALICE pipe --via \"$BOB pipe --stdio --exec cat\"");
    assert!(run.code == 6 && run.err.contains("there is none here"), "{} {}", run.code, run.err);
    // Whether the other side's first packet is out before it has seen the invite is chance; the code is not.
    for _ in 0..10 {
        let pair = Pair::new();
        pair.alice("close --silent", b"").ok();
        let run = bash(&pair, "echo x | $ALICE pipe --via \"$BOB pipe --stdio --exec cat\"");
        assert!(run.code == 14 && run.out.is_empty(), "{} {}", run.code, run.err);
        assert!(run.err.contains("has one already"), "{}", run.err);
    }
    // Another session at each end.
    let pair = Pair::new();
    pair.sh("bob close --silent; OTR_DIR=$PLACE/carol otr init | bob respond").ok();
    let run = bash(&pair, "echo x | $ALICE pipe --via \"$BOB pipe --stdio --exec cat\"");
    assert!(run.code != 0 && run.out.is_empty(), "{}", run.err);
    assert!(run.err.contains("not of this session"), "{}", run.err);
    // Something that is no pipe.
    for (command, said) in [
        ("cat", "not of this session"),
        ("echo welcome to this machine; cat", "something else"),
        ("true", "the link"),
        ("exit 7", "exit status: 7"),
        ("head -c 100000 /dev/urandom", "the link"),
    ] {
        let pair = Pair::new();
        let run = bash(&pair, &format!("echo x | $ALICE pipe --via '{command}'"));
        assert!(run.code != 0 && run.out.is_empty(), "{command}: {}", run.err);
        assert!(run.err.contains(said), "{command}: {}", run.err);
    }
}

#[test]
fn a_command_that_fails_is_no_end_of_what_it_wrote() {
    let pair = Pair::new();
    let run = bash(
        &pair,
        "$ALICE pipe --via \"$BOB pipe --stdio --exec 'echo half; exit 3'\" < /dev/null",
    );
    assert_eq!((run.code, &run.out[..]), (6, &b"half\n"[..]), "{}", run.err);
    assert!(run.err.contains("failed") && run.err.contains("broken off"), "{}", run.err);
    pair.talk();
}
