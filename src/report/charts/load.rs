//! A latency against the offered load of a sweep: where each system bends.

use serde::Serialize;

use super::axis::{Axis, Unit};
use super::estimate::{Estimate, PercentileOf, State};
use super::{Broker, Head, name, sentence};
use crate::measure::latency::Kind;
use crate::measure::percentile::{Percentile, SHARES};
use crate::report::headline::headline;
use crate::report::rows::Row;
use crate::report::sweep::Sweep;
use crate::results::Results;
use crate::scenario::units::Rate;
use crate::stats::group::Group;
use crate::stats::shape::Shape;
use crate::terminal::numbers;

/// The percentile that is drawn: the first of which enough is known.
const SHOWN: [&str; 3] = ["p99", "p95", "p50"];

/// A line for each broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// What stands around it.
    pub head: Head,
    /// As tables head it: `p99`.
    pub percentile: &'static str,
    /// Messages offered per second.
    pub x: Axis,
    /// Nanoseconds.
    pub y: Axis,
    /// In the order of the plan.
    pub lines: Vec<Line>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The broker's place among the brokers of the charts.
    pub broker: usize,
    /// What it holds, as the table says it: `20,000/s`.
    pub holds: String,
    /// The lowest rate first; those that it was tried at.
    pub points: Vec<Point>,
}

/// One broker at one rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Messages offered per second.
    pub rate: f64,
    /// The percentile over the trials; `None` where it is not known, or lies among messages that never arrived.
    pub estimate: Option<Estimate>,
    /// Whether it lies among messages that never arrived.
    pub lost: bool,
    /// The verdict where it is not *ok*: `saturated`.
    pub verdict: Option<&'static str>,
    /// Whether it is the highest rate up to which all are *ok*.
    pub holds: bool,
}

/// Of a sweep; `None` where no percentile of a broker is known at two rates.
pub(super) fn chart(results: &Results, sweep: &Sweep, brokers: &[Broker]) -> Option<Load> {
    let Shape::Latency(kind) = sweep.points.first()?.shape else {
        return None;
    };
    let known = |line: &Line| {
        line.points
            .iter()
            .filter(|it| it.estimate.is_some())
            .count()
    };
    let of = |percentile: &'static str| {
        let lines = (0..brokers.len()).map(|broker| line(sweep, broker, kind, percentile));
        let lines: Option<Vec<Line>> = lines.collect();
        let lines = lines.filter(|it| it.iter().any(|line| known(line) >= 2))?;
        Some((percentile, lines))
    };
    let (percentile, lines) = SHOWN.into_iter().find_map(of)?;
    let points = || lines.iter().flat_map(|it| &it.points);
    let rates = points().map(|it| it.rate);
    let x = Axis::fitting("messages offered per second", Unit::PerSecond, rates);
    let y = Axis::fitting(name(kind), Unit::Nanoseconds, drawn(&lines));
    let mut notes = vec![format!(
        "{percentile} of the {}, median over trials; the ring is the highest rate that a broker holds",
        name(kind)
    )];
    if points().any(|it| it.verdict.is_some()) {
        notes.push(
            "hollow: not ok at that rate; what waits longer the longer it lasts is cut off at the upper edge".to_owned(),
        );
    }
    let title = format!("{} by offered load", sentence(name(kind)));
    let mut head = Head {
        id: "latency-by-load",
        title,
        subtitle: headline(results),
        notes,
        alt: String::new(),
    };
    head.describe(lines.iter().map(|line| {
        let said = line.points.iter().map(|point| {
            let value = match (&point.estimate, point.lost) {
                (Some(estimate), _) => estimate.text.clone(),
                (None, true) => "lost".to_owned(),
                (None, false) => numbers::NONE.to_owned(),
            };
            let verdict = point.verdict.map_or(String::new(), |it| format!(" ({it})"));
            format!("{value} at {}/s{verdict}", numbers::rate(point.rate))
        });
        let said: Vec<String> = said.collect();
        let label = &brokers[line.broker].label;
        format!("{label}, holds {}: {}", line.holds, said.join(", "))
    }));
    Some(Load {
        head,
        percentile,
        x,
        y,
        lines,
    })
}

/// One broker; `None` where there is no such percentile.
fn line(sweep: &Sweep, broker: usize, kind: Kind, percentile: &str) -> Option<Line> {
    let share = SHARES.into_iter().find(|(name, _)| *name == percentile)?;
    let knee = sweep.knee(broker);
    let point = |(rate, row): (Rate, &Row)| {
        let outcome = row.outcome?;
        let group = Group::of(row.results, broker);
        let trials = group.used().iter();
        let values: Vec<Percentile> = trials
            .filter_map(|it| it.latencies.get(&kind)?.named(percentile))
            .collect();
        let of = PercentileOf::of(share, &values, false);
        Some(Point {
            rate: rate.0,
            lost: of.state == State::Lost,
            estimate: of.estimate,
            verdict: (!row.is_valid()).then_some(outcome.name()),
            holds: knee.holds == Some(rate),
        })
    };
    Some(Line {
        broker,
        holds: knee.holds(),
        points: sweep.rows(broker).filter_map(point).collect(),
    })
}

/// How far above the highest valid value the others are drawn.
const HEADROOM: f64 = 4.0;

/// The values that the latency's axis has room for: all that are valid, and the others up to a little above them. A
/// saturated system's latency grows for as long as it is looked at.
pub fn drawn(lines: &[Line]) -> impl Iterator<Item = f64> + '_ {
    let points = || lines.iter().flat_map(|it| &it.points);
    let value = |point: &Point| point.estimate.as_ref().map(|it| it.median);
    let valid = points().filter(|it| it.verdict.is_none()).filter_map(value);
    let highest = valid.fold(0.0, f64::max);
    let most = if highest > 0.0 {
        highest * HEADROOM
    } else {
        f64::INFINITY
    };
    points().filter_map(value).map(move |it| it.min(most))
}
