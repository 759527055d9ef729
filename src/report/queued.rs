//! That measuring began while what the warm-up had left was still queued: a server that had just started, mostly. Those
//! messages count as nothing, but the first that do wait behind them.

use std::time::Duration;

use crate::results::{Attempt, Results};
use crate::scenario::units::duration::text;
use crate::scenario::workload::Load;
use crate::stats::group::Group;
use crate::terminal::numbers::{count, counted};

/// A queue of so much load, in seconds, moves percentiles that one looks at: the first twentieth of a second is a
/// quarter of a percent of a trial of 20 s.
const LEAST: f64 = 0.05;
/// Shorter warm-ups than this are short for servers that compile themselves while they run.
const LONG: Duration = Duration::from_secs(5);

/// Trials that began behind a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// The broker.
    pub broker: String,
    /// How many, of how many.
    pub trials: (usize, usize),
    /// The longest queue: messages, and the seconds of load that they are.
    pub messages: u64,
    /// See `messages`.
    pub seconds: f64,
    /// How long the warm-up was.
    pub warmup: Duration,
}

impl Queued {
    /// Where trials of a broker that count began so. Only an open loop shows it: more came out than was due.
    pub fn of(results: &Results, group: &Group, label: &str) -> Option<Queued> {
        let workload = &results.plan.workload;
        let is_open = matches!(workload.load, Load::Rate { .. });
        if !is_open || workload.consumers == 0 || !group.is_valid() {
            return None;
        }
        let copies = f64::from(workload.groups.max(1));
        let queue = |a: &&Attempt| {
            let due = a.rates.offered * copies;
            let again = a.audit.repeated() as f64;
            let messages = (a.rates.received - due) * a.seconds - again;
            let seconds = messages / due;
            (seconds >= LEAST).then_some((messages / copies, seconds))
        };
        let used = group.used();
        let found: Vec<(f64, f64)> = used.iter().filter_map(queue).collect();
        let (messages, seconds) = found.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Queued {
            broker: label.to_owned(),
            trials: (found.len(), used.len()),
            messages: messages.round() as u64,
            seconds,
            warmup: results.plan.phases.warmup,
        })
    }

    /// What is wrong, and what helps.
    pub fn say(&self) -> (String, String) {
        let (of, all) = self.trials;
        let trials = match of == all {
            true => String::new(),
            false => format!(" in {of} of {}", counted(all as u64, "trial")),
        };
        (
            format!(
                "{} had not caught up with its warm-up of {} when measuring began{trials}: {} messages, {:.2} s of the \
                 load, were queued, and what was measured waited behind them",
                self.broker,
                text(self.warmup),
                count(self.messages),
                self.seconds,
            ),
            format!(
                "give it longer: `--set phases.warmup={}`",
                text(LONG.max(self.warmup * 2))
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    fn found(received: [f64; 2], again: u64) -> Option<Queued> {
        let plan = sample::plan(&["kafka"], 2);
        let results = sample::run(plan, &[1e6], |record, _, repetition| {
            record.rates.received = received[repetition as usize - 1];
            record.audit.received += again;
            record.audit.duplicated += again;
        });
        let groups = Group::all(&results);
        Queued::of(&results, &groups[0], "kafka")
    }

    #[test]
    fn more_that_came_out_than_was_due_had_been_queued() {
        let seconds = sample::record(1e6).seconds;
        assert_eq!(found([5_000.0, 5_010.0], 0), None, "that is nothing");
        let queued = found([5_000.0, 5_500.0], 0).unwrap();
        assert_eq!(queued.trials, (1, 2));
        assert_eq!(queued.messages, (500.0 * seconds).round() as u64);
        assert!((queued.seconds - 0.1 * seconds).abs() < 1e-9);
        let (what, remedy) = queued.say();
        assert!(what.contains("in 1 of 2 trials"), "{what}");
        assert_eq!(remedy, "give it longer: `--set phases.warmup=10s`");
    }

    #[test]
    fn copies_that_came_twice_were_not_queued() {
        let seconds = sample::record(1e6).seconds;
        let again = (500.0 * seconds) as u64;
        assert_eq!(found([5_500.0, 5_500.0], again), None);
    }
}
