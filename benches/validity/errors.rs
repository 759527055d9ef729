//! How often a comparison errs, by experiments with noise whose truth is known.

use std::thread;

use mqbench::stats::change::{Metric, Trials, decide, recommended};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use crate::Experiment;
use crate::lab::Lab;
use crate::page::Finding;

const EXPERIMENTS: u32 = 2_000;
const NOISES: [f64; 4] = [0.02, 0.05, 0.10, 0.20];
/// That of a high percentile, and metrics that are judged together.
const MARGIN: f64 = 0.10;
const METRICS: usize = 4;

pub static ERRORS: Experiment = Experiment {
    name: "errors",
    title: "A comparison errs as rarely as it says",
    claim: "With the recommended number of trials, equal sides are called *regressed* in at most 1 % and *unchanged* in at least \
        80 % of comparisons, and a change of twice the margin is found in at least 90 %.",
    method: "No server: trials are drawn from a log-normal distribution whose noise (standard deviation of the logarithm) is \
        known, 2,000 comparisons for each line, seeded. Each judges four metrics together against a margin of 10 %, as a run of mqbench \
        does; three are equal, and of the fourth the word counts. *n* is what mqbench recommends for this noise.",
    run,
};

/// Normal noise from uniform numbers (Box and Muller).
struct Noise(Xoshiro256PlusPlus);

impl Noise {
    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn trials(&mut self, n: usize, ratio: f64, deviation: f64) -> Vec<f64> {
        let mut draw = || {
            let radius = (-2.0 * self.uniform().ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos() * deviation
        };
        (0..n).map(|_| ratio * draw().exp()).collect()
    }
}

/// One line of the table: shares of comparisons, from 0 to 1.
struct Line {
    noise: f64,
    paired: bool,
    n: usize,
    regressed: f64,
    improved: f64,
    unchanged: f64,
    found: f64,
}

/// How often each word is said: regressed, improved, unchanged, inconclusive.
fn words(noise: f64, paired: bool, n: usize, ratio: f64) -> [f64; 4] {
    let mut random = Noise(Xoshiro256PlusPlus::seed_from_u64(1));
    let mut said = [0_u32; 4];
    for _ in 0..EXPERIMENTS {
        let metrics: Vec<Metric> = (0..METRICS)
            .map(|number| {
                let ratio = if number == 0 { ratio } else { 1.0 };
                let (one, other) = (random.trials(n, 1.0, noise), random.trials(n, ratio, noise));
                Metric {
                    trials: match paired {
                        true => Trials::Paired(one.into_iter().zip(other).collect()),
                        false => Trials::Independent(one, other),
                    },
                    margin: MARGIN,
                    lower_is_better: true,
                    usual_noise: None,
                    drift: 0.0,
                }
            })
            .collect();
        said[decide(&metrics)[0].change as usize] += 1;
    }
    said.map(|count| f64::from(count) / f64::from(EXPERIMENTS))
}

fn line(noise: f64, paired: bool) -> Line {
    // What is seen of paired trials are differences of two.
    let seen = if paired { noise * 2_f64.sqrt() } else { noise };
    let n = recommended(seen, MARGIN, METRICS, paired).expect("a number that would do");
    let [regressed, improved, unchanged, _] = words(noise, paired, n, 1.0);
    let [found, ..] = words(noise, paired, n, (1.0 + MARGIN).powi(2));
    Line {
        noise,
        paired,
        n,
        regressed,
        improved,
        unchanged,
        found,
    }
}

fn run(_: &Lab) -> Finding {
    let mut finding = Finding::new(&[
        "noise",
        "trials",
        "n",
        "equal: regressed",
        "improved",
        "unchanged",
        "twice the margin: regressed",
    ]);
    let all: Vec<(f64, bool)> = NOISES
        .into_iter()
        .flat_map(|noise| [(noise, false), (noise, true)])
        .collect();
    let lines: Vec<Line> = thread::scope(|scope| {
        let works: Vec<_> = all
            .iter()
            .map(|(noise, paired)| scope.spawn(|| line(*noise, *paired)))
            .collect();
        let done = works.into_iter().map(|it| it.join().expect("it ends"));
        done.collect()
    });
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    for it in lines {
        let kind = if it.paired { "paired" } else { "independent" };
        finding.row([
            format!("{:.0} %", it.noise * 100.0),
            kind.to_owned(),
            it.n.to_string(),
            percent(it.regressed),
            percent(it.improved),
            percent(it.unchanged),
            percent(it.found),
        ]);
        let holds = it.regressed <= 0.01 && it.unchanged >= 0.80 && it.found >= 0.90;
        finding.check(holds, || format!("noise {:.0} %, {kind}", it.noise * 100.0));
    }
    finding
}
