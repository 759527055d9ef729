//! Puts mqbench beside what is known otherwise: `cargo bench --bench validity -- [NAME…] [SYSTEM…]`.
//!
//! `scripts/validity` runs this with all that it needs. Each experiment is a file here: a claim, something real of
//! which the answer is known, and what came out. The findings make docs/validity.md; an experiment that was not made
//! keeps its section. With systems named, only those are tried, and nothing is written.

#[allow(dead_code, reason = "the conformance suite uses the rest")]
#[path = "../../tests/conformance/brokers.rs"]
mod brokers;
#[allow(dead_code, reason = "the conformance suite uses the rest")]
#[path = "../../tests/conformance/combinations.rs"]
mod combinations;
mod count;
mod cpu;
mod delay;
mod errors;
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod kill;
mod lab;
#[path = "../line/mod.rs"]
mod line;
mod omission;
mod page;
mod percentiles;
#[path = "../../tests/program/mod.rs"]
mod program;
#[path = "../serve/mod.rs"]
mod serve;
mod subscriber;
mod sync;
mod tools;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use lab::Lab;
use page::Finding;

/// One claim and how it is tried.
pub struct Experiment {
    /// As it is asked for.
    pub name: &'static str,
    /// Of its section.
    pub title: &'static str,
    /// One sentence.
    pub claim: &'static str,
    /// What is done, and what is known of it before.
    pub method: &'static str,
    pub run: fn(&Lab) -> Finding,
}

static ALL: &[&Experiment] = &[
    &omission::OMISSION,
    &delay::DELAY_ON_THE_WAY,
    &count::COUNT,
    &kill::KILL,
    &sync::SYNC,
    &wire::WIRE,
    &cpu::CPU,
    &percentiles::PERCENTILES,
    &errors::ERRORS,
];

fn main() -> ExitCode {
    let words = std::env::args().skip(1).filter(|it| !it.starts_with("--"));
    let is_name = |word: &String| ALL.iter().any(|it| it.name == word);
    let (names, systems): (Vec<String>, Vec<String>) = words.partition(is_name);
    if let Some(unknown) = systems
        .iter()
        .find(|it| mqbench::drivers::find(it).is_none())
    {
        let known: Vec<&str> = ALL.iter().map(|it| it.name).collect();
        eprintln!("error: there is no experiment and no system `{unknown}`");
        eprintln!("   experiments: {}", known.join(", "));
        return ExitCode::from(2);
    }
    let is_asked = |it: &&&Experiment| names.is_empty() || names.iter().any(|name| name == it.name);
    let is_whole = systems.is_empty();
    let lab = Lab::new(systems);
    let mut made = Vec::new();
    let mut all_hold = true;
    for experiment in ALL.iter().filter(is_asked) {
        eprintln!("{}: {}", experiment.name, experiment.claim);
        let (finding, when) = make(experiment, &lab);
        all_hold &= finding.holds();
        let section = page::section(experiment, &finding, &when);
        println!("{section}");
        made.push((*experiment, section));
        // Each as it ends: the next may be broken off.
        if is_whole {
            write(&made);
        }
    }
    match all_hold {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn write(made: &[(&Experiment, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/validity.md");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(&path, page::page(&before, ALL, made)).expect("the page");
}

/// The finding, and when and on what it was made.
fn make(experiment: &Experiment, lab: &Lab) -> (Finding, String) {
    let started = jiff::Zoned::now();
    let clock = Instant::now();
    let run = catch_unwind(AssertUnwindSafe(|| (experiment.run)(lab)));
    let finding = run.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        let mut finding = Finding::default();
        finding.wrong.push(format!(
            "it could not be made: {}",
            text.unwrap_or_default()
        ));
        finding
    });
    let build = match cfg!(debug_assertions) {
        true => ", unoptimised",
        false => "",
    };
    let mut with = vec![format!("mqbench {}{build}", env!("CARGO_PKG_VERSION"))];
    with.extend(lab.take_versions());
    let when = format!(
        "*{}, {:.0} s, on {}; {}.*",
        started.strftime("%-d %B %Y, %H:%M"),
        clock.elapsed().as_secs_f64(),
        page::machine(),
        with.join(", ")
    );
    (finding, when)
}
