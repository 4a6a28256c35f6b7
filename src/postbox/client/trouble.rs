//! What goes wrong with a call: whether it may pass by itself, how long to wait, what to say.
//!
//! Nothing that came from the other side is ever part of what is said.

use std::io;
use std::time::Duration;

use tokio_rustls::rustls::{self, CertificateError};

use super::dial::NoEntry;
use super::socks::NoIsolation;
use crate::failure::{Code, Failure};
use crate::postbox::names::NoAddress;

/// The first pause between two calls; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No `Retry-After` is waited for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No connection, or one that ended too early.
    Connection(io::ErrorKind),
    /// The name has no address that could be found.
    NoHost(NoAddress),
    /// The proxy takes no user name, and so cannot keep circuits apart.
    NoIsolation,
    /// The Unix socket is not for this user.
    NoEntry,
    /// Nothing came in time.
    Slow,
    /// TLS failed, and why, and what to do about it.
    Tls(&'static str, &'static str),
    /// Not what a postbox answers.
    Nonsense,
    /// A redirect.
    Elsewhere,
    /// 401.
    NoSecret,
    /// 507.
    Full,
    /// 413, and the size of the packet that was refused.
    TooLarge(usize),
    /// 408, 502, 504 and the like, of a proxy that got no answer.
    Gateway(u16),
    /// 429, 503; the seconds it asks for.
    Busy(Option<u64>),
    /// Any other status.
    Status(u16),
}

impl Trouble {
    /// An answer that does not say what was hoped for.
    pub(super) fn answered(status: u16) -> Self {
        match status {
            200..300 => Self::Nonsense,
            300..=399 => Self::Elsewhere,
            401 => Self::NoSecret,
            507 => Self::Full,
            408 | 502 | 504 | 520..=524 => Self::Gateway(status),
            429 | 503 => Self::Busy(None),
            _ => Self::Status(status),
        }
    }

    /// With the `Retry-After` that stood beside it.
    pub(super) fn or_after(self, after: Option<u64>) -> Self {
        if let Self::Busy(_) = self { Self::Busy(after) } else { self }
    }

    /// What the calling library says.
    pub(super) fn of(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Io(error) => Self::of_io(&error),
            ureq::Error::Rustls(error) => tls(&error),
            ureq::Error::Tls(_) | ureq::Error::Pem(_) => Self::Tls("it failed", NOTHING_SENT),
            ureq::Error::HostNotFound => Self::NoHost(NoAddress::Unknown),
            ureq::Error::Other(error) => {
                error.downcast::<NoAddress>().map_or(Self::Nonsense, |why| Self::NoHost(*why))
            }
            ureq::Error::Timeout(_) => Self::Slow,
            ureq::Error::ConnectionFailed => Self::Connection(io::ErrorKind::Other),
            _ => Self::Nonsense,
        }
    }

    /// The same, while the answer's body is read.
    pub(super) fn of_reading(error: io::Error) -> Self {
        match error.downcast::<ureq::Error>() {
            Ok(error) => Self::of(error),
            Err(error) => Self::of_io(&error),
        }
    }

    fn of_io(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return tls(error);
        }
        if inner.and_then(|inner| inner.downcast_ref::<NoIsolation>()).is_some() {
            return Self::NoIsolation;
        }
        if inner.and_then(|inner| inner.downcast_ref::<NoEntry>()).is_some() {
            return Self::NoEntry;
        }
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Slow,
            kind => Self::Connection(kind),
        }
    }

    /// Whether the same call may succeed a moment later.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Connection(_)
                | Self::Busy(_)
                | Self::NoHost(NoAddress::NoServer)
                | Self::Gateway(502)
        )
    }

    /// Whether it may succeed some time later: the postbox, or the way to it, is away.
    pub(super) fn may_end(&self) -> bool {
        self.may_pass() || matches!(self, Self::NoHost(_) | Self::Slow | Self::Gateway(_))
    }

    /// Whether that is how somebody in between ends a call that waits for too long.
    pub(super) fn ends_a_wait(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound};
        match self {
            Self::Gateway(_) => true,
            Self::Connection(kind) => {
                !matches!(kind, ConnectionRefused | HostUnreachable | NetworkUnreachable | NotFound)
            }
            _ => false,
        }
    }

    /// What to tell the person.
    pub(super) fn failure(&self, host: &str) -> Failure {
        let (code, what, hint) = match *self {
            Self::Connection(io::ErrorKind::NotFound) => (
                Code::Postbox,
                format!("cannot reach the postbox {host}: there is no such socket"),
                "is it up? a Unix socket is reached on its own machine alone",
            ),
            Self::NoEntry => (
                Code::Postbox,
                format!("cannot reach the postbox {host}: this user may not call it"),
                "who runs it sets the owner and the mode of the socket and its directory",
            ),
            Self::Connection(kind) => (
                Code::Postbox,
                format!("cannot reach the postbox {host}: {}", words(kind)),
                "is it up, and is the network?",
            ),
            Self::NoHost(why) => (
                Code::Postbox,
                format!("cannot look up the postbox {host}: {}", why.what()),
                why.hint(),
            ),
            Self::NoIsolation => (
                Code::Postbox,
                "the proxy takes no user name, so all calls would share one circuit".to_owned(),
                "nothing was sent; give --proxy a SOCKS port of Tor itself",
            ),
            Self::Slow => (
                Code::Postbox,
                format!("the postbox {host} did not answer in time"),
                "try again later",
            ),
            Self::Tls(why, hint) => {
                (Code::Postbox, format!("no secure connection to the postbox {host}: {why}"), hint)
            }
            Self::Nonsense => (
                Code::Postbox,
                format!("{host} answered what no postbox answers"),
                "is the address right?",
            ),
            Self::Elsewhere => (
                Code::Postbox,
                format!("{host} sends to another address, which is not followed"),
                "is the address right?",
            ),
            Self::NoSecret => (
                Code::Postbox,
                format!("the postbox {host} takes packets from those alone who have its secret"),
                "the invite carries it: begin again with 'otr init --post-secret FILE'",
            ),
            Self::Full => (Code::Full, format!("the postbox {host} is full"), "try again later"),
            Self::TooLarge(bytes) => (
                Code::Postbox,
                format!(
                    "{host} refuses a packet for its size, {} KiB: --max-packet, or a proxy's \
                     client_max_body_size, is too small",
                    bytes >> 10
                ),
                "who runs it can set --max-packet 1M, and client_max_body_size 2m",
            ),
            Self::Gateway(status) => (
                Code::Postbox,
                format!("what stands before the postbox {host} gets no answer: status {status}"),
                "try again later",
            ),
            Self::Busy(_) => {
                (Code::Postbox, format!("the postbox {host} is busy"), "try again later")
            }
            Self::Status(status) => (
                Code::Postbox,
                format!("{host} refused the call with status {status}"),
                "is the address right?",
            ),
        };
        Failure::new(code, what, hint)
    }
}

/// How long to wait before the next call: so that many who wait do not come all at once, half of
/// it is chance.
pub(super) fn pause(attempt: u32, trouble: &Trouble) -> Result<Duration, Failure> {
    let asked = match trouble {
        Trouble::Busy(Some(seconds)) => Duration::from_secs(*seconds),
        _ => FIRST_PAUSE.saturating_mul(1 << attempt.clamp(1, 8) >> 1),
    };
    let mut chance = [0; 1];
    getrandom::fill(&mut chance).map_err(|_| Failure::no_randomness())?;
    let part = asked.min(LONGEST_PAUSE) / 2;
    Ok(part + part * u32::from(chance[0]) / 255)
}

fn words(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => "the connection was cut",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no way leads there",
        io::ErrorKind::PermissionDenied => "the proxy does not let the call through",
        io::ErrorKind::InvalidData => "what listens there is no SOCKS 5 proxy",
        _ => "no connection",
    }
}

const NOTHING_SENT: &str = "nothing was sent";

fn tls(error: &rustls::Error) -> Trouble {
    let (why, hint) = match error {
        rustls::Error::InvalidCertificate(why) => certificate(why),
        rustls::Error::InvalidMessage(_) => {
            ("it does not speak TLS", "is it a postbox of http://, or another port?")
        }
        _ => ("TLS failed", NOTHING_SENT),
    };
    Trouble::Tls(why, hint)
}

fn certificate(why: &CertificateError) -> (&'static str, &'static str) {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("its certificate has expired", "is this machine's clock right? nothing was sent")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("its certificate is not valid yet", "is this machine's clock right? nothing was sent")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "its certificate is for another name",
            "the name has to stand in its subjectAltName; nothing was sent",
        ),
        CertificateError::UnknownIssuer => (
            "nobody we trust has signed its certificate",
            "if it is your own, give its certificate with --ca-file; nothing was sent",
        ),
        // Names that the checking library gives: rustls has none for these.
        CertificateError::Other(other) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => (
                "its certificate is that of an authority (CA:TRUE), which none of a server may be",
                "make one with CA:FALSE, as docs/postbox.md shows; nothing was sent",
            ),
            "UnsupportedCertVersion" => (
                "its certificate is of version 1",
                "make one of version 3, as docs/postbox.md shows; nothing was sent",
            ),
            _ => ("its certificate is no good", NOTHING_SENT),
        },
        _ => ("its certificate is no good", NOTHING_SENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        let busy = |after| Trouble::Busy(Some(after));
        for _ in 0..20 {
            let cut = Trouble::Connection(io::ErrorKind::ConnectionReset);
            let (first, fourth) = (pause(1, &cut).unwrap(), pause(4, &cut).unwrap());
            assert!(first <= FIRST_PAUSE && first >= FIRST_PAUSE / 2, "{first:?}");
            assert!(fourth <= FIRST_PAUSE * 8 && fourth >= FIRST_PAUSE * 4, "{fourth:?}");
            assert!(pause(1, &busy(u64::MAX)).unwrap() <= LONGEST_PAUSE);
            assert!(pause(1, &busy(0)).unwrap().is_zero());
        }
    }
}
