//! `otr chat`, at terminals that tmux plays, with real postboxes in between.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod beside;
mod cover;
mod faults;
mod files;
mod keys;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod saving;
#[path = "../ends/socks.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod socks;
mod stalled;
#[path = "../support/mod.rs"]
mod support;
mod talk;

use std::cell::Cell;
use std::process::Command;

use postbox::Postbox;
use support::{Pair, tool, until};

/// Two who share a session that lies in a postbox.
pub(crate) struct Meeting {
    pub(crate) pair: Pair,
    pub(crate) postbox: Postbox,
    count: Cell<u32>,
}

impl Meeting {
    /// Two who have not met.
    pub(crate) fn strangers() -> Self {
        Self {
            pair: Pair::strangers(),
            postbox: Postbox::start(&["--ttl", "1h"]),
            count: Cell::new(0),
        }
    }

    /// Two whose handshake is done.
    pub(crate) fn new() -> Self {
        let meeting = Self::strangers();
        meeting.meet(&meeting.postbox.url);
        meeting
    }

    /// Shakes hands through the postbox at this address.
    pub(crate) fn meet(&self, url: &str) {
        let invite = self.pair.alice(&format!("init --postbox {url}"), b"").ok();
        self.pair.bob("respond --yes", &invite).ok();
        self.pair.alice("send --wait 1m", b"first").ok();
        self.pair.bob("recv", b"").ok();
    }

    /// A terminal of this size in which somebody chats.
    pub(crate) fn chat(&self, who: &str, args: &str, size: (u16, u16)) -> Terminal {
        self.terminal(&format!("OTR_DIR=$PLACE/{who} otr chat {args}"), size)
    }

    /// A terminal in which a shell runs this, and then says how it ended.
    pub(crate) fn terminal(&self, script: &str, (width, height): (u16, u16)) -> Terminal {
        self.count.set(self.count.get() + 1);
        let socket = self.pair.path(&format!("tmux{}", self.count.get()));
        let terminal = Terminal { socket: socket.to_str().unwrap().to_owned() };
        let config = self.pair.path("tmux.conf");
        std::fs::write(&config, "set -g history-limit 5000\n").unwrap();
        let (width, height) = (width.to_string(), height.to_string());
        let mut new = terminal.tmux(&["-f", config.to_str().unwrap(), "new-session", "-d"]);
        new.args(["-x", &width, "-y", &height]);
        let script = &format!("{script}; echo \"ended with $?.\"; exec sleep 10000");
        let shell = self.pair.script(script);
        for (name, value) in shell.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            new.env(name, value);
        }
        new.env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").env_remove("OTR_POSTBOX");
        new.current_dir(self.pair.path("")).arg(script);
        assert!(new.status().unwrap().success());
        terminal
    }

    /// Waits until `otr recv` of that end has a message, and returns it.
    pub(crate) fn received(&self, who: &str) -> Vec<u8> {
        support::feed(&mut self.pair.end(who, "recv --wait 2m"), b"").ok()
    }
}

/// A person's terminal.
pub(crate) struct Terminal {
    socket: String,
}

impl Terminal {
    fn tmux(&self, args: &[&str]) -> Command {
        let mut tmux = tool("tmux", "tmux");
        tmux.env_remove("TMUX").arg("-S").arg(&self.socket).args(args);
        tmux
    }

    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.tmux(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types these characters.
    pub(crate) fn write(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
    }

    /// Presses a key by tmux's name for it.
    pub(crate) fn press(&self, key: &str) {
        self.run(&["send-keys", key]);
    }

    pub(crate) fn enter(&self, line: &str) {
        self.write(line);
        // Not before the line is there: a long one takes its time.
        self.press("Enter");
    }

    pub(crate) fn paste(&self, meeting: &Meeting, text: &[u8]) {
        let file = meeting.pair.path("clipboard");
        std::fs::write(&file, text).unwrap();
        self.run(&["load-buffer", file.to_str().unwrap()]);
        self.run(&["paste-buffer", "-p"]);
    }

    /// What the person sees.
    pub(crate) fn shown(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// The rows of the screen, without the blanks at their ends.
    pub(crate) fn rows(&self) -> Vec<String> {
        self.shown().lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// What the person sees, and what has gone over the upper edge.
    pub(crate) fn scrollback(&self) -> String {
        self.run(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |shown| shown.contains(text))
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let last = Cell::new(String::new());
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(&format!("{what:?} on the screen"), || {
                last.set(self.shown());
                let shown = last.take();
                let done = is_so(&shown);
                last.set(shown);
                done
            });
        }));
        let shown = last.take();
        assert!(waited.is_ok(), "{what:?} is not on the screen:\n{shown}");
        shown
    }

    fn asked(&self, what: &str) -> String {
        self.run(&["display-message", "-p", what]).trim().to_owned()
    }

    /// The process that the terminal's shell runs.
    pub(crate) fn pid(&self) -> String {
        let shell = self.asked("#{pane_pid}");
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        children.unwrap().trim().to_owned()
    }

    /// The process that a shell in the terminal runs.
    pub(crate) fn child(&self) -> String {
        let shell = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        children.unwrap().trim().to_owned()
    }

    pub(crate) fn is_alternate(&self) -> bool {
        self.asked("#{alternate_on}") == "1"
    }

    /// Whether tmux says this of the terminal's mode.
    pub(crate) fn has_flag(&self, name: &str) -> bool {
        self.asked(&format!("#{{{name}_flag}}")) == "1"
    }

    /// Waits for the end of the command; its exit code.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let shown = self.wait_until("the end", |shown| {
            shown.contains("ended with ") && shown.trim_end().ends_with('.')
        });
        shown.rsplit("ended with ").next().unwrap().trim_end().trim_end_matches('.').to_owned()
    }

    /// Sends the command a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.pid(), name);
    }
}

/// Sends a process a signal.
pub(crate) fn signal(pid: &str, name: &str) {
    assert!(tool("kill", "procps").args(["-s", name, pid]).status().unwrap().success());
}

/// Whether this process lives.
pub(crate) fn lives(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
    }
}
