//! How the Redis drivers reach a server: its address, the login, encryption, and how long they try.

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisError, RedisResult, ServerErrorKind, cmd,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::DriverError;
use super::losses::Ended;
use super::redis::{failed, reason};
use super::target::{CONNECT_TIMEOUT, shown, url};
use super::tls;
use crate::engine::task::Task;
use crate::scenario::brokers::Tls;

/// URL schemes of the client; those for encryption come in pairs with those without.
pub const SCHEMES: &[&str] = &["redis", "rediss", "valkey", "valkeys", "redis+unix", "unix"];
const ENCRYPTED: &[&str] = &["rediss", "valkeys"];
/// What both drivers honour of an entry's settings.
pub const SECURITY: &[&str] = &["user", "password", "token", "tls"];

/// Where a server is and how it wants to be spoken to.
struct Way {
    info: ConnectionInfo,
    tls: Option<Tls>,
}

impl Way {
    fn of(task: &Task) -> Result<Way, DriverError> {
        let url = url(task)?;
        let wrong = |error: RedisError| cannot_understand(task, reason(&error));
        let info = url.into_connection_info().map_err(wrong)?;
        let mut login = info.redis_settings().clone();
        if let Some(user) = &task.user {
            login = login.set_username(user);
        }
        // A token is a password without a name.
        if let Some(password) = task.password.as_ref().or(task.token.as_ref()) {
            login = login.set_password(password);
        }
        let mut tls = tls::wanted(task, ENCRYPTED);
        match info.addr() {
            // The client's own way to write it: `rediss://host#insecure`.
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                tls.get_or_insert_default().insecure = true;
            }
            ConnectionAddr::Unix(_) if tls.is_some() => {
                let cause = "a local socket is not encrypted: remove `tls`".to_owned();
                return Err(cannot_understand(task, cause));
            }
            _ => {}
        }
        let info = info
            .set_redis_settings(login)
            // One write is one batch: there is nothing that the kernel should wait for.
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Ok(Way { info, tls })
    }

    /// The library would read every authority of the system for each connection, and fail where one of
    /// them is damaged; so encryption is agreed on here, as for the other clients.
    async fn encrypted(&self, tls: &Tls) -> Result<TlsStream<TcpStream>, String> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                tls::handshake(host, *port, tls).await
            }
            _ => Err("this kind of address cannot be encrypted".to_owned()),
        }
    }

    async fn connect(&self, answer_within: Duration) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(answer_within));
        let Some(tls) = &self.tls else {
            let client = Client::open(self.info.clone()).map_err(|error| reason(&error))?;
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            return connecting.await.map_err(|error| in_the_clear(&error));
        };
        let (stream, login) = (self.encrypted(tls).await?, self.info.redis_settings());
        let (connection, serving) = MultiplexedConnection::new_with_config(login, stream, config)
            .await
            .map_err(|error| after_handshake(&error, tls))?;
        // Ends when the connection and all its clones are gone and the server has answered.
        tokio::spawn(serving);
        Ok(connection)
    }

    async fn subscriber(&self) -> Result<PubSub, String> {
        let Some(tls) = &self.tls else {
            let client = Client::open(self.info.clone()).map_err(|error| reason(&error))?;
            let subscribing = client.get_async_pubsub();
            return subscribing.await.map_err(|error| in_the_clear(&error));
        };
        let (stream, login) = (self.encrypted(tls).await?, self.info.redis_settings());
        let connected = PubSub::new(login, stream).await;
        connected.map_err(|error| after_handshake(&error, tls))
    }
}

/// A server that expects a handshake takes the first command for a damaged one.
fn in_the_clear(error: &RedisError) -> String {
    let reason = reason(error);
    if error.is_connection_dropped() && !error.is_connection_refusal() {
        return format!(
            "{reason} right after it was made: if the server expects encryption, say so with `tls: {{}}`"
        );
    }
    reason
}

/// An answer of the server is what it says; anything else at this point is about encryption.
fn after_handshake(error: &RedisError, tls: &Tls) -> String {
    let reason = reason(error);
    if is_gone(error) {
        return tls::refused(&reason, tls);
    }
    reason
}

fn cannot_understand(task: &Task, cause: String) -> DriverError {
    DriverError {
        doing: format!("understand the address {}", address(task)),
        cause,
    }
}

/// A connection that gives up on an answer after `answer_within`.
pub async fn connect(
    task: &Task,
    answer_within: Duration,
) -> Result<MultiplexedConnection, DriverError> {
    let way = Way::of(task)?;
    in_time(task, way.connect(answer_within)).await
}

/// A connection in place of one that was lost.
pub async fn reconnect(
    task: &Task,
    answer_within: Duration,
) -> Result<MultiplexedConnection, DriverError> {
    let mut connection = connect(task, answer_within).await?;
    // A server that reads its files takes connections, and answers everything with an error.
    let answer: RedisResult<()> = cmd("PING").query_async(&mut connection).await;
    answer.map_err(failed(task, "connect"))?;
    Ok(connection)
}

impl From<RedisError> for Ended<String> {
    fn from(error: RedisError) -> Ended<String> {
        let is_reading = error.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading);
        Ended {
            error: reason(&error),
            is_lost: is_reading || is_gone(&error),
        }
    }
}

/// Whether the connection went: a server that says nothing for too long is not helped by another.
fn is_gone(error: &RedisError) -> bool {
    error.is_io_error() && !error.is_timeout()
}

/// A connection that subscribes to channels.
pub async fn subscriber(task: &Task) -> Result<PubSub, DriverError> {
    let way = Way::of(task)?;
    in_time(task, way.subscriber()).await
}

/// Waits for a connection no longer than is reasonable.
pub async fn in_time<T>(
    task: &Task,
    connecting: impl Future<Output = Result<T, String>>,
) -> Result<T, DriverError> {
    let failed = |cause: String| DriverError {
        doing: format!("connect to {}", address(task)),
        cause,
    };
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => connected.map_err(failed),
        Err(_) => Err(failed(format!(
            "no answer within {} s",
            CONNECT_TIMEOUT.as_secs()
        ))),
    }
}

/// The address as messages show it.
pub fn address(task: &Task) -> String {
    task.url.as_deref().map(shown).unwrap_or_default()
}
