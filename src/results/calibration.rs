//! What `mqbench calibrate` found about a machine: kept per machine among the user's files, and within the
//! results of every run that was made there, so that a report elsewhere goes by the machine of the run.

use serde::{Deserialize, Serialize};

use crate::measure::frequency::Frequency;
use crate::measure::host::Host;
use crate::measure::instrument::{ClockCost, SleepLateness};
use crate::plan::Plan;
use crate::scenario::workload::Workload;

/// The version of what is stored. It grows when a reader of the version before would misread.
pub const SCHEMA_VERSION: u32 = 1;
/// Whether this program was built to be fast.
pub const OPTIMISED: bool = !cfg!(debug_assertions);
/// Latencies closer than this are not told apart where nothing was found about the machine: nanoseconds.
const UNKNOWN_NS: f64 = 20_000.0;
/// Fewer runs that are alike may be so by chance.
const ENOUGH_RUNS: usize = 3;
/// No machine tells less than this apart: nanoseconds.
const LEAST_NS: f64 = 1_000.0;

/// A machine as an instrument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// When it was made: RFC 3339 with the offset of the place.
    pub made: String,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Version of mqbench.
    pub tool_version: String,
    /// Whether mqbench was built to be fast; one that was not is no measure for one that was.
    pub optimised: bool,
    /// The machine when it began.
    pub host: Host,
    /// What the clock costs and tells apart.
    pub clock: ClockCost,
    /// How late the system ends a sleep.
    pub sleep: SleepLateness,
    /// The slowest that cores were seen to be under load, where that is told.
    pub frequency: Option<Frequency>,
    /// How often cores were slowed down for heat meanwhile, where that is told.
    pub throttled: Option<u64>,
    /// The harness without a broker, in an open loop: one for each rate, the lowest first.
    pub paced: Vec<Paced>,
    /// The harness without a broker, as fast as it goes.
    pub capacity: Capacity,
    /// What the harness itself adds to latencies.
    pub resolution: Resolution,
    /// What others took of the CPU meanwhile.
    pub taken: Taken,
    /// How much equal trials of brokers differ, as far as that was asked.
    pub noise: Vec<Noise>,
}

/// The harness at one rate. Medians over the trials, nanoseconds; `None` where too few samples say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paced {
    /// Messages per second that were due.
    pub per_second: f64,
    /// Trials that count.
    pub trials: usize,
    /// Between the instant a message was due and that at which it was taken up.
    pub lateness_p50_ns: Option<f64>,
    /// Of one in a hundred.
    pub lateness_p99_ns: Option<f64>,
    /// From due to received, through memory alone.
    pub end_to_end_p50_ns: Option<f64>,
    /// Of one in a hundred.
    pub end_to_end_p99_ns: Option<f64>,
    /// CPU time for each message, nanoseconds.
    pub cpu_ns: Option<f64>,
}

/// The harness as fast as it goes; no broker can be measured to be faster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Messages received per second: median over the trials; `None` where nothing could be measured.
    pub per_second: Option<f64>,
    /// CPU time for each message, nanoseconds.
    pub cpu_ns: Option<f64>,
}

/// From where on latencies are told apart, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// Of medians.
    pub p50_ns: f64,
    /// Of percentiles up to the 95th.
    pub p95_ns: f64,
    /// Of those above.
    pub p99_ns: f64,
}

impl Default for Resolution {
    /// Where nothing was found about the machine.
    fn default() -> Resolution {
        Resolution::found([None; 3])
    }
}

impl Resolution {
    /// Of what the harness itself adds at p50, p95 and p99 (nanoseconds); `None` where that is not known.
    pub fn found(adds: [Option<f64>; 3]) -> Resolution {
        let floor = |adds: Option<f64>| {
            let known = adds.filter(|it| it.is_finite());
            known.map_or(UNKNOWN_NS, |it| it.max(LEAST_NS))
        };
        let [p50_ns, p95_ns, p99_ns] = adds.map(floor);
        // What is added to more messages is added to fewer.
        let p95_ns = p95_ns.max(p50_ns);
        Resolution {
            p50_ns,
            p95_ns,
            p99_ns: p99_ns.max(p95_ns),
        }
    }

    /// Whether anything was found: no machine adds precisely what stands for one that is not known.
    pub fn is_known(&self) -> bool {
        *self != Resolution::default()
    }

    /// At a percentile, above 0 and below 100.
    pub fn at(&self, percent: f64) -> f64 {
        match percent {
            ..=50.0 => self.p50_ns,
            ..=95.0 => self.p95_ns,
            _ => self.p99_ns,
        }
    }

    /// Of two machines together.
    pub fn coarser(self, other: Resolution) -> Resolution {
        Resolution {
            p50_ns: self.p50_ns.max(other.p50_ns),
            p95_ns: self.p95_ns.max(other.p95_ns),
            p99_ns: self.p99_ns.max(other.p99_ns),
        }
    }
}

/// Shares of all CPU time that others took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// By the hypervisor.
    pub steal: f64,
    /// By other programs.
    pub others: f64,
}

/// How much equal trials of a broker differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// The broker, as the scenario names it.
    pub broker: String,
    /// Its driver.
    pub driver: String,
    /// Its server's version, where it has one.
    pub server_version: Option<String>,
    /// The scenario.
    pub scenario: String,
    /// What it asked for, as it was changed.
    pub workload: Workload,
    /// When it was measured.
    pub made: String,
    /// Equal runs, each with a server of its own.
    pub runs: usize,
    /// Trials of each.
    pub trials: usize,
    /// Length of a trial's measured part, seconds.
    pub seconds: f64,
    /// Trials of a usual run of the scenario: those that [`FigureNoise::smallest_effect`] is about.
    pub usual_trials: usize,
    /// One for each figure by which brokers are compared; a figure that was not measured is left out.
    pub figures: Vec<FigureNoise>,
    /// Why figures do not count, if they do not.
    pub invalid: Option<String>,
}

impl Noise {
    /// That of a figure, by its name.
    pub fn figure(&self, name: &str) -> Option<&FigureNoise> {
        let is_valid = self.invalid.is_none();
        let mut figures = self.figures.iter().filter(|_| is_valid);
        figures.find(|it| it.figure == name)
    }
}

/// How much one figure differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FigureNoise {
    /// Its name: `p99(end_to_end)`.
    pub figure: String,
    /// Of a latency which percentile.
    pub percent: Option<f64>,
    /// Median of all trials: per second, nanoseconds or microseconds, as the figure has it.
    pub median: f64,
    /// Standard deviation of the logarithms within a run; 0.05 for trials that differ by about 5 %.
    pub noise: f64,
    /// The ratio of the largest to the smallest median of the runs.
    pub runs_ratio: f64,
    /// The relative difference that is called a change.
    pub margin: f64,
    /// From which relative difference on a change is called by the usual number of trials, nine times out of
    /// ten; `None` where so few tell nothing.
    pub smallest_effect: Option<f64>,
    /// Trials of each side that call equal runs unchanged, and runs that differ by twice the margin changed,
    /// nine times out of ten; `None` where no number would do.
    pub trials_needed: Option<usize>,
    /// What a gate says of the runs, each beside the one before.
    pub said: Said,
}

/// How often each word was said of equal runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// As it should be.
    pub unchanged: usize,
    /// The trials were too few to tell.
    pub inconclusive: usize,
    /// Wrongly.
    pub changed: usize,
}

impl Calibration {
    /// Takes over what an earlier one knows of other brokers and scenarios.
    pub fn inherit(&mut self, earlier: Calibration) {
        let is_known = |noise: &Noise, all: &[Noise]| {
            let same = |it: &Noise| (&it.broker, &it.scenario) == (&noise.broker, &noise.scenario);
            all.iter().any(same)
        };
        for noise in earlier.noise {
            if !is_known(&noise, &self.noise) {
                self.noise.push(noise);
            }
        }
    }

    /// From where on latencies of a broker of this plan are told apart. The harness is one thing, and another is
    /// what changes from one start of a server to the next, which no number of trials shows: where equal runs of
    /// such a broker have shown it, twice that counts, and else what counts for a machine that is not known.
    pub fn resolution_of(&self, driver: &str, plan: &Plan) -> Resolution {
        let asks_it = |noise: &&Noise| {
            let is_valid =
                noise.invalid.is_none() && noise.runs >= ENOUGH_RUNS && noise.driver == driver;
            is_valid && plan.sweep.is_empty() && noise.workload == plan.workload
        };
        let known = self.noise.iter().find(asks_it);
        let runs = |percent: f64| {
            let mut figures = known.into_iter().flat_map(|noise| &noise.figures);
            let figure = figures.find(|it| it.percent == Some(percent));
            let differ = figure.map(|it| 2.0 * (it.runs_ratio - 1.0) * it.median);
            differ.unwrap_or(UNKNOWN_NS).min(UNKNOWN_NS)
        };
        self.resolution.coarser(Resolution {
            p50_ns: runs(50.0),
            p95_ns: runs(95.0),
            p99_ns: runs(99.0),
        })
    }

    /// How much equal trials of a broker with this driver differ, in this scenario or else in any.
    pub fn noise_of(&self, driver: &str, scenario: &str) -> Option<&Noise> {
        let of_driver = || self.noise.iter().filter(|it| it.driver == driver);
        let same = of_driver().find(|it| it.scenario == scenario);
        same.or_else(|| of_driver().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;

    #[test]
    fn resolutions_are_found_or_twenty_microseconds_and_never_below_one() {
        let unknown = Resolution::default();
        assert_eq!([50.0, 95.0, 99.9].map(|it| unknown.at(it)), [20e3; 3]);
        let found = Resolution::found([Some(300.0), Some(5e3), Some(3e3)]);
        assert_eq!(
            [10.0, 50.0, 90.0, 95.0, 99.0].map(|it| found.at(it)),
            [1e3, 1e3, 5e3, 5e3, 5e3],
            "a high percentile is no finer than a low one"
        );
        assert!(found.is_known() && !unknown.is_known());
        let partly = Resolution::found([Some(2e3), Some(f64::INFINITY), None]);
        assert_eq!((partly.p50_ns, partly.p99_ns), (2e3, 20e3));
        assert_eq!(found.coarser(unknown), unknown);
    }

    #[test]
    fn a_broker_is_told_apart_as_finely_as_its_equal_runs_were_alike() {
        let mut found = sample::calibration();
        let mut plan = sample::plan(&["nats"], 5);
        // 2 % of 130 µs and of 400 µs, twice; of p95 nothing is known.
        let of = |found: &Calibration, plan: &Plan, percent: f64| {
            found.resolution_of("nats", plan).at(percent).round()
        };
        assert_eq!(
            [50.0, 95.0, 99.0].map(|it| of(&found, &plan, it)),
            [5_200.0, 20e3, 36e3],
            "p99 is that of the harness"
        );
        found.noise[0].figures[1].runs_ratio = 1.5;
        assert_eq!(of(&found, &plan, 50.0), 20e3, "no more than of any machine");
        found.noise[0].figures[1].runs_ratio = 1.0;
        assert_eq!(of(&found, &plan, 50.0), 2_400.0, "no less than the harness");
        assert_eq!(found.resolution_of("kafka", &plan).p50_ns, 20e3);
        plan.workload.in_flight += 1;
        assert_eq!(of(&found, &plan, 50.0), 20e3, "another question");
        plan.workload.in_flight -= 1;
        found.noise[0].runs = 2;
        assert_eq!(of(&found, &plan, 50.0), 20e3, "two may be alike by chance");
        found.noise[0].runs = 3;
        found.noise[0].invalid = Some("saturated".to_owned());
        assert_eq!(of(&found, &plan, 50.0), 20e3);
    }

    #[test]
    fn what_is_known_of_other_brokers_is_taken_over() {
        let (mut new, mut old) = (sample::calibration(), sample::calibration());
        old.noise[0].runs = 99;
        let mut kafka = old.noise[0].clone();
        kafka.broker = "kafka".to_owned();
        kafka.driver = "kafka".to_owned();
        old.noise.push(kafka);
        new.inherit(old);
        let known: Vec<(&str, usize)> = new
            .noise
            .iter()
            .map(|it| (&it.broker[..], it.runs))
            .collect();
        assert_eq!(known, [("nats", 3), ("kafka", 99)]);
        assert!(new.noise_of("kafka", "elsewhere").is_some());
        assert!(new.noise_of("redis", "latency").is_none());
    }
}
