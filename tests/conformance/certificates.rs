//! A private authority and what it has signed, right and wrong, as files that live as long as the test.

use std::fs;
use std::path::Path;

use mqbench::scenario::Tls;
use mqbench::servers::Config;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

/// Where the servers of the suite are.
const HERE: &[&str] = &["127.0.0.1", "localhost"];

/// The files of one test.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// `ca` signs `server`, `expired`, `elsewhere` (of another host) and `client`; `foreign` is another
    /// authority, and `stranger` its client.
    pub fn new() -> Certificates {
        let made = Certificates {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let (ca, foreign) = (made.authority("ca"), made.authority("foreign"));
        made.signed("server", HERE, &ca, false);
        made.signed("expired", HERE, &ca, true);
        made.signed("elsewhere", &["elsewhere.example"], &ca, false);
        made.signed("client", &["client.example"], &ca, false);
        made.signed("stranger", &["client.example"], &foreign, false);
        made
    }

    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut parameters = CertificateParams::default();
        let common = format!("mqbench test authority {name}");
        parameters
            .distinguished_name
            .push(DnType::CommonName, common);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("signed");
        self.write(name, &certificate.pem(), &key);
        Issuer::new(parameters, key)
    }

    fn signed(&self, name: &str, names: &[&str], by: &Issuer<'_, KeyPair>, expired: bool) {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut parameters = CertificateParams::new(names).expect("names");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Members of a cluster are clients of each other.
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        if expired {
            parameters.not_before = date_time_ymd(2020, 1, 1);
            parameters.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, by).expect("signed");
        self.write(name, &certificate.pem(), &key);
    }

    fn write(&self, name: &str, certificate: &str, key: &KeyPair) {
        let write = |extension: &str, text: &str| {
            fs::write(self.path(name, extension), text).expect("written");
        };
        write("pem", certificate);
        write("key", &key.serialize_pem());
    }

    fn path(&self, name: &str, extension: &str) -> String {
        let file = Path::new(name).with_extension(extension);
        self.folder.path().join(file).to_string_lossy().into_owned()
    }

    /// All files, into another folder.
    pub fn copy_to(&self, folder: &Path) {
        for file in fs::read_dir(self.folder.path())
            .expect("a folder")
            .flatten()
        {
            fs::copy(file.path(), folder.join(file.file_name())).expect("copied");
        }
    }

    /// Settings of a server that shows this certificate.
    pub fn shown_by_server(&self, name: &str) -> Config {
        let settings = [
            ("tls_cert", self.path(name, "pem")),
            ("tls_key", self.path(name, "key")),
        ];
        settings.map(|(k, v)| (k.to_owned(), v)).into()
    }

    /// The setting of a server that asks clients for a certificate.
    pub fn asked_of_clients(&self) -> Config {
        [("tls_ca".to_owned(), self.path("ca", "pem"))].into()
    }

    /// A client that trusts this authority.
    pub fn trusting(&self, authority: &str) -> Tls {
        Tls {
            ca: Some(self.path(authority, "pem")),
            ..Tls::default()
        }
    }

    /// A client that trusts the right authority and shows this certificate.
    pub fn showing(&self, name: &str) -> Tls {
        Tls {
            cert: Some(self.path(name, "pem")),
            key: Some(self.path(name, "key")),
            ..self.trusting("ca")
        }
    }
}
