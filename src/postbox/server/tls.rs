//! TLS from two files, read once at the start: afterwards the process can read no file.

use crate::failure::{Code, Failure};
use crate::postbox::pem::without_mark;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};
use zeroize::Zeroizing;

/// What a key that needs a passphrase begins with.
const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// An acceptor for the certificate chain and the private key in these PEM files.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Failure> {
    let chain = chain(certificate)?;
    let key_file = key;
    let key = private_key(key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let why = "it is not the key of that certificate";
                unfit("--tls-key", key_file, why, "the first certificate in the file is meant")
            }
            rustls::Error::InvalidCertificate(_) => {
                unfit("--tls-cert", certificate, "its certificate is damaged", CHAIN)
            }
            _ => unfit("--tls-key", key_file, "a key of that kind can't be used", KEY),
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

const CHAIN: &str = "it takes the certificate, and behind it those of its issuers, in PEM form";
const KEY: &str = "it takes a private key in PEM form, without a passphrase";

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let unfit = |why: &str| unfit("--tls-cert", path, why, CHAIN);
    let file = fs::read(path).map_err(|error| unfit(&error.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(without_mark(&file)).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(unfit("it holds no certificate in PEM form")),
        Ok(chain) => Ok(chain),
        Err(_) => Err(unfit("it is damaged")),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let unfit = |why: &str, hint| unfit("--tls-key", path, why, hint);
    let file = Zeroizing::new(fs::read(path).map_err(|error| unfit(&error.to_string(), KEY))?);
    PrivateKeyDer::from_pem_slice(without_mark(&file)).map_err(|error| match error {
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
