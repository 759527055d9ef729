//! One trial: schedule → outbox → publish loops → consume loops → inbox → drain.
//!
//! The engine owns time, sequence numbers, windows and records; drivers move bytes.

pub mod acks;
pub mod contract;
pub mod controller;
mod crew;
mod gaps;
mod gate;
mod gauge;
pub mod group;
pub mod inbox;
pub mod ledger;
pub mod outbox;
pub mod pacing;
pub mod payload;
pub mod route;
pub mod run;
pub mod schedule;
pub mod shared;
pub mod simulation;
pub mod task;
mod window;
