//! Packets that the client carries itself.

use otr::armor::{Item, Scanner};
use otr::conversation::{Counts, Files, Receiver, block_on};
use otr::postbox::client::Client;
use otr::protocol::packet::ADDRESS;
use otr::protocol::ratchet::address_index::LOOK_AHEAD;
use serde_json::json;

use crate::commands::rpc::call::{Call, Done};
use crate::commands::rpc::delivery::Delivery;
use crate::commands::rpc::subscribe::{delivery, directory, ended};
use crate::commands::{stored, whom};
use crate::failure::{Code, Failure};

/// How many bytes of an address are shown, as by 'otr inspect'.
const SHOWN: usize = 4;

/// What the packets have come to.
#[derive(Default)]
struct Came {
    counts: Counts,
    /// Items that are neither packets nor the reply.
    others: u64,
    addresses: Vec<[u8; ADDRESS]>,
}

pub(super) fn receive(call: &Call) -> Done {
    let files = directory(call)?;
    let (number, ledger) = delivery(call);
    let mut taking = Delivery::new(&call.client, number, &ledger).into_files(files);
    let done = take(call, &mut taking);
    call.client.delivered(number, ended);
    done
}

fn take(call: &Call, delivery: &mut Delivery) -> Done {
    let mut files = call.context.open()?;
    let stage = stored::take(&mut files)?.into_snapshot().stage;
    // What we owe the other side is posted, where there is a postbox.
    let client = whom::postbox_of_stage(&stage).map(|url| call.postbox(&url)).transpose()?;
    let _receiver = files.store.lock_receiver(call.context.lock_wait)?;
    let mut receiver = block_on(Receiver::open(files, None, LOOK_AHEAD, client))?;
    receiver.refuse_if_over()?;
    let mut came = Came::default();
    let packets = call.params.text("packets").unwrap_or_default();
    items(packets, |item| came.take(item, &mut receiver, delivery))?;
    block_on(receiver.settle(delivery, &mut came.counts))?;
    block_on(receiver.store(delivery))?;
    if call.params.is_set("end") {
        block_on(receiver.finish(delivery, &mut came.counts))?;
        block_on(receiver.store(delivery))?;
    }
    if came.counts.replied {
        block_on(receiver.hand_out_waiting())?;
        delivery.event("opened", json!({}));
    }
    let Came { counts, others, addresses } = &came;
    if counts.closed {
        delivery.event("closed", json!({}));
    }
    let held = addresses.iter().filter(|address| receiver.holds(address)).count();
    Ok(json!({
        "messages": counts.whole,
        "refused": counts.rejected() + others,
        "held": held,
        "opened": counts.replied,
        "closed": counts.closed,
    }))
}

impl Came {
    fn take(
        &mut self,
        item: Item,
        receiver: &mut Receiver<Files, Client>,
        delivery: &mut Delivery,
    ) -> Result<(), Failure> {
        match item {
            Item::Packet(packet) => {
                self.addresses.extend(packet.first_chunk());
                block_on(receiver.packet(packet, None, delivery, &mut self.counts))?;
            }
            Item::Reply(reply) => block_on(receiver.reply(&reply, &mut self.counts))?,
            // The other side's published keys are for the public.
            Item::Key(_) => {}
            Item::Invite(_) | Item::Damaged(_) => self.others += 1,
        }
        Ok(())
    }
}

/// Gives every item of a text to `take`.
///
/// # Errors
/// Its own; code 4 if there is none.
fn items(text: &str, mut take: impl FnMut(Item) -> Result<(), Failure>) -> Result<(), Failure> {
    let (mut scanner, mut text, mut any) = (Scanner::new(), text.as_bytes(), false);
    loop {
        let taken = scanner.push(text);
        text = &text[taken..];
        if text.is_empty() {
            scanner.finish();
        }
        while let Some(item) = scanner.next_item() {
            any = true;
            take(item)?;
        }
        if text.is_empty() {
            break;
        }
    }
    if any {
        return Ok(());
    }
    let hint = "a packet is a line that begins with otr1p:";
    Err(Failure::new(Code::Refused, "there is no packet in 'packets'", hint))
}

/// What a stranger sees of them.
pub(super) fn inspect(call: &Call) -> Done {
    let mut found = Vec::new();
    items(call.params.text("packets").unwrap_or_default(), |item| {
        let (kind, bytes, has_address) = match &item {
            Item::Packet(bytes) => ("packet", &bytes[..], true),
            Item::Reply(bytes) => ("reply", &bytes[..], true),
            Item::Invite(bytes) => ("invite", &bytes[..], false),
            Item::Key(bytes) => ("key", &bytes[..], true),
            Item::Damaged(_) => {
                found.push(json!({ "kind": "damaged" }));
                return Ok(());
            }
        };
        let front = bytes.first_chunk::<SHOWN>().filter(|_| has_address);
        let address = front.map(|front| format!("{:08x}", u32::from_be_bytes(*front)));
        found.push(json!({ "kind": kind, "bytes": bytes.len(), "address": address }));
        Ok(())
    })?;
    Ok(json!({ "items": found }))
}
