//! What a scenario asks of every broker: the part of it that the engine runs.
//!
//! These are resolved values: every default is filled in and every unit is gone. The same types are
//! read from YAML, stored in `results.json` and handed to workers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{Rate, Size};

/// How messages travel from publishers to consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Each message goes to exactly one consumer of each group.
    Queue,
    /// Each group gets every message; there are several groups.
    FanOut,
    /// A reply comes back for each message.
    RequestReply,
    /// A partitioned log, read by consumer groups.
    Stream,
    /// A preloaded backlog is drained.
    Backlog,
}

/// How often a message may arrive, as a promise.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Zero or one time.
    AtMostOnce,
    /// One or more times.
    AtLeastOnce,
    /// Exactly one time.
    ExactlyOnce,
}

/// What an acknowledged message survives.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Nothing.
    Memory,
    /// The broker's death: handed to the operating system before the acknowledgement.
    Disk,
    /// The machine's death: synced to the device before the acknowledgement.
    Fsync,
}

impl Pattern {
    /// As a scenario writes it.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::Queue => "queue",
            Pattern::FanOut => "fan-out",
            Pattern::RequestReply => "request-reply",
            Pattern::Stream => "stream",
            Pattern::Backlog => "backlog",
        }
    }
}

impl Delivery {
    /// As a scenario writes it.
    pub fn name(self) -> &'static str {
        match self {
            Delivery::AtMostOnce => "at-most-once",
            Delivery::AtLeastOnce => "at-least-once",
            Delivery::ExactlyOnce => "exactly-once",
        }
    }
}

impl Durability {
    /// As a scenario writes it.
    pub fn name(self) -> &'static str {
        match self {
            Durability::Memory => "memory",
            Durability::Disk => "disk",
            Durability::Fsync => "fsync",
        }
    }
}

/// The body of a message, after the header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Bytes that no compressor shortens.
    Random,
    /// Zero bytes.
    Zeros,
    /// Text shaped like a JSON record, which compresses as such text does.
    Json,
    /// Bytes of a file, in turn.
    File(String),
}

/// One size of message and how often it occurs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WeightedSize {
    /// Header and body together.
    pub size: Size,
    /// Share among the weights of all sizes.
    pub weight: f64,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// At least one; the sizes are drawn from the seed by their weights.
    pub sizes: Vec<WeightedSize>,
    /// What fills a message.
    pub payload: Payload,
    /// Number of distinct keys, 0 for none.
    pub keys: u32,
    /// Whether consumers compare each body with what was sent.
    pub verify: bool,
}

impl Message {
    /// Mean size in bytes, by weight.
    pub fn mean_size(&self) -> f64 {
        let weights: f64 = self.sizes.iter().map(|s| s.weight).sum();
        let bytes: f64 = self.sizes.iter().map(|s| s.size.0 as f64 * s.weight).sum();
        bytes / weights
    }

    /// The largest size in bytes.
    pub fn largest(&self) -> u64 {
        self.sizes.iter().map(|s| s.size.0).max().unwrap_or(0)
    }
}

/// How the events of an open loop are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// Evenly.
    Uniform,
    /// As a seeded Poisson process.
    Poisson,
    /// In groups of this many messages due at the same instant, the groups evenly spaced.
    Burst(u32),
}

/// A rate that holds for a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Messages per second, over all publishers.
    pub rate: Rate,
    /// How long it holds.
    #[serde(rename = "for", with = "super::units::duration")]
    #[schemars(with = "String")]
    pub lasts: Duration,
}

/// What is offered to the broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// Open loop: messages are due by a schedule, whatever the broker does.
    Rate {
        /// Messages per second, over all publishers.
        rate: Rate,
        /// How they are spaced.
        arrival: Arrival,
    },
    /// Open loop: one rate after the other; the measured part is their sum.
    Steps {
        /// In the order they run.
        steps: Vec<Step>,
        /// How messages are spaced within each.
        arrival: Arrival,
    },
    /// Closed loop: as fast as the windows allow.
    Max,
}

/// When a consumer acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AckPolicy {
    /// After this many messages…
    pub every: u32,
    /// …or after this time, whichever is first.
    #[serde(with = "super::units::duration")]
    #[schemars(with = "String")]
    pub within: Duration,
}

/// How many messages a publisher sends as one: all of them arrive, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transaction {
    /// This many…
    pub messages: u32,
    /// …or those of this time, whichever is first.
    #[serde(with = "super::units::duration")]
    #[schemars(with = "String")]
    pub within: Duration,
}

impl Default for Transaction {
    fn default() -> Transaction {
        Transaction {
            messages: 100,
            within: Duration::from_millis(10),
        }
    }
}

/// What every broker is asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Workload {
    /// How messages travel.
    pub pattern: Pattern,
    /// The least that must hold.
    pub delivery: Delivery,
    /// The least that must hold.
    pub durability: Durability,
    /// What is sent.
    pub message: Message,
    /// What is offered.
    pub load: Load,
    /// 0: a preloaded backlog is consumed.
    pub publishers: u32,
    /// In each group; 0: publish only.
    pub consumers: u32,
    /// Independent sets of consumers; each gets everything.
    pub groups: u32,
    /// Topics, queues or streams.
    pub destinations: u32,
    /// Messages in flight per publisher.
    pub in_flight: u32,
    /// When consumers acknowledge.
    pub ack: AckPolicy,
    /// What publishers send as one; `None` where each message is sent for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Transaction>,
}

/// How long the measured part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// A time.
    Time(
        #[serde(with = "super::units::duration")]
        #[schemars(with = "String")]
        Duration,
    ),
    /// A number of messages, over all publishers.
    Count(u64),
}

/// The parts of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phases {
    /// Load that is not measured.
    #[serde(with = "super::units::duration")]
    #[schemars(with = "String")]
    pub warmup: Duration,
    /// Load that is.
    pub measure: Measure,
    /// The longest wait for what is still on its way; it ends as soon as everything is in.
    #[serde(with = "super::units::duration")]
    #[schemars(with = "String")]
    pub drain: Duration,
}
