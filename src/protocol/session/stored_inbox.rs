//! The stored form of an inbox: its part of a session's bytes.

use crate::protocol::packet::message::{Inbox, RUNS_MAX, UNFINISHED_MAX, Unfinished};
use crate::protocol::packet::runs::Runs;
use crate::protocol::ratchet::skipped::Position;
use crate::protocol::session::stored::{put_count, put_option, take_option};
use crate::protocol::wire::{Malformed, Reader, Sink};

impl Inbox {
    pub(super) fn write(&self, out: &mut dyn Sink) {
        out.u64(self.floor);
        out.u64(self.missed);
        out.u64(self.received);
        for runs in [&self.complete, &self.given_up] {
            put_count(out, runs.len());
            for (first, last) in runs.iter() {
                out.u64(first);
                out.u64(last);
            }
        }
        put_count(out, self.unfinished.len());
        for (number, message) in &self.unfinished {
            out.u64(*number);
            out.u64(message.came);
            put_option(out, message.overtaken.as_ref(), |at, out| put_position(*at, out));
        }
        put_option(out, self.newest.as_ref(), |(number, at), out| {
            out.u64(*number);
            put_position(*at, out);
        });
        put_option(out, self.announced.as_ref(), |count, out| out.u64(*count));
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut inbox = Self {
            floor: reader.u64()?,
            missed: reader.u64()?,
            received: reader.u64()?,
            complete: take_runs(reader)?,
            given_up: take_runs(reader)?,
            ..Self::default()
        };
        let count = reader.u32()?;
        if usize::try_from(count).map_or(true, |count| count > UNFINISHED_MAX) {
            return Err(Malformed);
        }
        for _ in 0..count {
            let number = take_message(reader)?;
            let came = reader.u64()?;
            let overtaken = take_option(reader, take_position)?;
            inbox.unfinished.insert(number, Unfinished { came, overtaken });
        }
        inbox.newest =
            take_option(reader, |reader| Ok((take_message(reader)?, take_position(reader)?)))?;
        if reader.flag()? {
            inbox.announced = Some(reader.u64()?);
        }
        if inbox.is_consistent() { Ok(inbox) } else { Err(Malformed) }
    }
}

/// A message's number; the largest is refused everywhere.
fn take_message(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    reader.u64().and_then(|number| if number == u64::MAX { Err(Malformed) } else { Ok(number) })
}

fn take_runs(reader: &mut Reader<'_>) -> Result<Runs, Malformed> {
    let mut runs = Runs::default();
    let count = reader.u32()?;
    if usize::try_from(count).map_or(true, |count| count > RUNS_MAX) {
        return Err(Malformed);
    }
    for _ in 0..count {
        let (first, last) = (reader.u64()?, take_message(reader)?);
        if first > last || runs.overlaps(first, last) {
            return Err(Malformed);
        }
        runs.insert(first, last);
    }
    Ok(runs)
}

fn put_position(at: Position, out: &mut dyn Sink) {
    out.u32(at.chain);
    out.u32(at.number);
}

fn take_position(reader: &mut Reader<'_>) -> Result<Position, Malformed> {
    Ok(Position { chain: reader.u32()?, number: reader.u32()? })
}
