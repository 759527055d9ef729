//! What a search for the capacity looks for, and how long its trials are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::judgeable::SAMPLES_BEYOND;
use super::threshold::{Comparison, Latency, Metric, Statistic, Threshold};
use super::units::Rate;
use super::workload::{Measure, Phases};

/// Trials that only look, the closed loop at the beginning included.
pub const MOST_PROBES: u32 = 12;
/// All trials of one broker: besides, one at full length at each end. One that is made again counts as a probe.
pub const MOST_TRIALS: u32 = MOST_PROBES + 2;

/// A probe is as short as the objective allows, and not shorter than this part of a trial of full length: what builds
/// up slowly needs time to show.
const SHORTEST_PART: u32 = 4;
/// Where messages are so few that the objective needs longer than this, no lower rate is tried; a trial of full length
/// may be longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Messages for a mean or a maximum, of which no number is too small by itself.
const FOR_A_MEAN: f64 = 1_000.0;
/// More messages than just enough: a schedule ends between two of them.
const SPARE: f64 = 1.05;

/// What is looked for: the highest rate at which this holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// A latency below a bound.
    pub condition: Threshold,
    /// No lower rate is tried.
    pub lowest: Rate,
}

impl Objective {
    /// Of trials that are as long as these.
    pub fn new(condition: Threshold, phases: &Phases) -> Objective {
        let longest = match phases.measure {
            Measure::Time(time) => time.max(LONGEST),
            Measure::Count(_) => LONGEST,
        };
        let lowest = samples(&condition) / longest.as_secs_f64();
        Objective {
            condition,
            // In whole messages a second, where that is no great difference.
            lowest: Rate(if lowest > 10.0 { lowest.ceil() } else { lowest }),
        }
    }

    /// A closed loop that tells where to begin, of trials that are as long as these.
    pub fn closed(&self, phases: &Phases) -> Phases {
        let measure = match phases.measure {
            Measure::Time(time) => Measure::Time(time / SHORTEST_PART),
            Measure::Count(count) => Measure::Count(part(count)),
        };
        Phases { measure, ..*phases }
    }

    /// A probe at a rate, messages per second: long enough to judge the objective.
    pub fn probe(&self, phases: &Phases, rate: f64) -> Phases {
        self.at_least(&self.closed(phases), rate)
    }

    /// A trial at a rate as long as these; longer only where the objective needs it.
    pub fn full(&self, phases: &Phases, rate: f64) -> Phases {
        self.at_least(phases, rate)
    }

    fn at_least(&self, phases: &Phases, rate: f64) -> Phases {
        let samples = samples(&self.condition);
        let measure = match phases.measure {
            Measure::Time(time) => {
                let needed = Duration::try_from_secs_f64(samples / rate);
                Measure::Time(time.max(needed.unwrap_or(LONGEST)))
            }
            Measure::Count(count) => Measure::Count(count.max(samples.ceil() as u64)),
        };
        Phases { measure, ..*phases }
    }

    /// The longest that a trial at the lowest rate measures.
    pub fn longest(&self, phases: &Phases) -> Duration {
        match self.full(phases, self.lowest.0).measure {
            Measure::Time(time) => time,
            Measure::Count(count) => {
                Duration::try_from_secs_f64(count as f64 / self.lowest.0).unwrap_or(Duration::MAX)
            }
        }
    }
}

fn part(count: u64) -> u64 {
    (count / u64::from(SHORTEST_PART)).max(1)
}

/// Messages that a trial needs so that the objective can be judged, with some to spare.
fn samples(condition: &Threshold) -> f64 {
    SPARE
        * match condition.metric {
            Metric::Latency(Statistic::Percentile(percent), _) => {
                SAMPLES_BEYOND / (1.0 - percent / 100.0)
            }
            _ => FOR_A_MEAN,
        }
}

/// Why this is no objective, and what would be one; `None` where it is.
pub(super) fn unfit(condition: &Threshold) -> Option<(String, &'static str)> {
    const EXAMPLE: &str =
        "an objective is a latency below a bound: `search: \"p99(end_to_end) < 10ms\"`";
    let about = |reason: &str| Some((format!("`{condition}` {reason}"), EXAMPLE));
    if condition.broker.is_some() {
        return about("is about one broker, and a search is about all");
    }
    match condition.metric {
        Metric::Latency(_, Latency::Lateness) => {
            return about("is about the generator, not about a broker");
        }
        Metric::Latency(..) => {}
        Metric::Count(_) => {
            return about(
                "is a count, of which no rate is the limit; it can be a threshold beside the search",
            );
        }
        Metric::Throughput(_) => {
            return about("is a throughput, which is what is searched for");
        }
    }
    match condition.comparison {
        Comparison::Less | Comparison::AtMost => None,
        _ => about("does not get harder to meet as the rate grows"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(measure: Measure) -> Phases {
        Phases {
            warmup: Duration::from_secs(1),
            measure,
            drain: Duration::from_secs(5),
        }
    }

    fn objective(text: &str, phases: &Phases) -> Objective {
        Objective::new(text.parse().unwrap(), phases)
    }

    #[test]
    fn a_probe_lasts_until_the_percentile_is_known() {
        let twenty = phases(Measure::Time(Duration::from_secs(20)));
        let p99 = objective("p99(end_to_end) < 10ms", &twenty);
        let seconds = |phases: Phases| match phases.measure {
            Measure::Time(time) => time.as_secs_f64(),
            Measure::Count(_) => panic!("a time"),
        };
        assert_eq!(seconds(p99.probe(&twenty, 50_000.0)), 5.0);
        assert!((seconds(p99.probe(&twenty, 100.0)) - 52.5).abs() < 1e-6);
        assert_eq!(seconds(p99.full(&twenty, 50_000.0)), 20.0);
        assert_eq!(p99.lowest, Rate(88.0));
        assert!(seconds(p99.probe(&twenty, p99.lowest.0)) <= 60.0);
        let p50 = objective("p50(end_to_end) <= 10ms", &twenty);
        assert!(p50.lowest < p99.lowest);
    }

    #[test]
    fn trials_may_end_by_count() {
        let counted = phases(Measure::Count(40_000));
        let p99 = objective("p99(end_to_end) < 10ms", &counted);
        let p999 = objective("p99.9(end_to_end) < 10ms", &counted);
        let count = |phases: Phases| match phases.measure {
            Measure::Count(count) => count,
            Measure::Time(_) => panic!("a count"),
        };
        assert_eq!(count(p99.probe(&counted, 5_000.0)), 10_000);
        assert_eq!(count(p99.full(&counted, 5_000.0)), 40_000);
        assert!((52_500..52_600).contains(&count(p999.probe(&counted, 5_000.0))));
    }

    #[test]
    fn an_objective_is_a_latency_below_a_bound() {
        let unfit = |text: &str| unfit(&text.parse().unwrap());
        assert_eq!(unfit("p99(end_to_end) < 10ms"), None);
        assert_eq!(unfit("mean(publish) <= 1ms"), None);
        for (text, part) in [
            ("lost == 0", "is a count"),
            ("received_per_s > 5k/s", "is a throughput"),
            ("p99(end_to_end) > 10ms", "does not get harder"),
            ("p99(lateness) < 10ms", "about the generator"),
            ("kafka: p99(end_to_end) < 10ms", "about one broker"),
        ] {
            assert!(unfit(text).unwrap().0.contains(part), "{text}");
        }
    }
}
