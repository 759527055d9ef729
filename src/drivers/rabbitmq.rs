//! RabbitMQ through lapin: AMQP 0-9-1, queues of all three kinds behind any kind of exchange.

use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use lapin::Channel;
use tokio::sync::Mutex;

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting};
use super::rabbitmq_consumer::{Reading, consume};
use super::rabbitmq_link::{Link, Notes, greet};
use super::rabbitmq_publisher::{open, publish};
use super::rabbitmq_topology::{Topology, allowed};
use super::{AsyncConsumer, AsyncPublisher, Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::inbox::Inbox;
use crate::engine::pacing::AsyncOutbox;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

const CONFIRMS: Setting = Setting::publisher(
    "confirm.select",
    "a message is acked when its basic.ack has come; mandatory",
);
const ACKS: Setting = Setting::consumer(
    "basic.ack",
    "multiple, after ack.every messages or ack.within",
);

const fn queue(value: &'static str) -> Setting {
    Setting::publisher("queue.declare", value)
}

const fn offer(durability: Durability, settings: &'static [Setting], note: &'static str) -> Offer {
    Offer {
        delivery: Delivery::AtLeastOnce,
        durability,
        acks: true,
        order: Order::PerPublisher,
        settings,
        note,
    }
}

static DESCRIPTOR: Descriptor = Descriptor {
    name: "rabbitmq",
    title: "RabbitMQ",
    about: "RabbitMQ over AMQP 0-9-1: classic queues, quorum queues and streams behind exchanges.",
    client: "lapin 4.12",
    schemes: &["amqp", "amqps"],
    server: Some("rabbitmq"),
    options: &[
        OptionSpec {
            name: "queue",
            kind: OptionKind::Choice(&["classic", "quorum", "stream"]),
            default: None,
            about: "Type of the queues; left out: quorum where fsync is asked for, otherwise classic. \
                    Streams and quorum queues are on disk whatever was asked.",
        },
        OptionSpec {
            name: "exchange",
            kind: OptionKind::Choice(&["default", "direct", "fanout", "topic", "headers"]),
            default: Some("default"),
            about: "What messages are published to: the nameless exchange, which is every queue's own \
                    (with several groups a fanout exchange and a queue for each), or an exchange of \
                    this type for each destination.",
        },
        OptionSpec {
            name: "prefetch",
            kind: OptionKind::Count(0, 65_535),
            default: Some("1000"),
            about: "Messages that a consumer may hold unacknowledged; 0 is no limit. Without \
                    acknowledgements (at-most-once) there is none.",
        },
        OptionSpec {
            name: "mandatory",
            kind: OptionKind::Flag,
            default: Some("true"),
            about: "With confirms: a message that reaches no queue comes back and is counted as failed; \
                    otherwise the server confirms and drops it.",
        },
        OptionSpec {
            name: "priority",
            kind: OptionKind::Count(1, 255),
            default: None,
            about: "Classic queues with so many levels of priority; each publisher has one of them, so \
                    that its own messages stay in order.",
        },
        OptionSpec {
            name: "ttl",
            kind: OptionKind::Time,
            default: None,
            about: "Messages that wait for longer expire: they are lost, or dead-lettered.",
        },
        OptionSpec {
            name: "dead_letter",
            kind: OptionKind::Flag,
            default: None,
            about: "What expires is moved to another queue, which is emptied and counted in a note.",
        },
    ],
    patterns: &[
        PatternSpec {
            pattern: Pattern::Queue,
            shared: true,
            how: "queue, on the default exchange",
        },
        PatternSpec {
            pattern: Pattern::FanOut,
            shared: true,
            how: "fanout exchange, one queue per group",
        },
        PatternSpec {
            pattern: Pattern::Backlog,
            shared: true,
            how: "queue, filled before it is consumed",
        },
    ],
    offers: &[
        Offer {
            delivery: Delivery::AtMostOnce,
            durability: Durability::Memory,
            acks: false,
            order: Order::PerPublisher,
            settings: &[
                queue("classic, not durable; messages transient, no confirms"),
                Setting::consumer("basic.consume", "no-ack"),
            ],
            note: "",
        },
        offer(
            Durability::Memory,
            &[
                queue("classic, not durable; messages transient"),
                CONFIRMS,
                ACKS,
            ],
            "",
        ),
        offer(
            Durability::Disk,
            &[
                queue("classic, durable; messages persistent"),
                CONFIRMS,
                ACKS,
            ],
            "seen on 3.10: a classic queue syncs before it confirms, which is not promised; a stream \
             writes before it confirms and syncs later",
        ),
        offer(
            Durability::Fsync,
            &[queue("quorum, durable"), CONFIRMS, ACKS],
            "confirmed when more than half of the members have synced it",
        ),
    ],
    holds_backlog: true,
    needs_consumers: &[],
    transactions: &[],
    security: &["user", "password", "tls"],
    needs_threads: false,
    ranked: true,
};

/// The driver.
#[derive(Debug)]
pub struct RabbitMq;

impl Driver for RabbitMq {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            allowed(task)?;
            let mut facts = greet(task).await?;
            let topology = Topology::of(task);
            facts.push(("queue type".to_owned(), topology.kind.to_owned()));
            let session = RabbitSession {
                task: Arc::new(task.clone()),
                topology: Arc::new(topology),
                facts,
                notes: Arc::default(),
                asking: Mutex::default(),
            };
            if let Err(error) = session.declare().await {
                // What was made so far would stay; the error is what the user must hear.
                let _ = session.clean_up().await;
                return Err(error);
            }
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

struct RabbitSession {
    task: Arc<Task>,
    topology: Arc<Topology>,
    facts: Vec<(String, String)>,
    notes: Arc<Notes>,
    /// What asks for the backlog, over and over: a connection costs the server more than its answer.
    asking: Mutex<Option<(Link, Channel)>>,
}

impl RabbitSession {
    /// A connection that is neither a publisher's nor a consumer's; whatever the server would say of it
    /// is no note of the trial.
    async fn link(&self) -> Result<Link, DriverError> {
        Link::open(&self.task, &Arc::default(), 0).await
    }

    async fn declare(&self) -> Result<(), DriverError> {
        let link = self.link().await?;
        self.topology.declare(&link).await?;
        link.close().await;
        Ok(())
    }
}

impl Session for RabbitSession {
    fn server_facts(&self) -> Vec<(String, String)> {
        self.facts.clone()
    }

    fn notes(&self) -> Vec<String> {
        self.notes.as_sentences(self.task.delivery)
    }

    fn publisher(&self, publisher: u32) -> Publisher {
        Publisher::Async(Box::new(RabbitPublisher {
            task: Arc::clone(&self.task),
            topology: Arc::clone(&self.topology),
            notes: Arc::clone(&self.notes),
            publisher,
            open: None,
        }))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        Consumer::Async(Box::new(RabbitConsumer {
            task: Arc::clone(&self.task),
            topology: Arc::clone(&self.topology),
            notes: Arc::clone(&self.notes),
            group,
            consumer,
        }))
    }

    fn backlog(&self) -> Option<BoxFuture<'_, Result<u64, DriverError>>> {
        // A stream counts what it keeps, read or not.
        (!self.topology.is_stream()).then(|| {
            let waiting = async {
                let mut asking = self.asking.lock().await;
                let (link, channel) = match asking.take() {
                    Some(open) => open,
                    None => {
                        let link = self.link().await?;
                        let channel = link.channel().await?;
                        (link, channel)
                    }
                };
                let waiting = self.topology.backlog(&link, &channel).await?;
                // One that failed is of no further use.
                *asking = Some((link, channel));
                Ok(waiting)
            };
            Box::pin(waiting) as BoxFuture<'_, _>
        })
    }

    fn clean_up(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let link = self.link().await?;
            self.topology.delete(&link).await?;
            link.close().await;
            Ok(())
        })
    }
}

struct RabbitPublisher {
    task: Arc<Task>,
    topology: Arc<Topology>,
    notes: Arc<Notes>,
    publisher: u32,
    /// Made before the load begins.
    open: Option<(Link, Channel)>,
}

impl RabbitPublisher {
    async fn open(&self) -> Result<(Link, Channel), DriverError> {
        let link = Link::open(&self.task, &self.notes, self.publisher as usize).await?;
        let channel = open(&link, &self.task).await?;
        Ok((link, channel))
    }
}

impl AsyncPublisher for RabbitPublisher {
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            self.open = Some(self.open().await?);
            Ok(())
        })
    }

    fn run(&mut self, mut outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let (mut link, mut channel) = match self.open.take() {
                Some(open) => open,
                None => self.open().await?,
            };
            let (task, topology, publisher) = (&self.task, &self.topology, self.publisher);
            let mut comeback = self.notes.losses.publisher();
            while let Err(ended) =
                publish(&link, &channel, task, topology, publisher, &mut outbox).await
            {
                let reopened = comeback.again(ended, async || {
                    let (link, channel) = self.open().await?;
                    topology.declare(&link).await?;
                    Ok((link, channel))
                });
                (link, channel) = reopened.await?;
            }
            link.close().await;
            Ok(())
        })
    }
}

struct RabbitConsumer {
    task: Arc<Task>,
    topology: Arc<Topology>,
    notes: Arc<Notes>,
    group: u32,
    consumer: u32,
}

impl AsyncConsumer for RabbitConsumer {
    fn run(&mut self, mut inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let (task, topology, notes) = (&*self.task, &*self.topology, &*self.notes);
            let open = async || Link::open(task, &self.notes, self.consumer as usize).await;
            // One of them looks after what expires, too.
            let counts = (self.group, self.consumer) == (0, 0);
            let dead = counts.then_some(notes);
            let queues = topology.read_by(task, self.group, self.consumer);
            let reading = |queue| Reading {
                queue,
                offset: None,
            };
            let mut queues: Vec<Reading> = queues.into_iter().map(reading).collect();
            let mut link = open().await?;
            let mut comeback = notes.losses.consumer();
            loop {
                let Err(ended) =
                    consume(&link, task, topology, &mut queues, dead, &mut inbox).await;
                let back = comeback.receive_again(&mut inbox, ended, async || {
                    let link = open().await?;
                    topology.declare(&link).await?;
                    Ok(link)
                });
                link = back.await?;
            }
        })
    }
}
