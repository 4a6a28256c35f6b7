//! Alice, who invites, Bob, who responds, and Mallory, over pipes or through a postbox.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::postbox::Postbox;
use crate::support::{Pair, Run, feed, start};

/// The line that is said once if nobody has checked anything.
pub(crate) const UNCHECKED: &str = "nobody has checked who the other side is";

pub(crate) struct World {
    pub(crate) pair: Pair,
    pub(crate) postbox: Option<Postbox>,
}

impl World {
    pub(crate) fn of_pipes() -> Self {
        Self { pair: Pair::strangers(), postbox: None }
    }

    pub(crate) fn of_postbox() -> Self {
        Self { pair: Pair::strangers(), postbox: Some(Postbox::start(&[])) }
    }

    /// One of each.
    pub(crate) fn both() -> [Self; 2] {
        [Self::of_pipes(), Self::of_postbox()]
    }

    /// Runs `otr ARGS` as one of them.
    pub(crate) fn otr(&self, who: &str, args: &str, input: &[u8]) -> Run {
        let mut command = self.pair.end(who, args);
        for name in ["OTR_POSTBOX", "OTR_PROXY"] {
            command.env_remove(name);
        }
        feed(&mut command, input)
    }

    /// Like [`World::otr`], with everything that it says on stderr.
    pub(crate) fn said(&self, who: &str, args: &str, input: &[u8]) -> Run {
        use std::io::Write;
        let mut command = self.pair.end(who, args);
        let mut child = start(command.env_remove("OTR_POSTBOX"));
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        Run { code: output.status.code().unwrap(), out: output.stdout, err }
    }

    /// A file with this secret; its name.
    pub(crate) fn secret(&self, text: &str) -> String {
        let name =
            format!("secret-{}", URL_SAFE_NO_PAD.encode(&text.as_bytes()[..text.len().min(64)]));
        fs::write(self.pair.path(&name), text).unwrap();
        name
    }

    fn with(&self, secret: Option<&str>) -> String {
        secret.map(|text| format!("--secret-file {}", self.secret(text))).unwrap_or_default()
    }

    /// The invite of one of them.
    pub(crate) fn invite(&self, who: &str, secret: Option<&str>) -> Vec<u8> {
        let with = self.with(secret);
        match &self.postbox {
            Some(postbox) => self.otr(who, &format!("init --postbox {} {with}", postbox.url), b""),
            None => self.otr(who, &format!("init {with}"), b""),
        }
        .ok()
    }

    /// Answers an invite, and takes the reply to the side that made it; returns what the `recv`
    /// there says.
    pub(crate) fn answer(
        &self,
        who: &str,
        invite: &[u8],
        secret: Option<&str>,
        inviter: &str,
    ) -> Run {
        let with = self.with(secret);
        let reply = self.otr(who, &format!("respond --yes {with}"), invite).ok();
        self.take(inviter, &reply)
    }

    /// Receives what a command of the other side wrote, or what lies in the postbox.
    pub(crate) fn take(&self, who: &str, packets: &[u8]) -> Run {
        match &self.postbox {
            Some(_) => {
                assert_eq!(packets, b"", "it went to the postbox");
                self.otr(who, "recv --all", b"")
            }
            None => self.otr(who, "recv", packets),
        }
    }

    /// Alice and Bob meet; Alice's first packet has reached Bob.
    pub(crate) fn meet(&self, secret: Option<&str>) {
        let invite = self.invite("alice", secret);
        self.answer("bob", &invite, secret, "alice").ok();
        match &self.postbox {
            Some(_) => self.otr("bob", "recv --all", b"").ok(),
            None => self.say("alice", "bob", "hello").ok(),
        };
    }

    /// Sends a message; returns what the other side's `recv` writes.
    pub(crate) fn say(&self, from: &str, to: &str, text: &str) -> Run {
        let packets = self.otr(from, "send", text.as_bytes()).ok();
        self.take(to, &packets)
    }

    /// `otr verify` with this secret; returns what the other side's `recv` writes.
    pub(crate) fn verify(&self, from: &str, to: &str, secret: &str, options: &str) -> Run {
        let file = self.secret(secret);
        let asked = self.otr(from, &format!("verify --secret-file {file} {options}"), b"");
        self.take(to, &asked.ok())
    }

    /// The pending step goes out with the next message, or already lies in the postbox.
    pub(crate) fn take_pending(&self, from: &str, to: &str) -> Run {
        match &self.postbox {
            Some(_) => self.take(to, b""),
            None => self.say(from, to, "with the pending step"),
        }
    }

    /// The session of one of them, as `status` has it.
    pub(crate) fn status(&self, who: &str) -> Value {
        let text = self.otr(who, "status --json", b"").out;
        let all: Value = serde_json::from_slice(&text).unwrap();
        all["sessions"][0].clone()
    }

    /// How they have authenticated each other.
    pub(crate) fn authenticated(&self, who: &str) -> Value {
        self.status(who)["authenticated"].clone()
    }

    /// Whether nothing is left of one of them.
    pub(crate) fn is_wiped(&self, who: &str) -> bool {
        !self.pair.state_path(who).exists()
    }

    pub(crate) fn words(&self, who: &str) -> String {
        self.otr(who, "words", b"").text()
    }
}
