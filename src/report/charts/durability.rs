//! What more durability costs the same system.

use serde::Serialize;

use super::axis::{Axis, Unit};
use super::estimate::{Estimate, PercentileOf, say_whiskers};
use super::{Head, Run, bars, meaning, name, percentiles};
use crate::measure::latency::Kind;
use crate::plan::{Connection, PlannedBroker};
use crate::report::columns;
use crate::scenario::workload;
use crate::stats::shape::Shape;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;

/// Two panels: throughput and p99 of each system at each durability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Durability {
    /// What stands around it.
    pub head: Head,
    /// Messages per second.
    pub rate: Axis,
    /// Nanoseconds; `None` where the workload has no latency.
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
    /// The p99 of the latency that the workload is about.
    pub p99: Option<PercentileOf>,
}

/// Of a run; `None` where no system stands in it at two durabilities.
pub(super) fn chart(run: &Run) -> Option<Durability> {
    let systems = systems(run);
    if systems.is_empty() {
        return None;
    }
    let steps = || systems.iter().flat_map(|system| &system.steps);
    let rates = || steps().filter_map(|step| step.rate.as_ref());
    let p99s = || steps().filter_map(|step| step.p99.as_ref()?.estimate.as_ref());
    if rates().next().is_none() {
        return None;
    }
    let kind = run.latency();
    let axis = |kind: Kind| {
        let values = p99s().flat_map(|it| [it.bottom(), it.top()]);
        Axis::fitting(
            format!("p99 of the {}", name(kind)),
            Unit::Nanoseconds,
            values,
        )
    };
    let mut notes = vec![
        "memory: gone with the broker; disk: survives the broker's end; fsync: survives the machine's".to_owned(),
    ];
    notes.extend(kind.map(|kind| format!("{} {}", name(kind), meaning(run, kind))));
    notes.extend(say_whiskers(rates().chain(p99s())));
    if steps().any(|step| step.p99.as_ref().is_some_and(|it| it.blurred)) {
        notes.push("~ instrument-limited: the generator was late itself".to_owned());
    }
    notes.extend(run.marked(steps().map(|step| step.broker)));
    let mut head = run.head("durability", "What durability costs", notes);
    head.describe(systems.iter().map(|system| {
        let said = system.steps.iter().map(|step| {
            let rate = step
                .rate
                .as_ref()
                .map_or(numbers::NONE, |it| it.text.as_str());
            let p99 = step.p99.as_ref().map(|it| format!(", p99 {}", it.text()));
            format!("{} {rate}/s{}", step.durability, p99.unwrap_or_default())
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
        latency: kind.filter(|_| p99s().next().is_some()).map(axis),
        systems,
    })
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
    let percentiles = run.latency().map(|kind| percentiles::of(run, broker, kind));
    let p99 = percentiles.and_then(|all| all.into_iter().find(|it| it.name == "p99"));
    Step {
        broker,
        durability: columns::durability(run.results.plan.brokers[broker].offer.durability),
        rate: Estimate::of(&rates, Unit::PerSecond),
        p99,
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
