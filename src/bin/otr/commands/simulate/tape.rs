//! The record of a made-up conversation, kept until it is complete, so that a bad script writes
//! nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use otr::armor::{Wrap, encode};
use otr::protocol::deniability::reveal::PUBLISHED_KEY;

use crate::failure::{Code, Failure};

/// The most bytes of a made-up conversation, which is kept in memory.
const TAPE_MAX: usize = 256 << 20;

pub(super) struct Tape {
    bytes: Vec<u8>,
    wrap: Option<Wrap>,
}

impl Tape {
    pub(super) fn new(wrap: Option<Wrap>) -> Self {
        Self { bytes: Vec::new(), wrap }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Always text, as `init` writes it.
    pub(super) fn invite(&mut self, invite: &[u8]) {
        encode::invite(&mut self.bytes, invite, self.wrap);
    }

    pub(super) fn reply(&mut self, reply: &[u8], raw: bool) {
        if raw {
            encode::raw_packet(&mut self.bytes, reply);
        } else {
            encode::reply(&mut self.bytes, reply, self.wrap);
        }
    }

    pub(super) fn keys(&mut self, keys: &[[u8; PUBLISHED_KEY]], raw: bool) {
        for key in keys {
            if raw {
                encode::raw_key(&mut self.bytes, key);
            } else {
                encode::key(&mut self.bytes, key, self.wrap);
            }
        }
    }

    pub(super) fn packet(&mut self, packet: &[u8], raw: bool) -> Result<(), Failure> {
        if raw {
            encode::raw_packet(&mut self.bytes, packet);
        } else {
            encode::packet(&mut self.bytes, packet, self.wrap);
        }
        if self.bytes.len() > TAPE_MAX {
            let what = "the conversation is longer than 256 MiB";
            return Err(Failure::new(Code::Full, what, "nothing was written: make it shorter"));
        }
        Ok(())
    }

    /// What is discarded in a postbox, as `expect --spent` writes it.
    pub(super) fn spent(&mut self, records: &[[u8; 96]]) {
        for record in records {
            self.bytes.extend_from_slice(URL_SAFE_NO_PAD.encode(record).as_bytes());
            self.bytes.push(b'\n');
        }
    }
}
