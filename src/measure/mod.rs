//! What was seen: clock, stamps, header, histograms, audit, verdict.

pub mod clock;
pub mod header;
pub mod latency;
pub mod sequences;
