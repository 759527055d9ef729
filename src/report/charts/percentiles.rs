//! The percentiles of each broker side by side: the rows of the table as a chart.

use serde::Serialize;

use super::axis::{Axis, Unit};
use super::estimate::{Estimate, PercentileOf, State, say_whiskers};
use super::{Head, Run, meaning, name, sentence};
use crate::measure::latency::Kind;
use crate::measure::percentile::{Percentile, SHARES};
use crate::stats::group::Group;

/// Those that are shown, by their names in results and in tables.
const SHOWN: [(&str, &str); 4] = [
    ("p50", "p50"),
    ("p95", "p95"),
    ("p99", "p99"),
    ("p999", "p99.9"),
];
/// The one by which brokers are ranked, among those shown.
const RANKED_BY: usize = 2;

/// A line of points for each broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// What stands around it.
    pub head: Head,
    /// Of the values.
    pub axis: Axis,
    /// The lowest p99 first; those without one and those that are not valid last.
    pub brokers: Vec<Dots>,
}

/// The percentiles of one broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dots {
    /// The broker's place among the brokers of the charts.
    pub broker: usize,
    /// p50, p95, p99, p99.9.
    pub percentiles: Vec<PercentileOf>,
}

impl Dots {
    /// The percentiles that are known.
    pub fn known(&self) -> impl Iterator<Item = (&PercentileOf, &Estimate)> + Clone {
        let all = self.percentiles.iter();
        all.filter_map(|it| Some((it, it.estimate.as_ref()?)))
    }
}

/// The percentiles of a latency of one broker.
pub(super) fn of(run: &Run, broker: usize, kind: Kind) -> Vec<PercentileOf> {
    let group = Group::of(run.results, broker);
    // A trial that failed at its start has no figures; its zeros are not measurements.
    let used = || group.used().iter().filter(|it| it.seconds > 0.0);
    let each = |(key, title): &(&str, &'static str)| {
        let place = SHARES.iter().position(|(known, _)| known == key)?;
        let trials: Vec<Percentile> = used()
            .filter_map(|it| Some(it.latencies.get(&kind)?.percentiles[place]))
            .collect();
        let is_blurred = |name: &String| kind == Kind::EndToEnd && name == key;
        let blurred = used().any(|it| it.verdict.instrument_limited.iter().any(is_blurred));
        Some(PercentileOf::of((title, SHARES[place].1), &trials, blurred))
    };
    SHOWN.iter().filter_map(each).collect()
}

/// Of a run; `None` where no percentile is known.
pub(super) fn chart(run: &Run) -> Option<Percentiles> {
    let kind = run.latency()?;
    let mut brokers: Vec<Dots> = (0..run.brokers.len())
        .map(|broker| Dots {
            broker,
            percentiles: of(run, broker, kind),
        })
        .filter(|dots| dots.percentiles.iter().any(|it| it.state != State::Nothing))
        .collect();
    if !brokers.iter().any(|dots| dots.known().next().is_some()) {
        return None;
    }
    let rank = |dots: &Dots| {
        let ranked = dots.percentiles.get(RANKED_BY);
        let known = ranked.and_then(|it| it.estimate.as_ref());
        let value = known.map_or(f64::INFINITY, |it| it.median);
        (!run.brokers[dots.broker].is_ok(), value)
    };
    brokers.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    let known = || brokers.iter().flat_map(|it| it.known());
    let values = known().flat_map(|(_, it)| [it.bottom(), it.top()]);
    let axis = Axis::fitting(name(kind), Unit::Nanoseconds, values);
    let mut notes = vec![format!("{} {}", name(kind), meaning(run, kind))];
    notes.push("points: median over trials of each trial's percentile".to_owned());
    notes.extend(say_whiskers(known().map(|(_, it)| it)));
    if known().any(|(it, _)| it.blurred) {
        notes.push("~, hollow: instrument-limited: the generator was late itself".to_owned());
    }
    let any = |state| {
        brokers
            .iter()
            .flat_map(|it| &it.percentiles)
            .any(|it| it.state == state)
    };
    if any(State::Lost) {
        notes.push("lost: it falls among messages that never arrived".to_owned());
    }
    if any(State::TooFew) {
        notes.push("a percentile is left out where fewer than 50 samples lie beyond it".to_owned());
    }
    notes.extend(run.marked(0..run.brokers.len()));
    let title = format!("{} by broker", sentence(name(kind)));
    let mut head = run.head("latency-by-broker", title, notes);
    head.describe(brokers.iter().map(|dots| {
        let all = dots.percentiles.iter().map(|it| {
            let blurred = if it.blurred {
                " (instrument-limited)"
            } else {
                ""
            };
            format!("{} {}{blurred}", it.name, it.text())
        });
        let all: Vec<String> = all.collect();
        format!("{}: {}", run.brokers[dots.broker].spoken(), all.join(", "))
    }));
    Some(Percentiles {
        head,
        axis,
        brokers,
    })
}
