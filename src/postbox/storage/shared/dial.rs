//! Connections to the store's servers: ours up to TLS, above that the protocol of the crate `redis`.

use super::choices::{BadStore, SharedChoices};
use super::trouble::Trouble;
use super::url::StoreUrl;
use crate::postbox::pem::without_mark;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, PushInfo, RedisConnectionInfo, Value,
};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// For a connection, with TLS and authentication.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// For an answer: a server that says nothing at all for so long is given up.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// A server that is still saying other things may take so many times as long.
const ANSWER_TIMES: usize = 5;

/// What becomes of a message that nobody asked for.
pub(super) type Told = Box<dyn Fn(PushInfo) + Send + Sync>;

/// Opens connections.
pub(super) struct Dialer {
    info: RedisConnectionInfo,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dialer {
    /// With the user, the password and the authorities that were chosen.
    pub(super) fn new(choices: &SharedChoices) -> Result<Self, BadStore> {
        let url = &choices.url;
        let mut info = nobody();
        if let Some(user) = &url.user {
            info = info.set_username(user);
        }
        if let Some(password) = choices.password.as_ref().or(url.password.as_ref()) {
            info = info.set_password(password.as_str());
        }
        let tls = if url.tls { Some(tls(url, choices.authorities.as_deref())?) } else { None };
        Ok(Self { info, tls })
    }

    /// The same, for servers that have no users: sentinels.
    pub(super) fn without_user(&self) -> Self {
        Self { info: nobody(), tls: self.tls.clone() }
    }

    /// Opens a connection; `told` gets what comes on it unasked.
    pub(super) async fn open(
        &self,
        address: SocketAddr,
        told: Option<Told>,
    ) -> Result<Line, Trouble> {
        let opened = async {
            let stream = TcpStream::connect(address).await.map_err(|_| Trouble::Lost)?;
            stream.set_nodelay(true).map_err(|_| Trouble::Lost)?;
            match &self.tls {
                None => self.greet(stream, told).await,
                Some((connector, name)) => {
                    let stream = connector.connect(name.clone(), stream).await;
                    let refused = |why: std::io::Error| Trouble::Refused(format!("TLS: {why}"));
                    self.greet(stream.map_err(refused)?, told).await
                }
            }
        };
        timeout(CONNECT_TIME, opened).await.unwrap_or(Err(Trouble::Lost))
    }

    async fn greet(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        told: Option<Told>,
    ) -> Result<Line, Trouble> {
        // We look at the time ourselves.
        let mut config = AsyncConnectionConfig::new().set_response_timeout(None);
        let read = Arc::<AtomicUsize>::default();
        let stream = Counted { stream, read: Arc::clone(&read) };
        if let Some(told) = told {
            let told = move |push| -> Result<(), ()> {
                told(push);
                Ok(())
            };
            config = config.set_push_sender(told);
        }
        let opened = MultiplexedConnection::new_with_config(&self.info, stream, config).await;
        let (connection, driver) = opened.map_err(|why| Trouble::from(&why))?;
        let driver = Driver(tokio::spawn(driver).abort_handle());
        Ok(Line { connection, read, _driver: Arc::new(driver) })
    }
}

/// How we greet a server without a user and a password.
fn nobody() -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name()
}

fn tls(
    url: &StoreUrl,
    authorities: Option<&[u8]>,
) -> Result<(TlsConnector, ServerName<'static>), BadStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(without_mark(authorities.unwrap_or_default()))
    {
        let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
        added.ok_or(BadStore::Authorities)?;
    }
    if roots.is_empty() {
        return Err(BadStore::Authorities);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| BadStore::Authorities)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // All servers of a store show a certificate for the name by which we know the store.
    let host = url.hosts.first().map(|(host, _)| host.trim_matches(['[', ']']).to_owned());
    let name = ServerName::try_from(host.unwrap_or_default()).map_err(|_| BadStore::Name)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// A connection, on which many may ask at once.
#[derive(Clone)]
pub(super) struct Line {
    connection: MultiplexedConnection,
    /// How often something was read.
    read: Arc<AtomicUsize>,
    _driver: Arc<Driver>,
}

/// The task that reads and writes; it ends with the last owner of its line.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Line {
    /// The answers of all these commands.
    pub(super) async fn ask(&self, commands: &Pipeline) -> Result<Vec<Value>, Trouble> {
        let mut connection = self.connection.clone();
        let asked = pin!(connection.send_packed_commands(commands, 0, commands.len()));
        self.patient(asked).await
    }

    /// The answer of one command.
    pub(super) async fn one(&self, command: &Cmd) -> Result<Value, Trouble> {
        let mut connection = self.connection.clone();
        let asked = pin!(connection.send_packed_command(command));
        match self.patient(asked).await? {
            Value::ServerError(why) => Err(Trouble::from(&why)),
            value => Ok(value),
        }
    }

    /// Waits for an answer while anything is coming. Many answers before ours are no reason to hang up:
    /// all others would have to ask for theirs again.
    async fn patient<T>(
        &self,
        mut asked: Pin<&mut impl Future<Output = redis::RedisResult<T>>>,
    ) -> Result<T, Trouble> {
        for _ in 0..ANSWER_TIMES {
            let before = self.read.load(Relaxed);
            match timeout(ANSWER_TIME, asked.as_mut()).await {
                Ok(answer) => return answer.map_err(|why| Trouble::from(&why)),
                Err(_) if self.read.load(Relaxed) == before => return Err(Trouble::Lost),
                Err(_) => {}
            }
        }
        Err(Trouble::Later)
    }
}

/// Counts how often something was read.
struct Counted<S> {
    stream: S,
    read: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.read.fetch_add(1, Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What a server said, as text.
pub(super) fn text(value: Value) -> String {
    match value {
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text,
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    }
}

/// What `INFO` says of each replica: lines such as `slave0:ip=10.0.0.2,port=6379,state=online,offset=7,lag=0`,
/// whose [`part`]s are asked for.
pub(super) fn replicas(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter_map(|line| {
        let (name, parts) = line.split_once(':')?;
        name.strip_prefix("slave")?.parse::<u8>().ok()?;
        Some(parts)
    })
}

/// The value in one of the parts `NAME=VALUE` of a line, which commas divide.
pub(super) fn part<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The value of a line `NAME:VALUE` of what `INFO` says.
pub(super) fn info<'a>(said: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    said.lines().find_map(of)
}
