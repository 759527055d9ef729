//! What a run must reach: `p99(end_to_end) < 20ms`, `kafka: lost == 0`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::suggest::did_you_mean;
use super::units::{Rate, duration};

/// Makes an enum of words, with the words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All of them, in the order of the method's tables.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// As a scenario and a column name it.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }
    };
}

words! {
    /// A time that is measured for each message.
    Latency {
        /// Intended → received.
        EndToEnd = "end_to_end",
        /// Intended → acknowledged.
        Publish = "publish",
        /// Sent → received.
        Transit = "transit",
        /// Sent → acknowledged.
        Service = "service",
        /// How late the generator was.
        Lateness = "lateness",
        /// How long the window or the client library held a message back.
        SendWait = "send_wait",
        /// Intended → reply received.
        RoundTrip = "round_trip",
    }
}

impl Latency {
    /// Whether it counts from the schedule, so that a closed loop has none.
    pub fn needs_schedule(self) -> bool {
        matches!(
            self,
            Latency::EndToEnd | Latency::Publish | Latency::Lateness | Latency::SendWait
        )
    }

    /// Whether it ends with the broker's acknowledgement.
    pub fn needs_acks(self) -> bool {
        matches!(self, Latency::Publish | Latency::Service)
    }

    /// Whether it ends with the receipt.
    pub fn needs_consumers(self) -> bool {
        matches!(
            self,
            Latency::EndToEnd | Latency::Transit | Latency::RoundTrip
        )
    }
}

words! {
    /// A count of the audit.
    Count {
        /// Due by the schedule.
        Intended = "intended",
        /// Due and not sent.
        Unsent = "unsent",
        /// Handed to the client library.
        Sent = "sent",
        /// Confirmed by the broker.
        Acked = "acked",
        /// Sends that ended in an error.
        Failed = "failed",
        /// Neither confirmed nor failed at the end.
        Unresolved = "unresolved",
        /// Sent, times the groups that should get it.
        Expected = "expected",
        /// Copies that arrived.
        Received = "received",
        /// Expected and never received.
        Lost = "lost",
        /// Confirmed and never received.
        LostAcked = "lost_acked",
        /// Never arrived, unsent ones included.
        Censored = "censored",
        /// Received more than once.
        Duplicated = "duplicated",
        /// Flagged by the broker as sent again.
        Redelivered = "redelivered",
        /// Received before an earlier one.
        OutOfOrder = "out_of_order",
        /// Of another run or trial.
        Unexpected = "unexpected",
        /// Other bytes than were sent.
        Corrupted = "corrupted",
    }
}

words! {
    /// Messages per second over the measured part.
    Throughput {
        /// Due.
        Offered = "offered_per_s",
        /// Sent.
        Sent = "sent_per_s",
        /// Received.
        Received = "received_per_s",
    }
}

/// What is taken of a latency's samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// Above 0 and below 100.
    Percentile(f64),
    /// Of what was received.
    Mean,
    /// Of what was received.
    Max,
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// By the median of the trials.
    Latency(Statistic, Latency),
    /// By any trial.
    Count(Count),
    /// By the median of the trials.
    Throughput(Throughput),
}

/// How it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Comparison {
    /// In the order in which they are tried: the longer first.
    const ALL: [(Comparison, &'static str); 6] = [
        (Comparison::AtMost, "<="),
        (Comparison::AtLeast, ">="),
        (Comparison::Equal, "=="),
        (Comparison::NotEqual, "!="),
        (Comparison::Less, "<"),
        (Comparison::Greater, ">"),
    ];

    /// Whether `left` stands so to `right`.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Less => left < right,
            Comparison::AtMost => left <= right,
            Comparison::Greater => left > right,
            Comparison::AtLeast => left >= right,
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let word = Comparison::ALL.iter().find(|(it, _)| it == self);
        f.write_str(word.map_or("", |(_, word)| word))
    }
}

/// What it is compared with, in the metric's own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// For a latency.
    Time(Duration),
    /// For a count.
    Count(u64),
    /// For a throughput.
    Rate(Rate),
}

impl Bound {
    /// In seconds, messages, or messages per second.
    pub fn value(self) -> f64 {
        match self {
            Bound::Time(time) => time.as_secs_f64(),
            Bound::Count(count) => count as f64,
            Bound::Rate(rate) => rate.0,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Bound::Time(time) => f.write_str(&duration::text(*time)),
            Bound::Count(count) => write!(f, "{count}"),
            Bound::Rate(rate) => write!(f, "{rate}"),
        }
    }
}

/// One requirement; stored as its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The label of the only broker that it is about; `None` for every one.
    pub broker: Option<String>,
    /// What is judged.
    pub metric: Metric,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub bound: Bound,
}

/// Why a threshold could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ThresholdError {
    /// What is wrong.
    pub message: String,
    /// The part of the text that is wrong: its first character, counted from 0, and its length.
    pub span: (usize, usize),
    /// What would be right.
    pub label: Option<String>,
}

const EXAMPLE: &str = "write `p99(end_to_end) < 20ms` or `lost == 0`";

impl Metric {
    /// As a scenario writes it, `p99(end_to_end)` or `lost`.
    fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let unknown = |word: &str, what: &str, known: &[&'static str]| {
            let label = did_you_mean(word, known.iter().copied());
            (format!("unknown {what} `{word}`"), label)
        };
        if let Some((statistic, rest)) = text.split_once('(') {
            let names: Vec<_> = Latency::ALL.iter().map(|l| l.name()).collect();
            let name = rest
                .strip_suffix(')')
                .ok_or_else(|| (format!("`{text}` lacks its `)`"), Some(EXAMPLE.to_owned())))?
                .trim();
            let latency = Latency::ALL
                .iter()
                .find(|latency| latency.name() == name)
                .ok_or_else(|| unknown(name, "latency", &names))?;
            return Ok(Metric::Latency(
                Statistic::parse(statistic.trim())?,
                *latency,
            ));
        }
        if let Some(count) = Count::ALL.iter().find(|count| count.name() == text) {
            return Ok(Metric::Count(*count));
        }
        if let Some(rate) = Throughput::ALL.iter().find(|rate| rate.name() == text) {
            return Ok(Metric::Throughput(*rate));
        }
        if Latency::ALL.iter().any(|latency| latency.name() == text) {
            return Err((
                format!("`{text}` is a latency, of which a percentile is compared"),
                Some(format!(
                    "write `p99({text})`, `mean({text})` or `max({text})`"
                )),
            ));
        }
        let names = Count::ALL.iter().map(|c| c.name());
        let names: Vec<_> = names
            .chain(Throughput::ALL.iter().map(|t| t.name()))
            .collect();
        let (message, label) = unknown(text, "metric", &names);
        Err((message, label.or_else(|| Some(EXAMPLE.to_owned()))))
    }
}

impl Statistic {
    /// `p50`, `p99.9`, `p999` (which is p99.9), `mean`, `max`.
    fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let wrong = |message: String| {
            let label = "percentiles are p50, p90, p99, p99.9 …; besides there are mean and max";
            (message, Some(label.to_owned()))
        };
        match text {
            "mean" => return Ok(Statistic::Mean),
            "max" => return Ok(Statistic::Max),
            _ => {}
        }
        let digits = text
            .strip_prefix('p')
            .filter(|digits| {
                !digits.is_empty()
                    && digits.len() <= 12
                    && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
            })
            .ok_or_else(|| wrong(format!("unknown statistic `{text}`")))?;
        // The columns write p99.9 as p999.
        let dotted = if digits.len() > 2 && digits.starts_with("99") && !digits.contains('.') {
            format!("{}.{}", &digits[..2], &digits[2..])
        } else {
            digits.to_owned()
        };
        match dotted.parse::<f64>() {
            Ok(percentile) if percentile > 0.0 && percentile < 100.0 => {
                Ok(Statistic::Percentile(percentile))
            }
            Ok(100.0) => Err((
                "the 100th percentile is the maximum".to_owned(),
                Some("write `max(…)`".to_owned()),
            )),
            _ => Err(wrong(format!("there is no percentile `{text}`"))),
        }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Statistic::Percentile(percentile) => write!(f, "p{percentile}"),
            Statistic::Mean => f.write_str("mean"),
            Statistic::Max => f.write_str("max"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Metric::Latency(statistic, latency) => write!(f, "{statistic}({})", latency.name()),
            Metric::Count(count) => f.write_str(count.name()),
            Metric::Throughput(rate) => f.write_str(rate.name()),
        }
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        // Where a part of the text stands in it, in characters.
        let span = |part: &str| {
            let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            let before = text.get(..start).unwrap_or_default();
            (before.chars().count(), part.chars().count())
        };
        let fail = |part: &str, (message, label): (String, Option<String>)| ThresholdError {
            message,
            span: span(part),
            label,
        };
        let (broker, condition) = match text.split_once(':') {
            Some((broker, condition)) => (Some(broker.trim().to_owned()), condition),
            None => (None, text),
        };
        let found = Comparison::ALL
            .iter()
            .filter_map(|(it, sign)| condition.find(sign).map(|at| (at, *it, *sign)))
            .min_by_key(|(at, _, sign)| (*at, std::cmp::Reverse(sign.len())));
        let Some((at, comparison, sign)) = found else {
            let label = Some(EXAMPLE.to_owned());
            let message = format!("`{}` compares nothing", condition.trim());
            return Err(fail(condition.trim(), (message, label)));
        };
        let left = condition[..at].trim();
        let right = condition[at + sign.len()..].trim();
        let metric = Metric::parse(left).map_err(|error| fail(left, error))?;
        let bound = match metric {
            Metric::Latency(..) => duration::parse(right)
                .map(Bound::Time)
                .map_err(|e| e.to_string()),
            Metric::Throughput(_) => right
                .parse()
                .map(Bound::Rate)
                .map_err(|e: super::units::UnitError| e.to_string()),
            Metric::Count(_) => right.parse().map(Bound::Count).map_err(|_| {
                format!("`{right}` is not a number of messages; write one such as `0`")
            }),
        };
        let bound = bound.map_err(|message| fail(right, (message, None)))?;
        Ok(Threshold {
            broker,
            metric,
            comparison,
            bound,
        })
    }
}

impl Threshold {
    /// The condition without the broker: `p99(end_to_end) < 20ms`.
    pub fn condition(&self) -> String {
        format!("{} {} {}", self.metric, self.comparison, self.bound)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(broker) = &self.broker {
            write!(f, "{broker}: ")?;
        }
        f.write_str(&self.condition())
    }
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Threshold {
    fn schema_name() -> Cow<'static, str> {
        "Threshold".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`p99(end_to_end) < 20ms`, `lost == 0`, `received_per_s > 4.9k/s`; for one broker `{kafka: p99(end_to_end) < 5ms}`.",
            "anyOf": [
                { "type": "string", "pattern": "(<=|>=|==|!=|<|>)" },
                { "type": "object", "minProperties": 1, "maxProperties": 1,
                  "additionalProperties": { "type": "string", "pattern": "(<=|>=|==|!=|<|>)" } }
            ],
            "examples": ["p99(end_to_end) < 20ms", "lost == 0"],
        })
    }
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
