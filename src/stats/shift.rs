//! By how much one set of trials lies above another, and how sure that is, from ranks alone.
//!
//! Two exact tests are one here. Each compares every suitable pair: two independent sets by the
//! differences of all pairs of one with the other (Mann and Whitney), paired blocks by the means of all
//! pairs of their differences (Walsh averages; Wilcoxon's signed ranks). The median of those is the
//! estimate (Hodges and Lehmann, 1963); how many of them lie below a bound has a known distribution where
//! the bound is the truth, so a bound is refuted where the count is rarer than the confidence leaves
//! room for, and the interval is what is not refuted. Neither assumes a shape of the noise, and one
//! wild trial moves neither by much. Pairs that lie on a bound count against whoever wants to refute it, so
//! that with ties a test errs on the safe side.

use super::median::median;
use super::normal;

/// With more pairs than this the distribution of their count is as good as normal, and the exact one
/// takes long: of 100 trials on each side, of 140 blocks.
const EXACT: usize = 10_000;

/// All pairs' differences or means, sorted, and how their count below a bound is distributed.
#[derive(Clone, Debug)]
pub struct Shift {
    sorted: Vec<f64>,
    null: Null,
}

/// How many pairs lie below the truth, by chance.
#[derive(Clone, Debug)]
enum Null {
    /// The probability of at most so many.
    Exact(Vec<f64>),
    /// Mean and standard deviation.
    Normal(f64, f64),
}

impl Null {
    fn exact(counts: &[f64]) -> Null {
        let all: f64 = counts.iter().sum();
        let mut below = 0.0;
        let cumulated = counts.iter().map(|count| {
            below += count;
            below / all
        });
        Null::Exact(cumulated.collect())
    }

    fn of_independent(m: usize, n: usize) -> Null {
        if m * n <= EXACT {
            return Null::exact(&rank_sums(m, n));
        }
        let (m, n) = (m as f64, n as f64);
        Null::Normal(m * n / 2.0, (m * n * (m + n + 1.0) / 12.0).sqrt())
    }

    fn of_paired(n: usize) -> Null {
        if n * (n + 1) / 2 <= EXACT {
            return Null::exact(&signed_ranks(n));
        }
        let n = n as f64;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0;
        Null::Normal(n * (n + 1.0) / 4.0, variance.sqrt())
    }

    /// The probability that at most `count` pairs lie below the truth.
    fn at_most(&self, count: usize) -> f64 {
        match self {
            Null::Exact(cumulated) => cumulated[count],
            Null::Normal(mean, deviation) => normal::below((count as f64 + 0.5 - mean) / deviation),
        }
    }
}

impl Shift {
    /// By how much `other` lies above `one`, from independent trials; `None` where a set is empty.
    ///
    /// Values may be infinite (a percentile that is lost), and two such are equal.
    pub fn independent(one: &[f64], other: &[f64]) -> Option<Shift> {
        let pairs = one
            .iter()
            .flat_map(|a| other.iter().map(|b| difference(*a, *b)));
        Shift::of(pairs.collect(), || {
            Null::of_independent(one.len(), other.len())
        })
    }

    /// By how much `other` lies above `one`, block by block; `None` where there is no block.
    pub fn paired(blocks: &[(f64, f64)]) -> Option<Shift> {
        let differences: Vec<f64> = blocks.iter().map(|(a, b)| difference(*a, *b)).collect();
        let mut averages = Vec::with_capacity(blocks.len() * (blocks.len() + 1) / 2);
        for (i, a) in differences.iter().enumerate() {
            for b in &differences[i..] {
                averages.push(mean(*a, *b));
            }
        }
        Shift::of(averages, || Null::of_paired(blocks.len()))
    }

    fn of(mut sorted: Vec<f64>, null: impl FnOnce() -> Null) -> Option<Shift> {
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let null = null();
        Some(Shift { sorted, null })
    }

    /// The median of all pairs.
    pub fn estimate(&self) -> f64 {
        match self.sorted.len() / 2 {
            // The mean of both infinities is neither.
            middle if self.sorted[middle].is_infinite() => self.sorted[middle],
            _ => median(self.sorted.iter().copied()).unwrap_or(f64::NAN),
        }
    }

    /// Lower and upper end at a confidence (0.95); `None` where there are too few trials for one.
    pub fn interval(&self, confidence: f64) -> Option<(f64, f64)> {
        let tail = (1.0 - confidence) / 2.0;
        let mut counts = 0..=self.sorted.len();
        let rare = counts.position(|count| self.null.at_most(count) > tail)?;
        let ends = || (self.sorted[rare - 1], self.sorted[self.sorted.len() - rare]);
        (rare > 0).then(ends)
    }

    /// How probable so much evidence for more than `bound` is, if the truth is that or less: one-sided.
    pub fn above(&self, bound: f64) -> f64 {
        let below = self.sorted.partition_point(|pair| *pair <= bound);
        self.null.at_most(below)
    }

    /// How probable so much evidence for less than `bound` is, if the truth is that or more: one-sided.
    pub fn below(&self, bound: f64) -> f64 {
        let below = self.sorted.partition_point(|pair| *pair < bound);
        self.null.at_most(self.sorted.len() - below)
    }
}

fn difference(a: f64, b: f64) -> f64 {
    if a == b { 0.0 } else { b - a }
}

fn mean(a: f64, b: f64) -> f64 {
    match (a + b) / 2.0 {
        // Lost here and there: neither way.
        undecided if undecided.is_nan() => 0.0,
        mean => mean,
    }
}

/// The smallest number of trials on each side, or of blocks, with which an interval at this confidence
/// exists at all.
pub fn least(paired: bool, confidence: f64) -> usize {
    let rarest = |n: &usize| match paired {
        true => 0.5_f64.powi(*n as i32),
        false => 1.0 / rank_sums(*n, *n).iter().sum::<f64>(),
    };
    let enough = |n: &usize| rarest(n) <= (1.0 - confidence) / 2.0;
    (1..=MOST).find(enough).unwrap_or(MOST)
}

/// No confidence that anybody asks for needs more.
const MOST: usize = 64;

/// In how many orders of `m` and `n` values exactly `u` pairs stand the wrong way round, for each `u`
/// (Mann and Whitney, 1947). Only sums of what is not negative, so that large numbers stay precise.
fn rank_sums(m: usize, n: usize) -> Vec<f64> {
    // For the numbers so far of the one, by those of the other: the largest value is one of these, above
    // all of those, or the other way round.
    let mut rows = vec![vec![1.0]; n + 1];
    for i in 1..=m {
        rows[0] = vec![1.0];
        for j in 1..=n {
            let mut counts = vec![0.0; i * j + 1];
            for (u, count) in rows[j].iter().enumerate() {
                counts[u + j] += count;
            }
            for (u, count) in rows[j - 1].iter().enumerate() {
                counts[u] += count;
            }
            rows[j] = counts;
        }
    }
    rows.swap_remove(n)
}

/// Of how many sets of signs the ranks of the positive ones have the sum `w`, for each `w`: the
/// coefficients of (1 + q)(1 + q²)…(1 + qⁿ).
fn signed_ranks(n: usize) -> Vec<f64> {
    let top = n * (n + 1) / 2;
    let mut counts = vec![0.0; top + 1];
    counts[0] = 1.0;
    for rank in 1..=n {
        for w in (rank..=top).rev() {
            counts[w] += counts[w - rank];
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_null_distributions_are_the_tabled_ones() {
        assert_eq!(rank_sums(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        assert_eq!(rank_sums(5, 5).iter().sum::<f64>(), 252.0);
        assert_eq!(signed_ranks(3), [1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0]);
        assert_eq!(signed_ranks(10).iter().sum::<f64>(), 1024.0);
        // Tabled critical values of both two-sided tests at 5 %.
        let critical = |counts: &[f64]| {
            let null = Null::exact(counts);
            let mut each = 0..counts.len();
            each.position(|count| null.at_most(count) > 0.025).unwrap()
        };
        let sums = [(3, 0), (4, 1), (5, 3), (10, 24), (20, 128)];
        for (n, expected) in sums {
            assert_eq!(critical(&rank_sums(n, n)), expected, "{n} and {n}");
        }
        let ranks = [(5, 0), (6, 1), (8, 4), (10, 9), (20, 53)];
        for (n, expected) in ranks {
            assert_eq!(critical(&signed_ranks(n)), expected, "{n} blocks");
        }
    }

    /// What scipy says of random trials: `ranks.py`.
    #[test]
    fn the_tests_are_those_of_scipy() {
        let numbers = |text: &str| -> Vec<f64> {
            text.split_whitespace()
                .map(|number| number.parse().unwrap())
                .collect()
        };
        let lines: Vec<&str> = include_str!("ranks.txt").lines().collect();
        assert_eq!(lines.len(), 80);
        for line in lines {
            let parts: Vec<&str> = line.split(';').collect();
            let (one, other) = (numbers(parts[1]), numbers(parts[2]));
            let shift = match parts[0] {
                "independent" => Shift::independent(&one, &other),
                _ => Shift::paired(&one.iter().map(|d| (0.0, *d)).collect::<Vec<_>>()),
            };
            let (shift, expected) = (shift.unwrap(), numbers(&parts[3..].join(" ")));
            let found = [
                shift.above(expected[0]),
                shift.below(expected[0]),
                shift.estimate(),
            ];
            for (found, expected) in found.into_iter().zip(&expected[1..]) {
                assert!((found - expected).abs() < 1e-12, "{line}: {found}");
            }
        }
    }

    #[test]
    fn the_least_numbers_of_trials_are_those_of_the_rarest_order() {
        assert_eq!((least(false, 0.95), least(true, 0.95)), (4, 6));
        // Of four metrics the first must be four times as sure.
        assert_eq!((least(false, 0.9875), least(true, 0.9875)), (5, 8));
    }

    #[test]
    fn where_the_exact_distribution_ends_the_normal_one_is_the_same() {
        let far = |null: &Null, exact: &Null, pairs: usize| {
            let counts = 0..=pairs;
            let difference = counts.map(|c| (null.at_most(c) - exact.at_most(c)).abs());
            difference.fold(0.0, f64::max)
        };
        let (sums, ranks) = (Null::of_independent(101, 100), Null::of_paired(141));
        assert!(matches!(
            (&sums, &ranks),
            (Null::Normal(..), Null::Normal(..))
        ));
        assert!(far(&sums, &Null::exact(&rank_sums(101, 100)), 10_100) < 1e-3);
        assert!(far(&ranks, &Null::exact(&signed_ranks(141)), 141 * 71) < 1e-3);
    }

    #[test]
    fn a_bound_is_refuted_just_where_the_interval_ends() {
        let one = [1.0, 2.5, 3.5, 4.75, 6.0];
        let other = [2.25, 4.0, 5.5, 7.0, 8.125];
        let blocks: Vec<(f64, f64)> = (0..8).map(|i| (0.0, f64::from(i * i) - 3.0)).collect();
        let shifts = [
            Shift::independent(&one, &other).unwrap(),
            Shift::paired(&blocks).unwrap(),
        ];
        for shift in shifts {
            let (low, high) = shift.interval(0.95).unwrap();
            assert!(low < shift.estimate() && shift.estimate() < high);
            let (refuted, not) = (0.025, 0.025);
            assert!(shift.above(low - 1e-9) <= refuted && shift.above(low) > not);
            assert!(shift.below(high + 1e-9) <= refuted && shift.below(high) > not);
        }
    }

    #[test]
    fn what_is_lost_is_above_all() {
        let lost = f64::INFINITY;
        let all = Shift::independent(&[1.0; 4], &[lost; 4]).unwrap();
        assert_eq!(all.estimate(), lost);
        assert_eq!(all.interval(0.95), Some((lost, lost)));
        let both = Shift::independent(&[lost; 4], &[lost; 4]).unwrap();
        assert_eq!(both.interval(0.95), Some((0.0, 0.0)));
        let once = Shift::independent(&[1.0, 1.1, 0.9, 1.0, 1.2], &[1.0, 1.1, lost, 1.0, 1.2]);
        let once = once.unwrap();
        assert!(once.estimate().is_finite());
        assert!(once.above(0.2) > 0.025, "one of five is no proof");
        let blocks = [(1.0, lost), (lost, 1.0), (1.0, 1.0), (lost, lost)];
        assert_eq!(Shift::paired(&blocks).unwrap().estimate(), 0.0);
    }

    #[test]
    fn of_nothing_there_is_no_shift_and_of_one_no_interval() {
        assert!(Shift::independent(&[], &[1.0]).is_none() && Shift::paired(&[]).is_none());
        let one = Shift::independent(&[1.0], &[3.0]).unwrap();
        assert_eq!((one.estimate(), one.interval(0.95)), (2.0, None));
        assert!(one.above(0.0) >= 0.5);
    }
}
