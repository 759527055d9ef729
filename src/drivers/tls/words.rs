//! What went wrong with encryption, in the user's words.

use crate::scenario::brokers::Tls;

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

#[cfg(test)]
mod tests {
    use super::*;

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
