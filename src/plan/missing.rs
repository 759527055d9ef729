//! Leaves out the brokers that are not on this machine, where the scenario says so
//! (`skip_missing: true`). Each one that is left out is in the plan and in every report.

use serde::{Deserialize, Serialize};

use crate::drivers::descriptor::Descriptor;
use crate::scenario::{BrokerEntry, Scenario};
use crate::terminal::diagnostic::Diagnostic;

/// A broker that the scenario names and that does not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// As the scenario names it.
    pub label: String,
    /// Why, and what would bring it in.
    pub why: String,
}

/// Takes those brokers out of the scenario whose server is not there, with the thresholds that are
/// about them alone. `missing` says why a server (by its name, and by the program that the scenario
/// names for it) cannot be had.
///
/// # Errors
/// Where none is left.
pub fn leave_out(
    scenario: &mut Scenario,
    drivers: &[&'static Descriptor],
    missing: &dyn Fn(&str, Option<&str>) -> Option<String>,
) -> Result<Vec<LeftOut>, Diagnostic> {
    if !scenario.skip_missing {
        return Ok(Vec::new());
    }
    let why = |entry: &BrokerEntry| {
        let driver = drivers.iter().find(|driver| driver.name == entry.driver)?;
        let server = driver.server.filter(|_| entry.url.is_none())?;
        missing(server, entry.binary.as_deref())
    };
    let mut left_out = Vec::new();
    scenario.brokers.retain(|entry| match why(entry) {
        None => true,
        Some(why) => {
            let label = entry.label.clone();
            left_out.push(LeftOut { label, why });
            false
        }
    });
    if scenario.brokers.is_empty() {
        let error = scenario.error(
            scenario.place("brokers"),
            "none of the brokers is on this machine",
        );
        let why = left_out
            .iter()
            .map(|it| format!("{}: {}", it.label, it.why));
        return Err(error.help(why.collect::<Vec<_>>().join("; ")));
    }
    let is_out = |label: &String| left_out.iter().any(|it| it.label == *label);
    scenario
        .thresholds
        .retain(|threshold| !threshold.broker.as_ref().is_some_and(is_out));
    Ok(left_out)
}
