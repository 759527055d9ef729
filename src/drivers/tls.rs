//! What drivers share about encryption: the authorities to trust, the client's certificate, and what
//! went wrong with them in the user's words.

use std::fs;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::DriverError;
use super::target::CONNECT_TIMEOUT;
use crate::engine::task::Task;
use crate::scenario::brokers::Tls;

/// Less than a connection may take as a whole, so that it can be said what did not come.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(4);
/// A server that does not like the client's certificate has said so by then.
const OBJECTS_WITHIN: Duration = Duration::from_millis(300);

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

/// How connections are encrypted: as the task says, or with the authorities of the system where the
/// address begins with one of these schemes; `None` where they are in the clear.
pub fn wanted(task: &Task, schemes: &[&str]) -> Option<Tls> {
    let asks = |url: &str| {
        let mut parts = url.split(',');
        parts.any(|part| {
            part.split_once("://")
                .is_some_and(|(s, _)| schemes.contains(&s))
        })
    };
    let by_address = || task.url.as_deref().is_some_and(asks).then(Tls::default);
    task.tls.clone().or_else(by_address)
}

/// An encrypted connection to a server that begins with the handshake.
///
/// # Errors
/// What was wrong, in the user's words.
pub async fn handshake(host: &str, port: u16, tls: &Tls) -> Result<TlsStream<TcpStream>, String> {
    let config = client_config(tls).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` cannot be the name of a server"))?;
    let plain = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => explain(&error.to_string()),
    };
    let stream = TcpStream::connect((host, port)).await.map_err(plain)?;
    // One write is one batch: there is nothing that the kernel should wait for.
    stream.set_nodelay(true).map_err(plain)?;
    let connector = TlsConnector::from(Arc::new(config));
    match timeout(HANDSHAKE_WITHIN, connector.connect(name, stream)).await {
        Ok(connected) => connected.map_err(plain),
        // To one that waits for the end of a line a handshake is the beginning of one.
        Err(_) => Err(
            "the server does not answer the handshake: it may not speak TLS on this port".into(),
        ),
    }
}

/// Makes a connection to learn whether encryption works, for clients that do not say what was wrong
/// with it; drops it at once.
///
/// # Errors
/// What was wrong, in the user's words.
pub async fn probe(host: &str, port: u16, tls: &Tls) -> Result<(), String> {
    let trying = async {
        let mut stream = handshake(host, port, tls).await?;
        // With TLS 1.3 a server that misses the client's certificate says so when the client believes
        // that all is well. One that is content waits for the client to speak.
        match timeout(OBJECTS_WITHIN, stream.read_u8()).await {
            Ok(Err(error)) => Err(refused(&error.to_string(), tls)),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    };
    match timeout(CONNECT_TIMEOUT, trying).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
    }
}

/// What it means that a server ended an encrypted connection right after the handshake. What it says of
/// that may be lost on the way when the client has already sent more.
pub fn refused(cause: &str, tls: &Tls) -> String {
    let explained = explain(cause);
    if explained != cause || tls.cert.is_some() {
        return explained;
    }
    format!(
        "the server ended the connection after the handshake ({cause}): it may require a client \
         certificate, `tls: {{cert: …, key: …}}`"
    )
}

/// What a PEM file says, for a client that takes it as text.
///
/// # Errors
/// Where it cannot be read.
pub fn pem(file: &str) -> Result<Vec<u8>, DriverError> {
    read(file).map_err(DriverError::while_doing(format!("read {file}")))
}

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

fn read(file: &str) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| {
        let error = error.to_string();
        let words = error.split(" (os error ").next().unwrap_or(&error);
        format!("cannot be read: {words}")
    })
}

fn authorities(file: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store
            .add(certificate)
            .map_err(|_| "holds a certificate that is damaged".to_owned())?;
    }
    Ok(store)
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

fn private_key(file: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|_| {
        "holds no private key (one with a password must be decrypted first)".to_owned()
    })
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_slice_iter(&read(file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("is not PEM: {error}"))?;
    if read.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(read)
}

/// What a failed handshake means to the user: which certificate is wrong, in which way, and what would
/// help. A text that is not about encryption comes back as it is, so that every cause of a failed
/// connection may be passed through here.
///
/// Knows the words of rustls and of OpenSSL, by themselves or inside a library's.
pub fn explain(cause: &str) -> String {
    let words = cause.to_lowercase();
    let has = |marks: &[&str]| marks.iter().any(|mark| words.contains(mark));
    // An alert is what the other side says of us; everything else is what we say of it.
    let (_, meaning) = if has(&[" alert"]) {
        let named = ALERTS.iter().find(|(marks, _)| has(marks));
        match named {
            Some(named) => named,
            None => return cause.to_owned(),
        }
    } else if has(NAME) {
        return wrong_name(cause);
    } else {
        match FAILURES.iter().find(|(marks, _)| has(marks)) {
            Some(named) => named,
            None => return cause.to_owned(),
        }
    };
    (*meaning).to_owned()
}

/// What a text must contain one of, in small letters, and what it means.
type Meaning = (&'static [&'static str], &'static str);

/// What a server says of the client; the first that fits is taken.
const ALERTS: &[Meaning] = &[
    (
        &["certificaterequired", "certificate required"],
        "the server requires a client certificate: name it with `tls: {cert: …, key: …}`",
    ),
    (
        &["certificateexpired", "certificate expired"],
        "the server says that the client certificate has expired (`tls: {cert: …}`)",
    ),
    (
        &["unknownca", "unknown ca"],
        "the server does not know the authority that signed the client certificate (`tls: {cert: …}`)",
    ),
    (
        &[
            "badcertificate",
            "bad certificate",
            "certificateunknown",
            "certificate unknown",
            "unsupportedcertificate",
            "unsupported certificate",
            "certificaterevoked",
            "certificate revoked",
            "accessdenied",
            "access denied",
        ],
        "the server does not accept the client certificate, or misses one: name one that it trusts \
         with `tls: {cert: …, key: …}`",
    ),
    (
        &["handshakefailure", "handshake failure"],
        "the server refused the handshake: it may require a client certificate (`tls: {cert: …, \
         key: …}`), or share no cipher with the client",
    ),
    (
        &["protocolversion", "protocol version"],
        "the server and the client have no version of TLS in common",
    ),
    (
        &["unrecognisedname", "unrecognized name", "unrecognizedname"],
        "the server has no certificate for the name that it was reached by",
    ),
];

/// What a client says of a server that has the wrong name.
const NAME: &[&str] = &[
    "not valid for name",
    "notvalidforname",
    "hostname mismatch",
    "host name mismatch",
    "ip address mismatch",
];

/// What a client says of the server; the first that fits is taken.
const FAILURES: &[Meaning] = &[
    (
        &[
            "certificate expired",
            "certificate has expired",
            "certificate: expired",
        ],
        "the server's certificate has expired",
    ),
    (
        &["not valid yet", "not yet valid", "certificate: notvalidyet"],
        "the server's certificate is not valid yet: compare the clocks of both machines",
    ),
    (
        &[
            // An authority of the same name with another key has signed something else.
            "certificate: badsignature",
            "certificate: unknownissuer",
            "unknown authority",
            "unknown issuer",
            "issuer certificate",
            "self signed certificate",
            "self-signed certificate",
            "unable to verify the first certificate",
        ],
        "the server's certificate is signed by an unknown authority: name it with `tls: {ca: …}`",
    ),
    (
        &["certificate: revoked", "certificate revoked"],
        "the server's certificate was revoked",
    ),
    (
        &["causedasendentity"],
        "the server shows the certificate of an authority instead of one of its own",
    ),
    (
        &[
            "does not allow extended key usage",
            "certificate: invalidpurpose",
            "unsupported certificate purpose",
        ],
        "the server's certificate is not made for servers (its extended key usage)",
    ),
    (
        // What is left says no more than this.
        &["certificate verify failed", "invalid peer certificate"],
        "the server's certificate could not be verified: its authority is unknown (name it with \
         `tls: {ca: …}`), or it has expired or is for another name",
    ),
    (
        &[
            "corrupt message of type invalidcontenttype",
            "wrong version number",
            "packet length too long",
            "unknown protocol",
            "http request",
        ],
        "the server does not speak TLS on this port",
    ),
    (
        &["tls handshake eof", "close_notify"],
        "the server closed the connection while encryption was agreed on: it may not speak TLS on this \
         port, or require a client certificate (`tls: {cert: …, key: …}`)",
    ),
];

/// The name that was asked for stands in quotes, then those that the certificate has, if the text says
/// any of them.
fn wrong_name(cause: &str) -> String {
    let mut quoted = cause.split('"').skip(1).step_by(2);
    let asked = match quoted.next() {
        Some(name) => format!("the name {name}"),
        None => "the name that it was reached by".to_owned(),
    };
    let valid: Vec<&str> = quoted.collect();
    let valid = match valid.as_slice() {
        [] => String::new(),
        names => format!(", only for {}", names.join(", ")),
    };
    format!("the server's certificate is not valid for {asked}{valid}")
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

#[cfg(test)]
mod tests {
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

    #[track_caller]
    fn says(cause: &str, words: &str) {
        let said = explain(cause);
        assert!(said.contains(words), "{cause:?} is explained by {said:?}");
    }

    #[test]
    fn what_is_wrong_with_a_server_is_said_whatever_the_library() {
        for cause in [
            "invalid peer certificate: Expired",
            "invalid peer certificate: certificate expired: verification time 1795257000 (UNIX), but \
             certificate is not valid after 1577836800 (217420200 seconds ago)",
            "error:0A000086:SSL routines::certificate verify failed:../ssl/statem/statem_clnt.c:1889: \
             certificate has expired",
        ] {
            says(cause, "the server's certificate has expired");
        }
        for cause in [
            "invalid peer certificate: UnknownIssuer",
            "invalid peer certificate: BadSignature",
            "certificate verify failed: (self-signed certificate in certificate chain)",
            "certificate verify failed: unable to get local issuer certificate",
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        ] {
            says(cause, "unknown authority: name it with `tls: {ca: …}`");
        }
        let cause = "invalid peer certificate: certificate not valid for name \"127.0.0.1\"; certificate \
                     is only valid for DnsName(\"a.example\") or DnsName(\"b.example\")";
        says(
            cause,
            "not valid for the name 127.0.0.1, only for a.example, b.example",
        );
        says(
            "invalid peer certificate: NotValidForName",
            "the name that it was reached by",
        );
        says(
            "certificate verify failed (hostname mismatch)",
            "the name that it was reached by",
        );
        says("SSL routines::certificate verify failed", "not be verified");
        for cause in [
            "received corrupt message of type InvalidContentType",
            "error:0A00010B:SSL routines::wrong version number",
        ] {
            says(cause, "does not speak TLS on this port");
        }
        says("tls handshake eof", "closed the connection");
    }

    #[test]
    fn what_a_server_says_of_the_client_is_not_taken_for_what_is_wrong_with_the_server() {
        for cause in [
            "received fatal alert: CertificateRequired",
            "error:0A00045C:SSL routines::tlsv13 alert certificate required:SSL alert number 116",
        ] {
            says(cause, "requires a client certificate");
        }
        says(
            "received fatal alert: CertificateExpired",
            "the client certificate has expired",
        );
        says(
            "error:0A000418:SSL routines::tlsv1 alert unknown ca:SSL alert number 48",
            "signed the client certificate",
        );
        says(
            "received fatal alert: BadCertificate",
            "accept the client certificate",
        );
        says(
            "received fatal alert: HandshakeFailure",
            "require a client certificate",
        );
    }

    #[test]
    fn any_other_cause_comes_back_as_it_is() {
        for cause in [
            "connection refused",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "received fatal alert: InternalError",
            "the licence has expired",
        ] {
            assert_eq!(explain(cause), cause);
        }
    }
}
