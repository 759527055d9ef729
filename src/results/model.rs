//! The results of a run as they are stored: plain values, with a version.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use super::capacity::Capacity;
use super::provenance::Provenance;
use crate::plan::{Plan, PlannedBroker, is_zero};
use crate::scenario::Threshold;

/// The version of what is stored. It grows when a reader of the version before would misread.
pub const SCHEMA_VERSION: u32 = 1;

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// What, when, by which program.
    pub manifest: Manifest,
    /// What was to be done.
    pub plan: Plan,
    /// The scenario as it was written, without secrets.
    pub scenario_text: String,
    /// Under which conditions.
    pub provenance: Provenance,
    /// What was done, in the order in which it was.
    pub attempts: Vec<Attempt>,
    /// What a search found, one for each broker of the plan; empty without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capacities: Vec<Capacity>,
    /// What became of the thresholds; empty until the run is done, and where there are none.
    pub thresholds: Vec<Judged>,
}

/// What, when, by which program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Random, eight hexadecimal digits: destinations carry it, and the folder its first half.
    pub id: String,
    /// The scenario's name.
    pub scenario: String,
    /// When the run began: RFC 3339 with the offset of the place.
    pub started: String,
    /// When it ended; `None` while it goes, and for good if it was killed.
    pub finished: Option<String>,
    /// Version of mqbench.
    pub tool_version: String,
    /// The commit that it was built from, where that is known.
    pub git_commit: Option<String>,
    /// The command line, without secrets.
    pub command: Vec<String>,
    /// Whether the user ended it early.
    pub interrupted: bool,
    /// The id of the run whose plan it repeats, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<String>,
}

impl Manifest {
    /// Of a run that begins now.
    pub fn begin(id: String, scenario: String, command: Vec<String>) -> Manifest {
        Manifest {
            id,
            scenario,
            started: now(),
            finished: None,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            git_commit: option_env!("MQBENCH_GIT_COMMIT").map(str::to_owned),
            command,
            interrupted: false,
            repeats: None,
        }
    }

    /// The run is over.
    pub fn end(&mut self, interrupted: bool) {
        self.finished = Some(now());
        self.interrupted = interrupted;
    }
}

/// The present time to the second, with the offset of the place.
pub fn now() -> String {
    let now = jiff::Zoned::now();
    now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

impl Results {
    /// Of a run in which nothing was done yet.
    pub fn begin(
        manifest: Manifest,
        plan: Plan,
        scenario_text: String,
        provenance: Provenance,
    ) -> Results {
        Results {
            schema_version: SCHEMA_VERSION,
            manifest,
            plan,
            scenario_text,
            provenance,
            attempts: Vec::new(),
            capacities: Vec::new(),
            thresholds: Vec::new(),
        }
    }

    /// Adds an attempt. The last attempt of a trial is the one that counts: earlier ones were
    /// disturbed. One that the user broke off counts only where the trial has no other.
    pub fn add(&mut self, mut attempt: Attempt) {
        let same = |other: &&mut Attempt| other.trial == attempt.trial && other.stands;
        match self.attempts.iter_mut().find(same) {
            Some(_) if attempt.interrupted => attempt.stands = false,
            Some(earlier) => earlier.stands = false,
            None => {}
        }
        self.attempts.push(attempt);
    }

    /// The run as one run for each load point, the lowest first. Without a sweep there is one point, which is the
    /// run; of a search it has of each broker the trial at the lower end of what was found, and no other.
    pub fn points(&self) -> Vec<Cow<'_, Results>> {
        if self.plan.search.is_some() {
            return vec![self.at_lower_ends()];
        }
        let points = 0..self.plan.points();
        points.map(|point| self.at(point)).collect()
    }

    /// Of a search the run with the trial of each broker at the lower end of what was found; else the run.
    pub fn at_lower_ends(&self) -> Cow<'_, Results> {
        if self.plan.search.is_none() {
            return Cow::Borrowed(self);
        }
        let is_low = |attempt: &&Attempt| {
            let capacity = self.capacities.get(attempt.broker);
            let low = capacity.and_then(Capacity::lower);
            attempt.stands && low.is_some_and(|low| low.trial == attempt.trial)
        };
        let mut part = self.clone();
        part.attempts = self.attempts.iter().filter(is_low).cloned().collect();
        Cow::Owned(part)
    }

    fn at(&self, point: usize) -> Cow<'_, Results> {
        let Cow::Owned(plan) = self.plan.at(point) else {
            return Cow::Borrowed(self);
        };
        let attempts = self.attempts.iter().filter(|it| it.point == point);
        let about_it = |judged: &Judged| {
            let mut judged = judged.clone();
            judged.brokers.retain(|it| it.point == point);
            judged.met = judged.brokers.iter().all(|it| it.met);
            judged
        };
        Cow::Owned(Results {
            schema_version: self.schema_version,
            manifest: self.manifest.clone(),
            plan,
            scenario_text: self.scenario_text.clone(),
            provenance: self.provenance.clone(),
            attempts: attempts.cloned().collect(),
            capacities: Vec::new(),
            thresholds: self.thresholds.iter().map(about_it).collect(),
        })
    }

    /// The attempts that count.
    pub fn standing(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.stands)
    }

    /// The attempts of one broker that count.
    pub fn standing_of(&self, broker: usize) -> impl Iterator<Item = &Attempt> {
        self.standing()
            .filter(move |attempt| attempt.broker == broker)
    }

    /// The broker of an attempt; `None` where a damaged file names one that the plan lacks.
    pub fn broker_of(&self, attempt: &Attempt) -> Option<&PlannedBroker> {
        self.plan.brokers.get(attempt.broker)
    }
}

/// What became of a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// As it was written.
    pub threshold: Threshold,
    /// Whether it holds for every broker that it is about.
    pub met: bool,
    /// For each broker that it is about; the worst first.
    pub brokers: Vec<Judgement>,
}

/// What one broker did about a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Its place in the plan.
    pub broker: usize,
    /// The load point's place in the plan's sweep; 0 without one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub point: usize,
    /// What was seen.
    pub observed: Observed,
    /// Whether that is within the bound.
    pub met: bool,
    /// Whether it comes from trials that may be compared.
    pub valid: bool,
}

/// What a threshold is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// Seconds, messages, or messages per second, as the threshold's bound.
    Value(f64),
    /// The percentile falls among messages that never arrived.
    Lost,
    /// The percentile is not known: too few samples lie beyond it.
    TooFew,
    /// Nothing was measured.
    Nothing,
}
