//! The publisher of Pulsar: hands messages to the library, and learns of their receipts in a task of
//! its own, so that an acknowledgement is stamped when it comes.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use pulsar::compression::{
    Compression, CompressionLz4, CompressionSnappy, CompressionZlib, CompressionZstd,
};
use pulsar::producer::{Message, SendFuture};
use pulsar::routing_policy::{CustomRoutingPolicy, RoutingPolicy};
use pulsar::{Producer, ProducerOptions, TokioExecutor};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::losses::Ended;
use super::pulsar_client::{Inside, client, ended, failed, send_at_once};
use super::pulsar_session::Trial;
use super::{AsyncPublisher, DriverError};
use crate::engine::acks::{Acks, Token};
use crate::engine::pacing::AsyncOutbox;
use crate::engine::task::Task;

/// Messages taken from the outbox at a time: each is written by itself, so few.
const BATCH: usize = 16;
/// Bytes of a batch at most, as other clients of Pulsar have it.
const BATCH_BYTES: usize = 128 << 10;

type Link = Producer<TokioExecutor>;

pub struct PulsarPublisher {
    trial: Arc<Trial>,
    publisher: u32,
    /// By number of the destination; those of other publishers have none.
    producers: Option<Inside<Option<Link>>>,
}

impl PulsarPublisher {
    pub fn new(trial: Arc<Trial>, publisher: u32) -> PulsarPublisher {
        PulsarPublisher {
            trial,
            publisher,
            producers: None,
        }
    }

    async fn open(&self) -> Result<Inside<Option<Link>>, DriverError> {
        let Trial { task, address, .. } = self.trial.as_ref();
        let client = client(&self.trial).await?;
        let mut producers: Vec<Option<Link>> = Vec::new();
        producers.resize_with(task.workload.destinations.max(1) as usize, || None);
        let mut producers = Inside::new(producers);
        for number in task.destinations_by(self.publisher) {
            let destination = task.destination(number);
            let doing = || format!("publish to {destination} at {}", address.shown);
            let producer = client
                .producer()
                .with_topic(self.trial.topic(&destination))
                .with_options(options(task, self.publisher))
                .build();
            let producer = producer.await.map_err(|error| failed(doing(), &error))?;
            producers.all()[number as usize] = Some(producer);
        }
        send_at_once(&task.workload.load);
        Ok(producers)
    }
}

fn options(task: &Task, publisher: u32) -> ProducerOptions {
    let compression = match task.text("compression") {
        Some("lz4") => Compression::Lz4(CompressionLz4::default()),
        Some("zlib") => Compression::Zlib(CompressionZlib::default()),
        Some("zstd") => Compression::Zstd(CompressionZstd::default()),
        Some("snappy") => Compression::Snappy(CompressionSnappy::default()),
        _ => Compression::None,
    };
    let batching = task.flag("batching");
    let delay = task.time("batch_delay");
    ProducerOptions {
        batch_size: batching.then(|| task.count("batch").unwrap_or(1_000) as u32),
        batch_byte_size: batching.then_some(BATCH_BYTES),
        batch_timeout: batching.then(|| delay.unwrap_or(Duration::from_millis(1))),
        compression: Some(compression),
        block_queue_if_full: true,
        routing_policy: Some(RoutingPolicy::Custom(Arc::new(Own(publisher as usize)))),
        ..ProducerOptions::default()
    }
}

/// Each publisher keeps to one partition: between partitions there is no order.
struct Own(usize);

impl CustomRoutingPolicy for Own {
    fn route(&self, _message: &Message, partitions: usize) -> usize {
        self.0 % partitions
    }
}

impl AsyncPublisher for PulsarPublisher {
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            self.producers = Some(self.open().await?);
            Ok(())
        })
    }

    fn run(&mut self, mut outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let mut producers = match self.producers.take() {
                Some(producers) => producers,
                None => self.open().await?,
            };
            let task = &self.trial.task;
            let mut comeback = self.trial.losses.publisher();
            while let Err(trouble) = publish(task, producers.all(), &mut outbox).await {
                let doing = format!("publish to {}", self.trial.address.shown);
                let open = async || self.open().await;
                producers = comeback.again(trouble.while_doing(doing), open).await?;
            }
            Ok(())
        })
    }
}

/// A message on its way, and what will tell of its receipt.
type Sent = (Token, SendFuture);

async fn publish(
    task: &Task,
    producers: &mut [Option<Link>],
    outbox: &mut AsyncOutbox,
) -> Result<(), Ended<String>> {
    let acks = outbox.acks();
    let (sent, receipts) = mpsc::unbounded_channel();
    let (tell, lost) = oneshot::channel();
    // Ends with this future, which the engine may drop at any time.
    let mut draining = JoinSet::new();
    draining.spawn(drain(receipts, acks.clone(), task.acks, tell));
    let mut lost = lost;
    let mut problem = None;
    'load: while problem.is_none() {
        let due = match select(pin!(outbox.due(BATCH)), &mut lost).await {
            Either::Left((due, _)) => due,
            Either::Right((reason, _)) => {
                let gone = |_| Ended::refused("the runtime is shutting down".to_owned());
                problem = Some(reason.unwrap_or_else(gone));
                break;
            }
        };
        if due == 0 {
            break;
        }
        while let Some(message) = outbox.next() {
            let token = message.token;
            let mut payload = Vec::with_capacity(message.len());
            message.append_to(&mut payload);
            let outgoing = Message {
                payload,
                partition_key: message.key.map(|key| key.to_string()),
                ..Message::default()
            };
            let Some(producer) = &mut producers[message.destination as usize] else {
                acks.failed(token, &"no producer for its topic");
                continue;
            };
            match producer.send_non_blocking(outgoing).await {
                // The task ends before this loop only where the runtime does.
                Ok(receipt) => drop(sent.send((token, receipt))),
                Err(error) => {
                    let trouble = ended(&error);
                    acks.failed(token, &trouble.error);
                    problem = Some(trouble);
                    break 'load;
                }
            }
        }
    }
    if let Some(trouble) = &problem {
        while let Some(message) = outbox.next() {
            acks.failed(message.token, &trouble.error);
        }
    }
    drop(sent);
    // Every receipt comes, or its time runs out.
    draining.join_next().await;
    match problem.or_else(|| lost.try_recv().ok()) {
        Some(trouble) => Err(trouble),
        None => Ok(()),
    }
}

/// Says of each message what became of it, when it is known; `tell` gets the first reason why one was
/// not taken.
async fn drain(
    mut sent: mpsc::UnboundedReceiver<Sent>,
    acks: Acks,
    acknowledged: bool,
    tell: oneshot::Sender<Ended<String>>,
) {
    let mut tell = Some(tell);
    let mut under_way = FuturesUnordered::new();
    let mut open = true;
    while open || !under_way.is_empty() {
        let receipt = if under_way.is_empty() {
            None
        } else if open {
            match select(pin!(sent.recv()), under_way.next()).await {
                Either::Left((next, _)) => {
                    match next {
                        Some((token, receipt)) => under_way.push(answered(token, receipt)),
                        None => open = false,
                    }
                    continue;
                }
                Either::Right((receipt, _)) => receipt,
            }
        } else {
            under_way.next().await
        };
        match receipt {
            Some((token, Ok(_))) if acknowledged => acks.acked(token),
            Some((_, Ok(_))) => {}
            Some((token, Err(error))) => {
                let trouble = ended(&error);
                acks.failed(token, &trouble.error);
                if let Some(tell) = tell.take() {
                    // Nobody listens any more where the publisher has ended.
                    let _ = tell.send(trouble);
                }
            }
            None => match sent.recv().await {
                Some((token, receipt)) => under_way.push(answered(token, receipt)),
                None => open = false,
            },
        }
    }
}

async fn answered(
    token: Token,
    receipt: SendFuture,
) -> (
    Token,
    Result<pulsar::proto::CommandSendReceipt, pulsar::Error>,
) {
    (token, receipt.await)
}
