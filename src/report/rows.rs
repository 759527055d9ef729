//! One row for every broker, or for every trial: what all formats are made of.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::measure::latency::Kind;
use crate::measure::percentile::{Percentile, SHARES};
use crate::measure::record::Audit;
use crate::measure::verdict::Outcome;
use crate::plan::{Connection, Plan, PlannedBroker};
use crate::results::bound::Bound;
use crate::results::{Attempt, Capacity, Results, Tried};
use crate::scenario::workload::{Load, Workload};
use crate::stats::group::Group;
use crate::stats::median::{median, median_percentile};
use crate::terminal::numbers;

use super::capacity;
use super::under_way::Ended;

/// A broker, or one trial of it.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The run.
    pub results: &'a Results,
    /// The broker.
    pub broker: &'a PlannedBroker,
    /// The broker's place in the plan.
    pub place: usize,
    /// As the server says itself.
    pub server_version: Option<&'a str>,
    /// What was offered.
    pub load: LoadPoint,
    /// What a search found of the broker.
    pub capacity: Option<&'a Capacity>,
    /// What the row sums up.
    pub scope: Scope,
    /// What it is worth; `None` where no trial was made.
    pub outcome: Option<Outcome>,
    /// In words, empty for *ok*.
    pub reason: String,
    /// What to do about it, empty where there is nothing.
    pub remedy: String,
    /// What held a closed loop back.
    pub bound_by: Option<Bound>,
    /// Per second of the measured part; `None` where nothing was measured.
    pub rates: Option<RowRates>,
    /// Counts; `None` where nothing was measured.
    pub counts: Option<Counts>,
    /// A latency that there is not is absent.
    pub latencies: BTreeMap<Kind, Figures>,
    /// Percentiles of the end-to-end latency that the generator's lateness blurs, in any trial that
    /// the row sums up.
    pub instrument_limited: Vec<String>,
    /// What it cost.
    pub cost: Cost,
    /// Over all trials that count, also those that are not *ok*: a median would hide a loss.
    pub total: Audit,
}

/// What a row sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One trial: which of its broker, and which block of the run.
    Trial {
        /// From 1.
        trial: u32,
        /// From 1.
        block: u32,
    },
    /// All trials of a broker: medians over those that are *ok*, or over all if none is.
    Broker {
        /// Trials that count.
        trials: usize,
        /// Those that are *ok*.
        ok: usize,
    },
}

/// What was offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadPoint {
    /// `rate`, `max`, `step`, `sweep`, `search` (the ends of a bracket) or `probe` (a trial of a search that only looks).
    pub kind: &'static str,
    /// Of a sweep: which of its rates, from 1.
    pub step: Option<usize>,
    /// Messages per second over all publishers; of steps, their mean over the measured part.
    pub target: Option<f64>,
}

impl LoadPoint {
    /// Of a plan, or of the part of one that is about a load point.
    pub fn of(plan: &Plan) -> LoadPoint {
        let step = plan.point.map(|point| point + 1);
        match &plan.workload.load {
            Load::Rate { .. } if plan.search.is_some() => LoadPoint {
                kind: "search",
                step,
                target: None,
            },
            Load::Rate { rate, .. } => LoadPoint {
                kind: if step.is_some() { "sweep" } else { "rate" },
                step,
                target: Some(rate.0),
            },
            Load::Max => LoadPoint {
                kind: "max",
                step,
                target: None,
            },
            Load::Steps { steps, .. } => {
                let seconds: f64 = steps.iter().map(|s| s.lasts.as_secs_f64()).sum();
                let messages = steps.iter().map(|s| s.rate.0 * s.lasts.as_secs_f64());
                let messages: f64 = messages.sum();
                LoadPoint {
                    kind: "step",
                    step,
                    target: (seconds > 0.0).then(|| messages / seconds),
                }
            }
        }
    }
}

impl LoadPoint {
    /// Of a trial of a search; `None` of another.
    fn tried(attempt: &Attempt) -> Option<LoadPoint> {
        let tried = attempt.tried?;
        Some(LoadPoint {
            kind: match tried {
                Tried::Loop => "max",
                Tried::Probe(_) => "probe",
                Tried::Confirm(_) => "search",
            },
            step: None,
            target: tried.rate().map(|rate| rate.0),
        })
    }
}

/// Messages and bytes per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowRates {
    /// Due.
    pub offered: f64,
    /// Handed to the client library; none of a backlog, which was sent before.
    pub sent: Option<f64>,
    /// Received.
    pub received: f64,
    /// Bytes received (sent, without consumers).
    pub bytes: f64,
}

/// The counts of the audit, by the names of their columns.
pub const COUNTS: [&str; 16] = [
    "intended",
    "unsent",
    "sent",
    "acked",
    "failed",
    "unresolved",
    "expected",
    "received",
    "lost",
    "lost_acked",
    "censored",
    "duplicated",
    "redelivered",
    "out_of_order",
    "unexpected",
    "corrupted",
];

/// In the order of [`COUNTS`].
pub type Counts = [f64; COUNTS.len()];

/// What is shown of a latency. Nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Of what arrived; `None` where nothing did.
    pub mean: Option<f64>,
    /// Of what arrived.
    pub max: Option<f64>,
    /// In the order of [`SHARES`].
    pub percentiles: [Percentile; SHARES.len()],
}

impl Figures {
    /// A percentile by its name, `p99`.
    pub fn named(&self, name: &str) -> Option<Percentile> {
        let place = SHARES.iter().position(|(known, _)| *known == name)?;
        Some(self.percentiles[place])
    }
}

/// CPU time in microseconds for each message, memory and storage in bytes; `None` where it was not
/// read: the broker's, where it does not run on this machine. For CPU time the messages are those that were
/// handled in the same time: sent, received, or, of both sides and of the broker, the mean of both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// All of the client process.
    pub client_cpu: Option<f64>,
    /// Publishing, for each message sent.
    pub publish_cpu: Option<f64>,
    /// Consuming, for each copy received.
    pub consume_cpu: Option<f64>,
    /// The most memory that the client process had.
    pub client_rss_peak: Option<f64>,
    /// The broker, for each message sent (received, where nothing was).
    pub broker_cpu: Option<f64>,
    /// The most memory that it had.
    pub broker_rss_peak: Option<f64>,
    /// What its data occupied in the end.
    pub broker_disk: Option<f64>,
    /// What it wrote.
    pub broker_written: Option<f64>,
    /// Bytes by which its data grew for each byte that was sent; `None` too where it shrank.
    pub stored_per_byte: Option<f64>,
}

/// One row for each broker, in the order of the plan.
pub fn by_broker(results: &Results) -> Vec<Row<'_>> {
    let groups = Group::all(results).into_iter();
    let row = |group: Group| {
        let mut row = Row::of(results, group.broker, group.used())?;
        row.scope = Scope::Broker {
            trials: group.trials.len(),
            ok: group.ok.len(),
        };
        if let Some(capacity) = row.capacity {
            row.load.target = capacity.lower().map(|low| low.rate.0);
        }
        row.outcome = group.outcome;
        (row.reason, row.remedy) = match group.example() {
            Some(example) => (
                together(&group, &example.verdict.reason),
                example.verdict.remedy.clone(),
            ),
            None if row.capacity.is_some() => {
                let said = row.capacity.and_then(|it| capacity::said(it, row.broker));
                (said.unwrap_or_default(), String::new())
            }
            None if results.manifest.interrupted => {
                (broken_off(results, group.broker), String::new())
            }
            None => ("no trial was made".into(), String::new()),
        };
        for attempt in &group.trials {
            row.total.merge(&attempt.audit);
        }
        Some(row)
    };
    groups.filter_map(row).collect()
}

/// One row for each broker and load point at which it was tried, from [`Results::points`]: a broker's one after the
/// other. Without a sweep that is one for each broker, tried or not.
pub fn by_load<'a>(points: &'a [Cow<'a, Results>]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row> = points.iter().flat_map(|it| by_broker(it)).collect();
    if points.len() > 1 {
        rows.retain(|row| row.outcome.is_some());
        rows.sort_by_key(|row| (row.place, row.load.step));
    }
    rows
}

/// One row for each trial that counts, in the order in which they were made.
pub fn by_trial(results: &Results) -> Vec<Row<'_>> {
    let row = |attempt: &Attempt| {
        let mut row = Row::of(results, attempt.broker, &[attempt])?;
        row.scope = Scope::Trial {
            trial: attempt.repetition,
            block: attempt.block,
        };
        row.load = LoadPoint::tried(attempt).unwrap_or(row.load);
        row.outcome = Some(attempt.verdict.outcome);
        row.reason = attempt.verdict.reason.clone();
        row.remedy = attempt.verdict.remedy.clone();
        row.total = attempt.audit;
        Some(row)
    };
    let whole = results.standing().filter(|attempt| !attempt.interrupted);
    whole.filter_map(row).collect()
}

/// A row of no trial at all, which has all columns; `None` where the plan has no broker.
pub fn no_trial(results: &Results) -> Option<Row<'_>> {
    let mut row = Row::of(results, 0, &[])?;
    row.scope = Scope::Trial { trial: 0, block: 0 };
    Some(row)
}

/// How far a broker came of which no trial ended: of a soak, hours.
fn broken_off(results: &Results, broker: usize) -> String {
    let made = results.standing_of(broker);
    let Some(attempt) = made.filter(|it| it.interrupted && it.seconds > 0.0).last() else {
        return "interrupted before its first trial ended".to_owned();
    };
    let ended = Ended::of(attempt, false);
    let done = match results.plan.workload.consumers {
        0 => "sent",
        _ => "received",
    };
    let mut came = vec![format!("{}/s {done}", numbers::rate(ended.per_second))];
    for (name, value) in [("p50", ended.p50), ("p99", ended.p99)] {
        came.extend(value.map(|it| format!("{name} {}", numbers::time(it as f64))));
    }
    came.push(format!("{} lost", numbers::count(attempt.audit.lost)));
    format!(
        "broken off after {}, so it is not compared: {}",
        numbers::span(attempt.seconds),
        came.join(", ")
    )
}

/// The reason of one trial, with how many have it, where that is not all.
fn together(group: &Group, reason: &str) -> String {
    let (alike, all) = (group.alike(), group.trials.len());
    match group.outcome {
        Some(Outcome::Ok) | None => String::new(),
        Some(_) if alike == all => reason.to_owned(),
        Some(_) => format!("{reason} (in {alike} of {all} trials)"),
    }
}

impl<'a> Row<'a> {
    /// The medians of some trials of one broker. `None` where the plan lacks the broker.
    fn of(results: &'a Results, place: usize, trials: &[&Attempt]) -> Option<Row<'a>> {
        let workload = &results.plan.workload;
        // A trial that failed at its start has no figures; its zeros are not measurements.
        let seen: Vec<&Attempt> = trials
            .iter()
            .copied()
            .filter(|attempt| attempt.seconds > 0.0)
            .collect();
        let middle = |figure: fn(&Attempt) -> f64| median(seen.iter().map(|a| figure(a)));
        let rates = || {
            Some(RowRates {
                offered: middle(|a| a.rates.offered)?,
                sent: middle(|a| a.rates.sent).filter(|_| !workload.drains_backlog()),
                received: middle(|a| a.rates.received)?,
                bytes: middle(|a| a.rates.bytes)?,
            })
        };
        let kinds = Kind::ALL.into_iter();
        let mut instrument_limited = Vec::new();
        for name in seen.iter().flat_map(|a| &a.verdict.instrument_limited) {
            if !instrument_limited.contains(name) {
                instrument_limited.push(name.clone());
            }
        }
        let provenance = results.provenance.broker(place);
        let broker = results.plan.brokers.get(place)?;
        Some(Row {
            results,
            broker,
            place,
            server_version: provenance.and_then(|it| it.server_version.as_deref()),
            load: LoadPoint::of(&results.plan),
            capacity: results.capacities.get(place),
            scope: Scope::Broker {
                trials: trials.len(),
                ok: 0,
            },
            outcome: None,
            reason: String::new(),
            remedy: String::new(),
            bound_by: most_frequent(seen.iter().filter_map(|a| a.bound_by)),
            rates: rates(),
            counts: counts(&seen, u64::from(workload.groups)),
            latencies: kinds
                .filter_map(|kind| Some((kind, figures(&seen, kind)?)))
                .collect(),
            instrument_limited,
            cost: cost(&seen, workload, broker),
            total: Audit::default(),
        })
    }

    /// What was asked.
    pub fn workload(&self) -> &'a Workload {
        &self.results.plan.workload
    }

    /// Whether its figures may be compared.
    pub fn is_valid(&self) -> bool {
        self.outcome == Some(Outcome::Ok)
    }

    /// Whether it may win a column.
    pub fn is_ranked(&self) -> bool {
        self.is_valid() && self.broker.ranked
    }

    /// A percentile of a latency by name.
    pub fn percentile(&self, kind: Kind, name: &str) -> Option<Percentile> {
        self.latencies.get(&kind)?.named(name)
    }
}

fn most_frequent(bounds: impl Iterator<Item = Bound>) -> Option<Bound> {
    let all: Vec<Bound> = bounds.collect();
    let count = |bound: &&Bound| all.iter().filter(|other| other == bound).count();
    all.iter().max_by_key(count).copied()
}

fn counts(trials: &[&Attempt], groups: u64) -> Option<Counts> {
    let each: Vec<[u64; COUNTS.len()]> = trials.iter().map(|a| counted(a, groups)).collect();
    let middle = |place: usize| median(each.iter().map(|counts| counts[place] as f64));
    let medians: Option<Vec<f64>> = (0..COUNTS.len()).map(middle).collect();
    medians?.try_into().ok()
}

/// In the order of [`COUNTS`].
fn counted(attempt: &Attempt, groups: u64) -> [u64; COUNTS.len()] {
    let audit = &attempt.audit;
    [
        audit.intended,
        audit.unsent,
        audit.sent,
        audit.acked,
        audit.failed,
        audit.unresolved,
        audit.expected,
        audit.received,
        audit.lost,
        audit.lost_acked,
        attempt.censored(groups),
        audit.duplicated,
        audit.redelivered,
        audit.out_of_order,
        audit.unexpected,
        audit.corrupted,
    ]
}

fn figures(trials: &[&Attempt], kind: Kind) -> Option<Figures> {
    let kept: Vec<_> = trials
        .iter()
        .filter_map(|a| a.latencies.get(&kind))
        .collect();
    if kept.is_empty() {
        return None;
    }
    let arrived = || kept.iter().filter(|summary| summary.count > 0);
    Some(Figures {
        mean: median(arrived().map(|summary| summary.mean)),
        max: median(arrived().map(|summary| summary.max as f64)),
        percentiles: std::array::from_fn(|i| {
            let each = kept.iter().map(|summary| summary.percentiles[i]);
            median_percentile(each).unwrap_or(Percentile::TooFew)
        }),
    })
}

/// By how many bytes a broker's data grew for each byte of message that was sent in the measured part.
fn grown_per_byte(attempt: &Attempt, message_bytes: f64) -> Option<f64> {
    let sent = attempt.audit.sent as f64 * message_bytes;
    let grown = attempt.usage.brokers_disk_grown_bytes as f64;
    let is_local = attempt.usage.brokers_rss_peak_bytes > 0;
    (is_local && sent > 0.0 && grown >= 0.0).then(|| grown / sent)
}

fn cost(trials: &[&Attempt], workload: &Workload, broker: &PlannedBroker) -> Cost {
    let message_bytes = workload.message.mean_size();
    let copies = u64::from(workload.groups.max(1));
    // Where a broker that is somebody else's keeps its data is not known.
    let has_data = !matches!(broker.connection, Connection::External { .. });
    // What is zero was not read: nothing costs nothing.
    let middle = |figure: &dyn Fn(&Attempt) -> Option<f64>| {
        let read = trials.iter().filter_map(|a| figure(a));
        median(read.filter(|value| *value > 0.0 && value.is_finite()))
    };
    let each =
        |seconds: f64, messages: u64| (messages > 0).then(|| seconds * 1e6 / messages as f64);
    // What is sent and not yet received, or received and sent before, is half done: so a queue that grows or
    // shrinks does not make a message look cheap or dear.
    let messages = |a: &Attempt| match (a.usage.sent, a.usage.received / copies) {
        (sent, 0) => sent,
        (0, received) => received,
        (sent, received) => (sent + received) / 2,
    };
    // The storage of a broker in memory is empty and was read all the same.
    let stored = |figure: fn(&Attempt) -> u64| {
        let local = trials.iter().filter(|a| a.usage.brokers_rss_peak_bytes > 0);
        median(local.map(|a| figure(a) as f64))
    };
    Cost {
        client_cpu: middle(&|a| each(a.usage.own_s, messages(a))),
        publish_cpu: middle(&|a| each(a.usage.publish_s, a.usage.sent)),
        consume_cpu: middle(&|a| each(a.usage.consume_s, a.usage.received)),
        client_rss_peak: middle(&|a| Some(a.usage.rss_peak_bytes as f64)),
        broker_cpu: middle(&|a| each(a.usage.brokers_s, messages(a))),
        broker_rss_peak: middle(&|a| Some(a.usage.brokers_rss_peak_bytes as f64)),
        broker_disk: stored(|a| a.usage.brokers_disk_bytes).filter(|_| has_data),
        broker_written: stored(|a| a.usage.brokers_written_bytes),
        stored_per_byte: median(
            trials
                .iter()
                .filter_map(|a| grown_per_byte(a, message_bytes)),
        )
        .filter(|_| has_data),
    }
}
