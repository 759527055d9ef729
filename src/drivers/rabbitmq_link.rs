//! Connections to RabbitMQ: how they are made and encrypted, what a failure means, and what the server
//! says of them beside the calls.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::DriverError;
use super::losses::{Ended, Losses};
use super::target::{CONNECT_TIMEOUT, shown, url};
use super::tls;
use crate::engine::shared::lock;
use crate::engine::task::Task;
use crate::scenario::brokers::Tls;
use crate::scenario::workload::Delivery;

/// Both sides say something at least so often; a server that has not for twice as long is gone.
const HEARTBEAT_SECONDS: u16 = 4;
/// Schemes of addresses that are encrypted whatever else is said.
const ENCRYPTED: &[&str] = &["amqps"];
/// How a client of AMQP 0-9-1 introduces itself.
const HELLO: &[u8] = b"AMQP\x00\x00\x09\x01";
/// Type, channel and length of a frame.
const FRAME_HEAD: usize = 7;
const METHOD_FRAME: u8 = 1;
/// The greeting of a server is far shorter.
const LARGEST_GREETING: usize = 64 << 10;
/// The code with which a server that is shut down ends connections.
const CONNECTION_FORCED: u16 = 320;
/// After so long a farewell that is not answered is given up.
const FAREWELL: Duration = Duration::from_millis(500);

/// What happened on any connection of the trial that a reader of its figures must know.
#[derive(Debug, Default)]
pub struct Notes {
    /// Connections that were lost.
    pub losses: Losses,
    blocked: Mutex<Blocked>,
    /// Messages that expired.
    pub dead: AtomicU64,
}

/// How often and for how long the server did not want to hear from publishers.
#[derive(Debug, Default)]
struct Blocked {
    times: u64,
    time: Duration,
    reason: String,
    /// Since when, of the connections that are.
    since: Vec<Instant>,
}

impl Notes {
    fn block(&self, reason: String) {
        let mut blocked = lock(&self.blocked);
        blocked.times += 1;
        blocked.reason = reason;
        blocked.since.push(Instant::now());
    }

    fn unblock(&self) {
        let mut blocked = lock(&self.blocked);
        if let Some(since) = blocked.since.pop() {
            blocked.time += since.elapsed();
        }
    }

    /// For the user.
    pub fn as_sentences(&self, delivery: Delivery) -> Vec<String> {
        let mut notes = self.losses.notes(delivery);
        let blocked = lock(&self.blocked);
        if blocked.times > 0 {
            let open: Duration = blocked.since.iter().map(Instant::elapsed).sum();
            let now = if blocked.since.is_empty() {
                ""
            } else {
                ", and still did at the end"
            };
            notes.push(format!(
                "the server blocked publishers {} times, for {:.1} s in all{now}, because of: {}",
                blocked.times,
                (blocked.time + open).as_secs_f64(),
                blocked.reason
            ));
        }
        let dead = self.dead.load(Ordering::Relaxed);
        if dead > 0 {
            notes.push(format!("{dead} messages expired and were dead-lettered"));
        }
        notes
    }
}

/// One connection.
pub struct Link {
    connection: Connection,
    /// All of its server's addresses, as messages may show them.
    pub address: String,
    events: JoinHandle<()>,
    /// What the server complained of when it closed a channel, or the connection.
    complaint: watch::Receiver<Option<Ended<String>>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.events.abort();
    }
}

impl Link {
    /// Connects to one of the addresses: the one at `place`, or those after it where it is not there.
    pub async fn open(task: &Task, notes: &Arc<Notes>, place: usize) -> Result<Link, DriverError> {
        let targets = Target::all(task)?;
        let address = shown(url(task)?);
        let mut problem = String::new();
        let attempts = targets.iter().cycle().skip(place % targets.len());
        let connecting = async {
            for target in attempts.take(targets.len()) {
                match target.connect().await {
                    Ok(connection) => return Some(connection),
                    Err(error) => problem = reason(&error),
                }
            }
            None
        };
        let connected = timeout(CONNECT_TIMEOUT, connecting).await;
        let cause = match connected {
            Ok(Some(connection)) => {
                let (events, complaint) = listen(&connection, notes);
                return Ok(Link {
                    connection,
                    address,
                    events,
                    complaint,
                });
            }
            Ok(None) => problem,
            Err(_) => no_answer(),
        };
        let doing = format!("connect to {address}");
        Err(DriverError { doing, cause })
    }

    /// A channel of its own.
    pub async fn channel(&self) -> Result<Channel, DriverError> {
        let channel = self.another_channel().await;
        channel.map_err(|error| self.failed("open a channel", &error))
    }

    /// Likewise, with the library's error.
    pub async fn another_channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    /// Closes a channel that has done its work. One that is merely dropped is closed by the library while
    /// the connection already is, which it takes for an error, and breaks off.
    pub async fn done_with(&self, channel: Channel) {
        let _ = timeout(FAREWELL, channel.close(200, "done".into())).await;
    }

    /// What was attempted, at which server.
    pub fn failed(&self, doing: &str, error: &lapin::Error) -> DriverError {
        DriverError {
            doing: format!("{doing} at {}", self.address),
            cause: reason(error),
        }
    }

    /// Likewise, and whether another connection may help.
    pub fn ended(&self, doing: &str, error: &lapin::Error) -> Ended {
        ended(error).while_doing(format!("{doing} at {}", self.address))
    }

    /// What was attempted when the connection or the channel was lost, and why it was: who finds it closed has often
    /// not heard what the server said.
    pub async fn lost(&self, doing: &str, error: &lapin::Error) -> Ended {
        let mut complaint = self.complaint.clone();
        let mut said = None;
        if is_aftermath(error) {
            let told = timeout(FAREWELL, complaint.wait_for(Option::is_some)).await;
            said = told.ok().and_then(Result::ok).and_then(|it| it.clone());
        }
        let ended = said.unwrap_or_else(|| ended(error));
        ended.while_doing(format!("{doing} at {}", self.address))
    }

    /// Takes leave, so that the server has nothing to complain of.
    pub async fn close(self) {
        let _ = timeout(FAREWELL, self.connection.close(200, "done".into())).await;
    }
}

/// Whether it says no more than that something else went wrong before.
fn is_aftermath(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidConnectionState(_)
            | ErrorKind::InvalidChannelState(..)
            | ErrorKind::InvalidChannel(_)
    )
}

/// Notes what the server says of a connection, until that is closed.
fn listen(
    connection: &Connection,
    notes: &Arc<Notes>,
) -> (JoinHandle<()>, watch::Receiver<Option<Ended<String>>>) {
    let notes = Arc::clone(notes);
    let (complain, complaint) = watch::channel(None);
    let mut events = Box::pin(connection.events_listener());
    let listening = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::ConnectionBlocked(reason) => notes.block(reason),
                Event::ConnectionUnblocked => notes.unblock(),
                Event::Error(error) if !is_aftermath(&error) => {
                    // The first is the cause of the others.
                    complain.send_if_modified(|told| {
                        let is_first = told.is_none();
                        told.get_or_insert_with(|| ended(&error));
                        is_first
                    });
                }
                _ => {}
            }
        }
    });
    (listening, complaint)
}

/// One address of the server, and how to be let in.
struct Target {
    uri: AMQPUri,
    tls: Option<RustlsConnector>,
}

impl Target {
    fn all(task: &Task) -> Result<Vec<Target>, DriverError> {
        let addresses = url(task)?.split(',');
        let encrypted = tls::wanted(task, ENCRYPTED);
        let config = encrypted.as_ref().map(tls::client_config).transpose()?;
        let tls = config.map(RustlsConnector::from);
        addresses
            .map(|address| {
                let (uri, tls) = (parsed(task, address)?, tls.clone());
                Ok(Target { uri, tls })
            })
            .collect()
    }

    async fn connect(&self) -> lapin::Result<Connection> {
        let runtime = lapin::runtime::default_runtime()?;
        let properties = ConnectionProperties::default().with_connection_name("mqbench".into());
        let (host, tls) = (self.uri.authority.host.clone(), self.tls.clone());
        // Not by the library, which leaves a panic on standard error where its runtime ends meanwhile, as
        // that of a trial which has been broken off does.
        let found = lookup_host((host.clone(), self.uri.authority.port)).await?;
        let addresses: Vec<SocketAddr> = found.collect();
        // The library would encrypt by itself, but with authorities and certificates of its own finding.
        let connect = async move |_, runtime| {
            let stream = AsyncTcpStream::connect(&runtime, addresses.clone()).await?;
            match &tls {
                Some(connector) => Ok(stream.into_rustls(connector, &host).await?),
                None => Ok(stream),
            }
        };
        Connection::connector(self.uri.clone(), runtime, connect, properties).await
    }
}

/// An address with the login of the task.
fn parsed(task: &Task, address: &str) -> Result<AMQPUri, DriverError> {
    let doing = format!("understand the address {}", shown(address));
    let mut uri: AMQPUri = address.parse().map_err(DriverError::while_doing(doing))?;
    // The library knows no addresses of IPv6 and would take them for `localhost`.
    if let Some((_, rest)) = address
        .split_once("://")
        .map(|(_, rest)| rest)
        .and_then(|rest| {
            let authority = rest.split('/').next()?;
            authority.rsplit('@').next()?.split_once('[')
        })
        && let Some((host, _)) = rest.split_once(']')
    {
        uri.authority.host = host.to_owned();
    }
    if let Some(user) = &task.user {
        uri.authority.userinfo.username = user.clone();
    }
    if let Some(password) = &task.password {
        uri.authority.userinfo.password = password.clone();
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    Ok(uri)
}

/// Asks the server who it is: the client library keeps that to itself. Encryption that fails and a
/// server that speaks otherwise are told apart here, too.
pub async fn greet(task: &Task) -> Result<Vec<(String, String)>, DriverError> {
    let address = shown(url(task)?);
    let encrypted = tls::wanted(task, ENCRYPTED);
    let mut cause = String::new();
    for part in url(task)?.split(',') {
        let uri = parsed(task, part)?;
        let greeting = timeout(CONNECT_TIMEOUT, greeting(&uri, encrypted.as_ref())).await;
        match greeting.unwrap_or_else(|_| Err(no_answer())) {
            Ok(greeting) => {
                let told = ["product", "version"].into_iter();
                let told = told.filter_map(|key| Some((key.to_owned(), property(&greeting, key)?)));
                return Ok(told.collect());
            }
            Err(why) => cause = why,
        }
    }
    let doing = format!("connect to {address}");
    Err(DriverError { doing, cause })
}

/// The first frame of a server: its properties and what it can.
async fn greeting(uri: &AMQPUri, encrypted: Option<&Tls>) -> Result<Vec<u8>, String> {
    let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
    match encrypted {
        Some(tls) => {
            let mut stream = tls::handshake(host, port, tls).await?;
            match first_frame(&mut stream).await {
                Ok(frame) => Ok(frame),
                // What the server objects to is lost where our first words are on the way when it closes;
                // who says nothing hears it.
                Err(error) => {
                    tls::probe(host, port, tls).await?;
                    Err(tls::refused(&plain(&error), tls))
                }
            }
        }
        None => {
            let stream = TcpStream::connect((host, port)).await;
            let mut stream = stream.map_err(|error| plain(&error))?;
            let frame = first_frame(&mut stream).await;
            frame.map_err(|error| plain(&error))
        }
    }
}

async fn first_frame(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Vec<u8>> {
    stream.write_all(HELLO).await?;
    stream.flush().await?;
    let mut head = [0; FRAME_HEAD];
    stream.read_exact(&mut head).await?;
    if head.starts_with(b"AMQP") {
        return Err(io::Error::other("it speaks another version of AMQP"));
    }
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    if head[0] != METHOD_FRAME || length > LARGEST_GREETING {
        return Err(io::Error::other("it does not speak AMQP 0-9-1"));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

/// A text among the properties of a greeting: its name behind its length, `S`, the length of the text.
fn property(greeting: &[u8], name: &str) -> Option<String> {
    let mut entry = vec![name.len() as u8];
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'S');
    let at = greeting.windows(entry.len()).position(|w| w == entry)?;
    let rest = &greeting[at + entry.len()..];
    let (length, text) = rest.split_first_chunk::<4>()?;
    let text = text.get(..u32::from_be_bytes(*length) as usize)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// What an error means for the connection, in the server's words where it said something.
fn ended(error: &lapin::Error) -> Ended<String> {
    let is_lost = match error.kind() {
        ErrorKind::IOError(_)
        | ErrorKind::MissingHeartbeatError
        | ErrorKind::InvalidConnectionState(_) => true,
        ErrorKind::ProtocolError(error) => error.get_id() == CONNECTION_FORCED,
        _ => false,
    };
    Ended {
        error: reason(error),
        is_lost,
    }
}

/// What was wrong, in the server's words where it said something.
pub fn reason(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::IOError(error) => plain(error),
        ErrorKind::ProtocolError(error) => {
            let words = error.get_message().as_str();
            format!("the server says: {}", words.trim())
        }
        ErrorKind::MissingHeartbeatError => format!(
            "the server has said nothing for {} s",
            2 * HEARTBEAT_SECONDS
        ),
        ErrorKind::InvalidConnectionState(_) => "the connection was lost".to_owned(),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidChannel(_) => {
            "the channel was closed".to_owned()
        }
        ErrorKind::ParsingError(_) => "it does not speak AMQP 0-9-1".to_owned(),
        _ => error.to_string(),
    }
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            "the connection was lost".to_owned()
        }
        io::ErrorKind::UnexpectedEof => {
            tls::explain("the server closed the connection without a word")
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => no_answer(),
        _ => {
            let text = tls::explain(&error.to_string());
            let words = text.split(" (os error ").next().unwrap_or(&text);
            words.to_owned()
        }
    }
}

fn no_answer() -> String {
    format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())
}

#[cfg(test)]
mod tests {
    use super::property;

    #[test]
    fn a_property_is_read_from_a_greeting() {
        let mut greeting = b"\x00\x0a\x00\x0a\x00\x09\x00\x00\x01\x00".to_vec();
        greeting.extend_from_slice(b"\x07productS\x00\x00\x00\x08RabbitMQ");
        greeting.extend_from_slice(b"\x07versionS\x00\x00\x00\x063.10.8");
        assert_eq!(property(&greeting, "version").as_deref(), Some("3.10.8"));
        assert_eq!(property(&greeting, "product").as_deref(), Some("RabbitMQ"));
        assert_eq!(property(&greeting, "platform"), None);
        greeting.truncate(greeting.len() - 1);
        assert_eq!(property(&greeting, "version"), None);
    }
}
