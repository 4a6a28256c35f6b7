//! Makes connections, to the host itself, through a SOCKS proxy, or to a Unix socket, and moves
//! bytes over them. TLS is a layer above.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout as Limit, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

use super::race;
use super::socks::{self, Login};
use crate::postbox::names;

/// The time to connect, including a Tor circuit to an onion service.
pub(super) const CONNECT_TIME: Duration = Duration::from_secs(45);
/// The port at which Tor Browser's Tor takes connections.
const TOR_BROWSER: u16 = 9150;
/// The most addresses of a name that are tried; there is no room for more.
const ADDRESSES: usize = 16;

/// Looks up the names of postboxes and proxies.
#[derive(Debug)]
pub(super) struct Names;

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        let found = names::addresses(host).map_err(|why| Error::Other(Box::new(why)))?;
        let mut all = self.empty();
        for ip in found.into_iter().take(ADDRESSES) {
            all.push((ip, port(uri)).into());
        }
        Ok(all)
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("https") => 443,
        Some("http") => 80,
        _ => 1080,
    })
}

/// Opens connections.
#[derive(Debug)]
pub(super) struct Dial {
    /// The Unix socket to call, if there is one; it overrides the URL.
    pub(super) socket: Option<PathBuf>,
    /// Whether the proxy must take the user name of each connection.
    pub(super) demands: bool,
    /// Whether it is a name that we have made up, and that the proxy need not know.
    pub(super) made_up: bool,
    /// Whether nobody has said where Tor is.
    pub(super) looks_for_tor: bool,
    pub(super) known: Arc<Known>,
}

/// What the calls have learnt, mostly of the proxy.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether it did not take our user names, so that its calls may all go one way.
    pub(super) joins: AtomicBool,
    /// Whether it refuses names that it does not know.
    refuses: AtomicBool,
    /// Where Tor was found: what listens at the other port gets nothing when that is away.
    tor: OnceLock<SocketAddr>,
    /// The connections, as long as they are open.
    open: Mutex<Vec<Weak<TcpStream>>>,
}

impl Known {
    /// Duplicates of the connections that are open.
    pub(super) fn open(&self) -> io::Result<Vec<OwnedFd>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.iter().filter_map(Weak::upgrade);
        open.map(|stream| stream.as_fd().try_clone_to_owned()).collect()
    }

    fn note(&self, stream: &Arc<TcpStream>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|one| one.strong_count() > 0);
        open.push(Arc::downgrade(stream));
    }
}

impl Connector for Dial {
    type Out = Tcp;

    fn connect(&self, to: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Tcp>, Error> {
        let time = to.timeout.not_zero().map_or(CONNECT_TIME, |time| *time);
        let stream = match (&self.socket, to.config.proxy()) {
            (Some(path), _) => open_unix(path, time),
            (None, None) => open(&to.addrs, time),
            (None, Some(proxy)) => {
                let begun = Instant::now();
                let addresses = to.resolver.resolve(proxy.uri(), to.config, to.timeout)?;
                let is_known = self.known.refuses.load(Ordering::Relaxed);
                let call = |is_named| self.by_proxy(to, proxy, &addresses, (begun, time), is_named);
                match call(!is_known) {
                    // It wants the names that it knows, and may do without.
                    Err(error)
                        if self.made_up
                            && !self.demands
                            && !is_known
                            && error.kind() == io::ErrorKind::PermissionDenied =>
                    {
                        self.known.refuses.store(true, Ordering::Relaxed);
                        call(false)
                    }
                    other => other,
                }
            }
        };
        let stream = Arc::new(stream.map_err(|error| late(error, to.timeout.reason))?);
        self.known.note(&stream);
        let buffers =
            LazyBuffers::new(to.config.input_buffer_size(), to.config.output_buffer_size());
        Ok(Some(Tcp { stream, buffers, limits: [None; 2] }))
    }
}

impl Dial {
    /// A connection by the proxy at one of these addresses.
    fn by_proxy(
        &self,
        to: &ConnectionDetails<'_>,
        proxy: &ureq::Proxy,
        addresses: &[SocketAddr],
        (begun, time): (Instant, Duration),
        is_named: bool,
    ) -> io::Result<TcpStream> {
        let mut addresses = addresses.to_vec();
        if self.looks_for_tor {
            addresses.push((Ipv4Addr::LOCALHOST, TOR_BROWSER).into());
        }
        if let Some(tor) = self.known.tor.get() {
            addresses = vec![*tor];
        }
        let stream = open(&addresses, time.saturating_sub(begun.elapsed()));
        let stream = stream.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused if self.looks_for_tor => io::Error::other(NoTor),
            _ => error,
        })?;
        if self.looks_for_tor {
            let found = stream.peer_addr()?;
            self.known.tor.get_or_init(|| found);
        }
        let mut timed = Timed { stream: &stream, begun, time };
        let login = Login {
            user: proxy.username().unwrap_or_default(),
            password: proxy.password().unwrap_or_default(),
            demanded: self.demands,
        };
        let login = Some(&login).filter(|_| is_named);
        let host = to.uri.host().unwrap_or_default();
        if !socks::connect(&mut timed, login, host, port(to.uri))? {
            self.known.joins.store(true, Ordering::Relaxed);
        }
        Ok(stream)
    }
}

fn open(addresses: &[SocketAddr], time: Duration) -> io::Result<TcpStream> {
    let stream = race::connect(addresses, time)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// This user may not call the Unix socket.
#[derive(Debug)]
pub(super) struct NoEntry;

impl std::fmt::Display for NoEntry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("this user may not call that socket")
    }
}

impl std::error::Error for NoEntry {}

/// None of the ports is open at which a Tor on this machine would listen.
#[derive(Debug)]
pub(super) struct NoTor;

impl std::fmt::Display for NoTor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("no Tor answers on this machine")
    }
}

impl std::error::Error for NoTor {}

/// To the system all streams are alike: reads and writes from here on are the same as over TCP.
fn open_unix(path: &Path, time: Duration) -> io::Result<TcpStream> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    // The same time limits the wait for other connecting clients.
    set_socket_timeout(&socket, Limit::Send, Some(time))?;
    let address = SocketAddrUnix::new(path)?;
    match rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address)) {
        Err(Errno::ACCESS) => return Err(io::Error::other(NoEntry)),
        reached => reached?,
    }
    set_socket_timeout(&socket, Limit::Send, None)?;
    Ok(socket.into())
}

/// A stream whose reads and writes share one deadline.
struct Timed<'a> {
    stream: &'a TcpStream,
    begun: Instant,
    time: Duration,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.time.saturating_sub(self.begun.elapsed());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Tcp {
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    /// The time limits of reads and writes that the system knows, which we set again only when they
    /// change.
    limits: [Option<Duration>; 2],
}

impl Transport for Tcp {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let limit = limit(timeout)?;
        if self.limits[1] != limit {
            self.stream.set_write_timeout(limit)?;
            self.limits[1] = limit;
        }
        let output = &self.buffers.output()[..amount];
        (&*self.stream).write_all(output).map_err(|error| late(error, timeout.reason))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let limit = limit(timeout)?;
        if self.limits[0] != limit {
            self.stream.set_read_timeout(limit)?;
            self.limits[0] = limit;
        }
        let room = self.buffers.input_append_buf();
        let amount = loop {
            match (&*self.stream).read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => break done.map_err(|error| late(error, timeout.reason))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Whether nothing unexpected has come on it, not even its end.
    fn is_open(&mut self) -> bool {
        let waits = |stream: &TcpStream| {
            stream.set_nonblocking(true)?;
            let seen = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            seen
        };
        waits(&self.stream).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// What is left of a time; zero is an error, since the system takes it to mean for ever.
fn limit(timeout: NextTimeout) -> Result<Option<Duration>, Error> {
    if timeout.after.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    Ok(timeout.not_zero().map(|time| *time))
}

/// The error, or that the time is up.
fn late(error: io::Error, reason: Timeout) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Timeout(reason),
        _ => Error::Io(error),
    }
}
