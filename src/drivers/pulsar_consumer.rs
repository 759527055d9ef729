//! The consumer of Pulsar: a subscription to each of its topics.
//!
//! The library could hold several topics by itself, but it drops one whose connection fails without a
//! word, and waits for good when none is left. So here each topic, and each partition, is one of its
//! consumers.
//!
//! The library does not hand on how often the broker has delivered a message, so what it delivers again
//! cannot be told from a copy.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select, try_join_all};
use pulsar::consumer::{Consumer, InitialPosition, Message};
use pulsar::message::proto::MessageIdData;
use pulsar::{ConsumerOptions, Error, SubType, TokioExecutor};
use tokio::time::{Instant, sleep, timeout};

use super::losses::Ended;
use super::pulsar_client::{ANSWERED_WITHIN, Client, client, ended, failed, send_at_once};
use super::pulsar_session::Trial;
use super::{AsyncConsumer, DriverError};
use crate::engine::inbox::Inbox;
use crate::scenario::workload::AckPolicy;

/// A broker that sends nothing for so long is asked whether it is there, and has been all the time.
const IDLE: Duration = Duration::from_secs(1);

/// Of a non-persistent topic the broker drops what a consumer has not asked for. At least so much is
/// always asked for, so that a machine that is busy with something else for a while loses none.
const LEAST_SPARE: u64 = 100_000;

/// A message and the number of the subscription that it came by; why there will be none, otherwise.
type Received = Result<(usize, Message<Vec<u8>>), Ended<String>>;
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
        let least = match self.trial.persistent {
            true => 0,
            // The library asks for more when half of what it asked for has come: until then the broker
            // may have no more than the other half to spare.
            false => LEAST_SPARE.max(2 * under_way),
        };
        asked.max(least).min(u64::from(u32::MAX / 4)) as u32
    }

    async fn subscribe(&self) -> Result<Subscriptions, DriverError> {
        let Trial { task, address, .. } = self.trial.as_ref();
        let names = task.destination_names_of(self.consumer);
        let doing = || format!("subscribe to {} at {}", names.join(", "), address.shown);
        let wrong = |error| failed(doing(), &error);
        let client = client(&self.trial).await?;
        let each = names.iter().map(|name| {
            // The topic itself, or its partitions.
            client.lookup_partitioned_topic(self.trial.topic(name))
        });
        let found = try_join_all(each).await.map_err(wrong)?;
        let topics = found.into_iter().flatten().map(|(topic, _)| topic);
        let each = topics.map(|topic| self.subscribe_to(&client, topic));
        let mut subscribed = Subscriptions {
            each: try_join_all(each).await.map_err(wrong)?,
            next: 0,
            since: Vec::new(),
        };
        send_at_once(&task.workload.load);
        // The permits to send were written after the subscription was confirmed. Commands are handled one
        // after the other, so with the answer to another the broker has them; before, it would drop
        // what comes to a non-persistent topic.
        match subscribed.answer().await {
            Ok(_) => Ok(subscribed),
            Err(trouble) => Err(trouble.while_doing(doing()).error),
        }
    }

    async fn subscribe_to(&self, client: &Client, topic: String) -> Result<Subscribed, Error> {
        client
            .consumer()
            .with_topic(topic)
            .with_subscription(self.trial.subscription(self.group))
            .with_subscription_type(self.kind())
            .with_consumer_name(format!("consumer-{}", self.consumer))
            .with_batch_size(self.queue())
            .with_options(
                ConsumerOptions::default()
                    .with_receiver_queue_size(self.queue())
                    .with_initial_position(InitialPosition::Earliest),
            )
            .build()
            .await
    }
}

/// The subscriptions of one consumer.
struct Subscriptions {
    each: Vec<Subscribed>,
    /// Which of them is asked first, so that none keeps the others waiting.
    next: usize,
    /// Since when the broker has had each, in its words: another one where the library has made a
    /// connection again, of which it says nothing.
    since: Vec<(Option<String>, Option<String>)>,
}

impl Subscriptions {
    fn poll(&mut self, context: &mut Context) -> Poll<Received> {
        for step in 0..self.each.len() {
            let number = (self.next + step) % self.each.len();
            let answer = match self.each[number].poll_next_unpin(context) {
                Poll::Pending => continue,
                Poll::Ready(Some(Ok(message))) => Ok((number, message)),
                Poll::Ready(Some(Err(error))) => Err(ended(&error)),
                Poll::Ready(None) => Err(Ended::lost("the connection was lost".to_owned())),
            };
            self.next = number + 1;
            return Poll::Ready(answer);
        }
        Poll::Pending
    }

    /// Waits for an answer of the broker to something that changes nothing. Returns how many
    /// subscriptions were made again since it was asked before.
    ///
    /// Not to a ping of the library: it remembers only one, so that with its own in between it takes
    /// the connection for lost.
    async fn answer(&mut self) -> Result<u64, Ended<String>> {
        let each = self.each.iter_mut().map(Consumer::get_stats);
        let stats = match timeout(ANSWERED_WITHIN, try_join_all(each)).await {
            Ok(Ok(stats)) => stats,
            Ok(Err(error)) => return Err(ended(&error)),
            Err(_) => {
                let seconds = ANSWERED_WITHIN.as_secs();
                let why = format!("no answer came within {seconds} s");
                return Err(Ended::refused(why));
            }
        };
        let told = stats.into_iter().flatten();
        let since: Vec<_> = told.map(|it| (it.address, it.connected_since)).collect();
        let both = self.since.iter().zip(&since);
        let again = both.filter(|(before, now)| before != now).count();
        self.since = since;
        Ok(again as u64)
    }
}

impl AsyncConsumer for PulsarConsumer {
    fn run(&mut self, mut inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let mut subscribed = self.subscribe().await?;
            inbox.ready();
            let mut comeback = self.trial.losses.consumer();
            loop {
                let owed = Owed {
                    cumulative: matches!(self.kind(), SubType::Exclusive | SubType::Failover),
                    policy: self.trial.task.workload.ack,
                    ids: Vec::new(),
                    count: 0,
                };
                let trouble = receive(subscribed, owed, &mut inbox, &self.trial.again).await;
                let doing = format!("receive from {}", self.trial.address.shown);
                let subscribe = async || self.subscribe().await;
                let back =
                    comeback.receive_again(&mut inbox, trouble.while_doing(doing), subscribe);
                subscribed = back.await?;
            }
        })
    }
}

/// What was received and not acknowledged.
struct Owed {
    /// Whether the last of several may be acknowledged for all before it.
    cumulative: bool,
    policy: AckPolicy,
    /// Entries that are complete, with the number of their subscription; of each the last where that is
    /// enough.
    ids: Vec<(usize, MessageIdData)>,
    /// Messages since the last acknowledgement.
    count: u64,
}

impl Owed {
    /// Whether it is time to acknowledge.
    fn add(&mut self, number: usize, message: Message<Vec<u8>>) -> bool {
        self.count += 1;
        let message_id = message.message_id;
        // The broker takes the acknowledgement of one message of a batch for that of the whole entry.
        let last = message_id.batch_size.unwrap_or(1) - 1;
        let mut id = message_id.id;
        if id.batch_index.is_none_or(|index| index >= last) {
            id.batch_index = None;
            let known = self.ids.iter_mut().find(|(known, _)| *known == number);
            match known {
                Some((_, known)) if self.cumulative => *known = id,
                _ => self.ids.push((number, id)),
            }
        }
        self.count >= u64::from(self.policy.every)
    }

    /// Hands the acknowledgements to the library, which writes them.
    async fn settle(&mut self, subscribed: &mut Subscriptions) -> Result<(), Ended<String>> {
        self.count = 0;
        for (number, id) in self.ids.drain(..) {
            let consumer = &mut subscribed.each[number];
            // Which topic it is matters only where one of the library's consumers has several.
            let done = if self.cumulative {
                consumer.cumulative_ack_with_id("", id).await
            } else {
                consumer.ack_with_id("", id).await
            };
            done.map_err(|error| ended(&error.into()))?;
        }
        Ok(())
    }
}

/// Receives until it fails; returns why.
/// `again` counts subscriptions that were made again.
async fn receive(
    mut subscribed: Subscriptions,
    mut owed: Owed,
    inbox: &mut Inbox,
    again: &AtomicU64,
) -> Ended<String> {
    let mut alarm = pin!(sleep(IDLE));
    loop {
        let next = poll_fn(|context| subscribed.poll(context));
        match select(next, alarm.as_mut()).await {
            Either::Left((Ok((number, message)), _)) => {
                inbox.received(&message.payload.data);
                if owed.count == 0 {
                    alarm.as_mut().reset(Instant::now() + owed.policy.within);
                }
                if !owed.add(number, message) {
                    continue;
                }
            }
            Either::Left((Err(trouble), _)) => return trouble,
            Either::Right(_) if owed.count > 0 => {}
            Either::Right(_) => {
                match subscribed.answer().await {
                    Ok(0) => {}
                    Ok(count) => drop(again.fetch_add(count, Ordering::Relaxed)),
                    Err(trouble) => return trouble,
                }
                alarm.as_mut().reset(Instant::now() + IDLE);
                continue;
            }
        }
        if let Err(trouble) = owed.settle(&mut subscribed).await {
            return trouble;
        }
        alarm.as_mut().reset(Instant::now() + IDLE);
    }
}
