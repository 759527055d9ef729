//! Settings of the grammar that no code honours yet: refused by name, never passed over.
//!
//! A line is removed when its code is there; nothing else has to change.

use super::document::Document;
use super::workload::Pattern;

/// A setting that was asked for and is not honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Dotted path of the setting.
    pub path: String,
    /// As a scenario writes it.
    pub setting: &'static str,
    /// What can be asked for instead.
    pub instead: &'static str,
}

/// Path, setting, whether it is asked for, what is honoured instead.
type OfScenario = (
    &'static str,
    &'static str,
    fn(&Document) -> bool,
    &'static str,
);

const OF_SCENARIO: &[OfScenario] = &[
    (
        "workload.pattern",
        "pattern: request-reply",
        |d| d.workload.pattern == Some(Pattern::RequestReply),
        PATTERNS,
    ),
    (
        "workload.pattern",
        "pattern: stream",
        |d| d.workload.pattern == Some(Pattern::Stream),
        PATTERNS,
    ),
];

const PATTERNS: &str = "patterns are queue, fan-out and backlog";

/// Everything that a scenario asks for and no code honours.
pub fn unsupported(document: &Document) -> Vec<Unsupported> {
    let mut found = Vec::new();
    for (path, setting, asked, instead) in OF_SCENARIO {
        if asked(document) {
            found.push(Unsupported {
                path: (*path).to_owned(),
                setting,
                instead,
            });
        }
    }
    found
}

/// Every setting that is refused, and what is honoured instead.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    OF_SCENARIO.iter().map(|it| (it.1, it.3))
}
