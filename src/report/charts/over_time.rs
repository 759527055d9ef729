//! A latency second by second, trial after trial: whether it was steady, and what disturbed it.

use serde::Serialize;

use super::axis::{Axis, Unit};
use super::{Head, Run, name, sentence};
use crate::measure::latency::Kind;
use crate::report::details::Measured;
use crate::results::Attempt;
use crate::scenario::workload::Load;
use crate::stats::group::Group;
use crate::stats::median::median;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;

/// A panel for each broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverTime {
    /// What stands around it.
    pub head: Head,
    /// Seconds of the measured part; trials follow one another.
    pub x: Axis,
    /// Nanoseconds, the same for all panels.
    pub y: Axis,
    /// In the order of the plan.
    pub panels: Vec<Panel>,
    /// Names of processes that took CPU time in a second that is marked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub takers: Vec<String>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// The broker's place among the brokers of the charts.
    pub broker: usize,
    /// In the order in which they were made.
    pub trials: Vec<Trial>,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Which trial of its broker, from 1.
    pub trial: u32,
    /// Length of the measured part in seconds.
    pub seconds: f64,
    /// The verdict where it is not *ok*: `saturated`.
    pub verdict: Option<&'static str>,
    /// Which share of all CPU time others took, where that is more than the scenario allows.
    pub disturbed: Option<f64>,
    /// One for each second.
    pub points: Vec<Point>,
}

/// One second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Its end, in seconds after the start of the measured part.
    pub at: f64,
    /// Nanoseconds; `None` where nothing arrived.
    pub p50: Option<u64>,
    /// Nanoseconds.
    pub p99: Option<u64>,
    /// Nanoseconds.
    pub max: Option<u64>,
    /// Whether others took more CPU time in it than the scenario allows a trial, or the machine was hot or short of
    /// memory.
    pub disturbed: bool,
    /// Who took most of it, where that is known: a place among the chart's names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<usize>,
}

/// Of a run; `None` where no trial has two seconds with a latency.
pub(super) fn chart(run: &Run, measured: &[Measured]) -> Option<OverTime> {
    let allowed = run.results.plan.disturbed.share.0;
    let mut takers: Vec<String> = Vec::new();
    let mut place = |name: &str| {
        let known = takers.iter().position(|it| it == name);
        known.unwrap_or_else(|| {
            takers.push(name.to_owned());
            takers.len() - 1
        })
    };
    let mut trial = |attempt: &&Attempt| {
        let of = measured.iter().find(|it| it.trial == attempt.trial)?;
        let points = of.seconds.iter().map(|second| Point {
            at: second.at,
            p50: second.latency.map(|it| it[0]),
            p99: second.latency.map(|it| it[1]),
            max: second.latency.map(|it| it[2]),
            disturbed: second.taken > allowed || second.strained,
            by: match &second.taker {
                Some(name) if second.taken > allowed => Some(place(&printable(name))),
                _ => None,
            },
        });
        Some(Trial {
            trial: attempt.repetition,
            seconds: attempt.seconds,
            verdict: (!attempt.is_ok()).then_some(attempt.verdict.outcome.name()),
            disturbed: attempt.disturbed.map(|it| it.share),
            points: points.collect(),
        })
    };
    let panel = |broker: usize| {
        let group = Group::of(run.results, broker);
        let trials: Vec<Trial> = group.trials.iter().filter_map(&mut trial).collect();
        trials
            .iter()
            .any(|it| it.points.iter().any(|point| point.p50.is_some()))
            .then_some(Panel { broker, trials })
    };
    let panels: Vec<Panel> = (0..run.brokers.len()).filter_map(panel).collect();
    let trials = || panels.iter().flat_map(|it| &it.trials);
    let known = |trial: &Trial| trial.points.iter().filter(|it| it.p50.is_some()).count();
    if !trials().any(|trial| known(trial) >= 2) {
        return None;
    }
    let values = trials().flat_map(|it| &it.points);
    let values = values.flat_map(|point| [point.p50, point.p99]).flatten();
    let kind = seen(run);
    let y = Axis::fitting(name(kind), Unit::Nanoseconds, values.map(|it| it as f64));
    let mut notes = vec!["p50 and p99 of each second; trials one after another".to_owned()];
    if trials().flat_map(|it| &it.points).any(|it| it.disturbed) {
        let share = numbers::percent(allowed);
        notes.push(format!(
            "grey: others took more than {share} of the CPU in that second{}{}",
            by(&takers),
            match measured
                .iter()
                .flat_map(|it| &it.seconds)
                .any(|it| it.strained)
            {
                true => ", or the machine was hot or short of memory",
                false => "",
            }
        ));
    }
    if trials().any(|it| it.verdict.is_some()) {
        notes.push("hatched: the trial is not ok".to_owned());
    }
    notes.extend(run.marked(panels.iter().map(|panel| panel.broker)));
    let title = format!("{} over time", sentence(name(kind)));
    let mut head = run.head("latency-over-time", title, notes);
    head.describe(panels.iter().map(|panel| {
        let who = run.brokers[panel.broker].spoken();
        let range = |of: fn(&Point) -> Option<u64>| {
            let all = panel.trials.iter().flat_map(|it| &it.points).filter_map(of);
            let all: Vec<f64> = all.map(|it| it as f64).collect();
            let low = all.iter().copied().min_by(f64::total_cmp)?;
            let high = all.iter().copied().max_by(f64::total_cmp)?;
            let [low, middle, high] = [low, median(all)?, high].map(numbers::time);
            Some(format!("{low} to {high}, mostly {middle}"))
        };
        let said = |range: Option<String>| range.unwrap_or(numbers::NONE.to_owned());
        let (p50, p99) = (said(range(|it| it.p50)), said(range(|it| it.p99)));
        format!("{who}: p50 of a second {p50}; p99 of a second {p99}")
    }));
    Some(OverTime {
        head,
        x: Axis::linear("seconds of the measured part", Unit::Seconds),
        y,
        panels,
        takers,
    })
}

/// In parentheses, who it was; nothing where nobody is known.
fn by(takers: &[String]) -> String {
    const MOST: usize = 3;
    let more = if takers.len() > MOST { ", …" } else { "" };
    match takers {
        [] => String::new(),
        some => format!(" ({}{more})", some[..some.len().min(MOST)].join(", ")),
    }
}

/// The latency that seconds have: that of receipt, or of publishing where nothing is received.
pub(super) fn seen(run: &Run) -> Kind {
    let workload = &run.results.plan.workload;
    let closed = matches!(workload.load, Load::Max) || workload.publishers == 0;
    match (closed, workload.consumers) {
        (false, 0) => Kind::Publish,
        (true, 0) => Kind::Service,
        (false, _) => Kind::EndToEnd,
        (true, _) => Kind::Transit,
    }
}
