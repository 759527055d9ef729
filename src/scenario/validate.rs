//! What a scenario alone can know to be wrong, before any broker is looked at.

use std::collections::HashMap;
use std::time::Duration;

use crate::terminal::diagnostic::Diagnostic;

use super::brokers::{BrokerEntry, hides_login};
use super::findings::Findings;
use super::model::{SMALLEST_MESSAGE, Scenario};
use super::units::{Size, duration};
use super::workload::{Arrival, Load, Measure, Pattern, Payload};

/// Publishers, consumers or destinations in one trial.
const MOST_CONNECTIONS: u32 = 100_000;
/// Trials for each broker.
const MOST_TRIALS: u32 = 10_000;
/// Bytes that unconfirmed messages may take in one worker.
const MOST_IN_FLIGHT: u128 = 1 << 30;
/// Of one phase.
const LONGEST_PHASE: Duration = Duration::from_secs(7 * 86_400);

/// Everything that is wrong; empty where nothing is.
pub fn validate(scenario: &Scenario) -> Vec<Diagnostic> {
    let mut findings = Findings::new(scenario);
    brokers(scenario, &mut findings);
    message(scenario, &mut findings);
    load(scenario, &mut findings);
    counts(scenario, &mut findings);
    phases(scenario, &mut findings);
    super::placement::check(&scenario.placement, &mut findings);
    super::judgeable::check(scenario, &mut findings);
    findings.into_errors()
}

fn brokers(scenario: &Scenario, findings: &mut Findings) {
    if scenario.brokers.is_empty() {
        findings.add(
            "brokers",
            "there is no broker to run",
            "for example `brokers: [nats, redis-streams]`",
        );
    }
    let mut seen: HashMap<&str, &BrokerEntry> = HashMap::new();
    for broker in &scenario.brokers {
        let error = |message: String| scenario.error(broker.at, message);
        if let Some(first) = seen.insert(&broker.label, broker) {
            findings.push(
                error(format!("broker `{}` is there twice", broker.label))
                    .label(format!("first on line {}", first.at.line))
                    .help(format!(
                        "give the second a name of its own: `{0}-2: {{driver: {0}}}`",
                        broker.label
                    )),
            );
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if broker.label.is_empty() || broker.label.len() > 60 || !broker.label.chars().all(plain) {
            findings.push(
                error(format!("`{}` cannot name a broker", broker.label))
                    .label("letters, digits, `-` and `_`, at most 60")
                    .help("names of brokers become names of destinations and files"),
            );
        }
        let path = |key: &str| format!("brokers.{}.{key}", broker.label);
        if broker.url.as_deref().is_some_and(hides_login) {
            findings.add(
                &path("url"),
                format!("the `url` of `{}` has an `@` behind its host", broker.label),
                "give `user` and `password` beside it; in a URL `/` is written %2F, `@` %40, `#` %23",
            );
        }
        if broker.max_rate.is_some_and(|rate| rate.0 <= 0.0) {
            findings.add(
                &path("max_rate"),
                "`max_rate` must be above zero",
                "for example `max_rate: 1k/s`; leave it out for no limit",
            );
        }
        if broker.managed.as_ref().is_some_and(|it| it.nodes == 0) {
            findings.add(
                &path("managed.nodes"),
                "a private instance needs at least one node",
                "write `managed: {nodes: 1}` or leave it out",
            );
        }
        let (asked, workload) = (broker.asked(&scenario.workload), &scenario.workload);
        if asked != (workload.delivery, workload.durability) && !scenario.rank_unequal {
            let key = match asked.0 == workload.delivery {
                true => "durability",
                false => "delivery",
            };
            findings.add(
                &path(key),
                format!("`{}` is asked for another `{key}` than the others", broker.label),
                "brokers are compared like with like; to compare unlike ones, and to have that said in \
                 every table, add `rank_unequal: true`",
            );
        }
        if broker.token.is_some() && (broker.user.is_some() || broker.password.is_some()) {
            findings.add(
                &path("token"),
                format!("`{}` has a token and a user or password", broker.label),
                "give either a token, or user and password",
            );
        }
        if broker.password.is_some() && broker.user.is_none() {
            findings.add(
                &path("password"),
                format!("`{}` has a password and no user", broker.label),
                "add `user: …`, or give it as `token: …`: a password without a name",
            );
        }
    }
}

fn message(scenario: &Scenario, findings: &mut Findings) {
    let message = &scenario.workload.message;
    let path = "workload.message.size";
    if message.sizes.is_empty() {
        findings.add(
            path,
            "the list of sizes is empty",
            "for example `size: 256B`",
        );
    }
    for sizes in &message.sizes {
        if sizes.size.0 < SMALLEST_MESSAGE {
            findings.add(
                path,
                format!("a message of {} is too small", sizes.size),
                format!("each carries a header of {SMALLEST_MESSAGE} bytes: the least is `size: {SMALLEST_MESSAGE}B`"),
            );
        }
        if !(sizes.weight.is_finite() && sizes.weight > 0.0) {
            findings.add(
                path,
                format!("a weight of {} is not above zero", sizes.weight),
                "for example `{size: 256B, weight: 3}`; leave out a size that is not wanted",
            );
        }
    }
    if let Payload::File(file) = &message.payload {
        let wrong = match std::fs::metadata(file) {
            Ok(data) if !data.is_file() => Some("is not a file".to_owned()),
            Ok(data) if data.len() == 0 => Some("is empty".to_owned()),
            Ok(_) => None,
            Err(error) => Some(format!("cannot be read: {error}")),
        };
        if let Some(wrong) = wrong {
            findings.add(
                "workload.message.payload",
                format!("the payload's file `{file}` {wrong}"),
                "paths are relative to the scenario's folder",
            );
        }
    }
    let workload = &scenario.workload;
    let bytes = u128::from(message.largest())
        * u128::from(workload.in_flight)
        * u128::from(workload.publishers.max(1));
    if bytes > MOST_IN_FLIGHT {
        findings.add(
            "workload.in_flight",
            format!(
                "{} publishers with {} messages of {} in flight would hold {} MiB",
                workload.publishers,
                workload.in_flight,
                Size(message.largest()),
                bytes >> 20
            ),
            "the limit is 1 GiB: lower `in_flight`, `publishers` or the largest size",
        );
    }
}

fn load(scenario: &Scenario, findings: &mut Findings) {
    let workload = &scenario.workload;
    let backlog = workload.drains_backlog();
    let arrival = match &workload.load {
        Load::Rate { rate, arrival } => {
            if rate.0 <= 0.0 {
                findings.add(
                    "workload.load.rate",
                    "a rate of zero sends nothing",
                    "for example `rate: 5k/s`",
                );
            }
            Some(*arrival)
        }
        Load::Steps { steps, arrival } => {
            if steps.is_empty() {
                findings.add(
                    "workload.load.steps",
                    "the list of steps is empty",
                    "for example `steps: [{rate: 1k/s, for: 5s}]`",
                );
            }
            for (number, step) in steps.iter().enumerate() {
                if step.rate.0 <= 0.0 {
                    findings.add(
                        &format!("workload.load.steps.{number}.rate"),
                        "a rate of zero sends nothing",
                        "for example `{rate: 1k/s, for: 5s}`",
                    );
                }
                if step.lasts.is_zero() {
                    findings.add(
                        &format!("workload.load.steps.{number}.for"),
                        "a step of no time sends nothing",
                        "for example `{rate: 1k/s, for: 5s}`",
                    );
                }
            }
            Some(*arrival)
        }
        Load::Max => None,
    };
    if arrival == Some(Arrival::Burst(0)) {
        findings.add(
            "workload.load.arrival",
            "a burst of no messages sends nothing",
            "for example `arrival: {burst: 10}`",
        );
    }
    if backlog && workload.load != Load::Max {
        findings.add(
            "workload.load",
            "a backlog is consumed as fast as it goes, so it has no rate",
            "write `load: max`, or leave `load` out",
        );
    }
}

fn counts(scenario: &Scenario, findings: &mut Findings) {
    let workload = &scenario.workload;
    if workload.publishers == 0 && workload.consumers == 0 {
        findings.add(
            "workload.publishers",
            "neither publishers nor consumers: nothing would happen",
            "set one of them to at least 1",
        );
    }
    if workload.pattern == Pattern::Backlog && workload.publishers > 0 {
        findings.add(
            "workload.publishers",
            "a backlog is there before the clock starts, so it has no publishers",
            "leave `publishers` out, or write `pattern: queue` to send and consume at once",
        );
    }
    if workload.pattern == Pattern::Backlog && workload.publishers == 0 && workload.consumers == 0 {
        findings.add(
            "workload.consumers",
            "a backlog without consumers would stay as it is",
            "set `consumers` to at least 1",
        );
    }
    if workload.pattern == Pattern::FanOut && workload.groups < 2 {
        findings.add(
            "workload.groups",
            "fan-out gives each message to several groups",
            "write `groups: 2` or more, or `pattern: queue`",
        );
    }
    if workload.pattern == Pattern::Queue && workload.groups > 1 {
        findings.add(
            "workload.groups",
            format!(
                "a queue gives each message to one consumer, not to {} groups",
                workload.groups
            ),
            "write `pattern: fan-out`, or leave `groups` out",
        );
    }
    let zero = [
        ("groups", workload.groups),
        ("destinations", workload.destinations),
        ("in_flight", workload.in_flight),
        ("ack.every", workload.ack.every),
        (
            "transaction.messages",
            workload.transaction.map_or(1, |t| t.messages),
        ),
    ];
    for (key, _) in zero.iter().filter(|(_, count)| *count == 0) {
        findings.add(
            &format!("workload.{key}"),
            format!("`{key}` must be at least 1"),
            format!(
                "write `{}: 1` or leave it out",
                key.rsplit('.').next().unwrap_or(key)
            ),
        );
    }
    let many = [
        ("publishers", u64::from(workload.publishers)),
        (
            "consumers",
            u64::from(workload.consumers) * u64::from(workload.groups),
        ),
        ("destinations", u64::from(workload.destinations)),
    ];
    for (key, count) in many {
        if count > u64::from(MOST_CONNECTIONS) {
            findings.add(
                &format!("workload.{key}"),
                format!("{count} {key} are too many"),
                format!("the most is {MOST_CONNECTIONS} in all"),
            );
        }
    }
    if scenario.trials == 0 || scenario.trials > MOST_TRIALS {
        findings.add(
            "trials",
            format!("`trials` cannot be {}", scenario.trials),
            format!("from 1 to {MOST_TRIALS}; 5 allow a first comparison"),
        );
    }
}

fn phases(scenario: &Scenario, findings: &mut Findings) {
    let phases = &scenario.phases;
    let steps = matches!(scenario.workload.load, Load::Steps { .. });
    match phases.measure {
        Measure::Time(time) if time.is_zero() && !steps => findings.add(
            "phases.measure",
            "a measured part of no time measures nothing",
            "for example `measure: 10s`",
        ),
        Measure::Count(0) => findings.add(
            "phases.measure",
            "a measured part of no messages measures nothing",
            "for example `measure: 100000`",
        ),
        Measure::Time(_) if scenario.workload.drains_backlog() => findings.add(
            "phases.measure",
            "a backlog needs its size",
            "write the number of messages to preload and consume: `phases: {measure: 100000}`",
        ),
        _ => {}
    }
    let mut times = vec![("warmup", phases.warmup), ("drain", phases.drain)];
    if let Measure::Time(time) = phases.measure {
        times.push(("measure", time));
    }
    for (key, time) in times {
        if time > LONGEST_PHASE {
            findings.add(
                &format!("phases.{key}"),
                format!("`{key}` of {} is too long", duration::text(time)),
                format!("the longest is {}", duration::text(LONGEST_PHASE)),
            );
        }
    }
}
