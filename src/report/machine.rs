//! What others on the machine did, in words: who took the CPU and when, and what the machine suffered besides.

use crate::measure::resources::Cause;
use crate::measure::takers::Taker;
use crate::results::{Attempt, Results};
use crate::stats::median::median;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{counted, listed, percent};

/// Times for the same piece of work that are further apart than this share are told.
const PACE_SHARE: f64 = 0.1;
/// So many trials in a row say how fast the machine was at the time: the times of one scatter by as much as is told.
const PACE_TRIALS: usize = 3;
/// The most names in a sentence.
const NAMES: usize = 3;
/// The most spans of time in a sentence.
const SPANS: usize = 4;

/// `rustc 5.1 %, cc1 1.0 %`: the largest share that each name had in one of these trials, the largest first. Empty
/// where nobody is known.
pub fn names<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> String {
    let mut found: Vec<Taker> = Vec::new();
    for taker in attempts.into_iter().flat_map(|it| &it.takers) {
        match found.iter_mut().find(|it| it.name == taker.name) {
            Some(known) if known.share >= taker.share => {}
            Some(known) => *known = taker.clone(),
            None => found.push(taker.clone()),
        }
    }
    found.sort_by(|a, b| b.share.total_cmp(&a.share));
    let shown = found.iter().take(NAMES);
    let shown = shown.map(|it| format!("{} {}", printable(&it.name), percent(it.share)));
    shown.collect::<Vec<_>>().join(", ")
}

/// `rustc 5.1 % (process 4711)`, with the number of the one of that name that took most.
pub fn with_numbers(takers: &[Taker]) -> String {
    let shown = takers.iter().take(NAMES);
    let shown = shown.map(|it| {
        let name = printable(&it.name);
        format!("{name} {} (process {})", percent(it.share), it.pid)
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// `from 2 s to 5 s, from 9 s to 10 s`.
pub fn when(spans: &[[f64; 2]]) -> String {
    let shown = spans.iter().take(SPANS);
    let mut said: Vec<String> = shown
        .map(|[from, to]| format!("{from:.0} s to {to:.0} s"))
        .collect();
    if spans.len() > SPANS {
        said.push("later".to_owned());
    }
    match said.is_empty() {
        true => String::new(),
        false => format!("from {}", listed(&said)),
    }
}

/// Whether it was processes that disturbed it, which have names.
pub fn by_processes(attempt: &&Attempt) -> bool {
    let disturbed = attempt.disturbed;
    disturbed.is_some_and(|it| it.cause == Cause::Foreign)
}

/// Behind a share, who had it.
pub fn of_which(by: &str) -> String {
    match by {
        "" => String::new(),
        by => format!(": {by}"),
    }
}

/// The verb for so many.
pub fn were(number: usize) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

/// That trials were disturbed and repeated, what took the CPU, and who.
pub fn repeated(trials: usize, of: usize, taken: &[(Cause, f64)], names: &str) -> String {
    let by = |cause: Cause, who: &str| {
        let shares = taken.iter().filter(|(it, _)| *it == cause);
        let mut shares: Vec<f64> = shares.map(|(_, share)| *share).collect();
        shares.sort_by(f64::total_cmp);
        match shares[..] {
            [] => None,
            [one] => Some(format!("{who} took {} of the CPU", percent(one))),
            [low, high] => Some(format!(
                "{who} took {} and {} of the CPU",
                percent(low),
                percent(high)
            )),
            [low, .., high] => Some(format!(
                "{who} took {} to {} of the CPU",
                percent(low),
                percent(high)
            )),
        }
    };
    let causes = [
        by(Cause::Steal, "the hypervisor"),
        by(Cause::Foreign, "other processes"),
    ];
    let causes: Vec<String> = causes.into_iter().flatten().collect();
    // Processes come last, and so do their names.
    let names = of_which(names);
    let were = were(trials);
    format!(
        "{trials} of {} {were} disturbed ({}{names}) and {were} repeated",
        counted(of as u64, "trial"),
        causes.join(", ")
    )
}

/// What the machine suffered while trials were measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Strained {
    /// Trials in which clock rates changed, and the lowest and the highest rate, MHz.
    pub clock: Option<(usize, [f64; 2])>,
    /// Trials in which a processor was slowed down for heat, and how often that was.
    pub hot: Option<(usize, u64)>,
    /// Trials in which memory was short, and the largest share of time in which somebody waited for it, where told.
    pub memory: Option<(usize, Option<f64>)>,
    /// The shortest and the longest time for the same piece of work, nanoseconds, where they are far apart: medians of
    /// trials in a row.
    pub pace: Option<[f64; 2]>,
}

/// The shortest and the longest time for the same piece of work, as the medians of so many trials in a row,
/// nanoseconds; `None` of results that do not tell, and of fewer trials.
fn work(results: &Results, in_a_row: usize) -> Option<[f64; 2]> {
    let times: Vec<f64> = results.standing().filter_map(|it| it.work_ns).collect();
    let medians = times.chunks_exact(in_a_row);
    let medians = medians.filter_map(|it| median(it.iter().copied()));
    medians.map(|it| [it, it]).reduce(both)
}

/// From the lower to the higher end of two ranges.
fn both(one: [f64; 2], other: [f64; 2]) -> [f64; 2] {
    [one[0].min(other[0]), one[1].max(other[1])]
}

/// `0.89 to 1.16 ms`, of nanoseconds.
fn milliseconds([short, long]: [f64; 2]) -> String {
    format!("{:.2} to {:.2} ms", short / 1e6, long / 1e6)
}

impl Strained {
    /// Of the trials of a run that count; `None` where nothing is known to have happened.
    pub fn of(results: &Results) -> Option<Strained> {
        let mut strained = Strained::default();
        for strain in results.standing().map(|it| &it.strain) {
            if let (true, Some([low, high])) = (strain.clock_changed(), strain.clock) {
                let (trials, range) = strained.clock.get_or_insert((0, [low, high]));
                *trials += 1;
                *range = both(*range, [low, high]);
            }
            if strain.throttled > 0 {
                let (trials, times) = strained.hot.get_or_insert((0, 0));
                *trials += 1;
                *times += strain.throttled;
            }
            if strain.memory_short() {
                let (trials, share) = strained.memory.get_or_insert((0, None));
                *trials += 1;
                *share = [*share, strain.memory_wait]
                    .into_iter()
                    .flatten()
                    .reduce(f64::max);
            }
        }
        strained.pace = work(results, PACE_TRIALS).filter(|it| it[1] > it[0] * (1.0 + PACE_SHARE));
        (strained != Strained::default()).then_some(strained)
    }

    /// What is wrong, and what helps.
    pub fn say(&self) -> (String, String) {
        let trials = |count: usize| counted(count as u64, "trial");
        let clock = self.clock.map(|(count, [low, high])| {
            format!(
                "the clock of the processors changed between {low:.0} and {high:.0} MHz in {}",
                trials(count)
            )
        });
        let hot = self.hot.map(|(count, times)| {
            format!(
                "processors were slowed down for heat {} in {}",
                counted(times, "time"),
                trials(count)
            )
        });
        let memory = self.memory.map(|(count, share)| {
            let share = share.map_or(String::new(), |share| {
                format!(
                    " (others or the run waited for it in up to {} of the time)",
                    percent(share)
                )
            });
            format!("memory was short in {}{share}", trials(count))
        });
        let pace = self.pace.map(|times| {
            format!(
                "the machine itself was faster at times: the same piece of work took {}",
                milliseconds(times)
            )
        });
        let helps = [
            self.clock.map(|_| "set the governor to `performance`"),
            self.hot.map(|_| "cool the machine, or offer less"),
            self.memory
                .map(|_| "free memory, or give brokers less: `limits: {memory: …}`"),
            self.pace
                .map(|_| "make more trials, and compare with other runs only in the same blocks: `--baseline`"),
        ];
        let what: Vec<String> = [clock, hot, memory, pace].into_iter().flatten().collect();
        let helps: Vec<&str> = helps.into_iter().flatten().collect();
        (what.join("; "), helps.join("; "))
    }
}

/// Names and values for a reader of the conditions: each trial that others disturbed, and what was suffered.
pub fn facts(results: &Results) -> Vec<(String, String)> {
    /// The most trials that are listed.
    const MOST: usize = 20;
    let disturbed: Vec<&Attempt> = results
        .attempts
        .iter()
        .filter(|it| it.disturbed.is_some() && !it.takers.is_empty())
        .collect();
    let mut facts: Vec<(String, String)> = disturbed
        .iter()
        .take(MOST)
        .map(|it| {
            let attempt = match it.attempt {
                0 | 1 => String::new(),
                again => format!(", attempt {again}"),
            };
            let when = match it.disturbed_at.as_slice() {
                [] => String::new(),
                spans => format!(", {}", when(spans)),
            };
            let who = with_numbers(&it.takers);
            (
                format!("others in trial {}{attempt}", it.trial),
                format!("{who}{when}"),
            )
        })
        .collect();
    if disturbed.len() > MOST {
        let more = counted((disturbed.len() - MOST) as u64, "trial");
        facts.push(("others".to_owned(), format!("in {more} more")));
    }
    let strains = || results.standing().map(|it| &it.strain);
    let clocks = strains().filter_map(|it| it.clock);
    let clock = clocks.reduce(both);
    let not_told = || "not told".to_owned();
    let clock = clock.map_or_else(not_told, |[low, high]| format!("{low:.0} to {high:.0} MHz"));
    let waits = strains().filter_map(|it| it.memory_wait);
    let wait = waits.reduce(f64::max);
    let wait = wait.map_or_else(not_told, |share| {
        format!("up to {} of a trial's time", percent(share))
    });
    let hot: u64 = strains().map(|it| it.throttled).sum();
    facts.push(("clock rates".to_owned(), clock));
    if hot > 0 {
        facts.push(("slowed down for heat".to_owned(), counted(hot, "time")));
    }
    facts.push(("waits for memory".to_owned(), wait));
    if let Some(times) = work(results, 1) {
        let name = "time for the same piece of work".to_owned();
        facts.push((name, milliseconds(times)));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    fn taker(name: &str, share: f64) -> Taker {
        Taker {
            name: name.to_owned(),
            pid: 4711,
            share,
        }
    }

    #[test]
    fn who_and_when_are_short() {
        let results = sample::run(sample::plan(&["nats"], 2), &[1e5], |record, _, trial| {
            record.takers = vec![
                taker("rustc", 0.05 / f64::from(trial)),
                taker("cc\u{7}1", 0.01),
            ];
        });
        assert_eq!(names(&results.attempts), "rustc 5 %, cc\u{fffd}1 1 %");
        assert_eq!(
            with_numbers(&results.attempts[0].takers[..1]),
            "rustc 5 % (process 4711)"
        );
        assert_eq!(
            when(&[[2.0, 5.0], [9.0, 10.0]]),
            "from 2 s to 5 s and 9 s to 10 s"
        );
        assert_eq!(when(&[]), "");
    }

    #[test]
    fn what_the_machine_suffered_is_said_with_what_helps() {
        let quiet = sample::run(sample::plan(&["nats"], 2), &[1e5], |_, _, _| {});
        assert_eq!(Strained::of(&quiet), None);
        let strained = sample::run(sample::plan(&["nats"], 6), &[1e5], |record, _, trial| {
            record.strain.clock = Some([1800.0, 3000.0]);
            record.strain.throttled = u64::from(trial == 1);
            record.strain.memory_wait = Some(0.05 * f64::from(trial));
            record.work_ns = Some(if trial > 3 { 2e6 } else { 1e6 });
        });
        let (what, helps) = Strained::of(&strained).unwrap().say();
        assert_eq!(
            what,
            "the clock of the processors changed between 1800 and 3000 MHz in 6 trials; processors were slowed \
             down for heat 1 time in 1 trial; memory was short in 6 trials (others or the run waited for it in up \
             to 30 % of the time); the machine itself was faster at times: the same piece of work took 1.00 to \
             2.00 ms"
        );
        assert_eq!(helps.split("; ").count(), 4);
    }

    #[test]
    fn a_single_slow_trial_is_not_a_slow_machine() {
        let of = |slow: fn(u32) -> bool| {
            let results = sample::run(sample::plan(&["nats"], 9), &[1e5], |record, _, trial| {
                record.work_ns = Some(if slow(trial) { 1.3e6 } else { 1e6 });
            });
            Strained::of(&results).and_then(|it| it.pace)
        };
        assert_eq!(of(|trial| trial % 3 == 2), None);
        assert_eq!(of(|trial| trial > 5), Some([1e6, 1.3e6]));
    }

    #[test]
    fn conditions_name_disturbed_trials_and_say_what_is_not_told() {
        let results = sample::run(sample::plan(&["nats"], 1), &[1e5], |record, _, _| {
            record.usage.foreign_s = 4.0;
            record.takers = vec![taker("rustc", 0.1)];
        });
        let facts = facts(&results);
        assert_eq!(facts[0].0, "others in trial 1");
        assert!(
            facts[0].1.starts_with("rustc 10 % (process 4711)"),
            "{facts:?}"
        );
        assert!(facts.contains(&("clock rates".to_owned(), "not told".to_owned())));
    }
}
