//! Percentiles that say when they cannot be given.

use serde::{Deserialize, Serialize};

use super::latency::Latency;

/// A percentile is given only when so many samples lie beyond it.
pub const BEYOND: u64 = 50;

/// The shares that columns are made of.
pub const SHARES: [(&str, f64); 6] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
    ("p9999", 0.9999),
];

/// One percentile of a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Percentile {
    /// Nanoseconds.
    Value(u64),
    /// It falls among messages that never arrived.
    Lost,
    /// Fewer than [`BEYOND`] samples lie beyond it.
    TooFew,
}

impl Percentile {
    /// Nanoseconds, where there is a value.
    pub fn value(self) -> Option<u64> {
        match self {
            Percentile::Value(nanoseconds) => Some(nanoseconds),
            _ => None,
        }
    }
}

/// The percentile of a latency to which so many samples are missing, because their messages never
/// arrived: those rank above every sample.
pub fn percentile(latency: &Latency, censored: u64, share: f64) -> Percentile {
    let total = latency.count() + censored;
    let rank = ((share * total as f64).ceil() as u64).max(1);
    if total < rank + BEYOND {
        Percentile::TooFew
    } else if rank > latency.count() {
        Percentile::Lost
    } else {
        Percentile::Value(latency.at_rank(rank))
    }
}

/// What is kept of a latency in the results: everything that a table needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Samples.
    pub count: u64,
    /// Messages that never arrived and rank above every sample.
    pub censored: u64,
    /// Of what arrived, nanoseconds.
    pub mean: f64,
    /// Of what arrived, nanoseconds.
    pub max: u64,
    /// Samples of zero length, negative ones included.
    pub zero: u64,
    /// Samples whose end lay before their beginning.
    pub negative: u64,
    /// Samples too long for a histogram: they stand at its upper end.
    pub saturated: u64,
    /// In the order of [`SHARES`].
    pub percentiles: [Percentile; SHARES.len()],
}

impl Summary {
    /// Sums up a latency.
    pub fn of(latency: &Latency, censored: u64) -> Summary {
        Summary {
            count: latency.count(),
            censored,
            mean: latency.mean(),
            max: latency.max(),
            zero: latency.zero(),
            negative: latency.negative(),
            saturated: latency.saturated(),
            percentiles: SHARES.map(|(_, share)| percentile(latency, censored, share)),
        }
    }

    /// A percentile by its name, `p99`; `None` for a name that is none of [`SHARES`].
    pub fn named(&self, name: &str) -> Option<Percentile> {
        let place = SHARES.iter().position(|(known, _)| *known == name)?;
        Some(self.percentiles[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: u64) -> Latency {
        let mut latency = Latency::default();
        for value in 1..=count {
            latency.record(0, value * 1000);
        }
        latency
    }

    #[test]
    fn a_percentile_needs_fifty_samples_beyond_it() {
        assert_eq!(percentile(&samples(99), 0, 0.5), Percentile::TooFew);
        assert!(matches!(
            percentile(&samples(100), 0, 0.5),
            Percentile::Value(_)
        ));
        assert_eq!(percentile(&samples(4_999), 0, 0.99), Percentile::TooFew);
        assert!(matches!(
            percentile(&samples(5_000), 0, 0.99),
            Percentile::Value(_)
        ));
    }

    #[test]
    fn messages_that_never_arrived_rank_above_every_sample() {
        // One in a hundred is lost: p98 is a sample, p99.9 is not.
        let latency = samples(99_000);
        assert!(matches!(
            percentile(&latency, 1_000, 0.98),
            Percentile::Value(_)
        ));
        assert_eq!(percentile(&latency, 1_000, 0.999), Percentile::Lost);
        // The median moves up by the share that is missing.
        let (whole, missing) = (
            percentile(&latency, 0, 0.5),
            percentile(&latency, 1_000, 0.5),
        );
        assert!(missing.value() > whole.value());
    }

    #[test]
    fn nothing_received_of_a_thousand_is_lost_and_nothing_of_nothing_is_too_few() {
        assert_eq!(
            percentile(&Latency::default(), 1_000, 0.5),
            Percentile::Lost
        );
        assert_eq!(percentile(&Latency::default(), 0, 0.5), Percentile::TooFew);
    }
}
