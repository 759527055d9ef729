//! What charts of bars have in common.

use serde::Serialize;

use super::Run;
use super::estimate::Estimate;
use crate::results::Attempt;
use crate::stats::group::Group;

use super::axis::Unit;

/// One bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// The broker's place among the brokers of the charts.
    pub broker: usize,
    /// How long the bar is.
    pub estimate: Estimate,
}

/// A figure of each trial of a broker that is summed up, over which the tables take the median. A trial that failed
/// at its start has none.
pub(super) fn values(
    run: &Run,
    broker: usize,
    figure: impl Fn(&Attempt) -> Option<f64>,
) -> Vec<f64> {
    let group = Group::of(run.results, broker);
    let measured = group.used().iter().filter(|it| it.seconds > 0.0);
    measured.filter_map(|attempt| figure(attempt)).collect()
}

/// A figure of each broker that has it.
pub(super) fn bars(
    run: &Run,
    unit: Unit,
    figure: impl Fn(&Attempt) -> Option<f64> + Copy,
) -> Vec<Bar> {
    let brokers = 0..run.brokers.len();
    let bar = |broker: usize| {
        let estimate = Estimate::of(&values(run, broker, figure), unit)?;
        Some(Bar { broker, estimate })
    };
    brokers.filter_map(bar).collect()
}
