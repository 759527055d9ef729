//! What will be done: a scenario, matched with what each driver offers.
//!
//! `mqbench check` prints a [`Plan`] and `run` carries it out: there is no second path.

mod acknowledged;
pub mod again;
pub mod beside;
mod guarantee;
mod missing;
pub mod model;
mod options;
pub mod order;
mod placement;
pub mod print;
mod resolve;
pub mod schema;
mod search;
mod security;
mod transaction;

pub use missing::{LeftOut, leave_out};
pub use model::{
    Asked, Connection, GivenOffer, GivenSetting, Plan, PlannedBroker, PlannedTrial, Secrets,
    is_zero,
};
pub use order::draw_seed;
pub use resolve::resolve;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
