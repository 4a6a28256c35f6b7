//! A long message: it takes numbers in batches, and flows through.
//!
//! The size of its packets depends on what the postbox allows and what proxies let through: the
//! first packet shows it, and until that is taken nothing of the message is out.

use std::io::{self, Cursor, Read};
use std::sync::atomic::AtomicBool;

use otr::conversation::{Course, Error, Files, Framed, Poster, Window, block_on};
use otr::protocol::packet::receipt::Receipt;
use otr::protocol::packet::{ADDRESS, K_MAX, K_MIN, largest_class, size};
use otr::protocol::session::{Part, Reservation};
use zeroize::Zeroizing;

use super::Sender;
use super::producer::unread;
use crate::commands::blocks::{Block, Blocks, FRAMED, HeadBytes, Layout};
use crate::commands::numbers::Numbers;
use crate::commands::outlets::Way;
use crate::commands::source;
use crate::failure::{Code, Failure};
use crate::process;
use crate::randomness::System;
use crate::ui::progress::Progress;
use otr::postbox::client::Client;

/// How many numbers a long message takes at a time: enough that storing the state costs nothing,
/// few enough that a crash leaves few numbers skipped.
const BATCH: u32 = 256;
/// The same when packets are posted: no more of the largest ones wait in a postbox at a time.
const BATCH_POSTED: u32 = 32;

/// A long message on its way.
struct Flow {
    message: u64,
    /// The size class of all its packets except the last.
    largest: u8,
    layout: Layout,
    numbers: Numbers,
}

/// The part of it that is already posted.
struct Begun {
    window: Window,
    /// The address of the last packet.
    last: [u8; ADDRESS],
    /// The offset in the text at which that packet ends.
    offset: u64,
    /// The text that was read beyond it; `None` if the message ends there.
    rest: Option<Zeroizing<Vec<u8>>>,
}

/// The position of the text in packets of this size class.
fn layout(reservation: &Reservation, largest: u8) -> Layout {
    Layout { start: reservation.text_start(), room: reservation.room(largest) }
}

impl Sender<'_> {
    /// Sends `input` as packets that flow through, whatever its length, as the message `number` or
    /// a new one.
    pub(super) fn long(
        &mut self,
        files: &mut Files,
        input: impl Read + Send + 'static,
        number: Option<u64>,
    ) -> Result<(), Failure> {
        // Asked before any number is taken.
        let largest =
            self.client.as_ref().map_or(K_MAX, |client| largest_class(client.largest_packet()));
        let (batch, publish) = (self.batch(), !self.how.no_keys);
        let way = &mut Way::of(self.client.as_mut(), &mut self.emitter);
        let begun = Course::begin(files, way, &mut self.begun, number, batch, publish);
        let (mut course, mut numbers) = block_on(begun)?;
        if self.how.confirm {
            numbers.reservation.ask_for_receipts();
        }
        source::widen_stdin();
        self.emitter.widen();
        // A short command is over before anything could be swapped out.
        process::lock_pages();
        let layout = layout(&numbers.reservation, largest);
        let (message, keys) = (numbers.message, numbers.keys);
        let numbers = if self.how.ends_by_itself {
            Numbers::unwatched(numbers.of, numbers.reservation)
        } else {
            Numbers::watch(files, numbers.of, numbers.reservation)?
        };
        let mut flow = Flow { message, largest, layout, numbers };
        let flowed = self
            .emitter
            .packets(&keys, &[])
            .and_then(|()| self.flow(files, &mut course, &mut flow, input));
        let (window, last) = flowed.inspect_err(|_| flow.numbers.give_back(files))?;
        let posted = window.is_some().then_some(last);
        block_on(course.end(files, || flow.numbers.take(), posted))?;
        window.map_or(Ok(()), |window| self.confirm(window))
    }

    /// How many numbers to take at a time.
    fn batch(&self) -> u32 {
        if self.client.is_some() { BATCH_POSTED } else { BATCH }
    }

    /// Reads, seals and hands out; what was posted and is not collected yet, and the last address.
    fn flow(
        &mut self,
        files: &mut Files,
        course: &mut Course<Files>,
        flow: &mut Flow,
        mut input: impl Read + Send + 'static,
    ) -> Result<(Option<Window>, [u8; ADDRESS]), Failure> {
        let Some(client) = self.client.clone() else {
            return self.stream(files, course, flow, input, None);
        };
        let mut begun = self.first(flow, &client, &mut input)?;
        match begun.rest.take() {
            Some(rest) => {
                let rest = Cursor::new(HeadBytes(rest));
                self.stream(files, course, flow, rest.chain(input), Some(begun))
            }
            None => Ok((Some(begun.window), begun.last)),
        }
    }

    /// Posts the first packet, of the largest size that comes through. Only trying shows that size,
    /// so its text is kept until then.
    fn first(
        &self,
        flow: &mut Flow,
        client: &Client,
        input: &mut impl Read,
    ) -> Result<Begun, Failure> {
        // One more byte tells whether anything follows.
        let most = flow.layout.room + 1;
        let mut text = Zeroizing::new(Vec::with_capacity(most));
        let read = input.take(most as u64).read_to_end(&mut text);
        read.map_err(|error| unread(&error))?;
        let mut window = Window::new(client.clone());
        let mut framed = Zeroizing::new(vec![0; FRAMED]);
        loop {
            let length = text.len().min(flow.layout.room);
            let last = length == text.len();
            let start = 1 + flow.layout.start;
            framed[start..start + length].copy_from_slice(&text[..length]);
            let mut block = Block { framed, length, last };
            let part = Part { message: flow.message, offset: 0, end: last, length };
            let sealed = flow.numbers.with(|numbers| self.seal(&mut block, flow, numbers, part));
            let (packet, receipt) = sealed?;
            let (bytes, receipt) = (packet.len() - 1, self.how.confirm.then_some(receipt));
            match window.post(packet, receipt, &AtomicBool::new(false)) {
                Err(Error::Effect(cause)) if client.largest_known() < bytes => {
                    let largest = client.largest_packet();
                    if largest < size(K_MIN) {
                        return Err(Error::NothingFits(cause).into());
                    }
                    flow.largest = largest_class(largest);
                    flow.layout = flow.numbers.with(|numbers| Ok(layout(numbers, flow.largest)))?;
                }
                posted => {
                    posted.map_err(|error| cut_short(&error.into()))?;
                    let mut address = [0; ADDRESS];
                    address.copy_from_slice(&packet[1..=ADDRESS]);
                    let rest = (!last).then(|| Zeroizing::new(text[length..].to_vec()));
                    return Ok(Begun { window, last: address, offset: length as u64, rest });
                }
            }
            framed = block.framed;
        }
    }

    /// As [`Self::flow`], after what has begun.
    fn stream(
        &mut self,
        files: &mut Files,
        course: &mut Course<Files>,
        flow: &Flow,
        input: impl Read + Send + 'static,
        begun: Option<Begun>,
    ) -> Result<(Option<Window>, [u8; ADDRESS]), Failure> {
        let (mut blocks, stop) = Blocks::read(input, flow.layout)?;
        let buffers = blocks.buffers();
        let mut progress = Progress::new(self.context.voice, self.how.total);
        let (mut offset, mut last) =
            begun.as_ref().map_or((0, [0; ADDRESS]), |begun| (begun.offset, begun.last));
        let poster =
            begun.map(|begun| Poster::start(begun.window, buffers.clone(), move || stop.tell()));
        let poster = poster.transpose()?;
        loop {
            let Some(mut block) = blocks.next().map_err(|error| truncated(&error, offset))? else {
                break;
            };
            self.goes_on(files, course, poster.as_ref()).map_err(|failure| cut_short(&failure))?;
            let part =
                Part { message: flow.message, offset, end: block.last, length: block.length };
            let (framed, receipt) = flow.numbers.with(|numbers| {
                if numbers.left() == 0 {
                    *numbers = block_on(course.more(files))?;
                }
                self.seal(&mut block, flow, numbers, part)
            })?;
            let length = framed.len();
            offset += part.length as u64;
            progress.at(offset);
            if let Some(poster) = &poster {
                last.copy_from_slice(&framed[1..=ADDRESS]);
                let receipt = self.how.confirm.then_some(receipt);
                if !poster.post(Framed { framed: block.framed, length, receipt }) {
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
        let window =
            poster.map(Poster::end).transpose().map_err(|error| cut_short(&error.into()))?;
        Ok((window, last))
    }

    /// Looks whether the session has ended since this long message began.
    fn goes_on(
        &mut self,
        files: &mut Files,
        course: &mut Course<Files>,
        poster: Option<&Poster>,
    ) -> Result<(), Failure> {
        let abandon = || {
            if let Some(poster) = poster {
                poster.abandon();
            }
        };
        let way = &mut Way::of(self.client.as_mut(), &mut self.emitter);
        Ok(block_on(course.goes_on(files, way, abandon))?)
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
        if self.how.confirm {
            reservation.ask_for_receipts();
        }
        let least = if part.end { self.how.size.min(flow.largest) } else { flow.largest };
        // This fits: a later chain never has less room than the first.
        let k = reservation.fit(part.length, least).unwrap_or(flow.largest);
        let start = reservation.text_start();
        let framed = &mut block.framed[..=size(k)];
        if start != layout.start {
            framed.copy_within(1 + layout.start..1 + layout.start + part.length, 1 + start);
        }
        let sealed = reservation.seal_part(&mut framed[1..], part, &mut System);
        Ok((framed, sealed.map_err(Error::from)?))
    }
}

/// The failure when the message could not be read to its end, of which `sent` bytes are out.
fn truncated(error: &io::Error, sent: u64) -> Failure {
    let unread = unread(error);
    if sent == 0 {
        return unread;
    }
    let what = format!("the message is cut: {}", unread.what);
    Failure::new(Code::CutShort, what, "the other side has a part of it: send it again")
}

/// The failure when a call failed, or the session ended, while a long message was on its way.
fn cut_short(failure: &Failure) -> Failure {
    let what = format!("the message is cut: {}", failure.what);
    let (code, hint) = match failure.code {
        Code::NotAuthentic | Code::Closed | Code::NoSession => (failure.code, failure.hint.clone()),
        // Code 9 would say that the message goes out later by itself.
        Code::Postbox => (Code::CutShort, "send it again".into()),
        code => (code, "send it again".into()),
    };
    Failure::new(code, what, hint)
}
