//! What a driver is to the engine: sessions that hand out loops.
//!
//! The engine calls a driver a few times a trial; after that the driver's loops call the engine: a
//! publisher's loop pulls messages from its outbox and says through `acks` what became of them, a
//! consumer's loop hands what it gets to its inbox.

use std::fmt;

use futures_util::future::{BoxFuture, LocalBoxFuture};

use super::inbox::Inbox;
use super::pacing::{AsyncOutbox, BlockingOutbox};

/// Why a driver could not go on, in the user's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DriverError {
    /// What was attempted: `connect to nats://127.0.0.1:4222`.
    pub doing: String,
    /// What was wrong, without the names of a library's types.
    pub cause: String,
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.doing, self.cause)
    }
}

impl DriverError {
    /// For `map_err`: what was attempted, then the cause.
    pub fn while_doing<E: fmt::Display>(doing: impl Into<String>) -> impl FnOnce(E) -> DriverError {
        let doing = doing.into();
        move |cause| DriverError {
            doing,
            cause: cause.to_string(),
        }
    }
}

/// One trial against one broker.
pub trait Session: Send + Sync {
    /// Facts about the server that only a client can learn: version, effective settings.
    fn server_facts(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// What happened in the trial that a reader of its figures must know (the client library dropped
    /// messages, a connection was lost and came back); asked when it has ended.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// One of the publishers, with a connection of its own that is made when it runs.
    fn publisher(&self, publisher: u32) -> Publisher;

    /// One of the consumers of a group, with a connection of its own that is made when it runs.
    fn consumer(&self, group: u32, consumer: u32) -> Consumer;

    /// Messages that wait in the broker, summed over destinations; `None` where it does not tell.
    fn backlog(&self) -> Option<BoxFuture<'_, Result<u64, DriverError>>> {
        None
    }

    /// Removes what the trial made; called once, also after a failure.
    fn clean_up(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async { Ok(()) })
    }
}

/// How a publisher wants to run.
pub enum Publisher {
    /// On a thread of its own.
    Blocking(Box<dyn BlockingPublisher>),
    /// As a task, many to a thread.
    Async(Box<dyn AsyncPublisher>),
}

/// How a consumer wants to run.
pub enum Consumer {
    /// On a thread of its own.
    Blocking(Box<dyn BlockingConsumer>),
    /// As a task, many to a thread.
    Async(Box<dyn AsyncConsumer>),
}

/// A publisher with a thread of its own.
pub trait BlockingPublisher: Send {
    /// Connects; the load starts when every publisher has returned from here.
    ///
    /// # Errors
    /// Where there is no connection.
    fn connect(&mut self) -> Result<(), DriverError>;

    /// Sends until the outbox has no more, then waits for what is unresolved (until the outbox says
    /// that the trial is over).
    ///
    /// # Errors
    /// Where the connection is lost for good; what could not be sent is failed one by one instead.
    fn run(&mut self, outbox: BlockingOutbox) -> Result<(), DriverError>;
}

/// A publisher that shares its thread.
pub trait AsyncPublisher: Send {
    /// Connects; the load starts when every publisher has returned from here.
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>>;

    /// Sends until the outbox has no more, then waits for what is unresolved. The engine drops the
    /// future when the trial is over.
    fn run(&mut self, outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>>;
}

/// A consumer with a thread of its own.
pub trait BlockingConsumer: Send {
    /// Connects, subscribes, says `inbox.ready()` when the broker has confirmed it, and receives until
    /// `inbox.is_over()`, looking at that at least ten times a second.
    ///
    /// # Errors
    /// Where the connection is lost for good.
    fn run(&mut self, inbox: Inbox) -> Result<(), DriverError>;
}

/// A consumer that shares its thread.
pub trait AsyncConsumer: Send {
    /// Connects, subscribes, says `inbox.ready()` when the broker has confirmed it, and receives. The
    /// engine drops the future when the trial is over.
    fn run(&mut self, inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>>;
}
