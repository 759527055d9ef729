//! MQTT, versions 3.1.1 and 5, through rumqttc-next: topics that nobody has to make, and sessions in which
//! the server remembers what a consumer has not got yet.
//!
//! The library writes all messages that wait at once, and acknowledges each message as it reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting};
use super::losses::Losses;
use super::mqtt_address::SCHEMES;
use super::mqtt_connection::{
    Connection, Heard, Role, Version, Welcome, keep_alive, keeps_sessions, qos,
};
use super::mqtt_consumer::{MqttConsumer, consumer_id};
use super::mqtt_publisher::MqttPublisher;
use super::mqtt_words as words;
use super::{Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// How long a message to ourselves may take.
const ECHO: Duration = Duration::from_secs(4);
/// Where servers of this kind tell their version, if they do.
const VERSION: &str = "$SYS/broker/version";

const fn publisher(value: &'static str) -> Setting {
    Setting::publisher("PUBLISH", value)
}

const fn consumer(value: &'static str) -> Setting {
    Setting::consumer("SUBSCRIBE", value)
}

/// What waits for a consumer has no limit, so that nothing of it is dropped.
const UNLIMITED: Setting = Setting::server("max_queued_messages", "0");

/// Otherwise a server may hold messages back until earlier ones are acknowledged, and Mosquitto ends
/// the connection of a publisher that has more of QoS 2 under way. Windows are the engine's matter.
const NOT_HELD_BACK: Setting = Setting::server("max_inflight_messages", "0");

const PERSISTENT: Setting = Setting::consumer("CONNECT", "session kept (clean session off)");

static DESCRIPTOR: Descriptor = Descriptor {
    name: "mqtt",
    title: "MQTT",
    about: "MQTT 3.1.1 or 5: topics without storage, sessions that remember what a consumer misses.",
    client: "rumqttc-next 0.34",
    schemes: SCHEMES,
    server: Some("mosquitto"),
    options: &[
        OptionSpec {
            name: "version",
            kind: OptionKind::Choice(&["3.1.1", "5"]),
            default: Some("3.1.1"),
            about: "Version of the protocol. Only 5 tells why something is refused; with it the server \
                    limits what a publisher has in flight (its receive maximum).",
        },
        OptionSpec {
            name: "session",
            kind: OptionKind::Choice(&["persistent", "clean"]),
            default: Some("persistent"),
            about: "Whether the server keeps a consumer's session while it is away; clean in any case \
                    with at-most-once.",
        },
        OptionSpec {
            name: "retained",
            kind: OptionKind::Flag,
            default: Some("false"),
            about: "The server keeps the last message of each topic for later subscribers; removed \
                    after the trial.",
        },
        OptionSpec {
            name: "last_will",
            kind: OptionKind::Text,
            default: None,
            about: "A topic on which the server says that a publisher went without a word.",
        },
        OptionSpec {
            name: "keep_alive",
            kind: OptionKind::Time,
            default: Some("5s"),
            about: "How often the other side is asked whether it is there, in whole seconds; at least \
                    5s with version 5.",
        },
    ],
    patterns: &[
        PatternSpec {
            pattern: Pattern::Queue,
            shared: true,
            how: "topic, one subscription or shared subscription per group",
        },
        PatternSpec {
            pattern: Pattern::FanOut,
            shared: true,
            how: "topic, one subscription or shared subscription per group",
        },
    ],
    offers: &[
        Offer {
            delivery: Delivery::AtMostOnce,
            durability: Durability::Memory,
            acks: false,
            order: Order::PerPublisher,
            settings: &[publisher("QoS 0"), consumer("QoS 0")],
            note: "",
        },
        Offer {
            delivery: Delivery::AtLeastOnce,
            durability: Durability::Memory,
            acks: true,
            order: Order::PerPublisher,
            settings: &[
                publisher("QoS 1"),
                consumer("QoS 1"),
                PERSISTENT,
                UNLIMITED,
                NOT_HELD_BACK,
            ],
            note: "a message for which nobody has subscribed is acknowledged and discarded; consumers \
                   acknowledge each message as they read it",
        },
        Offer {
            delivery: Delivery::ExactlyOnce,
            durability: Durability::Memory,
            acks: true,
            order: Order::PerPublisher,
            settings: &[
                publisher("QoS 2"),
                consumer("QoS 2"),
                PERSISTENT,
                UNLIMITED,
                NOT_HELD_BACK,
            ],
            note: "exactly once per hop: from publisher to server, and from server to consumer; a \
                   message for which nobody has subscribed is acknowledged and discarded",
        },
    ],
    // A session holds what its consumer misses, but only for those who have been there before.
    holds_backlog: false,
    needs_consumers: &[],
    transactions: &[],
    security: &["user", "password", "tls"],
    needs_threads: false,
    ranked: true,
};

/// The driver.
#[derive(Debug)]
pub struct Mqtt;

impl Driver for Mqtt {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            check_options(task)?;
            let role = Role::passing(client_id(task, "check"));
            let mut connection = Connection::open(task, &role).await?;
            let welcome = connection.welcome;
            check_welcome(task, &welcome)?;
            if task.destination.is_none() {
                // In an existing topic it would reach others.
                check_size(task, &mut connection).await?;
            }
            connection.close().await?;
            let version = version(task).await?;
            Ok(Box::new(MqttSession {
                facts: facts(task, version, &welcome),
                task: Arc::new(task.clone()),
                notes: Arc::default(),
            }) as Box<dyn Session>)
        })
    }
}

/// The name of one of the trial's connections; servers know sessions by it.
pub fn client_id(task: &Task, who: &str) -> String {
    format!("mqbench-{}-{}-{who}", task.run_id, task.trial)
}

fn wrong(doing: impl Into<String>, cause: impl Into<String>) -> DriverError {
    DriverError {
        doing: doing.into(),
        cause: cause.into(),
    }
}

fn check_options(task: &Task) -> Result<(), DriverError> {
    let seconds = keep_alive(task).as_secs();
    let least = match Version::of(task) {
        Version::Three => 1,
        Version::Five => 5,
    };
    if !(least..=u64::from(u16::MAX)).contains(&seconds) {
        return Err(wrong(
            "use the option keep_alive",
            format!("{least}s to 65535s are possible with this version"),
        ));
    }
    if let Some(topic) = task.text("last_will")
        && (topic.is_empty() || topic.contains(['+', '#']))
    {
        return Err(wrong(
            "use the option last_will",
            format!("`{topic}` is not the name of one topic"),
        ));
    }
    Ok(())
}

/// Compares what the server says of itself with what the trial needs.
fn check_welcome(task: &Task, welcome: &Welcome) -> Result<(), DriverError> {
    let wanted = qos(task);
    if let Some(most) = welcome.maximum_qos.filter(|most| *most < wanted) {
        return Err(wrong(
            format!("send with QoS {wanted}"),
            format!("the server takes at most QoS {most}"),
        ));
    }
    if task.flag("retained") && welcome.retain_available == Some(false) {
        return Err(wrong(
            "send retained messages",
            "the server keeps none (retain_available false)",
        ));
    }
    let shares = task.workload.consumers > task.workload.destinations;
    if shares && welcome.shared_available == Some(false) {
        return Err(wrong(
            "share a topic among several consumers",
            "the server has no shared subscriptions",
        ));
    }
    Ok(())
}

/// What the server says of its version, if it does. It keeps that as a message for whoever subscribes, and
/// sends it before it answers anything that was asked later. On a connection of its own: some servers
/// take the question amiss and end it.
async fn version(task: &Task) -> Result<Option<String>, DriverError> {
    let role = Role::passing(client_id(task, "version"));
    let mut connection = Connection::open(task, &role).await?;
    let topic = vec![VERSION.to_owned()];
    connection.requests.subscribe(&topic, 0).await;
    connection.requests.subscribe(&topic, 0).await;
    let (mut version, mut answers) = (None, 0);
    let heard = |heard| {
        match heard {
            Heard::Message { payload, topic, .. } if topic == VERSION => {
                version = Some(String::from_utf8_lossy(&payload).into_owned());
            }
            Heard::Subscribed(_) => answers += 1,
            _ => {}
        }
        (answers == 2).then_some(())
    };
    if connection.wait_for(ECHO, heard).await.is_ok() {
        connection.close().await?;
    }
    Ok(version)
}

/// Sends a message to ourselves, a short one and then the longest of the trial. A server that finds one
/// too long ends the connection, or acknowledges it and throws it away.
async fn check_size(task: &Task, connection: &mut Connection) -> Result<(), DriverError> {
    let topic = client_id(task, "check");
    let subscribed = connection
        .subscribe(std::slice::from_ref(&topic), qos(task))
        .await;
    let address = connection.address.clone();
    subscribed.map_err(|cause| wrong(format!("subscribe at {address}"), cause))?;
    let largest = task.workload.message.largest();
    for size in [1, largest] {
        let payload = Bytes::from(vec![0; size as usize]);
        connection
            .requests
            .publish(&topic, qos(task), false, payload)
            .await;
        let heard = |heard| match heard {
            Heard::Message {
                payload, topic: on, ..
            } if on == topic => Some(payload.len() as u64 == size),
            Heard::Refused(_, _) => Some(false),
            _ => None,
        };
        let came = connection.wait_for(ECHO, heard).await;
        match came {
            Ok(true) => {}
            _ if size == 1 => {
                let cause = came.err().unwrap_or_else(|| "it refuses them".to_owned());
                let cause = match cause.as_str() {
                    words::SILENT => "what was sent did not come back: may this user publish and \
                                      subscribe to topics that begin with mqbench-?"
                        .to_owned(),
                    _ => cause,
                };
                return Err(wrong(format!("send messages to {address}"), cause));
            }
            _ => {
                return Err(wrong(
                    format!("send messages of {size} bytes to {address}"),
                    "they exceed the largest size that the server takes (of Mosquitto: \
                     message_size_limit, max_packet_size)",
                ));
            }
        }
    }
    Ok(())
}

fn facts(task: &Task, version: Option<String>, welcome: &Welcome) -> Vec<(String, String)> {
    let unknown = || "unverified".to_owned();
    let mut facts = vec![
        ("version".to_owned(), version.unwrap_or_else(unknown)),
        (
            "protocol".to_owned(),
            task.text("version").unwrap_or_default().to_owned(),
        ),
    ];
    if let Some(most) = welcome.receive_maximum {
        facts.push(("receive maximum".to_owned(), most.to_string()));
    }
    if let Some(most) = welcome.maximum_packet_size {
        facts.push(("maximum packet size".to_owned(), most.to_string()));
    }
    if keeps_sessions(task) {
        // No version of the protocol has a question for it.
        facts.push(("max_queued_messages".to_owned(), unknown()));
    }
    if qos(task) > 0 && welcome.receive_maximum.is_none() {
        facts.push(("max_inflight_messages".to_owned(), unknown()));
    }
    facts
}

struct MqttSession {
    task: Arc<Task>,
    facts: Vec<(String, String)>,
    notes: Arc<Notes>,
}

impl Session for MqttSession {
    fn server_facts(&self) -> Vec<(String, String)> {
        self.facts.clone()
    }

    fn notes(&self) -> Vec<String> {
        self.notes.as_sentences(&self.task)
    }

    fn publisher(&self, publisher: u32) -> Publisher {
        Publisher::Async(Box::new(MqttPublisher {
            task: Arc::clone(&self.task),
            notes: Arc::clone(&self.notes),
            publisher,
            connection: None,
        }))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        Consumer::Async(Box::new(MqttConsumer {
            task: Arc::clone(&self.task),
            notes: Arc::clone(&self.notes),
            group,
            consumer,
        }))
    }

    fn clean_up(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            remove_sessions(&self.task).await?;
            remove_retained(&self.task).await
        })
    }
}

/// A session ends when its owner comes back and wants a clean one.
async fn remove_sessions(task: &Task) -> Result<(), DriverError> {
    if !keeps_sessions(task) {
        return Ok(());
    }
    for group in 0..task.workload.groups {
        for consumer in 0..task.workload.consumers {
            let role = Role::passing(consumer_id(task, group, consumer));
            Connection::open(task, &role).await?.close().await?;
        }
    }
    Ok(())
}

/// An empty message takes the place of the one that is kept.
async fn remove_retained(task: &Task) -> Result<(), DriverError> {
    if !task.flag("retained") {
        return Ok(());
    }
    let role = Role::passing(client_id(task, "cleaner"));
    let mut connection = Connection::open(task, &role).await?;
    for topic in task.destination_names() {
        let empty = Bytes::new();
        connection.requests.publish(&topic, 1, true, empty).await;
        let heard = |heard| match heard {
            Heard::Acked(_) | Heard::AckedForNobody(_) => Some(()),
            _ => None,
        };
        let removed = connection.wait_for(ECHO, heard).await;
        removed.map_err(|cause| wrong(format!("remove the retained message of {topic}"), cause))?;
    }
    connection.close().await
}

/// What happened on any connection of the trial that a reader of its figures must know.
#[derive(Debug, Default)]
pub struct Notes {
    /// Connections that were lost.
    pub losses: Losses,
    nobody: AtomicU64,
    /// The least that the server lets a publisher have in flight, where that is less than the window.
    limit: AtomicU64,
}

impl Notes {
    /// A message was acknowledged for which nobody had subscribed.
    pub fn nobody(&self) {
        self.nobody.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers what the server lets a publisher have in flight, if that is less than its window.
    pub fn limit(&self, task: &Task, welcome: &Welcome) {
        let most = u32::from(welcome.receive_maximum.unwrap_or(u16::MAX));
        if qos(task) > 0 && most < task.workload.in_flight {
            self.limit.store(u64::from(most), Ordering::Relaxed);
        }
    }

    fn as_sentences(&self, task: &Task) -> Vec<String> {
        let mut notes = self.losses.notes(task.delivery);
        let nobody = self.nobody.load(Ordering::Relaxed);
        if nobody > 0 {
            notes.push(format!(
                "{nobody} messages were acknowledged and discarded: nobody had subscribed"
            ));
        }
        let limit = self.limit.load(Ordering::Relaxed);
        if limit > 0 {
            notes.push(format!(
                "the server lets a publisher have {limit} messages in flight (its receive maximum), \
                 not {}",
                task.workload.in_flight
            ));
        }
        if qos(task) > 0 && !keeps_sessions(task) {
            notes.push(
                "sessions are clean: what comes while a consumer is away is lost, whatever the QoS"
                    .to_owned(),
            );
        }
        notes
    }
}
