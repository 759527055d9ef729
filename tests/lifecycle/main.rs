//! However a run ends, it ends soon, keeps what it measured, and leaves nothing behind.

#[path = "../program/mod.rs"]
mod program;

mod baseline;
mod brokers;
mod ends;
mod keeping;

use program::Place;

/// A scenario with these brokers, in trials of about so many milliseconds.
fn scenario(brokers: &str, milliseconds: u32, trials: u32) -> String {
    format!(
        "name: t\nbrokers: {brokers}\nworkload:\n  delivery: at-most-once\n  message: {{size: 64B}}\n  \
         load: {{rate: 1k/s}}\n  in_flight: 10000\n\
         phases: {{warmup: 0ms, measure: {milliseconds}ms, drain: 3s}}\ntrials: {trials}\nseed: 5\n\
         disturbed: {{repeats: 0}}\n"
    )
}

fn place(scenario: &str) -> Place {
    let place = Place::new();
    place.write("s.yaml", scenario);
    place
}
