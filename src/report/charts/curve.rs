//! The whole distribution of a latency: which share of the messages took at most so long.

use serde::Serialize;

use super::axis::{Axis, Unit, share};
use super::{Head, Run, meaning, name};
use crate::measure::latency::{Kind, Latency};
use crate::measure::percentile::{BEYOND, Percentile, SHARES, percentile};
use crate::report::hlog::Merged;
use crate::stats::group::Group;
use crate::terminal::numbers;

/// Points in each tenfold of what is left beyond them.
const PER_DECADE: i32 = 24;
/// No run has the samples for more nines.
const DECADES: i32 = 12;

/// A line for each broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// What stands around it.
    pub head: Head,
    /// Shares, from 0 to 1; drawn at the logarithm of 1/(1 − share), which has no end.
    pub x: Axis,
    /// Nanoseconds.
    pub y: Axis,
    /// In the order of the plan.
    pub lines: Vec<Line>,
}

/// The distribution of one broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The broker's place among the brokers of the charts.
    pub broker: usize,
    /// How many samples it is made of, those of all its trials.
    pub samples: u64,
    /// How many messages never arrived: they rank above every sample.
    pub lost: u64,
    /// Share and nanoseconds, growing.
    pub points: Vec<(f64, u64)>,
    /// Why it ends where it does.
    pub end: End,
}

/// Why a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Too few samples lie beyond.
    TooFew,
    /// What is beyond never arrived.
    Lost,
}

/// Of a run; `None` where there are too few samples.
pub(super) fn chart(run: &Run, histograms: &Merged) -> Option<Curve> {
    let kind = run.latency()?;
    let line = |broker: usize| {
        let point = run.results.plan.point.unwrap_or(0);
        let latency = histograms.of(broker, point, kind)?;
        let censored = censored(run, broker, kind);
        let (points, end) = points(latency, censored);
        (!points.is_empty()).then_some(Line {
            broker,
            samples: latency.count(),
            lost: censored,
            points,
            end,
        })
    };
    let lines: Vec<Line> = (0..run.brokers.len()).filter_map(line).collect();
    let values = lines.iter().flat_map(|line| &line.points);
    let values = values.map(|(_, nanoseconds)| *nanoseconds as f64);
    let y = Axis::fitting(name(kind), Unit::Nanoseconds, values);
    if lines.is_empty() {
        return None;
    }
    let mut notes = vec![format!("{} {}", name(kind), meaning(run, kind))];
    notes.push(format!(
        "all samples of a broker's valid trials together (of all its trials, where none is valid); a line ends where fewer than {BEYOND} samples lie beyond"
    ));
    if lines.iter().any(|line| line.end == End::Lost) {
        notes.push("× what is beyond never arrived".to_owned());
    }
    notes.extend(run.marked(0..run.brokers.len()));
    let title = format!("Distribution of the {}", name(kind));
    let mut head = run.head("latency-distribution", title, notes);
    head.describe(lines.iter().map(|line| {
        let who = run.brokers[line.broker].spoken();
        let shown = SHARES.iter().filter_map(|(_, of)| {
            let (_, nanoseconds) = line.points.iter().find(|(at, _)| at == of)?;
            let time = numbers::time(*nanoseconds as f64);
            Some(format!("{} within {time}", share(*of)))
        });
        let shown: Vec<String> = shown.collect();
        format!("{who}: {}", shown.join(", "))
    }));
    Some(Curve {
        head,
        x: Axis {
            label: "share of messages".to_owned(),
            unit: Unit::Share,
            log: true,
        },
        y,
        lines,
    })
}

/// Messages of the broker's trials that are summed up and have no sample, because they never arrived.
fn censored(run: &Run, broker: usize, kind: Kind) -> u64 {
    let group = Group::of(run.results, broker);
    let trials = group.used().iter().filter_map(|it| it.latencies.get(&kind));
    trials.map(|summary| summary.censored).sum()
}

/// The shares at which the line has points: evenly spread over the axis, and all that tables have.
fn shares() -> Vec<f64> {
    let even = (0..=PER_DECADE * DECADES)
        .map(|step| 1.0 - 10f64.powf(-f64::from(step) / f64::from(PER_DECADE)));
    // A round share has the value that it is written with, not one that lies a rounding beside it.
    let near = |value: &f64| !SHARES.iter().any(|(_, of)| (value - of).abs() < 1e-9);
    let mut all: Vec<f64> = even.filter(near).collect();
    // Where half of the messages are, those would lie far apart.
    all.extend((1..20).map(|step| f64::from(step) / 40.0));
    all.extend(SHARES.map(|(_, of)| of));
    all.sort_by(f64::total_cmp);
    all
}

fn points(latency: &Latency, censored: u64) -> (Vec<(f64, u64)>, End) {
    let mut points = Vec::new();
    for share in shares() {
        match percentile(latency, censored, share) {
            Percentile::Value(nanoseconds) => points.push((share, nanoseconds)),
            Percentile::Lost => return (points, End::Lost),
            Percentile::TooFew => break,
        }
    }
    (points, End::TooFew)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: u64) -> Latency {
        let mut latency = Latency::default();
        for i in 1..=count {
            latency.record(0, i * 1_000);
        }
        latency
    }

    #[test]
    fn a_line_ends_where_fifty_samples_are_left() {
        let (points, end) = points(&samples(100_000), 0);
        assert_eq!(end, End::TooFew);
        let (last, _) = points.last().unwrap();
        assert!(*last <= 1.0 - 50.0 / 100_000.0 && *last > 0.999, "{last}");
        for (share, nanoseconds) in &points {
            let rank = (share * 100_000.0).ceil().max(1.0);
            let exact = rank * 1_000.0;
            let found = *nanoseconds as f64;
            assert!(
                found >= exact && found <= exact * 1.001 + 1.0,
                "{share}: {found}"
            );
        }
        assert!(
            points
                .windows(2)
                .all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1)
        );
        for (_, of) in &SHARES[..5] {
            assert!(points.iter().any(|(share, _)| share == of), "{of}");
        }
    }

    #[test]
    fn a_line_ends_where_messages_were_lost() {
        let (points, end) = points(&samples(99_000), 1_000);
        assert_eq!(end, End::Lost);
        let (last, _) = points.last().unwrap();
        assert!(*last <= 0.99 && *last > 0.985, "{last}");
        assert_eq!(super::points(&samples(20), 0), (Vec::new(), End::TooFew));
    }
}
