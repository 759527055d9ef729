//! Kafka: a topic per destination, partitioned, and a consumer group per group.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting};
use super::kafka_client::{SCHEMES, SECURITY};
use super::kafka_consumer::{Board, KafkaConsumer};
use super::kafka_publisher::KafkaPublisher;
use super::kafka_upkeep::{Lag, Prepared, clean_up, prepare, tells_lag};
use super::{Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

const fn offer(
    delivery: Delivery,
    durability: Durability,
    acks: bool,
    settings: &'static [Setting],
    note: &'static str,
) -> Offer {
    Offer {
        delivery,
        durability,
        acks,
        order: Order::PerKey,
        settings,
        note,
    }
}

const NO_RETRIES: Setting = Setting::publisher("retries", "0");
const IDEMPOTENT: Setting = Setting::publisher("enable.idempotence", "true");
const ACKS_ALL: Setting = Setting::publisher("acks", "all");
const TRANSACTIONAL: Setting = Setting::publisher("transactional.id", "one for each publisher");
const COMMITS_NOTHING: Setting = Setting::consumer("offsets", "not committed");
const COMMITS: Setting = Setting::consumer(
    "offsets",
    "committed after ack.every messages or ack.within",
);
const COMMITTED: Setting = Setting::consumer("isolation.level", "read_committed");
const SYNCED: Setting = Setting::server("log.flush.interval.messages", "1");

const ONCE: &str = "idempotent transactional publishing and consumers that read what was committed; \
                    acknowledged is committed. Consumers commit their offsets themselves: one that \
                    dies may leave messages that its group gets again";

const fn pattern(pattern: Pattern, how: &'static str) -> PatternSpec {
    PatternSpec {
        pattern,
        shared: true,
        how,
    }
}

const HOW: &str = "topic, one consumer group per group";

static DESCRIPTOR: Descriptor = Descriptor {
    name: "kafka",
    title: "Kafka",
    about: "Kafka topics with consumer groups: a partitioned log, kept until it is deleted.",
    client: "rdkafka 0.39 (librdkafka 2.12)",
    schemes: SCHEMES,
    server: Some("kafka"),
    options: &[
        OptionSpec {
            name: "linger",
            kind: OptionKind::Time,
            default: Some("5ms"),
            about: "How long a publisher waits for more messages before it sends a batch (linger.ms); as \
                    long as the client library does by itself. With 0ms nearly each message is a request.",
        },
        OptionSpec {
            name: "batch_size",
            kind: OptionKind::Size,
            default: Some("1MB"),
            about: "Bytes of a batch at most (batch.size), and never more than the topic takes.",
        },
        OptionSpec {
            name: "compression",
            kind: OptionKind::Choice(&["none", "lz4", "snappy", "gzip", "zstd"]),
            default: Some("none"),
            about: "How publishers compress batches (compression.type).",
        },
        OptionSpec {
            name: "in_flight",
            kind: OptionKind::Count(1, 1_000_000),
            default: Some("5"),
            about: "Requests that a publisher has unanswered on a connection \
                    (max.in.flight.requests.per.connection); above at-most-once never more than 5, \
                    which is what an idempotent publisher may have.",
        },
        OptionSpec {
            name: "partitions",
            kind: OptionKind::Count(1, 10_000),
            default: None,
            about: "Partitions of each topic. Left out, one for each consumer of a group that reads \
                    it. Messages without a key go round them; where a consumer reads several, those of \
                    one publisher stay in one, so that they keep their order.",
        },
        OptionSpec {
            name: "replicas",
            kind: OptionKind::Count(1, 100),
            default: None,
            about: "Copies of each partition (replication factor). Left out, what the cluster is set \
                    to: one for each node of a private instance.",
        },
        OptionSpec {
            name: "fetch_wait",
            kind: OptionKind::Time,
            default: Some("500ms"),
            about: "How long the server holds a consumer's request while there is no message \
                    (fetch.max.wait.ms); one that comes is sent at once.",
        },
        OptionSpec {
            name: "sasl",
            kind: OptionKind::Choice(&["plain", "scram-sha-256", "scram-sha-512"]),
            default: Some("plain"),
            about: "How `user` and `password` are used to log in (sasl.mechanism).",
        },
    ],
    patterns: &[
        pattern(Pattern::Queue, HOW),
        pattern(Pattern::FanOut, HOW),
        pattern(Pattern::Stream, HOW),
        pattern(Pattern::Backlog, "topic, groups start at its beginning"),
    ],
    offers: &[
        offer(
            Delivery::AtMostOnce,
            Durability::Memory,
            false,
            &[Setting::publisher("acks", "0"), NO_RETRIES, COMMITS_NOTHING],
            "a publisher learns nothing of what the server does with its messages",
        ),
        offer(
            Delivery::AtMostOnce,
            Durability::Disk,
            true,
            &[Setting::publisher("acks", "1"), NO_RETRIES, COMMITS_NOTHING],
            "",
        ),
        offer(
            Delivery::AtLeastOnce,
            Durability::Disk,
            true,
            &[ACKS_ALL, IDEMPOTENT, COMMITS],
            "",
        ),
        offer(
            Delivery::AtLeastOnce,
            Durability::Fsync,
            true,
            &[ACKS_ALL, IDEMPOTENT, COMMITS, SYNCED],
            "",
        ),
        offer(
            Delivery::ExactlyOnce,
            Durability::Disk,
            true,
            &[ACKS_ALL, TRANSACTIONAL, COMMITTED, COMMITS],
            ONCE,
        ),
        offer(
            Delivery::ExactlyOnce,
            Durability::Fsync,
            true,
            &[ACKS_ALL, TRANSACTIONAL, COMMITTED, COMMITS, SYNCED],
            ONCE,
        ),
    ],
    holds_backlog: true,
    needs_consumers: &[],
    transactions: &[Delivery::ExactlyOnce],
    security: SECURITY,
    needs_threads: true,
    ranked: true,
};

/// The driver.
#[derive(Debug)]
pub struct Kafka;

impl Driver for Kafka {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            let task = Arc::new(task.clone());
            let prepared = apart(&task, "prepare a trial", prepare).await?;
            let partitions = prepared
                .topics
                .iter()
                .map(|topic| topic.partitions as usize);
            let partitions = partitions.sum();
            let workload = &task.workload;
            let boards = (0..workload.groups)
                .map(|_| Arc::new(Board::new(workload.consumers, partitions)))
                .collect();
            Ok(Box::new(KafkaSession {
                task,
                prepared,
                boards,
                lag: Arc::default(),
            }) as Box<dyn Session>)
        })
    }
}

/// Runs what blocks where it keeps nobody.
async fn apart<T: Send + 'static>(
    task: &Arc<Task>,
    doing: &str,
    run: impl FnOnce(&Task) -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    let own = Arc::clone(task);
    let ended = tokio::task::spawn_blocking(move || run(&own)).await;
    ended.unwrap_or_else(|_| {
        Err(DriverError {
            doing: doing.to_owned(),
            cause: "the client library failed".to_owned(),
        })
    })
}

struct KafkaSession {
    task: Arc<Task>,
    prepared: Prepared,
    /// By group.
    boards: Vec<Arc<Board>>,
    lag: Arc<Lag>,
}

impl Session for KafkaSession {
    fn server_facts(&self) -> Vec<(String, String)> {
        self.prepared.facts.clone()
    }

    fn publisher(&self, publisher: u32) -> Publisher {
        let Prepared {
            topics, largest, ..
        } = &self.prepared;
        Publisher::Blocking(Box::new(KafkaPublisher::new(
            &self.task,
            publisher,
            topics.clone(),
            *largest,
        )))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        Consumer::Blocking(Box::new(KafkaConsumer {
            task: Arc::clone(&self.task),
            group,
            number: consumer,
            board: Arc::clone(&self.boards[group as usize]),
        }))
    }

    fn backlog(&self) -> Option<BoxFuture<'_, Result<u64, DriverError>>> {
        if !tells_lag(&self.task) {
            return None;
        }
        let (topics, lag) = (self.prepared.topics.clone(), Arc::clone(&self.lag));
        Some(Box::pin(async move {
            let ask = move |task: &Task| lag.ask(task, &topics);
            apart(&self.task, "ask how much waits", ask).await
        }))
    }

    fn clean_up(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async { apart(&self.task, "remove what the trial made", clean_up).await })
    }
}
