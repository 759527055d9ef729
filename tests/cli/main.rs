//! The built program as its user types it: what it says, where, and how it ends.

#[path = "../program/mod.rs"]
mod program;

mod again;
mod calibrate;
mod charts;
mod commands;
mod compared;
mod formats;
mod history;
mod live;
mod metrics;
mod placement;
mod refused;
mod search;
mod sweep;
