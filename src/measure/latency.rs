//! Latency histograms: nanosecond input, three significant digits, resized as needed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The latencies of a trial, as the method names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Intended → received.
    EndToEnd,
    /// Intended → acked.
    Publish,
    /// Sent → received.
    Transit,
    /// Sent → acked.
    Service,
    /// max(intended, ready) → woke.
    Lateness,
    /// max(0, ready − intended) + (sent − woke).
    SendWait,
    /// Intended → reply received.
    RoundTrip,
}

impl Kind {
    /// All, in the order of the columns.
    pub const ALL: [Kind; 7] = [
        Kind::EndToEnd,
        Kind::Publish,
        Kind::Transit,
        Kind::Service,
        Kind::Lateness,
        Kind::SendWait,
        Kind::RoundTrip,
    ];

    /// As columns and thresholds write it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::EndToEnd => "end_to_end",
            Kind::Publish => "publish",
            Kind::Transit => "transit",
            Kind::Service => "service",
            Kind::Lateness => "lateness",
            Kind::SendWait => "send_wait",
            Kind::RoundTrip => "round_trip",
        }
    }
}

/// One latency. Recording allocates only where a value is larger than any before.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    histogram: Histogram<u64>,
    negative: u64,
    saturated: u64,
}

impl Default for Latency {
    fn default() -> Self {
        let mut histogram =
            Histogram::new(3).expect("three significant digits are within the library's bounds");
        histogram.auto(true);
        Latency {
            histogram,
            negative: 0,
            saturated: 0,
        }
    }
}

impl Latency {
    /// Records the time from one instant to another, both in nanoseconds.
    ///
    /// An end before its beginning is counted as negative and enters the histogram as zero: dropping
    /// it would make the rest look better than it was.
    #[inline]
    pub fn record(&mut self, from: u64, to: u64) {
        let value = match to.checked_sub(from) {
            Some(value) => value,
            None => {
                self.negative += 1;
                0
            }
        };
        if self.histogram.record(value).is_err() {
            // An instant read as zero can lie further away than a histogram reaches.
            self.saturated += 1;
            self.histogram.saturating_record(value);
        }
    }

    /// Adds all samples of the other.
    pub fn merge(&mut self, other: &Latency) {
        self.histogram
            .add(&other.histogram)
            .expect("an auto-resizing histogram takes any other");
        self.negative += other.negative;
        self.saturated += other.saturated;
    }

    /// Forgets all samples, keeps the storage.
    pub fn clear(&mut self) {
        self.histogram.reset();
        self.negative = 0;
        self.saturated = 0;
    }

    /// Number of samples.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Samples whose end lay before their beginning.
    pub fn negative(&self) -> u64 {
        self.negative
    }

    /// Samples too long for a histogram: they stand at its upper end.
    pub fn saturated(&self) -> u64 {
        self.saturated
    }

    /// Samples that were zero, negative ones included.
    pub fn zero(&self) -> u64 {
        self.histogram.count_at(0)
    }

    /// Nanoseconds; 0 without samples.
    pub fn mean(&self) -> f64 {
        self.histogram.mean()
    }

    /// Nanoseconds; 0 without samples.
    pub fn max(&self) -> u64 {
        self.histogram.max()
    }

    /// The value at a rank, 1 being the smallest, in nanoseconds: the highest value that the
    /// histogram cannot tell from it.
    pub fn at_rank(&self, rank: u64) -> u64 {
        let count = self.count();
        if count == 0 {
            return 0;
        }
        // The middle of the rank's share, so that rounding in the library cannot move it to a neighbour.
        let quantile = (rank.clamp(1, count) as f64 - 0.5) / count as f64;
        self.histogram.value_at_quantile(quantile)
    }

    /// The value below which this share (0 to 1) of the samples lies, in nanoseconds.
    pub fn quantile(&self, share: f64) -> u64 {
        self.at_rank((share * self.count() as f64).ceil() as u64)
    }

    /// How many samples lie above a value in nanoseconds.
    pub fn above(&self, value: u64) -> u64 {
        self.count() - self.histogram.count_between(0, value)
    }

    /// The histogram, for exports.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }
}

/// Stored as the field's exchange form: HdrHistogram's V2, deflated, in base64.
#[derive(Serialize, Deserialize)]
struct Stored {
    hdr: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    negative: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    saturated: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.histogram, &mut bytes)
            .map_err(|e| serde::ser::Error::custom(format!("{e:?}")))?;
        Stored {
            hdr: STANDARD.encode(bytes),
            negative: self.negative,
            saturated: self.saturated,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let stored = Stored::deserialize(deserializer)?;
        let bytes = STANDARD
            .decode(stored.hdr)
            .map_err(|e| Error::custom(format!("a histogram is not base64: {e}")))?;
        let mut histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| Error::custom(format!("a histogram cannot be read: {e}")))?;
        histogram.auto(true);
        Ok(Latency {
            histogram,
            negative: stored.negative,
            saturated: stored.saturated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn merged_parts_equal_the_whole(samples in prop::collection::vec(0u64..10_000_000_000, 1..2000), cut in 0usize..2000) {
            let (mut whole, mut first, mut second) = (Latency::default(), Latency::default(), Latency::default());
            for (i, sample) in samples.iter().enumerate() {
                whole.record(0, *sample);
                if i < cut { first.record(0, *sample) } else { second.record(0, *sample) }
            }
            first.merge(&second);
            prop_assert_eq!(&first.histogram, &whole.histogram);
        }

        #[test]
        fn ranks_agree_with_sorted_samples(mut samples in prop::collection::vec(0u64..100_000_000_000, 1..500)) {
            let mut latency = Latency::default();
            for sample in &samples { latency.record(0, *sample); }
            samples.sort_unstable();
            for (i, sample) in samples.iter().enumerate() {
                let found = latency.at_rank(i as u64 + 1);
                prop_assert!(found >= *sample && found as f64 <= *sample as f64 * 1.001 + 1.0, "{found} for {sample}");
            }
        }
    }

    #[test]
    fn an_end_before_its_beginning_is_counted() {
        let mut latency = Latency::default();
        latency.record(10, 5);
        assert_eq!(
            (latency.count(), latency.negative(), latency.zero()),
            (1, 1, 1)
        );
    }

    #[test]
    fn a_stored_histogram_comes_back_whole() {
        let mut latency = Latency::default();
        for value in [0, 1, 1_000, 123_456_789, 90_000_000_000] {
            latency.record(0, value);
        }
        let text = serde_json::to_string(&latency).unwrap();
        let back: Latency = serde_json::from_str(&text).unwrap();
        assert_eq!(back.histogram, latency.histogram);
    }
}
