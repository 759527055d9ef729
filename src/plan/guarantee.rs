//! Matches what was asked with what a driver offers.

use crate::drivers::descriptor::{Descriptor, Offer};
use crate::scenario::workload::{Delivery, Durability};
use crate::scenario::{BrokerEntry, Scenario};
use crate::terminal::diagnostic::Diagnostic;

use super::model::{GivenOffer, GivenSetting};

/// The weakest offer that gives what was asked, or the error that says what there is.
pub fn choose(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &Descriptor,
    drivers: &[&'static Descriptor],
) -> Result<GivenOffer, Box<Diagnostic>> {
    let (delivery, durability) = entry.asked(&scenario.workload);
    match fitting(driver, delivery, durability) {
        Some(offer) => Ok(owned(offer)),
        None => Err(Box::new(refusal(scenario, entry, driver, drivers))),
    }
}

fn fitting(driver: &Descriptor, delivery: Delivery, durability: Durability) -> Option<&Offer> {
    driver
        .offers
        .iter()
        .find(|offer| offer.delivery >= delivery && offer.durability >= durability)
}

fn owned(offer: &Offer) -> GivenOffer {
    GivenOffer {
        delivery: offer.delivery,
        durability: offer.durability,
        acks: offer.acks,
        order: offer.order,
        settings: offer
            .settings
            .iter()
            .map(|setting| GivenSetting {
                side: setting.side,
                key: setting.key.to_owned(),
                value: setting.value.to_owned(),
            })
            .collect(),
        note: offer.note.to_owned(),
    }
}

fn refusal(
    scenario: &Scenario,
    entry: &BrokerEntry,
    driver: &Descriptor,
    drivers: &[&'static Descriptor],
) -> Diagnostic {
    let (delivery, durability) = entry.asked(&scenario.workload);
    let mut gives_delivery = driver.offers.iter().filter(|o| o.delivery >= delivery);
    let strongest = gives_delivery.clone().map(|offer| offer.durability).max();
    let asked = match gives_delivery.next() {
        None => delivery.name().to_owned(),
        Some(_) => format!("{} on {}", delivery.name(), durability.name()),
    };
    let mut ways = Vec::new();
    let fits = |other: &&&'static Descriptor| {
        other.ranked && other.name != driver.name && fitting(other, delivery, durability).is_some()
    };
    let mut others: Vec<&&'static Descriptor> = drivers.iter().filter(fits).collect();
    // The same server first: that is most likely what was meant.
    let same = |other: &Descriptor| driver.server.is_some() && other.server == driver.server;
    others.sort_by_key(|other| !same(other));
    if let Some(other) = others.first() {
        let server = if same(other) {
            " with the same server"
        } else {
            ""
        };
        ways.push(format!(
            "use `{}`, which gives {} on {}{server}",
            other.name,
            delivery.name(),
            durabilities(other, delivery)
        ));
    }
    match strongest {
        Some(strongest) => ways.push(format!("ask for `durability: {}`", strongest.name())),
        None => {
            if let Some(best) = driver.offers.iter().map(|offer| offer.delivery).max() {
                ways.push(format!("ask for `delivery: {}`", best.name()));
            }
        }
    }
    let name = if entry.label == entry.driver {
        entry.label.clone()
    } else {
        format!("{} ({})", entry.label, entry.driver)
    };
    scenario
        .error(entry.at, format!("{name} cannot give {asked}"))
        .label(format!("gives: {}", all_given(driver)))
        .help(ways.join("; or "))
}

/// `at-most-once, memory; at-least-once, disk or fsync`.
fn all_given(driver: &Descriptor) -> String {
    let mut deliveries: Vec<Delivery> = driver.offers.iter().map(|o| o.delivery).collect();
    deliveries.sort_unstable();
    deliveries.dedup();
    let given: Vec<String> = deliveries
        .into_iter()
        .map(|delivery| {
            let mut on: Vec<Durability> = driver
                .offers
                .iter()
                .filter(|offer| offer.delivery == delivery)
                .map(|offer| offer.durability)
                .collect();
            on.sort_unstable();
            on.dedup();
            format!("{}, {}", delivery.name(), any_of(&on))
        })
        .collect();
    given.join("; ")
}

/// On what a driver gives at least this delivery: `memory, disk or fsync`.
fn durabilities(driver: &Descriptor, delivery: Delivery) -> String {
    let offers = driver.offers.iter().filter(|o| o.delivery >= delivery);
    let mut on: Vec<Durability> = offers.map(|offer| offer.durability).collect();
    on.sort_unstable();
    on.dedup();
    any_of(&on)
}

fn any_of(durabilities: &[Durability]) -> String {
    let words: Vec<&str> = durabilities.iter().map(|d| d.name()).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}
