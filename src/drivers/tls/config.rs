//! The configuration of a client: whom it trusts, and how it shows who it is.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::files::{authorities, certificates, private_key};
use crate::drivers::DriverError;
use crate::scenario::brokers::Tls;

/// The configuration of a client that takes one made by rustls.
///
/// Trusts the authority of `tls.ca`, or those of the system where none is named.
///
/// # Errors
/// Where a file cannot be read or holds nothing of the kind.
pub fn client_config(tls: &Tls) -> Result<ClientConfig, DriverError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(DriverError::while_doing("set up TLS"))?;
    let builder = if tls.insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
    } else {
        let trusted = match &tls.ca {
            Some(file) => Arc::new(
                authorities(file).map_err(DriverError::while_doing(format!("trust {file}")))?,
            ),
            None => of_the_system(),
        };
        builder.with_root_certificates(trusted)
    };
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let doing = |file: &str| DriverError::while_doing::<String>(format!("use {file}"));
    let chain = certificates(cert).map_err(doing(cert))?;
    let private = private_key(key).map_err(doing(key))?;
    builder
        .with_client_auth_cert(chain, private)
        .map_err(|_| doing(key)(format!("it is not the key of the certificate in {cert}")))
}

/// Those that the system trusts: read once, since every connection needs them.
fn of_the_system() -> Arc<RootCertStore> {
    static KNOWN: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut store = RootCertStore::empty();
        // One that cannot be read is passed over, as every client of the system does.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    };
    Arc::clone(KNOWN.get_or_init(read))
}

/// Takes any certificate (`tls: {insecure: true}`), but still asks for the proof that the server has
/// its key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
