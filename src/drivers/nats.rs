//! NATS core through async-nats: subjects, at most once, nothing kept.
//!
//! The client writes on a task of its own and coalesces by itself what is handed to it in the
//! meantime, so a publisher neither flushes nor batches: at low rates each message is written at once.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subject, Subscriber};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, Either, LocalBoxFuture, select};
use futures_util::stream::select_all;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::descriptor::{
    Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting, Side,
};
use super::target::{CONNECT_TIMEOUT, GONE_AFTER, shown, url};
use super::{AsyncConsumer, AsyncPublisher, Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::acks::Acks;
use crate::engine::inbox::Inbox;
use crate::engine::pacing::AsyncOutbox;
use crate::engine::shared::lock;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// Messages taken from the outbox at a time: few enough that one stamp holds for all of them.
const BATCH: usize = 128;
/// Payloads are cut from blocks of this size: one allocation for many.
const BLOCK: usize = 64 << 10;
/// A server that answers no ping for three of these is gone.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

static DESCRIPTOR: Descriptor = Descriptor {
    name: "nats",
    title: "NATS",
    about: "NATS core: subjects without storage; what nobody listens to is gone.",
    client: "async-nats 0.51",
    schemes: &["nats"],
    server: Some("nats"),
    options: &[OptionSpec {
        name: "subscription_capacity",
        kind: OptionKind::Count(1, 16_777_216),
        default: Some("524288"),
        about: "Messages that the client library holds for a consumer before it drops them; \
                at least twice what the windows of all publishers let under way.",
    }],
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
        settings: &[Setting {
            side: Side::Publisher,
            key: "publish",
            value: "without reply",
        }],
        note: "",
    }],
    holds_backlog: false,
    needs_consumers: &[],
    transactions: &[],
    security: &["user", "password", "token"],
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
            let connection = Connection::open(task, &Arc::default()).await?;
            let info = connection.client.server_info();
            let largest = task.workload.message.largest();
            if largest > info.max_payload as u64 {
                return Err(DriverError {
                    doing: format!("send messages of {largest} bytes"),
                    cause: format!(
                        "the server takes at most {} (its max_payload)",
                        info.max_payload
                    ),
                });
            }
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

    fn publisher(&self, _publisher: u32) -> Publisher {
        Publisher::Async(Box::new(NatsPublisher {
            task: Arc::clone(&self.task),
            notes: Arc::clone(&self.notes),
            connection: None,
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

/// What happened on any connection of the trial that a reader of its figures must know.
#[derive(Debug, Default)]
struct Notes {
    slow_consumer: AtomicU64,
    disconnected: AtomicU64,
}

impl Notes {
    fn as_sentences(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let slow = self.slow_consumer.load(Ordering::Relaxed);
        if slow > 0 {
            notes.push(format!(
                "the client library dropped messages because a consumer was too slow ({slow} \
                 reports or more): raise subscription_capacity, or offer less"
            ));
        }
        let times = self.disconnected.load(Ordering::Relaxed);
        if times > 0 {
            notes.push(format!(
                "connections to the server were lost {times} times; what was on its way is lost"
            ));
        }
        notes
    }
}

/// One connection, and what the library says of it beside the calls.
struct Connection {
    client: Client,
    address: String,
    watch: Arc<Watch>,
}

/// What the events of a connection amount to.
#[derive(Debug, Default)]
struct Watch {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What the server refused.
    refused: Option<String>,
    lost_since: Option<Instant>,
    /// Why the last attempt to reconnect failed.
    why: Option<String>,
}

impl Watch {
    fn event(&self, event: Event, notes: &Notes) {
        let mut state = lock(&self.state);
        match event {
            Event::Connected => (state.lost_since, state.why) = (None, None),
            Event::Disconnected => {
                notes.disconnected.fetch_add(1, Ordering::Relaxed);
                state.lost_since = Some(Instant::now());
            }
            Event::SlowConsumer(_) => {
                notes.slow_consumer.fetch_add(1, Ordering::Relaxed);
            }
            Event::ServerError(error) => state.refused = Some(plain(&error.to_string())),
            Event::ClientError(error) => state.why = Some(plain(&error.to_string())),
            Event::LameDuckMode | Event::Draining | Event::Closed => {}
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits until the connection is of no use any more, and says why.
    async fn lost(&self) -> String {
        loop {
            let lost_since = {
                let state = lock(&self.state);
                if let Some(reason) = &state.refused {
                    return format!("the server refused: {reason}");
                }
                state.lost_since
            };
            let Some(since) = lost_since else {
                self.changed.notified().await;
                continue;
            };
            let end = since + GONE_AFTER;
            if Instant::now() >= end {
                let why = lock(&self.state).why.clone().unwrap_or_default();
                let why = if why.is_empty() {
                    why
                } else {
                    format!(" ({why})")
                };
                let seconds = GONE_AFTER.as_secs();
                return format!("the connection was lost and not back after {seconds} s{why}");
            }
            select(pin!(self.changed.notified()), pin!(sleep_until(end))).await;
        }
    }
}

/// The library's words without its prefixes, and without the number that the system has for them.
fn plain(error: &str) -> String {
    let error = error.trim_start_matches("nats: ");
    let error = error.trim_start_matches("IO error: ");
    let words = error.split(" (os error ").next();
    words.unwrap_or(error).to_owned()
}

impl Connection {
    async fn open(task: &Task, notes: &Arc<Notes>) -> Result<Connection, DriverError> {
        let url = url(task)?;
        let address = shown(url);
        let doing = format!("connect to {address}");
        let servers = url
            .split(',')
            .map(str::parse::<ServerAddr>)
            .collect::<Result<Vec<_>, _>>()
            .map_err(DriverError::while_doing(doing.clone()))?;
        let watch = Arc::new(Watch::default());
        let events = {
            let (watch, notes) = (Arc::clone(&watch), Arc::clone(notes));
            move |event| {
                watch.event(event, &notes);
                std::future::ready(())
            }
        };
        let mut options = ConnectOptions::new()
            .name("mqbench")
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(|attempts| {
                if attempts > 1 {
                    RECONNECT_DELAY
                } else {
                    Duration::ZERO
                }
            })
            .subscription_capacity(subscription_capacity(task))
            // Our names are made to be valid; checking them again would cost time per message.
            .skip_subject_validation(true)
            .event_callback(events);
        if let Some(user) = &task.user {
            let password = task.password.clone().unwrap_or_default();
            options = options.user_and_password(user.clone(), password);
        }
        if let Some(token) = &task.token {
            options = options.token(token.clone());
        }
        let client = options
            .connect(servers)
            .await
            .map_err(|error| DriverError {
                doing,
                cause: plain(&error.to_string()),
            })?;
        Ok(Connection {
            client,
            address,
            watch,
        })
    }

    /// Returns when the server has handled everything that was sent before: it answers one message
    /// after the other, so a message to ourselves comes back last.
    async fn round_trip(&self) -> Result<(), DriverError> {
        let doing = || format!("get an answer from {}", self.address);
        let inbox = Subject::from(self.client.new_inbox());
        let answer = async {
            let mut answers = self
                .client
                .subscribe(inbox.clone())
                .await
                .map_err(DriverError::while_doing(doing()))?;
            self.client
                .publish(inbox, Bytes::new())
                .await
                .map_err(DriverError::while_doing(doing()))?;
            answers.next().await;
            Ok(())
        };
        match select(
            pin!(timeout(CONNECT_TIMEOUT, answer)),
            pin!(self.watch.lost()),
        )
        .await
        {
            Either::Left((Ok(answered), _)) => answered,
            Either::Left((Err(_), _)) => Err(self.failed(doing(), "none came in time".to_owned())),
            Either::Right((reason, _)) => Err(self.failed(doing(), reason)),
        }
    }

    fn failed(&self, doing: String, cause: String) -> DriverError {
        DriverError { doing, cause }
    }
}

/// The library drops what a full subscription cannot take, so it must hold what the windows allow.
fn subscription_capacity(task: &Task) -> usize {
    let asked = task.count("subscription_capacity").unwrap_or(524_288);
    let workload = &task.workload;
    let under_way = u64::from(workload.publishers.max(1)) * u64::from(workload.in_flight);
    asked.max(2 * under_way) as usize
}

struct NatsPublisher {
    task: Arc<Task>,
    notes: Arc<Notes>,
    connection: Option<Connection>,
}

impl AsyncPublisher for NatsPublisher {
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            self.connection = Some(Connection::open(&self.task, &self.notes).await?);
            Ok(())
        })
    }

    fn run(&mut self, outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(&self.task, &self.notes).await?,
            };
            publish(&connection, &self.task, outbox).await?;
            // What is still in the library's buffer would be lost with the connection.
            connection.round_trip().await
        })
    }
}

async fn publish(
    connection: &Connection,
    task: &Task,
    mut outbox: AsyncOutbox,
) -> Result<(), DriverError> {
    let Connection { client, watch, .. } = connection;
    let acks = outbox.acks();
    let names = task.destination_names().into_iter();
    let subjects: Vec<Subject> = names.map(Subject::from).collect();
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
            let (token, subject) = (message.token, &subjects[message.destination as usize]);
            if block.capacity() < message.len() {
                block.reserve(message.len().max(BLOCK));
            }
            message.append_to(&mut block);
            let payload = block.split().freeze();
            let published = client.publish(subject.clone(), payload);
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
    Err(connection.failed(format!("publish to {}", connection.address), reason))
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
            let connection = Connection::open(&self.task, &self.notes).await?;
            let mut subscriptions = Vec::new();
            for subject in self.task.destination_names_of(self.consumer) {
                subscriptions.push(self.subscribe(&connection, subject).await?);
            }
            connection.round_trip().await?;
            inbox.ready();
            let doing = format!("receive from {}", connection.address);
            let received = pin!(receive(subscriptions, &mut inbox));
            match select(received, pin!(connection.watch.lost())).await {
                Either::Left(((), _)) => {
                    Err(connection.failed(doing, "the subscription ended".to_owned()))
                }
                Either::Right((reason, _)) => Err(connection.failed(doing, reason)),
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
