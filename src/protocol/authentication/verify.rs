//! Checking a secret inside the session: both sides learn whether they hold the same one, and
//! nothing else. What OTR's Socialist Millionaires' Protocol is for, by CPace in three frames.
//!
//! ```text
//!              start                 the peer's step 1              answer
//!   ┌──────┐ ─────────▶ Started ┌──────┐ ─────────▶ Asked ───────────────▶ Answered
//!   │ None │  1 leaves   │      │ None │                     2 leaves        │ │
//!   └──────┘ ◀───────────┘      └──────┘ ◀────────────────────────────────────┘ │
//!      ▲  step 2: 3 or 4 is owed     ▲        step 3: equal, or not; 4: not     │
//!      │                             └── the peer's next step 1: a failure stays ┘
//!      └ step 4
//! ```
//! One run at a time; of two that cross, the inviter's wins. A side that may have given away the
//! answer to a guess has counted a failure before it did; three end the session.

use zeroize::Zeroizing;

use crate::protocol::authentication::pake::{self, Generator, Prs, SHARE, Scalar, Sent};
use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::{Secret, WordsKey, bleach};
use crate::protocol::packet::frame::{self, QUESTION_MAX, Step, VERIFY_HEAD, Verify};
use crate::protocol::randomness::{NoRandomness, Randomness};

/// How many failures end a session: three guesses at a secret, both roles together.
pub const FAILURES_MAX: u8 = 3;
/// Bytes of the longest frame that can be owed: a step 3.
pub(crate) const OWED_MAX: usize = VERIFY_HEAD + 32;

/// What this end knows of its checks.
#[derive(Default)]
pub(crate) struct Verification {
    /// Attempts that this end started; the last one's number.
    pub(crate) own_attempt: u32,
    /// The highest attempt that the peer started.
    pub(crate) peer_attempt: u32,
    pub(crate) failures: u8,
    /// Whether any run showed that the secrets are equal.
    pub(crate) succeeded: bool,
    /// Whether the session must end.
    pub(crate) over: bool,
    /// Step 3 or 4 of a run that this end started.
    pub(crate) owed_by_starter: Option<Zeroizing<Vec<u8>>>,
    /// Step 4 of a run that the peer started.
    pub(crate) owed_by_answerer: Option<Zeroizing<Vec<u8>>>,
    pub(crate) run: Run,
}

/// The run that is going on. Its attempt is the last one of the side that started it.
#[derive(Default)]
pub(crate) enum Run {
    #[default]
    None,
    /// This end asked.
    Started(Started),
    /// The peer asked; this end's person has not answered.
    Asked(Asked),
    /// This end answered.
    Answered(Answered),
}

/// What the starter keeps until step 2: the scalar, not the secret.
pub(crate) struct Started {
    pub(crate) sid: [u8; 32],
    pub(crate) share: [u8; SHARE],
    pub(crate) scalar: Scalar,
    pub(crate) question: Zeroizing<String>,
}

/// What the peer's step 1 said.
pub(crate) struct Asked {
    pub(crate) sid: [u8; 32],
    pub(crate) share: [u8; SHARE],
    pub(crate) question: Zeroizing<String>,
}

/// What the answerer keeps until step 3.
pub(crate) struct Answered {
    /// The MAC that the starter will send if its secret is the same.
    pub(crate) expected: Secret<32>,
}

/// What became of a check, for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer asks for a secret; its question may be empty.
    Asked {
        /// Text of the peer: to be shown with control characters made visible.
        question: Zeroizing<String>,
    },
    /// Both asked at once, and this end's question goes on.
    Crossed,
    /// Both asked at once, and this end's question gave way; [`Event::Asked`] follows.
    GaveWay,
    /// The secrets are equal.
    Equal,
    /// They are not. So many failures were counted.
    Different {
        /// 1 to 3.
        failures: u8,
    },
    /// A run that was answered never got its end, and its failure stays counted.
    Unfinished {
        /// 1 to 3.
        failures: u8,
    },
    /// The peer's share cannot be used: the run was stopped.
    BadShare,
    /// The peer stopped the run before any secret was compared.
    Stopped,
    /// A frame of no run that goes on was dropped.
    Dropped,
}

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerError {
    /// Its share cannot be used.
    NothingAsked,
    /// No randomness.
    NoRandomness,
}

impl From<NoRandomness> for AnswerError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

/// Names a run: only the two ends of one conversation, with one history, get the same.
pub(crate) fn session_id(
    transcript: &[u8; 32],
    key: &WordsKey,
    started_by_inviter: bool,
    attempt: u32,
) -> [u8; 32] {
    let mut sid = [0; 32];
    let starter = [role_byte(started_by_inviter)];
    let info: [&[u8]; 3] = [labels::VERIFY, &starter, &attempt.to_be_bytes()];
    primitives::hkdf(transcript, &[key.bytes()], &info, &mut sid);
    sid
}

/// 0 for I, 1 for R.
fn role_byte(inviter: bool) -> u8 {
    u8::from(!inviter)
}

/// The two MACs of a run.
struct Macs {
    answerer: Secret<32>,
    starter: Secret<32>,
}

/// What both sides of a run put in, but for the secret.
struct Public<'a> {
    sid: &'a [u8; 32],
    started_by_inviter: bool,
    question: &'a str,
    starters: &'a [u8; SHARE],
    answerers: &'a [u8; SHARE],
}

impl Public<'_> {
    fn macs(&self, shared: &Secret<32>) -> Macs {
        let mut starters_data = Zeroizing::new(Vec::with_capacity(1 + QUESTION_MAX));
        starters_data.push(role_byte(self.started_by_inviter));
        starters_data.extend_from_slice(self.question.as_bytes());
        let answerers_data = [role_byte(!self.started_by_inviter)];
        let isk = pake::session_key(
            self.sid,
            shared,
            &Sent { share: self.starters, data: &starters_data },
            &Sent { share: self.answerers, data: &answerers_data },
        );
        let mut key = Secret::<32>::zeroed();
        primitives::hkdf(self.sid, &[isk.bytes()], &[labels::VERIFY_MAC], key.bytes_mut());
        let macs = Macs {
            answerer: Secret::copy_of(&primitives::hmac(key.bytes(), &[labels::ANSWERER])),
            starter: Secret::copy_of(&primitives::hmac(key.bytes(), &[labels::STARTER])),
        };
        bleach();
        macs
    }
}

impl Started {
    /// The MAC for step 3, if step 2 shows the same secret.
    fn finish(
        self,
        by_inviter: bool,
        answerers: &[u8; SHARE],
        mac: &[u8; 32],
    ) -> Option<Secret<32>> {
        let shared = self.scalar.agree(answerers).ok()?;
        let public = Public {
            sid: &self.sid,
            started_by_inviter: by_inviter,
            question: &self.question,
            starters: &self.share,
            answerers,
        };
        let macs = public.macs(&shared);
        primitives::equal(macs.answerer.bytes(), mac).then_some(macs.starter)
    }
}

impl Asked {
    /// Step 2, and what waits for step 3.
    pub(crate) fn answer(
        self,
        by_inviter: bool,
        prs: &Prs,
        randomness: &mut dyn Randomness,
    ) -> Result<(Step, Answered), AnswerError> {
        let scalar = Scalar::draw(randomness)?;
        let share = scalar.share(&Generator::new(prs, labels::VERIFY))?;
        // It was checked when it came.
        let shared = scalar.agree(&self.share).map_err(|_| AnswerError::NothingAsked)?;
        let public = Public {
            sid: &self.sid,
            started_by_inviter: by_inviter,
            question: &self.question,
            starters: &self.share,
            answerers: &share,
        };
        let macs = public.macs(&shared);
        let step = Step::Answer { share, mac: *macs.answerer.bytes() };
        Ok((step, Answered { expected: macs.starter }))
    }
}

/// The bytes of one frame.
pub(crate) fn encode(started_by_inviter: bool, attempt: u32, step: Step) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(VERIFY_HEAD + SHARE + QUESTION_MAX));
    frame::put_verify(&mut *bytes, &Verify { started_by_inviter, attempt, step });
    bytes
}

impl Verification {
    /// Counts a failure that is final.
    fn fail(&mut self) -> Event {
        self.over |= self.failures >= FAILURES_MAX;
        Event::Different { failures: self.failures }
    }

    /// Step 2: an answer to this end's question.
    pub(crate) fn on_answer(
        &mut self,
        own: Own,
        attempt: u32,
        share: &[u8; SHARE],
        mac: &[u8; 32],
    ) -> Event {
        let run = match core::mem::take(&mut self.run) {
            Run::Started(run) if attempt == self.own_attempt => run,
            other => {
                self.run = other;
                return Event::Dropped;
            }
        };
        if let Some(mac) = run.finish(own.inviter, share, mac) {
            let step = Step::Confirm { mac: *mac.bytes() };
            self.owed_by_starter = Some(encode(own.inviter, attempt, step));
            self.succeeded = true;
            Event::Equal
        } else {
            self.owed_by_starter = Some(encode(own.inviter, attempt, Step::Stop));
            self.failures = self.failures.saturating_add(1);
            self.fail()
        }
    }

    /// Step 3: the end of a run that this end answered.
    pub(crate) fn on_confirm(&mut self, attempt: u32, mac: &[u8; 32]) -> Event {
        let run = match core::mem::take(&mut self.run) {
            Run::Answered(run) if attempt == self.peer_attempt => run,
            other => {
                self.run = other;
                return Event::Dropped;
            }
        };
        if primitives::equal(run.expected.bytes(), mac) {
            // The failure that was counted before step 2 left.
            self.failures = self.failures.saturating_sub(1);
            self.succeeded = true;
            Event::Equal
        } else {
            self.fail()
        }
    }

    /// Step 4, of a run that this end started or not. It tells nothing where the peer's question,
    /// which crossed this end's, gave way; that question may also come later, or never.
    /// One of a later attempt of the peer's ends its earlier run, too: an answer names the run by
    /// the highest attempt.
    pub(crate) fn on_stop(&mut self, own_run: bool, attempt: u32) -> Option<Event> {
        let known = self.peer_attempt;
        if !own_run {
            self.peer_attempt = known.max(attempt);
        }
        match (core::mem::take(&mut self.run), own_run) {
            (Run::Started(_), true) if attempt == self.own_attempt => Some(Event::Stopped),
            (Run::Asked(_), false) if attempt >= known => Some(Event::Stopped),
            (Run::Answered(_), false) if attempt >= known => Some(self.fail()),
            (Run::Started(run), false) if attempt > 0 && attempt == known => {
                self.run = Run::Started(run);
                None
            }
            (other, _) => {
                self.run = other;
                Some(Event::Dropped)
            }
        }
    }

    /// Step 1: the peer asks. Its attempt must rise, whatever becomes of it.
    pub(crate) fn on_ask(&mut self, own: Own, attempt: u32, asked: Asked, events: &mut Vec<Event>) {
        if attempt <= self.peer_attempt {
            return events.push(Event::Dropped);
        }
        self.peer_attempt = attempt;
        match core::mem::take(&mut self.run) {
            Run::Started(run) if own.inviter => {
                self.run = Run::Started(run);
                return events.push(Event::Crossed);
            }
            Run::Started(_) => {
                events.push(Event::GaveWay);
                // Or it could be answered, and counted, if it comes after this run.
                let step = Step::Stop;
                self.owed_by_starter = Some(encode(own.inviter, self.own_attempt, step));
            }
            Run::Answered(_) => {
                events.push(Event::Unfinished { failures: self.failures });
                self.over |= self.failures >= FAILURES_MAX;
            }
            Run::Asked(_) | Run::None => {}
        }
        // What was owed for the peer's run before is of a run that is not going on.
        self.owed_by_answerer = None;
        if self.over {
            return;
        }
        if pake::is_valid_share(&asked.share) {
            events.push(Event::Asked { question: asked.question.clone() });
            self.run = Run::Asked(asked);
        } else {
            events.push(Event::BadShare);
            self.owed_by_answerer = Some(encode(!own.inviter, attempt, Step::Stop));
        }
    }

    pub(crate) fn is_owed(&self) -> bool {
        self.owed_by_starter.is_some() || self.owed_by_answerer.is_some()
    }

    /// Takes what is owed, in front of `last`.
    pub(crate) fn take_owed(&mut self, last: &[u8]) -> Zeroizing<Vec<u8>> {
        let owed = [self.owed_by_starter.take(), self.owed_by_answerer.take()];
        let mut frames = Zeroizing::new(Vec::with_capacity(2 * OWED_MAX + last.len()));
        for frame in owed.iter().flatten() {
            frames.extend_from_slice(frame);
        }
        frames.extend_from_slice(last);
        frames
    }
}

/// Which side this end is.
#[derive(Clone, Copy)]
pub(crate) struct Own {
    pub(crate) inviter: bool,
}
