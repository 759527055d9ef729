//! What a reader must know before trusting the figures: each warning says what is wrong and what helps.

use std::collections::BTreeMap;

use crate::measure::resources::Cause;
use crate::measure::verdict::Outcome;
use crate::results::bound::HostLimited;
use crate::results::{Attempt, Results};
use crate::scenario::units::Rate;
use crate::scenario::workload::Load;
use crate::stats::group::Group;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{self, counted, listed, percent};

use super::course::Course;
use super::machine::{self, Strained, were};
use super::not_held::NotHeld;
use super::queued::Queued;

/// The most kinds of error that are named for one broker.
const REASONS: usize = 3;

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// The run was broken off.
    Interrupted {
        /// Trials that were made.
        made: usize,
        /// Trials of the plan; `None` where it has no number of them.
        planned: Option<usize>,
    },
    /// Trials were disturbed and repeated.
    Repeated {
        /// How many.
        trials: usize,
        /// Trials that were made.
        of: usize,
        /// What took the CPU, and its shares.
        taken: Vec<(Cause, f64)>,
        /// Which programs: `rustc 5.1 %`; empty where none is known.
        by: String,
    },
    /// Trials were disturbed to the end.
    StillDisturbed {
        /// How many.
        trials: usize,
        /// The largest share taken.
        share: f64,
        /// Which programs; empty where none is known.
        by: String,
    },
    /// The machine was not the same all the time.
    Strained(Strained),
    /// Some trials of a broker are left out of its medians.
    LeftOut {
        /// The broker.
        broker: String,
        /// How many, of how many.
        trials: (usize, usize),
        /// What they are.
        outcome: Outcome,
        /// Why.
        reason: String,
    },
    /// A broker that is not *ok*: what helps.
    NotOk {
        /// The broker.
        broker: String,
        /// What it is.
        outcome: Outcome,
        /// Of how many trials how many are.
        trials: (usize, usize),
        /// What helps.
        remedy: String,
    },
    /// Percentiles that the generator's own lateness blurs.
    InstrumentLimited {
        /// Of which brokers, and which of theirs.
        of: Vec<(String, Vec<String>)>,
    },
    /// All cores were full.
    HostLimited {
        /// While these were measured.
        brokers: Vec<String>,
        /// Of the first of them.
        shares: HostLimited,
    },
    /// Messages never arrived.
    Lost {
        /// The broker.
        broker: String,
        /// Over all its trials.
        lost: u64,
        /// Of these the broker had acknowledged.
        acked: Option<u64>,
    },
    /// Sends failed.
    Errors {
        /// The broker.
        broker: String,
        /// Why, and how often; the most frequent first.
        reasons: Vec<(String, u64)>,
    },
    /// At one load point of a sweep.
    At {
        /// The offered load.
        rate: Rate,
        /// What is wrong there.
        warning: Box<Warning>,
    },
    /// A limit of the scenario was not enforced.
    NotHeld(NotHeld),
    /// Pauses, and what grew or fell over time.
    Course(Course),
    /// Measuring began behind a queue.
    Queued(Queued),
    /// Samples that no clock should give: that ended before they began, or lasted for years.
    Impossible {
        /// The broker.
        broker: String,
        /// How many.
        samples: u64,
    },
}

/// A warning in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What is wrong.
    pub what: String,
    /// What helps; empty where nothing does.
    pub remedy: String,
}

/// All that apply to a run.
pub fn warnings(results: &Results) -> Vec<Warning> {
    let mut found = Vec::new();
    let made = results.standing().filter(|a| !a.interrupted).count();
    let planned = match results.plan.search {
        Some(_) => None,
        None => Some(results.plan.trials.len()),
    };
    if results.manifest.interrupted {
        found.push(Warning::Interrupted { made, planned });
    }
    found.extend(disturbances(results, made));
    found.extend(Strained::of(results).map(Warning::Strained));
    found.extend(NotHeld::all(results).into_iter().map(Warning::NotHeld));
    let points = results.points();
    if let [only] = points.as_slice() {
        found.extend(of_point(only));
        return found;
    }
    let mut is_full = false;
    for part in &points {
        let valid = Group::all(part).into_iter().filter(Group::is_valid);
        let label = |it: Group| printable(&part.plan.brokers[it.broker].label);
        let ok: Vec<String> = valid.map(label).collect();
        // What was too much for a broker stands in the table; what came of it is no news.
        let rate = part.plan.sweep[part.plan.point.unwrap_or(0)];
        for warning in of_point(part) {
            // One that full cores held back at a rate they hold back at all higher ones.
            let again = matches!(warning, Warning::HostLimited { .. })
                && std::mem::replace(&mut is_full, true);
            if !again && warning.is_of_sweep(&ok) {
                let warning = Box::new(warning);
                found.push(Warning::At { rate, warning });
            }
        }
    }
    found
}

/// Those about the brokers at one load point.
fn of_point(results: &Results) -> Vec<Warning> {
    let mut found = Vec::new();
    let groups = Group::all(results);
    for group in &groups {
        let Some(broker) = results.plan.brokers.get(group.broker) else {
            continue;
        };
        let (label, acks) = (printable(&broker.label), broker.offer.acks);
        found.extend(not_ok(results, group, &label));
        let mut percentiles: Vec<String> = Vec::new();
        for name in group
            .used()
            .iter()
            .flat_map(|a| &a.verdict.instrument_limited)
        {
            if !percentiles.contains(name) {
                percentiles.push(name.clone());
            }
        }
        if !percentiles.is_empty() && group.outcome != Some(Outcome::GeneratorLimited) {
            let one = (label.clone(), percentiles);
            let earlier = found.iter_mut().find_map(|warning| match warning {
                Warning::InstrumentLimited { of } => Some(of),
                _ => None,
            });
            match earlier {
                Some(of) => of.push(one),
                None => found.push(Warning::InstrumentLimited { of: vec![one] }),
            }
        }
        found.extend(Queued::of(results, group, &label).map(Warning::Queued));
        found.extend(Course::of(results, group.broker, &label).map(Warning::Course));
        let sum = |count: fn(&Attempt) -> u64| group.trials.iter().map(|a| count(a)).sum();
        let lost: u64 = sum(|a| a.audit.lost);
        if lost > 0 {
            let broker = label.clone();
            let acked = acks.then(|| sum(|a| a.audit.lost_acked));
            found.push(Warning::Lost {
                broker,
                lost,
                acked,
            });
        }
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in group.trials.iter().flat_map(|a| &a.reasons) {
            *reasons.entry(reason).or_default() += count;
        }
        if !reasons.is_empty() {
            let mut reasons: Vec<(String, u64)> = reasons
                .into_iter()
                .map(|(reason, count)| (printable(reason), count))
                .collect();
            reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let broker = label.clone();
            found.push(Warning::Errors { broker, reasons });
        }
        let summaries = group.trials.iter().flat_map(|a| a.latencies.values());
        let samples: u64 = summaries
            .map(|summary| summary.negative + summary.saturated)
            .sum();
        if samples > 0 {
            let broker = label;
            found.push(Warning::Impossible { broker, samples });
        }
    }
    found.extend(host_limited(results, &groups));
    found
}

fn disturbances(results: &Results, made: usize) -> Vec<Warning> {
    let mut found = Vec::new();
    let repeated: Vec<&Attempt> = results
        .attempts
        .iter()
        .filter(|a| !a.stands && a.disturbed.is_some())
        .collect();
    if !repeated.is_empty() {
        let mut trials: Vec<u32> = repeated.iter().map(|a| a.trial).collect();
        trials.sort_unstable();
        trials.dedup();
        let taken = repeated.iter().filter_map(|a| a.disturbed);
        found.push(Warning::Repeated {
            trials: trials.len(),
            of: made,
            taken: taken.map(|it| (it.cause, it.share)).collect(),
            by: machine::names(repeated.iter().copied().filter(machine::by_processes)),
        });
    }
    let standing = || results.standing().filter(|a| a.disturbed.is_some());
    let shares = standing().filter_map(|a| a.disturbed);
    let shares: Vec<f64> = shares.map(|it| it.share).collect();
    if let Some(share) = shares.iter().copied().max_by(f64::total_cmp) {
        found.push(Warning::StillDisturbed {
            trials: shares.len(),
            share,
            by: machine::names(standing()),
        });
    }
    found
}

fn not_ok(results: &Results, group: &Group, label: &str) -> Vec<Warning> {
    let Some(outcome) = group.outcome else {
        return Vec::new();
    };
    let broker = label.to_owned();
    if outcome == Outcome::Ok {
        let left = group.trials.iter().filter(|a| !a.is_ok());
        let left: Vec<&&Attempt> = left.collect();
        return left
            .first()
            .map(|first| Warning::LeftOut {
                broker,
                trials: (left.len(), group.trials.len()),
                outcome: first.verdict.outcome,
                reason: printable(&first.verdict.reason),
            })
            .into_iter()
            .collect();
    }
    let remedy = match outcome {
        Outcome::Saturated => lower_rate(results, group),
        _ => None,
    };
    let said = group.example().map(|it| it.verdict.remedy.clone());
    let remedy = remedy.or(said).unwrap_or_default();
    let trials = (group.alike(), group.trials.len());
    // What is wrong stands under the row already; here is what helps.
    if remedy.is_empty() {
        return Vec::new();
    }
    vec![Warning::NotOk {
        broker,
        outcome,
        trials,
        remedy: printable(&remedy),
    }]
}

/// A rate that a saturated broker is likely to hold: nine tenths of what it took, in two digits.
fn lower_rate(results: &Results, group: &Group) -> Option<String> {
    let Load::Rate { rate, .. } = results.plan.workload.load else {
        return None;
    };
    let workload = &results.plan.workload;
    let copies = match workload.consumers {
        0 => None,
        _ => Some(f64::from(workload.groups.max(1))),
    };
    let took = group.used().iter().map(|a| match copies {
        Some(copies) => (a.rates.received / copies).min(a.rates.sent),
        None => a.rates.sent,
    });
    let took = took.min_by(f64::total_cmp)?.min(rate.0) * 0.9;
    if took < 1.0 {
        return None;
    }
    let digit = 10f64.powf(took.log10().floor() - 1.0).max(1.0);
    let lower = crate::scenario::units::Rate((took / digit).floor() * digit);
    Some(format!("try `--set workload.load.rate={lower}`"))
}

fn host_limited(results: &Results, groups: &[Group]) -> Option<Warning> {
    let mut brokers = Vec::new();
    let mut shares = None;
    for group in groups {
        let full = group.used().iter().find_map(|a| a.host_limited);
        if let (Some(full), Some(broker)) = (full, results.plan.brokers.get(group.broker)) {
            brokers.push(printable(&broker.label));
            shares = shares.or(Some(full));
        }
    }
    let shares = shares?;
    Some(Warning::HostLimited { brokers, shares })
}

impl Warning {
    /// Whether it is worth saying of a load point of a sweep: not where the broker is not *ok*, which the
    /// table says; `ok` has the labels of those that are.
    fn is_of_sweep(&self, ok: &[String]) -> bool {
        let is_ok = |label: &String| ok.contains(label);
        match self {
            // The table marks them.
            Warning::NotOk { .. } | Warning::InstrumentLimited { .. } => false,
            Warning::LeftOut { broker, .. }
            | Warning::Lost { broker, .. }
            | Warning::Errors { broker, .. } => is_ok(broker),
            Warning::Course(course) => is_ok(&course.broker),
            _ => true,
        }
    }

    /// In words.
    pub fn say(&self) -> Said {
        let (what, remedy) = match self {
            Warning::At { rate, warning } => {
                let Said { what, remedy } = warning.say();
                (format!("at {rate}: {what}"), remedy)
            }
            Warning::Interrupted { made, planned } => (
                match planned {
                    Some(planned) => {
                        let planned = counted(*planned as u64, "trial");
                        format!("interrupted: {made} of {planned} were made")
                    }
                    None => format!("interrupted after {}", counted(*made as u64, "trial")),
                },
                String::new(),
            ),
            Warning::Repeated {
                trials,
                of,
                taken,
                by,
            } => (machine::repeated(*trials, *of, taken, by), String::new()),
            Warning::Strained(strained) => strained.say(),
            Warning::StillDisturbed { trials, share, by } => (
                format!(
                    "{} {} disturbed to the last attempt, which stands (others took up to {} of the CPU{})",
                    counted(*trials as u64, "trial"),
                    were(*trials),
                    percent(*share),
                    machine::of_which(by)
                ),
                "run it again when the machine is quiet".to_owned(),
            ),
            Warning::LeftOut {
                broker,
                trials: (out, of),
                outcome,
                reason,
            } => (
                format!(
                    "{broker}: {out} of {of} trials {} and {} left out of the medians ({reason})",
                    became(*outcome, *out),
                    is(*out)
                ),
                String::new(),
            ),
            Warning::NotOk {
                broker,
                outcome,
                trials: (alike, of),
                remedy,
            } => (
                format!(
                    "{broker}: {alike} of {of} trials {}",
                    became(*outcome, *alike)
                ),
                remedy.clone(),
            ),
            Warning::InstrumentLimited { of } => {
                let one = |(broker, percentiles): &(String, Vec<String>)| {
                    let names: Vec<String> = percentiles.iter().map(|it| dotted(it)).collect();
                    format!("{broker}: {}", listed(&names))
                };
                let all: Vec<String> = of.iter().map(one).collect();
                (
                    format!(
                        "instrument-limited ({}): the generator itself was late by more than a tenth of it",
                        all.join("; ")
                    ),
                    "leave it more CPU: a lower rate, or a machine with a spare core".to_owned(),
                )
            }
            Warning::HostLimited { brokers, shares } => (
                format!(
                    "all cores were full while {} {} measured: publishers {}, consumers {}, broker {}, others {}",
                    listed(brokers),
                    were(brokers.len()),
                    percent(shares.publishers),
                    percent(shares.consumers),
                    percent(shares.broker),
                    percent(shares.others)
                ),
                if shares.others > 0.5 {
                    "most of it went to other programs: end them, or run it again when they have ended"
                        .to_owned()
                } else {
                    "the parties took CPU from each other: offer less, or use more cores".to_owned()
                },
            ),
            Warning::Lost {
                broker,
                lost,
                acked,
            } => {
                let acked = match acked {
                    None => String::new(),
                    Some(0) => ", none of them acknowledged".to_owned(),
                    Some(acked) => format!(", {} of them acknowledged", numbers::count(*acked)),
                };
                let lost = counted(*lost, "message");
                (format!("{broker}: {lost} lost{acked}"), String::new())
            }
            Warning::Errors { broker, reasons } => {
                let total: u64 = reasons.iter().map(|(_, count)| count).sum();
                let shown = reasons.iter().take(REASONS);
                let mut shown: Vec<String> = shown
                    .map(|(reason, count)| format!("{reason} ({})", numbers::count(*count)))
                    .collect();
                if reasons.len() > REASONS {
                    shown.push(format!("{} more kinds", reasons.len() - REASONS));
                }
                let messages = counted(total, "message");
                (
                    format!("{broker}: {messages} failed: {}", shown.join("; ")),
                    String::new(),
                )
            }
            Warning::NotHeld(bound) => bound.say(),
            Warning::Course(course) => course.say(),
            Warning::Queued(queued) => queued.say(),
            Warning::Impossible { broker, samples } => (
                format!(
                    "{broker}: {} ended before they began, or lasted for years",
                    counted(*samples, "sample")
                ),
                "this is a fault of the machine's clock or of mqbench; please report it".to_owned(),
            ),
        };
        Said { what, remedy }
    }
}

/// What became of so many trials, as a verb.
fn became(outcome: Outcome, trials: usize) -> String {
    match outcome {
        Outcome::Failed => "failed".to_owned(),
        Outcome::BrokenPromise => "broke a promise".to_owned(),
        Outcome::Ok | Outcome::GeneratorLimited | Outcome::Saturated => {
            format!("{} {}", were(trials), outcome.name())
        }
    }
}

fn is(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// `p999` as `p99.9`.
fn dotted(name: &str) -> String {
    match name.strip_prefix("p99") {
        Some(rest) if !rest.is_empty() => format!("p99.{rest}"),
        _ => name.to_owned(),
    }
}
