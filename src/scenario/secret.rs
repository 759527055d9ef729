//! Values from the environment, and the ones that must never be seen again.

use std::fmt;

use serde::{Serialize, Serializer};

use super::source::Place;
use super::tree::{Node, Value};

/// A password or token. It prints and is stored as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the value into keeping.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The value itself, for the one client that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Where the values of variables come from: the process's environment, or a test's own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable that is named in a scenario and not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unset {
    /// Its name.
    pub variable: String,
    /// The value that names it.
    pub at: Place,
}

/// Replaces `${NAME}` in every value below `node`; `$${NAME}` stands for the text `${NAME}`.
pub fn expand(node: &mut Node, environment: Environment, unset: &mut Vec<Unset>) {
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                expand(item, environment, unset);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand(&mut entry.node, environment, unset);
            }
        }
        Value::Text(text) if text.contains("${") => {
            let at = node.at;
            let (expanded, replaced) = expand_text(text, |name| {
                let value = environment(name);
                if value.is_none() {
                    unset.push(Unset {
                        variable: name.to_owned(),
                        at,
                    });
                }
                value.unwrap_or_default()
            });
            node.from_environment = replaced;
            // Unquoted text is read again: `publishers: ${N}` is meant as a number.
            node.value = match node.written.take() {
                Some(_) if replaced => scalar(&expanded),
                _ => Value::Text(expanded.clone()),
            };
            node.written = Some(expanded);
        }
        _ => {}
    }
}

fn scalar(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i128>() {
        Value::Whole(whole)
    } else if text == "true" || text == "false" {
        Value::Flag(text == "true")
    } else {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Number(number),
            _ => Value::Text(text.to_owned()),
        }
    }
}

/// The text with its variables replaced, and whether there was any.
fn expand_text(text: &str, mut value: impl FnMut(&str) -> String) -> (String, bool) {
    let mut out = String::with_capacity(text.len());
    let mut replaced = false;
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, variable) = rest.split_at(start);
        let name = variable[2..].find('}').map(|end| &variable[2..2 + end]);
        let name = name.filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        match (name, before.strip_suffix('$')) {
            (Some(name), None) => {
                out.push_str(before);
                out.push_str(&value(name));
                replaced = true;
                rest = &variable[3 + name.len()..];
            }
            (_, escaped) => {
                out.push_str(escaped.unwrap_or(before));
                out.push_str("${");
                rest = &variable[2..];
            }
        }
    }
    out.push_str(rest);
    (out, replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed_nor_stored() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn variables_are_replaced_and_a_doubled_dollar_escapes() {
        let shout = |text: &str| expand_text(text, |name| name.to_lowercase());
        assert_eq!(shout("${A}-${B}"), ("a-b".into(), true));
        assert_eq!(shout("$${A}"), ("${A}".into(), false));
        assert_eq!(shout("$${A}${B}"), ("${A}b".into(), true));
        assert_eq!(shout("${} ${a b} ${"), ("${} ${a b} ${".into(), false));
        assert_eq!(shout("cost $5"), ("cost $5".into(), false));
    }
}
