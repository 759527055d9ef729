//! What the NATS drivers share: connections, how they are secured, what the library says of them beside
//! the calls, and the words of its errors.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::descriptor::{OptionKind, OptionSpec};
use super::target::{CONNECT_TIMEOUT, GONE_AFTER, shown, url};
use super::{DriverError, tls};
use crate::engine::shared::lock;
use crate::engine::task::Task;

/// The client of both drivers.
pub const CLIENT: &str = "async-nats 0.51";
/// URL schemes that it takes.
pub const SCHEMES: &[&str] = &["nats", "tls"];
const ENCRYPTED: &[&str] = &["tls"];
/// Common connection settings that both drivers honour.
pub const SECURITY: &[&str] = &["user", "password", "token", "tls"];

/// How much the library holds for a consumer.
pub const SUBSCRIPTION_CAPACITY: OptionSpec = OptionSpec {
    name: "subscription_capacity",
    kind: OptionKind::Count(1, 16_777_216),
    default: Some("524288"),
    about: "Messages that the client library holds for a consumer before it drops them; \
            at least twice what the windows of all publishers let under way.",
};
/// Login by a file that names the user and holds its key.
pub const CREDENTIALS: OptionSpec = OptionSpec {
    name: "credentials",
    kind: OptionKind::Text,
    default: None,
    about: "File with the JWT and the key of a user (.creds) to log in with.",
};
/// Login by a key.
pub const NKEY: OptionSpec = OptionSpec {
    name: "nkey",
    kind: OptionKind::Text,
    default: None,
    about: "File with the seed of an NKey to log in with.",
};

/// A server that answers no ping for three of these is gone.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// What happened on any connection of the trial that a reader of its figures must know.
#[derive(Debug, Default)]
pub struct Notes {
    slow_consumer: AtomicU64,
    disconnected: AtomicU64,
}

impl Notes {
    /// For the report.
    pub fn as_sentences(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let slow = self.slow_consumer.load(Ordering::Relaxed);
        if slow > 0 {
            notes.push(format!(
                "the client library dropped messages because a consumer was too slow ({slow} \
                 reports or more): raise subscription_capacity, or offer less"
            ));
        }
        let times = self.disconnected.load(Ordering::Relaxed);
        if times > 0 {
            notes.push(format!(
                "connections to the server were lost {times} times; what was on its way may be lost"
            ));
        }
        notes
    }
}

/// One connection, and what the library says of it beside the calls.
pub struct Connection {
    /// To call.
    pub client: Client,
    /// As messages may show it.
    pub address: String,
    /// To see whether it is lost.
    pub watch: Arc<Watch>,
}

/// The connection of a publisher: made before the load, and taken when that begins.
pub struct PublisherConnection {
    task: Arc<Task>,
    publisher: u32,
    notes: Arc<Notes>,
    made: Option<Connection>,
}

impl PublisherConnection {
    /// Of this publisher; not made yet.
    pub fn new(task: &Arc<Task>, publisher: u32, notes: &Arc<Notes>) -> PublisherConnection {
        PublisherConnection {
            task: Arc::clone(task),
            publisher,
            notes: Arc::clone(notes),
            made: None,
        }
    }

    /// Makes it.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn make(&mut self) -> Result<(), DriverError> {
        self.made = Some(self.open().await?);
        Ok(())
    }

    /// Takes it; makes it where that has not been done.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn take(&mut self) -> Result<Connection, DriverError> {
        match self.made.take() {
            Some(made) => Ok(made),
            None => self.open().await,
        }
    }

    async fn open(&self) -> Result<Connection, DriverError> {
        Connection::open(&self.task, self.publisher, &self.notes).await
    }
}

/// What the events of a connection amount to.
#[derive(Debug, Default)]
pub struct Watch {
    state: Mutex<State>,
    changed: Notify,
    losses: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// What the server refused.
    refused: Option<String>,
    lost_since: Option<Instant>,
    /// Why the last attempt to reconnect failed.
    why: Option<String>,
}

impl Watch {
    fn event(&self, event: Event, notes: &Notes) {
        let mut state = lock(&self.state);
        match event {
            Event::Connected => (state.lost_since, state.why) = (None, None),
            Event::Disconnected => {
                notes.disconnected.fetch_add(1, Ordering::Relaxed);
                self.losses.fetch_add(1, Ordering::Relaxed);
                state.lost_since = Some(Instant::now());
            }
            Event::SlowConsumer(_) => {
                notes.slow_consumer.fetch_add(1, Ordering::Relaxed);
            }
            Event::ServerError(error) => state.refused = Some(plain(&error.to_string())),
            Event::ClientError(error) => state.why = Some(plain(&error.to_string())),
            Event::LameDuckMode | Event::Draining | Event::Closed => {}
        }
        drop(state);
        // Two may wait: for the connection, and for the answer to a question.
        self.changed.notify_one();
        self.changed.notify_one();
    }

    /// Waits until the server refuses something that is asked on this connection, and says why. It is told once: what
    /// is asked later, such as to remove what was made, may be allowed.
    pub async fn refused(&self) -> String {
        loop {
            if let Some(reason) = lock(&self.state).refused.take() {
                return format!("the server refused: {reason}");
            }
            self.changed.notified().await;
        }
    }

    /// How often the connection has been lost: what was under way at such a moment is not answered.
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Whether there is a connection at the moment.
    pub fn is_connected(&self) -> bool {
        lock(&self.state).lost_since.is_none()
    }

    /// Waits until the connection is of no use any more, and says why. Only one may wait for it at a time.
    pub async fn lost(&self) -> String {
        loop {
            let lost_since = {
                let state = lock(&self.state);
                if let Some(reason) = &state.refused {
                    return format!("the server refused: {reason}");
                }
                state.lost_since
            };
            let Some(since) = lost_since else {
                self.changed.notified().await;
                continue;
            };
            let end = since + GONE_AFTER;
            if Instant::now() >= end {
                let why = lock(&self.state).why.clone().unwrap_or_default();
                let why = if why.is_empty() {
                    why
                } else {
                    format!(" ({why})")
                };
                let seconds = GONE_AFTER.as_secs();
                return format!("the connection was lost and not back after {seconds} s{why}");
            }
            select(pin!(self.changed.notified()), pin!(sleep_until(end))).await;
        }
    }
}

/// The library's words without its prefixes, and without the number that the system has for them.
pub fn plain(error: &str) -> String {
    let error = error.trim_start_matches("nats: ");
    let error = error.trim_start_matches("IO error: ");
    let error = error.trim_start_matches("TLS error: ");
    let words = error.split(" (os error ").next();
    tls::explain(words.unwrap_or(error))
}

impl Connection {
    /// Connects and logs in. Of several servers the one with this number is tried first (beyond the
    /// last it starts again), so that clients are spread evenly, and in every trial alike.
    ///
    /// # Errors
    /// Where nobody answers in time, or the login or the certificate is refused.
    pub async fn open(
        task: &Task,
        number: u32,
        notes: &Arc<Notes>,
    ) -> Result<Connection, DriverError> {
        let url = url(task)?;
        let address = shown(url);
        let doing = format!("connect to {address}");
        let mut servers = url
            .split(',')
            .map(str::parse::<ServerAddr>)
            .collect::<Result<Vec<_>, _>>()
            .map_err(DriverError::while_doing(doing.clone()))?;
        let first = number as usize % servers.len();
        servers.rotate_left(first);
        let watch = Arc::new(Watch::default());
        let events = {
            let (watch, notes) = (Arc::clone(&watch), Arc::clone(notes));
            move |event| {
                watch.event(event, &notes);
                std::future::ready(())
            }
        };
        let options = ConnectOptions::new()
            .name("mqbench")
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(CONNECT_TIMEOUT))
            .ping_interval(PING_INTERVAL)
            .retain_servers_order()
            .reconnect_delay_callback(|attempts| {
                if attempts > 1 {
                    RECONNECT_DELAY
                } else {
                    Duration::ZERO
                }
            })
            .subscription_capacity(subscription_capacity(task))
            // Our names are made to be valid; checking them again would cost time per message.
            .skip_subject_validation(true)
            .event_callback(events);
        let connecting = secured(task, options).await?.connect(servers);
        // The library's own limit is for each address and each step.
        let client = match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error| refusal(task, &error.to_string())),
            Err(_) => Err("timed out".to_owned()),
        };
        let client = client.map_err(|cause| DriverError { doing, cause })?;
        Ok(Connection {
            client,
            address,
            watch,
        })
    }

    /// That of a consumer: the first is at another server than the first publisher.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn of_consumer(
        task: &Task,
        group: u32,
        consumer: u32,
        notes: &Arc<Notes>,
    ) -> Result<Connection, DriverError> {
        let number = group * task.workload.consumers + consumer + 1;
        Connection::open(task, number, notes).await
    }

    /// Returns when the server has handled everything that was sent before: it answers one message
    /// after the other, so a message to ourselves comes back last.
    ///
    /// # Errors
    /// Where it does not come back in time.
    pub async fn round_trip(&self) -> Result<(), DriverError> {
        let doing = || format!("get an answer from {}", self.address);
        let inbox = Subject::from(self.client.new_inbox());
        let answer = async {
            let mut answers = self
                .client
                .subscribe(inbox.clone())
                .await
                .map_err(DriverError::while_doing(doing()))?;
            self.client
                .publish(inbox, Bytes::new())
                .await
                .map_err(DriverError::while_doing(doing()))?;
            answers.next().await;
            Ok(())
        };
        match select(
            pin!(timeout(CONNECT_TIMEOUT, answer)),
            pin!(self.watch.lost()),
        )
        .await
        {
            Either::Left((Ok(answered), _)) => answered,
            Either::Left((Err(_), _)) => Err(failed(doing(), "none came in time".to_owned())),
            Either::Right((reason, _)) => Err(failed(doing(), reason)),
        }
    }

    /// Refuses messages that the server would not take, with `extra` bytes of headers.
    ///
    /// # Errors
    /// Where the largest is too large.
    pub fn check_size(&self, task: &Task, extra: u64) -> Result<(), DriverError> {
        let (largest, limit) = (task.workload.message.largest(), self.client.max_payload());
        if largest + extra <= limit as u64 {
            return Ok(());
        }
        let with = match extra {
            0 => String::new(),
            extra => format!(" and {extra} of headers"),
        };
        Err(failed(
            format!("send messages of {largest} bytes{with}"),
            format!("the server takes at most {limit} (its max_payload)"),
        ))
    }
}

/// What was attempted and what was wrong.
pub fn failed(doing: String, cause: String) -> DriverError {
    DriverError { doing, cause }
}

/// Adds the login and the encryption.
async fn secured(task: &Task, mut options: ConnectOptions) -> Result<ConnectOptions, DriverError> {
    if let Some(user) = &task.user {
        let password = task.password.clone().unwrap_or_default();
        options = options.user_and_password(user.clone(), password);
    }
    if let Some(token) = &task.token {
        options = options.token(token.clone());
    }
    if let Some(file) = task.text("credentials") {
        options = options
            .credentials_file(file)
            .await
            .map_err(|error| failed(format!("log in with {file}"), plain(&error.to_string())))?;
    }
    if let Some(file) = task.text("nkey") {
        let seed = tls::pem(file)?;
        let seed = String::from_utf8_lossy(&seed).trim().to_owned();
        options = options.nkey(seed);
    }
    match tls::wanted(task, ENCRYPTED) {
        Some(tls) => Ok(options
            .require_tls(true)
            .tls_client_config(tls::client_config(&tls)?)),
        // A server may ask for it all the same, and the library would follow.
        None => Ok(options.tls_client_config(believing_nobody()?)),
    }
}

/// Ends a handshake that the scenario has not asked for: encryption changes the figures.
fn believing_nobody() -> Result<ClientConfig, DriverError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(DriverError::while_doing("set up TLS"))?;
    let builder = builder.with_root_certificates(RootCertStore::empty());
    Ok(builder.with_no_client_auth())
}

/// Why there is no connection.
fn refusal(task: &Task, error: &str) -> String {
    let cause = plain(error);
    if tls::wanted(task, ENCRYPTED).is_none() && error.to_lowercase().contains("certificate") {
        return "the server requires encryption: say so with `tls: {ca: …}`, or with `tls://` in its \
                address where the system trusts it anyway"
            .to_owned();
    }
    cause
}

/// The library drops what a full subscription cannot take, so it must hold what the windows allow.
fn subscription_capacity(task: &Task) -> usize {
    let asked = task.count("subscription_capacity").unwrap_or(524_288);
    let workload = &task.workload;
    let under_way = u64::from(workload.publishers.max(1)) * u64::from(workload.in_flight);
    asked.max(2 * under_way) as usize
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn an_error_is_shown_without_what_only_the_library_knows() {
        assert_eq!(
            plain("IO error: Connection refused (os error 111)"),
            "Connection refused"
        );
        assert_eq!(
            plain("nats: authorization violation"),
            "authorization violation"
        );
    }
}
