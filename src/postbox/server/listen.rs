//! Where the postbox listens: TCP, a Unix socket, or what systemd hands over.

use super::connection::Side;
use crate::failure::{Code, Failure};
use crate::postbox::client::UNIX;
use crate::postbox::names;
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connections that may wait to be taken in. With the 128 of the standard library a crowd makes
/// the kernel drop a caller's first packet, and the caller try again a second later.
const BACKLOG: i32 = 4096;

/// An open listener.
pub(crate) enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// Whether it is one, and not somebody's connection. Where the system can't tell, it is.
    fn listens(&self) -> bool {
        match self {
            Self::Tcp(tcp) => socket_acceptconn(tcp),
            Self::Unix(unix) => socket_acceptconn(unix),
        }
        .unwrap_or(true)
    }
}

/// A listener, and which side of the postbox it leads to.
pub(crate) struct Door {
    /// Where callers come in.
    pub(crate) listener: Listener,
    /// To what.
    pub(crate) side: Side,
}

impl Door {
    /// Opens `ADDRESS:PORT` or `unix:PATH`.
    pub(crate) fn open(address: &str, side: Side) -> Result<Self, Failure> {
        let opened = match address.strip_prefix(UNIX) {
            Some(path) => bind_unix(Path::new(path)).map(Listener::Unix),
            None => bind_tcp(address).map(Listener::Tcp),
        };
        let listener = opened.map_err(|why| {
            let wrong = why.kind() == io::ErrorKind::InvalidInput;
            let hint = match side {
                Side::Public => "give --listen another ADDRESS:PORT or unix:PATH",
                Side::Admin => "give --admin another ADDRESS:PORT or unix:PATH",
            };
            let code = if wrong { Code::Usage } else { Code::Failed };
            Failure::new(code, format!("can't listen on {address}: {why}"), hint)
        })?;
        Ok(Self { listener, side })
    }

    /// What systemd handed over (`LISTEN_FDS`): all of it leads to the public side.
    pub(crate) fn inherited() -> Result<Vec<Self>, Failure> {
        let mut handed = ListenFd::from_env();
        (0..handed.len())
            .map(|number| {
                let listener = match handed.take_tcp_listener(number) {
                    Ok(tcp) => tcp.map(Listener::Tcp),
                    Err(_) => handed.take_unix_listener(number).ok().flatten().map(Listener::Unix),
                };
                let unfit = |what, hint| Failure::new(Code::Failed, what, hint);
                let listener = listener.ok_or_else(|| {
                    let what = "a socket that was handed over is neither TCP nor Unix";
                    unfit(what, "use ListenStream= in the socket unit")
                })?;
                if !listener.listens() {
                    let what =
                        "a socket that was handed over is a connection: one process serves all";
                    return Err(unfit(what, "use Accept=no in the socket unit"));
                }
                Ok(Self { listener, side: Side::Public })
            })
            .collect()
    }

    /// The URL that leads here: with the real port, where the system chose one.
    pub(crate) fn url(&self, tls: bool) -> String {
        match &self.listener {
            Listener::Tcp(tcp) => {
                let scheme = if tls { "https" } else { "http" };
                tcp.local_addr().map_or_else(
                    |_| scheme.to_owned(),
                    |address: SocketAddr| format!("{scheme}://{address}"),
                )
            }
            Listener::Unix(unix) => {
                let path = unix.local_addr().ok();
                let path: Option<PathBuf> =
                    path.and_then(|address| std::path::absolute(address.as_pathname()?).ok());
                format!("{UNIX}{}", path.unwrap_or_default().display())
            }
        }
    }
}

fn bind_tcp(address: &str) -> io::Result<TcpListener> {
    let listener = match address.parse::<SocketAddr>() {
        Ok(address) => TcpListener::bind(address),
        Err(_) => bind_name(address),
    }?;
    // Again, on one that listens already: that changes how many may wait.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Binds the first address of a name that is this machine's.
fn bind_name(address: &str) -> io::Result<TcpListener> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no ADDRESS:PORT");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let found = names::addresses(host).map_err(io::Error::other)?;
    let found: Vec<SocketAddr> = found.into_iter().map(|ip| (ip, port).into()).collect();
    TcpListener::bind(&found[..])
}

/// Binds a Unix socket. One that nobody listens on any more is replaced: a postbox that has shut
/// itself in can't remove its own at its end.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    // The system would choose a name that is no file's.
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it names no path"));
    }
    match UnixListener::bind(path) {
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            if !is_socket || UnixStream::connect(path).is_ok() {
                return Err(why);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_socket_is_replaced_a_living_one_and_a_file_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("box");
        drop(UnixListener::bind(&path).unwrap());
        let living = bind_unix(&path).unwrap();
        assert!(bind_unix(&path).is_err());
        drop(living);
        let file = directory.path().join("file");
        std::fs::write(&file, "kept").unwrap();
        assert!(bind_unix(&file).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"kept");
    }
}
