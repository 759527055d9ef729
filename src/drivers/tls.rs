//! What drivers share about encryption: the authorities to trust, the client's certificate, and what
//! went wrong with them in the user's words.

use std::fs;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::DriverError;
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
        builder.with_root_certificates(authorities(tls)?)
    };
    match identity(tls)? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(DriverError::while_doing("use the client's certificate")),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// What a PEM file says, for a client that takes it as text.
///
/// # Errors
/// Where it cannot be read.
pub fn pem(file: &str) -> Result<Vec<u8>, DriverError> {
    fs::read(file).map_err(DriverError::while_doing(format!("read {file}")))
}

fn authorities(tls: &Tls) -> Result<RootCertStore, DriverError> {
    let mut store = RootCertStore::empty();
    match &tls.ca {
        Some(file) => {
            for certificate in certificates(file)? {
                store
                    .add(certificate)
                    .map_err(DriverError::while_doing(format!("trust {file}")))?;
            }
        }
        None => {
            // One that cannot be read is passed over, as every client of the system does.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

fn identity(
    tls: &Tls,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, DriverError> {
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else {
        return Ok(None);
    };
    let key = PrivateKeyDer::from_pem_slice(&pem(key)?).map_err(DriverError::while_doing(
        format!("read a private key from {key}"),
    ))?;
    Ok(Some((certificates(cert)?, key)))
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, DriverError> {
    let doing = || format!("read certificates from {file}");
    let read = CertificateDer::pem_slice_iter(&pem(file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(DriverError::while_doing(doing()))?;
    if read.is_empty() {
        return Err(DriverError {
            doing: doing(),
            cause: "there is none in it (a PEM file is expected)".to_owned(),
        });
    }
    Ok(read)
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
