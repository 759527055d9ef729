//! One attempt at a trial, as it is kept in the results: a record without its histograms and series.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bound::{Bound, HostLimited};
use super::course::Course;
use crate::measure::latency::{Kind, Latency};
use crate::measure::percentile::{Percentile, SHARES, Summary, percentile};
use crate::measure::record::{Audit, Rates, Record, Slope};
use crate::measure::resources::{Disturbance, Usage};
use crate::measure::strain::Strain;
use crate::measure::takers::Taker;
use crate::measure::verdict::{Outcome, Promise, Verdict, judge};
use crate::plan::{Plan, PlannedTrial, is_zero};
use crate::scenario::threshold::{Metric, Statistic};
use crate::scenario::units::Rate;
use crate::scenario::workload::{Load, Pattern};

/// One attempt at a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The trial's number in the plan.
    pub trial: u32,
    /// From 1; more than one where the earlier ones were disturbed.
    pub attempt: u32,
    /// The randomised block that the trial belongs to.
    pub block: u32,
    /// Which trial of its broker this is, from 1.
    pub repetition: u32,
    /// The broker's place in the plan.
    pub broker: usize,
    /// The load point's place in the plan's sweep; 0 without one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub point: usize,
    /// What a search tried with it; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Tried>,
    /// Whether this attempt is the one that counts.
    pub stands: bool,
    /// What it is worth.
    pub verdict: Verdict,
    /// Whether others on the machine took more CPU time than the scenario allows.
    pub disturbed: Option<Disturbance>,
    /// Who of those outside the run took most of the CPU; the largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takers: Vec<Taker>,
    /// In which seconds of the measured part others took more than the scenario allows: from and to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbed_at: Vec<[f64; 2]>,
    /// What the machine suffered besides: clock rates, heat, memory.
    #[serde(default)]
    pub strain: Strain,
    /// What always the same piece of work took just before and after it, as in [`Record::work_ns`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_ns: Option<f64>,
    /// Who used the CPU, where all cores were full.
    pub host_limited: Option<HostLimited>,
    /// What held a closed loop back; `None` in an open one.
    pub bound_by: Option<Bound>,
    /// Every message accounted for.
    pub audit: Audit,
    /// Per second of the measured part.
    pub rates: Rates,
    /// Length of the measured part.
    pub seconds: f64,
    /// Length of the drain.
    pub drain_seconds: f64,
    /// Whether the drain ended before everything was in.
    pub drain_cut: bool,
    /// Whether the backlog grew.
    pub backlog_slope: Option<Slope>,
    /// That of the backlog that the server tells of.
    #[serde(default)]
    pub server_backlog_slope: Option<Slope>,
    /// Pauses, and what grew or fell over time.
    #[serde(default, skip_serializing_if = "Course::is_empty")]
    pub course: Course,
    /// A latency that the trial does not have is absent.
    pub latencies: BTreeMap<Kind, Summary>,
    /// Percentiles that thresholds name and [`Summary`] lacks.
    pub asked: Vec<AskedPercentile>,
    /// What the measured part cost.
    pub usage: Usage,
    /// Why messages failed, and how often.
    pub reasons: BTreeMap<String, u64>,
    /// What the server said of itself.
    pub server_facts: Vec<(String, String)>,
    /// What happened that a reader of its figures must know, in sentences.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Whether the user broke it off.
    pub interrupted: bool,
}

/// What a search tries with a trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tried {
    /// A closed loop: where to begin.
    Loop,
    /// Whether a rate may hold: messages per second, over all publishers.
    Probe(Rate),
    /// The same in a trial of full length.
    Confirm(Rate),
}

impl Tried {
    /// Messages per second; `None` of a closed loop.
    pub fn rate(self) -> Option<Rate> {
        match self {
            Tried::Loop => None,
            Tried::Probe(rate) | Tried::Confirm(rate) => Some(rate),
        }
    }
}

/// A percentile that a threshold names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskedPercentile {
    /// Of which latency.
    pub latency: Kind,
    /// Above 0 and below 100.
    pub percent: f64,
    /// What it is.
    pub value: Percentile,
}

impl Attempt {
    /// Judges a record and keeps what reports need of it. `plan` is that of the trial's load point: see
    /// [`Plan::at`].
    ///
    /// `attempt` counts from 1. The attempt stands until [`super::Results::add`] gets a later one.
    pub fn of(record: &Record, plan: &Plan, trial: &PlannedTrial, attempt: u32) -> Attempt {
        let broker = plan.brokers.get(trial.broker);
        let workload = &broker.map_or_else(|| plan.workload.clone(), |it| plan.workload_of(it));
        let offer = broker.map(|broker| &broker.offer);
        let acks = offer.is_some_and(|offer| offer.acks);
        let promise = Promise {
            delivery: offer.map_or(workload.delivery, |offer| offer.delivery),
            acks,
        };
        let groups = u64::from(workload.groups);
        let earlier = plan
            .trials
            .iter()
            .filter(|other| other.broker == trial.broker && other.number < trial.number);
        Attempt {
            trial: trial.number,
            attempt,
            block: trial.block,
            repetition: earlier.count() as u32 + 1,
            broker: trial.broker,
            point: trial.point,
            tried: None,
            stands: true,
            verdict: judge(record, workload, promise),
            disturbed: record.usage.disturbed(plan.disturbed.share.0),
            takers: record.takers.clone(),
            disturbed_at: disturbed_at(record, plan.disturbed.share.0),
            strain: record.strain,
            work_ns: record.work_ns,
            host_limited: HostLimited::of(&record.usage),
            bound_by: match workload.load {
                Load::Max => Bound::of(&record.usage),
                _ => None,
            },
            audit: record.audit,
            rates: record.rates,
            seconds: record.seconds,
            drain_seconds: record.drain_seconds,
            drain_cut: record.drain_cut,
            backlog_slope: record.backlog_slope,
            server_backlog_slope: record.server_backlog_slope,
            course: Course::default(),
            latencies: summaries(record, plan, groups, acks),
            asked: asked(record, plan, groups, acks),
            usage: record.usage,
            reasons: record.reasons.clone(),
            server_facts: record.server_facts.clone(),
            notes: record.notes.clone(),
            interrupted: record.interrupted,
        }
    }

    /// Whether its figures may be compared.
    pub fn is_ok(&self) -> bool {
        self.verdict.outcome == Outcome::Ok && !self.interrupted
    }

    /// A percentile, given as a number above 0 and below 100; `None` where nothing was measured.
    pub fn percentile(&self, latency: Kind, percent: f64) -> Option<Percentile> {
        match kept(percent) {
            Some(place) => self.latencies.get(&latency).map(|s| s.percentiles[place]),
            None => {
                let mut asked = self.asked.iter();
                let found = asked.find(|it| it.latency == latency && it.percent == percent);
                found.map(|it| it.value)
            }
        }
    }

    /// Messages that never arrived, unsent ones included.
    pub fn censored(&self, groups: u64) -> u64 {
        self.audit.censored(Kind::EndToEnd, groups, false)
    }
}

/// The spans of whole seconds in which others took more than this share of the CPU.
fn disturbed_at(record: &Record, limit: f64) -> Vec<[f64; 2]> {
    /// The most spans that are kept: by then it was so all the time.
    const MOST: usize = 32;
    let measured = record.series.iter().filter(|it| it.at > 0.1);
    let within = measured.filter(|it| it.at <= record.seconds + 0.1);
    let mut spans: Vec<[f64; 2]> = Vec::new();
    for second in within.filter(|it| it.steal + it.foreign > limit) {
        let begin = (second.at - 1.0).max(0.0);
        let full = spans.len() == MOST;
        match spans.last_mut() {
            Some(last) if begin - last[1] < 0.5 => last[1] = second.at,
            _ if full => break,
            _ => spans.push([begin, second.at]),
        }
    }
    spans
}

/// The place of a percentile among those of a [`Summary`].
fn kept(percent: f64) -> Option<usize> {
    let same = |share: f64| (share * 100.0 - percent).abs() < 1e-9;
    SHARES.iter().position(|(_, share)| same(*share))
}

/// The latencies that the trial has samples of, and those that it should have: where nothing arrived,
/// everything is censored, which is not the same as nothing measured.
fn summaries(record: &Record, plan: &Plan, groups: u64, acks: bool) -> BTreeMap<Kind, Summary> {
    let workload = &plan.workload;
    let open = !matches!(workload.load, Load::Max);
    let none = Latency::default();
    let summary = |kind: Kind| {
        let censored = record.audit.censored(kind, groups, acks);
        let due = match kind {
            Kind::EndToEnd => open && workload.consumers > 0,
            Kind::Transit => workload.consumers > 0 && workload.publishers > 0,
            Kind::Publish => open && acks,
            Kind::Service => acks,
            Kind::RoundTrip => workload.pattern == Pattern::RequestReply,
            Kind::Lateness | Kind::SendWait => false,
        };
        match record.latencies.get(&kind) {
            Some(latency) => Some((kind, Summary::of(latency, censored))),
            None if due && censored > 0 => Some((kind, Summary::of(&none, censored))),
            None => None,
        }
    };
    Kind::ALL.into_iter().filter_map(summary).collect()
}

fn asked(record: &Record, plan: &Plan, groups: u64, acks: bool) -> Vec<AskedPercentile> {
    let mut asked = Vec::new();
    for threshold in &plan.thresholds {
        let Metric::Latency(Statistic::Percentile(percent), latency) = threshold.metric else {
            continue;
        };
        let kind = Kind::ALL.into_iter().find(|k| k.name() == latency.name());
        let measured = kind.and_then(|kind| Some((kind, record.latencies.get(&kind)?)));
        if let (Some((kind, latency)), None) = (measured, kept(percent)) {
            let censored = record.audit.censored(kind, groups, acks);
            asked.push(AskedPercentile {
                latency: kind,
                percent,
                value: percentile(latency, censored, percent / 100.0),
            });
        }
    }
    asked
}
