//! Managed servers, on real ones: they start, answer, sleep, end, and never outlive their run.

#[path = "../installed/mod.rs"]
mod installed;
mod instances;
mod kept;
mod lifetimes;
mod support;
