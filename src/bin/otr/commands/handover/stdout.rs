//! What comes, to stdout. The last byte is held back, because it is not of the content.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use otr::store::patient::Patient;
use rustix::termios::isatty;
use zeroize::Zeroizing;

use super::message::WHOLE;
use crate::failure::Failure;
use crate::ui::printable::Printable;
use crate::ui::stdio;

/// stdout: byte for byte, or for a person's eyes.
pub(super) struct Out {
    to: To,
    last: Zeroizing<Option<u8>>,
    /// How much of the content has come, with the byte after it.
    came: u64,
}

enum To {
    Pipe(Patient<File>),
    Terminal(Printable<Patient<File>>),
}

impl Out {
    pub(super) fn open() -> Result<Self, Failure> {
        let out = stdio::output()?;
        let is_terminal = isatty(out.as_fd());
        let to = if is_terminal { To::Terminal(Printable::new(out)) } else { To::Pipe(out) };
        Ok(Self { to, last: Zeroizing::default(), came: 0 })
    }

    /// Writes what comes; returns how much that is by now.
    pub(super) fn write(&mut self, part: &[u8]) -> Result<u64, Failure> {
        let Some((last, before)) = part.split_last() else { return Ok(self.came) };
        let held = self.last.replace(*last);
        let out: &mut dyn io::Write = match &mut self.to {
            To::Pipe(out) => out,
            To::Terminal(shown) => shown,
        };
        let first = held.as_slice();
        let written = out.write_all(first).and_then(|()| out.write_all(before));
        written.map_err(|error| Failure::output(&error))?;
        self.came += part.len() as u64;
        Ok(self.came)
    }

    /// All has come; returns the length of the content, if it is whole.
    pub(super) fn end(&mut self) -> Result<Option<u64>, Failure> {
        let ended = match &mut self.to {
            To::Pipe(out) => out.flush(),
            To::Terminal(shown) => shown.end(),
        };
        ended.map_err(|error| Failure::output(&error))?;
        Ok((*self.last == Some(WHOLE)).then(|| self.came - 1))
    }
}
