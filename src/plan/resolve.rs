//! From a scenario and the drivers' declarations to a plan, or to everything that stands in the way.

use std::collections::BTreeMap;

use crate::drivers;
use crate::drivers::descriptor::{Descriptor, PatternSpec, Side};
use crate::engine::run::MOST_THREADS;
use crate::engine::task::WindowBy;
use crate::scenario::search::MOST_TRIALS;
use crate::scenario::suggest::did_you_mean;
use crate::scenario::workload::{Load, Pattern};
use crate::scenario::{BrokerEntry, Scenario};
use crate::servers;
use crate::terminal::diagnostic::Diagnostic;

use super::acknowledged;
use super::guarantee;
use super::model::{Asked, Connection, GivenOffer, Plan, PlannedBroker, Secrets};
use super::options;
use super::order::interleave;
use super::placement::{self, Machine};
use super::security;
use super::transaction::transaction;

/// Makes the plan for this machine. `drawn` is the seed for a scenario that names none, from
/// [`draw_seed`](super::draw_seed).
///
/// # Errors
/// Everything that some broker cannot do, or the machine does not have, each with its place in the scenario.
pub fn resolve(
    scenario: &Scenario,
    drivers: &[&'static Descriptor],
    drawn: u64,
) -> Result<Plan, Vec<Diagnostic>> {
    let machine = match scenario.placement.is_empty() {
        true => Machine::default(),
        false => Machine::read(),
    };
    resolve_on(&machine, scenario, drivers, drawn)
}

/// Makes the plan for a machine.
pub(super) fn resolve_on(
    machine: &Machine,
    scenario: &Scenario,
    drivers: &[&'static Descriptor],
    drawn: u64,
) -> Result<Plan, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut brokers = Vec::new();
    for entry in &scenario.brokers {
        let Some(driver) = drivers.iter().find(|driver| driver.name == entry.driver) else {
            errors.push(unknown_driver(scenario, entry, drivers));
            continue;
        };
        brokers.extend(broker(scenario, entry, driver, drivers, &mut errors));
    }
    acknowledged::check(scenario, &brokers, &mut errors);
    placement::check(scenario, &brokers, machine, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let seed = scenario.seed.unwrap_or(drawn);
    Ok(Plan {
        scenario: scenario.name.clone(),
        description: scenario.description.clone(),
        seed,
        workload: scenario.workload.clone(),
        phases: scenario.phases,
        thresholds: scenario.thresholds.clone(),
        disturbed: scenario.disturbed,
        placement: scenario.placement.clone(),
        trials: interleave(
            brokers.len(),
            scenario.sweep.len().max(1),
            match scenario.search {
                Some(_) => MOST_TRIALS,
                None => scenario.trials,
            },
            seed,
        ),
        sweep: scenario.sweep.clone(),
        search: scenario.search.clone(),
        point: None,
        brokers,
        left_out: Vec::new(),
        defaults: scenario.defaults.clone(),
        quick: scenario.quick.clone(),
    })
}

fn unknown_driver(
    scenario: &Scenario,
    entry: &BrokerEntry,
    drivers: &[&'static Descriptor],
) -> Diagnostic {
    let error = scenario.error(
        entry.driver_at,
        format!("unknown broker `{}`", entry.driver),
    );
    let error = match did_you_mean(&entry.driver, drivers.iter().map(|driver| driver.name)) {
        Some(label) => error.label(label),
        None => error,
    };
    error.help("`mqbench drivers` lists them all; an entry of another name says its `driver: …`")
}

/// Refuses a driver whose client this build does not have.
fn left_out(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &Descriptor,
    errors: &mut Vec<Diagnostic>,
) {
    if let Some(why) = drivers::find(driver.name).and_then(|driver| driver.left_out()) {
        let error = scenario.error(entry.driver_at, format!("{} cannot be run", entry.driver));
        errors.push(error.help(why));
    }
}

/// One broker with everything decided; `None` where something is wrong with it.
fn broker(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &'static Descriptor,
    drivers: &[&'static Descriptor],
    errors: &mut Vec<Diagnostic>,
) -> Option<PlannedBroker> {
    let before = errors.len();
    left_out(scenario, entry, driver, errors);
    let options = options::resolve(scenario, entry, driver, errors);
    let offer = guarantee::choose(scenario, entry, driver, drivers);
    let offer = offer.map_err(|error| errors.push(*error)).ok();
    let pattern = pattern(scenario, entry, driver, errors);
    let connection = connection(scenario, entry, driver, offer.as_ref(), errors);
    security::check(scenario, entry, driver, errors);
    max_rate(scenario, entry, errors);
    let transaction = transaction(scenario, entry, driver, offer.as_ref(), errors);
    threads(scenario, entry, driver, errors);
    if errors.len() > before {
        return None;
    }
    let offer = offer?;
    Some(PlannedBroker {
        window: WindowBy::of(&scenario.workload, offer.acks, driver.holds_backlog),
        label: entry.label.clone(),
        driver: driver.name.to_owned(),
        title: driver.title.to_owned(),
        connection: connection?,
        destination: entry.destination.clone(),
        options,
        offer,
        how: pattern?.how.to_owned(),
        ranked: driver.ranked,
        baseline_of: None,
        max_rate: entry.max_rate,
        transaction,
        asked: Asked {
            delivery: entry.asked(&scenario.workload).0,
            durability: entry.asked(&scenario.workload).1,
        },
        tls: entry.tls.clone(),
        secrets: Secrets {
            user: entry.user.clone(),
            password: entry.password.clone(),
            token: entry.token.clone(),
        },
    })
}

/// Refuses more publishers and consumers than there may be threads, where each needs one.
fn threads(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &'static Descriptor,
    errors: &mut Vec<Diagnostic>,
) {
    let workload = &scenario.workload;
    let wanted =
        u64::from(workload.publishers) + u64::from(workload.consumers) * u64::from(workload.groups);
    if driver.needs_threads && wanted > u64::from(MOST_THREADS) {
        let message = format!(
            "{} cannot have {wanted} publishers and consumers",
            entry.label
        );
        errors.push(
            scenario
                .error(entry.at, message)
                .label(format!("each takes a thread; there may be {MOST_THREADS}"))
                .help("take this broker out, or ask for fewer publishers and consumers"),
        );
    }
}

/// How the driver makes the pattern, if it can.
fn pattern(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &'static Descriptor,
    errors: &mut Vec<Diagnostic>,
) -> Option<&'static PatternSpec> {
    let workload = &scenario.workload;
    let find = |pattern| driver.patterns.iter().find(|spec| spec.pattern == pattern);
    let spec = match workload.pattern {
        // A backlog is a queue, or several, that was filled beforehand.
        Pattern::Backlog if workload.groups > 1 => find(Pattern::FanOut),
        Pattern::Backlog => find(Pattern::Backlog).or_else(|| find(Pattern::Queue)),
        other => find(other),
    };
    if workload.drains_backlog() && !driver.holds_backlog {
        let error = scenario.error(entry.at, format!("{} holds no backlog", entry.label));
        errors.push(
            error
                .label("messages that nobody waits for are gone")
                .help("take this broker out, or set `publishers: 1` to send and consume at once"),
        );
        return None;
    }
    if workload.consumers == 0 && driver.needs_consumers.contains(&workload.pattern) {
        let error = scenario.error(entry.at, format!("{} needs consumers", entry.label));
        errors.push(
            error
                .label("without them nobody takes what is sent")
                .help("take this broker out, or set `consumers: 1` or more"),
        );
        return None;
    }
    let Some(spec) = spec else {
        let known: Vec<&str> = driver
            .patterns
            .iter()
            .map(|spec| spec.pattern.name())
            .collect();
        let asked = workload.pattern.name();
        let error = scenario.error(entry.at, format!("{} has no {asked}", entry.label));
        errors.push(
            error
                .label(format!("patterns: {}", known.join(", ")))
                .help("take this broker out, or ask for another `workload.pattern`"),
        );
        return None;
    };
    if !spec.shared && workload.consumers > workload.destinations {
        let error = scenario.error(
            entry.at,
            format!(
                "{} cannot share one destination among consumers",
                entry.label
            ),
        );
        errors.push(
            error
                .label(format!(
                    "{} consumers for {} destinations",
                    workload.consumers, workload.destinations
                ))
                .help(format!(
                    "write `destinations: {}`, one for each consumer",
                    workload.consumers
                )),
        );
        return None;
    }
    Some(spec)
}

/// Where the broker is: a private instance, one that runs already, or nowhere.
fn connection(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &Descriptor,
    offer: Option<&GivenOffer>,
    errors: &mut Vec<Diagnostic>,
) -> Option<Connection> {
    let at = |key: &str| scenario.place(&format!("brokers.{}.{key}", entry.label));
    let mut fail = |key: &str, message: String, help: String| {
        errors.push(scenario.error(at(key), message).help(help));
        None
    };
    let label = &entry.label;
    if let Some(url) = &entry.url {
        for (key, there) in [
            ("managed", entry.managed.is_some()),
            ("binary", entry.binary.is_some()),
        ] {
            if there {
                return fail(
                    key,
                    format!("`{label}` has a `url` and `{key}`"),
                    format!("a broker with a `url` runs already: remove `{key}`, or the `url`"),
                );
            }
        }
        let schemes: Vec<String> = driver.schemes.iter().map(|s| format!("{s}://")).collect();
        let Some(usual) = schemes.first() else {
            return fail(
                "url",
                format!("{} takes no `url`", driver.name),
                "it runs inside mqbench; remove the `url`".to_owned(),
            );
        };
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let host = url.split_once("://").map_or("", |(_, rest)| rest);
        if !scheme.is_some_and(|scheme| driver.schemes.contains(&scheme)) {
            return fail(
                "url",
                match scheme {
                    Some(scheme) => format!("{} does not speak `{scheme}://`", driver.name),
                    None => format!("the `url` of {label} has no scheme"),
                },
                format!("its URLs begin with {}", schemes.join(" or ")),
            );
        }
        if host.is_empty() || host.contains(char::is_whitespace) {
            return fail(
                "url",
                format!("the `url` of {label} names no host"),
                format!("for example `{usual}localhost`"),
            );
        }
        return Some(Connection::External { url: url.clone() });
    }
    if entry.destination.is_some() {
        return fail(
            "destination",
            format!("`{label}` names a destination and no `url`"),
            "a private instance is empty; leave `destination` out, or name a broker with `url`"
                .to_owned(),
        );
    }
    let Some(server) = driver.server else {
        for (key, there) in [
            ("managed", entry.managed.is_some()),
            ("binary", entry.binary.is_some()),
        ] {
            if there {
                return fail(
                    key,
                    format!("{} has no server of its own", driver.name),
                    format!("remove `{key}`"),
                );
            }
        }
        return Some(Connection::InProcess);
    };
    let mut config: BTreeMap<String, String> = offer?
        .settings
        .iter()
        .filter(|setting| setting.side == Side::Server)
        .map(|setting| (setting.key.clone(), setting.value.clone()))
        .collect();
    let about = servers::named(server).map(|server| server.about()).ok();
    if let Some(nodes) = entry.managed.as_ref().map(|managed| managed.nodes)
        && nodes > 1
    {
        let sizes = about.map_or(&[][..], |about| about.cluster_sizes());
        let nodes = nodes.to_string();
        if !sizes.contains(&nodes.as_str()) {
            let help = match sizes {
                [] => format!(
                    "a private {server} has one node; name a cluster of your own with `url`"
                ),
                sizes => format!("a private {server} has {} nodes", sizes.join(" or ")),
            };
            return fail(
                "managed.nodes",
                format!("`{label}` cannot have {nodes} nodes"),
                help,
            );
        }
        config.insert(servers::NODES.to_owned(), nodes);
    }
    for (key, value) in entry.managed.iter().flat_map(|it| &it.settings) {
        let place = format!("managed.settings.{key}");
        if let Some(needed) = config.get(key).filter(|needed| *needed != value) {
            return fail(
                &place,
                format!("`{label}` cannot have `{key}` set to `{value}`"),
                format!(
                    "what it guarantees needs {needed}: remove it, or ask for another guarantee"
                ),
            );
        }
        let mut known = about.iter().flat_map(|about| about.settings);
        if known.any(|it| it.key == key && !it.is_for_scenarios()) {
            return fail(
                &place,
                format!("`{key}` is no setting for a scenario"),
                match key == servers::NODES {
                    true => "write it above: `managed: {nodes: …}`".to_owned(),
                    false => {
                        "a private instance lets in nobody else, and settings are kept in results"
                            .to_owned()
                    }
                },
            );
        }
        let alone = BTreeMap::from([(key.clone(), value.clone())]);
        if let Some(Err(error)) = about.map(|about| about.effective(&alone)) {
            let said = error.to_string();
            let (message, help) = said.split_once('\n').unwrap_or((&said, ""));
            return fail(&place, message.to_owned(), help.trim().to_owned());
        }
        config.insert(key.clone(), value.clone());
    }
    placement::fit(&mut config, about, &scenario.placement.limits);
    Some(Connection::Managed {
        server: server.to_owned(),
        config,
        binary: entry.binary.clone(),
    })
}

/// A cap that the load would break: brokers are compared at the same load, so it is refused, not cut.
fn max_rate(scenario: &Scenario, entry: &BrokerEntry, errors: &mut Vec<Diagnostic>) {
    let Some(most) = entry.max_rate else { return };
    let over = match &scenario.workload.load {
        // It looks no further than the cap.
        Load::Rate { .. } if scenario.search.is_some() => None,
        Load::Rate { .. } if !scenario.sweep.is_empty() => {
            let mut rates = scenario.sweep.iter();
            let over = rates.find(|rate| **rate > most);
            over.map(|rate| format!("{rate}, a rate of the sweep, is above it"))
        }
        Load::Max => Some("`load: max` knows no rate".to_owned()),
        Load::Rate { rate, .. } => (*rate > most).then(|| format!("{rate} is above it")),
        Load::Steps { steps, .. } => steps
            .iter()
            .find(|step| step.rate > most)
            .map(|step| format!("a step of {} is above it", step.rate)),
    };
    if let Some(over) = over {
        let at = scenario.place(&format!("brokers.{}.max_rate", entry.label));
        errors.push(
            scenario
                .error(at, format!("the load breaks `max_rate` of {}", entry.label))
                .label(over)
                .help(format!(
                    "ask for `load: {{rate: {most}}}` or less, or raise `max_rate`"
                )),
        );
    }
}
