//! NATS JetStream: a stream per destination, a durable consumer per group.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{BoxFuture, Either, LocalBoxFuture, select};

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting};
use super::jetstream_consumer::Reader;
use super::jetstream_publisher::Sender;
use super::jetstream_streams::{
    backlog, check_options, facts, has_jetstream, make, remove, subjects,
};
use super::nats_connection::{
    CLIENT, CREDENTIALS, Connection, NKEY, Notes, PublisherConnection, SCHEMES, SECURITY,
    SUBSCRIPTION_CAPACITY, failed,
};
use super::{AsyncConsumer, AsyncPublisher, Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::inbox::Inbox;
use crate::engine::pacing::AsyncOutbox;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// Room for the headers that carry a message id.
pub const HEADERS: u64 = 128;

const UNANSWERED: Setting = Setting::publisher("publish", "without reply");
const ANSWERED: Setting = Setting::publisher("publish", "acknowledged");
const WITH_ID: Setting = Setting::publisher(
    "Nats-Msg-Id",
    "on every message, sent again until acknowledged",
);
const ACK_NONE: Setting = Setting::consumer("ack_policy", "none");
const ACK: Setting = Setting::consumer("ack", "after ack.every messages or ack.within");
const DOUBLE_ACK: Setting = Setting::consumer(
    "ack",
    "confirmed by the server, after ack.every messages or ack.within",
);
const MEMORY: Setting = Setting::server("jetstream", "memory");
const FILE: Setting = Setting::server("jetstream", "file");
const SYNC: Setting = Setting::server("sync_interval", "always");

/// Not on disk: a server that is killed has not yet written every acknowledgement that it confirmed, and
/// delivers those messages once more, also with `sync_interval: always`.
const ONCE: &str = "JetStream's kind: the stream drops what has an id that it saw within \
                    duplicate_window, and consumers have their acknowledgements confirmed; only while \
                    the server lives: one that was killed delivers some confirmed messages again";
const DISK: &str = "written before the acknowledgement, synced every sync_interval (2 min unless \
                    the server is set otherwise)";

const fn offer(
    delivery: Delivery,
    durability: Durability,
    settings: &'static [Setting],
    note: &'static str,
) -> Offer {
    Offer {
        delivery,
        durability,
        acks: !matches!(delivery, Delivery::AtMostOnce),
        // What is sent again after a broken connection comes behind what was sent in the meantime.
        order: match delivery {
            Delivery::ExactlyOnce => Order::None,
            _ => Order::PerPublisher,
        },
        settings,
        note,
    }
}

static DESCRIPTOR: Descriptor = Descriptor {
    name: "jetstream",
    title: "NATS JetStream",
    about: "NATS JetStream: streams that keep messages, in memory or in files, on one server or several.",
    client: CLIENT,
    schemes: SCHEMES,
    server: Some("nats"),
    options: &[
        OptionSpec {
            name: "replicas",
            kind: OptionKind::Count(1, 5),
            default: None,
            about: "Servers that keep each stream; left out, all of a private cluster, otherwise 1.",
        },
        OptionSpec {
            name: "consumer",
            kind: OptionKind::Choice(&["pull", "push"]),
            default: Some("pull"),
            about: "Whether consumers ask for messages or the server sends them unasked.",
        },
        OptionSpec {
            name: "pull_batch",
            kind: OptionKind::Count(1, 100_000),
            default: Some("500"),
            about: "Messages that one request of a pull consumer asks for; the next request goes out \
                    when half of them have come.",
        },
        OptionSpec {
            name: "ack_policy",
            kind: OptionKind::Choice(&["explicit", "all"]),
            default: Some("explicit"),
            about: "Whether each message is acknowledged by itself, or the last of several for all \
                    before it. `all` needs a destination for each consumer of a group: with several \
                    on one it would acknowledge what others have not handled yet.",
        },
        OptionSpec {
            name: "ack_wait",
            kind: OptionKind::Time,
            default: Some("30s"),
            about: "After so long without an acknowledgement a message is delivered again; where that \
                    is longer than the drain, a trial in which a server died may miss messages that \
                    are not lost.",
        },
        OptionSpec {
            name: "max_ack_pending",
            kind: OptionKind::Count(1, 10_000_000),
            default: Some("20000"),
            about: "Messages of one group that may be delivered and not acknowledged before the \
                    server waits.",
        },
        OptionSpec {
            name: "retention",
            kind: OptionKind::Choice(&["pattern", "workqueue", "interest", "limits"]),
            default: Some("pattern"),
            about: "When a stream drops a message: `workqueue` and `interest` once every group has \
                    acknowledged it, `limits` never. `pattern` takes workqueue for queue, interest for \
                    fan-out, and limits for all else and where nobody consumes.",
        },
        OptionSpec {
            name: "duplicate_window",
            kind: OptionKind::Time,
            default: Some("2m"),
            about: "How long the stream remembers the ids of messages (exactly-once).",
        },
        SUBSCRIPTION_CAPACITY,
        CREDENTIALS,
        NKEY,
    ],
    patterns: &[
        PatternSpec {
            pattern: Pattern::Queue,
            shared: true,
            how: "stream, one durable consumer per group",
        },
        PatternSpec {
            pattern: Pattern::FanOut,
            shared: true,
            how: "stream, one durable consumer per group",
        },
        PatternSpec {
            pattern: Pattern::Stream,
            shared: true,
            how: "stream that keeps everything, one durable consumer per group",
        },
        PatternSpec {
            pattern: Pattern::Backlog,
            shared: true,
            how: "stream that keeps everything, durable consumers start at its beginning",
        },
    ],
    offers: &[
        offer(
            Delivery::AtMostOnce,
            Durability::Memory,
            &[UNANSWERED, ACK_NONE, MEMORY],
            "",
        ),
        offer(
            Delivery::AtLeastOnce,
            Durability::Memory,
            &[ANSWERED, ACK, MEMORY],
            "",
        ),
        offer(
            Delivery::ExactlyOnce,
            Durability::Memory,
            &[WITH_ID, DOUBLE_ACK, MEMORY],
            ONCE,
        ),
        offer(
            Delivery::AtLeastOnce,
            Durability::Disk,
            &[ANSWERED, ACK, FILE],
            DISK,
        ),
        offer(
            Delivery::AtLeastOnce,
            Durability::Fsync,
            &[ANSWERED, ACK, FILE, SYNC],
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
pub struct JetStream;

impl Driver for JetStream {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            check_options(task)?;
            let notes = Arc::new(Notes::default());
            let connection = Connection::open(task, 0, &notes).await?;
            let with_id = task.delivery == Delivery::ExactlyOnce;
            connection.check_size(task, if with_id { HEADERS } else { 0 })?;
            has_jetstream(&connection)?;
            if let Err(error) = make(task, &connection).await {
                // What was made so far would stay; the error is what the user must hear.
                let _ = remove(task, &connection).await;
                return Err(error);
            }
            let session = JetStreamSession {
                facts: facts(task, &connection),
                subjects: subjects(task, &connection).await?,
                task: Arc::new(task.clone()),
                connection,
                notes,
            };
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

struct JetStreamSession {
    task: Arc<Task>,
    facts: Vec<(String, String)>,
    /// What is published to, by destination.
    subjects: Vec<String>,
    /// To ask how much waits, while the trial runs.
    connection: Connection,
    notes: Arc<Notes>,
}

impl Session for JetStreamSession {
    fn server_facts(&self) -> Vec<(String, String)> {
        self.facts.clone()
    }

    fn notes(&self) -> Vec<String> {
        self.notes.as_sentences()
    }

    fn publisher(&self, publisher: u32) -> Publisher {
        Publisher::Async(Box::new(JetStreamPublisher {
            task: Arc::clone(&self.task),
            subjects: self.subjects.clone(),
            publisher,
            connection: PublisherConnection::new(&self.task, publisher, &self.notes),
        }))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        Consumer::Async(Box::new(JetStreamConsumer {
            task: Arc::clone(&self.task),
            notes: Arc::clone(&self.notes),
            group,
            consumer,
        }))
    }

    fn backlog(&self) -> Option<BoxFuture<'_, Result<u64, DriverError>>> {
        Some(Box::pin(backlog(&self.task, &self.connection)))
    }

    fn clean_up(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let connection = Connection::open(&self.task, 0, &Arc::default()).await?;
            remove(&self.task, &connection).await
        })
    }
}

struct JetStreamPublisher {
    task: Arc<Task>,
    subjects: Vec<String>,
    publisher: u32,
    connection: PublisherConnection,
}

impl AsyncPublisher for JetStreamPublisher {
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(self.connection.make())
    }

    fn run(&mut self, outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let connection = self.connection.take().await?;
            let sender = Sender::new(&self.task, self.publisher, &self.subjects, &connection);
            sender.run(outbox).await
        })
    }
}

struct JetStreamConsumer {
    task: Arc<Task>,
    notes: Arc<Notes>,
    group: u32,
    consumer: u32,
}

impl AsyncConsumer for JetStreamConsumer {
    fn run(&mut self, inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let (group, consumer) = (self.group, self.consumer);
            let connection =
                Connection::of_consumer(&self.task, group, consumer, &self.notes).await?;
            let doing = format!("receive from {}", connection.address);
            let reader = Reader::open(&self.task, group, consumer, &connection).await?;
            let reading = pin!(reader.run(inbox));
            match select(reading, pin!(connection.watch.lost())).await {
                Either::Left((Ok(never), _)) => match never {},
                Either::Left((Err(reason), _)) | Either::Right((reason, _)) => {
                    Err(failed(doing, reason))
                }
            }
        })
    }
}
