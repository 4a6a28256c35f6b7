//! Where the packets of a chat go: to the postbox now, or into the session's queue for later.

use otr::conversation::{Cause, ErrorKind, Outlet, OutletKind, Window};
use otr::postbox::client::Client;
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::Packet;
use otr::protocol::packet::receipt::Receipt;

pub(super) enum Way {
    /// Nothing is handed out: a short message is stored, and goes out with the next [`Way::Post`].
    Later(Client),
    Post(Client),
    /// For a message of any length, of which only a part lies in the postbox at a time.
    Flow(Window),
}

impl Outlet for Way {
    fn kind(&self) -> OutletKind {
        OutletKind::Postbox
    }

    fn largest(&self) -> usize {
        match self {
            Self::Later(client) | Self::Post(client) => client.largest(),
            Self::Flow(window) => window.largest(),
        }
    }

    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        match self {
            Self::Later(_) => Err(Cause::new(ErrorKind::Unreachable, "it goes out later")),
            Self::Post(client) => client.hand_out(keys, packets).await,
            Self::Flow(window) => window.hand_out(keys, packets).await,
        }
    }

    fn sealed(&mut self, packet: &Packet, receipt: &Receipt) {
        if let Self::Flow(window) = self {
            window.sealed(packet, receipt);
        }
    }

    fn too_large(&self, bytes: usize) -> Cause {
        match self {
            Self::Later(client) | Self::Post(client) => Outlet::too_large(client, bytes),
            Self::Flow(window) => window.too_large(bytes),
        }
    }
}
