//! What went wrong with a call of the postbox, for a person: its exit code, and what to do about it.

use otr::postbox::client::{Error, NoAddress, TlsFault, Why};

use super::{Code, Failure};

const NOTHING_SENT: &str = "nothing was sent";
const LATER: &str = "try again later";
const ADDRESS: &str = "is the address right?";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Code::of(error.kind()), error.to_string(), hint(error.why()))
    }
}

fn hint(why: &Why) -> &'static str {
    match why {
        Why::InTheClear => "use https://, or --plain-http if that is what you want",
        Why::SocketThroughProxy => "nobody was called: leave --tor, --proxy and OTR_PROXY out",
        Why::NoHost(NoAddress::Onion) => "use --tor",
        Why::NoRandomness | Why::BadProxy => NOTHING_SENT,
        Why::Connection(std::io::ErrorKind::NotFound) => {
            "is it up? a Unix socket is reached on its own machine alone"
        }
        Why::Connection(_) => "is it up, and is the network?",
        Why::NoEntry => "who runs it sets the owner and the mode of the socket and its directory",
        Why::NoHost(NoAddress::Unknown) => {
            "is the name right? it is looked for in /etc/hosts and by DNS"
        }
        Why::NoHost(NoAddress::NoServer) => {
            "is the network up? the servers are those of /etc/resolv.conf"
        }
        Why::NoTor => "start it (Debian: apt-get install tor), or say with --proxy where it is",
        Why::NoIsolation => "nothing was sent; give --proxy a SOCKS port of Tor itself",
        Why::Tls(fault) => tls(*fault),
        Why::NoSecret => "the invite carries it: begin again with 'otr init --post-secret FILE'",
        Why::TooLarge(_) => "who runs it can set --max-packet 1M, and client_max_body_size 2m",
        Why::Nonsense | Why::Elsewhere | Why::Status(_) => ADDRESS,
        _ => LATER,
    }
}

fn tls(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::NotTls => "is it a postbox of http://, or another port?",
        TlsFault::Expired | TlsFault::NotValidYet => {
            "is this machine's clock right? nothing was sent"
        }
        TlsFault::OtherName => "the name has to stand in its subjectAltName; nothing was sent",
        TlsFault::UnknownIssuer => {
            "if it is your own, give its certificate with --ca-file; nothing was sent"
        }
        TlsFault::Authority => "make one with CA:FALSE, as docs/postbox.md shows; nothing was sent",
        TlsFault::Version1 => "make one of version 3, as docs/postbox.md shows; nothing was sent",
        _ => NOTHING_SENT,
    }
}
