//! TLS from two files. The process that serves can read no file, so what is in them is handed to it
//! when it has changed.

use crate::failure::{Code, Failure};
use crate::postbox::pem::without_mark;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};
use zeroize::Zeroizing;

/// What a key that needs a passphrase begins with.
const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// Where the certificate chain and the private key lie, as PEM.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What is in them.
pub(crate) struct Pems {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

/// The acceptor of today's certificate, for all who take connections in.
#[derive(Clone)]
pub(crate) struct Tls(Arc<RwLock<TlsAcceptor>>);

impl Tls {
    pub(crate) fn new(acceptor: TlsAcceptor) -> Self {
        Self(Arc::new(RwLock::new(acceptor)))
    }

    /// For the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this one; who is connected already has what he has.
    pub(crate) fn renew(&self, acceptor: TlsAcceptor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
    }
}

impl Files {
    /// Reads both.
    pub(crate) fn read(&self) -> Result<Pems, Failure> {
        let read = |path: &Path, option, hint| {
            fs::read(path).map_err(|error| unfit(option, path, &error.to_string(), hint))
        };
        Ok(Pems {
            chain: read(&self.certificate, "--tls-cert", CHAIN)?,
            key: Zeroizing::new(read(&self.key, "--tls-key", KEY)?),
        })
    }

    /// An acceptor for what is in them.
    pub(crate) fn acceptor(&self, pems: &Pems) -> Result<TlsAcceptor, Failure> {
        let chain = chain(&self.certificate, &pems.chain)?;
        let key = private_key(&self.key, &pems.key)?;
        acceptor(self, chain, key)
    }
}

fn acceptor(
    files: &Files,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, Failure> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let why = "it is not the key of that certificate";
                unfit("--tls-key", &files.key, why, "the first certificate in the file is meant")
            }
            rustls::Error::InvalidCertificate(_) => {
                unfit("--tls-cert", &files.certificate, "its certificate is damaged", CHAIN)
            }
            _ => unfit("--tls-key", &files.key, "a key of that kind can't be used", KEY),
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

const CHAIN: &str = "it takes the certificate, and behind it those of its issuers, in PEM form";
const KEY: &str = "it takes a private key in PEM form, without a passphrase";

fn chain(path: &Path, file: &[u8]) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let unfit = |why: &str| unfit("--tls-cert", path, why, CHAIN);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(without_mark(file)).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(unfit("it holds no certificate in PEM form")),
        Ok(chain) => Ok(chain),
        Err(_) => Err(unfit("it is damaged")),
    }
}

fn private_key(path: &Path, file: &[u8]) -> Result<PrivateKeyDer<'static>, Failure> {
    let unfit = |why: &str, hint| unfit("--tls-key", path, why, hint);
    PrivateKeyDer::from_pem_slice(without_mark(file)).map_err(|error| match error {
        Error::NoItemsFound if file.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) => {
            let hint = "openssl pkey -in FILE -out PLAIN makes one without";
            unfit("it needs a passphrase", hint)
        }
        Error::NoItemsFound => unfit("it holds no private key in PEM form", KEY),
        _ => unfit("it is damaged", KEY),
    })
}

fn unfit(option: &str, path: &Path, why: &str, hint: &'static str) -> Failure {
    Failure::new(Code::Usage, format!("{option} {}: {why}", path.display()), hint)
}
