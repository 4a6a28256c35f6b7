//! TLS from two files. The serving process can read no file, so it is handed their new contents
//! when they change.

use crate::postbox::pem::without_mark;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};
use zeroize::Zeroizing;

/// The first line of a key that needs a passphrase.
const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// Where the certificate chain and the private key lie, as PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate, followed by those of its issuers.
    pub certificate: PathBuf,
    /// The private key of the first certificate.
    pub key: PathBuf,
}

/// The contents of the two files.
pub struct Pems {
    /// The certificate chain, PEM.
    pub chain: Vec<u8>,
    /// The private key, PEM.
    pub key: Zeroizing<Vec<u8>>,
}

/// The file that cannot be used, and why.
#[derive(Debug)]
pub struct TlsError {
    /// Whether the file is the key; otherwise it is the certificate.
    pub is_key: bool,
    /// Its path.
    pub path: PathBuf,
    /// Why.
    pub why: Unfit,
}

/// Why a file of a certificate or of a key cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unfit {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is damaged.
    Damaged,
    /// It holds no certificate, or no private key, in PEM form.
    Empty,
    /// The key needs a passphrase.
    Encrypted,
    /// The key does not belong to the first certificate.
    Mismatch,
    /// The certificate is damaged inside.
    BadCertificate,
    /// Keys of this kind cannot be used.
    UnknownKey,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Unfit::Unreadable(error) => error.fmt(f),
            Unfit::Damaged => f.write_str("it is damaged"),
            Unfit::Empty if self.is_key => f.write_str("it holds no private key in PEM form"),
            Unfit::Empty => f.write_str("it holds no certificate in PEM form"),
            Unfit::Encrypted => f.write_str("it needs a passphrase"),
            Unfit::Mismatch => f.write_str("it is not the key of that certificate"),
            Unfit::BadCertificate => f.write_str("its certificate is damaged"),
            Unfit::UnknownKey => f.write_str("a key of that kind can't be used"),
        }
    }
}

impl std::error::Error for TlsError {}

/// The acceptor for the current certificate, shared by all listeners.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<TlsAcceptor>>);

impl Tls {
    /// Reads these files as they are now.
    pub fn new(files: &Files) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(files.acceptor(&files.read()?)?))))
    }

    /// The acceptor for the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses `pems`, read from `files`, from now on; open connections stay as they are.
    pub fn renew(&self, files: &Files, pems: &Pems) -> Result<(), TlsError> {
        let acceptor = files.acceptor(pems)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
        Ok(())
    }
}

impl Files {
    /// Reads both.
    pub fn read(&self) -> Result<Pems, TlsError> {
        let read = |path: &Path, is_key| {
            fs::read(path).map_err(|error| unfit(is_key, path, Unfit::Unreadable(error)))
        };
        Ok(Pems {
            chain: read(&self.certificate, false)?,
            key: Zeroizing::new(read(&self.key, true)?),
        })
    }

    /// An acceptor for the contents of the files.
    fn acceptor(&self, pems: &Pems) -> Result<TlsAcceptor, TlsError> {
        let chain = chain(&self.certificate, &pems.chain)?;
        let key = private_key(&self.key, &pems.key)?;
        acceptor(self, chain, key)
    }
}

fn acceptor(
    files: &Files,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, TlsError> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                unfit(true, &files.key, Unfit::Mismatch)
            }
            rustls::Error::InvalidCertificate(_) => {
                unfit(false, &files.certificate, Unfit::BadCertificate)
            }
            _ => unfit(true, &files.key, Unfit::UnknownKey),
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn chain(path: &Path, file: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(without_mark(file)).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(unfit(false, path, Unfit::Empty)),
        Ok(chain) => Ok(chain),
        Err(_) => Err(unfit(false, path, Unfit::Damaged)),
    }
}

fn private_key(path: &Path, file: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(without_mark(file)).map_err(|error| {
        let is_encrypted = file.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED);
        let why = match error {
            Error::NoItemsFound if is_encrypted => Unfit::Encrypted,
            Error::NoItemsFound => Unfit::Empty,
            _ => Unfit::Damaged,
        };
        unfit(true, path, why)
    })
}

fn unfit(is_key: bool, path: &Path, why: Unfit) -> TlsError {
    TlsError { is_key, path: path.to_owned(), why }
}
