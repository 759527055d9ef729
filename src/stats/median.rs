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
