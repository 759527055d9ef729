//! Redis Streams: an append-only stream per destination, a consumer group per group.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use redis::{Cmd, Pipeline, RedisResult};

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting};
use super::losses::Losses;
use super::redis::{
    ANSWER_WITHIN, Body, CLIENT, Commands, PIPELINES, RedisPublisher, batch, beside, check_size,
    failed,
};
use super::redis_connection::{SCHEMES, SECURITY, connect};
use super::redis_names::groups;
use super::redis_reader::Reader;
use super::redis_upkeep::{backlog, facts_and_check, make_groups, trim};
use super::{AsyncConsumer, Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::inbox::Inbox;
use crate::engine::outbox::Message;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// The field of an entry that carries the message.
const FIELD: &str = "m";
const AWAITED: Setting = Setting::publisher("XADD", "answer awaited");
const NOACK: Setting = Setting::consumer("XREADGROUP", "NOACK");
const XACK: Setting =
    Setting::consumer("XREADGROUP", "XACK after ack.every messages or ack.within");

const fn offer(
    delivery: Delivery,
    durability: Durability,
    settings: &'static [Setting],
    note: &'static str,
) -> Offer {
    Offer {
        delivery,
        durability,
        acks: true,
        order: Order::PerPublisher,
        settings,
        note,
    }
}

const DISK: &str = "the append-only file is written before the answer and synced by the kernel when \
                    it likes; with `appendfsync everysec` the write may come up to 2 s later";

static DESCRIPTOR: Descriptor = Descriptor {
    name: "redis-streams",
    title: "Redis Streams",
    about: "Redis streams with consumer groups: kept until they are trimmed.",
    client: CLIENT,
    schemes: SCHEMES,
    server: Some("redis"),
    options: &[
        batch("64"),
        PIPELINES,
        OptionSpec {
            name: "read_count",
            kind: OptionKind::Count(1, 100_000),
            default: Some("256"),
            about: "Messages that one read of a consumer takes at most (XREADGROUP COUNT).",
        },
        OptionSpec {
            name: "trim",
            kind: OptionKind::Choice(&["acknowledged", "maxlen", "none"]),
            default: Some("acknowledged"),
            about: "What is removed while the trial runs: what every group has acknowledged (where \
                    nobody consumes: all but max_length), what exceeds max_length when a message \
                    is added (read or not), or nothing. An existing stream is never trimmed.",
        },
        OptionSpec {
            name: "max_length",
            kind: OptionKind::Count(1, 1_000_000_000),
            default: Some("1000000"),
            about: "Messages that a stream keeps, about, where it is trimmed by length.",
        },
        OptionSpec {
            name: "claim_after",
            kind: OptionKind::Time,
            default: Some("5s"),
            about: "Consumers take over what another consumer of their group has left \
                    unacknowledged for so long (XAUTOCLAIM), and for at least twice ack.within; \
                    0s: never.",
        },
    ],
    patterns: &[
        PatternSpec {
            pattern: Pattern::Queue,
            shared: true,
            how: "stream, one consumer group per group",
        },
        PatternSpec {
            pattern: Pattern::FanOut,
            shared: true,
            how: "stream, one consumer group per group",
        },
        PatternSpec {
            pattern: Pattern::Stream,
            shared: true,
            how: "stream, one consumer group per group",
        },
        PatternSpec {
            pattern: Pattern::Backlog,
            shared: true,
            how: "stream, groups start at its beginning",
        },
    ],
    offers: &[
        offer(
            Delivery::AtMostOnce,
            Durability::Memory,
            &[AWAITED, NOACK, Setting::server("appendonly", "no")],
            "",
        ),
        offer(
            Delivery::AtLeastOnce,
            Durability::Memory,
            &[AWAITED, XACK, Setting::server("appendonly", "no")],
            "",
        ),
        offer(
            Delivery::AtMostOnce,
            Durability::Disk,
            &[
                AWAITED,
                NOACK,
                Setting::server("appendonly", "yes"),
                Setting::server("appendfsync", "no"),
            ],
            DISK,
        ),
        offer(
            Delivery::AtLeastOnce,
            Durability::Disk,
            &[
                AWAITED,
                XACK,
                Setting::server("appendonly", "yes"),
                Setting::server("appendfsync", "no"),
            ],
            DISK,
        ),
        offer(
            Delivery::AtMostOnce,
            Durability::Fsync,
            &[
                AWAITED,
                NOACK,
                Setting::server("appendonly", "yes"),
                Setting::server("appendfsync", "always"),
            ],
            "",
        ),
        offer(
            Delivery::AtLeastOnce,
            Durability::Fsync,
            &[
                AWAITED,
                XACK,
                Setting::server("appendonly", "yes"),
                Setting::server("appendfsync", "always"),
            ],
            "",
        ),
    ],
    holds_backlog: true,
    needs_consumers: &[],
    transactions: &[],
    security: SECURITY,
    needs_threads: false,
    ranked: true,
};

/// The driver.
#[derive(Debug)]
pub struct RedisStreams;

impl Driver for RedisStreams {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            let mut connection = connect(task, ANSWER_WITHIN).await?;
            let (facts, notes) = facts_and_check(task, &mut connection).await?;
            check_size(task, &mut connection).await?;
            let session = StreamsSession {
                task: Arc::new(task.clone()),
                facts,
                notes,
                losses: Arc::default(),
            };
            if let Err(error) = make_groups(task, &mut connection).await {
                // What was made so far would stay; the error is what the user must hear.
                let _ = session.clean_up().await;
                return Err(error);
            }
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

struct StreamsSession {
    task: Arc<Task>,
    facts: Vec<(String, String)>,
    notes: Vec<String>,
    losses: Arc<Losses>,
}

impl Session for StreamsSession {
    fn server_facts(&self) -> Vec<(String, String)> {
        self.facts.clone()
    }

    fn notes(&self) -> Vec<String> {
        let lost = self.losses.notes(self.task.delivery);
        self.notes.iter().cloned().chain(lost).collect()
    }

    fn publisher(&self, publisher: u32) -> Publisher {
        let add = Add::of(&self.task, publisher);
        Publisher::Async(Box::new(RedisPublisher::new(&self.task, add, &self.losses)))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        Consumer::Async(Box::new(StreamsConsumer {
            task: Arc::clone(&self.task),
            losses: Arc::clone(&self.losses),
            group,
            consumer,
        }))
    }

    fn backlog(&self) -> Option<BoxFuture<'_, Result<u64, DriverError>>> {
        Some(Box::pin(backlog(&self.task)))
    }

    fn clean_up(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let task = self.task.as_ref();
            let mut connection = connect(task, ANSWER_WITHIN).await?;
            let mut pipeline = Pipeline::new();
            for stream in task.destination_names() {
                if task.destination.is_none() {
                    pipeline.cmd("DEL").arg(&stream).ignore();
                    continue;
                }
                for group in groups(task) {
                    let destroy = pipeline.cmd("XGROUP").arg("DESTROY");
                    destroy.arg(&stream).arg(group).ignore();
                }
            }
            let removed: RedisResult<()> = pipeline.query_async(&mut connection).await;
            removed.map_err(failed(task, "remove what the trial made"))
        })
    }
}

/// How entries are added.
struct Add {
    /// By destination.
    streams: Vec<String>,
    /// Where streams are trimmed as they grow.
    max_length: Option<String>,
    /// Where nobody consumes, a publisher looks after the length of the streams.
    trims: bool,
}

impl Add {
    fn of(task: &Task, publisher: u32) -> Add {
        let by_length = task.text("trim") == Some("maxlen") && task.destination.is_none();
        let max_length = || task.count("max_length").unwrap_or(1_000_000).to_string();
        Add {
            streams: task.destination_names(),
            max_length: by_length.then(max_length),
            trims: publisher == 0 && task.workload.consumers == 0,
        }
    }
}

impl Commands for Add {
    fn command(&self, message: &Message<'_>) -> Cmd {
        let stream = &self.streams[message.destination as usize];
        let mut add = Cmd::with_capacity(8, stream.len() + message.len() + 32);
        add.arg("XADD").arg(stream);
        if let Some(length) = &self.max_length {
            add.arg("MAXLEN").arg("~").arg(length);
        }
        add.arg("*").arg(FIELD).arg(Body(message));
        add
    }

    fn upkeep<'t>(&self, task: &'t Task) -> LocalBoxFuture<'t, Result<(), DriverError>> {
        let trims = self.trims;
        Box::pin(async move { if trims { trim(task).await } else { Ok(()) } })
    }
}

struct StreamsConsumer {
    task: Arc<Task>,
    losses: Arc<Losses>,
    group: u32,
    consumer: u32,
}

impl AsyncConsumer for StreamsConsumer {
    fn run(&mut self, inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let reader = Reader::open(&self.task, &self.losses, self.group, self.consumer).await?;
            let reading = pin!(reader.run(inbox));
            if (self.group, self.consumer) != (0, 0) {
                return reading.await;
            }
            beside(reading, pin!(trim(&self.task))).await
        })
    }
}
