//! Quantities as a person writes them: `5k/s`, `256B`, `1m30s`, `1%`.
//!
//! Each type reads text, prints text that reads back to the very same value, and is stored as that
//! text, so that files and messages never hold a number whose unit has to be guessed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub mod cores;
pub mod duration;

/// Why a quantity could not be read: what is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

impl UnitError {
    fn new(text: impl Into<String>) -> Self {
        UnitError(text.into())
    }
}

/// A non-negative decimal at the start of `text`, and what follows it.
///
/// Digits and at most one point: no sign, no exponent, no `inf`.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    (digits > 0 && number.len() - digits <= 1).then(|| (number, rest.trim_start()))
}

/// `number × unit`, exact, in the smallest unit; `None` where it does not fit or leaves a remainder.
fn exact(number: &str, unit: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part = part.trim_end_matches('0');
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u128>().ok()?
    };
    let mut total = whole.checked_mul(unit)?;
    if !part.is_empty() {
        let scale = 10u128.checked_pow(u32::try_from(part.len()).ok()?)?;
        let scaled = part.parse::<u128>().ok()?.checked_mul(unit)?;
        if scaled % scale != 0 {
            return None;
        }
        total = total.checked_add(scaled / scale)?;
    }
    Some(total)
}

/// Reads a quantity from text, and says of a bare number that it lacks its unit.
struct QuantityVisitor<T> {
    expected: &'static str,
    number: fn(f64) -> Result<T, UnitError>,
}

impl<T: FromStr<Err = UnitError>> de::Visitor<'_> for QuantityVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        (self.number)(value as f64).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        (self.number)(value as f64).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        (self.number)(value).map_err(E::custom)
    }
}

/// Stores a type as its text, and describes it in the schema.
macro_rules! stored_as_text {
    ($type:ty, $name:literal, $expected:literal, $number:expr, $schema:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(QuantityVisitor {
                    expected: $expected,
                    number: $number,
                })
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

use stored_as_text;

/// Messages per second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

const RATE_EXAMPLE: &str = "write a rate such as `5k/s`, `1.5M/s` or `60/min`";

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        if text.starts_with('-') {
            return Err(UnitError::new(format!(
                "`{text}` is negative; {RATE_EXAMPLE}"
            )));
        }
        let Some((number, rest)) = split_number(text) else {
            return Err(UnitError::new(format!(
                "`{text}` is not a rate; {RATE_EXAMPLE}"
            )));
        };
        let Some((prefix, per)) = rest.split_once('/') else {
            return Err(UnitError::new(format!(
                "`{text}` does not say per what time; write `{}/s`",
                text.trim_end_matches('/')
            )));
        };
        let multiplier = match prefix.trim() {
            "" => 1.0,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            other => {
                return Err(UnitError::new(format!(
                    "`{other}` in `{text}` is none of k, M and G; {RATE_EXAMPLE}"
                )));
            }
        };
        let seconds = match per.trim() {
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            other => {
                return Err(UnitError::new(format!(
                    "`/{other}` in `{text}` is none of /s, /min and /h; {RATE_EXAMPLE}"
                )));
            }
        };
        let number: f64 = number
            .parse()
            .map_err(|_| UnitError::new(format!("`{number}` is not a number; {RATE_EXAMPLE}")))?;
        let rate = number * multiplier / seconds;
        if !rate.is_finite() {
            return Err(UnitError::new(format!(
                "`{text}` is too large; {RATE_EXAMPLE}"
            )));
        }
        Ok(Rate(rate))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let plain = format!("{}", self.0);
        for (multiplier, prefix) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
            let scaled = format!("{}", self.0 / multiplier);
            let same = scaled.parse::<f64>().map(|v| v * multiplier) == Ok(self.0);
            if self.0 >= multiplier && same && scaled.len() < plain.len() {
                return write!(f, "{scaled}{prefix}/s");
            }
        }
        write!(f, "{plain}/s")
    }
}

stored_as_text!(
    Rate,
    "Rate",
    "a rate such as `5k/s`",
    // As text, which says what it lacks.
    |value| value.to_string().parse(),
    json_schema!({
        "type": "string",
        "description": "Messages in a time, with unit: `5k/s`, `1.5M/s`, `60/min`.",
        "pattern": r"^[0-9]*\.?[0-9]+ *[kMG]? */ *(s|min|h)$",
        "examples": ["5k/s", "1.5M/s", "60/min"],
    })
);

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_EXAMPLE: &str = "write a size such as `256B`, `1KiB` or `10MB`";

/// Largest first, binary before decimal: the order in which `Display` tries them.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        if text.starts_with('-') {
            return Err(UnitError::new(format!(
                "`{text}` is negative; {SIZE_EXAMPLE}"
            )));
        }
        let Some((number, unit)) = split_number(text) else {
            return Err(UnitError::new(format!(
                "`{text}` is not a size; {SIZE_EXAMPLE}"
            )));
        };
        if unit.is_empty() {
            return Err(UnitError::new(format!(
                "`{text}` has no unit; write `{text}B`, or a size such as `1KiB` or `10MB`"
            )));
        }
        let unit = if unit == "KB" { "kB" } else { unit };
        let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(UnitError::new(format!(
                "`{unit}` is no unit of size (B, kB, KiB, MB, MiB, GB, GiB); {SIZE_EXAMPLE}"
            )));
        };
        exact(number, u128::from(*bytes))
            .and_then(|bytes| u64::try_from(bytes).ok())
            .map(Size)
            .ok_or_else(|| {
                UnitError::new(format!(
                    "`{text}` is not a whole number of bytes that fits; {SIZE_EXAMPLE}"
                ))
            })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (name, bytes) in SIZE_UNITS {
            if self.0 >= bytes && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{name}", self.0 / bytes);
            }
        }
        write!(f, "{}B", self.0)
    }
}

stored_as_text!(
    Size,
    "Size",
    "a size such as `256B`",
    // As text, which says what it lacks.
    |value| value.to_string().parse(),
    json_schema!({
        "type": "string",
        "description": "Bytes, with unit: `256B`, `1KiB` (1024), `1kB` (1000), `10MB`.",
        "pattern": r"^[0-9]*\.?[0-9]+ *(B|[kK]B|KiB|[MGT]i?B)$",
        "examples": ["256B", "1KiB", "10MB"],
    })
);

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Fraction(pub f64);

const FRACTION_EXAMPLE: &str = "write a share such as `1%` or `0.01`";

impl Fraction {
    fn checked(value: f64, text: &str) -> Result<Self, UnitError> {
        if (0.0..=1.0).contains(&value) {
            Ok(Fraction(value))
        } else {
            Err(UnitError::new(format!(
                "`{text}` is not between 0 and 1 (100%); {FRACTION_EXAMPLE}"
            )))
        }
    }
}

impl FromStr for Fraction {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let text = text.trim();
        let (number, scale) = match text.strip_suffix('%') {
            Some(number) => (number.trim_end(), 100.0),
            None => (text, 1.0),
        };
        let value = match split_number(number.strip_prefix('-').unwrap_or(number)) {
            Some((digits, "")) => digits.parse::<f64>().ok(),
            _ => None,
        };
        let value = value.ok_or_else(|| {
            UnitError::new(format!("`{text}` is not a share; {FRACTION_EXAMPLE}"))
        })?;
        let sign = if number.starts_with('-') { -1.0 } else { 1.0 };
        Fraction::checked(sign * value / scale, text)
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let percent = format!("{}", self.0 * 100.0);
        if percent.len() <= 8 && percent.parse::<f64>().map(|v| v / 100.0) == Ok(self.0) {
            write!(f, "{percent}%")
        } else {
            write!(f, "{}", self.0)
        }
    }
}

stored_as_text!(
    Fraction,
    "Fraction",
    "a share such as `1%` or `0.01`",
    |value| Fraction::checked(value, &value.to_string()),
    json_schema!({
        "description": "A share: `1%`, or a number from 0 to 1.",
        "anyOf": [
            { "type": "string", "pattern": r"^[0-9]*\.?[0-9]+ *%?$" },
            { "type": "number", "minimum": 0, "maximum": 1 }
        ],
        "examples": ["1%", 0.01],
    })
);

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
