//! What a worker is told: one trial, whole, as a plain value.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scenario::brokers::Tls;
use crate::scenario::units;
use crate::scenario::workload::{Delivery, Durability, Load, Phases, Workload};

/// The order that is promised to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// None.
    None,
    /// Messages of one publisher to one destination arrive as they were sent.
    PerPublisher,
    /// Messages of one publisher with one key arrive as they were sent.
    PerKey,
}

/// What tells a publisher that messages have arrived, so that more may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowBy {
    /// Nothing: any number may be under way.
    Nothing,
    /// Acknowledgements.
    Acks,
    /// Receipts by the slowest group of consumers.
    Receipts,
}

impl WindowBy {
    /// Acknowledgements, where they say that the broker has the message and keeps it for its
    /// consumers. Where there are none, or they promise nothing about delivery, a closed loop counts
    /// receipts: otherwise it would send faster than consumers read, and measure how much the broker
    /// throws away. An open loop needs no window then; its schedule says when messages are sent.
    pub fn of(workload: &Workload, acks: bool, holds_backlog: bool) -> WindowBy {
        let is_closed = matches!(workload.load, Load::Max);
        let is_answered = workload.consumers > 0 && workload.publishers > 0;
        match (acks, is_closed && is_answered && !(acks && holds_backlog)) {
            (_, true) => WindowBy::Receipts,
            (true, false) => WindowBy::Acks,
            (false, false) => WindowBy::Nothing,
        }
    }
}

/// One trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Stamped into every message; messages of other runs are foreign.
    pub run: u32,
    /// Stamped into every message; messages of other trials are foreign.
    pub trial: u16,
    /// The run's id as it appears in the names of destinations.
    pub run_id: String,
    /// Everything random in the trial is drawn from it.
    pub seed: u64,
    /// Which driver runs it.
    pub driver: String,
    /// Where the broker answers; `None` where the driver needs no broker.
    pub url: Option<String>,
    /// Name to log in with.
    pub user: Option<String>,
    /// Goes from supervisor to worker through a pipe and nowhere else.
    pub password: Option<String>,
    /// Likewise.
    pub token: Option<String>,
    /// How connections are encrypted; `None` where they are in the clear.
    pub tls: Option<Tls>,
    /// Members of the cluster that a private instance is; 1 for a server of one's own.
    pub nodes: u32,
    /// An existing destination to use instead of a fresh one.
    pub destination: Option<String>,
    /// The driver's options, every default filled in.
    pub options: BTreeMap<String, Value>,
    /// What the chosen offer gives.
    pub delivery: Delivery,
    /// What the chosen offer gives.
    pub durability: Durability,
    /// Whether publishers learn that the broker took responsibility.
    pub acks: bool,
    /// What order is promised.
    pub order: Order,
    /// What bounds the messages under way.
    pub window: WindowBy,
    /// What is asked.
    pub workload: Workload,
    /// How long.
    pub phases: Phases,
}

impl Task {
    /// A name for the destination with this number: the same for every publisher and consumer of the
    /// trial, and for no other trial.
    pub fn destination(&self, number: u32) -> String {
        match &self.destination {
            Some(existing) if self.workload.destinations == 1 => existing.clone(),
            Some(existing) => format!("{existing}-{number}"),
            None => format!("mqbench-{}-{}-{number}", self.run_id, self.trial),
        }
    }

    /// The names of all destinations, by number.
    pub fn destination_names(&self) -> Vec<String> {
        let numbers = 0..self.workload.destinations.max(1);
        numbers.map(|number| self.destination(number)).collect()
    }

    /// The names of those that a consumer of a group reads.
    pub fn destination_names_of(&self, consumer: u32) -> Vec<String> {
        let numbers = self.destinations_of(consumer).into_iter();
        numbers.map(|number| self.destination(number)).collect()
    }

    /// The destinations that a consumer of a group reads: with more destinations than consumers each
    /// reads several, with more consumers than destinations several share one.
    pub fn destinations_of(&self, consumer: u32) -> Vec<u32> {
        let (consumers, destinations) = (self.workload.consumers, self.workload.destinations);
        if consumers >= destinations {
            vec![consumer % destinations]
        } else {
            (consumer..destinations)
                .step_by(consumers as usize)
                .collect()
        }
    }

    /// The destinations that a publisher sends to: with at most as many destinations as publishers one,
    /// otherwise several of its own.
    pub fn destinations_by(&self, publisher: u32) -> Vec<u32> {
        // A backlog is preloaded by one publisher that the workload does not name.
        let publishers = self.workload.publishers.max(1);
        let destinations = self.workload.destinations.max(1);
        if destinations <= publishers {
            vec![publisher % destinations]
        } else {
            (publisher..destinations)
                .step_by(publishers as usize)
                .collect()
        }
    }

    /// By destination: the consumers of any group that read it.
    pub fn readers(&self) -> Vec<Vec<usize>> {
        let mut readers = vec![Vec::new(); self.workload.destinations as usize];
        for consumer in 0..self.workload.consumers {
            for destination in self.destinations_of(consumer) {
                readers[destination as usize].push(consumer as usize);
            }
        }
        readers
    }

    /// An option that is a word or text.
    pub fn text(&self, option: &str) -> Option<&str> {
        self.options.get(option)?.as_str()
    }

    /// An option that is a whole number.
    pub fn count(&self, option: &str) -> Option<u64> {
        self.options.get(option)?.as_u64()
    }

    /// An option that is `true` or `false`; off where it is left out.
    pub fn flag(&self, option: &str) -> bool {
        self.options
            .get(option)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// An option that is a time, written with its unit.
    pub fn time(&self, option: &str) -> Option<Duration> {
        units::duration::parse(self.text(option)?).ok()
    }

    /// An option that is a size, written with its unit, in bytes.
    pub fn size(&self, option: &str) -> Option<u64> {
        self.text(option)?.parse::<units::Size>().ok().map(|s| s.0)
    }

    /// An option that is a share: a number from 0 to 1, or a percentage.
    pub fn fraction(&self, option: &str) -> Option<f64> {
        let value = self.options.get(option)?;
        value
            .as_f64()
            .or_else(|| value.as_str()?.parse::<units::Fraction>().ok().map(|f| f.0))
    }
}
