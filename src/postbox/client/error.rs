//! What went wrong with a call, whether it may pass by itself, and how long to wait.
//!
//! Nothing that came from the other side is ever part of an error's text.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls::CertificateError;

use super::dial::{NoEntry, NoTor};
use super::socks::NoIsolation;
use crate::kind::ErrorKind;
use crate::postbox::names::NoAddress;

/// The first pause between two calls; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest `Retry-After` that we honour.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Why a call to a postbox failed.
#[derive(Debug)]
pub struct Error {
    postbox: Box<str>,
    why: Why,
}

impl Error {
    /// An error of the postbox at `host`.
    pub(super) fn new(host: &str, why: Why) -> Self {
        Self { postbox: host.into(), why }
    }

    /// The postbox's host, without its path and its secret.
    pub fn postbox(&self) -> &str {
        &self.postbox
    }

    /// What went wrong.
    pub fn why(&self) -> &Why {
        &self.why
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self.why {
            Why::InTheClear | Why::SocketThroughProxy | Why::BadProxy => ErrorKind::Usage,
            Why::NoRandomness => ErrorKind::Failed,
            Why::Full => ErrorKind::Full,
            _ => ErrorKind::Unreachable,
        }
    }

    /// Whether another postbox may be called instead.
    pub(super) fn is_of_one(&self) -> bool {
        !matches!(
            self.why,
            Why::InTheClear
                | Why::SocketThroughProxy
                | Why::BadProxy
                | Why::NoRandomness
                | Why::NoTor
                | Why::NoIsolation
                | Why::TooLarge(_)
        )
    }

    /// Whether the call may have been carried out although it failed.
    pub(super) fn is_doubtful(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound};
        match &self.why {
            Why::Slow | Why::Gateway(_) | Why::Nonsense => true,
            Why::Connection(kind) => {
                !matches!(kind, ConnectionRefused | HostUnreachable | NetworkUnreachable | NotFound)
            }
            _ => false,
        }
    }

    /// Whether the postbox has no room now, and may have some later.
    pub fn is_full(&self) -> bool {
        matches!(self.why, Why::Full)
    }
}

/// What went wrong with a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Why {
    /// `http://` to another machine, which was not allowed: no call was made.
    InTheClear,
    /// A Unix socket together with a proxy, which cannot reach it: no call was made.
    SocketThroughProxy,
    /// The proxy's URL cannot carry a user name of our own: no call was made.
    BadProxy,
    /// The system gave no randomness for the user name at the proxy.
    NoRandomness,
    /// No connection, or one that ended too early.
    Connection(io::ErrorKind),
    /// No address was found for the name.
    NoHost(NoAddress),
    /// Nobody has said where Tor is, and none answers on this machine.
    NoTor,
    /// The proxy takes no user name, and so cannot keep circuits apart.
    NoIsolation,
    /// The Unix socket is not for this user.
    NoEntry,
    /// Nothing came in time.
    Slow,
    /// TLS failed.
    Tls(TlsFault),
    /// The answer is not one of a postbox.
    Nonsense,
    /// A redirect, which is not followed.
    Elsewhere,
    /// 401: it takes packets with its post secret only.
    NoSecret,
    /// 507.
    Full,
    /// 413, and the bytes of the packet that was refused.
    TooLarge(usize),
    /// 408, 502, 504 and the like, from a proxy that got no answer.
    Gateway(u16),
    /// 429, 503; the seconds it asks for.
    Busy(Option<u64>),
    /// Any other status.
    Status(u16),
}

/// Why TLS could not be established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFault {
    /// The server speaks another protocol.
    NotTls,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotValidYet,
    /// The certificate is for another name.
    OtherName,
    /// No authority that is trusted has signed it.
    UnknownIssuer,
    /// The certificate is that of an authority (CA:TRUE).
    Authority,
    /// The certificate is of version 1.
    Version1,
    /// The certificate cannot be used for another reason.
    BadCertificate,
    /// Anything else.
    Failed,
}

impl Why {
    /// The error for an answer that is not a success.
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

    /// The same, with the answer's `Retry-After`.
    pub(super) fn or_after(self, after: Option<u64>) -> Self {
        if let Self::Busy(_) = self { Self::Busy(after) } else { self }
    }

    /// The error for a failure of the HTTP library.
    pub(super) fn of(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Io(error) => Self::of_io(&error),
            ureq::Error::Rustls(error) => tls(&error),
            ureq::Error::Tls(_) | ureq::Error::Pem(_) => Self::Tls(TlsFault::Failed),
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
        if inner.and_then(|inner| inner.downcast_ref::<NoTor>()).is_some() {
            return Self::NoTor;
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

    /// Whether it may succeed some time later, since the postbox or the network is away.
    pub(super) fn may_end(&self) -> bool {
        self.may_pass()
            || matches!(self, Self::NoHost(_) | Self::NoTor | Self::Slow | Self::Gateway(_))
    }

    /// Whether a proxy in between could have ended a long wait like this.
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
}

impl fmt::Display for Error {
    /// What happened, as the first half of an error line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.postbox;
        match &self.why {
            Why::InTheClear => {
                write!(f, "http://{host} is not encrypted: all on the way would see what it sees")
            }
            Why::SocketThroughProxy => {
                write!(f, "{host} is a Unix socket, to which no proxy leads")
            }
            Why::NoTor => write!(f, "no Tor answers on this machine (ports 9050 and 9150)"),
            Why::BadProxy => write!(f, "the proxy's address cannot be used"),
            Why::NoRandomness => write!(f, "the system gave no randomness"),
            Why::Connection(io::ErrorKind::NotFound) => {
                write!(f, "cannot reach the postbox {host}: there is no such socket")
            }
            Why::NoEntry => {
                write!(f, "cannot reach the postbox {host}: this user may not call it")
            }
            Why::Connection(kind) => {
                write!(f, "cannot reach the postbox {host}: {}", words(*kind))
            }
            Why::NoHost(why) => write!(f, "cannot look up the postbox {host}: {why}"),
            Why::NoIsolation => {
                write!(f, "the proxy takes no user name, so all calls would share one circuit")
            }
            Why::Slow => write!(f, "the postbox {host} did not answer in time"),
            Why::Tls(why) => write!(f, "no secure connection to the postbox {host}: {why}"),
            Why::Nonsense => write!(f, "{host} answered what no postbox answers"),
            Why::Elsewhere => {
                write!(f, "{host} sends to another address, which is not followed")
            }
            Why::NoSecret => {
                write!(f, "the postbox {host} takes packets only from those who have its secret")
            }
            Why::Full => write!(f, "the postbox {host} is full"),
            Why::TooLarge(bytes) => write!(
                f,
                "{host} refuses a packet for its size, {} KiB: --max-packet, or a proxy's \
                 client_max_body_size, is too small",
                bytes >> 10
            ),
            Why::Gateway(status) => {
                write!(f, "what stands before the postbox {host} gets no answer: status {status}")
            }
            Why::Busy(_) => write!(f, "the postbox {host} is busy"),
            Why::Status(status) => write!(f, "{host} refused the call with status {status}"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTls => "it does not speak TLS",
            Self::Expired => "its certificate has expired",
            Self::NotValidYet => "its certificate is not valid yet",
            Self::OtherName => "its certificate is for another name",
            Self::UnknownIssuer => "nobody we trust has signed its certificate",
            Self::Authority => {
                "its certificate is that of an authority (CA:TRUE), which none of a server may be"
            }
            Self::Version1 => "its certificate is of version 1",
            Self::BadCertificate => "its certificate cannot be used",
            Self::Failed => "TLS failed",
        })
    }
}

/// How long to wait before the next call. Half of it is random, so that many waiting clients do not
/// call all at once.
pub(super) fn pause(attempt: u32, why: &Why) -> Result<Duration, Why> {
    let asked = match why {
        Why::Busy(Some(seconds)) => Duration::from_secs(*seconds),
        _ => FIRST_PAUSE.saturating_mul(1 << attempt.clamp(1, 8) >> 1),
    };
    let mut chance = [0; 1];
    getrandom::fill(&mut chance).map_err(|_| Why::NoRandomness)?;
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

fn tls(error: &rustls::Error) -> Why {
    Why::Tls(match error {
        rustls::Error::InvalidCertificate(why) => certificate(why),
        rustls::Error::InvalidMessage(_) => TlsFault::NotTls,
        _ => TlsFault::Failed,
    })
}

fn certificate(why: &CertificateError) -> TlsFault {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFault::NotValidYet
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFault::OtherName
        }
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
        // Names from the verifier's library, since rustls has none for these errors.
        CertificateError::Other(other) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => TlsFault::Authority,
            "UnsupportedCertVersion" => TlsFault::Version1,
            _ => TlsFault::BadCertificate,
        },
        _ => TlsFault::BadCertificate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        let busy = |after| Why::Busy(Some(after));
        for _ in 0..20 {
            let cut = Why::Connection(io::ErrorKind::ConnectionReset);
            let (first, fourth) = (pause(1, &cut).unwrap(), pause(4, &cut).unwrap());
            assert!(first <= FIRST_PAUSE && first >= FIRST_PAUSE / 2, "{first:?}");
            assert!(fourth <= FIRST_PAUSE * 8 && fourth >= FIRST_PAUSE * 4, "{fourth:?}");
            assert!(pause(1, &busy(u64::MAX)).unwrap() <= LONGEST_PAUSE);
            assert!(pause(1, &busy(0)).unwrap().is_zero());
        }
    }
}
