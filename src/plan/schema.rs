//! The scenario's JSON schema and its page in the manual, made from the types that are read and from
//! what the drivers declare.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::drivers::descriptor::{Descriptor, OptionKind, OptionSpec};
use crate::scenario::document::Document;
use crate::scenario::unsupported;

/// The schema, with the options of these drivers.
pub fn schema(drivers: &[&Descriptor]) -> Value {
    let mut schema = schemars::schema_for!(Document).to_value();
    let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) else {
        return schema;
    };
    let common = definitions.get("Broker").cloned().unwrap_or_default();
    for driver in drivers {
        definitions.insert(definition(driver), broker(&common, driver));
    }
    let reference =
        |driver: &&Descriptor| json!({ "$ref": format!("#/$defs/{}", definition(driver)) });
    let named: Map<String, Value> = drivers
        .iter()
        .map(|driver| {
            let entry = json!({ "anyOf": [reference(driver), { "type": "null" }] });
            (driver.name.to_owned(), entry)
        })
        .collect();
    let names: Vec<&str> = drivers.iter().map(|driver| driver.name).collect();
    let by_driver: Vec<Value> = drivers
        .iter()
        .map(|driver| {
            json!({
                "if": { "properties": { "driver": { "const": driver.name } } },
                "then": reference(driver)
            })
        })
        .collect();
    let entries = json!({
        "type": "object",
        "minProperties": 1,
        "properties": named,
        "propertyNames": { "pattern": "^[A-Za-z0-9_-]{1,60}$" },
        "additionalProperties": {
            "type": "object",
            "required": ["driver"],
            "properties": { "driver": { "enum": names } },
            "allOf": by_driver
        }
    });
    definitions.insert(
        "Brokers".to_owned(),
        json!({
            "anyOf": [
                {
                    "type": "array",
                    "minItems": 1,
                    "uniqueItems": true,
                    "items": { "anyOf": [{ "enum": names }, entries] }
                },
                entries
            ]
        }),
    );
    schema
}

fn definition(driver: &Descriptor) -> String {
    format!("Broker-{}", driver.name)
}

fn broker(common: &Value, driver: &Descriptor) -> Value {
    let mut broker = common.clone();
    broker["description"] = json!(driver.about);
    if let Some(properties) = broker.get_mut("properties").and_then(Value::as_object_mut) {
        for option in driver.options {
            properties.insert(option.name.to_owned(), option_schema(option));
        }
    }
    broker
}

fn option_schema(option: &OptionSpec) -> Value {
    let time = json!({ "$ref": "#/$defs/Time" });
    let mut schema = match option.kind {
        OptionKind::Choice(words) => json!({ "enum": words }),
        OptionKind::Count(least, u64::MAX) => json!({ "type": "integer", "minimum": least }),
        OptionKind::Count(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        OptionKind::Time => time,
        OptionKind::Size => json!({ "$ref": "#/$defs/Size" }),
        OptionKind::Fraction => json!({ "$ref": "#/$defs/Fraction" }),
        OptionKind::Flag => json!({ "type": "boolean" }),
        OptionKind::Text => json!({ "type": ["string", "number", "boolean"] }),
        OptionKind::Stall => json!({
            "type": "object",
            "properties": { "at": time, "for": time },
            "required": ["at", "for"],
            "additionalProperties": false
        }),
    };
    let about = match option.default {
        Some(default) => format!("{} (default {default})", option.about),
        None => option.about.to_owned(),
    };
    schema["description"] = json!(about);
    schema
}

/// The text of `schema/scenario.json`.
pub fn schema_text(drivers: &[&Descriptor]) -> String {
    format!("{:#}\n", schema(drivers))
}

/// The sections of the page, in the order in which a reader meets them: title, definition.
const SECTIONS: &[(&str, Option<&str>)] = &[
    ("The scenario", None),
    ("`workload`", Some("Workload")),
    ("`workload.message`", Some("Message")),
    ("`workload.load`", Some("LoadSchedule")),
    ("`workload.load.sweep`", Some("SweepRange")),
    ("`workload.ack`", Some("Ack")),
    ("`phases`", Some("Phases")),
    ("`disturbed`", Some("Disturbed")),
    ("`cores`", Some("Pinned")),
    ("`limits`", Some("Limits")),
    ("An entry of `brokers`", Some("Broker")),
    ("`managed`", Some("Managed")),
    ("`tls`", Some("Tls")),
];

/// The text of `docs/scenario.md`.
pub fn reference(drivers: &[&Descriptor]) -> String {
    let schema = schema(drivers);
    let mut page = String::from(INTRODUCTION);
    for (title, name) in SECTIONS {
        let object = match name {
            Some(name) => &schema["$defs"][name],
            None => &schema,
        };
        let _ = write!(page, "\n## {title}\n\n");
        if let Some(about) = object["description"].as_str() {
            let _ = write!(page, "{about}\n\n");
        }
        page.push_str("| key | takes | what it is |\n|---|---|---|\n");
        let required: Vec<&str> = object["required"]
            .as_array()
            .map(|keys| keys.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for (key, value) in object["properties"].as_object().into_iter().flatten() {
            let must = if required.contains(&key.as_str()) {
                " **Required.**"
            } else {
                ""
            };
            let about = cell(value["description"].as_str().unwrap_or(""));
            let takes = cell(&takes(value, &schema));
            let _ = writeln!(page, "| `{key}` | {takes} | {about}{must} |");
        }
    }
    page.push_str("\n## Options of each driver\n\nBesides the keys of every entry. `mqbench drivers NAME` prints the same, with what the driver offers.\n");
    for driver in drivers {
        let _ = write!(page, "\n### `{}`\n\n{}\n", driver.name, driver.about);
        if driver.options.is_empty() {
            page.push_str("\nNo options of its own.\n");
            continue;
        }
        page.push_str("\n| key | takes | what it is |\n|---|---|---|\n");
        for option in driver.options {
            let value = option_schema(option);
            let takes = match option.kind {
                OptionKind::Stall => "`{at: 3s, for: 1s}`".to_owned(),
                _ => takes(&value, &schema),
            };
            let about = cell(value["description"].as_str().unwrap_or(""));
            let _ = writeln!(page, "| `{}` | {} | {about} |", option.name, cell(&takes));
        }
    }
    page.push_str("\n## Not supported yet\n\nRead, and refused by name until the code is there.\n\n| setting | instead |\n|---|---|\n");
    for (setting, instead) in unsupported::all() {
        let _ = writeln!(page, "| `{setting}` | {} |", cell(instead));
    }
    page
}

const INTRODUCTION: &str = "\
# Scenarios

A scenario is a YAML file that says what to run, against which brokers, and what must come out.
`mqbench check FILE` prints what it means, with every default filled in, and touches nothing;
`mqbench init` writes one to begin with. An editor that reads the first line of the built-in scenarios
completes keys and marks mistakes by `schema/scenario.json`.

Times, sizes and rates carry their unit: `10ms`, `1m30s`; `256B`, `1KiB` (1024), `1kB` (1000); `5k/s`,
`1.5M/s`, `60/min`. Shares are `1%` or `0.01`. `${NAME}` in a value stands for the environment variable;
`$${NAME}` for that very text. Passwords and tokens must come from the environment, because the text
of a scenario is stored with its results.

This page is made from the schema; change the types in `src/scenario/document.rs` instead.
";

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// What a value may be, in few words.
fn takes(value: &Value, schema: &Value) -> String {
    if let Some(name) = value["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return named(name, schema);
    }
    if let Some(word) = value["const"].as_str() {
        return format!("`{word}`");
    }
    if let Some(words) = value["enum"].as_array() {
        let words: Vec<String> = words
            .iter()
            .filter_map(Value::as_str)
            .map(|word| format!("`{word}`"))
            .collect();
        return words.join(", ");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(forms) = value[key].as_array() {
            let mut forms: Vec<String> = forms
                .iter()
                .filter(|form| form["type"] != "null")
                .map(|form| takes(form, schema))
                .collect();
            forms.dedup();
            return forms.join(", ");
        }
    }
    let kinds: Vec<&str> = match &value["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match kinds.iter().find(|kind| **kind != "null") {
        Some(&"array") => format!("list of {}", takes(&value["items"], schema)),
        Some(&"boolean") => "`true`, `false`".to_owned(),
        Some(&"integer") => match (value["minimum"].as_u64(), value["maximum"].as_u64()) {
            (Some(least), Some(most)) if most < u64::from(u32::MAX) => {
                format!("{least} to {most}")
            }
            (Some(1), _) => "number from 1".to_owned(),
            _ => "number".to_owned(),
        },
        Some(&"object") => object(value),
        Some(&"string") => "text".to_owned(),
        Some(kind) => (*kind).to_owned(),
        None => "anything".to_owned(),
    }
}

/// `{file: …}`.
fn object(value: &Value) -> String {
    let keys: Vec<String> = value["properties"]
        .as_object()
        .map(|properties| properties.keys().map(|key| format!("{key}: …")).collect())
        .unwrap_or_default();
    match keys.len() {
        0 => "map".to_owned(),
        _ => format!("`{{{}}}`", keys.join(", ")),
    }
}

/// A definition: its own words for quantities, its section for maps.
fn named(name: &str, schema: &Value) -> String {
    match name {
        "Rate" => "rate".to_owned(),
        "Size" => "size".to_owned(),
        "Time" => "time".to_owned(),
        "Fraction" => "share".to_owned(),
        "Threshold" => "condition".to_owned(),
        "Brokers" => "list of names, map of entries".to_owned(),
        "Cores" => "core, range, list of them".to_owned(),
        "Sizes" => "size, list of sizes with weights".to_owned(),
        "Load" => "`max`, a map as below".to_owned(),
        "Step" => "`{rate: …, for: …}`".to_owned(),
        _ if SECTIONS.iter().any(|(_, section)| *section == Some(name)) => {
            "map, as below".to_owned()
        }
        _ => takes(&schema["$defs"][name], schema),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers;

    fn registered() -> Vec<&'static Descriptor> {
        drivers::descriptors().collect()
    }

    /// The file is what the code makes. With `UPDATE_GENERATED=1` it is written instead of compared.
    fn up_to_date(file: &str, made: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == made,
            "{file} is out of date: run `UPDATE_GENERATED=1 cargo test --lib plan::schema`"
        );
    }

    #[test]
    fn the_schema_file_is_what_the_types_make() {
        up_to_date("schema/scenario.json", &schema_text(&registered()));
    }

    #[test]
    fn the_page_of_the_manual_is_what_the_schema_makes() {
        up_to_date("docs/scenario.md", &reference(&registered()));
    }

    #[test]
    fn every_reference_in_the_schema_leads_somewhere() {
        fn check(value: &Value, schema: &Value) {
            if let Some(target) = value["$ref"].as_str() {
                let pointer = target.trim_start_matches('#');
                assert!(schema.pointer(pointer).is_some(), "{target}");
            }
            match value {
                Value::Object(map) => map.values().for_each(|v| check(v, schema)),
                Value::Array(list) => list.iter().for_each(|v| check(v, schema)),
                _ => {}
            }
        }
        let schema = schema(&registered());
        check(&schema, &schema);
        assert!(schema["$defs"]["Broker-loopback"]["properties"]["delay"].is_object());
        assert!(schema["$defs"]["Broker-loopback"]["properties"]["url"].is_object());
    }

    #[test]
    fn the_page_shows_every_key_of_the_schema() {
        let schema = schema(&registered());
        let page = reference(&registered());
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            // Described where they are used: in the options of drivers, in lists.
            if ["Transaction", "Step", "WeightedSize", "Arrival", "Payload"]
                .contains(&name.as_str())
            {
                continue;
            }
            for key in definition["properties"].as_object().into_iter().flatten() {
                assert!(
                    page.contains(&format!("| `{}` |", key.0)),
                    "{name}.{}",
                    key.0
                );
            }
        }
    }
}
