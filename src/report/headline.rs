//! The line over the table: what was measured, in one sentence.

use std::time::Duration;

use crate::plan::Plan;
use crate::results::Results;
use crate::scenario::workload::{Arrival, Load, Measure, Message, Pattern, Workload};
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;

use super::columns;

/// `latency: 256 B · 5,000/s, open loop · 1 → 1 · at-least-once, disk · 5 trials of 20 s`.
pub fn headline(results: &Results) -> String {
    let workload = &results.plan.workload;
    let asked = match results.plan.is_unequal() {
        true => "unequal guarantees".to_owned(),
        false => guarantee(results),
    };
    let parts = [
        size(&workload.message),
        load(&results.plan),
        ways(workload),
        asked,
        trials(results),
    ];
    let scenario = printable(&results.manifest.scenario);
    format!("{scenario}: {}", parts.join(" · "))
}

/// What every broker was asked for.
fn guarantee(results: &Results) -> String {
    let of_plan = (
        results.plan.workload.delivery,
        results.plan.workload.durability,
    );
    let first = results.plan.brokers.first().map(|broker| broker.asked);
    let (delivery, durability) = first.map_or(of_plan, |asked| (asked.delivery, asked.durability));
    format!(
        "{}, {}",
        columns::delivery(delivery),
        columns::durability(durability)
    )
}

fn size(message: &Message) -> String {
    let bytes = |size: u64| numbers::bytes(size as f64);
    let smallest = message.sizes.iter().map(|s| s.size.0).min().unwrap_or(0);
    match message.largest() {
        largest if largest == smallest => bytes(largest),
        largest => format!(
            "{} to {} (mean {})",
            bytes(smallest),
            bytes(largest),
            numbers::bytes(message.mean_size())
        ),
    }
}

fn load(plan: &Plan) -> String {
    let workload = &plan.workload;
    let spaced = |arrival: &Arrival| match arrival {
        Arrival::Uniform => String::new(),
        Arrival::Poisson => " Poisson".to_owned(),
        Arrival::Burst(count) => format!(" in bursts of {}", numbers::count((*count).into())),
    };
    match &workload.load {
        _ if workload.publishers == 0 => "a backlog, as fast as it goes".to_owned(),
        Load::Rate { rate, arrival } => {
            if let Some(objective) = &plan.search {
                let condition = printable(&objective.condition.to_string());
                return format!("capacity with {condition}{}, open loop", spaced(arrival));
            }
            let asked = match (plan.point, plan.sweep.as_slice()) {
                (None, [lowest, .., highest]) => format!(
                    "{} to {}/s in {} rates",
                    numbers::rate(lowest.0),
                    numbers::rate(highest.0),
                    plan.sweep.len()
                ),
                _ => format!("{}/s", numbers::rate(rate.0)),
            };
            format!("{asked}{}, open loop", spaced(arrival))
        }
        Load::Steps { steps, arrival } => {
            let rates: Vec<String> = steps
                .iter()
                .map(|step| numbers::rate(step.rate.0))
                .collect();
            format!("{}/s{}, open loop", rates.join(", "), spaced(arrival))
        }
        Load::Max => {
            let window = numbers::count(workload.in_flight.into());
            match workload.publishers {
                1 => format!("closed loop, window {window}"),
                _ => format!("closed loop, window {window} per publisher"),
            }
        }
    }
}

/// Who sends to whom.
fn ways(workload: &Workload) -> String {
    let (publishers, consumers) = (workload.publishers, workload.consumers);
    let arrow = match workload.pattern {
        Pattern::RequestReply => "⇄",
        _ => "→",
    };
    let mut text = match (publishers, consumers) {
        (0, _) => numbers::counted(consumers.into(), "consumer"),
        (_, 0) => numbers::counted(publishers.into(), "publisher"),
        _ => format!("{publishers} {arrow} {consumers}"),
    };
    if consumers > 0 && workload.groups > 1 {
        text.push_str(&format!(" in each of {} groups", workload.groups));
    }
    if workload.destinations > 1 {
        text.push_str(&format!(" over {} destinations", workload.destinations));
    }
    text
}

fn trials(results: &Results) -> String {
    let planned = results.plan.trials.len();
    let brokers = results.plan.brokers.len().max(1);
    let points = results.plan.points();
    let each = planned.div_ceil(brokers * points) as u64;
    let length = match results.plan.phases.measure {
        Measure::Time(time) => length(time),
        Measure::Count(count) => numbers::counted(count, "message"),
    };
    let made = results
        .standing()
        .filter(|attempt| !attempt.interrupted)
        .count();
    if results.plan.search.is_some() {
        return format!("probes, and trials of {length} at both ends");
    }
    let mut text = format!("{} of {length}", numbers::counted(each, "trial"));
    if points > 1 {
        text.push_str(" at each rate");
    }
    match made < planned {
        true => format!("{text} (made: {made} of {planned})"),
        false => text,
    }
}

fn length(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds < 60.0 {
        true => numbers::time(seconds * 1e9),
        false => numbers::span(seconds),
    }
}
