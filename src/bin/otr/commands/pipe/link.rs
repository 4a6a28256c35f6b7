//! A pipe's packets over a command's stdin and stdout, or over our own: raw, one after another.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use otr::armor::{Item, encode};
use otr::conversation::{
    Carried, Carrier, Cause, Conversation, Files, Outlet, OutletKind, Pipe, ReceivingStreams,
    block_on,
};
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::Packet;
use otr::store::patient::Patient;

use super::children::{self, Child};
use crate::commands::source::Source;
use crate::failure::{Code, Failure};
use crate::ui::stdio;
use crate::ui::terminal;

/// At least this many bytes of packets are taken before the state is stored, if they come without a pause.
const BATCH: usize = 4 << 20;
/// How long the command may take to end when the pipe has.
const AFTER: Duration = Duration::from_secs(5);

/// The way to the other side.
pub(super) struct Link {
    pub(super) input: Input,
    pub(super) output: Output,
    /// The command, if it is one.
    pub(super) child: Option<Carrying>,
}

/// The command that carries the packets.
pub(super) struct Carrying(Child);

/// What comes from the other side.
pub(super) struct Input {
    source: Source,
    /// Those of the last read.
    items: std::vec::IntoIter<Item>,
}

/// What goes to the other side.
pub(super) struct Output(Patient<File>);

impl Link {
    /// Over a command's stdin and stdout.
    pub(super) fn run(command: &str) -> Result<Self, Failure> {
        let cannot = |error: io::Error| {
            Failure::new(Code::Failed, format!("cannot run '{command}': {error}"), "")
        };
        let (child, output, input) = children::start_with_terminal(command).map_err(cannot)?;
        let (input, output) = (OwnedFd::from(input).into(), OwnedFd::from(output).into());
        let child = Some(Carrying(child));
        Self::over(Patient::new(input), Patient::new(output), child)
    }

    /// Over our own stdin and stdout.
    pub(super) fn stdio() -> Result<Self, Failure> {
        terminal::refuse_binary()?;
        Self::over(stdio::input()?, stdio::output()?, None)
    }

    fn over(
        input: Patient<File>,
        output: Patient<File>,
        child: Option<Carrying>,
    ) -> Result<Self, Failure> {
        stdio::widen(&input);
        stdio::widen(&output);
        let source = Source::stream(input, "from the other side")?;
        let input = Input { source, items: Vec::new().into_iter() };
        Ok(Self { input, output: Output(output), child })
    }
}

impl Carrying {
    /// Waits for the command, whose stdin is closed; its failure explains that of the pipe.
    pub(super) fn end(self, ended: Result<u8, Failure>) -> Result<u8, Failure> {
        let status = self.0.status(AFTER);
        self.0.end();
        ended.map_err(|failure| match status {
            Some(status) if !status.success() && !failure.broken_pipe => {
                let what = format!("{} (the command of --via: {status})", failure.what);
                Failure { what: what.into(), ..failure }
            }
            _ => failure,
        })
    }
}

impl Input {
    /// The next item; `None` at the end.
    pub(super) fn item(&mut self) -> Result<Option<Item>, Failure> {
        loop {
            if let Some(item) = self.items.next() {
                return Ok(Some(item));
            }
            self.check()?;
            match self.source.next_items()? {
                Some(items) => self.items = items.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// Refuses lines of text around the packets: what writes them would write them into packets, too.
    fn check(&self) -> Result<(), Failure> {
        if self.source.other_lines() > 0 { Err(garbled("lines of text")) } else { Ok(()) }
    }

    /// Gives all packets to the pipe, until the link ends.
    pub(super) fn feed(
        &mut self,
        conversation: &mut Conversation<Files>,
        pipe: &Pipe,
    ) -> Result<(), Failure> {
        let fed = self.feed_all(conversation, pipe);
        if fed.is_err() {
            pipe.fail();
        }
        fed
    }

    fn feed_all(
        &mut self,
        conversation: &mut Conversation<Files>,
        pipe: &Pipe,
    ) -> Result<(), Failure> {
        let mut receiving = block_on(conversation.receive_streams(pipe))?;
        let mut taken = 0;
        loop {
            for item in self.items.by_ref() {
                taken += take(item, &mut receiving)?;
            }
            for mut buffer in receiving.take_buffers() {
                self.source.recycle(std::mem::take(&mut buffer));
            }
            self.check()?;
            if receiving.is_ahead()
                && taken < BATCH
                && let Some(soon) = self.source.items_soon()?
            {
                self.items = soon.into_iter();
                continue;
            }
            block_on(receiving.store())?;
            taken = 0;
            match self.source.next_items()? {
                Some(items) => self.items = items.into_iter(),
                None => break,
            }
        }
        if pipe.is_over() {
            return Ok(());
        }
        let hint = "both ends must run 'otr pipe', one with --via and one with --stdio";
        Err(Failure::new(Code::CutShort, "the link to the other side has ended", hint))
    }
}

/// Takes an item; returns how many bytes of packet it had.
fn take(item: Item, receiving: &mut ReceivingStreams<'_, Files>) -> Result<usize, Failure> {
    match item {
        Item::Packet(packet) => {
            let length = packet.len();
            let before = receiving.counts().rejected();
            block_on(receiving.packet(packet))?;
            if receiving.counts().rejected() > before {
                let what = "a packet came that is not of this session, or was changed on its way";
                let hint =
                    "compare 'otr status' at both ends; 'otr close' there and here begins anew";
                return Err(Failure::new(Code::Refused, what, hint));
            }
            Ok(length)
        }
        // They are for the public, not for us.
        Item::Key(_) => Ok(0),
        Item::Invite(_) => {
            let what = "the other side begins a session, and this side has one already";
            let hint = "end it with 'otr close', or take another one with -s NAME";
            Err(Failure::new(Code::Exists, what, hint))
        }
        Item::Reply(_) => {
            Err(Failure::new(Code::Refused, "a reply came to no invite", "begin it anew"))
        }
        Item::Damaged(damaged) => Err(garbled(damaged)),
    }
}

/// The error that the link brings what no `otr pipe` writes.
pub(super) fn garbled(what: impl Display) -> Failure {
    let hint = "it must carry bytes as they are: no terminal, no greeting in between";
    Failure::new(
        Code::Refused,
        format!("the link brings something else than packets: {what}"),
        hint,
    )
}

impl Output {
    /// Writes an invite, as text.
    pub(super) fn invite(&mut self, invite: &[u8]) -> Result<(), Failure> {
        let mut text = Vec::new();
        encode::invite(&mut text, invite, None);
        self.write(&text)
    }

    /// Writes a reply, as text.
    pub(super) fn reply(&mut self, reply: &[u8]) -> Result<(), Failure> {
        let mut text = Vec::new();
        encode::reply(&mut text, reply, None);
        self.write(&text)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(|error| {
            let what = format!("cannot write to the other side: {error}");
            Failure::new(Code::CutShort, what, "the link has ended")
        })
    }
}

impl Outlet for Output {
    fn kind(&self) -> OutletKind {
        OutletKind::Stream
    }

    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        let mut bytes = Vec::new();
        for key in keys {
            encode::raw_key(&mut bytes, key);
        }
        for packet in packets {
            encode::raw_packet(&mut bytes, packet);
        }
        self.write(&bytes)?;
        Ok(Vec::new())
    }
}

impl Carrier for Output {
    fn carry(&mut self, framed: &mut [u8]) -> Result<Carried, Cause> {
        if let Some((lead, packet)) = framed.split_first_mut() {
            *lead = encode::packet_lead(packet.len()).unwrap_or_default();
        }
        self.write(framed)?;
        Ok(Carried::Out)
    }
}
