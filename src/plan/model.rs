//! A plan as a plain value: it is stored with the results, and parts of it travel to workers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::drivers::descriptor::{Order, Side};
use crate::engine::task::WindowBy;
use crate::scenario::brokers::Tls;
use crate::scenario::units::Rate;
use crate::scenario::workload::{
    Delivery, Durability, Load, Measure, Phases, Transaction, Workload,
};
use crate::scenario::{Disturbed, FilledIn, Objective, Placement, Secret, Threshold};

use super::missing::LeftOut;

/// Everything that a run does, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// One sentence; may be empty.
    pub description: String,
    /// Decides the order of trials and everything that is drawn in them.
    pub seed: u64,
    /// What every broker is asked to do; of a sweep, at its lowest rate.
    pub workload: Workload,
    /// The rates of a sweep, the lowest first: its *load points*. Otherwise empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<Rate>,
    /// What a search looks for: then the workload has the lowest rate that it may try, and the trials are the most that
    /// it may need. See [`Plan::at_rate`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Objective>,
    /// The load point of a sweep that this is the part of; `None` of a whole plan. See [`Plan::at`].
    #[serde(skip)]
    pub point: Option<usize>,
    /// The parts of a trial.
    pub phases: Phases,
    /// What must hold in the end.
    pub thresholds: Vec<Threshold>,
    /// When a trial counts as disturbed.
    pub disturbed: Disturbed,
    /// What of the machine each party may use.
    #[serde(default, skip_serializing_if = "Placement::is_empty")]
    pub placement: Placement,
    /// In the scenario's order.
    pub brokers: Vec<PlannedBroker>,
    /// Brokers of the scenario that do not take part, because they are not on this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// In the order of running.
    pub trials: Vec<PlannedTrial>,
    /// Every default that was filled in.
    pub defaults: Vec<FilledIn>,
    /// What `--quick` changed; empty without it.
    pub quick: Vec<String>,
}

/// One broker with everything decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedBroker {
    /// As the results name it.
    pub label: String,
    /// The driver's name.
    pub driver: String,
    /// As a person names the system.
    pub title: String,
    /// Where it is.
    pub connection: Connection,
    /// An existing destination to use instead of a fresh one.
    pub destination: Option<String>,
    /// The driver's options, every default filled in. Times, sizes and shares are text with their unit.
    pub options: BTreeMap<String, Value>,
    /// What it gives.
    pub offer: GivenOffer,
    /// What bounds the messages under way.
    pub window: WindowBy,
    /// How it makes the pattern: `PUSH → PULL`.
    pub how: String,
    /// Whether it may stand in a ranking.
    pub ranked: bool,
    /// The label of the broker beside which the program of a baseline is measured as this entry, for the gate alone: it
    /// is neither ranked nor judged by thresholds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_of: Option<String>,
    /// The most that may be sent to it.
    pub max_rate: Option<Rate>,
    /// What was asked of it: the workload's guarantee, or its own.
    pub asked: Asked,
    /// What its publishers send as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Transaction>,
    /// How connections are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Never stored: they go to workers by a way of their own.
    #[serde(skip)]
    pub secrets: Secrets,
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// A private instance. Entries with the same server, settings and program share one.
    Managed {
        /// By its name in the servers' registry.
        server: String,
        /// What the offer needs it to be set to, in the server's words.
        config: BTreeMap<String, String>,
        /// The program, where the scenario names one.
        binary: Option<String>,
    },
    /// One that runs already.
    External {
        /// Without user and password.
        url: String,
    },
    /// None is needed.
    InProcess,
}

impl Connection {
    /// Members of the cluster that a private instance is, otherwise 1.
    pub fn nodes(&self) -> u32 {
        match self {
            Connection::Managed { config, .. } => crate::servers::nodes(config),
            Connection::External { .. } | Connection::InProcess => 1,
        }
    }
}

/// What to log in with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// User at the broker.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// A token instead of both.
    pub token: Option<Secret>,
}

/// The least that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Of every message.
    pub delivery: Delivery,
    /// Of every acknowledged message.
    pub durability: Durability,
}

/// The offer that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenOffer {
    /// What is promised, at least what was asked.
    pub delivery: Delivery,
    /// At least what was asked.
    pub durability: Durability,
    /// Whether publishers learn that the broker took responsibility.
    pub acks: bool,
    /// What order consumers may rely on.
    pub order: Order,
    /// The very settings, on each side.
    pub settings: Vec<GivenSetting>,
    /// What a reader must know besides; may be empty.
    pub note: String,
}

/// One setting that makes an offer true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenSetting {
    /// Where it is made.
    pub side: Side,
    /// In the words of that system.
    pub key: String,
    /// In the words of that system.
    pub value: String,
}

/// One trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTrial {
    /// From 1, in the order of running.
    pub number: u32,
    /// From 1; a block is one trial of every broker. Of a search it is a round.
    pub block: u32,
    /// Index into the plan's brokers.
    pub broker: usize,
    /// Index into the rates of a sweep; 0 without one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub point: usize,
    /// Everything random in the trial is drawn from it; the same for all trials of a block, so that
    /// every broker gets the same arrivals and sizes. Below 2^53, so that any reader of JSON keeps it.
    pub seed: u64,
}

/// Whether a load point is that of a run without a sweep, or the first of one.
pub fn is_zero(point: &usize) -> bool {
    *point == 0
}

/// What a trial takes besides its phases: connections, destinations, clean-up.
pub(super) const AROUND_A_TRIAL: Duration = Duration::from_secs(1);

impl Plan {
    /// What a broker is asked to do: the workload with the guarantee that is asked of this one.
    pub fn workload_of(&self, broker: &PlannedBroker) -> Workload {
        Workload {
            delivery: broker.asked.delivery,
            durability: broker.asked.durability,
            transaction: broker.transaction,
            ..self.workload.clone()
        }
    }

    /// How many load points there are: the rates of a sweep, otherwise one.
    pub fn points(&self) -> usize {
        match self.point {
            Some(_) => 1,
            None => self.sweep.len().max(1),
        }
    }

    /// The part of the plan that is about one load point, as a plan of its own. Without a sweep there is one,
    /// which is the plan.
    pub fn at(&self, point: usize) -> Cow<'_, Plan> {
        let (Some(rate), None) = (self.sweep.get(point), self.point) else {
            return Cow::Borrowed(self);
        };
        let mut part = self.clone();
        part.point = Some(point);
        if let Load::Rate { rate: asked, .. } = &mut part.workload.load {
            *asked = *rate;
        }
        part.trials.retain(|trial| trial.point == point);
        Cow::Owned(part)
    }

    /// Whether brokers are asked for different guarantees.
    pub fn is_unequal(&self) -> bool {
        self.brokers
            .windows(2)
            .any(|two| two[0].asked != two[1].asked)
    }

    /// How long it will take if every drain ends at once, and if none does before its limit. `None`
    /// where nothing says how long the measured part is (a count of messages without a rate).
    pub fn estimate(&self) -> Option<(Duration, Duration)> {
        if self.search.is_some() {
            return self.estimate_of_search();
        }
        if self.points() > 1 {
            let mut parts = (0..self.points()).map(|point| self.at(point).estimate());
            return parts.try_fold((Duration::ZERO, Duration::ZERO), |sum, part| {
                let part = part?;
                Some((sum.0.checked_add(part.0)?, sum.1.checked_add(part.1)?))
            });
        }
        let measure = match (self.phases.measure, &self.workload.load) {
            (Measure::Time(time), _) => time,
            (Measure::Count(count), Load::Rate { rate, .. }) => {
                Duration::try_from_secs_f64(count as f64 / rate.0).ok()?
            }
            (Measure::Count(_), _) => return None,
        };
        let trials = u32::try_from(self.trials.len()).ok()?;
        let least = self.phases.warmup.checked_add(measure)?;
        let least = least.checked_add(AROUND_A_TRIAL)?;
        let most = least.checked_add(self.phases.drain)?;
        Some((least.checked_mul(trials)?, most.checked_mul(trials)?))
    }
}
