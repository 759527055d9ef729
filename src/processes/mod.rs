//! Who does it: supervisor, worker, reaper. They start, watch and end; nothing is measured here.

pub mod child;
pub mod exporter;
pub mod fleet;
pub mod kept;
pub mod local;
pub mod reaper;
pub mod supervisor;
pub mod worker;
