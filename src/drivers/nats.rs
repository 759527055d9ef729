//! NATS core through async-nats: subjects, at most once, nothing kept.
//!
//! The client writes on a task of its own and coalesces by itself what is handed to it in the
//! meantime, so a publisher neither flushes nor batches: at low rates each message is written at once.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use async_nats::{Subject, Subscriber};
use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, Either, LocalBoxFuture, select};
use futures_util::stream::select_all;

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting};
use super::nats_connection::{
    CLIENT, CREDENTIALS, Connection, NKEY, Notes, PublisherConnection, SCHEMES, SECURITY,
    SUBSCRIPTION_CAPACITY, failed, plain,
};
use super::{AsyncConsumer, AsyncPublisher, Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::acks::Acks;
use crate::engine::inbox::Inbox;
use crate::engine::outbox::Message;
use crate::engine::pacing::AsyncOutbox;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// Messages taken from the outbox at a time: few enough that one stamp holds for all of them.
const BATCH: usize = 128;
/// Payloads are cut from blocks of this size: one allocation for many.
const BLOCK: usize = 64 << 10;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "nats",
    title: "NATS",
    about: "NATS core: subjects without storage; what nobody listens to is gone.",
    client: CLIENT,
    schemes: SCHEMES,
    server: Some("nats"),
    options: &[
        OptionSpec {
            name: "subject",
            kind: OptionKind::Choice(&["plain", "wildcard"]),
            default: Some("plain"),
            about: "What consumers subscribe to: the subject that is published to, or `subject.*`, \
                    where the last token of what is published to is the message's key, or the \
                    publisher where messages have no keys.",
        },
        SUBSCRIPTION_CAPACITY,
        CREDENTIALS,
        NKEY,
    ],
    patterns: &[
        PatternSpec {
            pattern: Pattern::Queue,
            shared: true,
            how: "subject, one queue group per group",
        },
        PatternSpec {
            pattern: Pattern::FanOut,
            shared: true,
            how: "subject, one subscription or queue group per group",
        },
    ],
    offers: &[Offer {
        delivery: Delivery::AtMostOnce,
        durability: Durability::Memory,
        acks: false,
        order: Order::PerPublisher,
        settings: &[Setting::publisher("publish", "without reply")],
        note: "",
    }],
    holds_backlog: false,
    needs_consumers: &[],
    security: SECURITY,
    transactions: &[],
    needs_threads: false,
    ranked: true,
};

/// The driver.
#[derive(Debug)]
pub struct Nats;

impl Driver for Nats {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            let connection = Connection::open(task, 0, &Arc::default()).await?;
            connection.check_size(task, 0)?;
            let info = connection.client.server_info();
            let facts = vec![
                ("version".to_owned(), info.version),
                ("max_payload".to_owned(), info.max_payload.to_string()),
            ];
            Ok(Box::new(NatsSession {
                task: Arc::new(task.clone()),
                facts,
                notes: Arc::default(),
            }) as Box<dyn Session>)
        })
    }
}

struct NatsSession {
    task: Arc<Task>,
    facts: Vec<(String, String)>,
    notes: Arc<Notes>,
}

impl Session for NatsSession {
    fn server_facts(&self) -> Vec<(String, String)> {
        self.facts.clone()
    }

    fn notes(&self) -> Vec<String> {
        self.notes.as_sentences()
    }

    fn publisher(&self, publisher: u32) -> Publisher {
        Publisher::Async(Box::new(NatsPublisher {
            task: Arc::clone(&self.task),
            publisher,
            connection: PublisherConnection::new(&self.task, publisher, &self.notes),
        }))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        Consumer::Async(Box::new(NatsConsumer {
            task: Arc::clone(&self.task),
            notes: Arc::clone(&self.notes),
            group,
            consumer,
        }))
    }
}

struct NatsPublisher {
    task: Arc<Task>,
    publisher: u32,
    connection: PublisherConnection,
}

impl AsyncPublisher for NatsPublisher {
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(self.connection.make())
    }

    fn run(&mut self, outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let connection = self.connection.take().await?;
            let subjects = Subjects::new(&self.task, self.publisher);
            publish(&connection, subjects, outbox).await?;
            // What is still in the library's buffer would be lost with the connection.
            connection.round_trip().await
        })
    }
}

fn is_wildcard(task: &Task) -> bool {
    task.text("subject") == Some("wildcard")
}

/// What one publisher sends to.
struct Subjects {
    /// By destination.
    plain: Vec<Subject>,
    /// By destination and last token, as they come up; where consumers subscribe to a wildcard.
    below: Option<HashMap<(u32, u32), Subject>>,
    publisher: u32,
}

impl Subjects {
    fn new(task: &Task, publisher: u32) -> Subjects {
        let names = task.destination_names().into_iter();
        Subjects {
            plain: names.map(Subject::from).collect(),
            below: is_wildcard(task).then(HashMap::new),
            publisher,
        }
    }

    fn of(&mut self, message: &Message<'_>) -> Subject {
        let plain = &self.plain[message.destination as usize];
        let Some(below) = &mut self.below else {
            return plain.clone();
        };
        let last = message.key.unwrap_or(self.publisher);
        let subject = below.entry((message.destination, last));
        let subject = subject.or_insert_with(|| format!("{plain}.{last}").into());
        subject.clone()
    }
}

async fn publish(
    connection: &Connection,
    mut subjects: Subjects,
    mut outbox: AsyncOutbox,
) -> Result<(), DriverError> {
    let Connection { client, watch, .. } = connection;
    let acks = outbox.acks();
    let mut block = BytesMut::new();
    // Looked at only when the library makes us wait: when its queue is full or nothing is due.
    let mut lost = pin!(watch.lost());
    loop {
        let due = match select(pin!(outbox.due(BATCH)), &mut lost).await {
            Either::Left((due, _)) => Ok(due),
            Either::Right((reason, _)) => Err(reason),
        };
        let due = match due {
            Ok(0) => return Ok(()),
            Ok(due) => due,
            Err(reason) => return give_up(connection, &mut outbox, &acks, reason),
        };
        for _ in 0..due {
            let Some(message) = outbox.next() else { break };
            let (token, subject) = (message.token, subjects.of(&message));
            if block.capacity() < message.len() {
                block.reserve(message.len().max(BLOCK));
            }
            message.append_to(&mut block);
            let payload = block.split().freeze();
            let published = client.publish(subject, payload);
            match select(pin!(published), &mut lost).await {
                Either::Left((Ok(()), _)) => {}
                Either::Left((Err(error), _)) => acks.failed(token, &plain(&error.to_string())),
                Either::Right((reason, _)) => {
                    acks.failed(token, &reason);
                    return give_up(connection, &mut outbox, &acks, reason);
                }
            }
        }
    }
}

/// Fails what was taken and not sent.
fn give_up(
    connection: &Connection,
    outbox: &mut AsyncOutbox,
    acks: &Acks,
    reason: String,
) -> Result<(), DriverError> {
    while let Some(message) = outbox.next() {
        acks.failed(message.token, &reason);
    }
    Err(failed(format!("publish to {}", connection.address), reason))
}

struct NatsConsumer {
    task: Arc<Task>,
    notes: Arc<Notes>,
    group: u32,
    consumer: u32,
}

impl AsyncConsumer for NatsConsumer {
    fn run(&mut self, mut inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let (group, consumer) = (self.group, self.consumer);
            let connection =
                Connection::of_consumer(&self.task, group, consumer, &self.notes).await?;
            let mut subscriptions = Vec::new();
            for subject in self.task.destination_names_of(self.consumer) {
                subscriptions.push(self.subscribe(&connection, subject).await?);
            }
            connection.round_trip().await?;
            inbox.ready();
            let doing = format!("receive from {}", connection.address);
            let received = pin!(receive(subscriptions, &mut inbox));
            match select(received, pin!(connection.watch.lost())).await {
                Either::Left(((), _)) => Err(failed(doing, "the subscription ended".to_owned())),
                Either::Right((reason, _)) => Err(failed(doing, reason)),
            }
        })
    }
}

impl NatsConsumer {
    async fn subscribe(
        &self,
        connection: &Connection,
        subject: String,
    ) -> Result<Subscriber, DriverError> {
        let subject = match is_wildcard(&self.task) {
            true => format!("{subject}.*"),
            false => subject,
        };
        let doing =
            DriverError::while_doing(format!("subscribe to {subject} at {}", connection.address));
        let workload = &self.task.workload;
        // Alone on its destination a consumer needs no queue group, which would cost the server a draw.
        if workload.consumers > workload.destinations {
            let name = format!("group-{}", self.group);
            let client = &connection.client;
            client.queue_subscribe(subject, name).await.map_err(doing)
        } else {
            connection.client.subscribe(subject).await.map_err(doing)
        }
    }
}

/// Receives until the subscriptions end.
async fn receive(mut subscriptions: Vec<Subscriber>, inbox: &mut Inbox) {
    if let [subscription] = subscriptions.as_mut_slice() {
        while let Some(message) = subscription.next().await {
            inbox.received(&message.payload);
        }
        return;
    }
    let mut all = select_all(subscriptions);
    while let Some(message) = all.next().await {
        inbox.received(&message.payload);
    }
}
