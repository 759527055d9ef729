//! `latency.hlog`: one histogram for each broker and latency, in the format that the standard
//! HdrHistogram tools read. Values are nanoseconds.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::measure::latency::{Kind, Latency};
use crate::measure::record::Record;
use crate::results::{Attempt, Results};

/// What the log's own maximum is divided by: the tools expect nanoseconds shown as milliseconds.
const MAX_DIVISOR: f64 = 1e6;

/// Histograms that grow trial by trial.
#[derive(Debug, Default)]
pub struct Merged {
    /// By broker, load point and latency.
    merged: BTreeMap<(usize, usize, Kind), (Latency, f64)>,
}

impl Merged {
    /// Adds the histograms of one trial.
    pub fn add(&mut self, attempt: &Attempt, record: &Record) {
        for (kind, latency) in &record.latencies {
            let place = (attempt.broker, attempt.point, *kind);
            let (merged, seconds) = self.merged.entry(place).or_default();
            merged.merge(latency);
            *seconds += attempt.seconds;
        }
    }

    /// One latency of a broker at a load point, both given by their places in the plan; `None` where there was no
    /// sample.
    pub fn of(&self, broker: usize, point: usize, kind: Kind) -> Option<&Latency> {
        self.merged
            .get(&(broker, point, kind))
            .map(|(merged, _)| merged)
    }

    /// The file. Tags are `broker/latency`, in a sweep `broker/rate/latency`; what a tag must not hold becomes `_`.
    pub fn to_log(&self, results: &Results) -> io::Result<String> {
        let start = results.manifest.started.parse::<jiff::Timestamp>();
        let start = start.map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
        let mut bytes = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let scenario = results.manifest.scenario.replace(['\n', '\r'], " ");
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment(&format!(
                "[mqbench: scenario {scenario}, values in nanoseconds, trials merged]"
            ))
            .with_start_time(start)
            .with_base_time(start)
            .with_max_value_divisor(MAX_DIVISOR)
            .begin_log_with(&mut bytes, &mut serializer)?;
        log.write_comment("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"")?;
        for ((broker, point, kind), (latency, seconds)) in &self.merged {
            let label = results.plan.brokers.get(*broker).map_or("", |it| &it.label);
            let rate = results.plan.sweep.get(*point);
            let rate = rate.map_or(String::new(), |rate| format!("{}/", rate.0));
            let tag = format!("{}/{rate}{}", tag_text(label), kind.name());
            let length = Duration::try_from_secs_f64(*seconds).unwrap_or_default();
            let histogram = latency.histogram();
            log.write_histogram(histogram, Duration::ZERO, length, Tag::new(&tag))
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn tag_text(label: &str) -> String {
    let safe = |c: char| {
        if c == ',' || c.is_whitespace() || c.is_control() {
            '_'
        } else {
            c
        }
    };
    label.chars().map(safe).collect()
}
