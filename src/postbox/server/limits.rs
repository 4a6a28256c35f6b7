//! How much of each resource one caller may take, and for how long. The page and the documentation
//! show these numbers.

use crate::postbox::storage::budget::SMALL;
use std::time::Duration;

/// For the head of a request, and for the silence between two requests. Longer than clients keep an
/// unused connection, far shorter than an attacker needs to fill all connections with idle ones.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(20);
/// For each packet of a body, counted from the one before it: 1 MiB at 9 KiB a second, or a pause
/// of two minutes in a stream that a person types.
pub(crate) const PACKET_TIME: Duration = Duration::from_mins(2);
/// For a whole body of records.
pub(crate) const RECORDS_TIME: Duration = Duration::from_secs(30);
/// For a caller that takes nothing of the answer.
pub(crate) const STALL_TIME: Duration = Duration::from_mins(1);
/// For each MiB of an answer that has begun, as for one of a packet: the reader keeps its packets
/// in memory, even when they are discarded or their time is up ...
pub(crate) const ANSWER_TIME: Duration = PACKET_TIME;
/// ... so for no more than this many MiB, as much as `otr` asks for at once. A caller that wants
/// more in one answer must read faster, or ask for less with `max=`.
const ANSWER_MOST: u64 = 8;
/// For a TLS handshake.
pub(crate) const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// For running calls after SIGTERM; systemd sends SIGKILL after 90 seconds.
pub(crate) const GRACE_TIME: Duration = Duration::from_secs(30);

/// For this long and this far we read and drop what follows a refused packet, so that a caller that
/// writes everything before it reads finds the answer, not a reset connection.
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(10);
/// See [`LINGER_TIME`]; bytes, as many as a sender may have posted and not collected.
pub(crate) const LINGER_BYTES: usize = 32 << 20;

/// Bytes of a request's head: more than `otr`, curl or a browser sends, and as many as are read at
/// a time, so that a head that does not end takes no second buffer.
pub(crate) const HEAD: usize = 8 * 1024;
/// Bytes to read at a time from a busy connection, which is charged for them: fewer system calls
/// make a long message a twentieth faster; a larger buffer does not help.
pub(crate) const BUFFER: usize = 64 * 1024;
/// Bytes that a caller may send without a pause before others get their turn ...
pub(crate) const BURST: usize = 64 * 1024;
/// ... where each request counts as much as this, however short it is.
pub(crate) const REQUEST: usize = 4 * 1024;
/// Bytes to read at a time from any other connection.
pub(crate) const SMALL_BUFFER: usize = 8 * 1024;
/// Bytes of answers that may lie unsent in the system's buffers of one connection: they are charged
/// to no caller there, and without a bound they grow to several MiB each.
pub(crate) const UNSENT: u32 = 128 * 1024;
/// Header fields in a request.
pub(crate) const HEADERS: usize = 64;

/// Bytes of memory that a connection is charged: somewhat more than it takes by measurement.
pub(crate) const CONNECTION_COST: usize = 16 * 1024;
/// On top of it, for a head that has begun and not ended: a growing buffer takes its memory twice.
pub(crate) const HEAD_COST: usize = 12 * 1024;
/// The same for a connection with TLS, whose buffers hold whole records of 16 KiB.
pub(crate) const TLS_CONNECTION_COST: usize = 64 * 1024;
/// Descriptors that are not for connections: standard streams, listeners, the poll, signals.
pub(crate) const SPARE_DESCRIPTORS: u64 = 64;

/// How long the caller may take for an answer of this size; `None` if the size is not known before
/// its end.
pub(crate) fn answer_time(size: Option<u64>) -> Duration {
    let begun = size.map_or(ANSWER_MOST, |size| size.div_ceil(1 << 20));
    ANSWER_TIME * u32::try_from(begun.clamp(1, ANSWER_MOST)).unwrap_or(1)
}

/// The most connections of the operator's side.
pub(crate) const ADMIN_CONNECTIONS: usize = 16;

/// What a connection is charged beyond its own memory: a small call and its answer.
pub(crate) const CALL_COST: usize = 2 * SMALL;

/// Connections that a memory cap allows: they take at most half of it, so that room is left for
/// what they carry.
pub(crate) fn connections_of(memory: usize) -> usize {
    memory / 2 / (CONNECTION_COST + CALL_COST)
}

/// Seven eighths of all possible connections may wait: the packets that they wait for must still be
/// able to come in.
pub(crate) fn waiting_of(connections: usize) -> usize {
    (connections / 8 * 7).max(1)
}

/// Seconds that `Retry-After` asks for.
pub(crate) const RETRY_AFTER: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_two_minutes_for_each_mib_and_sixteen_at_most() {
        let minutes = |size| answer_time(size).as_secs() / 60;
        assert_eq!([0, 1, 1 << 20, (1 << 20) + 1].map(|size| minutes(Some(size))), [2, 2, 2, 4]);
        assert_eq!([Some(8 << 20), Some(u64::MAX), None].map(minutes), [16, 16, 16]);
    }
}
