//! The way to AWS: TLS by rustls with ring, through the user's proxy, trusting the user's certificates.

use std::path::{Path, PathBuf};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder as HttpBuilder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Certificates to trust instead of the system's: a PEM file. AWS SDKs and Tools reference guide, `ca_bundle`.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

#[derive(Debug, thiserror::Error)]
#[error("{CA_BUNDLE} names {}, which cannot be used: {detail}", path.display())]
pub struct CaBundleError {
    pub path: PathBuf,
    pub detail: String,
}

/// The HTTP client for AWS. Proxies come from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, further
/// certificates from `AWS_CA_BUNDLE`.
///
/// # Errors
/// The certificates that the environment names cannot be used.
pub fn client() -> Result<SharedHttpClient, CaBundleError> {
    let bundle = std::env::var_os(CA_BUNDLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let trust = match &bundle {
        Some(path) => trust_store(path)?,
        None => TrustStore::default(),
    };
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| CaBundleError { path: bundle.unwrap_or_default(), detail: error.to_string() })?;
    Ok(HttpBuilder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder().proxy_config(ProxyConfig::from_env());
        builder.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            builder.set_sleep_impl(components.sleep_impl());
        }
        builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(context.clone()).build()
    }))
}

/// Only the certificates of the file, as the AWS CLI has it. Checked here, because the HTTP client panics on a bad one.
fn trust_store(path: &Path) -> Result<TrustStore, CaBundleError> {
    let refused = |detail: String| CaBundleError { path: path.into(), detail };
    let pem = fs_err::read(path).map_err(|error| refused(error.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| refused(format!("it is no PEM file: {error}")))?;
        roots.add(certificate).map_err(|error| refused(format!("a certificate in it: {error}")))?;
    }
    match roots.is_empty() {
        true => Err(refused("it holds no certificate".to_owned())),
        false => Ok(TrustStore::empty().with_pem_certificate(pem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that signs itself, for the name `proxy.test`, P-256. Nobody trusts it, and its key is gone.
    const CERTIFICATE: &str = include_str!("testdata/ca.pem");

    #[test]
    fn a_bundle_is_taken_or_refused_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let tried = |content: &str| {
            fs_err::write(&path, content).unwrap();
            trust_store(&path).map(drop).map_err(|error| error.detail)
        };
        assert_eq!(tried(CERTIFICATE), Ok(()));
        assert_eq!(tried(&format!("{CERTIFICATE}\n{CERTIFICATE}")), Ok(()));
        assert_eq!(tried("no certificate here"), Err("it holds no certificate".to_owned()));
        let cut = CERTIFICATE.replace("-----END CERTIFICATE-----", "");
        assert!(tried(&cut).unwrap_err().starts_with("it is no PEM file"), "{:?}", tried(&cut));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(tried(nonsense).unwrap_err().starts_with("a certificate in it"), "{:?}", tried(nonsense));
        assert!(trust_store(&dir.path().join("gone")).is_err());
    }
}
