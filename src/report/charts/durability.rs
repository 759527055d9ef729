//! What more durability costs the same system.
//!
//! At a rate that a syncing device can follow, p99 needs a long trial. Where there are too few messages for it,
//! a lower percentile stands in its place, the same for all.

use serde::Serialize;

use super::axis::{Axis, Unit};
use super::estimate::{Estimate, PercentileOf, State, say_whiskers};
use super::{Head, Run, bars, meaning, name, percentiles};
use crate::measure::latency::Kind;
use crate::plan::{Connection, PlannedBroker};
use crate::report::columns;
use crate::scenario::workload;
use crate::stats::shape::Shape;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;

/// Two panels: throughput and a percentile of each system at each durability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Durability {
    /// What stands around it.
    pub head: Head,
    /// Messages per second.
    pub rate: Axis,
    /// Nanoseconds of the percentile; `None` where the workload has no latency, or too few samples.
    pub latency: Option<Axis>,
    /// Those that stand in the run at several durabilities, in the order of the plan.
    pub systems: Vec<System>,
}

/// A system at several durabilities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct System {
    /// Its name, safe to print.
    pub title: String,
    /// The weakest first.
    pub steps: Vec<Step>,
}

/// A system at one durability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The broker's place among the brokers of the charts.
    pub broker: usize,
    /// What is given: `memory`, `disk`, `fsync`.
    pub durability: &'static str,
    /// Messages per second: received, or sent where nothing is received. `None` where nothing was measured.
    pub rate: Option<Estimate>,
    /// Of the latency that the workload is about: p99, or the highest that all systems have.
    pub percentile: Option<PercentileOf>,
}

/// Of a run; `None` where no system stands in it at two durabilities.
pub(super) fn chart(run: &Run) -> Option<Durability> {
    let mut systems = systems(run);
    if systems.is_empty() {
        return None;
    }
    let shown = shown(run, &systems);
    if let (Some(kind), Some(shown)) = (run.latency(), shown) {
        for step in systems.iter_mut().flat_map(|it| &mut it.steps) {
            let all = percentiles::of(run, step.broker, kind);
            step.percentile = all.into_iter().find(|it| it.name == shown);
        }
    }
    let steps = || systems.iter().flat_map(|system| &system.steps);
    let rates = || steps().filter_map(|step| step.rate.as_ref());
    let percentiles = || steps().filter_map(|step| step.percentile.as_ref());
    let known = || percentiles().filter_map(|it| it.estimate.as_ref());
    // Nothing to draw where none of them was measured.
    rates().next()?;
    let kind = run.latency();
    let axis = |kind: Kind| {
        let values = known().flat_map(|it| [it.bottom(), it.top()]);
        let label = format!("{} of the {}", shown.unwrap_or_default(), name(kind));
        Axis::fitting(label, Unit::Nanoseconds, values)
    };
    let mut notes = vec![
        "memory: gone with the broker; disk: survives the broker's end; fsync: survives the machine's".to_owned(),
    ];
    notes.extend(kind.map(|kind| format!("{} {}", name(kind), meaning(run, kind))));
    notes.extend(say_whiskers(rates().chain(known())));
    if percentiles().any(|it| it.blurred) {
        notes.push("~, hollow: instrument-limited: the generator was late itself".to_owned());
    }
    notes.extend(run.marked(steps().map(|step| step.broker)));
    let mut head = run.head("durability", "What durability costs", notes);
    head.describe(systems.iter().map(|system| {
        let said = system.steps.iter().map(|step| {
            let rate = step
                .rate
                .as_ref()
                .map_or(numbers::NONE, |it| it.text.as_str());
            let percentile = step.percentile.as_ref();
            let percentile = percentile.map(|it| format!(", {} {}", it.name, it.text()));
            format!(
                "{} {rate}/s{}",
                step.durability,
                percentile.unwrap_or_default()
            )
        });
        let said: Vec<String> = said.collect();
        format!("{}: {}", system.title, said.join(", "))
    }));
    let label = match sends(run) {
        true => "messages sent per second",
        false => "messages received per second",
    };
    Some(Durability {
        head,
        rate: Axis::linear(label, Unit::PerSecond),
        latency: kind.filter(|_| known().next().is_some()).map(axis),
        systems,
    })
}

/// The percentile that is shown: the highest up to p99 that all steps have, else the highest that any has.
fn shown(run: &Run, systems: &[System]) -> Option<&'static str> {
    let kind = run.latency()?;
    let steps = systems.iter().flat_map(|system| &system.steps);
    let all: Vec<PercentileOf> = steps
        .flat_map(|step| percentiles::of(run, step.broker, kind))
        .filter(|it| it.share <= 0.99 && it.state != State::Nothing)
        .collect();
    let too_few = |it: &PercentileOf| it.state == State::TooFew;
    let everywhere = |it: &&PercentileOf| !all.iter().any(|o| o.name == it.name && too_few(o));
    let highest = |a: &&PercentileOf, b: &&PercentileOf| a.share.total_cmp(&b.share);
    let found = all.iter().filter(everywhere).max_by(highest);
    let found = found.or_else(|| all.iter().filter(|it| !too_few(it)).max_by(highest));
    found.map(|it| it.name)
}

fn sends(run: &Run) -> bool {
    matches!(
        run.shape,
        Shape::Latency(Kind::Publish) | Shape::Throughput(Kind::Service)
    )
}

/// Entries that differ in nothing but their durability, which they differ in.
fn systems(run: &Run) -> Vec<System> {
    let planned = &run.results.plan.brokers;
    let mut together: Vec<Vec<usize>> = Vec::new();
    for (place, broker) in planned.iter().enumerate() {
        match together
            .iter_mut()
            .find(|it| alike(&planned[it[0]], broker))
        {
            Some(known) => known.push(place),
            None => together.push(vec![place]),
        }
    }
    let given = |place: &usize| planned[*place].offer.durability;
    let distinct = |places: &Vec<usize>| {
        let mut all: Vec<workload::Durability> = places.iter().map(given).collect();
        all.sort_unstable();
        all.dedup();
        all.len() == places.len() && places.len() > 1
    };
    let system = |mut places: Vec<usize>| {
        places.sort_by_key(given);
        System {
            title: printable(&planned[places[0]].title),
            steps: places.into_iter().map(|place| step(run, place)).collect(),
        }
    };
    together.into_iter().filter(distinct).map(system).collect()
}

fn step(run: &Run, broker: usize) -> Step {
    let sends = sends(run);
    let rates = bars::values(run, broker, |attempt| {
        Some(match sends {
            true => attempt.rates.sent,
            false => attempt.rates.received,
        })
    });
    Step {
        broker,
        durability: columns::durability(run.results.plan.brokers[broker].offer.durability),
        rate: Estimate::of(&rates, Unit::PerSecond),
        percentile: None,
    }
}

/// Whether two entries are the same system, asked for the same but for durability.
fn alike(a: &PlannedBroker, b: &PlannedBroker) -> bool {
    let place = |broker: &PlannedBroker| match &broker.connection {
        Connection::External { url } => Some(url.clone()),
        Connection::Managed { .. } | Connection::InProcess => None,
    };
    let nodes = |broker: &PlannedBroker| broker.connection.nodes();
    a.driver == b.driver
        && a.options == b.options
        && a.asked.delivery == b.asked.delivery
        && a.transaction == b.transaction
        && a.tls == b.tls
        && nodes(a) == nodes(b)
        && place(a) == place(b)
}
