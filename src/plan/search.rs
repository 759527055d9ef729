//! The trials of a search: each is a plan of its own, made when its rate is known.

use std::time::Duration;

use crate::drivers;
use crate::engine::task::WindowBy;
use crate::scenario::Objective;
use crate::scenario::search::{MOST_PROBES, MOST_TRIALS};
use crate::scenario::units::Rate;
use crate::scenario::workload::{Load, Measure, Phases};

use super::model::{AROUND_A_TRIAL, Plan};

impl Plan {
    /// A closed loop, which tells where a search begins.
    pub fn closed_loop(&self) -> Plan {
        let mut part = self.part(|objective, phases| objective.closed(phases));
        part.workload.load = Load::Max;
        for place in 0..part.brokers.len() {
            let broker = &part.brokers[place];
            let holds =
                drivers::find(&broker.driver).is_some_and(|it| it.descriptor().holds_backlog);
            let window = WindowBy::of(&part.workload_of(broker), broker.offer.acks, holds);
            part.brokers[place].window = window;
        }
        part
    }

    /// A trial of a search at a rate: of full length, or one that just looks.
    pub fn at_rate(&self, rate: Rate, is_full: bool) -> Plan {
        let mut part = self.part(|objective, phases| match is_full {
            true => objective.full(phases, rate.0),
            false => objective.probe(phases, rate.0),
        });
        if let Load::Rate { rate: asked, .. } = &mut part.workload.load {
            *asked = rate;
        }
        part
    }

    /// Without the search, but with what it looks for among the thresholds, so that percentiles of it are kept.
    fn part(&self, phases: impl Fn(&Objective, &Phases) -> Phases) -> Plan {
        let mut part = self.clone();
        if let Some(objective) = part.search.take() {
            part.phases = phases(&objective, &self.phases);
            part.thresholds.push(objective.condition);
        }
        part
    }

    /// How long a search takes if rates are so high that no trial has to wait for its messages and each broker needs all
    /// its trials; and if all are as long as at the lowest rate. `None` where trials end by count.
    pub(super) fn estimate_of_search(&self) -> Option<(Duration, Duration)> {
        let objective = self.search.as_ref()?;
        let brokers = u32::try_from(self.brokers.len()).ok()?;
        let around = self.phases.warmup.checked_add(AROUND_A_TRIAL)?;
        let (Measure::Time(probe), Measure::Time(full)) =
            (objective.closed(&self.phases).measure, self.phases.measure)
        else {
            return None;
        };
        let probes = probe.checked_add(around)?.checked_mul(MOST_PROBES)?;
        let ends = full
            .checked_add(around)?
            .checked_mul(MOST_TRIALS - MOST_PROBES)?;
        let longest = objective.longest(&self.phases).checked_add(around)?;
        let longest = longest
            .checked_add(self.phases.drain)?
            .checked_mul(MOST_TRIALS)?;
        let least = probes.checked_add(ends)?.checked_mul(brokers)?;
        Some((least, longest.checked_mul(brokers)?))
    }
}
