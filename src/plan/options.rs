//! Checks a driver's options against what the driver declares, and fills in its defaults.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::drivers::descriptor::{Descriptor, OptionKind, OptionSpec};
use crate::scenario::brokers::COMMON_KEYS;
use crate::scenario::suggest::{did_you_mean, nearest};
use crate::scenario::tree::{Node, Value};
use crate::scenario::units::{Fraction, Size, duration};
use crate::scenario::{BrokerEntry, Place, Scenario};
use crate::terminal::diagnostic::Diagnostic;

/// What is wrong with a value, and words for beside the marker.
type Wrong = (String, Option<String>);

/// Every option that has a value, by name.
pub fn resolve(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &Descriptor,
    errors: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Json> {
    let mut options = BTreeMap::new();
    for spec in driver.options {
        let given = entry.options.iter().find(|option| option.name == spec.name);
        let value = match given {
            Some(option) => read(spec.kind, &option.value).map_err(|(message, label)| {
                let at = match option.value.value {
                    Value::List(_) | Value::Map(_) | Value::Null => option.at,
                    _ => option.value.at,
                };
                let message = option.value.discreet(message);
                let message = format!("`{}` of {}: {message}", spec.name, entry.label);
                let error = scenario.error(at, message).help(spec.about);
                errors.push(match label {
                    Some(label) => error.label(label),
                    None => error,
                });
            }),
            None => match spec.default {
                Some(default) => Ok(default_value(spec, default)),
                None => continue,
            },
        };
        if let Ok(value) = value {
            options.insert(spec.name.to_owned(), value);
        }
    }
    for option in &entry.options {
        if driver.options.iter().all(|spec| spec.name != option.name) {
            errors.push(unknown(scenario, &option.name, option.at, driver));
        }
    }
    options
}

fn unknown(scenario: &Scenario, name: &str, at: Place, driver: &Descriptor) -> Diagnostic {
    let error = scenario.error(at, format!("unknown broker option `{name}`"));
    let own = driver.options.iter().map(|spec| spec.name);
    let known: Vec<&str> = own.chain(COMMON_KEYS.iter().copied()).collect();
    let error = match nearest(name, known.iter().copied()) {
        Some(near) => error.label(format!("did you mean `{near}`?")),
        None => error.label(format!("{} has no such option", driver.name)),
    };
    error.help(format!(
        "options of {0}: `mqbench drivers {0}`",
        driver.name
    ))
}

/// A declared default, as the same value that a scenario would give.
fn default_value(spec: &OptionSpec, default: &str) -> Json {
    match spec.kind {
        OptionKind::Count(..) => default.parse::<u64>().map_or(json!(default), |n| json!(n)),
        OptionKind::Flag => json!(default == "true"),
        _ => json!(default),
    }
}

/// The value as it is stored: numbers and flags as such, everything with a unit as its text.
fn read(kind: OptionKind, node: &Node) -> Result<Json, Wrong> {
    let found = || match node.text() {
        Some(text) => format!("`{text}`"),
        None => node.kind().to_owned(),
    };
    let wrong = |expected: &str| (format!("expected {expected}, not {}", found()), None);
    let unit = |message: String| (message, None);
    match kind {
        OptionKind::Choice(words) => {
            let list = words.join(", ");
            let text = node
                .text()
                .ok_or_else(|| wrong(&format!("one of {list}")))?;
            if words.contains(&text) {
                return Ok(json!(text));
            }
            let label = did_you_mean(text, words.iter().copied());
            Err((format!("`{text}` is none of {list}"), label))
        }
        OptionKind::Count(least, most) => match node.value {
            Value::Whole(number) => u64::try_from(number)
                .ok()
                .filter(|number| (least..=most).contains(number))
                .map(|number| json!(number))
                .ok_or_else(|| wrong(&between(least, most))),
            _ => Err(wrong(&between(least, most))),
        },
        OptionKind::Time => {
            let text = node.text().ok_or_else(|| wrong("a time such as `10ms`"))?;
            let time = duration::parse(text).map_err(|e| unit(e.to_string()))?;
            Ok(json!(duration::text(time)))
        }
        OptionKind::Size => {
            let text = node.text().ok_or_else(|| wrong("a size such as `1KiB`"))?;
            let size: Size = text
                .parse()
                .map_err(|e: crate::scenario::units::UnitError| unit(e.to_string()))?;
            Ok(json!(size.to_string()))
        }
        OptionKind::Fraction => {
            let text = node.text().ok_or_else(|| wrong("a share such as `1%`"))?;
            let share: Fraction = text
                .parse()
                .map_err(|e: crate::scenario::units::UnitError| unit(e.to_string()))?;
            Ok(json!(share.to_string()))
        }
        OptionKind::Flag => match node.value {
            Value::Flag(flag) => Ok(json!(flag)),
            _ => Err(wrong("`true` or `false`")),
        },
        OptionKind::Text => node
            .text()
            .map(|text| json!(text))
            .ok_or_else(|| wrong("text")),
        OptionKind::Stall => stall(node).ok_or_else(|| wrong("`{at: 3s, for: 1s}`")),
    }
}

fn between(least: u64, most: u64) -> String {
    match most {
        u64::MAX => format!("a whole number from {least}"),
        _ => format!("a whole number from {least} to {most}"),
    }
}

/// `{at: 3s, for: 1s}`, with exactly these two.
fn stall(node: &Node) -> Option<Json> {
    let time = |key: &str| {
        let text = node.get(key)?.node.text()?;
        duration::parse(text).ok().map(duration::text)
    };
    (node.entries().len() == 2)
        .then(|| Some(json!({ "at": time("at")?, "for": time("for")? })))
        .flatten()
}
