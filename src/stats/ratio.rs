//! How many times one set of trials is the other, and how sure that is.
//!
//! The estimate is Hodges and Lehmann's: the median of the logarithms of all pairs' ratios. The
//! interval is what an exact Mann–Whitney test does not reject. Neither assumes a distribution, and
//! one wild trial moves neither by much.

/// The confidence of an interval.
pub const CONFIDENCE: f64 = 0.95;

/// A ratio of two sets of trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The estimate.
    pub estimate: f64,
    /// Lower and upper end at [`CONFIDENCE`]; `None` where there are too few trials for one.
    pub interval: Option<(f64, f64)>,
}

/// How many times `other` is `one`. `None` where a value is not above zero, or a set is empty.
pub fn ratio(one: &[f64], other: &[f64]) -> Option<Ratio> {
    let good =
        |values: &[f64]| !values.is_empty() && values.iter().all(|v| v.is_finite() && *v > 0.0);
    if !good(one) || !good(other) {
        return None;
    }
    let mut logs: Vec<f64> = one
        .iter()
        .flat_map(|a| other.iter().map(move |b| (b / a).ln()))
        .collect();
    logs.sort_by(f64::total_cmp);
    let estimate = super::median::median(logs.iter().copied())?;
    let interval = critical(one.len(), other.len()).map(|k| {
        let (low, high) = (logs[k - 1], logs[logs.len() - k]);
        (low.exp(), high.exp())
    });
    Some(Ratio {
        estimate: estimate.exp(),
        interval,
    })
}

/// The smallest number of trials on each side that gives an interval at all.
pub fn least_trials() -> usize {
    let enough = |n: &usize| critical(*n, *n).is_some();
    (1..).find(enough).unwrap_or(usize::MAX)
}

/// Which of the sorted pairs ends the interval, counted from 1: the largest `k` for which fewer than
/// `k` pairs the wrong way round are rarer than half of what the confidence leaves. `None` where even
/// no pair at all is not rare enough.
fn critical(m: usize, n: usize) -> Option<usize> {
    let counts = arrangements(m, n);
    let all: f64 = counts.iter().sum();
    let mut below = 0.0;
    let rare = counts.iter().take_while(|count| {
        below += **count;
        below / all <= (1.0 - CONFIDENCE) / 2.0
    });
    match rare.count() {
        0 => None,
        k => Some(k),
    }
}

/// In how many orders of `m` and `n` values exactly `u` pairs stand the wrong way round, for each `u`.
fn arrangements(m: usize, n: usize) -> Vec<f64> {
    // The coefficients of Gauss's binomial: times (1 − q^(n+i)), by (1 − q^i), for i = 1…m.
    let top = m * n;
    let mut counts = vec![0.0; top + 1];
    counts[0] = 1.0;
    for i in 1..=m {
        for u in (n + i..=top).rev() {
            counts[u] -= counts[u - n - i];
        }
        for u in i..=top {
            counts[u] += counts[u - i];
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_null_distribution_is_the_tabled_one() {
        assert_eq!(arrangements(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        let total: f64 = arrangements(5, 5).iter().sum();
        assert_eq!(total, 252.0);
        // Critical values of the two-sided test at 5 %, one more than the tables' U.
        assert_eq!(critical(3, 3), None);
        assert_eq!(critical(4, 4), Some(1));
        assert_eq!(critical(5, 5), Some(3));
        assert_eq!(critical(10, 10), Some(24));
        assert_eq!(critical(20, 20), Some(128));
    }

    #[test]
    fn four_trials_are_the_least() {
        assert_eq!(least_trials(), 4);
    }

    #[test]
    fn twice_as_much_is_found_as_twice_as_much() {
        let one = [100.0, 101.0, 99.0, 102.0, 98.0];
        let other = one.map(|v| v * 2.0);
        let found = ratio(&one, &other).unwrap();
        assert!((found.estimate - 2.0).abs() < 1e-9);
        let (low, high) = found.interval.unwrap();
        assert!(low > 1.9 && low < 2.0 && high > 2.0 && high < 2.1);
    }

    #[test]
    fn three_trials_give_an_estimate_and_no_interval() {
        let found = ratio(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]).unwrap();
        assert_eq!(found.interval, None);
        assert_eq!(ratio(&[], &[1.0]), None);
        assert_eq!(ratio(&[0.0], &[1.0]), None);
    }

    #[test]
    fn the_interval_covers_the_truth_as_often_as_it_says() {
        use rand_xoshiro::Xoshiro256PlusPlus;
        use rand_xoshiro::rand_core::{Rng, SeedableRng};
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut draw = || 1.0 + (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut covered = 0;
        for _ in 0..2000 {
            let one: [f64; 5] = std::array::from_fn(|_| draw());
            let other: [f64; 5] = std::array::from_fn(|_| 3.0 * draw());
            let (low, high) = ratio(&one, &other).unwrap().interval.unwrap();
            covered += u32::from(low <= 3.0 && 3.0 <= high);
        }
        assert!(covered >= 1880, "{covered} of 2000");
    }
}
