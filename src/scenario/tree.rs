//! YAML as a tree in which every key and value knows where it was written.
//!
//! Everything else reads this tree: `--set` changes it, the types of [`super::document`] are read
//! from it, and errors of any later step find their place in it.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_saphyr::{Location, Spanned};

use super::source::{Braces, Place};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub at: Place,
    /// The text as written, for a value that YAML reads as something else (`0123`, `true`).
    pub written: Option<String>,
    /// Whether a part of it came from the environment.
    pub from_environment: bool,
}

/// A plain value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Whole(i128),
    /// Any other number.
    Number(f64),
    /// Text.
    Text(String),
    /// `[…]`.
    List(Vec<Node>),
    /// `{…}`, in the order written.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_at: Place,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// A value of which only the place is known.
    pub fn new(value: Value, at: Place) -> Self {
        Node {
            value,
            at,
            written: None,
            from_environment: false,
        }
    }

    /// The entries of a map; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of a map.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The text of a scalar as it was written.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Null => None,
            _ => self.written.as_deref(),
        }
    }

    /// A message about this value, in which the value itself is not shown if it came from the
    /// environment.
    pub fn discreet(&self, message: String) -> String {
        match self.text() {
            Some(text) if self.from_environment && !text.is_empty() => {
                message.replace(text, "…").replace(text.trim(), "…")
            }
            _ => message,
        }
    }

    /// The value that stands at a place.
    pub fn at_place(&self, at: Place) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find_map(|entry| entry.node.at_place(at)),
            Value::List(items) => items.iter().find_map(|item| item.at_place(at)),
            _ => (self.at == at).then_some(self),
        }
    }

    /// What kind of thing it is, for a sentence.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Flag(_) => "true or false",
            Value::Whole(_) => "a whole number",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Where the value under this dotted path stands: a scalar's own place, the key of a list or map,
    /// and the nearest ancestor that is there if the value is not. List items are numbered from 0.
    pub fn place(&self, path: &str) -> Place {
        let mut node = self;
        let mut place = self.at;
        for segment in path.split('.').filter(|s| !s.is_empty()) {
            let (key_at, next) = match &node.value {
                Value::Map(_) => match node.get(segment) {
                    Some(entry) => (entry.key_at, &entry.node),
                    None => return place,
                },
                Value::List(items) => {
                    match segment.parse::<usize>().ok().and_then(|i| items.get(i)) {
                        Some(item) => (item.at, item),
                        None => return place,
                    }
                }
                _ => return place,
            };
            node = next;
            place = match node.value {
                Value::List(_) | Value::Map(_) | Value::Null => key_at,
                _ => node.at,
            };
        }
        place
    }

    /// Whether a value stands under this dotted path.
    pub fn has(&self, path: &str) -> bool {
        let mut node = self;
        for segment in path.split('.') {
            match node.get(segment) {
                Some(entry) => node = &entry.node,
                None => return false,
            }
        }
        node.value != Value::Null
    }
}

/// Why a text is not YAML that can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct YamlError {
    /// One line.
    pub message: String,
    /// Where it was noticed.
    pub at: Place,
}

/// Reads one document. `source` is the number that places get.
pub fn read(text: &str, source: u16, braces: &Braces) -> Result<Node, YamlError> {
    let shielded = braces.shield(text);
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 50_000,
            max_events: 200_000,
        },
        strict_booleans: true,
        with_snippet: false,
    };
    let raw: Raw = serde_saphyr::from_str_with_options(&shielded, options).map_err(|error| {
        let error = error.without_snippet();
        let at = error.location().unwrap_or(Location::UNKNOWN);
        YamlError {
            message: braces.restore(&first_line(&error.to_string())),
            at: place(at, source),
        }
    })?;
    Ok(raw.located(&shielded, source, braces))
}

/// The library's message without its own account of the place.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let end = line
        .rfind(" at line ")
        .or_else(|| line.rfind(" (line "))
        .unwrap_or(line.len());
    let line = line[..end].trim_start_matches("error: ");
    // What follows is advice for programmers of the library.
    let line = line
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(line);
    line.replace("duplicate mapping key: ", "duplicate key ")
}

fn place(location: Location, source: u16) -> Place {
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        source,
        line: small(location.line()).max(1),
        column: small(location.column()).max(1),
        width: small(location.span().len()).max(1),
    }
}

/// The tree as the YAML library hands it over.
struct Raw(Spanned<RawValue>);

enum RawValue {
    Scalar(Value),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn located(self, text: &str, source: u16, braces: &Braces) -> Node {
        let at = place(self.0.referenced, source);
        let span = self.0.defined.span();
        let written = || {
            let start = usize::try_from(span.byte_offset()?).ok()?;
            let length = usize::try_from(span.byte_len()?).ok()?;
            text.get(start..start.checked_add(length)?)
        };
        match self.0.value {
            RawValue::Scalar(value) => {
                let quoted = written().is_some_and(|w| w.starts_with(['"', '\'', '|', '>']));
                let (value, written) = match value {
                    Value::Text(text) => (
                        Value::Text(braces.restore(&text)),
                        // Marks plain text, which an environment variable may turn into a number.
                        (!quoted).then(|| braces.restore(&text)),
                    ),
                    value => (value, written().map(|text| braces.restore(text.trim()))),
                };
                Node {
                    written,
                    ..Node::new(value, at)
                }
            }
            RawValue::List(items) => Node::new(
                Value::List(
                    items
                        .into_iter()
                        .map(|item| item.located(text, source, braces))
                        .collect(),
                ),
                Place { width: 1, ..at },
            ),
            RawValue::Map(entries) => Node::new(
                Value::Map(
                    entries
                        .into_iter()
                        .map(|(key, node)| Entry {
                            key_at: place(key.referenced, source),
                            key: braces.restore(&key.value),
                            node: node.located(text, source, braces),
                        })
                        .collect(),
                ),
                Place { width: 1, ..at },
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> de::Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Flag(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Whole(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Whole(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Whole(value)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(match i128::try_from(value) {
            Ok(value) => Value::Whole(value),
            Err(_) => Value::Number(value as f64),
        }))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Number(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<RawValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(RawValue::List(items))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(RawValue::Map(entries))
    }
}
