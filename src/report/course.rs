//! How trials went over time, in words: where they paused, and what grew or fell.

use crate::results::course::{Drift, Drifting, Pause, PauseKind};
use crate::results::{Attempt, Results};
use crate::stats::median::median;
use crate::terminal::numbers::{self, bytes, count, counted, listed, time};

/// The most pauses in a sentence.
const PAUSES: usize = 5;

/// What is to be said of a broker's trials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The broker.
    pub broker: String,
    /// `2 pauses: at 12.3 s for 1.02 s`, `memory of the broker grows by …`.
    pub what: Vec<String>,
}

impl Course {
    /// Of the trials of a broker that count; `None` where nothing happened.
    pub fn of(results: &Results, broker: usize, label: &str) -> Option<Course> {
        let trials: Vec<&Attempt> = results.standing_of(broker).collect();
        let mut what: Vec<String> = [PauseKind::Silent, PauseKind::Slow]
            .into_iter()
            .filter_map(|kind| pauses(&trials, kind))
            .collect();
        let all = [
            Drifting::Latency,
            Drifting::Throughput,
            Drifting::BrokerMemory,
            Drifting::Backlog,
        ];
        what.extend(all.into_iter().filter_map(|of| drifts(&trials, of)));
        (!what.is_empty()).then(|| Course {
            broker: label.to_owned(),
            what,
        })
    }

    /// What is to be known, and what to do.
    pub fn say(&self) -> (String, String) {
        (
            format!("{}: {}", self.broker, self.what.join("; ")),
            String::new(),
        )
    }
}

fn pauses(trials: &[&Attempt], kind: PauseKind) -> Option<String> {
    let with = trials.iter().filter_map(|trial| {
        let pauses = trial.course.pauses.iter().filter(|it| it.kind == kind);
        let pauses: Vec<&Pause> = pauses.collect();
        (!pauses.is_empty()).then_some((trial.repetition, pauses))
    });
    let with: Vec<(u32, Vec<&Pause>)> = with.collect();
    let kept: usize = with.iter().map(|(_, pauses)| pauses.len()).sum();
    if kept == 0 {
        return None;
    }
    // Where some were left out for their number, the figure is that of all.
    let in_all: u64 = trials.iter().map(|it| it.course.pauses_in_all).sum();
    let all_kept: usize = trials.iter().map(|it| it.course.pauses.len()).sum();
    let left_out = in_all.saturating_sub(all_kept as u64);
    let number = match left_out {
        0 => kept.to_string(),
        _ => format!("more than {}", count(kept as u64)),
    };
    let plural = if kept == 1 { "" } else { "s" };
    let what = match kind {
        PauseKind::Silent => format!("{number} pause{plural} in which nothing was received"),
        PauseKind::Slow => format!("{number} slow spell{plural}"),
    };
    let mut longest: Vec<(u32, &Pause)> = with
        .iter()
        .flat_map(|(trial, pauses)| pauses.iter().map(|it| (*trial, *it)))
        .collect();
    longest.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
    longest.truncate(PAUSES);
    longest.sort_by(|a, b| {
        (a.0, a.1.at)
            .partial_cmp(&(b.0, b.1.at))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let several = trials.len() > 1;
    let each = longest.iter().map(|(trial, pause)| {
        let trial = match several {
            true => format!("in trial {trial} "),
            false => String::new(),
        };
        format!("{trial}{}", spelled(pause))
    });
    let each: Vec<String> = each.collect();
    let most = match kept > PAUSES {
        true => ", the longest",
        false => "",
    };
    Some(format!("{what}{most}: {}", listed(&each)))
}

/// `at 12.3 s for 1.02 s`.
pub fn spelled(pause: &Pause) -> String {
    let p99 = match pause.p99 {
        Some(p99) => format!(" (p99 {})", time(p99 as f64)),
        None => String::new(),
    };
    format!("at {:.1} s for {}{p99}", pause.at, length(pause.seconds))
}

/// Seconds to the hundredth.
pub fn length(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

fn drifts(trials: &[&Attempt], of: Drifting) -> Option<String> {
    let looked = trials.iter().flat_map(|it| &it.course.drifts);
    let looked: Vec<&Drift> = looked.filter(|it| it.of == of).collect();
    let called: Vec<&&Drift> = looked.iter().filter(|it| it.called).collect();
    let rising = called.iter().filter(|it| it.per_hour > 0.0).count();
    // Of several trials, those that go the other way contradict them.
    let rises = 2 * rising >= called.len();
    let alike: Vec<&Drift> = called
        .iter()
        .filter(|it| (it.per_hour > 0.0) == rises)
        .map(|it| **it)
        .collect();
    let middle = median(alike.iter().map(|it| it.per_hour))?;
    let nearest = |a: &&&Drift, b: &&&Drift| {
        let off = |it: &Drift| (it.per_hour - middle).abs();
        off(a).total_cmp(&off(b))
    };
    let drift = alike.iter().min_by(nearest)?;
    let trials = match (looked.len(), alike.len()) {
        (1, _) => String::new(),
        (all, some) => format!(" in {some} of {all} trials"),
    };
    Some(format!("{}{trials}", changes(drift)))
}

/// `memory of the broker grows by 12 MiB an hour (10 to 14)`.
pub fn changes(drift: &Drift) -> String {
    let verb = match (drift.of, drift.per_hour > 0.0) {
        (Drifting::Latency | Drifting::Throughput, true) => "rises",
        (_, true) => "grows",
        (Drifting::BrokerMemory | Drifting::Backlog, false) => "shrinks",
        (_, false) => "falls",
    };
    let mut ends = [drift.low.abs(), drift.high.abs()];
    ends.sort_by(f64::total_cmp);
    let [low, high] = ends.map(|it| valued(drift.of, it));
    format!(
        "{} {verb} by {} an hour ({low} to {high}), {} of its usual value over the trial",
        drift.of.name(),
        valued(drift.of, drift.per_hour.abs()),
        numbers::percent(drift.share.abs())
    )
}

fn valued(of: Drifting, value: f64) -> String {
    match of {
        Drifting::Latency => time(value),
        Drifting::Throughput => format!("{}/s", numbers::rate(value)),
        Drifting::BrokerMemory => bytes(value),
        Drifting::Backlog => counted(value.round() as u64, "message"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    fn pause(at: f64, seconds: f64) -> Pause {
        Pause {
            at,
            seconds,
            kind: PauseKind::Silent,
            p99: None,
        }
    }

    fn leak(per_hour: f64) -> Drift {
        Drift {
            of: Drifting::BrokerMemory,
            per_hour,
            low: per_hour * 0.8,
            high: per_hour * 1.2,
            share: 0.25,
            called: true,
        }
    }

    fn said(
        trials: u32,
        change: impl Fn(u32, &mut crate::results::course::Course),
    ) -> Option<String> {
        let mut results = sample::run(sample::plan(&["nats"], trials), &[1e5], |_, _, _| {});
        for attempt in &mut results.attempts {
            change(attempt.repetition, &mut attempt.course);
            attempt.course.pauses_in_all = attempt.course.pauses.len() as u64;
        }
        Course::of(&results, 0, "nats").map(|it| it.say().0)
    }

    #[test]
    fn nothing_is_said_where_nothing_happened() {
        assert_eq!(said(1, |_, _| {}), None);
        let looked = said(1, |_, course| {
            course.drifts.push(Drift {
                called: false,
                ..leak(1e6)
            });
        });
        assert_eq!(looked, None);
    }

    #[test]
    fn pauses_are_listed_with_their_time_and_length() {
        let two = said(1, |_, course| {
            course.pauses = vec![pause(12.34, 1.02), pause(15.0, 0.3)];
        });
        assert_eq!(
            two.unwrap(),
            "nats: 2 pauses in which nothing was received: at 12.3 s for 1.02 s and at 15.0 s for 0.30 s"
        );
        let several = said(2, |trial, course| {
            course.pauses = vec![pause(f64::from(trial), 0.5)];
        });
        assert!(
            several
                .unwrap()
                .ends_with("in trial 1 at 1.0 s for 0.50 s and in trial 2 at 2.0 s for 0.50 s")
        );
    }

    #[test]
    fn of_many_pauses_the_longest_are_named() {
        let many = said(1, |_, course| {
            course.pauses = (0..9).map(|i| pause(f64::from(i), f64::from(i))).collect();
            course.pauses.push(Pause {
                kind: PauseKind::Slow,
                p99: Some(50_000_000),
                ..pause(30.0, 2.0)
            });
        });
        let many = many.unwrap();
        assert!(
            many.contains("9 pauses in which nothing was received, the longest: at 4.0 s"),
            "{many}"
        );
        assert!(
            many.ends_with("1 slow spell: at 30.0 s for 2.00 s (p99 50 ms)"),
            "{many}"
        );
    }

    #[test]
    fn a_drift_has_its_rate_and_its_interval() {
        let one = said(1, |_, course| course.drifts.push(leak(12_582_912.0)));
        assert_eq!(
            one.unwrap(),
            "nats: memory of the broker grows by 12 MiB an hour (9.6 MiB to 14 MiB), 25 % of its usual value over \
             the trial"
        );
        let of_three = said(3, |trial, course| {
            course.drifts.push(match trial {
                3 => Drift {
                    called: false,
                    ..leak(1.0)
                },
                _ => leak(-12_582_912.0),
            });
        });
        let of_three = of_three.unwrap();
        assert!(
            of_three.contains("shrinks by 12 MiB an hour (9.6 MiB to 14 MiB)"),
            "{of_three}"
        );
        assert!(of_three.ends_with("in 2 of 3 trials"), "{of_three}");
    }
}
