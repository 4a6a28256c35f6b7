//! Checks a secret inside the session: both sides learn whether they hold the same one, and nothing
//! else. This does what OTR's Socialist Millionaires' Protocol does, with CPace in three frames.
//!
//! ```text
//!              start                 the peer's step 1              answer
//!   ┌──────┐ ─────────▶ Started ┌──────┐ ─────────▶ Asked ───────────────▶ Answered
//!   │ None │  1 leaves   │      │ None │                     2 leaves        │ │
//!   └──────┘ ◀───────────┘      └──────┘ ◀────────────────────────────────────┘ │
//!      ▲  step 2: 3 or 4 is pending  ▲        step 3: equal, or not; 4: not     │
//!      │                             └── the peer's next step 1: a failure stays ┘
//!      └ step 4
//! ```
//! Only one run is active at a time; if two cross, the inviter's wins. A side counts a failure
//! before it sends anything that could answer a guess; three failures end the session.

use zeroize::Zeroizing;

use crate::protocol::authentication::pake::{self, Generator, Prs, SHARE, Scalar, Sent};
use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::{Secret, WordsKey, wipe_stack};
use crate::protocol::packet::frame::{self, QUESTION_MAX, Step, VERIFY_HEAD, Verify};
use crate::protocol::randomness::{NoRandomness, Randomness};

/// How many failures end a session: three guesses at a secret, in both roles together.
pub const FAILURES_MAX: u8 = 3;
/// Bytes of the longest frame that can be pending: a step 3.
pub(crate) const PENDING_MAX: usize = VERIFY_HEAD + 32;

/// What this end knows about its checks.
#[derive(Default)]
pub(crate) struct Verification {
    /// How many attempts this end has started; also the number of the last one.
    pub(crate) own_attempt: u32,
    /// The highest attempt that the peer started.
    pub(crate) peer_attempt: u32,
    pub(crate) failures: u8,
    /// Whether any run has shown that the secrets are equal.
    pub(crate) succeeded: bool,
    /// Whether the session must end.
    pub(crate) over: bool,
    /// A pending step 3 or 4 of a run that this end started.
    pub(crate) starter_pending: Option<Zeroizing<Vec<u8>>>,
    /// A pending step 4 of a run that the peer started.
    pub(crate) answerer_pending: Option<Zeroizing<Vec<u8>>>,
    pub(crate) run: Run,
}

/// The active run. Its attempt is the latest of the side that started it.
#[derive(Default)]
pub(crate) enum Run {
    #[default]
    None,
    /// This end asked.
    Started(Started),
    /// The peer asked; the person at this end has not answered yet.
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

/// What happened to a check, for the person to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer asks for a secret; its question may be empty.
    Asked {
        /// The peer's text: show it with control characters made visible.
        question: Zeroizing<String>,
    },
    /// Both asked at once; this end's question stands.
    Crossed,
    /// Both asked at once; this end's question gave way, and [`Event::Asked`] follows.
    GaveWay,
    /// The secrets are equal.
    Equal,
    /// The secrets differ, and a failure was counted.
    Different {
        /// 1 to 3.
        failures: u8,
    },
    /// A run that this end answered never finished, and its failure stays counted.
    Unfinished {
        /// 1 to 3.
        failures: u8,
    },
    /// The peer's share is unusable: the run was stopped.
    BadShare,
    /// The peer stopped the run before any secret was compared.
    Stopped,
    /// A frame that belongs to no active run was dropped.
    Dropped,
}

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerError {
    /// There is no question to answer.
    NothingAsked,
    /// No randomness.
    NoRandomness,
}

impl From<NoRandomness> for AnswerError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

/// Names a run: only the two ends of one conversation, with the same history, compute the same
/// name.
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

/// What both sides of a run contribute, except the secret.
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
        wipe_stack();
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
    /// Step 2, and what this end keeps until step 3.
    pub(crate) fn answer(
        self,
        by_inviter: bool,
        prs: &Prs,
        randomness: &mut dyn Randomness,
    ) -> Result<(Step, Answered), AnswerError> {
        let scalar = Scalar::draw(randomness)?;
        let share = scalar.share(&Generator::new(prs, labels::VERIFY))?;
        // It was checked when it arrived.
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
            self.starter_pending = Some(encode(own.inviter, attempt, step));
            self.succeeded = true;
            Event::Equal
        } else {
            self.starter_pending = Some(encode(own.inviter, attempt, Step::Stop));
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
            // Takes back the failure that was counted before step 2 was sent.
            self.failures = self.failures.saturating_sub(1);
            self.succeeded = true;
            Event::Equal
        } else {
            self.fail()
        }
    }

    /// Step 4 of a run that either end started. It means nothing if the peer's question crossed
    /// this end's and gave way; that question may also arrive later, or never. A stop of a later
    /// attempt by the peer ends its earlier run, too, because an answer names the run by the
    /// highest attempt.
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

    /// Step 1: the peer asks. Its attempt must exceed the last one, and counts as used whatever
    /// happens next.
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
                // Otherwise this end's question could be answered, and counted, if it arrived after
                // this run.
                let step = Step::Stop;
                self.starter_pending = Some(encode(own.inviter, self.own_attempt, step));
            }
            Run::Answered(_) => {
                events.push(Event::Unfinished { failures: self.failures });
                self.over |= self.failures >= FAILURES_MAX;
            }
            Run::Asked(_) | Run::None => {}
        }
        // The pending step for the peer's earlier run belongs to a run that is no longer active.
        self.answerer_pending = None;
        if self.over {
            return;
        }
        if pake::is_valid_share(&asked.share) {
            events.push(Event::Asked { question: asked.question.clone() });
            self.run = Run::Asked(asked);
        } else {
            events.push(Event::BadShare);
            self.answerer_pending = Some(encode(!own.inviter, attempt, Step::Stop));
        }
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.starter_pending.is_some() || self.answerer_pending.is_some()
    }

    /// Takes the pending steps, followed by `last`.
    pub(crate) fn take_pending(&mut self, last: &[u8]) -> Zeroizing<Vec<u8>> {
        let pending = [self.starter_pending.take(), self.answerer_pending.take()];
        let mut frames = Zeroizing::new(Vec::with_capacity(2 * PENDING_MAX + last.len()));
        for frame in pending.iter().flatten() {
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
