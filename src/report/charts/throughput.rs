//! How many messages went through in a second.

use serde::Serialize;

use super::axis::{Axis, Unit};
use super::bars::{Bar, bars};
use super::estimate::say_whiskers;
use super::{Head, Run};
use crate::measure::latency::Kind;
use crate::report::rows::LoadPoint;
use crate::stats::shape::Shape;
use crate::terminal::numbers;

/// A bar for each broker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Throughput {
    /// What stands around it.
    pub head: Head,
    /// Of the bars.
    pub axis: Axis,
    /// What was offered, messages per second; `None` where as much was sent as would go.
    pub target: Option<f64>,
    /// In the order of the plan where the load was offered, the fastest first where it was not; those that are
    /// not valid last.
    pub bars: Vec<Bar>,
}

/// Of a run; `None` where nothing was measured.
pub(super) fn chart(run: &Run) -> Option<Throughput> {
    let publish_only = matches!(
        run.shape,
        Shape::Latency(Kind::Publish) | Shape::Throughput(Kind::Service)
    );
    let mut all = bars(run, Unit::PerSecond, |attempt| {
        Some(match publish_only {
            true => attempt.rates.sent,
            false => attempt.rates.received,
        })
    });
    if all.is_empty() {
        return None;
    }
    let workload = &run.results.plan.workload;
    // Every group gets every message.
    let copies = match publish_only {
        true => 1.0,
        false => f64::from(workload.groups),
    };
    let target = LoadPoint::of(&run.results.plan)
        .target
        .map(|rate| rate * copies);
    let target = target.filter(|_| !matches!(run.shape, Shape::Drain));
    let is_ok = |bar: &Bar| run.brokers[bar.broker].is_ok();
    all.sort_by(|a, b| {
        let faster = b.estimate.median.total_cmp(&a.estimate.median);
        let by_rate = match target {
            Some(_) => std::cmp::Ordering::Equal,
            None => faster,
        };
        is_ok(b).cmp(&is_ok(a)).then(by_rate)
    });
    let label = match publish_only {
        true => "messages sent per second",
        false => "messages received per second",
    };
    let mut notes = vec!["bars: median over trials; points: trials".to_owned()];
    notes.extend(say_whiskers(all.iter().map(|bar| &bar.estimate)));
    notes.extend(target.map(|rate| {
        let rate = numbers::rate(rate);
        format!("dashed line: the offered load, {rate}/s")
    }));
    notes.extend(run.marked(0..run.brokers.len()));
    let mut head = run.head("throughput", "Throughput", notes);
    head.describe(all.iter().map(|bar| {
        let who = run.brokers[bar.broker].spoken();
        format!("{who} {}/s", bar.estimate.text)
    }));
    Some(Throughput {
        head,
        axis: Axis::linear(label, Unit::PerSecond),
        target,
        bars: all,
    })
}
