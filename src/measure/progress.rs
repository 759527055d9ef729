//! What a worker says while it goes: a few numbers, once a second at most.

use serde::{Deserialize, Serialize};

use super::record::Second;

/// Where a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Connects, makes destinations, waits until consumers are ready.
    Starting,
    /// Load that is not measured.
    WarmUp,
    /// Load that is.
    Measuring,
    /// No load; what is on its way may still arrive.
    Draining,
}

impl Phase {
    /// As progress shows it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::WarmUp => "warm-up",
            Phase::Measuring => "measuring",
            Phase::Draining => "draining",
        }
    }
}

/// How far a trial is, and what its last second looked like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// Seconds since the phase began.
    pub elapsed: f64,
    /// Seconds that the phase takes, where that is known; the drain's is its limit.
    pub length: Option<f64>,
    /// Messages in the last second: received, or sent where nothing consumes.
    pub per_second: f64,
    /// p50 and p99 of the last second in nanoseconds: the end-to-end latency, or what stands for it
    /// where there is none (publish; in a closed loop transit or service).
    pub latency: Option<[u64; 2]>,
    /// Sent and not yet received.
    pub backlog: u64,
    /// Sends that failed so far.
    pub errors: u64,
    /// All that is known of the second that has just ended, where one has: each comes once, in order.
    pub second: Option<Box<Second>>,
}

impl Progress {
    /// Of a trial that has done nothing yet.
    pub fn starting() -> Progress {
        Progress {
            phase: Phase::Starting,
            elapsed: 0.0,
            length: None,
            per_second: 0.0,
            latency: None,
            backlog: 0,
            errors: 0,
            second: None,
        }
    }
}
