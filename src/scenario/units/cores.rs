//! Processor cores by their numbers, as Linux tools write them: `0`, `0-1,3`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Cow, UnitError};

/// The highest number that can be meant: more cores than any kernel has.
const HIGHEST: u32 = 8191;
const EXAMPLE: &str = "write numbers and ranges such as `0`, `0-1,3` or `[0, 2]`";

/// A set of cores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cores(Vec<u32>);

impl Cores {
    /// These, each once.
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Cores {
        let mut numbers: Vec<u32> = numbers.into_iter().collect();
        numbers.sort_unstable();
        numbers.dedup();
        Cores(numbers)
    }

    /// Their numbers, the lowest first.
    pub fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Those that are not among `others`.
    pub fn without(&self, others: &Cores) -> Cores {
        let missing = self.0.iter().filter(|number| !others.0.contains(number));
        Cores(missing.copied().collect())
    }
}

impl FromStr for Cores {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = |part: &str| UnitError::new(format!("`{part}` is no core; {EXAMPLE}"));
        let number = |part: &str| {
            let is_plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let number = part.parse().ok().filter(|it| is_plain && *it <= HIGHEST);
            number.ok_or_else(|| wrong(part))
        };
        let mut numbers = Vec::new();
        for part in text.split(',').map(str::trim) {
            match part.split_once('-') {
                Some((from, to)) => {
                    let (from, to) = (number(from.trim_end())?, number(to.trim_start())?);
                    if from > to {
                        return Err(UnitError::new(format!(
                            "`{part}` runs backwards; write `{to}-{from}`"
                        )));
                    }
                    numbers.extend(from..=to);
                }
                None => numbers.push(number(part)?),
            }
        }
        Ok(Cores::of(numbers))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ranges = self.0.chunk_by(|a, b| a + 1 == *b);
        for (place, range) in ranges.enumerate() {
            let comma = if place > 0 { "," } else { "" };
            match range {
                [only] => write!(f, "{comma}{only}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

impl Serialize for Cores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CoresVisitor)
    }
}

struct CoresVisitor;

impl<'de> de::Visitor<'de> for CoresVisitor {
    type Value = Cores;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("numbers of cores such as `0`, `0-1,3` or `[0, 2]`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Cores, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Cores, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Cores, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Cores, A::Error> {
        let mut numbers = Vec::new();
        while let Some(Cores(some)) = list.next_element()? {
            numbers.extend(some);
        }
        Ok(Cores::of(numbers))
    }
}

impl JsonSchema for Cores {
    fn schema_name() -> Cow<'static, str> {
        "Cores".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json_schema!({ "type": "string", "pattern": r"^ *[0-9]+( *- *[0-9]+)?( *, *[0-9]+( *- *[0-9]+)?)* *$" });
        let number = json_schema!({ "type": "integer", "minimum": 0, "maximum": HIGHEST });
        json_schema!({
            "description": "Numbers of cores: `0`, `0-1,3`, or a list of them.",
            "anyOf": [
                number,
                text,
                { "type": "array", "minItems": 1, "items": { "anyOf": [number, text] } }
            ],
            "examples": [0, "0-1,3", [0, 2]],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match text.parse::<Cores>() {
            Ok(cores) => cores.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn numbers_and_ranges_are_read_and_printed_in_the_shortest_way() {
        assert_eq!(read("0"), "0");
        assert_eq!(read(" 3, 0 - 1,2 ,7"), "0-3,7");
        assert_eq!(read("5,5,4"), "4-5");
        let back: Cores = read("0-1,3").parse().unwrap();
        assert_eq!(back.numbers(), [0, 1, 3]);
    }

    #[test]
    fn what_is_no_core_is_refused_with_an_example() {
        for text in ["", "x", "-1", "1-", "0,,1", "+1", "0.5", "8192", "1 2"] {
            let said = read(text);
            assert!(
                said.contains("is no core") && said.contains("`0-1,3`"),
                "{text}: {said}"
            );
        }
        assert_eq!(read("3-1"), "`3-1` runs backwards; write `1-3`");
    }

    #[test]
    fn what_is_not_among_others_is_told() {
        let (some, others) = (Cores::of([0, 1, 5]), Cores::of([0, 1, 2]));
        assert_eq!(some.without(&others), Cores::of([5]));
        assert_eq!(others.count(), 3);
    }
}
