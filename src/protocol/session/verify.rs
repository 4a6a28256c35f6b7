//! A session's checks of a secret: what a person may ask, and the packets that carry it
//! ([`crate::protocol::authentication::verify`] has the steps).

use zeroize::Zeroizing;

use super::Session;
use super::sending::SealError;
use crate::protocol::authentication::pake::{Generator, Prs, Scalar};
use crate::protocol::authentication::password::Password;
use crate::protocol::authentication::verify::{
    AnswerError, Asked, Event, Own, Run, Started, encode, session_id,
};
use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives::OutOfMemory;
use crate::protocol::packet::frame::{QUESTION_MAX, Step, Verify};
use crate::protocol::packet::{K_MIN, Packet};
use crate::protocol::randomness::{NoRandomness, Randomness};
use crate::protocol::ratchet::StepError;

/// Whether failures end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// They do not; the session goes on.
    GoesOn,
    /// They do, as soon as the pending step has been sent to the peer ([`Session::seal_pending`]).
    AfterPendingStep,
    /// They do: the session must be wiped now.
    Now,
}

/// Why a check was not started or answered. The state may have changed: do not store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// The question is longer than [`QUESTION_MAX`] bytes.
    QuestionTooLong,
    /// The peer has asked: answer its question instead.
    PeerAsked,
    /// This end has answered and waits for the peer's last step.
    Waiting,
    /// The peer has not asked anything.
    NothingAsked,
    /// The peer has asked something else meanwhile.
    AskedAnew,
    /// Failures have ended the session, or the attempts are used up.
    Ended,
    /// No number to send it under.
    Step(StepError),
    /// It could not be sealed.
    Seal(SealError),
    /// No randomness.
    NoRandomness,
    /// Not the memory that a secret takes.
    OutOfMemory,
}

impl From<OutOfMemory> for VerifyError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<StepError> for VerifyError {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl From<SealError> for VerifyError {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<NoRandomness> for VerifyError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

impl From<AnswerError> for VerifyError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::NothingAsked => Self::NothingAsked,
            AnswerError::NoRandomness => Self::NoRandomness,
        }
    }
}

impl Session {
    /// Applies an accepted packet's VERIFY frame.
    pub(crate) fn receive_verify(
        &mut self,
        frame: &Verify,
        transcript: &[u8; 32],
        events: &mut Vec<Event>,
    ) {
        let own = Own { inviter: self.is_inviter() };
        let own_run = frame.started_by_inviter == own.inviter;
        let (state, attempt) = (&mut self.verify, frame.attempt);
        if state.over {
            return events.push(Event::Dropped);
        }
        let event = match &frame.step {
            Step::Ask { share, question } if !own_run => {
                let sid = session_id(transcript, &self.words, frame.started_by_inviter, attempt);
                let asked = Asked { sid, share: *share, question: question.clone() };
                return state.on_ask(own, attempt, asked, events);
            }
            Step::Answer { share, mac } if own_run => state.on_answer(own, attempt, share, mac),
            Step::Confirm { mac } if !own_run => state.on_confirm(attempt, mac),
            Step::Stop => return events.extend(state.on_stop(own_run, attempt)),
            // A step that this side cannot have taken, such as this end's own, reflected.
            Step::Ask { .. } | Step::Answer { .. } | Step::Confirm { .. } => Event::Dropped,
        };
        events.push(event);
    }

    /// Asks the peer for a secret: a packet of 4,096 bytes, which also holds any pending step. The
    /// state must be stored before the packet is sent. This replaces an earlier question of this
    /// end that is still open.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn start_verify(
        &mut self,
        secret: &Password,
        question: &str,
        randomness: &mut dyn Randomness,
    ) -> Result<Packet, VerifyError> {
        if question.len() > QUESTION_MAX {
            return Err(VerifyError::QuestionTooLong);
        }
        match &self.verify.run {
            _ if self.verify.over => return Err(VerifyError::Ended),
            Run::Asked(_) => return Err(VerifyError::PeerAsked),
            Run::Answered(_) => return Err(VerifyError::Waiting),
            Run::Started(_) | Run::None => {}
        }
        let attempt = self.verify.own_attempt.checked_add(1).ok_or(VerifyError::Ended)?;
        let by_inviter = self.is_inviter();
        // The run is bound to the chain that carries step 1, so a ratchet step that is due is taken
        // first.
        let mut reservation = self.reserve(1, randomness)?;
        let sending = self.ratchet.sending.as_ref().ok_or(StepError::Exhausted)?;
        let sid = session_id(&sending.transcript, &self.words, by_inviter, attempt);
        let scalar = Scalar::draw(randomness)?;
        let prs = secret.stretch(&sid)?;
        let share = scalar.share(&Generator::new(&prs, labels::VERIFY))?;
        let question = Zeroizing::new(question.to_owned());
        let step = Step::Ask { share, question: question.clone() };
        let frames = self.verify.take_pending(&encode(by_inviter, attempt, step));
        self.verify.own_attempt = attempt;
        self.verify.run = Run::Started(Started { sid, share, scalar, question });
        Ok(reservation.seal_frames(K_MIN, &frames, randomness)?)
    }

    /// Answers the peer's question: a packet of 4,096 bytes, which also holds any pending step. A
    /// failure is counted until the peer's step 3 takes it back, so the state **must be stored
    /// before the packet is sent**: the packet gives the peer one guess.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn answer_verify(
        &mut self,
        prs: &Prs,
        randomness: &mut dyn Randomness,
    ) -> Result<Packet, VerifyError> {
        if self.verify.over {
            return Err(VerifyError::Ended);
        }
        let asked = match core::mem::take(&mut self.verify.run) {
            Run::Asked(asked) if prs.is_for(&asked.sid) => asked,
            other => {
                let anew = matches!(other, Run::Asked(_));
                self.verify.run = other;
                return Err(if anew { VerifyError::AskedAnew } else { VerifyError::NothingAsked });
            }
        };
        let mut reservation = self.reserve(1, randomness)?;
        let by_inviter = !self.is_inviter();
        let (step, answered) = asked.answer(by_inviter, prs, randomness)?;
        self.verify.failures = self.verify.failures.saturating_add(1);
        self.verify.run = Run::Answered(answered);
        let frames = self.verify.take_pending(&encode(by_inviter, self.verify.peer_attempt, step));
        Ok(reservation.seal_frames(K_MIN, &frames, randomness)?)
    }

    /// The packet, 4,096 bytes, with the pending step that the peer waits for, if there is one.
    /// Store the state, then send this packet before any other.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn seal_pending(
        &mut self,
        randomness: &mut dyn Randomness,
    ) -> Result<Option<Packet>, VerifyError> {
        if !self.verify.has_pending() {
            return Ok(None);
        }
        let mut reservation = self.reserve(1, randomness)?;
        let frames = self.verify.take_pending(&[]);
        Ok(Some(reservation.seal_frames(K_MIN, &frames, randomness)?))
    }

    /// Whether a step to the peer is pending.
    pub fn has_pending_step(&self) -> bool {
        self.verify.has_pending()
    }

    /// The name of the run that an answer would belong to; the answer is stretched with it.
    pub fn question_run(&self) -> Option<&[u8; 32]> {
        match &self.verify.run {
            Run::Asked(asked) => Some(&asked.sid),
            _ => None,
        }
    }

    /// The peer's open question; may be empty.
    pub fn question(&self) -> Option<&str> {
        match &self.verify.run {
            Run::Asked(asked) => Some(&asked.question),
            _ => None,
        }
    }

    /// Whether this end has asked, and the answer has not arrived.
    pub fn awaits_answer(&self) -> bool {
        matches!(self.verify.run, Run::Started(_))
    }

    /// Whether this end has answered, and the peer's last step has not arrived.
    pub fn awaits_last_step(&self) -> bool {
        matches!(self.verify.run, Run::Answered(_))
    }

    /// How many failures count against the session, of
    /// [`FAILURES_MAX`](crate::protocol::authentication::verify::FAILURES_MAX). While this end
    /// waits for a step 3, one of them may still be taken back.
    pub fn verify_failures(&self) -> u8 {
        self.verify.failures
    }

    /// Whether failures end the session.
    pub fn ending(&self) -> Ending {
        match (self.verify.over, self.verify.has_pending()) {
            (false, _) => Ending::GoesOn,
            (true, true) => Ending::AfterPendingStep,
            (true, false) => Ending::Now,
        }
    }
}

#[cfg(test)]
#[path = "../tests/verify.rs"]
mod tests;
