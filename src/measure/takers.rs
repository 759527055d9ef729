//! Which processes outside the run took the CPU: by name, so that a compiler that is started a hundred times is one
//! finding and not a hundred.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Names a process for good: its number and when it started.
pub(super) type Identity = (i32, u64);

/// A process outside the run when it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outsider {
    /// Name of its program.
    pub name: String,
    /// Who started it.
    pub parent: i32,
    /// CPU seconds of its own.
    pub cpu: f64,
    /// CPU seconds of its children that ended.
    pub waited: f64,
}

/// Processes outside the run by what names them.
pub(super) type Outsiders = HashMap<Identity, Outsider>;

/// Processes of one name that took CPU time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Taker {
    /// Name of their program, cut at 15 bytes by the kernel.
    pub name: String,
    /// The one of them that took most.
    pub pid: i32,
    /// Share of all CPU time that they took together, from 0 to 1.
    pub share: f64,
}

/// The most names that are kept; beyond it those that took least go. So a run of any length needs the same memory.
const NAMES: usize = 256;
/// What took less than this share is not worth a word.
const LEAST: f64 = 0.001;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Took {
    seconds: f64,
    pid: i32,
    most: f64,
}

/// What each name took, over any number of readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally(HashMap<String, Took>);

impl Tally {
    /// What was taken between two readings.
    ///
    /// Time of a process that ended in between is in its parent's waited time, with what it had spent before, which
    /// is taken off again. It counts for the name of the ended process where that was seen, otherwise for the
    /// parent's: a shell whose commands are too short to be seen took what they took.
    pub fn between(before: &Outsiders, after: &Outsiders) -> Tally {
        let mut tally = Tally::default();
        let mut gone: HashMap<i32, Vec<(i32, &Outsider)>> = HashMap::new();
        for (identity, process) in before.iter().filter(|it| !after.contains_key(it.0)) {
            let ended = |pid: i32| {
                before
                    .iter()
                    .find(|it| it.0.0 == pid && !after.contains_key(it.0))
            };
            let mut parent = process.parent;
            // Where the parent has ended too, the time went on to whoever waited for that.
            for _ in 0..16 {
                match ended(parent) {
                    Some((_, above)) => parent = above.parent,
                    None => break,
                }
            }
            gone.entry(parent).or_default().push((identity.0, process));
        }
        for (identity, now) in after {
            let then = before.get(identity);
            let cpu = now.cpu - then.map_or(0.0, |it| it.cpu);
            tally.add(&now.name, identity.0, cpu.max(0.0));
            let waited = now.waited - then.map_or(0.0, |it| it.waited);
            let children = gone.get(&identity.0).map_or(&[][..], Vec::as_slice);
            let known: f64 = children.iter().map(|(_, it)| it.cpu + it.waited).sum();
            let most = children.iter().max_by(|a, b| a.1.cpu.total_cmp(&b.1.cpu));
            let (pid, name) = most.map_or((identity.0, &now.name), |(pid, it)| (*pid, &it.name));
            tally.add(name, pid, (waited - known).max(0.0));
        }
        tally
    }

    fn add(&mut self, name: &str, pid: i32, seconds: f64) {
        if seconds <= 0.0 {
            return;
        }
        let took = match self.0.get_mut(name) {
            Some(took) => took,
            None => self.0.entry(name.to_owned()).or_default(),
        };
        took.seconds += seconds;
        if seconds > took.most {
            (took.pid, took.most) = (pid, seconds);
        }
    }

    /// Adds what was taken in a span that followed.
    pub fn merge(&mut self, later: &Tally) {
        for (name, took) in &later.0 {
            let sum = self.0.entry(name.clone()).or_default();
            sum.seconds += took.seconds;
            if took.most > sum.most {
                (sum.pid, sum.most) = (took.pid, took.most);
            }
        }
        if self.0.len() > NAMES {
            let mut all: Vec<(String, Took)> = self.0.drain().collect();
            all.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
            all.truncate(NAMES / 2);
            self.0.extend(all);
        }
    }

    /// The largest, at most so many, of all CPU time there was.
    pub fn largest(&self, count: usize, capacity_s: f64) -> Vec<Taker> {
        let taker = |(name, took): (&String, &Took)| Taker {
            name: name.clone(),
            pid: took.pid,
            share: took.seconds / capacity_s.max(1e-9),
        };
        let mut all: Vec<Taker> = self.0.iter().map(taker).collect();
        all.retain(|it| it.share >= LEAST);
        all.sort_by(|a, b| {
            b.share
                .total_cmp(&a.share)
                .then_with(|| a.name.cmp(&b.name))
        });
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str, parent: i32, cpu: f64, waited: f64) -> Outsider {
        Outsider {
            name: name.to_owned(),
            parent,
            cpu,
            waited,
        }
    }

    fn names(takers: &[Taker]) -> Vec<(&str, i32, f64)> {
        let round = |share: f64| (share * 1000.0).round() / 1000.0;
        let all = takers.iter();
        all.map(|it| (it.name.as_str(), it.pid, round(it.share)))
            .collect()
    }

    #[test]
    fn processes_of_one_name_are_one_taker_named_by_the_largest() {
        let before = Outsiders::from([
            ((10, 1), process("rustc", 2, 5.0, 0.0)),
            ((11, 1), process("idle", 2, 3.0, 0.0)),
        ]);
        let after = Outsiders::from([
            ((10, 1), process("rustc", 2, 5.3, 0.0)),
            ((11, 1), process("idle", 2, 3.0, 0.0)),
            ((12, 9), process("rustc", 2, 0.5, 0.0)),
            ((13, 9), process("vi", 2, 0.1, 0.0)),
        ]);
        let took = Tally::between(&before, &after).largest(5, 2.0);
        assert_eq!(names(&took), [("rustc", 12, 0.4), ("vi", 13, 0.05)]);
    }

    #[test]
    fn one_that_ended_is_named_with_what_it_took_in_between_only() {
        let before = Outsiders::from([
            ((1, 1), process("make", 0, 0.0, 10.0)),
            ((5, 2), process("cc1", 1, 4.0, 0.0)),
        ]);
        let after = Outsiders::from([((1, 1), process("make", 0, 0.0, 14.6))]);
        let took = Tally::between(&before, &after).largest(5, 2.0);
        assert_eq!(names(&took), [("cc1", 5, 0.3)]);
    }

    #[test]
    fn what_was_too_short_to_be_seen_counts_for_who_started_it() {
        let before = Outsiders::from([((1, 1), process("sh", 0, 0.0, 1.0))]);
        let after = Outsiders::from([((1, 1), process("sh", 0, 0.0, 1.5))]);
        let took = Tally::between(&before, &after).largest(5, 2.0);
        assert_eq!(names(&took), [("sh", 1, 0.25)]);
    }

    #[test]
    fn time_of_one_whose_parent_ended_too_is_found_above() {
        let before = Outsiders::from([
            ((1, 1), process("init", 0, 0.0, 0.0)),
            ((5, 2), process("sh", 1, 0.1, 0.0)),
            ((6, 2), process("cc1", 5, 2.0, 0.0)),
        ]);
        let after = Outsiders::from([((1, 1), process("init", 0, 0.0, 2.6))]);
        let took = Tally::between(&before, &after).largest(5, 1.0);
        assert_eq!(names(&took), [("cc1", 6, 0.5)]);
    }

    #[test]
    fn spans_add_up_and_names_are_bounded() {
        let mut sum = Tally::default();
        for i in 0..2000 {
            let after = Outsiders::from([
                ((i, 1), process(&format!("p{i}"), 0, 0.001, 0.0)),
                ((9999, 1), process("big", 0, f64::from(i + 1), 0.0)),
            ]);
            let before = Outsiders::from([((9999, 1), process("big", 0, f64::from(i), 0.0))]);
            sum.merge(&Tally::between(&before, &after));
            assert!(sum.0.len() <= NAMES);
        }
        let took = sum.largest(1, 4000.0);
        assert_eq!(names(&took), [("big", 9999, 0.5)]);
    }
}
