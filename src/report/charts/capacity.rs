//! How much each broker takes under an objective.

use super::Run;
use super::axis::{Axis, Unit};
use super::bars::Bar;
use super::estimate::{Estimate, Whisker};
use super::throughput::Throughput;
use crate::report::capacity::{bracket, said};
use crate::results::capacity::{Capacity, State};
use crate::terminal::diagnostic::printable;

/// Of a search; `None` of another run, and where no lower end is known. Who takes most stands first.
pub(super) fn chart(run: &Run) -> Option<Throughput> {
    let objective = run.results.plan.search.as_ref()?;
    let planned = &run.results.plan.brokers;
    let found = || run.results.capacities.iter().enumerate();
    let bar = |(broker, capacity): (usize, &Capacity)| {
        let low = capacity.lower()?.rate.0;
        let high = capacity.upper().map(|end| end.rate.0);
        Some(Bar {
            broker,
            estimate: Estimate {
                median: low,
                text: bracket(capacity),
                low,
                high,
                whisker: Whisker::Bracket,
                n: (capacity.probes + capacity.confirmations) as usize,
                trials: Vec::new(),
            },
        })
    };
    let mut bars: Vec<Bar> = found().filter_map(bar).collect();
    if bars.is_empty() {
        return None;
    }
    bars.sort_by(|a, b| b.estimate.median.total_cmp(&a.estimate.median));
    let open = bars.iter().any(|bar| bar.estimate.high.is_none());
    let mut notes = vec!["bars: up to the highest rate that held".to_owned()];
    let above = "whiskers: up to the lowest rate that did not";
    notes.push(match open {
        true => format!("{above}; an arrow where none is known"),
        false => above.to_owned(),
    });
    let unclear = |(_, capacity): &(usize, &Capacity)| {
        capacity.lower().is_none() || capacity.state == State::GaveUp
    };
    notes.extend(found().filter(unclear).filter_map(|(broker, capacity)| {
        let said = said(capacity, planned.get(broker)?)?;
        Some(format!("⚠ {}: {said}", run.brokers[broker].label))
    }));
    let condition = printable(&objective.condition.to_string());
    let mut head = run.head("capacities", format!("Capacity at {condition}"), notes);
    head.describe(bars.iter().map(|bar| {
        let who = run.brokers[bar.broker].spoken();
        format!("{who} {}/s", bar.estimate.text)
    }));
    Some(Throughput {
        head,
        axis: Axis::linear("messages sent per second, by schedule", Unit::PerSecond),
        target: None,
        bars,
    })
}
