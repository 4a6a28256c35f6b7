//! Where the postbox listens: TCP, or a Unix socket.

use crate::postbox::api::UNIX;
use crate::postbox::names;
use rustix::net::sockopt::socket_acceptconn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connections that may wait to be accepted, if the system allows so many (`net.core.somaxconn`,
/// 4,096 where nobody has changed it). Beyond it the kernel drops first packets when a crowd arrives,
/// and these callers try again a second later.
const BACKLOG: i32 = 65_535;

/// An open listener.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// Opens `ADDRESS:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the text is neither; or the system's error.
    pub fn open(address: &str) -> io::Result<Self> {
        match address.strip_prefix(UNIX) {
            Some(path) => bind_unix(Path::new(path)).map(Self::Unix),
            None => bind_tcp(address).map(Self::Tcp),
        }
    }

    /// Whether it is a listener, not a caller's connection. If the system can't tell, it counts as
    /// one.
    pub fn listens(&self) -> bool {
        match self {
            Self::Tcp(tcp) => socket_acceptconn(tcp),
            Self::Unix(unix) => socket_acceptconn(unix),
        }
        .unwrap_or(true)
    }

    /// The URL of this listener, with the real port if the system chose it.
    pub fn url(&self, tls: bool) -> String {
        match self {
            Self::Tcp(tcp) => {
                let scheme = if tls { "https" } else { "http" };
                tcp.local_addr().map_or_else(
                    |_| scheme.to_owned(),
                    |address: SocketAddr| format!("{scheme}://{address}"),
                )
            }
            Self::Unix(unix) => {
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
    // A second `listen` changes how many connections may wait.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Binds the first address of the name that belongs to this machine.
fn bind_name(address: &str) -> io::Result<TcpListener> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no ADDRESS:PORT");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let found = names::addresses(host).map_err(io::Error::other)?;
    let found: Vec<SocketAddr> = found.into_iter().map(|ip| (ip, port).into()).collect();
    TcpListener::bind(&found[..])
}

/// Binds a Unix socket. It replaces a socket without a listener: a postbox that has confined itself
/// can't remove its own at its end.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    // The system would choose a name without a file.
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
