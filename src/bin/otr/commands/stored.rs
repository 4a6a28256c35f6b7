//! Loads the stored session for commands that read it or record something in it; and stores new
//! sessions.

use otr::conversation::{self, Error, Files, Transaction, block_on};
use otr::protocol::session::stored::Stage;
use otr::store::{Store, hazards};

use crate::failure::Failure;
use crate::ui::logout::LOGOUT;
use crate::ui::speak::warn;

/// Locks and loads.
pub(crate) fn take(files: &mut Files) -> Result<Transaction<'_, Files>, Failure> {
    Ok(block_on(Transaction::begin(files))?)
}

/// The error that the handshake still waits for the other side.
pub(crate) fn no_reply_yet() -> Failure {
    Error::NoReply.into()
}

/// Stores a new session. If `anew`, it replaces an existing one, which is wiped.
pub(crate) fn create(files: &mut Files, stage: &Stage, anew: bool) -> Result<(), Failure> {
    block_on(conversation::create(files, stage, anew))?;
    warn_of_logout(&files.store);
    Ok(())
}

/// Warns if the session will not outlive the login.
pub(super) fn warn_of_logout(store: &Store) {
    if store.directory().is_some_and(hazards::logout_erases) {
        warn(LOGOUT);
    }
}
