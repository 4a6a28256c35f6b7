//! One connection to a host with several addresses (RFC 8305): each address is tried a moment after
//! the one before it, and the first that answers is taken.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// How long an address has before the next one is tried beside it (RFC 8305, 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first of these addresses that answers, within `time`.
pub(super) fn connect(addresses: &[SocketAddr], time: Duration) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect_timeout(only, time);
    }
    let until = Instant::now() + time;
    let (tries, outcomes) = channel();
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let (mut rest, mut running) = (addresses.iter(), 0_u32);
    loop {
        let next = rest.next();
        if let Some(&address) = next {
            let (tries, left) = (tries.clone(), until.saturating_duration_since(Instant::now()));
            // A late thread finds no receiver; its connection is closed with it.
            Builder::new().spawn(move || {
                drop(tries.send(TcpStream::connect_timeout(&address, left)));
            })?;
            running += 1;
        }
        if running == 0 {
            return Err(error);
        }
        let left = until.saturating_duration_since(Instant::now());
        let wait = if rest.len() == 0 { left } else { HEAD_START.min(left) };
        match outcomes.recv_timeout(wait) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => {
                error = why;
                running -= 1;
            }
            Err(RecvTimeoutError::Timeout) if left > wait => {}
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_first_that_answers_is_taken_and_all_that_refuse_are_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let time = Duration::from_secs(20);
        for addresses in [&[open][..], &[closed, open], &[closed, closed, open], &[open, closed]] {
            let stream = connect(addresses, time).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), open);
        }
        for addresses in [&[closed][..], &[closed, closed, closed]] {
            let error = connect(addresses, time).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
        assert!(connect(&[], time).is_err());
    }
}
