//! Connections to the store's servers: ours up to TLS, above that the protocol of the crate `redis`.

use super::choices::{BadStore, SharedChoices};
use super::trouble::Trouble;
use super::url::StoreUrl;
use crate::postbox::pem::without_mark;
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, PushInfo, RedisConnectionInfo, Value,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
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
/// For an answer: a server that says nothing for so long is given up.
const ANSWER_TIME: Duration = Duration::from_secs(2);

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
        let mut info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
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
        let info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        Self { info, tls: self.tls.clone() }
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
        let mut config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_TIME));
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
        Ok(Line { connection, _driver: Arc::new(driver) })
    }
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
        let asked = connection.req_packed_commands(commands, 0, commands.len()).await;
        asked.map_err(|why| Trouble::from(&why))
    }

    /// The answer of one command.
    pub(super) async fn one(&self, command: &Cmd) -> Result<Value, Trouble> {
        let mut connection = self.connection.clone();
        match connection.req_packed_command(command).await {
            Ok(Value::ServerError(why)) => Err(Trouble::from(&why)),
            Ok(value) => Ok(value),
            Err(why) => Err(Trouble::from(&why)),
        }
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

/// The value of a line `NAME:VALUE` of what `INFO` says.
pub(super) fn info<'a>(said: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    said.lines().find_map(of)
}
