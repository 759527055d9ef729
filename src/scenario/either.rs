//! Values that are written in one of several forms: `load: max` or `load: {rate: 5k/s}`.
//!
//! An untagged enum would buffer the value and lose its place, so each form is read by its own method.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, de};

use super::document::{
    LoadDocument, LoadMap, MeasureDocument, SizeDocument, SizeMap, SizesDocument, SweepDocument,
    SweepRange, ThresholdDocument,
};
use super::units::Rate;

/// Reads a value that is either a scalar or a collection, without losing places as an untagged enum
/// would.
struct Either<T>(PhantomData<T>);

/// The alternatives of one [`Either`].
trait Alternatives<'de>: Sized {
    const EXPECTED: &'static str;

    fn text<E: de::Error>(text: &str) -> Result<Self, E>;

    fn number<E: de::Error>(number: f64) -> Result<Self, E> {
        Self::text(&number.to_string())
    }

    fn whole<E: de::Error>(number: u64) -> Result<Self, E> {
        Self::text(&number.to_string())
    }

    fn list<A: de::SeqAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(de::Error::invalid_type(
            de::Unexpected::Seq,
            &Self::EXPECTED,
        ))
    }

    fn map<A: de::MapAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(de::Error::invalid_type(
            de::Unexpected::Map,
            &Self::EXPECTED,
        ))
    }
}

impl<'de, T: Alternatives<'de>> de::Visitor<'de> for Either<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::text(text)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        T::whole(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        T::number(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        T::number(value)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        T::list(seq)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::map(map)
    }
}

/// `Deserialize` by way of [`Either`].
macro_rules! reads_either {
    ($($type:ty),+) => {
        $(impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Either(PhantomData))
            }
        })+
    };
}

reads_either!(
    LoadDocument,
    SweepDocument,
    SizesDocument,
    SizeDocument,
    MeasureDocument,
    ThresholdDocument
);

impl<'de> Alternatives<'de> for LoadDocument {
    const EXPECTED: &'static str = "`max` or a map such as `{rate: 5k/s}`";

    fn text<E: de::Error>(text: &str) -> Result<Self, E> {
        match text {
            "max" => Ok(LoadDocument::Max),
            _ if text.parse::<Rate>().is_ok() => {
                Err(E::custom(format!("write `{{rate: {text}}}`")))
            }
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &Self::EXPECTED)),
        }
    }

    fn map<A: de::MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        LoadMap::deserialize(MapAccessDeserializer::new(map))
            .map(|map| LoadDocument::Map(Box::new(map)))
    }
}

impl<'de> Alternatives<'de> for SweepDocument {
    const EXPECTED: &'static str =
        "a list of rates, or a range such as `{from: 1k/s, to: 100k/s, steps: 10}`";

    fn text<E: de::Error>(text: &str) -> Result<Self, E> {
        match text.parse::<Rate>() {
            Ok(_) => Err(E::custom(format!(
                "one rate is no sweep; write `{{rate: {text}}}`, or several: `sweep: [{text}, …]`"
            ))),
            Err(_) => Err(E::invalid_value(de::Unexpected::Str(text), &Self::EXPECTED)),
        }
    }

    fn list<A: de::SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(SweepDocument::Rates)
    }

    fn map<A: de::MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        SweepRange::deserialize(MapAccessDeserializer::new(map)).map(SweepDocument::Range)
    }
}

impl<'de> Alternatives<'de> for SizesDocument {
    const EXPECTED: &'static str = "a size such as `256B`, or a list of them";

    fn text<E: de::Error>(text: &str) -> Result<Self, E> {
        text.parse().map(SizesDocument::One).map_err(E::custom)
    }

    fn list<A: de::SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut sizes = Vec::new();
        while let Some(size) = seq.next_element()? {
            sizes.push(size);
        }
        Ok(SizesDocument::Several(sizes))
    }
}

impl<'de> Alternatives<'de> for SizeDocument {
    const EXPECTED: &'static str = "a size such as `256B`, or `{size: 256B, weight: 3}`";

    fn text<E: de::Error>(text: &str) -> Result<Self, E> {
        let size = text.parse().map_err(E::custom)?;
        Ok(SizeDocument { size, weight: 1.0 })
    }

    fn map<A: de::MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        let map = SizeMap::deserialize(MapAccessDeserializer::new(map))?;
        Ok(SizeDocument {
            size: map.size,
            weight: map.weight.unwrap_or(1.0),
        })
    }
}

impl<'de> Alternatives<'de> for MeasureDocument {
    const EXPECTED: &'static str = "a time such as `20s`, or a number of messages such as `100000`";

    fn text<E: de::Error>(text: &str) -> Result<Self, E> {
        text.parse().map(MeasureDocument::Time).map_err(E::custom)
    }

    fn whole<E: de::Error>(number: u64) -> Result<Self, E> {
        Ok(MeasureDocument::Count(number))
    }
}

impl<'de> Alternatives<'de> for ThresholdDocument {
    const EXPECTED: &'static str = "a condition such as `p99(end_to_end) < 20ms`";

    fn text<E: de::Error>(text: &str) -> Result<Self, E> {
        Ok(ThresholdDocument {
            broker: None,
            text: text.to_owned(),
        })
    }

    fn map<A: de::MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let Some((broker, text)) = map.next_entry()? else {
            return Err(de::Error::invalid_type(
                de::Unexpected::Map,
                &Self::EXPECTED,
            ));
        };
        if map.next_key::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::custom(
                "one condition to an item: begin each with `- `",
            ));
        }
        Ok(ThresholdDocument {
            broker: Some(broker),
            text,
        })
    }
}
