//! What goes to stdout for the other side: lines of text, or raw bytes.

use std::fs::File;
use std::io::Write;

use otr::armor::encode;
use otr::protocol::reveal::PUBLISHED_KEY;

use crate::cli::Form;
use crate::failure::Failure;
use crate::ui::stdio::{self, Patient};
use crate::ui::terminal;

/// stdout, in the form that was asked for.
pub(crate) struct Emitter {
    out: Patient<File>,
    raw: bool,
    wrap: Option<encode::Wrap>,
    buffer: Vec<u8>,
}

impl Emitter {
    /// Refuses binary output to a terminal, before anything is spent.
    pub(crate) fn new(form: &Form) -> Result<Self, Failure> {
        if form.raw {
            terminal::refuse_binary()?;
        }
        Ok(Self { out: stdio::output()?, raw: form.raw, wrap: form.wrap, buffer: Vec::new() })
    }

    /// Makes room in the pipe for a stream of large packets.
    pub(crate) fn widen(&self) {
        stdio::widen(&self.out);
    }

    pub(crate) fn invite(&mut self, invite: &[u8]) -> Result<(), Failure> {
        encode::invite(&mut self.buffer, invite, self.wrap);
        self.flush()
    }

    pub(crate) fn reply(&mut self, reply: &[u8]) -> Result<(), Failure> {
        if self.raw {
            encode::raw_packet(&mut self.buffer, reply);
        } else {
            encode::reply(&mut self.buffer, reply, self.wrap);
        }
        self.flush()
    }

    /// Published keys, then packets, in one write: whoever reads sees all of it or waits.
    pub(crate) fn packets(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Vec<u8>],
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

    /// A packet with one byte of room before it, which a raw stream's lead takes: no copy.
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
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|error| Failure::output(&error))
    }
}
