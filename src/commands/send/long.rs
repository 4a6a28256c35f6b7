//! A message of any length: it takes numbers in batches and flows through, sealed as it is read.

use std::io::{self, Read};

use otr::protocol::packet::receipt::Receipt;
use otr::protocol::packet::{ADDRESS, K_MAX, K_MIN, size};
use otr::protocol::session::{Part, Reservation};
use zeroize::Zeroizing;

use super::{Sender, no_number, not_begun, not_sealed};
use crate::commands::blocks::{Block, Blocks, Layout};
use crate::commands::held::Held;
use crate::commands::numbers::Numbers;
use crate::commands::poster::{Poster, Sealed};
use crate::commands::window::Window;
use crate::commands::{now, source};
use crate::failure::{Code, Failure};
use crate::postbox::client::Client;
use crate::process;
use crate::randomness::System;
use crate::state::Store;
use crate::ui::progress::Progress;
use crate::ui::speak;

/// How many numbers a long message takes at a time: enough that storing the state costs nothing,
/// few enough that a crash leaves few numbers skipped.
const BATCH: u32 = 256;
/// The same where they are posted: no more of the largest packets wait in a postbox at a time.
const BATCH_POSTED: u32 = 32;

/// A long message on its way.
struct Flow {
    message: u64,
    /// The size class of its packets but the last.
    largest: u8,
    layout: Layout,
    numbers: Numbers,
}

/// The size class of the largest packet that the postbox takes.
fn largest_packet(client: &Client) -> u8 {
    let bytes = client.largest_packet();
    (K_MIN..=K_MAX).rev().find(|&k| size(k) <= bytes).unwrap_or(K_MIN)
}

impl Sender<'_> {
    /// Sends `input` as packets that flow through, whatever its length.
    pub(super) fn long(
        &mut self,
        store: &mut Store,
        input: impl Read + Send + 'static,
    ) -> Result<(), Failure> {
        let sender = store.lock_sender(self.context.lock_wait)?;
        let begun = self.hand_out_waiting(store).and_then(|()| self.pay(store));
        begun.map_err(|failure| not_begun("earlier packets wait to be posted", failure))?;
        source::widen_stdin();
        self.emitter.widen();
        // A short command is over before anything could be swapped out.
        process::lock_pages();
        let largest = self.client.as_ref().map_or(K_MAX, largest_packet);
        let mut held = Held::take(store, self.context.lock_wait)?;
        let session = self.ready(&mut held)?;
        let reservation = session.reserve(self.batch(), &mut System).map_err(no_number)?;
        let message = session.begin_message();
        let (of, keys) = (session.identity(), self.keys(session));
        session.keep_nothing();
        self.seen = Some(held.keep()?);
        let layout = Layout { start: reservation.text_start(), room: reservation.room(largest) };
        let flow =
            Flow { message, largest, layout, numbers: Numbers::watch(store, of, reservation)? };
        let flowed = self.emitter.packets(&keys, &[]).and_then(|()| self.flow(store, &flow, input));
        let (window, last) =
            flowed.inspect_err(|_| flow.numbers.give_back(store, self.context.lock_wait))?;
        let mut held = Held::take(store, self.context.lock_wait)?;
        let session = self.same(held.session()?)?;
        if let Some(left) = flow.numbers.take() {
            session.give_back(left);
        }
        if window.is_some() {
            session.note_posted(&[last], now());
        }
        held.keep()?;
        drop(sender);
        window.map_or(Ok(()), |window| self.confirm(window))
    }

    /// Numbers to take at a time.
    fn batch(&self) -> u32 {
        if self.client.is_some() { BATCH_POSTED } else { BATCH }
    }

    /// Reads, seals and hands out; what was posted and is not collected yet, and the last address.
    fn flow(
        &mut self,
        store: &mut Store,
        flow: &Flow,
        input: impl Read + Send + 'static,
    ) -> Result<(Option<Window>, [u8; ADDRESS]), Failure> {
        let (mut blocks, stop) = Blocks::read(input, flow.layout)?;
        let buffers = blocks.buffers();
        let mut progress = Progress::new(self.context.voice, None);
        let window = self.client.clone().map(Window::new);
        let poster =
            window.map(|window| Poster::start(window, buffers.clone(), stop)).transpose()?;
        let (mut offset, mut last) = (0, [0; ADDRESS]);
        loop {
            let Some(mut block) = blocks.next().map_err(|error| cut(&error))? else { break };
            self.goes_on(store, poster.as_ref()).map_err(|failure| cut_short(&failure))?;
            let part =
                Part { message: flow.message, offset, end: block.last, length: block.length };
            let (framed, receipt) = flow.numbers.with(|numbers| {
                if numbers.left() == 0 {
                    *numbers = self.more(store)?;
                }
                self.seal(&mut block, flow, numbers, part)
            })?;
            let length = framed.len();
            offset += part.length as u64;
            progress.at(offset);
            if let Some(poster) = &poster {
                last.copy_from_slice(&framed[1..=ADDRESS]);
                let receipt = self.args.confirm.then_some(receipt);
                if !poster.post(Sealed { framed: block.framed, length, receipt }) {
                    break;
                }
            } else {
                self.emitter.framed(framed)?;
                // The reading thread may have come to the end.
                drop(buffers.send(block.framed));
            }
            if block.last {
                break;
            }
        }
        let window = poster.map(Poster::end).transpose().map_err(|failure| cut_short(&failure))?;
        Ok((window, last))
    }

    /// Looks whether the session has ended since this long message began, if anything was stored
    /// beside it. What is owed to the other side then goes out, and no text any more.
    fn goes_on(&mut self, store: &mut Store, poster: Option<&Poster>) -> Result<(), Failure> {
        if let Some(seen) = &self.seen
            && store.is_current(&store.lock_state(self.context.lock_wait)?, seen)?
        {
            return Ok(());
        }
        let mut held = Held::take(store, self.context.lock_wait)?;
        let Err(failure) = self.ready(&mut held) else {
            self.seen = Some(held.into_known().version);
            return Ok(());
        };
        if let Some(poster) = poster {
            poster.abandon();
        }
        if failure.code == Code::NotAuthentic {
            drop(held);
            self.pay(store)?;
        }
        Err(failure)
    }

    /// The next batch of numbers for a message that is on its way.
    fn more(&mut self, store: &mut Store) -> Result<Reservation, Failure> {
        let mut held = Held::take(store, self.context.lock_wait)?;
        let session = self.ready(&mut held)?;
        let reservation = session.reserve(self.batch(), &mut System).map_err(no_number)?;
        self.seen = Some(held.keep()?);
        Ok(reservation)
    }

    /// Seals one block: the packet with a byte of room before it, and its receipt.
    fn seal<'a>(
        &self,
        block: &'a mut Block,
        flow: &Flow,
        reservation: &mut Reservation,
        part: Part,
    ) -> Result<(&'a mut [u8], Receipt), Failure> {
        let layout = flow.layout;
        let least = if part.end { self.args.size.min(flow.largest) } else { flow.largest };
        // Fits: the room of a later chain is never smaller than that of the first.
        let k = reservation.fit(part.length, least).unwrap_or(flow.largest);
        let start = reservation.text_start();
        let framed = &mut block.framed[..=size(k)];
        if start != layout.start {
            framed.copy_within(1 + layout.start..1 + layout.start + part.length, 1 + start);
        }
        let sealed = reservation.seal_part(&mut framed[1..], part, &mut System);
        Ok((framed, sealed.map_err(not_sealed)?))
    }
}

/// Bytes that are wiped when they have been read.
pub(super) struct HeadBytes(pub(super) Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for HeadBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn cut(error: &io::Error) -> Failure {
    let what = format!("cannot read stdin: {error}");
    speak::warn("the message is cut: the other side has a part of it");
    Failure::new(Code::Failed, what, "send it again")
}

/// A call failed, or the session ended, while a long message was on its way.
fn cut_short(failure: &Failure) -> Failure {
    let what = format!("the message is cut: {}", failure.what);
    let (code, hint) = match failure.code {
        Code::NotAuthentic | Code::Closed | Code::NoSession => (failure.code, failure.hint.clone()),
        // 9 would say that it goes out by itself.
        Code::Postbox => (Code::CutShort, "send it again".into()),
        code => (code, "send it again".into()),
    };
    Failure::new(code, what, hint)
}
