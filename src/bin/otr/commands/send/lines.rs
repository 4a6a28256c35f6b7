//! `--lines`: every line is a message of its own.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use otr::conversation::{self, Files, K_SHORT, Sent, block_on};
use otr::protocol::packet::{K_MIN, size};
use zeroize::Zeroizing;

use super::producer::unread;
use super::{AWAY, Sender};
use crate::commands::blocks::HeadBytes;
use crate::commands::outlets::Way;
use crate::failure::Failure;
use crate::worker;
use otr::postbox::client::Patience;

impl Sender<'_> {
    /// Each line a message, its newline included, so that what comes out is what went in. While the
    /// postbox is away, lines wait in the state, as many as it holds.
    pub(super) fn lines(&mut self, input: impl Read + Send + 'static) -> Result<(), Failure> {
        let input = Arc::new(Mutex::new(BufReader::new(input)));
        let mut line = Zeroizing::new(Vec::with_capacity(size(K_MIN)));
        // Opened once: descriptors give their state only to the first reader.
        let mut files = None;
        for number in 1_u64.. {
            if let Some(files) = &mut files {
                self.wait_for_line(&input, files)?;
            }
            line.clear();
            let mut rest = RestOfLine { input: Arc::clone(&input), ended: false };
            let read = (&mut rest).take(size(K_SHORT) as u64).read_to_end(&mut line);
            if read.map_err(|error| after_lines(number - 1, unread(&error)))? == 0 {
                break;
            }
            let files = match &mut files {
                Some(files) => files,
                none => none.insert(self.open()?),
            };
            self.line(files, &line, rest).map_err(|failure| of_line(number, failure))?;
        }
        match &mut files {
            Some(files) if self.away.is_some() => {
                let way = &mut Way::of(self.client.as_mut(), &mut self.emitter);
                Ok(block_on(conversation::flush(files, way, self.begun))?)
            }
            _ => Ok(()),
        }
    }

    /// While lines wait for the postbox, they must not have to wait for the next line, too.
    fn wait_for_line(
        &mut self,
        input: &Arc<Mutex<BufReader<impl Read + Send + 'static>>>,
        files: &mut Files,
    ) -> Result<(), Failure> {
        let (Some(_), Some(client)) = (self.away, &self.client) else { return Ok(()) };
        let mut client = client.lasting(Patience::Brief);
        let (here, is_here) = channel::<()>();
        let input = Arc::clone(input);
        worker::start(move || {
            // An error comes again to who reads the line.
            drop(input.lock().unwrap_or_else(PoisonError::into_inner).fill_buf().map(|_| ()));
            drop(here);
        })?;
        while self.away.is_some() && is_here.recv_timeout(AWAY) == Err(RecvTimeoutError::Timeout) {
            let flushed =
                block_on(conversation::flush(files, &mut Way::Post(&mut client), self.begun));
            match flushed.map_err(Failure::from) {
                Ok(()) => self.away = None,
                Err(failure) if failure.taken == Some(true) => self.away = Some(Instant::now()),
                Err(failure) => return Err(failure),
            }
        }
        // The reading thread holds the input until there is something.
        let _ = is_here.recv();
        Ok(())
    }

    fn line(
        &mut self,
        files: &mut Files,
        line: &Zeroizing<Vec<u8>>,
        rest: impl Read + Send + 'static,
    ) -> Result<(), Failure> {
        let short = line.len() < size(K_SHORT);
        let sent = if short { self.short(files, line) } else { Ok(Sent::Long(None)) };
        match sent {
            Ok(Sent::Out(_)) => Ok(()),
            Ok(Sent::Long(number)) => {
                let head = Cursor::new(HeadBytes(line.clone()));
                self.long(files, head.chain(rest), number)
            }
            Err(failure) if failure.taken == Some(true) && !self.how.confirm => {
                if self.away.is_none() {
                    let why = failure.what;
                    self.context.voice.say(format_args!("lines wait to be posted: {why}"));
                }
                self.away = Some(Instant::now());
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}

/// An input up to the end of its current line.
struct RestOfLine<R> {
    input: Arc<Mutex<BufReader<R>>>,
    ended: bool,
}

impl<R: Read> Read for RestOfLine<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let here = input.fill_buf()?;
        let newline = memchr::memchr(b'\n', here);
        let line = newline.map_or(here.len(), |at| at + 1);
        let count = line.min(out.len());
        out[..count].copy_from_slice(&here[..count]);
        self.ended = newline.is_some() && count == line;
        input.consume(count);
        Ok(count)
    }
}

/// No line came after these.
fn after_lines(count: u64, failure: Failure) -> Failure {
    if count == 0 {
        return failure;
    }
    let what = format!("{} after {count} lines, which are sent", failure.what);
    Failure { what: what.into(), hint: "".into(), ..failure }
}

/// Names the first of many lines that was not taken.
fn of_line(number: u64, failure: Failure) -> Failure {
    let what = match failure.taken {
        Some(true) => format!("line {number}: {}", failure.what),
        _ => format!("line {number} was not taken: {}", failure.what),
    };
    Failure { what: what.into(), ..failure }
}
