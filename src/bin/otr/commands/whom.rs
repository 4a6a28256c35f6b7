//! Whom a session calls: its postbox, from the invite.

use otr::protocol::handshake::invite::Invite;
use otr::protocol::session::stored::Stage;

use crate::failure::{Code, Failure};
use crate::route::RouteArgs;
use otr::postbox::client::{Client, Url};

/// The postbox of a session, if it has one.
pub(super) fn client(stage: &Stage, route: &RouteArgs) -> Result<Option<Client>, Failure> {
    connect(&postbox_of_stage(stage), route)
}

/// The URL of a session's postbox; empty = none.
pub(super) fn postbox_of_stage(stage: &Stage) -> String {
    match stage {
        Stage::Session(session) => session.postbox().to_owned(),
        Stage::Inviting(inviting) => postbox_of(inviting.invite()),
    }
}

/// The URL in an invite; empty = none.
pub(super) fn postbox_of(invite: &[u8]) -> String {
    Invite::parse(invite).map(|invite| invite.postbox).unwrap_or_default()
}

/// The postbox of that URL.
pub(super) fn connect(url: &str, route: &RouteArgs) -> Result<Option<Client>, Failure> {
    if url.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(url).map_err(|why| {
        let what = format!("the postbox of this session cannot be called: {why}");
        Failure::new(Code::Refused, what, "begin another session")
    })?;
    route.client(url).map(Some)
}
