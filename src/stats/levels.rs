//! Where the level of a series of runs shifted, and stayed there for a while.
//!
//! The unit is the run, not the trial. Trials of one run share a morning, a layout of memory and a
//! neighbour, so they lie closer together than trials of different runs do; tests over trials would call
//! that a change. What is asked is whether the runs could as well have come in any other order, and that is
//! answered by shuffling them: a permutation test needs no shape of the noise, and errs as often as it
//! says, however few runs there are.
//!
//! Two patterns are looked for, each with half of the error that is allowed: a *step* (Sen and Srivastava,
//! 1975: the largest standardised difference of the means of what is before and after any place), and an
//! *excursion* that comes back (Levin and Kline, 1985, and Olshen and others, 2004: the same of a stretch
//! and what is around it), because a step test alone does not see what was repaired. What is found parts the
//! series, and the parts are searched in turn, the error shared out among them (binary segmentation), until
//! nothing more is found. Beforehand wild values are drawn in towards the middle, so that one failed
//! morning does not hide all else.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::median::median;

/// How often a part is shuffled at most: p values are known to 1 in 2,000.
const SHUFFLES: usize = 1_999;
/// A level has at least so many runs: one alone may just be a bad one.
const SHORTEST: usize = 2;
/// Values further from the middle than so many standard deviations are drawn in.
const WILD: f64 = 5.0;
/// Of normal noise, the standard deviation by the median distance from the median.
const DEVIATION: f64 = 1.4826;
/// Statistics that are nearer to each other are equal, and count against a change.
const TIE: f64 = 1e-9;
/// The same series gives the same answer.
const SEED: u64 = 0x6d71_6265_6e63_6801;

/// Where new levels begin: the places of their first values, in order. In a series without a change any
/// is found with a probability of at most `error`. Values may be infinite, and are then above all others.
pub fn shifts(values: &[f64], error: f64) -> Vec<usize> {
    let mut borders = vec![0, values.len()];
    let mut open = vec![(0, values.len())];
    while let Some((from, to)) = open.pop() {
        let parts = (borders.len() - 1) as f64;
        let part = Part::of(&values[from..to]);
        let Some((first, last)) = part.change(error / parts) else {
            continue;
        };
        let mut ends = vec![from, from + first];
        // A step lasts to the end of the part.
        ends.extend((last < to - from).then_some(from + last));
        ends.push(to);
        borders.extend(&ends[1..ends.len() - 1]);
        open.extend(ends.windows(2).map(|two| (two[0], two[1])));
    }
    borders.sort_unstable();
    borders.retain(|border| *border > 0 && *border < values.len());
    borders
}

/// The smallest number of runs in which a shift can be found at all: a clean step in their middle is.
pub fn least_runs(error: f64) -> usize {
    let found = |runs: &usize| {
        let step: Vec<f64> = (0..*runs).map(|i| f64::from(i >= runs / 2)).collect();
        !shifts(&step, error).is_empty()
    };
    (2 * SHORTEST..MOST_RUNS).find(found).unwrap_or(MOST_RUNS)
}

/// No error that anybody allows needs more.
const MOST_RUNS: usize = 40;

/// A part of a series in which a change is looked for.
struct Part {
    /// Deviations from their mean, wild ones drawn in.
    scores: Vec<f64>,
    /// By the length of a stretch: what its sum is multiplied with to have a standard deviation that does
    /// not depend on the length.
    weights: Vec<f64>,
}

impl Part {
    fn of(values: &[f64]) -> Part {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let middle = median(finite()).unwrap_or(0.0);
        let far = || finite().map(|value| (value - middle).abs());
        let typical = median(far()).unwrap_or(0.0) * DEVIATION;
        let mean = far().sum::<f64>() / finite().count().max(1) as f64;
        // Where most are the same, by those that are not.
        let spread = [typical, mean, 1.0].into_iter().find(|it| *it > 0.0);
        let bound = WILD * spread.unwrap_or(1.0);
        let drawn_in = values.iter().map(|v| (v - middle).clamp(-bound, bound));
        let mut scores: Vec<f64> = drawn_in.collect();
        let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        for score in &mut scores {
            *score -= mean;
        }
        let n = values.len() as f64;
        let weights = (0..values.len()).map(|length| {
            let length = length as f64;
            (n / (length * (n - length)).max(1.0)).sqrt()
        });
        Part {
            weights: weights.collect(),
            scores,
        }
    }

    /// The stretch that differs from what is around it; a step is one that lasts to the end.
    fn change(&self, error: f64) -> Option<(usize, usize)> {
        if self.scores.len() < 2 * SHORTEST {
            return None;
        }
        let each = error / 2.0;
        // A step first: it says more with one border than an excursion with two.
        self.test(each, &|sums| self.step(sums))
            .or_else(|| self.test(each, &|sums| self.excursion(sums)))
    }

    /// The best stretch by `search`, if shuffled runs seldom enough have one as good.
    fn test(&self, error: f64, search: &dyn Fn(&[f64]) -> Found) -> Option<(usize, usize)> {
        let mut scores = self.scores.clone();
        let mut sums = Vec::with_capacity(scores.len() + 1);
        cumulate(&scores, &mut sums);
        let observed = search(&sums);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
        // The order that was seen is one of those that could have been.
        let mut as_good = 1;
        for _ in 0..SHUFFLES {
            shuffle(&mut scores, &mut random);
            cumulate(&scores, &mut sums);
            as_good += u32::from(search(&sums).statistic >= observed.statistic - TIE);
            if f64::from(as_good) > error * (SHUFFLES + 1) as f64 {
                // However the rest would come out.
                return None;
            }
        }
        Some(observed.stretch)
    }

    /// `sums` are those of the first so many values; all sum up to nothing.
    fn step(&self, sums: &[f64]) -> Found {
        let n = self.scores.len();
        let mut best = Found::default();
        let places = sums.iter().enumerate().take(n - SHORTEST + 1);
        for (first, sum) in places.skip(SHORTEST) {
            let statistic = sum.abs() * self.weights[first];
            if statistic > best.statistic {
                best = Found {
                    statistic,
                    stretch: (first, n),
                };
            }
        }
        best
    }

    fn excursion(&self, sums: &[f64]) -> Found {
        let inner = SHORTEST..=self.scores.len() - SHORTEST;
        let mut best = Found::default();
        for first in inner.clone() {
            for last in first + SHORTEST..=*inner.end() {
                let statistic = (sums[last] - sums[first]).abs() * self.weights[last - first];
                if statistic > best.statistic {
                    best = Found {
                        statistic,
                        stretch: (first, last),
                    };
                }
            }
        }
        best
    }
}

/// The best stretch of all that were looked at: its first place, and that after its last.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    statistic: f64,
    stretch: (usize, usize),
}

/// The sums of the first none, one, two, … values.
fn cumulate(scores: &[f64], sums: &mut Vec<f64>) {
    sums.clear();
    sums.push(0.0);
    let mut sum = 0.0;
    for score in scores {
        sum += score;
        sums.push(sum);
    }
}

/// Every order is as likely (Fisher and Yates); the remainder of 64 bits favours none that a series is long
/// enough to show.
fn shuffle(values: &mut [f64], random: &mut Xoshiro256PlusPlus) {
    for i in (1..values.len()).rev() {
        let j = (random.next_u64() % (i as u64 + 1)) as usize;
        values.swap(i, j);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal noise, from uniform numbers (Box and Muller).
    struct Noise(Xoshiro256PlusPlus);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            ((self.0.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }

        fn draw(&mut self, deviation: f64) -> f64 {
            let radius = (-2.0 * self.uniform().ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos() * deviation
        }

        /// The logarithms of the medians of 20 runs of five trials; each run has noise of its own besides
        /// that of its trials. `level` gets the number of the run.
        fn runs(&mut self, of_run: f64, of_trial: f64, level: impl Fn(usize) -> f64) -> Vec<f64> {
            let run = |i: usize| {
                let middle = level(i) + self.draw(of_run);
                median((0..5).map(|_| middle + self.draw(of_trial))).unwrap()
            };
            (0..20).map(run).collect()
        }
    }

    const FEW: usize = 100;
    const NONE: [usize; 0] = [];

    /// In how many of so many series something is found where nothing is, one in twenty being allowed.
    fn false_alarms(count: usize, mut series: impl FnMut(&mut Noise) -> Vec<f64>) -> usize {
        let mut random = Noise(Xoshiro256PlusPlus::seed_from_u64(11));
        let alarms = (0..count).filter(|_| !shifts(&series(&mut random), 0.05).is_empty());
        alarms.count()
    }

    #[test]
    fn equal_runs_seldom_show_a_change() {
        // Whether runs have noise of their own or only their trials have.
        for of_run in [0.0, 0.1] {
            let alarms = false_alarms(1_000, |random| random.runs(of_run, 0.05, |_| 0.0));
            assert!((10..=50).contains(&alarms), "{of_run}: {alarms} of 1,000");
        }
    }

    #[test]
    fn whatever_the_shape_of_the_noise() {
        // With a tail so long that it has no mean.
        let alarms = false_alarms(300, |random| {
            let wild = |_| random.draw(1.0) / random.draw(1.0);
            (0..20).map(wild).collect()
        });
        assert!(alarms <= 15, "{alarms} of 300");
        // Few values that are often the same.
        let alarms = false_alarms(300, |random| {
            (0..20).map(|_| random.draw(1.0).round()).collect()
        });
        assert!(alarms <= 15, "{alarms} of 300");
    }

    /// In how many of 100 series the borders are found, each within a run of its place, and no other.
    fn power(borders: &[usize], of_run: f64, level: impl Fn(usize) -> f64) -> usize {
        let mut random = Noise(Xoshiro256PlusPlus::seed_from_u64(12));
        let mut hits = 0;
        for _ in 0..FEW {
            let found = shifts(&random.runs(of_run, 0.05, &level), 0.05 / 3.0);
            let near = found.iter().zip(borders).all(|(a, b)| a.abs_diff(*b) <= 1);
            hits += usize::from(near && found.len() == borders.len());
        }
        hits
    }

    #[test]
    fn a_lasting_change_is_found_where_it_was() {
        // 15 % more, where trials scatter by 5 % and runs by 2 %.
        let step = |at: usize| move |i: usize| f64::from(i >= at) * 1.15_f64.ln();
        for at in [5, 10, 15] {
            let hits = power(&[at], 0.02, step(at));
            assert!(hits >= FEW * 9 / 10, "from {at} on: {hits}");
        }
    }

    #[test]
    fn what_came_and_went_is_found_too() {
        let hits = power(&[8, 14], 0.02, |i| {
            f64::from((8..14).contains(&i)) * 1.2_f64.ln()
        });
        assert!(hits >= FEW * 9 / 10, "{hits}");
        let hits = power(&[6, 13], 0.02, |i| match i {
            0..6 => 0.0,
            6..13 => 0.25,
            _ => 0.6,
        });
        assert!(hits >= FEW * 8 / 10, "two steps: {hits}");
    }

    #[test]
    fn one_bad_run_is_no_change_and_hides_none() {
        let mut values = vec![0.0, 0.01, -0.01, 0.02, 0.0, -0.02, 0.01, 0.0, -0.01, 0.01];
        values.extend(values.clone().iter().map(|v| v + 0.0003));
        for at in [0, 3, 19] {
            let mut one = values.clone();
            one[at] = 3.0;
            assert_eq!(shifts(&one, 0.05), NONE, "at {at}");
        }
        let mut step = values;
        for value in &mut step[12..] {
            *value += 0.2;
        }
        assert_eq!(shifts(&step, 0.0167), [12]);
        step[5] = f64::INFINITY;
        assert_eq!(shifts(&step, 0.0167), [12]);
    }

    #[test]
    fn what_is_lost_lies_above_all() {
        let mut values = vec![1.0; 8];
        values.extend([f64::INFINITY; 8]);
        assert_eq!(shifts(&values, 0.0167), [8]);
        assert_eq!(shifts(&[f64::INFINITY; 12], 0.05), NONE);
    }

    #[test]
    fn few_runs_and_equal_ones_show_nothing() {
        for n in 0..4 {
            assert_eq!(shifts(&vec![1.0; n], 0.05), NONE);
        }
        assert_eq!(shifts(&[5.0; 30], 0.05), NONE);
        assert_eq!((least_runs(0.05), least_runs(0.05 / 3.0)), (9, 11));
        assert_eq!(
            shifts(&[0.0, 0.0, 0.0, 0.0, 9.0, 9.0, 9.0, 9.0], 0.05),
            NONE
        );
    }
}
