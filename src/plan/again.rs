//! A stored plan, carried out once more: as it was, or a part of it.

use super::model::Plan;
use super::order::interleave;

impl Plan {
    /// What makes a plan that was read from a file one that cannot be carried out, if anything does.
    pub fn obstacle(&self) -> Option<String> {
        let workload = &self.workload;
        let counts = [
            ("trials", self.trials.len()),
            ("brokers", self.brokers.len()),
            ("groups", workload.groups as usize),
            ("destinations", workload.destinations as usize),
            ("sizes of messages", workload.message.sizes.len()),
            (
                "publishers and consumers",
                workload.publishers as usize + workload.consumers as usize,
            ),
        ];
        if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Some(format!("it has no {what}"));
        }
        let mut trials = self.trials.iter().zip(1..);
        let strange = trials.find(|(trial, number)| {
            trial.number != *number
                || trial.block == 0
                || trial.broker >= self.brokers.len()
                || trial.point >= self.points()
        });
        strange.map(|(trial, _)| format!("its trial {} does not fit it", trial.number))
    }

    /// Trials of each broker, at each load point.
    pub fn repetitions(&self) -> u32 {
        self.trials.iter().map(|it| it.block).max().unwrap_or(0)
    }

    /// Keeps the brokers at these places, in this order, with so many trials of each. Thresholds on others go
    /// with them. The seed stays, and with it the order of what stays; where nothing changes, nothing does.
    pub fn narrow(&mut self, places: &[usize], trials: u32) {
        let all = 0..self.brokers.len();
        if all.eq(places.iter().copied()) && trials == self.repetitions() {
            return;
        }
        let kept = places.iter().filter_map(|place| self.brokers.get(*place));
        self.brokers = kept.cloned().collect();
        let brokers = &self.brokers;
        self.thresholds.retain(|threshold| {
            let broker = threshold.broker.as_ref();
            broker.is_none_or(|label| brokers.iter().any(|it| it.label == *label))
        });
        self.trials = interleave(self.brokers.len(), self.points(), trials, self.seed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    fn plan() -> Plan {
        let mut plan = sample::plan(&["nats", "kafka", "redis"], 4);
        plan.trials = interleave(3, 1, 4, plan.seed);
        plan.thresholds = vec!["lost == 0".parse().unwrap()];
        let mut of_kafka = plan.thresholds[0].clone();
        of_kafka.broker = Some("kafka".to_owned());
        plan.thresholds.push(of_kafka);
        plan
    }

    #[test]
    fn a_plan_of_which_nothing_is_changed_is_the_same() {
        let mut same = plan();
        // Of an order that another version drew.
        same.trials.swap(0, 1);
        (same.trials[0].number, same.trials[1].number) = (1, 2);
        let before = same.clone();
        same.narrow(&[0, 1, 2], 4);
        assert_eq!(same, before);
        assert_eq!(same.obstacle(), None);
    }

    #[test]
    fn a_part_has_its_brokers_its_thresholds_and_the_seed() {
        let mut part = plan();
        part.narrow(&[2, 0], 2);
        let labels: Vec<&str> = part.brokers.iter().map(|it| it.label.as_str()).collect();
        assert_eq!((labels, part.trials.len()), (vec!["redis", "nats"], 4));
        assert_eq!((part.seed, part.thresholds.len()), (plan().seed, 1));
        assert_eq!(part.obstacle(), None);

        let mut more = plan();
        more.narrow(&[0, 1, 2], 6);
        let earlier = plan().trials.len();
        assert_eq!(more.trials[..earlier], plan().trials, "earlier blocks stay");
        assert_eq!(more.repetitions(), 6);
    }

    #[test]
    fn what_cannot_be_carried_out_is_said() {
        let why = |change: &dyn Fn(&mut Plan)| {
            let mut plan = plan();
            change(&mut plan);
            plan.obstacle().unwrap()
        };
        assert_eq!(why(&|plan| plan.trials.clear()), "it has no trials");
        assert_eq!(why(&|plan| plan.brokers.clear()), "it has no brokers");
        assert_eq!(
            why(&|plan| plan.workload.destinations = 0),
            "it has no destinations"
        );
        assert!(why(&|plan| plan.trials[3].broker = 9).contains("trial 4 does not fit"));
        assert!(why(&|plan| plan.trials[3].point = 1).contains("trial 4"));
        assert!(why(&|plan| plan.trials[0].number = u32::MAX).contains("does not fit"));
        assert!(why(&|plan| plan.trials[2].number = u32::MAX).contains("does not fit"));
    }
}
