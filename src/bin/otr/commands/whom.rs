//! Finds the postbox of a session, from the invite.

use otr::protocol::handshake::invite::Invite;
use otr::protocol::session::stored::Stage;

use crate::failure::{Code, Failure};
use crate::route::RouteArgs;
use otr::postbox::client::{Client, Urls};

/// The postbox of a session, if it has one.
pub(super) fn client(stage: &Stage, route: &RouteArgs) -> Result<Option<Client>, Failure> {
    postbox_of_stage(stage).map(|url| connect(&url, route)).transpose()
}

/// What a session's invite says of its postboxes.
pub(super) fn postbox_of_stage(stage: &Stage) -> Option<String> {
    match stage {
        Stage::Session(session) => session.postbox().map(str::to_owned),
        Stage::Inviting(inviting) => inviting.postbox(),
    }
}

/// What an invite says of its postboxes.
pub(super) fn postbox_of(invite: &[u8]) -> Option<String> {
    Invite::parse(invite).ok()?.postbox
}

/// The postbox with this URL, or those that an invite names.
pub(super) fn connect(urls: &str, route: &RouteArgs) -> Result<Client, Failure> {
    let urls = Urls::parse(urls).map_err(|why| {
        let what = format!("the postbox of this session cannot be called: {why}");
        Failure::new(Code::Refused, what, "begin another session")
    })?;
    route.client(urls)
}
