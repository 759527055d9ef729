//! How a trial went over time: pauses, and what grew or fell.

use serde::{Deserialize, Serialize};

/// What is kept of a trial's course.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Course {
    /// In the order in which they were; of very many the longest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
    /// How many there were.
    #[serde(skip_serializing_if = "is_zero")]
    pub pauses_in_all: u64,
    /// What was looked at for a drift, where the trial was long enough.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drifts: Vec<Drift>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Course {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Course::default()
    }
}

/// What a pause was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseKind {
    /// A group of consumers received nothing.
    Silent,
    /// Messages came, and took far longer than in the seconds around.
    Slow,
}

/// A time in which messages did not come, or far slower than usual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// When it began, in seconds after the start of the measured part.
    pub at: f64,
    /// How long it lasted, in seconds.
    pub seconds: f64,
    /// What it was.
    pub kind: PauseKind,
    /// Of a slow one, the highest p99 of a second in it, nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<u64>,
}

/// What may drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drifting {
    /// p99 of a second, nanoseconds.
    Latency,
    /// Messages received in a second; sent, where nothing is consumed.
    Throughput,
    /// Resident memory of the broker, bytes.
    BrokerMemory,
    /// Messages on their way or in the broker.
    Backlog,
}

impl Drifting {
    /// As a sentence names it.
    pub fn name(self) -> &'static str {
        match self {
            Drifting::Latency => "p99",
            Drifting::Throughput => "throughput",
            Drifting::BrokerMemory => "memory of the broker",
            Drifting::Backlog => "backlog",
        }
    }
}

/// A slope over the measured part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Of what.
    pub of: Drifting,
    /// Change an hour, in its own unit.
    pub per_hour: f64,
    /// Lower end of its interval (99.7 %).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Change over the whole measured part, as a share of its median value.
    pub share: f64,
    /// Whether it is more than noise, lasts to the end, and is large enough to matter.
    pub called: bool,
}
