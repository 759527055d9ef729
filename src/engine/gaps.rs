//! Times in which a group of consumers received nothing, found while receipts are entered.

use std::time::Duration;

use super::task::Task;
use crate::scenario::workload::{Arrival, Load};

/// No gap that is shorter is a pause, whatever the rate: a scheduler or a collection of garbage takes as long.
const LEAST: Duration = Duration::from_millis(100);
/// Nor is one that is shorter than so many times what lies between two messages on average. Of events that come at
/// random, e⁻²⁰ of the gaps are as long.
const TIMES: f64 = 20.0;
/// The most that are kept; beyond it the shortest go. So a run of any length needs the same memory.
const MOST: usize = 1024;

/// Finds gaps in receipts that are entered nearly in order: those of one consumer are, those of several come in
/// batches.
#[derive(Debug)]
pub struct Gaps {
    threshold: u64,
    /// The latest receipt; 0 before the first.
    latest: u64,
    /// From one receipt to the next, in order.
    found: Vec<(u64, u64)>,
}

impl Gaps {
    /// For a trial.
    pub fn of(task: &Task) -> Gaps {
        Gaps::longer_than(threshold(task))
    }

    fn longer_than(threshold: u64) -> Gaps {
        Gaps {
            threshold,
            latest: 0,
            found: Vec::new(),
        }
    }

    /// Something was received at this instant.
    #[inline]
    pub fn received(&mut self, at: u64) {
        if at >= self.latest {
            if at - self.latest > self.threshold && self.latest > 0 {
                self.add(self.latest, at);
            }
            self.latest = at;
        } else if self.found.last().is_some_and(|(_, end)| at < *end) {
            self.split(at);
        }
    }

    #[cold]
    fn add(&mut self, from: u64, to: u64) {
        self.found.push((from, to));
        if self.found.len() > MOST {
            let lengths = self.found.iter().map(|(from, to)| to - from).enumerate();
            if let Some((shortest, _)) = lengths.min_by_key(|(_, length)| *length) {
                self.found.remove(shortest);
            }
        }
    }

    /// One came in the middle of what had looked like a gap.
    #[cold]
    fn split(&mut self, at: u64) {
        let inside = |(from, to): &(u64, u64)| *from < at && at < *to;
        if let Some(place) = self.found.iter().rposition(inside) {
            let (from, to) = self.found.remove(place);
            let parts = [(from, at), (at, to)];
            let parts = parts
                .into_iter()
                .filter(|(from, to)| to - from > self.threshold);
            let parts: Vec<(u64, u64)> = parts.collect();
            self.found.splice(place..place, parts);
        }
    }

    /// Those within a span, cut to it; what has not ended by its end is one, too.
    pub fn within(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let open = (self.latest > 0 && self.latest < to).then_some((self.latest, to));
        let all = self.found.iter().copied().chain(open);
        let cut = all.map(|(begin, end)| (begin.max(from), end.min(to)));
        cut.filter(|(begin, end)| *end > *begin && end - begin > self.threshold)
            .collect()
    }
}

/// How long nothing must come for it to be a pause, nanoseconds.
fn threshold(task: &Task) -> u64 {
    let spaced = |rate: f64, arrival: &Arrival| {
        let together = match arrival {
            Arrival::Burst(size) => f64::from(*size),
            Arrival::Uniform | Arrival::Poisson => 1.0,
        };
        TIMES * together / rate
    };
    let seconds = match &task.workload.load {
        Load::Rate { rate, arrival } => spaced(rate.0, arrival),
        Load::Steps { steps, arrival } => {
            let rates = steps.iter().map(|step| step.rate.0);
            rates
                .reduce(f64::min)
                .map_or(0.0, |rate| spaced(rate, arrival))
        }
        Load::Max => 0.0,
    };
    let expected = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    u64::try_from(expected.max(LEAST).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(received: &[u64]) -> Vec<(u64, u64)> {
        let mut gaps = Gaps::longer_than(10);
        received.iter().for_each(|at| gaps.received(*at));
        gaps.within(0, 1000)
    }

    #[test]
    fn what_lies_further_apart_than_the_threshold_is_a_gap() {
        assert_eq!(gaps(&[995]), []);
        assert_eq!(gaps(&[980, 985, 990, 1000]), []);
        assert_eq!(gaps(&[900, 911, 921, 1000]), [(900, 911), (921, 1000)]);
    }

    #[test]
    fn receipts_of_another_consumer_that_are_entered_later_fill_it() {
        assert_eq!(gaps(&[900, 1000, 950]), [(900, 950), (950, 1000)]);
        assert_eq!(gaps(&[900, 1000, 908, 916, 924]), [(924, 1000)]);
        let mut all: Vec<u64> = (900..=1000).step_by(10).collect();
        all.rotate_right(1);
        assert_eq!(gaps(&all), []);
    }

    #[test]
    fn a_span_is_cut_out_and_what_did_not_end_in_it_is_one_too() {
        let mut gaps = Gaps::longer_than(10);
        for at in [100, 200, 205, 300, 400] {
            gaps.received(at);
        }
        assert_eq!(gaps.within(150, 250), [(150, 200), (205, 250)]);
        assert_eq!(gaps.within(0, 450).last(), Some(&(400, 450)));
        assert_eq!(Gaps::longer_than(10).within(0, 1000), []);
    }

    #[test]
    fn the_longest_are_kept() {
        let mut gaps = Gaps::longer_than(10);
        let mut at = 1;
        for i in 0..3000 {
            at += if i == 5 { 5000 } else { 20 + i };
            gaps.received(at);
        }
        let found = gaps.within(0, at);
        assert_eq!(found.len(), MOST);
        assert!(found.iter().any(|(from, to)| to - from == 5000));
    }
}
