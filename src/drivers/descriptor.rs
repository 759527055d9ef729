//! What a driver declares about itself, as data.
//!
//! Everything that can be known without running is here, so that the plan, the schema and
//! `mqbench drivers NAME` are made from one source.

use serde::Serialize;

pub use crate::engine::task::Order;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// One client and the system that it speaks to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Descriptor {
    /// As a scenario names it: `redis-streams`.
    pub name: &'static str,
    /// As a person names it: `Redis Streams`.
    pub title: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// The client library and its version, or the reason why there is none.
    pub client: &'static str,
    /// URL schemes that it takes, the first is the usual one; empty where no URL is possible.
    pub schemes: &'static [&'static str],
    /// The managed server that it runs against by default, by its name in the servers' registry.
    pub server: Option<&'static str>,
    /// Settings of a scenario's entry that only this driver has.
    pub options: &'static [OptionSpec],
    /// Patterns that it can run.
    pub patterns: &'static [PatternSpec],
    /// What it can promise, and the settings that make it so. The first that satisfies what was asked
    /// is taken: weakest first.
    pub offers: &'static [Offer],
    /// Whether messages wait for consumers that are not there yet (a backlog can be preloaded).
    pub holds_backlog: bool,
    /// Patterns in which nothing can be sent where nobody consumes.
    pub needs_consumers: &'static [Pattern],
    /// Of which guarantees publishers send in transactions; empty where there are none.
    pub transactions: &'static [Delivery],
    /// Which entries of the common connection settings it honours, among
    /// `user`, `password`, `token`, `tls`.
    pub security: &'static [&'static str],
    /// Whether each publisher and each consumer takes a thread of its own, which limits how many there
    /// can be.
    pub needs_threads: bool,
    /// Whether the results may stand in a ranking (a simulated or in-process system may not).
    pub ranked: bool,
}

/// A pattern and its limits.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PatternSpec {
    /// The pattern.
    pub pattern: Pattern,
    /// Whether several consumers of one group can share one destination.
    pub shared: bool,
    /// How it is made: `PUSH → PULL`.
    pub how: &'static str,
}

/// A setting of one driver.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OptionSpec {
    /// As a scenario writes it.
    pub name: &'static str,
    /// What it takes.
    pub kind: OptionKind,
    /// As a scenario would write it; `None` where leaving it out means that it is off.
    pub default: Option<&'static str>,
    /// One sentence.
    pub about: &'static str,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptionKind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number within bounds, both included.
    Count(u64, u64),
    /// A time with unit.
    Time,
    /// A size with unit.
    Size,
    /// A percentage or a number from 0 to 1.
    Fraction,
    /// `true` or `false`.
    Flag,
    /// Any text.
    Text,
    /// `{at: 3s, for: 1s}`.
    Stall,
}

/// A guarantee and how it is reached.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Offer {
    /// What is promised.
    pub delivery: Delivery,
    /// What an acknowledged message survives.
    pub durability: Durability,
    /// Whether a publisher learns that the broker took responsibility.
    pub acks: bool,
    /// What order consumers may rely on.
    pub order: Order,
    /// The very settings, on each side.
    pub settings: &'static [Setting],
    /// What a reader must know besides; empty where the names say it all.
    pub note: &'static str,
}

/// Where a setting is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// By the publishing client.
    Publisher,
    /// By the consuming client.
    Consumer,
    /// In the server's configuration: given to a managed server, asked of an external one.
    Server,
}

/// One setting that makes an offer true.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Setting {
    /// Where it is made.
    pub side: Side,
    /// In the words of that system.
    pub key: &'static str,
    /// In the words of that system.
    pub value: &'static str,
}

impl Setting {
    /// One that is made by the publishing client.
    pub const fn publisher(key: &'static str, value: &'static str) -> Setting {
        let side = Side::Publisher;
        Setting { side, key, value }
    }

    /// One that is made by the consuming client.
    pub const fn consumer(key: &'static str, value: &'static str) -> Setting {
        let side = Side::Consumer;
        Setting { side, key, value }
    }

    /// One that is made in the server's configuration.
    pub const fn server(key: &'static str, value: &'static str) -> Setting {
        let side = Side::Server;
        Setting { side, key, value }
    }
}
