//! The files that the settings of `tls` name, and what is in them.

use std::fs;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::drivers::DriverError;

/// What a PEM file says, for a client that takes it as text.
///
/// # Errors
/// Where it cannot be read.
pub fn pem(file: &str) -> Result<Vec<u8>, DriverError> {
    read(file).map_err(DriverError::while_doing(format!("read {file}")))
}

fn read(file: &str) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| {
        let error = error.to_string();
        let words = error.split(" (os error ").next().unwrap_or(&error);
        format!("cannot be read: {words}")
    })
}

/// The authorities to trust, from a file of certificates.
pub(super) fn authorities(file: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store
            .add(certificate)
            .map_err(|_| "holds a certificate that is damaged".to_owned())?;
    }
    Ok(store)
}

/// The key of the client.
pub(super) fn private_key(file: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|_| {
        "holds no private key (one with a password must be decrypted first)".to_owned()
    })
}

/// All certificates of a file, of which there must be one at least.
pub(super) fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_slice_iter(&read(file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("is not PEM: {error}"))?;
    if read.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(read)
}
