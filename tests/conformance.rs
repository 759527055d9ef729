//! What every driver must do, tried on a live server: each driver × each offer × each pattern that it
//! declares, through a worker process as a run has it.
//!
//! No driver and no server is named here but in `conformance/servers.rs`, which says what only that
//! server can be asked. A new driver is covered by its line in the registry.

#[path = "conformance/brokers.rs"]
mod brokers;
#[path = "conformance/certificates.rs"]
mod certificates;
#[path = "conformance/combinations.rs"]
mod combinations;
#[path = "conformance/delivery.rs"]
mod delivery;
#[path = "conformance/disruption.rs"]
mod disruption;
#[path = "conformance/durability.rs"]
mod durability;
mod harness;
#[path = "conformance/mishaps.rs"]
mod mishaps;
#[path = "program/mod.rs"]
mod program;
#[path = "conformance/refusal.rs"]
mod refusal;
#[path = "conformance/security.rs"]
mod security;
#[path = "conformance/servers.rs"]
mod servers;
