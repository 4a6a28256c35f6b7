//! The output for the other side on stdout: lines of text, or raw bytes.

use std::fs::File;
use std::io::Write;

use otr::armor::encode;
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::Packet;
use otr::store::patient::Patient;

use super::guide::{Guide, Step};
use super::whom::postbox_of;
use crate::context::Context;
use crate::failure::Failure;
use crate::options::Form;
use crate::ui::stdio;
use crate::ui::terminal;

/// stdout, in the form that the options ask for.
pub(crate) struct Emitter {
    out: Patient<File>,
    raw: bool,
    wrap: Option<encode::Wrap>,
    buffer: Vec<u8>,
    told: Option<Told>,
}

/// What to tell a person at a terminal.
struct Told {
    guide: Guide,
    step: Step,
    has_begun: bool,
}

impl Emitter {
    /// Refuses binary output to a terminal, before anything is spent.
    pub(crate) fn new(form: &Form) -> Result<Self, Failure> {
        if form.raw {
            terminal::refuse_binary()?;
        }
        let (raw, wrap) = (form.raw, form.wrap);
        Ok(Self { out: stdio::output()?, raw, wrap, buffer: Vec::new(), told: None })
    }

    /// Tells a person who sees the output what it is.
    pub(super) fn guided(self, context: &Context, step: Step) -> Self {
        let guide = Guide::new(context);
        Self { told: Some(Told { guide, step, has_begun: false }), ..self }
    }

    /// Changes what the output is.
    pub(super) fn is(&mut self, step: Step) {
        if let Some(told) = &mut self.told {
            told.step = step;
        }
    }

    /// Everything has been written.
    pub(super) fn end(&mut self) {
        if let Some(told) = self.told.take_if(|told| told.has_begun) {
            told.guide.ends(told.step);
        }
    }

    /// Enlarges the pipe for a stream of large packets.
    pub(crate) fn widen(&self) {
        stdio::widen(&self.out);
    }

    pub(crate) fn invite(&mut self, invite: &[u8]) -> Result<(), Failure> {
        if postbox_of(invite).is_some() {
            self.is(Step::InviteToPostbox);
        }
        encode::invite(&mut self.buffer, invite, self.wrap);
        self.flush()?;
        self.end();
        Ok(())
    }

    pub(crate) fn reply(&mut self, reply: &[u8]) -> Result<(), Failure> {
        if self.raw {
            encode::raw_packet(&mut self.buffer, reply);
        } else {
            encode::reply(&mut self.buffer, reply, self.wrap);
        }
        self.flush()?;
        self.end();
        Ok(())
    }

    /// Writes published keys, then packets, in a single write, so that a reader sees all of it or
    /// waits.
    pub(crate) fn packets(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<(), Failure> {
        for key in keys {
            if self.raw {
                encode::raw_key(&mut self.buffer, key);
            } else {
                encode::key(&mut self.buffer, key, self.wrap);
            }
        }
        for packet in packets {
            if self.raw {
                encode::raw_packet(&mut self.buffer, packet);
            } else {
                encode::packet(&mut self.buffer, packet, self.wrap);
            }
        }
        self.flush()
    }

    /// Writes a packet that has one spare byte in front, for the lead byte of a raw stream, without
    /// copying it.
    pub(crate) fn framed(&mut self, framed: &mut [u8]) -> Result<(), Failure> {
        let Some((lead, packet)) = framed.split_first_mut() else { return Ok(()) };
        if !self.raw {
            encode::packet(&mut self.buffer, packet, self.wrap);
            return self.flush();
        }
        *lead = encode::packet_lead(packet.len()).unwrap_or_default();
        self.out.write_all(framed).map_err(|error| Failure::output(&error))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if let Some(told) = &mut self.told
            && !told.has_begun
            && !self.buffer.is_empty()
        {
            told.has_begun = true;
            told.guide.begins(told.step);
        }
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|error| Failure::output(&error))
    }
}
