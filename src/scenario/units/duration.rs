//! `std::time::Duration` as text; to be named in `#[serde(with = "…")]`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Cow, QuantityVisitor, UnitError, exact, split_number, stored_as_text};

const EXAMPLE: &str = "write a time such as `20s`, `10ms` or `1m30s`";

/// Name and length in nanoseconds. Both characters that look like a micro sign are taken.
const UNITS: [(&str, u64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// A time as its text: the type for schemas and for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

/// Reads `20s`, `10ms`, `1m30s`, `5us`, `0s`.
pub fn parse(text: &str) -> Result<Duration, UnitError> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(UnitError::new(format!(
            "`{text}` is negative, and no time is; {EXAMPLE}"
        )));
    }
    let mut rest = text;
    let mut total: u128 = 0;
    loop {
        let Some((number, tail)) = split_number(rest) else {
            return Err(UnitError::new(format!("`{text}` is not a time; {EXAMPLE}")));
        };
        let end = tail
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        if unit.is_empty() {
            return Err(UnitError::new(format!(
                "`{text}` has no unit; write `{text}s`, or a time such as `10ms` or `1m30s`"
            )));
        }
        let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(UnitError::new(format!(
                "`{unit}` is no unit of time (ns, us, ms, s, m, h, d); {EXAMPLE}"
            )));
        };
        total = exact(number, u128::from(*nanos))
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= u128::from(u64::MAX))
            .ok_or_else(|| {
                UnitError::new(format!(
                    "`{text}` is not a whole number of nanoseconds that fits; {EXAMPLE}"
                ))
            })?;
        rest = tail.trim_start();
        if rest.is_empty() {
            break;
        }
    }
    u64::try_from(total)
        .map(Duration::from_nanos)
        .map_err(|_| UnitError::new(format!("`{text}` is too long; {EXAMPLE}")))
}

/// The shortest exact text: `1m30s`, `1.5s`, `10ms`, `0s`.
pub fn text(time: Duration) -> String {
    let nanos = time.as_nanos();
    let decimal = |unit: u128, name: &str| {
        let part = format!("{:0width$}", nanos_part(nanos, unit), width = digits(unit));
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        format!("{}{point}{part}{name}", nanos / unit)
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => decimal(1_000, "us"),
        1_000_000..1_000_000_000 => decimal(1_000_000, "ms"),
        1_000_000_000..60_000_000_000 => decimal(1_000_000_000, "s"),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let below = Duration::new(time.as_secs() % 60, time.subsec_nanos());
            let hours = match minutes / 60 {
                0 => String::new(),
                hours => format!("{hours}h"),
            };
            let minutes = match minutes % 60 {
                0 => String::new(),
                minutes => format!("{minutes}m"),
            };
            let below = if below.is_zero() {
                String::new()
            } else {
                text(below)
            };
            format!("{hours}{minutes}{below}")
        }
    }
}

fn nanos_part(nanos: u128, unit: u128) -> u128 {
    nanos % unit
}

/// Zeros in a power of ten.
fn digits(unit: u128) -> usize {
    unit.ilog10() as usize
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Time(*time))
}

/// For `#[serde(with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Time::deserialize(deserializer).map(|time| time.0)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(&text(self.0))
    }
}

impl FromStr for Time {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text).map(Time)
    }
}

stored_as_text!(
    Time,
    "Time",
    "a time such as `20s`",
    |value| Err(UnitError::new(if value < 0.0 {
        format!("`{value}` is negative, and no time is; {EXAMPLE}")
    } else {
        format!("`{value}` has no unit; write `{value}s`, or a time such as `10ms` or `1m30s`")
    })),
    json_schema!({
        "type": "string",
        "description": "A time with unit: `20s`, `10ms`, `1m30s`, `5us`; zero is `0s`.",
        "pattern": r"^([0-9]*\.?[0-9]+ *(ns|us|µs|μs|ms|s|m|min|h|d) *)+$",
        "examples": ["20s", "10ms", "1m30s"],
    })
);
