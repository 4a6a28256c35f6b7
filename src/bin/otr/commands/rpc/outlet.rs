//! Where the packets of a call go: to the session's postbox, or into the answer.

use std::time::Duration;

use otr::armor::encode;
use otr::conversation::{
    Cause, Conversation, Error, ErrorKind, Files, Outlet, OutletKind, Packets, Window, block_on,
};
use otr::postbox::client::Client;
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::Packet;
use otr::protocol::packet::receipt::Receipt;
use serde_json::{Value, json};

use super::call::Call;
use crate::commands::send::opened;
use crate::failure::Failure;

/// One of them.
pub(super) enum Way {
    Post(Client),
    /// For a message of any length, of which only a part lies in the postbox at a time.
    Flow(Window),
    Gather(Packets),
    /// Into the session's queue, for a later call or command.
    Later(Client),
}

impl Way {
    /// That of a call, which may say that it carries packets itself.
    pub(super) fn of(
        call: &Call,
        conversation: &mut Conversation<Files>,
        long: bool,
    ) -> Result<Self, Failure> {
        let status = block_on(conversation.status())?;
        if !status.is_open {
            return Err(Error::NoReply.into());
        }
        match status.postbox.filter(|_| !call.params.is_set("by_hand")) {
            Some(url) if call.params.is_set("later") => call.postbox(&url).map(Self::Later),
            Some(url) if long => {
                // Its wait for the other side ends with the client.
                let client = call.postbox(&url)?.until(&call.client.over);
                let asks = call.params.is_set("confirm");
                let window = if asks { Window::asking_for_receipts } else { Window::new };
                Ok(Self::Flow(window(client)))
            }
            Some(url) => call.postbox(&url).map(Self::Post),
            None => Ok(Self::Gather(Packets::default())),
        }
    }

    /// Waits until the other side has opened all that was posted.
    pub(super) fn opened(&mut self, limit: Option<Duration>) -> Result<(), Failure> {
        match self {
            Self::Flow(window) => opened(window, limit),
            Self::Post(_) | Self::Gather(_) | Self::Later(_) => Ok(()),
        }
    }

    /// What the client has to carry itself.
    pub(super) fn told(self) -> Value {
        match self {
            Self::Gather(gathered) => gathered_object(&gathered.keys, &gathered.packets),
            Self::Later(_) => gathered_object(&[], &[]),
            Self::Post(_) | Self::Flow(_) => posted_object(),
        }
    }
}

/// The result when everything lies in the postbox.
pub(super) fn posted_object() -> Value {
    json!({ "posted": true, "packets": [], "keys": [] })
}

/// The result when the client carries everything.
pub(super) fn gathered_object(keys: &[[u8; PUBLISHED_KEY]], packets: &[Packet]) -> Value {
    let keys: Vec<_> = keys.iter().map(|key| line(|out| encode::key(out, key, None))).collect();
    let packets: Vec<_> =
        packets.iter().map(|packet| line(|out| encode::packet(out, packet, None))).collect();
    json!({ "posted": false, "packets": packets, "keys": keys })
}

/// One item as text.
pub(super) fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8_lossy(out.trim_ascii_end()).into_owned()
}

impl Outlet for Way {
    fn kind(&self) -> OutletKind {
        match self {
            Self::Gather(gathered) => gathered.kind(),
            Self::Post(client) | Self::Later(client) => client.kind(),
            Self::Flow(window) => window.kind(),
        }
    }

    fn largest(&self) -> usize {
        match self {
            Self::Gather(gathered) => gathered.largest(),
            Self::Post(client) | Self::Later(client) => client.largest(),
            Self::Flow(window) => window.largest(),
        }
    }

    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        match self {
            Self::Gather(gathered) => gathered.hand_out(keys, packets).await,
            Self::Post(client) => client.hand_out(keys, packets).await,
            Self::Later(_) => Err(Cause::new(ErrorKind::Unreachable, "it goes out later")),
            Self::Flow(window) => window.hand_out(keys, packets).await,
        }
    }

    fn sealed(&mut self, packet: &Packet, receipt: &Receipt) {
        match self {
            Self::Gather(gathered) => gathered.sealed(packet, receipt),
            Self::Post(client) | Self::Later(client) => client.sealed(packet, receipt),
            Self::Flow(window) => window.sealed(packet, receipt),
        }
    }

    fn asks_for_receipts(&self) -> bool {
        matches!(self, Self::Flow(window) if window.asks_for_receipts())
    }

    fn too_large(&self, bytes: usize) -> Cause {
        match self {
            Self::Gather(gathered) => gathered.too_large(bytes),
            Self::Post(client) | Self::Later(client) => Outlet::too_large(client, bytes),
            Self::Flow(window) => window.too_large(bytes),
        }
    }
}
