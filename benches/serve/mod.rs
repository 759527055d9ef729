//! A server for a bench.

use std::sync::Arc;

use mqbench::drivers;
use mqbench::drivers::descriptor::Side;
use mqbench::servers::{self, Instance, Keeper, Order};

/// A server set as the guarantee needs it, and besides as `further` says; `None` where the system has none.
pub fn start(
    driver: &str,
    (delivery, durability): (&str, &str),
    further: &[(&str, &str)],
    reaper: &Arc<dyn Keeper>,
) -> Option<Instance> {
    let descriptor = drivers::find(driver).expect("a driver").descriptor();
    let offer = descriptor
        .offers
        .iter()
        .find(|offer| (offer.delivery.name(), offer.durability.name()) == (delivery, durability))
        .expect("an offer of exactly this");
    let settings = offer.settings.iter().filter(|s| s.side == Side::Server);
    let order = Order {
        server: servers::named(descriptor.server?).expect("a known server"),
        program: None,
        config: settings
            .map(|s| (s.key, s.value))
            .chain(further.iter().copied())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        within: std::env::temp_dir(),
        bounds: Default::default(),
    };
    match Instance::start(&order, reaper) {
        Ok(instance) => Some(instance),
        Err(error) => panic!("{error}"),
    }
}
