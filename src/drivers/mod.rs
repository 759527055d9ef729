//! Through what: one file per client. Bytes in, bytes out, acks; no clock, no rate, no histogram.
//!
//! The engine calls a driver a few times a trial; after that the driver's loops call the engine: a
//! publisher's loop pulls messages from its outbox and says through `acks` what became of them, a
//! consumer's loop hands what it gets to its inbox.

pub mod descriptor;
pub mod faults;
pub mod jetstream;
mod jetstream_consumer;
mod jetstream_publisher;
mod jetstream_streams;
pub mod kafka;
mod kafka_batch;
mod kafka_client;
mod kafka_consumer;
mod kafka_publisher;
mod kafka_upkeep;
pub mod loopback;
mod loopback_bench;
mod loopback_pipes;
mod losses;
pub mod mqtt;
mod mqtt_address;
mod mqtt_connection;
mod mqtt_consumer;
mod mqtt_publisher;
mod mqtt_words;
pub mod nats;
mod nats_connection;
pub mod pulsar;
#[cfg(feature = "pulsar")]
mod pulsar_address;
#[cfg(feature = "pulsar")]
mod pulsar_client;
#[cfg(feature = "pulsar")]
mod pulsar_consumer;
#[cfg(feature = "pulsar")]
mod pulsar_frames;
#[cfg(feature = "pulsar")]
mod pulsar_publisher;
#[cfg(feature = "pulsar")]
mod pulsar_relay;
#[cfg(feature = "pulsar")]
mod pulsar_session;
#[cfg(feature = "pulsar")]
mod pulsar_socket;
pub mod rabbitmq;
mod rabbitmq_consumer;
mod rabbitmq_link;
mod rabbitmq_publisher;
mod rabbitmq_topology;
pub mod redis;
mod redis_connection;
mod redis_entries;
mod redis_names;
pub mod redis_pubsub;
mod redis_reader;
pub mod redis_streams;
mod redis_upkeep;
pub mod target;
pub mod tls;
pub mod zeromq;

use futures_util::future::BoxFuture;

pub use crate::engine::contract::{
    AsyncConsumer, AsyncPublisher, BlockingConsumer, BlockingPublisher, Consumer, DriverError,
    Publisher, Session,
};
use crate::engine::task::Task;
use descriptor::Descriptor;

/// One client.
pub trait Driver: Send + Sync {
    /// What it is and what it can do.
    fn descriptor(&self) -> &'static Descriptor;

    /// Why this build of mqbench cannot run it, and what would help; `None` where it can.
    fn left_out(&self) -> Option<&'static str> {
        None
    }

    /// Makes fresh destinations for the trial, and checks that the broker answers.
    ///
    /// # Errors
    /// Where the broker cannot be reached, refuses the login or the destination.
    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>>;
}

/// Every driver there is: a new one is one file and one line.
pub static REGISTRY: &[&dyn Driver] = &[
    &loopback::Loopback,
    &kafka::Kafka,
    &mqtt::Mqtt,
    &nats::Nats,
    &jetstream::JetStream,
    &pulsar::Pulsar,
    &rabbitmq::RabbitMq,
    &redis_pubsub::RedisPubSub,
    &redis_streams::RedisStreams,
    &zeromq::ZeroMq,
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
