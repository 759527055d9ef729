//! Through what: one file per client. Bytes in, bytes out, acks; no clock, no rate, no histogram.
//!
//! The engine calls a driver a few times a trial; after that the driver's loops call the engine: a
//! publisher's loop pulls messages from its outbox and says through `acks` what became of them, a
//! consumer's loop hands what it gets to its inbox.

pub mod descriptor;
pub mod nats;
pub mod redis;
pub mod redis_pubsub;
mod redis_reader;
pub mod redis_streams;
mod redis_upkeep;
pub mod target;

use std::fmt;

use futures_util::future::{BoxFuture, LocalBoxFuture};

use crate::engine::inbox::Inbox;
use crate::engine::pacing::{AsyncOutbox, BlockingOutbox};
use crate::engine::task::Task;
use descriptor::Descriptor;

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

/// One client.
pub trait Driver: Send + Sync {
    /// What it is and what it can do.
    fn descriptor(&self) -> &'static Descriptor;

    /// Makes fresh destinations for the trial, and checks that the broker answers.
    ///
    /// # Errors
    /// Where the broker cannot be reached, refuses the login or the destination.
    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>>;
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

/// Every driver there is: a new one is one file and one line.
pub static REGISTRY: &[&dyn Driver] = &[
    &nats::Nats,
    &redis_pubsub::RedisPubSub,
    &redis_streams::RedisStreams,
];

/// What all drivers declare.
pub fn descriptors() -> impl Iterator<Item = &'static Descriptor> {
    REGISTRY.iter().map(|driver| driver.descriptor())
}

/// The driver with this name.
pub fn find(name: &str) -> Option<&'static dyn Driver> {
    REGISTRY
        .iter()
        .copied()
        .find(|driver| driver.descriptor().name == name)
}
