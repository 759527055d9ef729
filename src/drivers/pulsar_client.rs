//! What publishers and consumers of Pulsar share: a client of their own, and its errors in the user's
//! words.

use std::fs;
use std::os::fd::RawFd;
use std::time::Duration;

use nix::libc::{self, c_int, socklen_t};
use pulsar::authentication::basic::BasicAuthentication;
use pulsar::error::{
    AuthenticationError, ConnectionError, ConsumerError, ProducerError, ServiceDiscoveryError,
};
use pulsar::{
    Authentication, ConnectionRetryOptions, Error, OperationRetryOptions, Pulsar, TokioExecutor,
};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::DriverError;
use super::losses::Ended;
use super::pulsar_address::broker_url;
use super::pulsar_relay::Relay;
use super::pulsar_session::Trial;
use super::pulsar_socket::{Login, plain, words};
use super::target::CONNECT_TIMEOUT;
use crate::scenario::workload::Load;

/// How long a broker may take over a message or a request. One that was just started loads half of
/// itself for the first message, and takes seconds over it on a busy machine; one that is gone is told
/// by its connection, which is not waited for so long.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Messages that wait to be written, where nothing is asked. Each has a place of almost 5 kB in a ring,
/// which is used all around: one that is larger than the nearest caches costs a third of the throughput.
const MAX_PENDING: u64 = 20;

pub type Client = Pulsar<TokioExecutor>;

/// Connects; each publisher and each consumer by itself.
pub async fn client(trial: &Trial) -> Result<Client, DriverError> {
    let doing = || format!("connect to {}", trial.address.shown);
    let queue = trial.task.count("max_pending").unwrap_or(MAX_PENDING);
    let relay = trial.address.tls.clone().map(Relay::new);
    let url = match &relay {
        None => broker_url(&trial.broker),
        Some(relay) => relay.way_to(&trial.broker).map_err(|error| DriverError {
            doing: doing(),
            cause: words(&error),
        })?,
    };
    let mut builder = Pulsar::builder(url, TokioExecutor)
        .with_outbound_channel_size(queue as usize)
        .with_connection_retry_options(ConnectionRetryOptions {
            // A server that is gone is asked for some seconds, then given up.
            min_backoff: Duration::from_millis(20),
            max_backoff: Duration::from_millis(300),
            max_retries: 12,
            connection_timeout: CONNECT_TIMEOUT,
            ..ConnectionRetryOptions::default()
        })
        .with_operation_retry_options(OperationRetryOptions {
            operation_timeout: ANSWERED_WITHIN,
            retry_delay: Duration::from_millis(200),
            max_retries: Some(10),
        });
    builder = match (&trial.login, trial.login.method()) {
        (Login::Basic { user, password }, _) => {
            builder.with_auth_provider(BasicAuthentication::new(user, password))
        }
        (_, Some((method, data))) => builder.with_auth(Authentication {
            name: method.to_owned(),
            data: data.into_bytes(),
        }),
        (_, None) => builder,
    };
    let cause = match timeout(CONNECT_TIMEOUT, builder.build()).await {
        Ok(Ok(connected)) => return Ok(connected),
        Ok(Err(error)) => reason(&error),
        Err(_) => "no answer came in time".to_owned(),
    };
    // The library knows only its way to the relay.
    let trouble = relay.and_then(|relay| relay.trouble());
    Err(DriverError {
        doing: doing(),
        cause: trouble.unwrap_or(cause),
    })
}

/// Lets small messages go at once, on all connections that there are by now.
///
/// The library leaves Nagle's algorithm on, by which a message waits for the acknowledgement of the TCP segment before it;
/// Pulsar's Java client and the other drivers here turn it off. It hands out none of its sockets, so every one of
/// this process is set, which only runs this trial.
///
/// Not in a closed loop, where it would cost what is measured there: the library writes each message by itself, and
/// while many are under way the kernel sends together what was written meanwhile, as the Java client does on its own.
pub fn send_at_once(load: &Load) {
    if matches!(load, Load::Max) {
        return;
    }
    let Ok(open) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let on: c_int = 1;
    let names = open.flatten().map(|it| it.file_name());
    for descriptor in names.filter_map(|it| it.to_str()?.parse::<RawFd>().ok()) {
        // What is no TCP socket refuses it, which is as well.
        // SAFETY: the value outlives the call, and its length is given. A descriptor that was closed meanwhile, or stands
        // for something else by now, is refused or is another TCP socket of this process.
        unsafe {
            libc::setsockopt(
                descriptor,
                libc::IPPROTO_TCP,
                libc::TCP_NODELAY,
                (&raw const on).cast(),
                size_of::<c_int>() as socklen_t,
            );
        }
    }
}

/// Things of the library that say farewell to the broker when they are dropped, in a task: so they must
/// be dropped within the runtime, wherever their owner is.
pub struct Inside<T> {
    what: Vec<T>,
    runtime: Handle,
}

impl<T> Inside<T> {
    /// To be called within the runtime.
    pub fn new(what: Vec<T>) -> Inside<T> {
        let runtime = Handle::current();
        Inside { what, runtime }
    }

    /// What there is.
    pub fn all(&mut self) -> &mut [T] {
        &mut self.what
    }
}

impl<T> Drop for Inside<T> {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.what.clear();
    }
}

/// An error of the library with what was attempted.
pub fn failed(doing: String, error: &Error) -> DriverError {
    DriverError {
        doing,
        cause: reason(error),
    }
}

/// What an error of the library means for the connection, in the user's words.
pub fn ended(error: &Error) -> Ended<String> {
    let connection = match error {
        Error::Connection(error)
        | Error::Consumer(ConsumerError::Connection(error))
        | Error::Producer(ProducerError::Connection(error)) => Some(error),
        _ => None,
    };
    let is_lost = connection.is_some_and(|error| match error {
        ConnectionError::Io(error) => error.kind() != std::io::ErrorKind::TimedOut,
        ConnectionError::Disconnected | ConnectionError::Canceled | ConnectionError::Shutdown => {
            true
        }
        _ => false,
    });
    Ended {
        error: reason(error),
        is_lost,
    }
}

/// What an error of the library means.
pub fn reason(error: &Error) -> String {
    match error {
        Error::Connection(error) => connection(error),
        Error::Consumer(ConsumerError::Connection(error)) => connection(error),
        Error::Consumer(ConsumerError::Io(error)) => {
            format!("a message could not be decompressed: {}", words(error))
        }
        Error::Consumer(ConsumerError::Closed) => "the consumer was closed".to_owned(),
        Error::Consumer(error) => plain(&error.to_string()),
        Error::Producer(error) => producer(error),
        Error::ServiceDiscovery(error) => discovery(error),
        Error::Authentication(error) => authentication(error),
        Error::Custom(text) => plain(text),
        Error::Executor => "the runtime is shutting down".to_owned(),
    }
}

fn producer(error: &ProducerError) -> String {
    match error {
        ProducerError::Connection(error) => connection(error),
        ProducerError::Io(error) => format!("it could not be compressed: {}", words(error)),
        ProducerError::Custom(text) => plain(text),
        ProducerError::Batch(error) => reason(error),
        ProducerError::Fenced => "another producer took the topic for itself".to_owned(),
        ProducerError::Closed => "the producer was closed".to_owned(),
        ProducerError::PartialSend(_) => "not all could be sent".to_owned(),
    }
}

fn discovery(error: &ServiceDiscoveryError) -> String {
    match error {
        ServiceDiscoveryError::Connection(error) => connection(error),
        ServiceDiscoveryError::Query(_, Some(text)) => plain(text),
        ServiceDiscoveryError::NotFound => {
            "the server names no address of the kind that was used".to_owned()
        }
        other => plain(&other.to_string()),
    }
}

fn authentication(error: &AuthenticationError) -> String {
    format!("the login failed: {}", plain(&error.to_string()))
}

fn connection(error: &ConnectionError) -> String {
    let seconds = ANSWERED_WITHIN.as_secs();
    match error {
        ConnectionError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            format!("no answer came within {seconds} s")
        }
        ConnectionError::Io(error) => words(error),
        ConnectionError::Disconnected | ConnectionError::Canceled | ConnectionError::Shutdown => {
            "the connection was lost".to_owned()
        }
        ConnectionError::SlowDown => "the client's queue is full".to_owned(),
        ConnectionError::PulsarError(_, Some(text)) if !text.is_empty() => plain(text),
        ConnectionError::PulsarError(..) => "the server refused it and gave no reason".to_owned(),
        ConnectionError::Authentication(error) => authentication(error),
        ConnectionError::NotFound => "the address was not found".to_owned(),
        other => plain(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::send_at_once;
    use crate::scenario::units::Rate;
    use crate::scenario::workload::{Arrival, Load};

    #[test]
    fn connections_of_an_open_loop_do_not_wait_for_more_to_send() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let connection = TcpStream::connect(address).expect("a connection");
        assert!(!connection.nodelay().expect("an answer"));
        send_at_once(&Load::Max);
        assert!(!connection.nodelay().expect("an answer"), "a closed loop");
        send_at_once(&Load::Rate {
            rate: Rate(100.0),
            arrival: Arrival::Uniform,
        });
        assert!(connection.nodelay().expect("an answer"));
    }
}
