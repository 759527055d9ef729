//! What became of the thresholds: latencies and throughputs by the median of the trials, counts by
//! any trial. Where nothing is known, nothing is met.

use crate::measure::latency::Kind;
use crate::measure::percentile::Percentile;
use crate::measure::record::Audit;
use crate::results::model::{Judged, Judgement, Observed};
use crate::results::{Attempt, Results};
use crate::scenario::Threshold;
use crate::scenario::threshold::{Comparison, Count, Metric, Statistic, Throughput};

use super::group::Group;
use super::median::{median, median_percentile};

/// Judges every threshold of the plan for every broker that it is about, at every load point that was tried; of a search
/// at the lower end of what was found. The program of a baseline is none of them.
pub fn judge(results: &Results) -> Vec<Judged> {
    judge_points(&results.at_lower_ends())
}

fn judge_points(results: &Results) -> Vec<Judged> {
    let points = results.plan.points();
    let brokers = results.plan.brokers.len();
    let at =
        |point: usize| (0..brokers).map(move |broker| (point, Group::at(results, broker, point)));
    let groups: Vec<(usize, Group)> = (0..points)
        .flat_map(at)
        .filter(|(_, group)| points == 1 || !group.trials.is_empty())
        .collect();
    let one = |threshold: &Threshold| {
        let about = groups.iter().filter(|(_, group)| {
            let broker = results.plan.brokers.get(group.broker);
            let is_own = broker.is_none_or(|it| it.baseline_of.is_none());
            let label = broker.map(|it| &it.label);
            is_own && (threshold.broker.is_none() || threshold.broker.as_ref() == label)
        });
        let mut brokers: Vec<Judgement> = about
            .map(|(point, group)| {
                let observed = observe(threshold, group, u64::from(results.plan.workload.groups));
                Judgement {
                    broker: group.broker,
                    point: *point,
                    observed,
                    met: is_met(threshold, observed),
                    valid: group.is_valid(),
                }
            })
            .collect();
        brokers.sort_by(|a, b| {
            let badness = |it: &Judgement| badness(threshold, it.observed);
            badness(b).total_cmp(&badness(a))
        });
        Judged {
            threshold: threshold.clone(),
            met: !brokers.is_empty() && brokers.iter().all(|it| it.met),
            brokers,
        }
    };
    results.plan.thresholds.iter().map(one).collect()
}

pub(super) fn is_met(threshold: &Threshold, observed: Observed) -> bool {
    match observed {
        Observed::Value(value) => threshold.comparison.holds(value, threshold.bound.value()),
        Observed::Lost | Observed::TooFew | Observed::Nothing => false,
    }
}

/// How far from what was asked, for sorting; the unit is the bound's.
fn badness(threshold: &Threshold, observed: Observed) -> f64 {
    let Observed::Value(value) = observed else {
        return f64::INFINITY;
    };
    match threshold.comparison {
        Comparison::Less | Comparison::AtMost => value,
        Comparison::Greater | Comparison::AtLeast => -value,
        Comparison::Equal => (value - threshold.bound.value()).abs(),
        Comparison::NotEqual => -(value - threshold.bound.value()).abs(),
    }
}

fn observe(threshold: &Threshold, group: &Group, groups: u64) -> Observed {
    let value = |found: Option<f64>| found.map_or(Observed::Nothing, Observed::Value);
    match threshold.metric {
        Metric::Latency(statistic, latency) => {
            let kinds = Kind::ALL.into_iter();
            match { kinds }.find(|kind| kind.name() == latency.name()) {
                Some(kind) => observe_latency(statistic, kind, group.used()),
                None => Observed::Nothing,
            }
        }
        Metric::Throughput(throughput) => {
            let measured = group.used().iter().filter(|attempt| attempt.seconds > 0.0);
            value(median(measured.map(|attempt| match throughput {
                Throughput::Offered => attempt.rates.offered,
                Throughput::Sent => attempt.rates.sent,
                Throughput::Received => attempt.rates.received,
            })))
        }
        Metric::Count(count) => {
            let mut counts = Vec::new();
            for attempt in &group.trials {
                // A trial that failed before its first message has counted nothing.
                if attempt.audit == Audit::default() {
                    return Observed::Nothing;
                }
                counts.push(counted(count, attempt, groups) as f64);
            }
            let worse = |a: &f64, b: &f64| {
                let badness = |v: f64| badness(threshold, Observed::Value(v));
                badness(*a).total_cmp(&badness(*b))
            };
            value(counts.into_iter().max_by(worse))
        }
    }
}

pub(super) fn observe_latency(statistic: Statistic, kind: Kind, trials: &[&Attempt]) -> Observed {
    let summaries = || {
        let kept = trials
            .iter()
            .filter_map(|attempt| attempt.latencies.get(&kind));
        kept.filter(|summary| summary.count > 0)
    };
    let nanoseconds = match statistic {
        Statistic::Mean => median(summaries().map(|summary| summary.mean)),
        Statistic::Max => median(summaries().map(|summary| summary.max as f64)),
        Statistic::Percentile(percent) => {
            let each = trials.iter().filter_map(|it| it.percentile(kind, percent));
            match median_percentile(each) {
                Some(Percentile::Lost) => return Observed::Lost,
                Some(Percentile::TooFew) => return Observed::TooFew,
                Some(Percentile::Value(nanoseconds)) => Some(nanoseconds as f64),
                None => None,
            }
        }
    };
    nanoseconds.map_or(Observed::Nothing, |value| Observed::Value(value / 1e9))
}

/// A count of the audit.
fn counted(count: Count, attempt: &Attempt, groups: u64) -> u64 {
    let audit = &attempt.audit;
    match count {
        Count::Intended => audit.intended,
        Count::Unsent => audit.unsent,
        Count::Sent => audit.sent,
        Count::Acked => audit.acked,
        Count::Failed => audit.failed,
        Count::Unresolved => audit.unresolved,
        Count::Expected => audit.expected,
        Count::Received => audit.received,
        Count::Lost => audit.lost,
        Count::LostAcked => audit.lost_acked,
        Count::Censored => attempt.censored(groups),
        Count::Duplicated => audit.duplicated,
        Count::Redelivered => audit.redelivered,
        Count::OutOfOrder => audit.out_of_order,
        Count::Unexpected => audit.unexpected,
        Count::Corrupted => audit.corrupted,
    }
}
