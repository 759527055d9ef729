//! How the Kafka driver reaches a cluster: its addresses, the login, encryption, and what went wrong in
//! the user's words. The client library writes to nobody's terminal: what it says is kept here.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::DriverError;
use super::target::{CONNECT_TIMEOUT, Endpoint, GONE_AFTER, login, parts, shown, url};
use super::tls;
use crate::engine::shared::lock;
use crate::engine::task::Task;

/// URL schemes of the client.
pub const SCHEMES: &[&str] = &["kafka"];
/// What it honours of an entry's settings.
pub const SECURITY: &[&str] = &["user", "password", "tls"];
/// Where an address names no port.
const PORT: u16 = 9092;
/// How long a cluster may take to let somebody in: a virtual machine that has just started takes seconds
/// over the first that encrypts or logs in.
const LET_IN_WITHIN: Duration = Duration::from_secs(8);
/// How long one question to a cluster that does not answer takes at most.
const ASKED_FOR: Duration = Duration::from_millis(300);
/// How long after a question that could not be asked it is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Where connections have failed and none was answered after this time they all will. The client says so
/// once, however often it happens.
const FAILED_FOR: Duration = Duration::from_secs(4);
/// What such a server may want.
const WANTS: &str = "does it ask for a user and a password, or for encryption?";

/// What a client has said of its connections. Every client has one of its own.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Said>);

#[derive(Debug, Default)]
struct Said {
    /// Why a connection failed, the last time that one did.
    failure: Mutex<Option<String>>,
    /// A login that will not do, however often it is tried.
    refused: AtomicBool,
    /// No broker was connected when it last looked.
    down: AtomicBool,
    /// A topic that was there is no longer.
    bereft: AtomicBool,
}

impl Heard {
    /// Why a connection failed.
    pub fn failure(&self) -> Option<String> {
        lock(&self.0.failure).clone()
    }

    /// Whether the client has lost all brokers since it was last asked.
    pub fn take_down(&self) -> bool {
        self.0.down.swap(false, Ordering::Relaxed)
    }

    /// Whether there is no sense in trying on after this time.
    fn is_refused(&self, after: Duration) -> bool {
        let fails = after > FAILED_FOR && self.failure().is_some();
        self.0.refused.load(Ordering::Relaxed) || fails
    }

    /// Takes in an error that concerns more than one message.
    pub fn note(&self, code: Option<RDKafkaErrorCode>) {
        match code {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.0.down.store(true, Ordering::Relaxed),
            Some(RDKafkaErrorCode::Authentication) => {
                self.0.refused.store(true, Ordering::Relaxed);
            }
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                self.0.bereft.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl ClientContext for Heard {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == "FAIL" {
            if line.contains("SASL authentication") {
                self.note(Some(RDKafkaErrorCode::Authentication));
            }
            *lock(&self.0.failure) = Some(plainly(line));
        }
    }

    fn error(&self, error: KafkaError, _: &str) {
        self.note(error.rdkafka_error_code());
    }
}

impl ConsumerContext for Heard {}

const ENDED: &str = "the server ended the connection";

/// What a line of the client's log says of a connection, in the user's words:
/// `[thrd:a:1/bootstrap]: a:1/bootstrap: Connect to ipv4#a:1 failed: Connection refused (after 0ms …)`.
fn plainly(line: &str) -> String {
    const KNOWN: &[(&str, &str)] = &[
        (
            "SASL authentication",
            "the server refused user and password",
        ),
        ("Connection refused", "connection refused"),
        ("Connection reset", ENDED),
        ("Broken pipe", ENDED),
        ("Disconnected", ENDED),
        ("Invalid response size", "what answers there is no Kafka"),
        ("timed out", "no answer"),
        (
            "Host resolution failure",
            "the name of the host is not known",
        ),
        ("Failed to resolve", "the name of the host is not known"),
        ("SSL handshake", "encryption could not be agreed on"),
        (
            "supported mechanisms",
            "the server knows no such way to log in",
        ),
    ];
    if let Some((_, words)) = KNOWN.iter().find(|(said, _)| line.contains(said)) {
        return (*words).to_owned();
    }
    let line = line.split_once("]: ").map_or(line, |(_, rest)| rest);
    let line = line.split_once(": ").map_or(line, |(_, rest)| rest);
    let line = line.split_once(" (after ").map_or(line, |(line, _)| line);
    line.replace("::", " ")
}

const GONE: &str = "there is no such topic";

/// What a code of the client means to the user.
pub fn meaning(code: RDKafkaErrorCode) -> String {
    use RDKafkaErrorCode as Code;
    let known = match code {
        Code::MessageSizeTooLarge => "the message is larger than `message.max.bytes` allows",
        Code::InvalidMessageSize => "the message has a size that the server does not take",
        Code::MessageTimedOut => "the server did not acknowledge it in time",
        Code::BrokerTransportFailure | Code::AllBrokersDown => {
            "the connection to the server was lost: is it running?"
        }
        Code::PurgeQueue | Code::PurgeInflight => "given up: the connection was lost",
        Code::OperationTimedOut | Code::RequestTimedOut => "no answer in time",
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            "fewer copies are in sync than `min.insync.replicas` asks for"
        }
        Code::TopicAuthorizationFailed => "the user may not use the topic",
        Code::ClusterAuthorizationFailed => "the user may not do this on the cluster",
        Code::GroupAuthorizationFailed => "the user may not use the consumer group",
        Code::TransactionalIdAuthorizationFailed => "the user may not send in transactions",
        Code::InvalidReplicationFactor => "the cluster has fewer brokers than `replicas` asks for",
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => GONE,
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    // Its own words stand in parentheses behind its name: `BadMessage (Local: Bad message format)`.
    let text = code.to_string();
    let words = text
        .split_once('(')
        .map_or(text.as_str(), |(_, words)| words);
    let words = words.trim_end_matches(')');
    let words = words.split_once(": ").map_or(words, |(_, words)| words);
    words.to_lowercase()
}

/// What an error of the client means to the user.
pub fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => match meaning(error.code()) {
            words if words.is_empty() => error.string().replace("::", " "),
            words => words,
        },
        KafkaError::AdminOp(code) => meaning(*code),
        KafkaError::ClientConfig(_, why, key, value) => format!("{key} {value}: {why}"),
        KafkaError::ClientCreation(why) | KafkaError::Subscription(why) => why.replace("::", " "),
        other => match other.rdkafka_error_code() {
            Some(code) => meaning(code),
            None => other.to_string(),
        },
    }
}

/// The cluster, as messages may show it.
pub fn address(task: &Task) -> String {
    shown(task.url.as_deref().unwrap_or_default())
}

/// For `map_err`: what was attempted at this cluster, then the cause.
pub fn failed(task: &Task, doing: &str) -> impl Fn(KafkaError) -> DriverError + use<> {
    let doing = format!("{doing} at {}", address(task));
    move |error| DriverError {
        doing: doing.clone(),
        cause: words(&error),
    }
}

/// The servers that the address of a task names.
fn servers(task: &Task) -> Result<Vec<Endpoint>, DriverError> {
    let understand = DriverError::while_doing(format!("understand the address {}", address(task)));
    let named = parts(url(task)?).map(|(place, _)| Endpoint::of(place, PORT));
    named.collect::<Result<_, _>>().map_err(understand)
}

/// What all clients of a task have in common.
pub fn config(task: &Task) -> Result<ClientConfig, DriverError> {
    let servers: Vec<String> = servers(task)?.iter().map(Endpoint::place).collect();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers.join(","))
        .set("client.id", "mqbench")
        // One write is one batch: there is nothing that the kernel should wait for.
        .set("socket.nagle.disable", "true")
        .set("socket.connection.setup.timeout.ms", "5000")
        // A server that was restarted is found again before it is given up.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        // All topics are there when the load begins. One that is gone is not waited for.
        .set("topic.metadata.refresh.interval.ms", "2000")
        .set("topic.metadata.propagation.max.ms", "2000")
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    let named = match (&task.user, &task.password) {
        (Some(user), password) => Some((user.clone(), password.clone().unwrap_or_default())),
        (None, _) => parts(url(task)?).find_map(|(_, named)| named).map(login),
    };
    if let Some(tls) = &task.tls {
        // Otherwise those that the system trusts.
        if let Some(ca) = &tls.ca {
            config.set("ssl.ca.location", ca);
        }
        if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
            config.set("ssl.certificate.location", cert);
            config.set("ssl.key.location", key);
        }
        if tls.insecure {
            config.set("enable.ssl.certificate.verification", "false");
        }
    }
    config.set(
        "security.protocol",
        match (named.is_some(), task.tls.is_some()) {
            (false, false) => "plaintext",
            (false, true) => "ssl",
            (true, false) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        },
    );
    if let Some((user, password)) = named {
        let mechanism = task.text("sasl").unwrap_or("plain").to_uppercase();
        config
            .set("sasl.mechanisms", mechanism)
            .set("sasl.username", user)
            .set("sasl.password", password);
    }
    Ok(config)
}

/// A client of one kind or another.
pub fn client<T: FromClientConfigAndContext<C>, C: ClientContext>(
    task: &Task,
    config: &ClientConfig,
    context: C,
) -> Result<T, DriverError> {
    config
        .create_with_context(context)
        .map_err(failed(task, "set up a client"))
}

/// For `map_err`: why nobody is there, or nothing is said.
fn cannot_connect(task: &Task) -> impl Fn(String) -> DriverError {
    let doing = format!("connect to {}", address(task));
    move |cause| DriverError {
        doing: doing.clone(),
        cause,
    }
}

/// A client for the administration, once the cluster has answered it. Blocks.
pub fn connect(task: &Task) -> Result<(AdminClient<Heard>, Metadata), DriverError> {
    let cannot = cannot_connect(task);
    let config = config(task)?;
    reach(task, &servers(task)?).map_err(&cannot)?;
    let heard = Heard::default();
    // One for the administration never says what happens to it.
    let asking: BaseConsumer<Heard> = client(task, &config, heard.clone())?;
    let began = Instant::now();
    loop {
        let answer = asking.fetch_metadata(None, ASKED_FOR);
        // What it has to say it says when it is polled.
        asking.poll(Duration::ZERO);
        match answer {
            Ok(metadata) => {
                let admin = client(task, &config, Heard::default())?;
                return Ok((admin, metadata));
            }
            Err(_) if heard.is_refused(began.elapsed()) || began.elapsed() > LET_IN_WITHIN => {
                let silence = || format!("no answer within {} s", LET_IN_WITHIN.as_secs());
                let why = match heard.failure().unwrap_or_else(silence) {
                    why if why == ENDED => format!("{ENDED} without a word: {WANTS}"),
                    why => why,
                };
                return Err(cannot(why));
            }
            Err(_) => {}
        }
    }
}

/// Looks whether anybody is there and encryption works: the client would try for ever, and say little.
fn reach(task: &Task, servers: &[Endpoint]) -> Result<(), String> {
    let mut outcome = Err("it names no host".to_owned());
    for Endpoint { host, port } in servers {
        outcome = match &task.tls {
            None => greet(host, *port),
            Some(tls) => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| error.to_string())?;
                runtime.block_on(tls::probe(host, *port, tls))
            }
        };
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn greet(host: &str, port: u16) -> Result<(), String> {
    let addresses = (host, port).to_socket_addrs();
    let addresses = addresses.map_err(|_| format!("the host `{host}` is not known"))?;
    let mut outcome = Err(format!("the host `{host}` has no address"));
    for address in addresses {
        outcome = match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err("connection refused".to_owned())
            }
            Err(_) => Err("no answer".to_owned()),
        };
    }
    outcome
}

/// Asks whether anybody is there and answers just now.
///
/// # Errors
/// Why not: nobody takes a connection, or nothing was said for [`GONE_AFTER`].
pub fn ask(task: &Task, admin: &AdminClient<Heard>) -> Result<(), DriverError> {
    let cannot = cannot_connect(task);
    reach(task, &servers(task)?).map_err(&cannot)?;
    let limit = Instant::now() + GONE_AFTER;
    loop {
        // A question ends with the connection that it went over, and is asked again over the next.
        let left = limit.saturating_duration_since(Instant::now());
        match admin.inner().fetch_metadata(None, left.max(AGAIN_AFTER)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= limit => return Err(cannot(words(&error))),
            Err(_) => thread::sleep(AGAIN_AFTER),
        }
    }
}

/// Notices that a cluster is gone: the client itself tries for ever to come back.
pub struct Vigil {
    heard: Heard,
    lost: Option<Instant>,
}

impl Vigil {
    /// Over a client that says here what happens to it.
    pub fn new(heard: Heard) -> Vigil {
        Vigil { heard, lost: None }
    }

    /// To be asked again and again; `ask` is a short question that only a living cluster answers.
    ///
    /// # Errors
    /// Where there has been no answer for [`GONE_AFTER`] since all brokers were lost, or a topic is gone.
    pub fn look(
        &mut self,
        task: &Task,
        doing: &str,
        ask: impl FnOnce(Duration) -> bool,
    ) -> Result<(), DriverError> {
        if self.heard.0.bereft.load(Ordering::Relaxed) {
            return Err(DriverError {
                doing: format!("{doing} {}", address(task)),
                cause: format!("{GONE}: it was deleted"),
            });
        }
        if self.heard.take_down() && self.lost.is_none() {
            self.lost = Some(Instant::now());
        }
        let Some(lost) = self.lost else { return Ok(()) };
        if ask(ASKED_FOR / 4) {
            self.lost = None;
        } else if lost.elapsed() > GONE_AFTER {
            let why = self
                .heard
                .failure()
                .unwrap_or_else(|| "no answer".to_owned());
            return Err(DriverError {
                doing: format!("{doing} {}", address(task)),
                cause: format!(
                    "the connection was lost and did not come back within {} s ({why})",
                    GONE_AFTER.as_secs()
                ),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_says_becomes_words_for_a_user() {
        let line = "[thrd:a:1/bootstrap]: a:1/bootstrap: Connect to ipv4#a:1 failed: Connection \
                    refused (after 0ms in state CONNECT)";
        assert_eq!(plainly(line), "connection refused");
        let line = "[thrd:a:1/1]: a:1/1: Something else: error:0A::x (after 3ms in state UP)";
        assert_eq!(plainly(line), "Something else: error:0A x");
        // Which of the three it is depends on how far the client was when the server closed.
        for closed in [
            "Send failed: Broken pipe",
            "Send failed: Connection reset by peer",
            "Disconnected",
        ] {
            let line =
                format!("[thrd:a:1/1]: a:1/1: {closed} (after 0ms in state APIVERSION_QUERY)");
            assert_eq!(plainly(&line), ENDED);
        }
        assert_eq!(meaning(RDKafkaErrorCode::BadMessage), "bad message format");
    }
}
