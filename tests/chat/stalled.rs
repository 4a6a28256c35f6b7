//! A postbox that takes the connection and does not answer.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::support::until;
use crate::{Meeting, lives};

/// What stands before a postbox, and can hold all that goes through it.
struct Hold {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    is_held: bool,
    /// How often all connections were cut.
    cuts: u32,
}

impl Hold {
    fn before(postbox: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let (postbox, theirs) =
            (postbox.strip_prefix("http://").unwrap().to_owned(), state.clone());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&postbox) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let state = theirs.clone();
                    thread::spawn(move || carry(from, to, &state));
                }
            }
        });
        Self { address, state }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on nothing goes through.
    fn hold(&self) {
        self.state.0.lock().unwrap().is_held = true;
    }

    /// Everything goes through, also what was held.
    fn release(&self) {
        self.state.0.lock().unwrap().is_held = false;
        self.state.1.notify_all();
    }

    /// New connections go through, and what the others held is lost.
    fn cut(&self) {
        self.state.0.lock().unwrap().cuts += 1;
        self.release();
    }
}

fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    state: &(Mutex<State>, Condvar),
) -> io::Result<()> {
    let cuts = state.0.lock().unwrap().cuts;
    let mut bytes = [0; 1 << 13];
    loop {
        let count = from.read(&mut bytes)?;
        let now = state.1.wait_while(state.0.lock().unwrap(), |now| now.is_held).unwrap();
        let is_cut = now.cuts != cuts;
        drop(now);
        if count == 0 || is_cut {
            return to.shutdown(if is_cut { Shutdown::Both } else { Shutdown::Write });
        }
        to.write_all(&bytes[..count])?;
    }
}

/// Two who share a session through what holds nothing yet.
fn behind_a_hold() -> (Meeting, Hold) {
    let meeting = Meeting::strangers();
    let hold = Hold::before(&meeting.postbox.url);
    meeting.meet(&hold.url());
    (meeting, hold)
}

#[test]
fn what_was_entered_behind_a_call_that_is_not_answered_is_kept_whatever_ends_the_chat() {
    let (meeting, hold) = behind_a_hold();
    for end in ["TERM", "HUP", "leave", "closed"] {
        let shell = "PS1='ready> ' OTR_DIR=$PLACE/alice bash --norc -i";
        let shell = meeting.terminal(shell, (90, 20));
        shell.wait_for("ready>");
        shell.enter("otr chat");
        shell.wait_for("NOT CHECKED");
        hold.hold();
        for text in ["one", "two", "three"] {
            shell.enter(&format!("{text} at {end}"));
            shell.wait_for(&format!("{text} at {end} (waiting)"));
        }
        let chat = shell.child();
        match end {
            // tmux closes the terminal, and nobody is left to tell anything.
            "closed" => {
                drop(shell);
                until("the chat has ended", || !lives(&chat));
            }
            "leave" => {
                shell.press("C-c");
                shell.wait_for("leave?");
                shell.press("l");
                shell.wait_for("otr: not posted yet: 3 of your messages; the next otr command");
                shell.wait_for("the session stays open");
            }
            signal => {
                crate::signal(&chat, signal);
                shell.wait_for("otr: not posted yet: 3 of your messages; the next otr command");
            }
        }
        hold.release();
        meeting.pair.alice("send", b"the next").ok();
        for text in ["one", "two", "three"] {
            assert_eq!(meeting.received("bob"), format!("{text} at {end}\n").as_bytes());
        }
        assert_eq!(meeting.received("bob"), b"the next");
    }
}

#[test]
fn what_a_chat_has_left_does_not_keep_the_next_one_from_keeping_more() {
    let (meeting, hold) = behind_a_hold();
    hold.hold();
    for text in ["left", "entered behind it"] {
        // Whoever begins has to post what is left.
        let alice = meeting.chat("alice", "", (90, 20));
        alice.wait_for("NOT CHECKED");
        alice.enter(text);
        alice.wait_for(&format!("{text} (waiting)"));
        alice.signal("TERM");
        alice.wait_for("otr: not posted yet: 1 of your messages; the next otr command");
    }
    hold.cut();
    meeting.pair.alice("send", b"the next").ok();
    assert_eq!(meeting.received("bob"), b"left\n");
    assert_eq!(meeting.received("bob"), b"entered behind it\n");
    assert_eq!(meeting.received("bob"), b"the next");
}

/// A file that a call holds is not sent, and said so; what stands behind it is kept.
#[test]
fn what_was_entered_behind_a_file_is_kept_and_the_file_is_said_to_be_lost() {
    let (meeting, hold) = behind_a_hold();
    std::fs::write(meeting.pair.path("file"), vec![7; 3 << 20]).unwrap();
    let shell = meeting.terminal("PS1='ready> ' OTR_DIR=$PLACE/alice bash --norc -i", (90, 20));
    shell.wait_for("ready>");
    shell.enter("otr chat");
    shell.wait_for("NOT CHECKED");
    hold.hold();
    shell.enter("/send file");
    shell.wait_for("you:  [file file, 3.0 MiB]");
    shell.enter("behind it");
    shell.wait_for("behind it (waiting)");
    crate::signal(&shell.child(), "TERM");
    shell.wait_for("otr: not sent: 1 of your messages");
    shell.wait_for("otr: not posted yet: 1 of your messages; the next otr command");
    hold.cut();
    meeting.pair.alice("send", b"the next").ok();
    assert_eq!(meeting.received("bob"), b"behind it\n");
    assert_eq!(meeting.received("bob"), b"the next");
}
