//! The handshake: for a connection that is used, and to learn whether it works.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::config::client_config;
use super::words::{explain, refused};
use crate::drivers::target::CONNECT_TIMEOUT;
use crate::scenario::brokers::Tls;

/// Less than a connection may take as a whole, so that it can be said what did not come.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(4);
/// A server that does not like the client's certificate has said so by then.
const OBJECTS_WITHIN: Duration = Duration::from_millis(300);

/// An encrypted connection to a server that begins with the handshake.
///
/// # Errors
/// What was wrong, in the user's words.
pub async fn handshake(host: &str, port: u16, tls: &Tls) -> Result<TlsStream<TcpStream>, String> {
    let stream = TcpStream::connect((host, port)).await.map_err(plain)?;
    encrypt(stream, host, tls).await
}

/// The handshake on a connection to `host`.
///
/// # Errors
/// What was wrong, in the user's words.
pub async fn encrypt(
    stream: TcpStream,
    host: &str,
    tls: &Tls,
) -> Result<TlsStream<TcpStream>, String> {
    let config = client_config(tls).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` cannot be the name of a server"))?;
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

fn plain(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => explain(&error.to_string()),
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
