//! Programs of a baseline, measured beside those of the run: in the same blocks, so that whatever drifts on the
//! machine hits both alike.

use super::model::{Connection, Plan, PlannedBroker};
use super::order::interleave;

/// A program that is measured again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The place in the plan of the broker that is to be judged.
    pub broker: usize,
    /// The server's program, as `binary` takes it.
    pub program: String,
    /// Its version, as it says.
    pub version: String,
}

impl Plan {
    /// Adds an entry for each of these programs, and orders all trials anew. A broker that has no private instance
    /// has no program that could be another.
    pub fn measure_beside(&mut self, programs: &[Beside]) {
        let trials = self.trials.iter().map(|it| it.block).max().unwrap_or(0);
        for beside in programs {
            let Some(broker) = self.brokers.get(beside.broker) else {
                continue;
            };
            let Connection::Managed { server, config, .. } = &broker.connection else {
                continue;
            };
            let entry = PlannedBroker {
                label: self.free_label(&format!("{}@{}", broker.label, plain(&beside.version))),
                connection: Connection::Managed {
                    server: server.clone(),
                    config: config.clone(),
                    binary: Some(beside.program.clone()),
                },
                ranked: false,
                baseline_of: Some(broker.label.clone()),
                ..broker.clone()
            };
            self.brokers.push(entry);
        }
        self.trials = interleave(self.brokers.len(), self.points(), trials, self.seed);
    }

    /// The label, or where an entry of the scenario has it already one like it.
    fn free_label(&self, label: &str) -> String {
        let is_taken = |label: &str| self.brokers.iter().any(|it| it.label == label);
        let further = (2..).map(|number| format!("{label} ({number})"));
        let mut all = std::iter::once(label.to_owned()).chain(further);
        all.find(|it| !is_taken(it)).unwrap_or_default()
    }
}

/// What of a version may stand in a label, which goes into files of several formats.
fn plain(version: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "._-+".contains(*c);
    version.chars().filter(is_plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    fn managed(plan: &mut Plan, broker: usize) {
        plan.brokers[broker].connection = Connection::Managed {
            server: "nats".to_owned(),
            config: [("nodes".to_owned(), "3".to_owned())].into(),
            binary: None,
        };
    }

    fn beside(broker: usize) -> Beside {
        Beside {
            broker,
            program: "/old/nats-server".to_owned(),
            version: "2.10.1".to_owned(),
        }
    }

    #[test]
    fn every_block_has_both_programs_and_all_else_is_the_same() {
        let mut plan = sample::plan(&["nats", "kafka"], 5);
        managed(&mut plan, 0);
        plan.measure_beside(&[beside(0)]);
        assert_eq!(plan.brokers.len(), 3);
        let (new, old) = (&plan.brokers[0], &plan.brokers[2]);
        assert_eq!((old.label.as_str(), old.ranked), ("nats@2.10.1", false));
        assert_eq!(old.baseline_of.as_deref(), Some("nats"));
        let like_the_new = PlannedBroker {
            label: new.label.clone(),
            connection: new.connection.clone(),
            ranked: new.ranked,
            baseline_of: None,
            ..old.clone()
        };
        assert_eq!(like_the_new, *new);
        let Connection::Managed { config, binary, .. } = &old.connection else {
            panic!("{:?}", old.connection)
        };
        assert_eq!(
            (config["nodes"].as_str(), binary.as_deref()),
            ("3", Some("/old/nats-server"))
        );
        for block in 1..=5 {
            let mut brokers: Vec<usize> = plan
                .trials
                .iter()
                .filter(|it| it.block == block)
                .map(|it| it.broker)
                .collect();
            brokers.sort_unstable();
            assert_eq!(brokers, [0, 1, 2]);
        }
        assert_eq!(plan.trials, interleave(3, 1, 5, plan.seed));
    }

    #[test]
    fn a_label_that_is_taken_is_not_taken_twice() {
        let mut plan = sample::plan(&["nats", "nats@2.10.1"], 2);
        managed(&mut plan, 0);
        let version = "2.10.1\n,\"".to_owned();
        let program = beside(0);
        plan.measure_beside(&[Beside { version, ..program }]);
        assert_eq!(plan.brokers[2].label, "nats@2.10.1 (2)");
    }

    #[test]
    fn what_is_no_private_instance_has_no_other_program() {
        let mut plan = sample::plan(&["nats"], 2);
        plan.measure_beside(&[beside(0), beside(7)]);
        assert_eq!(plan.brokers.len(), 1);
        assert_eq!(plan.trials.len(), 2);
    }
}
