//! How the samples of a latency lie, coarsely: counts in cells of equal ratio, few enough to be kept for every
//! second of a trial.

use serde::{Deserialize, Serialize};

use super::latency::Latency;

/// Cells to a decade: each reaches 1.26 times as far as it begins.
pub const PER_DECADE: u32 = 10;
/// The last one, in which the largest value that there can be lies.
const LAST: u8 = 192;

/// Counts of samples by cell, in the order of the cells; those without a sample are left out.
///
/// Cell `i` reaches from 10^(`i`/10) ns to 10^((`i`+1)/10) ns, which is the first of the next one; cell 0 has the
/// samples of no length, too. A sample stands where its histogram says that it is, at most a thousandth above
/// its value, like the percentiles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cells(Vec<(u8, u64)>);

impl Cells {
    /// Of all samples of a latency.
    pub fn of(latency: &Latency) -> Cells {
        let mut counts: Vec<(u8, u64)> = Vec::new();
        let mut cell = 0;
        let [_, mut end] = bounds(cell);
        for step in latency.histogram().iter_recorded() {
            let value = step.value_iterated_to() as f64;
            while cell < LAST && value >= end {
                cell += 1;
                end = bounds(cell)[1];
            }
            match counts.last_mut() {
                Some((last, count)) if *last == cell => *count += step.count_at_value(),
                _ => counts.push((cell, step.count_at_value())),
            }
        }
        Cells(counts)
    }

    /// Cells and their counts.
    pub fn iter(&self) -> impl Iterator<Item = (u8, u64)> {
        self.0.iter().copied()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All samples.
    pub fn count(&self) -> u64 {
        self.iter()
            .fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Adds the counts of the other.
    pub fn merge(&mut self, other: &Cells) {
        for (cell, count) in other.iter() {
            match self.0.binary_search_by_key(&cell, |it| it.0) {
                Ok(place) => self.0[place].1 = self.0[place].1.saturating_add(count),
                Err(place) => self.0.insert(place, (cell, count)),
            }
        }
    }
}

/// Where a cell begins and where the next one does, nanoseconds.
pub fn bounds(cell: u8) -> [f64; 2] {
    let at = |cell: u32| 10f64.powf(f64::from(cell) / f64::from(PER_DECADE));
    [at(u32::from(cell)), at(u32::from(cell) + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn latency(samples: &[u64]) -> Latency {
        let mut latency = Latency::default();
        for sample in samples {
            latency.record(0, *sample);
        }
        latency
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_sample_lies_in_one_cell(samples in prop::collection::vec(0u64..100_000_000_000, 0..500)) {
            let cells = Cells::of(&latency(&samples));
            prop_assert_eq!(cells.count(), samples.len() as u64);
            let places: Vec<u8> = cells.iter().map(|it| it.0).collect();
            prop_assert!(places.is_sorted_by(|a, b| a < b));
            for (cell, count) in cells.iter() {
                // What lies a thousandth below a bound may stand above it.
                let [low, high] = bounds(cell);
                let sure = |it: &&u64| (**it as f64) >= low && (**it as f64) < high * 0.999;
                let maybe = |it: &&u64| (cell == 0 || **it as f64 >= low * 0.999) && (**it as f64) < high;
                let of = |keep: &dyn Fn(&&u64) -> bool| samples.iter().filter(|it| keep(it)).count() as u64;
                prop_assert!((of(&sure)..=of(&maybe)).contains(&count), "cell {}: {}", cell, count);
            }
        }

        #[test]
        fn merged_parts_equal_the_whole(samples in prop::collection::vec(0u64..10_000_000_000, 1..300), cut in 0usize..300) {
            let (first, second) = samples.split_at(cut.min(samples.len()));
            let mut parts = Cells::of(&latency(first));
            parts.merge(&Cells::of(&latency(second)));
            prop_assert_eq!(parts, Cells::of(&latency(&samples)));
        }
    }

    #[test]
    fn bounds_are_round_at_powers_of_ten() {
        assert_eq!([0, 30, 60].map(|cell| bounds(cell)[0]), [1.0, 1e3, 1e6]);
        assert_eq!(Cells::of(&latency(&[1_000])).0, [(30, 1)]);
        assert_eq!(Cells::of(&latency(&[999])).0, [(29, 1)]);
    }

    #[test]
    fn the_ends_of_what_there_can_be_have_cells() {
        let cells = Cells::of(&latency(&[0, 1, 2, u64::MAX]));
        let places: Vec<u8> = cells.iter().map(|it| it.0).collect();
        assert_eq!(cells.count(), 4);
        assert_eq!((places[0], cells.0[0].1), (0, 2), "0 and 1 ns");
        assert!(*places.last().unwrap() <= LAST);
        assert!(Cells::of(&Latency::default()).is_empty());
    }

    #[test]
    fn a_second_takes_few_bytes() {
        let mut spread = Latency::default();
        for i in 0..20_000u64 {
            spread.record(0, 50_000 + i * i);
        }
        let text = serde_json::to_string(&Cells::of(&spread)).unwrap();
        assert!(text.len() < 400, "{text}");
        let back: Cells = serde_json::from_str(&text).unwrap();
        assert_eq!(back, Cells::of(&spread));
    }
}
