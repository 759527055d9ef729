//! What is wrong with the settings of `tls` before anybody connects.

use super::config::client_config;
use super::files::{authorities, certificates, private_key};
use crate::scenario::brokers::Tls;

/// Something wrong with the settings of `tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The setting: `ca`.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: &'static str,
}

/// Everything that can be known to be wrong before anybody connects.
pub fn wrongs(tls: &Tls) -> Vec<Wrong> {
    const PATHS: &str = "a PEM file is expected; its path is relative to the scenario's folder";
    let mut found = Vec::new();
    let mut add = |key, what: String, help| found.push(Wrong { key, what, help });
    match (&tls.cert, &tls.key) {
        (Some(_), None) => add(
            "cert",
            "`cert` is there without `key`".to_owned(),
            "the server asks for a proof that the certificate is the client's: add `key: …`",
        ),
        (None, Some(_)) => add(
            "key",
            "`key` is there without `cert`".to_owned(),
            "add the certificate that the key belongs to: `cert: …`",
        ),
        _ => {}
    }
    if tls.insecure && tls.ca.is_some() {
        add(
            "insecure",
            "`insecure` accepts any certificate, so that `ca` would do nothing".to_owned(),
            "remove one of them",
        );
    }
    let mut check = |key, file: &Option<String>, problem: fn(&str) -> Option<String>| {
        if let Some(file) = file
            && let Some(cause) = problem(file)
        {
            add(key, format!("the file `{file}` {cause}"), PATHS);
        }
    };
    check("ca", &tls.ca, |file| authorities(file).err());
    check("cert", &tls.cert, |file| certificates(file).err());
    check("key", &tls.key, |file| private_key(file).err());
    if found.is_empty()
        && let Err(error) = client_config(tls)
    {
        found.push(Wrong {
            key: "key",
            what: format!("`key` does not fit: {}", error.cause),
            help: "name the key that the certificate was made with",
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A folder with a certificate, its key, and files that are neither.
    fn files() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap().pem();
        write("cert.pem", &certificate);
        write("key.pem", &key.serialize_pem());
        write("other.key", &KeyPair::generate().unwrap().serialize_pem());
        write("cut.pem", &certificate[..certificate.len() / 2]);
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        write("damaged.pem", nonsense);
        write("notes.txt", "call the office");
        folder
    }

    /// What is wrong with these files of a folder; an empty name leaves the setting out.
    fn wrong_with(folder: &Path, ca: &str, cert: &str, key: &str) -> Vec<(&'static str, String)> {
        let file = |name: &str| {
            let path = folder.join(name).to_string_lossy().into_owned();
            (!name.is_empty()).then_some(path)
        };
        let tls = Tls {
            ca: file(ca),
            cert: file(cert),
            key: file(key),
            insecure: false,
        };
        // What cannot connect is wrong, and what is not wrong can.
        let wrongs = wrongs(&tls);
        let usable = wrongs.iter().all(|wrong| wrong.what.contains("without"));
        assert_eq!(client_config(&tls).is_ok(), usable, "{wrongs:?}");
        wrongs.into_iter().map(|it| (it.key, it.what)).collect()
    }

    #[test]
    fn files_that_would_not_do_are_told_with_the_setting_that_names_them() {
        let folder = files();
        for (ca, cert, key, setting, words) in [
            ("none.pem", "", "", "ca", "No such file"),
            ("", "none.pem", "key.pem", "cert", "No such file"),
            ("", "cert.pem", "none.pem", "key", "No such file"),
            (".", "", "", "ca", "cannot be read: Is a directory"),
            ("notes.txt", "", "", "ca", "holds no certificate"),
            ("key.pem", "", "", "ca", "holds no certificate"),
            ("cut.pem", "", "", "ca", "is not PEM"),
            ("damaged.pem", "", "", "ca", "damaged"),
            ("", "notes.txt", "key.pem", "cert", "holds no certificate"),
            ("", "cert.pem", "cert.pem", "key", "holds no private key"),
            (
                "",
                "cert.pem",
                "other.key",
                "key",
                "not the key of the certificate",
            ),
            ("", "cert.pem", "", "cert", "without `key`"),
            ("", "", "key.pem", "key", "without `cert`"),
        ] {
            let wrong = wrong_with(folder.path(), ca, cert, key);
            let fits = wrong.len() == 1 && wrong[0].0 == setting && wrong[0].1.contains(words);
            assert!(fits, "{setting}, {words}: {wrong:?}");
            assert!(!wrong[0].1.contains("os error"), "{wrong:?}");
        }
        let all = wrong_with(folder.path(), "notes.txt", "none.pem", "none.pem");
        assert_eq!(all.len(), 3, "{all:?}");
    }

    #[test]
    fn files_that_fit_are_taken() {
        let folder = files();
        assert_eq!(wrong_with(folder.path(), "", "", ""), []);
        assert_eq!(wrong_with(folder.path(), "cert.pem", "", ""), []);
        let all = wrong_with(folder.path(), "cert.pem", "cert.pem", "key.pem");
        assert_eq!(all, []);
    }

    #[test]
    fn an_authority_that_would_not_be_looked_at_is_no_silent_matter() {
        let folder = files();
        let tls = Tls {
            ca: Some(folder.path().join("cert.pem").to_string_lossy().into()),
            insecure: true,
            ..Tls::default()
        };
        assert_eq!(wrongs(&tls)[0].key, "insecure");
    }
}
