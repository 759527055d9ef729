//! The consumer of Pulsar: one subscription to all of its topics.
//!
//! The library does not hand on how often the broker has delivered a message, so what it delivers again
//! cannot be told from a copy.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use pulsar::consumer::{Consumer, InitialPosition, Message};
use pulsar::message::proto::MessageIdData;
use pulsar::{ConsumerOptions, SubType, TokioExecutor};
use tokio::time::{Instant, sleep, timeout};

use super::pulsar_client::{client, failed, reason};
use super::pulsar_session::Trial;
use super::target::GONE_AFTER;
use super::{AsyncConsumer, DriverError};
use crate::engine::inbox::Inbox;
use crate::scenario::workload::AckPolicy;

/// A broker that sends nothing for so long is asked whether it is there.
const IDLE: Duration = Duration::from_secs(2);

type Subscribed = Consumer<Vec<u8>, TokioExecutor>;

pub struct PulsarConsumer {
    trial: Arc<Trial>,
    group: u32,
    consumer: u32,
}

impl PulsarConsumer {
    pub fn new(trial: Arc<Trial>, group: u32, consumer: u32) -> PulsarConsumer {
        PulsarConsumer {
            trial,
            group,
            consumer,
        }
    }

    fn kind(&self) -> SubType {
        let workload = &self.trial.task.workload;
        match self.trial.task.text("subscription") {
            Some("exclusive") => SubType::Exclusive,
            Some("failover") => SubType::Failover,
            Some("key-shared") => SubType::KeyShared,
            Some(_) => SubType::Shared,
            None if workload.consumers > workload.destinations => SubType::Shared,
            None => SubType::Exclusive,
        }
    }

    /// What the broker may send ahead, and what the library holds of it.
    fn queue(&self) -> u32 {
        let asked = self.trial.task.count("receiver_queue").unwrap_or(1_000);
        let workload = &self.trial.task.workload;
        let under_way = u64::from(workload.publishers.max(1)) * u64::from(workload.in_flight);
        let least = if self.trial.persistent { 0 } else { under_way };
        asked.max(least).min(u64::from(u32::MAX / 4)) as u32
    }

    async fn subscribe(&self) -> Result<Subscribed, DriverError> {
        let Trial { task, address, .. } = self.trial.as_ref();
        let names = task.destination_names_of(self.consumer);
        let topics: Vec<String> = names.iter().map(|name| self.trial.topic(name)).collect();
        let client = client(&self.trial).await?;
        let subscribed = client
            .consumer()
            .with_topics(topics)
            .with_subscription(self.trial.subscription(self.group))
            .with_subscription_type(self.kind())
            .with_consumer_name(format!("consumer-{}", self.consumer))
            .with_batch_size(self.queue())
            .with_options(
                ConsumerOptions::default()
                    .with_receiver_queue_size(self.queue())
                    .with_initial_position(InitialPosition::Earliest),
            )
            .build();
        let doing = || format!("subscribe to {} at {}", names.join(", "), address.shown);
        let mut subscribed = subscribed.await.map_err(|error| failed(doing(), &error))?;
        // The permits to send were written after the subscription was confirmed. Commands are handled one
        // after the other, so with the answer to another the broker has them; before, it would drop
        // what comes to a non-persistent topic.
        match answer(&mut subscribed).await {
            Ok(()) => Ok(subscribed),
            Err(cause) => Err(DriverError {
                doing: doing(),
                cause,
            }),
        }
    }
}

/// Waits for an answer of the broker to something that changes nothing.
///
/// Not to a ping of the library: it remembers only one, so that with its own in between it takes the
/// connection for lost.
async fn answer(consumer: &mut Subscribed) -> Result<(), String> {
    match timeout(GONE_AFTER, consumer.get_stats()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(reason(&error)),
        Err(_) => {
            let seconds = GONE_AFTER.as_secs();
            Err(format!("no answer came within {seconds} s"))
        }
    }
}

impl AsyncConsumer for PulsarConsumer {
    fn run(&mut self, mut inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let consumer = self.subscribe().await?;
            inbox.ready();
            let owed = Owed {
                cumulative: matches!(self.kind(), SubType::Exclusive | SubType::Failover),
                policy: self.trial.task.workload.ack,
                ids: Vec::new(),
                count: 0,
            };
            let cause = receive(consumer, owed, &mut inbox).await;
            Err(DriverError {
                doing: format!("receive from {}", self.trial.address.shown),
                cause,
            })
        })
    }
}

/// What was received and not acknowledged.
struct Owed {
    /// Whether the last of several may be acknowledged for all before it.
    cumulative: bool,
    policy: AckPolicy,
    /// Entries that are complete, with their topics; of each topic the last where that is enough.
    ids: Vec<(String, MessageIdData)>,
    /// Messages since the last acknowledgement.
    count: u64,
}

impl Owed {
    /// Whether it is time to acknowledge.
    fn add(&mut self, message: Message<Vec<u8>>) -> bool {
        self.count += 1;
        let Message {
            topic, message_id, ..
        } = message;
        // The broker takes the acknowledgement of one message of a batch for that of the whole entry.
        let last = message_id.batch_size.unwrap_or(1) - 1;
        let mut id = message_id.id;
        if id.batch_index.is_none_or(|index| index >= last) {
            id.batch_index = None;
            let known = self.ids.iter_mut().find(|(known, _)| *known == topic);
            match known {
                Some((_, known)) if self.cumulative => *known = id,
                _ => self.ids.push((topic, id)),
            }
        }
        self.count >= u64::from(self.policy.every)
    }

    /// Hands the acknowledgements to the library, which writes them.
    async fn settle(&mut self, consumer: &mut Subscribed) -> Result<(), String> {
        self.count = 0;
        for (topic, id) in self.ids.drain(..) {
            let done = if self.cumulative {
                consumer.cumulative_ack_with_id(&topic, id).await
            } else {
                consumer.ack_with_id(&topic, id).await
            };
            done.map_err(|error| reason(&error.into()))?;
        }
        Ok(())
    }
}

/// Receives until it fails; returns why.
async fn receive(mut consumer: Subscribed, mut owed: Owed, inbox: &mut Inbox) -> String {
    let mut alarm = pin!(sleep(IDLE));
    loop {
        match select(consumer.next(), alarm.as_mut()).await {
            Either::Left((Some(Ok(message)), _)) => {
                inbox.received(&message.payload.data);
                if owed.count == 0 {
                    alarm.as_mut().reset(Instant::now() + owed.policy.within);
                }
                if !owed.add(message) {
                    continue;
                }
            }
            Either::Left((Some(Err(error)), _)) => return reason(&error),
            Either::Left((None, _)) => return "the connection was lost".to_owned(),
            Either::Right(_) if owed.count > 0 => {}
            Either::Right(_) => {
                if let Err(why) = answer(&mut consumer).await {
                    return why;
                }
                alarm.as_mut().reset(Instant::now() + IDLE);
                continue;
            }
        }
        if let Err(why) = owed.settle(&mut consumer).await {
            return why;
        }
        alarm.as_mut().reset(Instant::now() + IDLE);
    }
}
