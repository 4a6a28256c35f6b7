//! The end that failed checks of a secret bring.

use otr::protocol::authentication::verify::FAILURES_MAX;
use otr::protocol::session::Session;
use otr::protocol::session::verify::Ending;

use crate::failure::{Code, Failure};

/// Whether failed checks have ended the session, and nothing of it is still to be handed out.
pub(super) fn is_over(session: &Session) -> bool {
    session.ending() == Ending::Now && session.waiting().is_empty()
}

/// The session was ended by failed checks, and wiped.
pub(super) fn over() -> Failure {
    let what = format!("{FAILURES_MAX} checks of a secret have failed: the session has been ended");
    Failure::new(Code::NotAuthentic, what, "whoever is there does not know the secret")
}

/// As [`over`], where the other side could not be told, and why.
pub(super) fn untold(why: &str) -> Failure {
    let over = over();
    let what = format!("{}, but the other side was not told: {why}", over.what);
    Failure { what: what.into(), ..over }
}

/// As [`over`], while the other side has still to be told.
pub(super) fn nearly_over() -> Failure {
    let hint = "'otr send' or 'otr close' tells the other side and wipes it";
    Failure { hint: hint.into(), ..over() }
}
