//! Who does it: supervisor, worker, reaper. They start, watch and end; nothing is measured here.

pub mod worker;
