//! A scenario as it was meant: every default filled in, every value within bounds.

use serde::{Deserialize, Serialize};

use crate::terminal::diagnostic::Diagnostic;

use super::brokers::BrokerEntry;
use super::placement::Placement;
use super::search::Objective;
use super::source::{Place, Source};
use super::threshold::Threshold;
use super::tree::Node;
use super::units::{Fraction, Rate};
use super::workload::{Phases, Workload};

/// The smallest message in bytes: each carries a header of this size.
pub const SMALLEST_MESSAGE: u64 = 32;

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Names the results.
    pub name: String,
    /// One sentence; may be empty.
    pub description: String,
    /// In the order written.
    pub brokers: Vec<BrokerEntry>,
    /// What every broker is asked to do.
    pub workload: Workload,
    /// The rates of a sweep, the lowest first, which is also the workload's; otherwise empty.
    pub sweep: Vec<Rate>,
    /// What a search looks for, if there is one; its lowest rate is the workload's.
    pub search: Option<Objective>,
    /// The parts of a trial.
    pub phases: Phases,
    /// Repetitions for each broker, and each rate of a sweep; 1 in a search, which decides itself.
    pub trials: u32,
    /// What must hold in the end.
    pub thresholds: Vec<Threshold>,
    /// `None`: one is to be drawn.
    pub seed: Option<u64>,
    /// When a trial counts as disturbed.
    pub disturbed: Disturbed,
    /// What of the machine each party may use.
    pub placement: Placement,
    /// Whether brokers may be asked for different guarantees.
    pub rank_unequal: bool,
    /// Whether brokers that are not on this machine are left out.
    pub skip_missing: bool,
    /// Every default that was filled in.
    pub defaults: Vec<FilledIn>,
    /// What `--quick` changed, a sentence each; empty without it.
    pub quick: Vec<String>,
    /// The texts that it was read from.
    pub source: Source,
    pub(super) tree: Node,
}

impl Scenario {
    /// Messages of the measured part of one trial, where that can be known beforehand: the trials of a search are as
    /// long as what they judge needs.
    pub(super) fn messages(&self) -> Option<f64> {
        match self.search {
            Some(_) => None,
            None => self.workload.messages(&self.phases),
        }
    }

    /// Where the value under a dotted path stands, or the nearest thing above it.
    pub fn place(&self, path: &str) -> Place {
        self.tree.place(path)
    }

    /// An error about a place.
    pub fn error(&self, at: Place, message: impl Into<String>) -> Diagnostic {
        self.source.error(at, message)
    }
}

/// When a trial counts as disturbed by others on the machine, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disturbed {
    /// CPU time that others took, above which a trial is repeated.
    pub share: Fraction,
    /// The most repetitions of one trial.
    pub repeats: u32,
}

/// A value that the scenario left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilledIn {
    /// Its dotted path: `workload.publishers`.
    pub path: String,
    /// As a scenario would write it.
    pub value: String,
}
