//! Redis Pub/Sub: channels, at most once, nothing kept.
//!
//! The answer to `PUBLISH` comes when the server has put the message into the output buffer of every
//! subscriber: it took responsibility as far as this system ever does. It says nothing of delivery: a
//! subscriber that falls behind by more than its output buffer is disconnected, and what it had not
//! read is gone.

use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use futures_util::{StreamExt, TryFutureExt};
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Cmd, cmd};

use super::descriptor::{Descriptor, Offer, Order, PatternSpec, Setting};
use super::losses::{Ended, Losses};
use super::redis::{
    ANSWER_WITHIN, Body, CLIENT, Commands, PIPELINES, RedisPublisher, batch, check_size, failed,
    reason, setting, version,
};
use super::redis_connection::{SCHEMES, SECURITY, address, connect, in_time, subscriber};
use super::{AsyncConsumer, Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::inbox::Inbox;
use crate::engine::outbox::Message;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

static DESCRIPTOR: Descriptor = Descriptor {
    name: "redis-pubsub",
    title: "Redis Pub/Sub",
    about: "Redis channels: what nobody listens to is gone.",
    client: CLIENT,
    schemes: SCHEMES,
    server: Some("redis"),
    options: &[batch("256"), PIPELINES],
    patterns: &[
        PatternSpec {
            pattern: Pattern::Queue,
            shared: false,
            how: "channel, one subscriber per group",
        },
        PatternSpec {
            pattern: Pattern::FanOut,
            shared: false,
            how: "channel, one subscriber per group",
        },
    ],
    offers: &[Offer {
        delivery: Delivery::AtMostOnce,
        durability: Durability::Memory,
        acks: true,
        order: Order::PerPublisher,
        settings: &[Setting::publisher("PUBLISH", "answer awaited")],
        note: "an acknowledgement says that the server handled the message, not that anybody got it; \
               a subscriber that falls behind its output buffer is disconnected",
    }],
    holds_backlog: false,
    needs_consumers: &[],
    transactions: &[],
    security: SECURITY,
    needs_threads: false,
    ranked: true,
};

/// The driver.
#[derive(Debug)]
pub struct RedisPubSub;

impl Driver for RedisPubSub {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            let mut connection = connect(task, ANSWER_WITHIN).await?;
            let info: String = cmd("INFO")
                .arg("server")
                .query_async(&mut connection)
                .await
                .map_err(failed(task, "ask for the version"))?;
            check_size(task, &mut connection).await?;
            let mut facts: Vec<(String, String)> = version(&info).into_iter().collect();
            let limits = setting(&mut connection, "client-output-buffer-limit").await;
            if let Some((_, limit)) = limits.as_deref().and_then(|l| l.split_once("pubsub ")) {
                let key = "client-output-buffer-limit pubsub".to_owned();
                facts.push((key, limit.to_owned()));
            }
            Ok(Box::new(PubSubSession {
                task: Arc::new(task.clone()),
                facts,
                losses: Arc::default(),
            }) as Box<dyn Session>)
        })
    }
}

struct PubSubSession {
    task: Arc<Task>,
    facts: Vec<(String, String)>,
    losses: Arc<Losses>,
}

impl Session for PubSubSession {
    fn server_facts(&self) -> Vec<(String, String)> {
        self.facts.clone()
    }

    fn notes(&self) -> Vec<String> {
        self.losses.notes(self.task.delivery)
    }

    fn publisher(&self, _publisher: u32) -> Publisher {
        let task = &self.task;
        let channels =
            (0..task.workload.destinations.max(1)).map(|number| task.destination(number));
        let publish = Publish(channels.collect());
        Publisher::Async(Box::new(RedisPublisher::new(task, publish, &self.losses)))
    }

    fn consumer(&self, _group: u32, consumer: u32) -> Consumer {
        Consumer::Async(Box::new(PubSubConsumer {
            task: Arc::clone(&self.task),
            losses: Arc::clone(&self.losses),
            consumer,
        }))
    }
}

/// The channels, by destination.
struct Publish(Vec<String>);

impl Commands for Publish {
    fn command(&self, message: &Message<'_>) -> Cmd {
        let channel = &self.0[message.destination as usize];
        let room = "PUBLISH".len() + channel.len() + message.len();
        let mut publish = Cmd::with_capacity(3, room);
        publish.arg("PUBLISH").arg(channel).arg(Body(message));
        publish
    }
}

struct PubSubConsumer {
    task: Arc<Task>,
    losses: Arc<Losses>,
    consumer: u32,
}

impl AsyncConsumer for PubSubConsumer {
    fn run(&mut self, mut inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let task = self.task.as_ref();
            let mut subscription = Subscription::of(task, self.consumer).await?;
            inbox.ready();
            let mut comeback = self.losses.consumer();
            loop {
                while let Some(message) = subscription.messages.next().await {
                    inbox.received(message.get_payload_bytes());
                }
                // The stream just ends; whether the server is still there tells the two reasons apart.
                if connect(task, ANSWER_WITHIN).await.is_ok() {
                    return Err(cannot_receive(
                        task,
                        "the server disconnected the subscriber, as it does with one that falls behind \
                         (client-output-buffer-limit pubsub)",
                    ));
                }
                let lost = cannot_receive(task, "the connection was lost");
                let subscribe = async || Subscription::of(task, self.consumer).await;
                let back = comeback.receive_again(&mut inbox, Ended::lost(lost), subscribe);
                subscription = back.await?;
            }
        })
    }
}

/// What one consumer listens to.
struct Subscription {
    /// With it the connection ends.
    _sink: PubSubSink,
    messages: PubSubStream,
}

impl Subscription {
    /// Returns when the server has confirmed every channel.
    async fn of(task: &Task, consumer: u32) -> Result<Subscription, DriverError> {
        let (mut sink, messages) = subscriber(task).await?.split();
        let subscribed = sink.subscribe(task.destination_names_of(consumer));
        in_time(task, subscribed.map_err(|error| reason(&error))).await?;
        Ok(Subscription {
            _sink: sink,
            messages,
        })
    }
}

fn cannot_receive(task: &Task, cause: &str) -> DriverError {
    DriverError {
        doing: format!("receive from {}", address(task)),
        cause: cause.to_owned(),
    }
}
