//! Sessions whose state lies in no file: a shell script keeps it in its variables.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::fs;

use support::{Pair, feed, tool};

/// In a POSIX shell: `step STATE ARGS` runs otr with that state and with `$in` on stdin; what it
/// wrote is in `$out`, the state that follows in `$state`.
const STEP: &str = r#"
nl='
'
step() {
    old=$1
    shift
    all=$(printf '%s' "$in" | {
        { printf "${old:+%s\n}" "$old" | otr --state-fd 3,4 "$@" 3<&0 4>&1 <&5; } 5<&0
        echo "$nl$?"
    })
    code=${all##*"$nl"}
    [ "$code" = 0 ] || { echo "otr $* ended with $code" >&2; exit 1; }
    all=${all%"$nl$code"}
    state=$(printf '%s\n' "$all" | sed -n '/otr1s:/h;${x;s/.*otr1s:/otr1s:/p}')
    out=$(printf '%s\n' "$all" | sed 's/otr1s:.*//')
}
in=
step '' init; A=$state in=$out
step '' respond; B=$state in=$out
step "$A" -q recv; A=$state
"#;

const CONVERSATION: &str = r#"
n=0
while [ $n -lt 100 ]; do
    text="message $n of a script" in="message $n of a script"
    case $((n % 3)) in
    0) step "$B" send; B=$state in=$out; step "$A" recv; A=$state ;;
    *) step "$A" send; A=$state in=$out; step "$B" recv; B=$state ;;
    esac
    [ "$out" = "$text" ] || { echo "got: $out" >&2; exit 1; }
    n=$((n + 1))
done
step "$A" close; A=$state
echo "$n $A"
"#;

/// Runs a script under strace; its stdout, and its calls that make, change or open for writing.
fn traced(pair: &Pair, script: &str) -> (Vec<u8>, Vec<String>) {
    let trace = pair.path("trace");
    let plain = pair.script(script);
    let mut strace = tool("strace", "strace");
    strace.args(["-f", "-e", "trace=%file,memfd_create", "-o"]).arg(&trace);
    strace.arg(plain.get_program()).args(plain.get_args()).current_dir(pair.path(""));
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    let out = feed(&mut strace, b"").quietly();
    let marks = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TMPFILE"];
    let calls = ["creat(", "rename", "mkdir", "mknod", "link", "truncate", "memfd_create"];
    let changes = |line: &&str| {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        let looks = call.starts_with("readlink");
        !looks
            && (marks.iter().any(|mark| line.contains(mark))
                || calls.iter().any(|name| call.contains(name)))
    };
    let text = fs::read_to_string(trace).unwrap();
    assert!(text.lines().count() > 10, "{text}");
    (out, text.lines().filter(changes).map(str::to_owned).collect())
}

#[test]
fn a_script_holds_both_ends_and_no_file_is_written() {
    let pair = Pair::strangers();
    let (out, changes) = traced(&pair, &format!("{STEP}{CONVERSATION}"));
    assert_eq!(out, b"100 otr1s:\n");
    assert_eq!(changes, Vec::<String>::new());
    assert_eq!(fs::read_dir(pair.path("")).unwrap().count(), 1, "the trace alone");
    // Else it would prove nothing.
    let (_, changes) = traced(&pair, "alice init");
    for call in ["O_CREAT", "rename"] {
        assert!(changes.iter().any(|line| line.contains(call)), "{changes:?}");
    }
}

#[test]
fn lines_go_on_from_one_state_to_the_next() {
    let pair = Pair::strangers();
    let run = pair.sh(&format!(
        r#"{STEP}
        in="one${{nl}}two${{nl}}three$nl"
        step "$A" send --lines; A=$state in=$out
        step "$B" recv; B=$state
        printf '%s\n' "$out" | sed '/^$/d'
        in=again; step "$A" send; in=$out
        step "$B" recv; echo "$out""#
    ));
    assert_eq!(run.quietly(), b"one\ntwo\nthree\nagain\n");
}

#[test]
fn a_directory_in_the_environment_is_no_contradiction() {
    let pair = Pair::strangers();
    let run = pair.sh("export OTR_DIR=$PLACE/d; otr init --state-fd 3,4 3< /dev/null 4>&1 | wc -l");
    assert_eq!(run.quietly(), b"2\n");
    assert!(!pair.path("d").exists());
}

#[test]
fn what_cannot_hold_a_state() {
    let pair = Pair::strangers();
    let run = |script: &str| pair.sh(script);
    run("otr init --state-fd 3,4 3< /dev/null 4> /dev/full").fails(10);
    run("otr init --state-fd 8,9").fails(2);
    run("echo rubbish | otr init --state-fd 3,4 3<&0 4> /dev/null").fails(11);
    run("echo hi | otr send --state-fd 3,4 3< /dev/null 4> /dev/null").fails(3);
}

#[test]
fn a_line_that_was_cut_off_does_not_spoil_the_one_appended_behind_it() {
    let pair = Pair::strangers();
    let run = pair.sh(r"set -e
        otr init --state-fd 3,4 3< /dev/null 4> state > invite
        otr -s bob --dir $PLACE/bob respond < invite > reply
        # A full disk, or a process that was killed.
        head -c 100 state > cut; cat cut >> state
        otr recv --state-fd 3,4 3< state 4>> state < reply
        printf otr1 >> state
        echo hello | otr send --state-fd 3,4 3< state 4>> state > packet
        otr -s bob --dir $PLACE/bob recv < packet");
    assert_eq!(run.ok(), b"hello\n");
}

#[test]
fn a_damaged_state_is_not_a_missing_one() {
    let pair = Pair::strangers();
    for state in ["otr1s:AAAA", "otr1s:A", "rubbish"] {
        for command in ["recv", "recv --stdin", "send", "close", "expect"] {
            let run = pair.sh(&format!(
                "echo {state} > state
                echo x | otr {command} --state-fd 3,4 3< state 4> /dev/null"
            ));
            run.fails(11);
        }
    }
}
