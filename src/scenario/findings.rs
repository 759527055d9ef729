//! Errors in a scenario, collected by what they are about.

use crate::terminal::diagnostic::Diagnostic;

use super::model::Scenario;
use super::source::Place;
use super::suggest::did_you_mean;

/// Collects errors by the path that they are about.
pub(super) struct Findings<'a> {
    scenario: &'a Scenario,
    errors: Vec<Diagnostic>,
}

impl Findings<'_> {
    pub(super) fn new(scenario: &Scenario) -> Findings<'_> {
        Findings {
            scenario,
            errors: Vec::new(),
        }
    }

    pub(super) fn into_errors(self) -> Vec<Diagnostic> {
        self.errors
    }

    pub(super) fn add(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let at = self.scenario.place(path);
        let error = self.scenario.error(at, message).help(help);
        self.errors.push(error);
    }

    pub(super) fn push(&mut self, error: Diagnostic) {
        self.errors.push(error);
    }
}

/// An error for a threshold on a broker that is not there.
pub(super) fn no_such_broker(scenario: &Scenario, at: Place, broker: &str) -> Diagnostic {
    let labels = scenario.brokers.iter().map(|b| b.label.as_str());
    let error = scenario.error(at, format!("no broker `{broker}` in this scenario"));
    match did_you_mean(broker, labels) {
        Some(label) => error.label(label),
        None => error,
    }
}
