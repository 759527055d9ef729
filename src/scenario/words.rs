//! Puts what is wrong into words, with the place and the nearest right word.

use crate::terminal::diagnostic::Diagnostic;

use super::decode::{Fault, FaultKind};
use super::source::{Place, Source};
use super::suggest::did_you_mean;
use super::tree::{Node, Value};

/// The diagnostic for a fault of reading.
pub fn diagnostic(fault: &Fault, root: &Node, source: &Source) -> Diagnostic {
    let mut diagnostic = in_words(fault, root, source);
    if let Some(node) = fault.at.and_then(|at| root.at_place(at)) {
        diagnostic.message = node.discreet(diagnostic.message);
    }
    diagnostic
}

fn in_words(fault: &Fault, root: &Node, source: &Source) -> Diagnostic {
    let at = fault.at.unwrap_or(root.at);
    let path = path_of(root, at);
    match &fault.kind {
        FaultKind::Message(message) => {
            let message = match &path {
                Some(path) => format!("`{path}`: {message}"),
                None => message.clone(),
            };
            source.error(at, message)
        }
        FaultKind::UnknownKey { key, known } => {
            let parent = path.and_then(|path| Some(path.rsplit_once('.')?.0.to_owned()));
            let error = match parent {
                Some(parent) => source.error(at, format!("unknown key `{key}` in `{parent}`")),
                None => source.error(at, format!("unknown key `{key}`")),
            };
            with_suggestion(error, key, known, "keys")
        }
        FaultKind::UnknownWord { word, known } => {
            let error = match path {
                Some(path) => source.error(at, format!("`{path}` cannot be `{word}`")),
                None => source.error(at, format!("unknown word `{word}`")),
            };
            with_suggestion(error, word, known, "words")
        }
        FaultKind::Missing(field) => {
            let within = path.map(|path| format!(" in `{path}`")).unwrap_or_default();
            source
                .error(at, format!("`{field}` is missing{within}"))
                .help(match *field {
                    "brokers" => "for example `brokers: [nats, redis-streams]`".to_owned(),
                    "workload" => "for example `workload: {load: {rate: 5k/s}}`".to_owned(),
                    other => format!("add `{other}: …`"),
                })
        }
        FaultKind::Unexpected { found, expected } => {
            let expected = plain(expected);
            source.error(
                at,
                match path {
                    Some(path) => format!("`{path}` must be {expected}, not {found}"),
                    None => format!("expected {expected}, found {found}"),
                },
            )
        }
    }
}

fn with_suggestion(
    error: Diagnostic,
    word: &str,
    known: &[&'static str],
    what: &str,
) -> Diagnostic {
    let error = match did_you_mean(word, known.iter().copied()) {
        Some(label) if label.starts_with("did") => error.label(label),
        _ => error.label("not known here"),
    };
    error.help(format!("{what} here: {}", known.join(", ")))
}

/// The words of serde, in plain ones.
fn plain(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" => "a whole number from 0 to 4294967295".into(),
        "u64" | "usize" => "a whole number from 0".into(),
        "i64" | "i32" => "a whole number".into(),
        "f64" | "f32" => "a number".into(),
        "a boolean" => "`true` or `false`".into(),
        "a string" => "text".into(),
        "a sequence" => "a list, as in `[…]`".into(),
        _ if expected.starts_with("struct ") => "a map, as in `{key: value}`".into(),
        _ => expected.to_owned(),
    }
}

/// The dotted path of the key or value that stands at a place.
pub fn path_of(node: &Node, at: Place) -> Option<String> {
    let joined = |key: &str, below: Option<String>| match below {
        Some(below) if !below.is_empty() => format!("{key}.{below}"),
        _ => key.to_owned(),
    };
    match &node.value {
        Value::Map(entries) => entries.iter().find_map(|entry| {
            if entry.key_at == at || entry.node.at == at {
                // A map that begins where its first key begins is not that key.
                let below = path_of(&entry.node, at).filter(|_| entry.key_at != at);
                return Some(joined(&entry.key, below));
            }
            path_of(&entry.node, at).map(|below| joined(&entry.key, Some(below)))
        }),
        Value::List(items) => items.iter().enumerate().find_map(|(number, item)| {
            let below = path_of(item, at);
            (item.at == at || below.is_some()).then(|| joined(&number.to_string(), below))
        }),
        _ => None,
    }
}
