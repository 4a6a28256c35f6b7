//! A check of a secret, from this end: packets that an earlier step left go out first, then the
//! next step is sealed, stored and handed out.

use zeroize::Zeroizing;

use super::driver::{Host, Outlet, OutletKind};
use super::error::Error;
use super::outbox::{hand_out_waiting, taken};
use super::pending::{settle, store_in_line};
use super::transaction::Transaction;
use crate::protocol::authentication::pake::Prs;
use crate::protocol::authentication::password::Password;
use crate::protocol::packet::Packet;
use crate::protocol::randomness::Randomness;
use crate::protocol::session::Session;
use crate::protocol::session::verify::{Ending, VerifyError};

/// Hands out what an earlier process has left, and ends a session that failed checks have ended.
/// Returns whether that was a step of a check which now waits for the other side.
pub async fn prepare<H: Host, O: Outlet>(host: &mut H, outlet: &mut O) -> Result<bool, Error> {
    let _sender = host.become_sender(false).await?;
    let mut transaction = Transaction::begin(host).await?;
    let Some((session, _)) = transaction.any_session() else { return Err(Error::NoReply) };
    let (ending, of) = (session.ending(), session.identity());
    let waits = session.awaits_answer() || session.awaits_last_step();
    drop(transaction);
    let out = hand_out_waiting(host, outlet, Some(of)).await?;
    // Otherwise it goes out with the next step, in one packet.
    if ending != Ending::GoesOn {
        settle(host, outlet).await?;
    }
    Ok(out && waits && outlet.kind() == OutletKind::Stream)
}

/// The other side's question.
pub struct Question {
    /// Its text; empty = none.
    pub text: Zeroizing<String>,
    /// The run that the answer belongs to; the secret is stretched with it.
    pub run: [u8; 32],
}

/// The other side's question, if it has asked.
pub async fn question<H: Host>(host: &mut H) -> Result<Option<Question>, Error> {
    let mut transaction = Transaction::begin(host).await?;
    let session = transaction.session()?;
    if session.peer_closed() {
        return Err(Error::PeerClosed);
    }
    if session.awaits_last_step() {
        return Err(VerifyError::Waiting.into());
    }
    let asked = session.question().zip(session.question_run());
    Ok(asked.map(|(text, run)| Question { text: Zeroizing::new(text.to_owned()), run: *run }))
}

/// The input to the next step.
pub enum Compared<'a> {
    /// The answer to a question: the secret, stretched for that run.
    Answer(Prs),
    /// A question. The secret is stretched under the lock, because the name of the run depends on
    /// the chain that carries it, which may begin with this very packet.
    Question(Password, &'a str),
}

impl Compared<'_> {
    /// Seals the packet; the secret is wiped before any effect.
    fn seal(
        self,
        session: &mut Session,
        randomness: &mut dyn Randomness,
    ) -> Result<Packet, VerifyError> {
        match self {
            Self::Answer(prs) => session.answer_verify(&prs, randomness),
            Self::Question(secret, question) => session.start_verify(&secret, question, randomness),
        }
    }
}

/// Takes the next step of the check.
///
/// # Errors
/// With [`Error::Taken`] the step is stored and goes out later.
pub async fn step<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    compared: Compared<'_>,
) -> Result<(), Error> {
    let _sender = host.become_sender(false).await?;
    let mut transaction = Transaction::begin(host).await?;
    let (session, randomness) = transaction.session_and_randomness()?;
    let (packet, of) = (compared.seal(session, randomness)?, session.identity());
    store_in_line(transaction, packet).await?;
    hand_out_waiting(host, outlet, Some(of)).await.map(drop).map_err(taken)
}
