//! Where the packets of a chat go: to the postbox now, or into the session's queue for later.

use otr::conversation::{Cause, ErrorKind, Outlet, OutletKind, Window};
use otr::postbox::client::Client;
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::receipt::Receipt;
use otr::protocol::packet::{ADDRESS, Packet};

pub(super) struct Way {
    kind: Kind,
    /// The address of the packet that was sealed last.
    pub(super) sealed: [u8; ADDRESS],
}

enum Kind {
    Later(Client),
    Post(Client),
    Flow(Window),
}

impl Way {
    /// Nothing is handed out: a short message is stored, and posted later.
    pub(super) fn later(client: Client) -> Self {
        Self { kind: Kind::Later(client), sealed: [0; ADDRESS] }
    }

    pub(super) fn post(client: Client) -> Self {
        Self { kind: Kind::Post(client), sealed: [0; ADDRESS] }
    }

    /// For a message of any length, of which only a part lies in the postbox at a time.
    pub(super) fn flow(client: Client) -> Self {
        Self { kind: Kind::Flow(Window::new(client)), sealed: [0; ADDRESS] }
    }
}

impl Outlet for Way {
    fn kind(&self) -> OutletKind {
        OutletKind::Postbox
    }

    fn largest(&self) -> usize {
        match &self.kind {
            Kind::Later(client) | Kind::Post(client) => client.largest(),
            Kind::Flow(window) => window.largest(),
        }
    }

    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        match &mut self.kind {
            Kind::Later(_) => Err(Cause::new(ErrorKind::Unreachable, "it goes out later")),
            Kind::Post(client) => client.hand_out(keys, packets).await,
            Kind::Flow(window) => window.hand_out(keys, packets).await,
        }
    }

    fn sealed(&mut self, packet: &Packet, receipt: &Receipt) {
        self.sealed = packet.address();
        if let Kind::Flow(window) = &mut self.kind {
            window.sealed(packet, receipt);
        }
    }

    fn too_large(&self, bytes: usize) -> Cause {
        match &self.kind {
            Kind::Later(client) | Kind::Post(client) => Outlet::too_large(client, bytes),
            Kind::Flow(window) => window.too_large(bytes),
        }
    }
}
