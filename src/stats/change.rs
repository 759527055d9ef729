//! Whether two sides differ, in one word for each metric: the decisions of a gate.
//!
//! The effect is a ratio, and its logarithm is tested against a margin ([`Shift`]). Where several metrics
//! are judged at once, Holm's step-down procedure (1979) keeps the probability of any wrong word below
//! what the confidence leaves. That nothing was found is not the same as nothing being there: a change is
//! called absent only where the whole interval lies within the margin.

use super::normal;
use super::shift::{Shift, least};

/// The confidence of intervals and decisions.
pub const CONFIDENCE: f64 = 0.95;
/// With which probability a recommended number of trials settles the matter.
const POWER: f64 = 0.9;
/// A logarithm so near to a bound stands on it, and counts against whoever wants to refute it.
const TIE: f64 = 1e-9;
/// More trials than this are not recommended to anybody.
const MOST: usize = 1_000;
/// By how much more trials the tests of ranks need than that of the means where the noise is normal: π/3.
const RANKS: f64 = std::f64::consts::PI / 3.0;

/// What became of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Worse, by more than the margin.
    Regressed,
    /// Better, by more than the margin.
    Improved,
    /// The same, up to the margin.
    Unchanged,
    /// The trials do not tell.
    Inconclusive,
}

/// The trials of a metric on both sides, the second being judged.
#[derive(Clone, Debug)]
pub enum Trials {
    /// Of two runs, or of two brokers that are not paired.
    Independent(Vec<f64>, Vec<f64>),
    /// Of the blocks of one run.
    Paired(Vec<(f64, f64)>),
}

impl Trials {
    /// How many there are, on the side that has fewer.
    pub fn count(&self) -> usize {
        match self {
            Trials::Independent(one, other) => one.len().min(other.len()),
            Trials::Paired(blocks) => blocks.len(),
        }
    }

    /// Of ratios; `None` where there are no trials, or some have values that have no ratio.
    pub(super) fn shift(&self) -> Option<Shift> {
        let log = |value: &f64| (*value > 0.0).then(|| value.ln());
        match self {
            Trials::Independent(one, other) => {
                let logs = |side: &[f64]| side.iter().map(log).collect::<Option<Vec<f64>>>();
                Shift::independent(&logs(one)?, &logs(other)?)
            }
            Trials::Paired(blocks) => {
                let logs = blocks.iter().map(|(a, b)| Some((log(a)?, log(b)?)));
                Shift::paired(&logs.collect::<Option<Vec<_>>>()?)
            }
        }
    }

    /// Standard deviation of the logarithms within a side, or of the differences within blocks; `None`
    /// where it is not known.
    pub fn noise(&self) -> Option<f64> {
        let squares = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
        };
        let logs = |side: &[f64]| side.iter().map(|v| v.ln()).collect::<Vec<f64>>();
        let (sum, free) = match self {
            Trials::Independent(one, other) => (
                squares(&logs(one)) + squares(&logs(other)),
                (one.len() + other.len()).checked_sub(2)?,
            ),
            Trials::Paired(blocks) => {
                let differences: Vec<f64> = blocks.iter().map(|(a, b)| (b / a).ln()).collect();
                (squares(&differences), blocks.len().checked_sub(1)?)
            }
        };
        let noise = (sum / free as f64).sqrt();
        (free > 0 && noise.is_finite()).then_some(noise)
    }
}

/// A metric to be judged.
#[derive(Clone, Debug)]
pub struct Metric {
    /// What was measured.
    pub trials: Trials,
    /// What is called a change: 0.05 for 5 % more, or the same factor less.
    pub margin: f64,
    /// A latency; otherwise a throughput.
    pub lower_is_better: bool,
    /// The noise of equal trials on this machine, as [`Trials::noise`] of a side has it, where it is known:
    /// for where the trials are too few to show any.
    pub usual_noise: Option<f64>,
    /// The logarithm of the ratio that equal sides would have if nothing but the machine's speed decided, which was not the
    /// same for both; 0 where they were measured side by side.
    pub drift: f64,
}

/// How a metric was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// In a word.
    pub change: Change,
    /// How many times the second side is the first; `None` where there is no ratio.
    pub ratio: Option<f64>,
    /// Its lower and upper end at [`CONFIDENCE`], for this metric alone; `None` below the least number of
    /// trials.
    pub interval: Option<(f64, f64)>,
    /// How many trials of each side would probably settle what is inconclusive; `None` where nothing is
    /// to be settled, or no number that anybody would wait for would.
    pub trials_needed: Option<usize>,
}

/// Judges metrics that belong together.
pub fn decide(metrics: &[Metric]) -> Vec<Decision> {
    let evidence: Vec<Option<Evidence>> = metrics.iter().map(Evidence::of).collect();
    let mut order: Vec<usize> = (0..metrics.len()).collect();
    let p = |i: usize| evidence[i].as_ref().map_or(1.0, |it| it.p);
    order.sort_by(|a, b| p(*a).total_cmp(&p(*b)));
    let mut settled = vec![false; metrics.len()];
    for (rank, i) in order.iter().enumerate() {
        // The first that is not sure enough ends it: those after it are not, either.
        if p(*i) > (1.0 - CONFIDENCE) / (metrics.len() - rank) as f64 {
            break;
        }
        settled[*i] = true;
    }
    let each = metrics.iter().zip(&evidence).zip(settled);
    each.map(|((metric, evidence), settled)| {
        let Some(evidence) = evidence else {
            return Decision {
                change: Change::Inconclusive,
                ratio: None,
                interval: None,
                trials_needed: None,
            };
        };
        let change = if settled {
            evidence.change
        } else {
            Change::Inconclusive
        };
        let interval = evidence.shift.interval(CONFIDENCE);
        Decision {
            change,
            ratio: Some(evidence.shift.estimate().exp()),
            interval: interval.map(|(low, high)| (low.exp(), high.exp())),
            trials_needed: match settled {
                true => None,
                false => needed(metric, evidence.shift.estimate(), metrics.len()),
            },
        }
    })
    .collect()
}

/// The word that a metric comes nearest to, and how improbable it is that this is wrong.
struct Evidence {
    shift: Shift,
    change: Change,
    /// Two-sided.
    p: f64,
}

impl Evidence {
    fn of(metric: &Metric) -> Option<Evidence> {
        let shift = metric.trials.shift()?;
        let margin = metric.margin.ln_1p();
        let (outer, inner) = (margin + TIE, margin - TIE);
        // How far the machine's speed decided is not known: what is said must hold if it did not at all, and if it did
        // alone.
        let both =
            |probability: &dyn Fn(f64) -> f64| probability(0.0).max(probability(metric.drift));
        let more = both(&|drift| shift.above(outer + drift));
        let less = both(&|drift| shift.below(-outer + drift));
        // Both bounds must be refuted.
        let same = both(&|drift| shift.above(-inner + drift).max(shift.below(inner + drift)));
        let (worse, better) = match metric.lower_is_better {
            true => (more, less),
            false => (less, more),
        };
        let (p, change) = [
            (worse, Change::Regressed),
            (better, Change::Improved),
            (same, Change::Unchanged),
        ]
        .into_iter()
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
        let p = (2.0 * p).min(1.0);
        Some(Evidence { shift, change, p })
    }
}

/// Trials that would probably settle a metric, if the truth is where the estimate is.
fn needed(metric: &Metric, estimate: f64, metrics: usize) -> Option<usize> {
    let margin = metric.margin.ln_1p();
    let distance = nearest(estimate, margin, metric.drift)?;
    let paired = matches!(metric.trials, Trials::Paired(_));
    let least = least(paired, 1.0 - (1.0 - CONFIDENCE) / metrics as f64);
    let count = metric.trials.count();
    // A difference of two has the noise of both.
    let usual = metric.usual_noise.map(|noise| match paired {
        true => noise * std::f64::consts::SQRT_2,
        false => noise,
    });
    let Some(noise) = metric.trials.noise().or(usual) else {
        // One trial shows no noise: the least number will.
        return Some(least.max(count + 1));
    };
    let trials = sufficient(noise, distance, metrics, paired)?;
    (trials <= MOST).then_some(trials.max(count + 1))
}

/// How far the nearest bound is from the estimate, with and without what the machine's speed may have done; `None` where a
/// bound lies between both, so that no number of trials tells.
fn nearest(estimate: f64, margin: f64, drift: f64) -> Option<f64> {
    let ends = [estimate, estimate - drift];
    let side = |end: f64| (end > margin, end < -margin);
    let distance = |end: f64| (end.abs() - margin).abs();
    let nearest = distance(ends[0]).min(distance(ends[1]));
    (side(ends[0]) == side(ends[1])).then_some(nearest)
}

/// How many trials of each side, or blocks, tell two equal sides to be *unchanged* and two that differ by
/// twice the margin to be so, nine times out of ten, where `metrics` are judged together. The noise is the
/// standard deviation of the logarithms, for blocks that of their differences. `None` where no number
/// would do.
pub fn recommended(noise: f64, margin: f64, metrics: usize, paired: bool) -> Option<usize> {
    sufficient(noise, margin.ln_1p(), metrics, paired)
}

/// From which relative difference on so many trials of each side call a change, nine times out of ten, where
/// `metrics` are judged together and the two are not paired; `None` where so few tell nothing. The noise is as
/// in [`recommended`].
pub fn smallest_effect(noise: f64, margin: f64, metrics: usize, trials: usize) -> Option<f64> {
    let alpha = (1.0 - CONFIDENCE) / metrics as f64;
    // The inverse of what `sufficient` says; the trial that it adds for few levels is taken off.
    let counted = trials.checked_sub(1).filter(|it| *it > 0)?;
    let distance = strictness(alpha) * noise * (2.0 * RANKS / counted as f64).sqrt();
    let effect = (margin.ln_1p() + distance).exp_m1();
    (trials >= least(false, 1.0 - alpha) && effect.is_finite()).then_some(effect)
}

/// So many that a bound at this distance from the truth is refuted with the probability [`POWER`]: the
/// formula for means (two samples, or one of differences), and what ranks need more.
fn sufficient(noise: f64, distance: f64, metrics: usize, paired: bool) -> Option<usize> {
    let alpha = (1.0 - CONFIDENCE) / metrics as f64;
    let least = least(paired, 1.0 - alpha);
    let z = strictness(alpha);
    let sides = if paired { 1.0 } else { 2.0 };
    let trials = sides * RANKS * (z * noise / distance).powi(2);
    // Small sets have few levels of significance, and the next one may be far.
    let trials = trials.ceil() + 1.0;
    (distance > TIE && trials.is_finite()).then(|| least.max(trials as usize))
}

/// How many standard errors a bound must be away, so that it is refuted at `alpha` with the probability
/// [`POWER`]. Both bounds of a margin must be refuted at once, so each may fail half as often.
fn strictness(alpha: f64) -> f64 {
    normal::beyond(alpha / 2.0) + normal::beyond((1.0 - POWER) / 2.0)
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    use super::*;

    /// Normal noise of the logarithms, from uniform numbers (Box and Muller).
    struct Noise(Xoshiro256PlusPlus);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            ((self.0.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }

        fn draw(&mut self, deviation: f64) -> f64 {
            let radius = (-2.0 * self.uniform().ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos() * deviation
        }

        fn side(&mut self, n: usize, ratio: f64, deviation: f64) -> Vec<f64> {
            (0..n).map(|_| ratio * self.draw(deviation).exp()).collect()
        }
    }

    /// How often each word is said of one of four metrics whose true ratio is `ratio`, the others being
    /// equal, in so many experiments.
    fn words(experiments: u32, n: usize, noise: f64, ratio: f64, paired: bool) -> [u32; 4] {
        let mut random = Noise(Xoshiro256PlusPlus::seed_from_u64(1));
        let mut said = [0; 4];
        for _ in 0..experiments {
            let metrics: Vec<Metric> = (0..4)
                .map(|i| {
                    let ratio = if i == 0 { ratio } else { 1.0 };
                    let one = random.side(n, 1.0, noise);
                    let other = random.side(n, ratio, noise);
                    Metric {
                        trials: match paired {
                            true => Trials::Paired(one.into_iter().zip(other).collect()),
                            false => Trials::Independent(one, other),
                        },
                        margin: 0.1,
                        lower_is_better: true,
                        usual_noise: None,
                        drift: 0.0,
                    }
                })
                .collect();
            said[decide(&metrics)[0].change as usize] += 1;
        }
        said
    }

    #[test]
    fn at_the_recommended_number_equal_sides_are_unchanged_and_twice_the_margin_is_found() {
        for (noise, experiments) in [(0.02, 400), (0.05, 400), (0.1, 100)] {
            for paired in [false, true] {
                let seen = if paired { noise * 2_f64.sqrt() } else { noise };
                let n = recommended(seen, 0.1, 4, paired).unwrap();
                let [regressed, improved, unchanged, _] = words(experiments, n, noise, 1.0, paired);
                let said = format!("noise {noise}, paired {paired}, {n} trials");
                assert!(
                    regressed + improved <= experiments / 100,
                    "{said}: {regressed}"
                );
                assert!(unchanged >= experiments / 5 * 4, "{said}: {unchanged}");
                let [regressed, ..] = words(experiments, n, noise, 1.21, paired);
                assert!(regressed >= experiments / 10 * 9, "{said}: {regressed}");
            }
        }
    }

    #[test]
    fn the_smallest_effect_of_a_number_of_trials_is_what_that_number_finds() {
        // At the number that finds twice the margin, twice the margin is found: nearly, as trials are whole.
        for noise in [0.05, 0.1, 0.2] {
            let n = recommended(noise, 0.1, 4, false).unwrap();
            let effect = smallest_effect(noise, 0.1, 4, n).unwrap();
            assert!((0.17..0.2101).contains(&effect), "{noise}: {n}, {effect}");
            let [regressed, ..] = words(100, n, noise, 1.0 + effect, false);
            assert!(regressed >= 85, "{noise}: {regressed}");
        }
        let less = smallest_effect(0.1, 0.1, 4, 40).unwrap();
        assert!(less < smallest_effect(0.1, 0.1, 4, 10).unwrap());
        for trials in [0, 1, 4] {
            assert_eq!(smallest_effect(0.1, 0.1, 4, trials), None, "{trials}");
        }
        assert_eq!(
            smallest_effect(0.0, 0.1, 1, 4).map(|it| it < 0.1001),
            Some(true)
        );
    }

    #[test]
    fn where_trials_show_no_noise_that_of_the_machine_says_how_many() {
        let metric = |usual_noise| Metric {
            trials: Trials::Independent(vec![100.0], vec![101.0]),
            margin: 0.05,
            lower_is_better: true,
            usual_noise,
            drift: 0.0,
        };
        let needed = |usual| decide(&[metric(usual)])[0].trials_needed;
        assert_eq!(needed(None), Some(4), "the least number");
        assert!(needed(Some(0.1)) > Some(20), "{:?}", needed(Some(0.1)));
    }

    #[test]
    fn what_the_machines_own_speed_may_have_done_is_not_called() {
        let said = |ratio: f64, drift: f64| {
            let one: Vec<f64> = (0..10).map(|i| 1.0 + 0.001 * f64::from(i)).collect();
            let other = one.iter().map(|it| it * ratio).collect();
            let metric = Metric {
                trials: Trials::Independent(one, other),
                margin: 0.05,
                lower_is_better: false,
                usual_noise: None,
                drift: f64::ln(drift),
            };
            let found = decide(&[metric]).remove(0);
            (found.change, found.trials_needed.is_some())
        };
        assert_eq!(said(0.89, 1.0), (Change::Regressed, false));
        // As much slower as the machine was: no number of trials tells.
        assert_eq!(said(0.89, 0.89), (Change::Inconclusive, false));
        // What the machine hides may be a regression, too.
        assert_eq!(said(1.0, 1.1), (Change::Inconclusive, false));
        // By far more than the machine: as it is with and without it.
        assert_eq!(said(0.7, 0.89), (Change::Regressed, false));
        assert_eq!(said(0.7, 1.1), (Change::Regressed, false));
        assert_eq!(said(1.3, 1.1), (Change::Improved, false));
        assert_eq!(said(1.0, 1.03), (Change::Unchanged, false));
    }

    #[test]
    fn with_few_trials_nothing_wrong_is_said_either() {
        for n in 1..=8 {
            for paired in [false, true] {
                let [regressed, improved, ..] = words(300, n, 0.2, 1.0, paired);
                assert!(
                    regressed + improved <= 3,
                    "{n} trials: {regressed} {improved}"
                );
                // At the very margin either word is wrong.
                let [regressed, improved, unchanged, _] = words(300, n, 0.2, 1.1, paired);
                assert!(regressed + improved + unchanged <= 15, "{n} trials");
            }
        }
    }

    #[test]
    fn an_interval_covers_the_truth_as_often_as_it_says() {
        let mut random = Noise(Xoshiro256PlusPlus::seed_from_u64(7));
        let mut covered = [0; 2];
        for _ in 0..2_000 {
            let (one, other) = (random.side(6, 1.0, 0.3), random.side(6, 3.0, 0.3));
            let blocks = one.iter().copied().zip(other.iter().copied()).collect();
            let kinds = [Trials::Independent(one, other), Trials::Paired(blocks)];
            for (covered, trials) in covered.iter_mut().zip(kinds) {
                let interval = trials.shift().unwrap().interval(CONFIDENCE).unwrap();
                let (low, high) = (interval.0.exp(), interval.1.exp());
                *covered += u32::from(low <= 3.0 && 3.0 <= high);
            }
        }
        // 95 % or more, as levels are few, and what 2,000 experiments blur.
        assert!(
            covered.iter().all(|it| (1_880..1_990).contains(it)),
            "{covered:?}"
        );
    }

    fn judge(one: &[f64], other: &[f64], lower_is_better: bool) -> Decision {
        let metric = Metric {
            trials: Trials::Independent(one.to_vec(), other.to_vec()),
            margin: 0.05,
            lower_is_better,
            usual_noise: None,
            drift: 0.0,
        };
        decide(&[metric]).remove(0)
    }

    #[test]
    fn which_way_is_worse_is_a_matter_of_the_metric() {
        let (one, other) = ([100.0, 101.0, 99.0, 102.0], [120.0, 118.0, 121.0, 119.0]);
        let up = judge(&one, &other, true);
        assert_eq!((up.change, up.trials_needed), (Change::Regressed, None));
        assert_eq!(judge(&one, &other, false).change, Change::Improved);
        assert_eq!(judge(&other, &one, true).change, Change::Improved);
        assert!((up.ratio.unwrap() - 1.19).abs() < 0.01, "{up:?}");
    }

    #[test]
    fn constant_samples_are_unchanged_from_four_on() {
        let four = judge(&[5_000.0; 4], &[5_000.0; 4], false);
        assert_eq!(
            (four.change, four.interval),
            (Change::Unchanged, Some((1.0, 1.0)))
        );
        let three = judge(&[5_000.0; 3], &[5_000.0; 3], false);
        assert_eq!((three.change, three.interval), (Change::Inconclusive, None));
        assert_eq!((three.ratio, three.trials_needed), (Some(1.0), Some(4)));
        let one = judge(&[5_000.0], &[5_000.0], false);
        assert_eq!(
            (one.change, one.trials_needed),
            (Change::Inconclusive, Some(4))
        );
    }

    #[test]
    fn a_bound_that_values_stand_on_is_not_refuted() {
        // All pairs are 5 % apart: neither within the margin nor beyond it.
        let on = judge(&[1.0; 6], &[1.05; 6], true);
        assert_eq!((on.change, on.trials_needed), (Change::Inconclusive, None));
    }

    #[test]
    fn what_has_no_ratio_is_inconclusive() {
        for (one, other) in [
            (vec![0.0; 5], vec![1.0; 5]),
            (vec![], vec![1.0]),
            (vec![-1.0], vec![1.0]),
        ] {
            let found = judge(&one, &other, true);
            assert_eq!((found.change, found.ratio), (Change::Inconclusive, None));
        }
    }

    #[test]
    fn a_percentile_that_is_lost_in_all_trials_has_regressed() {
        let lost = judge(&[1.0, 1.1, 1.2, 0.9], &[f64::INFINITY; 4], true);
        assert_eq!(
            (lost.change, lost.ratio),
            (Change::Regressed, Some(f64::INFINITY))
        );
        let once = [1.0, f64::INFINITY, 1.1, 1.2, 0.9];
        let once = judge(&[1.0, 1.1, 1.2, 0.9, 1.0], &once, true);
        assert_eq!(once.change, Change::Inconclusive);
    }

    #[test]
    fn of_several_metrics_each_must_be_surer() {
        let metric = |other: [f64; 4]| Metric {
            trials: Trials::Independent(vec![100.0, 101.0, 99.0, 102.0], other.to_vec()),
            margin: 0.05,
            lower_is_better: true,
            usual_noise: None,
            drift: 0.0,
        };
        let worse = metric([120.0, 118.0, 121.0, 119.0]);
        // The rarest order of four and four has p = 2/70: enough for one, for none of two.
        let words = |metrics: &[Metric]| -> Vec<Change> {
            decide(metrics)
                .iter()
                .map(|decision| decision.change)
                .collect()
        };
        assert_eq!(words(std::slice::from_ref(&worse)), [Change::Regressed]);
        assert_eq!(
            words(&[worse.clone(), worse.clone()]),
            [Change::Inconclusive; 2]
        );
        assert_eq!(decide(&[worse.clone(), worse])[0].trials_needed, Some(5));
    }
}
