//! Consuming from RabbitMQ: a channel for each queue, deliveries acknowledged many at a time.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt, once, select_all};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer as LapinConsumer};
use tokio::time::{Instant, sleep_until};

use super::DriverError;
use super::losses::Ended;
use super::rabbitmq_link::{Link, Notes};
use super::rabbitmq_topology::{OFFSET, Topology};
use crate::engine::inbox::Inbox;
use crate::engine::task::Task;
use crate::scenario::workload::Delivery as Promise;

/// After so many messages in a row others of the thread have their turn.
const BURST: u32 = 256;
/// A time that does not come within a trial.
const NEVER: Duration = Duration::from_secs(1 << 20);

/// Subscribes, says that it is ready, and receives until the connection is lost. With `dead` it empties
/// and counts the dead-letter queues, too.
pub async fn consume(
    link: &Link,
    task: &Task,
    topology: &Topology,
    queues: &mut [Reading],
    dead: Option<&Notes>,
    inbox: &mut Inbox,
) -> Result<Infallible, Ended> {
    let wrong = |error| link.ended("subscribe", &error);
    // A stream takes no other credit than acknowledgements.
    let acknowledged = task.delivery != Promise::AtMostOnce || topology.is_stream();
    let prefetch = task.count("prefetch").unwrap_or(1_000) as u16;
    let options = BasicConsumeOptions {
        no_ack: !acknowledged,
        ..BasicConsumeOptions::default()
    };
    let (mut deliveries, mut read) = (Vec::new(), Vec::new());
    for reading in &*queues {
        // Acknowledgements count the deliveries of a channel, and several queues on one would reach us
        // in another order than they were counted in.
        let channel = link.another_channel().await.map_err(wrong)?;
        if acknowledged {
            let set = channel.basic_qos(prefetch, BasicQosOptions::default());
            set.await.map_err(wrong)?;
        }
        let arguments = topology.consume_arguments(reading.offset);
        let (queue, tag) = (reading.queue.clone(), ShortString::default());
        let consumer = channel.basic_consume(queue, tag, options, arguments);
        let (place, consumer) = (read.len(), consumer.await.map_err(wrong)?);
        // The end of one subscription must be seen although others go on.
        let consumer = consumer.map(Some).chain(once(ready(None)));
        deliveries.push(consumer.map(move |delivery| (place, delivery)));
        read.push(Read { channel, last: 0 });
    }
    // Before the load, too: what expires first is to be counted.
    let dead = match dead {
        Some(notes) => {
            let subscribed = subscribe_to_dead_letters(link, topology).await;
            subscribed.map_err(wrong)?.map(|dead| (dead, notes))
        }
        None => None,
    };
    let expired = async {
        match dead {
            Some((dead, notes)) => count_dead_letters(dead, notes).await,
            None => pending().await,
        }
    };
    inbox.ready();
    // Where the server gives fewer before it wants an answer, that is when it gets one.
    let most = match prefetch {
        0 => u32::MAX,
        prefetch => prefetch.into(),
    };
    let receiver = Receiver {
        read,
        streams: topology.is_stream().then_some(queues),
        every: acknowledged.then(|| task.workload.ack.every.clamp(1, most)),
        within: task.workload.ack.within,
    };
    let receiving = async {
        match deliveries.as_mut_slice() {
            [only] => receiver.receive(only, inbox).await,
            _ => {
                let mut all = select_all(deliveries);
                receiver.receive(&mut all, inbox).await
            }
        }
    };
    let ended = tokio::select! {
        ended = receiving => ended,
        ended = expired => ended,
    };
    Err(match ended {
        Some(error) => link.lost("receive", &error).await,
        None => Ended::refused(DriverError {
            doing: format!("receive at {}", link.address),
            cause: "the server ended the subscription: its queue was deleted, or its node is down"
                .to_owned(),
        }),
    })
}

/// A queue that a consumer reads, whatever becomes of its connection.
pub struct Reading {
    pub queue: ShortString,
    /// Of a stream: of the last message that was read.
    pub offset: Option<i64>,
}

/// One queue, with the channel that it is read on.
struct Read {
    channel: Channel,
    /// The last delivery that has not been acknowledged; 0 for none.
    last: u64,
}

/// Receives and acknowledges.
struct Receiver<'q> {
    read: Vec<Read>,
    /// Streams remember no reader: it must know by itself how far it came.
    streams: Option<&'q mut [Reading]>,
    /// `None` where the server wants no acknowledgements.
    every: Option<u32>,
    within: Duration,
}

/// A delivery with the place of its queue; `None` at the end of a subscription.
type Next = (usize, Option<lapin::Result<Delivery>>);

impl Receiver<'_> {
    /// Receives until a subscription ends, and says why; `None` if the server ended it.
    async fn receive(
        mut self,
        deliveries: &mut (impl Stream<Item = Next> + Unpin),
        inbox: &mut Inbox,
    ) -> Option<lapin::Error> {
        let mut deadline = pin!(sleep_until(Instant::now() + NEVER));
        let mut on_their_way = FuturesUnordered::new();
        let (mut waiting, mut burst) = (0, 0);
        loop {
            let due = tokio::select! {
                biased;
                Some(sent) = on_their_way.next(), if !on_their_way.is_empty() => {
                    if let Err(error) = sent {
                        return Some(error);
                    }
                    false
                }
                next = deliveries.next() => {
                    let (place, delivery) = next?;
                    let delivery = match delivery? {
                        Ok(delivery) => delivery,
                        Err(error) => return Some(error),
                    };
                    inbox.received_at(inbox.stamp(), &delivery.data, delivery.redelivered);
                    if let Some(streams) = &mut self.streams {
                        streams[place].offset = offset(&delivery);
                    }
                    burst += 1;
                    if burst == BURST {
                        burst = 0;
                        tokio::task::yield_now().await;
                    }
                    match self.every {
                        None => false,
                        Some(every) => {
                            if waiting == 0 {
                                deadline.as_mut().reset(Instant::now() + self.within);
                            }
                            waiting += 1;
                            self.read[place].last = delivery.delivery_tag;
                            waiting >= every
                        }
                    }
                }
                () = &mut deadline, if waiting > 0 => true,
            };
            if due {
                waiting = 0;
                let unanswered = self.read.iter_mut().filter(|read| read.last > 0);
                on_their_way.extend(unanswered.map(|read| {
                    let tag = std::mem::take(&mut read.last);
                    acknowledge(read.channel.clone(), tag)
                }));
            }
        }
    }
}

/// Where in its stream a message stands.
fn offset(delivery: &Delivery) -> Option<i64> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get(OFFSET)? {
        AMQPValue::LongLongInt(offset) => Some(*offset),
        _ => None,
    }
}

/// Acknowledges this one and all before it on its channel.
async fn acknowledge(channel: Channel, tag: u64) -> lapin::Result<()> {
    let options = BasicAckOptions { multiple: true };
    channel.basic_ack(tag, options).await
}

/// The dead-letter queues, with the channel that they are read on.
struct DeadLetters {
    consumers: Vec<LapinConsumer>,
    _channel: Channel,
}

/// `None` where the trial has none.
async fn subscribe_to_dead_letters(
    link: &Link,
    topology: &Topology,
) -> lapin::Result<Option<DeadLetters>> {
    let queues = topology.dead_letter_queues();
    if queues.is_empty() {
        return Ok(None);
    }
    let channel = link.another_channel().await?;
    let options = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let mut consumers = Vec::new();
    for queue in queues {
        let none = FieldTable::default();
        let consumer = channel.basic_consume(queue, ShortString::default(), options, none);
        consumers.push(consumer.await?);
    }
    Ok(Some(DeadLetters {
        consumers,
        _channel: channel,
    }))
}

/// Empties the dead-letter queues until one of them ends, and says why.
async fn count_dead_letters(dead: DeadLetters, notes: &Notes) -> Option<lapin::Error> {
    let mut all = select_all(dead.consumers);
    while let Some(delivery) = all.next().await {
        match delivery {
            Ok(_) => notes.dead.fetch_add(1, Ordering::Relaxed),
            Err(error) => return Some(error),
        };
    }
    None
}
