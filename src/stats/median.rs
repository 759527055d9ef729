//! The one way in which trials are summed up: by the median of their figures.

use crate::measure::percentile::Percentile;

/// The median; of an even number, the mean of the two in the middle. `None` of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// The median of the trials' percentiles. `None` of nothing.
///
/// One that is lost ranks above every value. Trials with too few samples give no figure; where they
/// are half of all or more, neither does the set.
pub fn median_percentile(values: impl IntoIterator<Item = Percentile>) -> Option<Percentile> {
    let (mut known, mut lost, mut unknown) = (Vec::new(), 0, 0);
    for value in values {
        match value {
            Percentile::Value(nanoseconds) => known.push(nanoseconds as f64),
            Percentile::Lost => lost += 1,
            Percentile::TooFew => unknown += 1,
        }
    }
    let total = known.len() + lost;
    if total + unknown == 0 {
        return None;
    }
    if unknown >= total {
        return Some(Percentile::TooFew);
    }
    // The upper one of the two in the middle decides: half lost is lost.
    if total / 2 >= known.len() {
        return Some(Percentile::Lost);
    }
    let ranked = known.into_iter().chain(vec![f64::INFINITY; lost]);
    median(ranked).map(|value| Percentile::Value(value.round() as u64))
}

/// An interval that holds the median at a confidence (0.95); `None` where there are too few values for one.
///
/// It lies between two of the sorted values, counted from both ends. How many of `n` values lie below the
/// true median is binomial with one half, whatever they are distributed like, so this is exact (the sign
/// test, inverted: Thompson, 1936), and never less sure than asked.
pub fn interval(values: &[f64], confidence: f64) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let outside = outside(sorted.len(), (1.0 - confidence) / 2.0)?;
    Some((sorted[outside], sorted[sorted.len() - 1 - outside]))
}

/// The smallest number of values that has an interval at this confidence.
pub fn least(confidence: f64) -> usize {
    let enough = |n: &usize| outside(*n, (1.0 - confidence) / 2.0).is_some();
    (1..).find(enough).unwrap_or(usize::MAX)
}

/// How many of `n` sorted values may be left out at each end, so that the probability of the median being
/// beyond what is left is at most `tail` on each side; `None` where it is more even with all.
fn outside(n: usize, tail: f64) -> Option<usize> {
    // The probability that exactly `below` values lie below the median, by its logarithm: of many values it
    // is too small for itself.
    let mut log = n as f64 * 0.5_f64.ln();
    let mut cumulated = 0.0;
    for below in 0..n {
        cumulated += log.exp();
        if cumulated > tail {
            return below.checked_sub(1);
        }
        log += ((n - below) as f64 / (below + 1) as f64).ln();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Percentile::{Lost, TooFew, Value};
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn the_interval_is_that_of_the_sign_test() {
        // Tabled ranks (from 1) of the lower end at 95 %.
        let tabled = [
            (6, 1),
            (8, 1),
            (9, 2),
            (10, 2),
            (20, 6),
            (50, 18),
            (100, 40),
        ];
        for (n, rank) in tabled {
            let values: Vec<f64> = (1..=n).map(f64::from).rev().collect();
            let upper = f64::from(n + 1 - rank);
            assert_eq!(interval(&values, 0.95), Some((rank.into(), upper)), "{n}");
        }
        assert_eq!(interval(&[1.0; 5], 0.95), None);
        assert_eq!(interval(&[], 0.95), None);
        assert_eq!((least(0.95), least(0.99)), (6, 8));
        let many: Vec<f64> = (0..5_000).map(f64::from).collect();
        let (low, high) = interval(&many, 0.95).unwrap();
        assert!((2_400.0..2_450.0).contains(&low) && (2_550.0..2_600.0).contains(&high));
    }

    #[test]
    fn a_lost_percentile_ranks_above_every_value() {
        assert_eq!(median_percentile([]), None);
        assert_eq!(
            median_percentile([Lost, Value(1), Value(9)]),
            Some(Value(9))
        );
        assert_eq!(median_percentile([Lost, Lost, Value(1)]), Some(Lost));
        assert_eq!(median_percentile([Lost, Value(1)]), Some(Lost));
        assert_eq!(
            median_percentile([Lost, Value(1), Value(2), Value(3)]),
            Some(Value(3)),
            "the mean of 2 and 3, rounded"
        );
    }

    #[test]
    fn trials_with_too_few_samples_give_no_figure() {
        assert_eq!(median_percentile([TooFew, TooFew, Value(1)]), Some(TooFew));
        assert_eq!(median_percentile([TooFew, Value(1)]), Some(TooFew));
        assert_eq!(
            median_percentile([TooFew, Value(1), Value(3)]),
            Some(Value(2))
        );
    }
}
