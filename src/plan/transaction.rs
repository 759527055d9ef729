//! What publishers send as one.

use crate::drivers::descriptor::Descriptor;
use crate::scenario::workload::Transaction;
use crate::scenario::{BrokerEntry, Scenario};
use crate::terminal::diagnostic::Diagnostic;

use super::model::GivenOffer;

/// What publishers send as one, where the offer does so; a scenario that asks for it of others is
/// refused.
pub(super) fn transaction(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &Descriptor,
    offer: Option<&GivenOffer>,
    errors: &mut Vec<Diagnostic>,
) -> Option<Transaction> {
    let asked = scenario.workload.transaction;
    let offer = offer?;
    if driver.transactions.contains(&offer.delivery) {
        return Some(asked.unwrap_or_default());
    }
    if asked.is_some() {
        let help = match driver.transactions {
            [] => "remove `transaction`, or take this broker out".to_owned(),
            with => {
                let names: Vec<&str> = with.iter().map(|delivery| delivery.name()).collect();
                let names = names.join(" or ");
                format!("remove `transaction`, or ask for `delivery: {names}`")
            }
        };
        errors.push(
            scenario
                .error(
                    scenario.place("workload.transaction"),
                    format!(
                        "{} sends in no transactions with {}",
                        entry.label,
                        offer.delivery.name()
                    ),
                )
                .help(help),
        );
    }
    None
}
