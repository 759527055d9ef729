//! Reads the types of a scenario from its tree, and keeps the place of whatever is wrong.

use std::fmt;

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor, value::StrDeserializer};
use serde::{Deserialize, forward_to_deserialize_any};

use super::source::Place;
use super::tree::{Entry, Node, Value};

/// What is wrong with a value, before it is put into words.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The innermost value that it is about.
    pub at: Option<Place>,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// In words already.
    Message(String),
    /// A key that does not belong here.
    UnknownKey {
        /// As written.
        key: String,
        /// What could stand here.
        known: &'static [&'static str],
    },
    /// A word that is none of those allowed.
    UnknownWord {
        /// As written.
        word: String,
        /// What could stand here.
        known: &'static [&'static str],
    },
    /// A key that must be there and is not.
    Missing(&'static str),
    /// A value of another kind than what belongs here.
    Unexpected {
        /// What was found.
        found: String,
        /// What belongs here.
        expected: String,
    },
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Fault { at: None, kind }
    }

    fn or_at(mut self, place: Place) -> Self {
        self.at.get_or_insert(place);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::new(FaultKind::Message(message.to_string()))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Fault::new(FaultKind::UnknownKey {
            key: key.to_owned(),
            known,
        })
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Fault::new(FaultKind::UnknownWord {
            word: word.to_owned(),
            known,
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Fault::new(FaultKind::Missing(field))
    }

    fn invalid_type(found: de::Unexpected, expected: &dyn de::Expected) -> Self {
        Fault::new(FaultKind::Unexpected {
            found: in_words(found),
            expected: expected.to_string(),
        })
    }

    fn invalid_value(found: de::Unexpected, expected: &dyn de::Expected) -> Self {
        Fault::invalid_type(found, expected)
    }
}

fn in_words(found: de::Unexpected) -> String {
    match found {
        de::Unexpected::Bool(value) => format!("`{value}`"),
        de::Unexpected::Unsigned(value) => format!("`{value}`"),
        de::Unexpected::Signed(value) => format!("`{value}`"),
        de::Unexpected::Float(value) => format!("`{value}`"),
        de::Unexpected::Str(value) => format!("`{value}`"),
        de::Unexpected::Unit => "nothing".into(),
        de::Unexpected::Seq => "a list".into(),
        de::Unexpected::Map => "a map".into(),
        other => other.to_string(),
    }
}

/// Reads a `T`.
pub fn decode<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Fault> {
    T::deserialize(Decoder(node)).map_err(|fault| fault.or_at(node.at))
}

struct Decoder<'de>(&'de Node);

impl<'de> Decoder<'de> {
    fn scalar(&self) -> bool {
        !matches!(self.0.value, Value::List(_) | Value::Map(_))
    }

    /// A fault of a scalar is about the scalar; that of a list or map is about its key, which the
    /// caller knows.
    fn located<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        if self.scalar() && self.0.value != Value::Null {
            result.map_err(|fault| fault.or_at(self.0.at))
        } else {
            result
        }
    }
}

impl<'de> de::Deserializer<'de> for Decoder<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Flag(value) => visitor.visit_bool(*value),
            Value::Whole(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(*value),
            },
            Value::Number(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries {
                rest: entries.iter(),
                value: None,
            }),
        };
        self.located(result)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.text() {
            Some(text) => self.located(visitor.visit_borrowed_str(text)),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// `workload:` with nothing under it is a map in which every key has its default.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0.value {
            Value::Null => visitor.visit_map(Entries {
                rest: [].iter(),
                value: None,
            }),
            Value::List(_) => Err(de::Error::invalid_type(de::Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let one_of = || format!("one of {}", known.join(", "));
        match &self.0.value {
            Value::Map(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant {
                    word: &entry.key,
                    at: entry.key_at,
                    value: Some(entry),
                }),
                _ => Err(Fault::new(FaultKind::Unexpected {
                    found: format!("a map of {}", entries.len()),
                    expected: one_of(),
                })),
            },
            _ => match self.0.text() {
                Some(word) => visitor.visit_enum(Variant {
                    word,
                    at: self.0.at,
                    value: None,
                }),
                None => self.located(Err(Fault::new(FaultKind::Unexpected {
                    found: self.0.kind().to_owned(),
                    expected: one_of(),
                }))),
            },
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        self.0
            .next()
            .map(|node| {
                seed.deserialize(Decoder(node))
                    .map_err(|fault| fault.or_at(node.at))
            })
            .transpose()
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.value = self.rest.next();
        self.value
            .map(|entry| {
                let key: StrDeserializer<Fault> = entry.key.as_str().into_deserializer();
                seed.deserialize(key)
                    .map_err(|fault| fault.or_at(entry.key_at))
            })
            .transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some(entry) = self.value.take() else {
            return Err(de::Error::custom("a value without its key"));
        };
        seed.deserialize(Decoder(&entry.node))
            .map_err(|fault| fault.or_at(entry.key_at))
    }
}

struct Variant<'de> {
    word: &'de str,
    at: Place,
    value: Option<&'de Entry>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let word: StrDeserializer<Fault> = self.word.into_deserializer();
        let value = seed
            .deserialize(word)
            .map_err(|fault| fault.or_at(self.at))?;
        Ok((value, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.value {
            None => Ok(()),
            Some(_) => Err(Fault {
                at: Some(self.at),
                kind: FaultKind::Message(format!("`{}` takes no value", self.word)),
            }),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        match self.value {
            Some(entry) => seed
                .deserialize(Decoder(&entry.node))
                .map_err(|fault| fault.or_at(entry.key_at)),
            None => Err(Fault {
                at: Some(self.at),
                kind: FaultKind::Message(format!("`{0}` needs a value: `{{{0}: …}}`", self.word)),
            }),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        Err(Fault::new(FaultKind::Unexpected {
            found: format!("`{}`", self.word),
            expected: format!("{}", &visitor as &dyn de::Expected),
        }))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.tuple_variant(0, visitor)
    }
}
