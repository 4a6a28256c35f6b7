//! Reading bodies: pieces with a deadline, and whole bodies of records.

use super::alarm::Alarm;
use super::caller::Caller;
use super::form::{Form, record_of_line};
use super::lane::in_steps;
use super::limits::{LINGER_BYTES, LINGER_TIME, RECORDS_TIME};
use crate::postbox::api::MAX_RECORDS;
use crate::postbox::storage::budget::{Budget, Charge, Full, Purpose};
use crate::postbox::storage::unfinished::{Begun, GRACE, Unfinished};
use crate::postbox::storage::watch::Addresses;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;

/// Records that a new list has room for; it doubles each time that it is full.
const FIRST: usize = 16;

/// The next piece of a body.
pub(crate) enum Piece {
    /// More of it.
    Bytes(Bytes),
    /// Its end.
    End,
    /// Nothing came before the deadline.
    Slow,
    /// Others need its memory, and it is behind.
    Behind,
    /// The connection broke, or the caller sent something other than HTTP.
    Broken,
}

/// The body of a request, and its caller.
pub(crate) struct Upload {
    body: Incoming,
    caller: Arc<Caller>,
    alarm: Alarm,
    /// Its entry among the unfinished, if the rest of it keeps us waiting.
    begun: Option<Begun>,
}

impl Upload {
    pub(crate) fn new(body: Incoming, caller: Arc<Caller>) -> Self {
        let alarm = caller.alarm().clone();
        Self { body, caller, alarm, begun: None }
    }

    /// Notes that `bytes` have arrived of what began at `since`; 0 if nothing is unfinished. What
    /// has arrived may have to make room for others among `all`.
    pub(crate) fn has_brought(&mut self, all: &Arc<Unfinished>, since: Instant, bytes: usize) {
        if self.has_come() {
            self.begun = None;
            return;
        }
        self.caller.keeps(Some(since));
        match &mut self.begun {
            Some(begun) if bytes > 0 && begun.since() == since => begun.has_brought(bytes),
            begun => *begun = (bytes > 0).then(|| all.begin(since, bytes)),
        }
    }

    /// The body has arrived: it is no longer among the unfinished.
    pub(crate) fn is_whole(&mut self) {
        self.begun = None;
    }

    /// Whether all of it has arrived.
    pub(crate) fn has_come(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The caller that sends it.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// The next piece of a body.
pub(crate) async fn next_piece(upload: &mut Upload, deadline: Instant) -> Piece {
    let Upload { body, caller, alarm, begun } = upload;
    // With a known length the end needs no further poll.
    if body.is_end_stream() {
        return Piece::End;
    }
    caller.takes_turns().await;
    let mut goes = pin!(async {
        match begun {
            Some(begun) => begun.goes().await,
            None => pending().await,
        }
    });
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(None) => Poll::Ready(Piece::End),
        Poll::Ready(Some(Err(_))) => Poll::Ready(Piece::Broken),
        Poll::Ready(Some(Ok(frame))) => {
            let bytes = frame.into_data().unwrap_or_default();
            caller.brings(bytes.len());
            Poll::Ready(Piece::Bytes(bytes))
        }
        // All that the caller sent was there before: this body stays incomplete.
        Poll::Pending if caller.poll_hangs_up(cx).is_ready() => Poll::Ready(Piece::Broken),
        Poll::Pending if goes.as_mut().poll(cx).is_ready() => Poll::Ready(Piece::Behind),
        Poll::Pending => alarm.poll_until(cx, deadline).map(|()| Piece::Slow),
    })
    .await
}

/// After an answer that came before the body's end, reads on for a while.
pub(crate) fn linger(mut body: Upload) {
    body.begun = None;
    if body.has_come() {
        return;
    }
    // A timer of its own, beside the connection's.
    body.alarm = Alarm::default();
    tokio::spawn(async move {
        let (deadline, mut left) = (Instant::now() + LINGER_TIME, LINGER_BYTES);
        while let Piece::Bytes(bytes) = next_piece(&mut body, deadline).await {
            let Some(rest) = left.checked_sub(bytes.len()) else { break };
            left = rest;
        }
    });
}

/// Why a body of records is refused.
#[derive(Clone, Copy)]
pub(crate) enum BadRecords {
    /// Not records of this length.
    Unfit,
    /// Too many for one call.
    TooMany,
    /// The memory cap is reached.
    Full,
    /// It came too slowly.
    Slow,
    /// The caller has hung up.
    Broken,
}

/// Records of `N` bytes each, and their charge for as long as they are kept.
pub(crate) struct Records<const N: usize> {
    list: Vec<[u8; N]>,
    charge: Charge,
}

impl<const N: usize> Records<N> {
    /// The records in order of arrival.
    pub(crate) fn list(&self) -> &[[u8; N]] {
        &self.list
    }

    /// The same with each record only once, at its first place: a repeated record costs work and
    /// memory again, and its answer says nothing new.
    pub(crate) async fn without_repeats(mut self) -> Self {
        if self.list.len() > 1 {
            let mut seen = BTreeSet::new();
            self.retain(|record| seen.insert(*record)).await;
        }
        self
    }

    /// Only those for which `keep` is true.
    pub(crate) async fn retain(&mut self, mut keep: impl FnMut(&[u8; N]) -> bool) {
        let (list, mut kept) = (&mut self.list, 0);
        in_steps(list.len(), |some| {
            for at in some {
                if keep(&list[at]) {
                    list[kept] = list[at];
                    kept += 1;
                }
            }
        })
        .await;
        self.list.truncate(kept);
        self.let_go();
    }

    /// Replaces the records.
    pub(crate) async fn map(mut self, other: impl Fn(&[u8; N]) -> [u8; N]) -> Self {
        let list = &mut self.list;
        in_steps(list.len(), |some| {
            for record in &mut list[some] {
                *record = other(record);
            }
        })
        .await;
        self
    }

    /// From now on the charge is for a waiting call.
    pub(crate) fn wait(&mut self) {
        self.charge.turn_to(Purpose::Waits);
    }

    /// Frees memory that is no longer needed.
    fn let_go(&mut self) {
        let before = self.list.capacity();
        self.list.shrink_to_fit();
        self.charge.shrink((before - self.list.capacity()) * N);
    }
}

impl From<Records<32>> for Addresses {
    fn from(Records { list, charge }: Records<32>) -> Self {
        Self::new(list, charge)
    }
}

/// Reads a whole body of records; if memory for them runs short, others among `all` make room.
pub(crate) async fn records<const N: usize>(
    body: &mut Upload,
    form: Form,
    budget: &Arc<Budget>,
    all: &Arc<Unfinished>,
) -> Result<Records<N>, BadRecords> {
    let since = Instant::now();
    let mut reader = Reader::new(form, budget, all);
    loop {
        match next_piece(body, since + RECORDS_TIME).await {
            Piece::Bytes(bytes) => {
                reader.push(&bytes)?;
                body.has_brought(all, since, reader.charge.bytes().max(1));
            }
            Piece::End => {
                body.begun = None;
                return reader.end();
            }
            Piece::Behind => return Err(BadRecords::Full),
            Piece::Slow => return Err(BadRecords::Slow),
            Piece::Broken => return Err(BadRecords::Broken),
        }
    }
}

/// Splits bytes into records as they arrive.
struct Reader<const N: usize> {
    all: Arc<Unfinished>,
    form: Form,
    /// Bytes that may still come: blank lines are no records, and must not make us read for ever.
    left: usize,
    /// The beginning of a record.
    rest: Vec<u8>,
    list: Vec<[u8; N]>,
    charge: Charge,
}

impl<const N: usize> Reader<N> {
    /// Characters of a record's line, and of its end.
    const LINE: usize = (N * 4).div_ceil(3) + 2;

    fn new(form: Form, budget: &Arc<Budget>, all: &Arc<Unfinished>) -> Self {
        let charge = Charge::nothing(budget, Purpose::Calls);
        let left = 2 * Self::LINE * (MAX_RECORDS + 1);
        let all = Arc::clone(all);
        Self { all, form, left, rest: Vec::new(), list: Vec::new(), charge }
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), BadRecords> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(BadRecords::TooMany)?;
        while !bytes.is_empty() {
            if self.form == Form::Text && self.rest.is_empty() {
                // All blank lines at once: a body may hold nothing else.
                let blank = bytes.iter().position(|&byte| byte != b'\n').unwrap_or(bytes.len());
                bytes = &bytes[blank..];
            }
            let (want, ended) = match self.form {
                Form::Raw => (N - self.rest.len(), None),
                Form::Text => match bytes.iter().position(|&byte| byte == b'\n') {
                    Some(end) => (end + 1, Some(())),
                    None => (bytes.len(), None),
                },
            };
            let (now, later) = bytes.split_at(want.min(bytes.len()));
            if self.rest.len() + now.len() > Self::LINE {
                return Err(BadRecords::Unfit);
            }
            self.rest.extend_from_slice(now);
            bytes = later;
            if ended.is_some() || (self.form == Form::Raw && self.rest.len() == N) {
                self.take()?;
            }
        }
        Ok(())
    }

    /// Takes what is in `rest` as a record.
    fn take(&mut self) -> Result<(), BadRecords> {
        let record = match self.form {
            Form::Raw => self.rest.as_slice().try_into().ok(),
            Form::Text => match self.rest.trim_ascii() {
                [] => {
                    self.rest.clear();
                    return Ok(());
                }
                line => record_of_line(line),
            },
        };
        let record = record.ok_or(BadRecords::Unfit)?;
        if self.list.len() >= MAX_RECORDS {
            return Err(BadRecords::TooMany);
        }
        self.make_room()?;
        self.list.push(record);
        self.rest.clear();
        Ok(())
    }

    /// Makes room for one more, charged before it is allocated. (While a list moves it takes memory
    /// twice, but only one list moves at a time.)
    fn make_room(&mut self) -> Result<(), BadRecords> {
        if self.list.len() == self.list.capacity() {
            let more = self.list.capacity().max(FIRST);
            if let Err(Full) = self.charge.grow(more * N) {
                let budget = self.charge.budget();
                if !self.all.give_way(budget, Purpose::Calls, more * N, GRACE) {
                    return Err(BadRecords::Full);
                }
                self.charge.grow_anyway(more * N);
            }
            self.list.reserve_exact(more);
        }
        Ok(())
    }

    fn end(mut self) -> Result<Records<N>, BadRecords> {
        if !self.rest.is_empty() {
            self.take()?;
        }
        if self.list.is_empty() {
            return Err(BadRecords::Unfit);
        }
        Ok(Records { list: self.list, charge: self.charge })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    async fn read(form: Form, body: &[u8], step: usize) -> Result<Vec<[u8; 32]>, BadRecords> {
        let budget = Budget::new(8 << 20);
        let mut reader = Reader::new(form, &budget, &Arc::default());
        for piece in body.chunks(step) {
            reader.push(piece)?;
        }
        let records = reader.end()?.without_repeats().await;
        assert_eq!(budget.used(), 32 * records.list.capacity());
        Ok(records.list)
    }

    #[tokio::test]
    async fn records_come_out_whole_however_the_body_is_cut() {
        let records = [[1; 32], [2; 32], [3; 32]];
        let line = |n: usize| URL_SAFE_NO_PAD.encode(records[n]);
        let text = format!("{}\n\n{}\r\n{1}\n{}", line(0), line(1), line(2));
        for step in [1, 31, 32, 33, 1000] {
            assert!(read(Form::Raw, &records.concat(), step).await.is_ok_and(|r| r == records));
            assert!(read(Form::Text, text.as_bytes(), step).await.is_ok_and(|r| r == records));
        }
    }

    #[tokio::test]
    async fn nothing_half_a_record_and_too_many_are_refused() {
        for (form, body) in [
            (Form::Raw, &b""[..]),
            (Form::Raw, &[1; 33]),
            (Form::Text, b"\n\n"),
            (Form::Text, b"AAAA\n"),
            (Form::Text, &[b'A'; 10_000]),
        ] {
            assert!(matches!(read(form, body, 7).await, Err(BadRecords::Unfit)), "{body:?}");
        }
        let many = vec![0; 32 * (MAX_RECORDS + 1)];
        assert!(matches!(read(Form::Raw, &many, 4096).await, Err(BadRecords::TooMany)));
        let blank = vec![b'\n'; 1 << 20];
        assert!(matches!(read(Form::Text, &blank, 4096).await, Err(BadRecords::TooMany)));
    }
}
