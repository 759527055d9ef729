//! What is not the same about two runs: read before their figures are.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::results::Results;

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// What was asked for: figures answer other questions.
    Scenario,
    /// Where it was run: figures are of something else.
    Machine,
    /// Which programs were run: what one may want to compare.
    Version,
}

impl About {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            About::Scenario => "scenario",
            About::Machine => "machine",
            About::Version => "version",
        }
    }
}

/// Something that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub about: About,
    /// Its name: `workload.load.rate`, `kernel`, `nats: server`.
    pub what: String,
    /// In the first run; empty where it has none.
    pub one: String,
    /// In the second run; empty where it has none.
    pub other: String,
}

/// All differences that may explain one in the figures, those of the scenario first. How often was measured,
/// in which order and when is none.
pub fn differences(one: &Results, other: &Results) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |about, one: Facts, other: Facts| {
        let names = one.keys().chain(other.keys());
        let names: std::collections::BTreeSet<&String> = names.collect();
        let text = |facts: &Facts, name: &String| facts.get(name).cloned().unwrap_or_default();
        for name in names {
            let (first, second) = (text(&one, name), text(&other, name));
            if first != second {
                found.push(Difference {
                    about,
                    what: name.clone(),
                    one: first,
                    other: second,
                });
            }
        }
    };
    add(About::Scenario, asked(one, other), asked(other, one));
    add(About::Machine, machine(one), machine(other));
    add(About::Version, versions(one, other), versions(other, one));
    found
}

/// Text by name.
type Facts = BTreeMap<String, String>;

/// Labels that both runs have: of others nothing is compared.
fn common<'a>(run: &'a Results, beside: &'a Results) -> impl Iterator<Item = usize> + 'a {
    let brokers = run.plan.brokers.iter().enumerate();
    let known = |label: &str| beside.plan.brokers.iter().any(|it| it.label == label);
    brokers
        .filter(move |(_, broker)| known(&broker.label))
        .map(|(place, _)| place)
}

fn asked(run: &Results, beside: &Results) -> Facts {
    let mut facts = Facts::new();
    flatten("workload", &run.plan.workload, &mut facts);
    flatten("phases", &run.plan.phases, &mut facts);
    flatten("cores", &run.plan.placement.cores, &mut facts);
    flatten("limits", &run.plan.placement.limits, &mut facts);
    for place in common(run, beside) {
        let broker = &run.plan.brokers[place];
        let label = &broker.label;
        flatten(&format!("{label}: options"), &broker.options, &mut facts);
        flatten(&format!("{label}: gives"), &broker.offer, &mut facts);
        if let Some(provenance) = run.provenance.broker(place) {
            for (key, value) in &provenance.server_settings {
                facts.insert(format!("{label}: {key}"), value.clone());
            }
            for bound in &provenance.server_bounds {
                let by = bound.by.as_deref().unwrap_or("not enforced");
                facts.insert(format!("{label}: {}", bound.what), by.to_owned());
            }
        }
    }
    facts
}

fn machine(run: &Results) -> Facts {
    let host = &run.provenance.host;
    let governor = host.governor.clone().unwrap_or_default();
    // A kernel keeps a little more for itself at times.
    let memory = (host.memory_bytes as f64 / f64::from(1 << 30)).round();
    let memory = format!("{memory} GiB");
    let facts = [
        ("machine", host.id.clone()),
        ("processor", host.cpu.clone()),
        ("cores", host.cores.to_string()),
        ("governor", governor),
        ("kernel", host.kernel.clone()),
        ("memory", memory),
        ("virtual machine", host.virtual_machine.to_string()),
    ];
    let named = facts.into_iter();
    named.map(|(name, text)| (name.to_owned(), text)).collect()
}

fn versions(run: &Results, beside: &Results) -> Facts {
    let mut facts = Facts::new();
    let commit = run.manifest.git_commit.clone().unwrap_or_default();
    facts.insert("mqbench".to_owned(), run.manifest.tool_version.clone());
    facts.insert("commit of mqbench".to_owned(), commit);
    for place in common(run, beside) {
        let label = &run.plan.brokers[place].label;
        let Some(provenance) = run.provenance.broker(place) else {
            continue;
        };
        facts.insert(format!("{label}: client"), provenance.client.clone());
        if let Some(version) = &provenance.server_version {
            facts.insert(format!("{label}: server"), version.clone());
        }
    }
    facts
}

/// Every value of something that is stored, by its path.
fn flatten(name: &str, stored: &impl Serialize, into: &mut Facts) {
    // What is stored in every result can be stored.
    if let Ok(value) = serde_json::to_value(stored) {
        walk(name, &value, into);
    }
}

fn walk(path: &str, value: &Value, into: &mut Facts) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                walk(&format!("{path}.{key}"), value, into);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                walk(&format!("{path}[{i}]"), value, into);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
        }
        other => {
            into.insert(path.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample;
    use crate::scenario::units::Rate;
    use crate::scenario::workload::{Arrival, Load};

    #[test]
    fn equal_runs_have_none() {
        let run = sample::run(sample::plan(&["nats"], 2), &[1e5], |_, _, _| {});
        let more = sample::run(
            sample::plan(&["nats", "kafka"], 3),
            &[1e5, 1e5],
            |_, _, _| {},
        );
        assert_eq!(differences(&run, &more), []);
    }

    #[test]
    fn each_is_named_with_both_values() {
        let one = sample::run(sample::plan(&["nats"], 1), &[1e5], |_, _, _| {});
        let mut other = one.clone();
        other.plan.workload.load = Load::Rate {
            rate: Rate(9_000.0),
            arrival: Arrival::Uniform,
        };
        other.provenance.host.cores += 2;
        other.provenance.brokers[0].server_version = Some("3.0".to_owned());
        let found = differences(&one, &other);
        let about: Vec<(About, &str)> = found.iter().map(|it| (it.about, &it.what[..])).collect();
        let rate = found.iter().find(|it| it.about == About::Scenario).unwrap();
        assert!(
            rate.what.starts_with("workload.load") && rate.one != rate.other,
            "{found:?}"
        );
        assert_eq!(
            about[1..],
            [(About::Machine, "cores"), (About::Version, "nats: server")]
        );
    }
}
