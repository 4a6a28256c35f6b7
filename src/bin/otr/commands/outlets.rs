//! Where packets go: to the session's postbox, or to stdout.

use otr::conversation::{Cause, ErrorKind, Outlet, OutletKind};
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::Packet;

use super::emit::Emitter;
use otr::postbox::client::Client;

/// One of the two.
pub(super) enum Way<'a> {
    Print(&'a mut Emitter),
    Post(&'a mut Client),
}

impl<'a> Way<'a> {
    /// To the postbox, if the session has one and it may be called.
    pub(super) fn of(client: Option<&'a mut Client>, emitter: &'a mut Emitter) -> Self {
        client.map_or(Self::Print(emitter), Self::Post)
    }
}

impl Outlet for Way<'_> {
    fn kind(&self) -> OutletKind {
        match self {
            Self::Print(_) => OutletKind::Stream,
            Self::Post(_) => OutletKind::Postbox,
        }
    }

    fn largest(&self) -> usize {
        match self {
            Self::Print(_) => usize::MAX,
            Self::Post(client) => client.largest(),
        }
    }

    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        match self {
            Self::Print(emitter) => Ok(emitter.packets(keys, packets).map(|()| Vec::new())?),
            Self::Post(client) => client.hand_out(keys, packets).await,
        }
    }

    fn too_large(&self, bytes: usize) -> Cause {
        match self {
            Self::Print(_) => Cause::new(ErrorKind::Failed, "stdout takes packets of any size"),
            Self::Post(client) => Outlet::too_large(&**client, bytes),
        }
    }
}
