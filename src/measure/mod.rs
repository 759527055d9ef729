//! What was seen: clock, stamps, header, histograms, audit, verdict; and the instrument itself.

pub mod affinity;
pub mod cells;
pub mod clock;
pub mod frequency;
pub mod header;
pub mod host;
pub mod instrument;
pub mod latency;
pub mod pace;
pub mod percentile;
pub(crate) mod proc;
pub mod progress;
pub mod record;
pub mod resources;
pub mod sequences;
pub mod strain;
pub mod takers;
pub mod verdict;
