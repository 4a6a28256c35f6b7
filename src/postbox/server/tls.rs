//! TLS from two files, read once at the start: afterwards the process can read no file.

use crate::failure::{Code, Failure};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An acceptor for the certificate chain and the private key in these PEM files.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Failure> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| unusable("the certificate", "--tls-cert takes a readable PEM file"))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| unusable("the TLS key", "--tls-key takes a readable PEM file"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|_| unusable("the TLS key", "it must belong to the certificate"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(what: &str, hint: &'static str) -> Failure {
    Failure::new(Code::Usage, format!("{what} can't be used"), hint)
}
