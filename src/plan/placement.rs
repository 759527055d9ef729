//! Whether this machine has the cores and the memory that a scenario gives out, and whether there are brokers to
//! give them to.

use std::collections::BTreeMap;

use crate::measure::{affinity, proc};
use crate::scenario::units::Size;
use crate::scenario::units::cores::Cores;
use crate::scenario::{Limits, Scenario};
use crate::servers;
use crate::terminal::diagnostic::Diagnostic;

use super::model::{Connection, PlannedBroker};

/// What a machine has; `None` where it does not tell.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Cores that can be used.
    pub cores: Option<Cores>,
    /// Memory in bytes.
    pub memory: Option<u64>,
}

impl Machine {
    /// This one.
    pub fn read() -> Machine {
        Machine {
            cores: affinity::usable(),
            memory: proc::machine_memory(),
        }
    }
}

/// Refuses what the machine does not have, and bounds for brokers that cannot be bounded.
pub fn check(
    scenario: &Scenario,
    brokers: &[PlannedBroker],
    machine: &Machine,
    errors: &mut Vec<Diagnostic>,
) {
    let (pinned, limits) = (&scenario.placement.cores, &scenario.placement.limits);
    let mut fail = |key: &str, message: String, help: String| {
        errors.push(scenario.error(scenario.place(key), message).help(help));
    };
    if let Some(usable) = &machine.cores {
        for (party, cores) in pinned.parties() {
            let missing = cores.without(usable);
            if missing.count() > 0 {
                let plural = if missing.count() == 1 { "" } else { "s" };
                fail(
                    &format!("cores.{party}"),
                    format!("there is no core{plural} {missing} for the {party}"),
                    format!("what can be used on this machine is {usable}"),
                );
            }
        }
        let most = usable.count();
        if limits.cpu.is_some_and(|cpu| cpu > most as f64) {
            let plural = if most == 1 { "" } else { "s" };
            fail(
                "limits.cpu",
                "the limit of CPU time is more than there is".to_owned(),
                format!("this machine has {most} core{plural}; leave it out for no limit"),
            );
        }
    }
    if let (Some(asked), Some(there)) = (limits.memory, machine.memory)
        && asked.0 > there
    {
        fail(
            "limits.memory",
            format!("a limit of {asked} is more memory than there is"),
            format!(
                "this machine has {}MiB; leave it out for no limit",
                there >> 20
            ),
        );
    }
    let Some(key) = scenario.placement.about_brokers() else {
        return;
    };
    for broker in brokers {
        if let Connection::External { .. } = broker.connection {
            fail(
                key,
                format!(
                    "`{}` runs already: mqbench cannot bound what it does not start",
                    broker.label
                ),
                "take it out, or its `url`; publishers and consumers can be pinned beside any broker"
                    .to_owned(),
            );
        }
    }
    let has_server = |broker: &PlannedBroker| !matches!(broker.connection, Connection::InProcess);
    if !brokers.is_empty() && !brokers.iter().any(has_server) {
        fail(
            key,
            "none of the brokers has a server of its own".to_owned(),
            "what runs inside mqbench is pinned by `cores.publishers` and `cores.consumers`"
                .to_owned(),
        );
    }
}

/// Adds the settings by which a server bounds its own memory, so that it stays below the limit instead of being
/// ended at it. What the scenario sets itself is left.
pub fn fit(config: &mut BTreeMap<String, String>, about: Option<&servers::About>, limits: &Limits) {
    let Some(Size(limit)) = limits.memory else {
        return;
    };
    for setting in about.iter().flat_map(|about| about.memory) {
        let members = u64::from(servers::nodes(config));
        let value = || setting.of(limit / members.max(1));
        config.entry(setting.key.to_owned()).or_insert_with(value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::DRIVERS;
    use super::super::resolve::resolve_on;
    use super::*;
    use crate::scenario::{self, Overrides};
    use crate::terminal::diagnostic::render_all;

    fn refused(text: &str) -> String {
        let machine = Machine {
            cores: Some(Cores::of([0, 1, 4])),
            memory: Some(4 << 30),
        };
        let text = format!("{text}\nworkload: {{load: max}}\n");
        let scenario = scenario::parse("orders.yaml", &text, &Overrides::default(), &|_| None);
        let scenario = scenario.unwrap_or_else(|errors| panic!("{}", render_all(&errors, false)));
        match resolve_on(&machine, &scenario, DRIVERS, 42) {
            Ok(_) => String::new(),
            Err(errors) => render_all(&errors, false),
        }
    }

    #[test]
    fn what_the_machine_has_can_be_given_out() {
        let text = "brokers: [wire]\ncores: {publishers: 0, consumers: 0-1, brokers: [1, 4]}\n\
                    limits: {cpu: 1.5, memory: 1GiB}";
        assert_eq!(refused(text), "");
    }

    #[test]
    fn cores_that_are_not_there_are_refused_where_they_are_asked_for() {
        let said = refused("brokers: [wire]\ncores: {publishers: 0-3, brokers: 7}");
        assert!(
            said.contains("orders.yaml:2:21") && said.contains("no cores 2-3 for the publishers"),
            "{said}"
        );
        assert!(
            said.contains("no core 7 for the brokers") && said.contains("is 0-1,4"),
            "{said}"
        );
    }

    #[test]
    fn more_than_the_machine_has_is_refused() {
        let said = refused("brokers: [wire]\nlimits: {cpu: 4, memory: 5GiB}");
        assert!(
            said.contains("orders.yaml:2:15") && said.contains("has 3 cores"),
            "{said}"
        );
        assert!(
            said.contains("5GiB is more memory") && said.contains("4096MiB"),
            "{said}"
        );
    }

    #[test]
    fn a_broker_that_runs_already_is_refused_by_name_unless_only_clients_are_pinned() {
        let external = "brokers: {wire: , mine: {driver: wire, url: 'wire://host'}}\n";
        let said = refused(&format!("{external}limits: {{memory: 1GiB}}"));
        assert!(said.contains("`mine` runs already"), "{said}");
        assert!(!said.contains("`wire` runs already"), "{said}");
        let clients = "cores: {publishers: 0, consumers: 1}";
        assert_eq!(refused(&format!("{external}{clients}")), "");
    }

    #[test]
    fn bounds_for_brokers_need_a_broker_that_can_be_bounded() {
        let said = refused("brokers: [pipe]\ncores: {brokers: 0}");
        assert!(said.contains("server of its own"), "{said}");
        assert_eq!(refused("brokers: [pipe, wire]\ncores: {brokers: 0}"), "");
    }
}
