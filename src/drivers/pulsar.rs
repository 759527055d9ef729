//! Apache Pulsar: a topic per destination, a subscription per group.
//!
//! What it declares is in every build, so that scenarios and their schema do not depend on how mqbench
//! was built; the client is in those with the feature `pulsar` (its build needs `protoc`).

use futures_util::future::BoxFuture;

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting};
use super::{Driver, DriverError, Session};
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

#[cfg(feature = "pulsar")]
const CLIENT: &str = "pulsar 6.9";
#[cfg(not(feature = "pulsar"))]
const CLIENT: &str = "none in this build; get one that has it with `scripts/get build`, then \
                      `cargo build --release --features pulsar`";
/// Why this build cannot run it.
#[cfg(not(feature = "pulsar"))]
const LEFT_OUT: &str = "this mqbench was built without the Pulsar client: get what it takes with \
                        `scripts/get build`, then build it with `cargo build --release --features \
                        pulsar`";

const ACKNOWLEDGED: Setting = Setting::publisher("send", "receipt awaited");
const PERSISTENT: Setting = Setting::publisher("topic", "persistent");
const NON_PERSISTENT: Setting =
    Setting::publisher("topic", "non-persistent (persistent for a backlog)");
const ACK: Setting = Setting::consumer("acknowledge", "after ack.every messages or ack.within");

const fn synced(value: &'static str) -> Setting {
    Setting::server("journalSyncData", value)
}

static DESCRIPTOR: Descriptor = Descriptor {
    name: "pulsar",
    title: "Pulsar",
    about: "Apache Pulsar: topics that a broker serves and bookies keep, read through subscriptions.",
    client: CLIENT,
    schemes: &["pulsar", "pulsar+ssl"],
    server: Some("pulsar"),
    options: &[
        OptionSpec {
            name: "topic",
            kind: OptionKind::Choice(&["persistent", "non-persistent"]),
            default: None,
            about: "Whether bookies keep messages, or the broker hands them on and forgets them; left \
                    out, what the guarantee needs.",
        },
        OptionSpec {
            name: "partitions",
            kind: OptionKind::Count(0, 1_000),
            default: Some("0"),
            about: "Partitions of each topic; 0 for a topic without. Each publisher keeps to one, which \
                    keeps its order.",
        },
        OptionSpec {
            name: "subscription",
            kind: OptionKind::Choice(&["exclusive", "shared", "failover", "key-shared"]),
            default: None,
            about: "Type of the subscription; left out, exclusive where each topic has one consumer of a \
                    group, otherwise shared. `key-shared` needs `message.keys`.",
        },
        OptionSpec {
            name: "batching",
            kind: OptionKind::Flag,
            default: Some("false"),
            about: "Whether the client puts several messages into one entry. Its batches go out one after \
                    the other, each when the one before is acknowledged.",
        },
        OptionSpec {
            name: "batch",
            kind: OptionKind::Count(2, 100_000),
            default: Some("1000"),
            about: "Messages of a batch at most, where there is batching.",
        },
        OptionSpec {
            name: "batch_delay",
            kind: OptionKind::Time,
            default: Some("1ms"),
            about: "How long a batch that is not full waits for more messages.",
        },
        OptionSpec {
            name: "compression",
            kind: OptionKind::Choice(&["none", "lz4", "zlib", "zstd", "snappy"]),
            default: Some("none"),
            about: "How entries are compressed.",
        },
        OptionSpec {
            name: "max_pending",
            kind: OptionKind::Count(1, 1_000_000),
            default: Some("20"),
            about: "Messages that wait in a publisher's client to be written; when it is full, the \
                    publisher waits.",
        },
        OptionSpec {
            name: "receiver_queue",
            kind: OptionKind::Count(1, 1_000_000),
            default: Some("1000"),
            about: "Messages that the broker may send to a consumer before it has handled the ones \
                    before. From a non-persistent topic the broker drops what goes beyond, so there it \
                    is at least 100,000, and twice what the windows of all publishers let under way.",
        },
        OptionSpec {
            name: "namespace",
            kind: OptionKind::Text,
            default: Some("public/default"),
            about: "Tenant and namespace of the topics.",
        },
        OptionSpec {
            name: "admin_url",
            kind: OptionKind::Text,
            default: None,
            about: "Where the REST API for administration answers, by which topics are made and \
                    deleted (http://host:port or https://host:port); left out, port 8080 of the same \
                    host, or 8443 where its connections are encrypted.",
        },
    ],
    patterns: &[
        PatternSpec {
            pattern: Pattern::Queue,
            shared: true,
            how: "topic, one subscription per group",
        },
        PatternSpec {
            pattern: Pattern::FanOut,
            shared: true,
            how: "topic, one subscription per group",
        },
        PatternSpec {
            pattern: Pattern::Stream,
            shared: true,
            how: "topic, one subscription per group",
        },
        PatternSpec {
            pattern: Pattern::Backlog,
            shared: true,
            how: "persistent topic, subscriptions made before the preload",
        },
    ],
    offers: &[
        Offer {
            delivery: Delivery::AtMostOnce,
            durability: Durability::Memory,
            acks: false,
            order: Order::PerPublisher,
            settings: &[NON_PERSISTENT],
            note: "the broker drops what it cannot hand on at once",
        },
        Offer {
            delivery: Delivery::AtLeastOnce,
            durability: Durability::Disk,
            acks: true,
            order: Order::PerPublisher,
            settings: &[PERSISTENT, ACKNOWLEDGED, ACK, synced("false")],
            note: "the journal is written before the acknowledgement and synced by the kernel when it \
                   likes",
        },
        Offer {
            delivery: Delivery::AtLeastOnce,
            durability: Durability::Fsync,
            acks: true,
            order: Order::PerPublisher,
            settings: &[PERSISTENT, ACKNOWLEDGED, ACK, synced("true")],
            note: "",
        },
    ],
    holds_backlog: true,
    needs_consumers: &[],
    transactions: &[],
    security: &["user", "password", "token", "tls"],
    needs_threads: false,
    ranked: true,
};

/// The driver.
#[derive(Debug)]
pub struct Pulsar;

impl Driver for Pulsar {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    #[cfg(not(feature = "pulsar"))]
    fn left_out(&self) -> Option<&'static str> {
        Some(LEFT_OUT)
    }

    #[cfg(not(feature = "pulsar"))]
    fn prepare<'a>(
        &'a self,
        _task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async {
            Err(DriverError {
                doing: "use Pulsar".to_owned(),
                cause: LEFT_OUT.to_owned(),
            })
        })
    }

    #[cfg(feature = "pulsar")]
    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(super::pulsar_session::prepare(task))
    }
}
