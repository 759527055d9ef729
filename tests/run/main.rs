//! Whole runs of the program over `loopback`, on the real clock: what it kept, what it said, how it ended.
//!
//! Counts, identities and verdicts always; times only as ratios within a run, and only where the run was
//! not disturbed. Exact times are asserted under the simulated clock (`known_answers`).

#[path = "../program/mod.rs"]
mod program;

mod faults;
mod loads;
mod times;

use mqbench::results::{Attempt, Results};
use program::{Ended, Place, attempts};

/// Ten messages of warm-up and 300 that count, unless `workload` says otherwise.
fn scenario(brokers: &str, workload: &str, rest: &str) -> String {
    let load = match workload.contains("load:") {
        true => "",
        false => "\n  load: {rate: 1k/s}",
    };
    let delivery = match workload.contains("delivery:") {
        true => "",
        false => "\n  delivery: at-least-once",
    };
    let phases = match rest.contains("phases:") {
        true => "",
        false => "phases: {warmup: 10ms, measure: 300ms, drain: 10s}\n",
    };
    format!(
        "name: t\nbrokers: {brokers}\nworkload:\n  message: {{size: 64B, verify: true}}{delivery}{load}\n  \
         {workload}\n{phases}trials: 1\nseed: 7\ndisturbed: {{repeats: 0}}\n{rest}\n"
    )
}

/// Runs it, checks that the exit code is this, and that what was kept agrees with itself.
#[track_caller]
fn run(scenario: &str, code: i32) -> (Place, Results, Ended) {
    let place = Place::new();
    place.write("s.yaml", scenario);
    let ended = place.run(&["run", "s.yaml"]);
    ended.assert_code(code);
    let stored = place.stored();
    for attempt in &stored.results.attempts {
        assert_eq!(attempt.audit.contradictions(), Vec::<String>::new());
        let record = stored.record(attempt.trial, attempt.attempt);
        let record = record.expect("the trial's own file");
        assert_eq!(record.audit, attempt.audit);
    }
    assert_columns(&place, &stored.results);
    place.assert_clean();
    (place, stored.results, ended)
}

/// Runs a scenario of one trial for each broker, and gives the one of the broker with this label.
#[track_caller]
fn run_one(scenario: &str, code: i32, label: &str) -> (Attempt, Ended) {
    let (_, results, ended) = run(scenario, code);
    let all = attempts(&results, label);
    assert_eq!(all.len(), 1, "{label}");
    (all[0].clone(), ended)
}

/// `trials.csv` says the same as `results.json`.
#[track_caller]
fn assert_columns(place: &Place, results: &Results) {
    let text = place.kept("trials.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().expect("a header").clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    // Of a trial that was made again the last attempt stands.
    let stands = |attempt: &&Attempt| {
        let mut others = results.attempts.iter();
        !others.any(|other| other.trial == attempt.trial && other.attempt > attempt.attempt)
    };
    let attempts: Vec<&Attempt> = results.attempts.iter().filter(stands).collect();
    assert_eq!(rows.len(), attempts.len());
    for (row, attempt) in rows.iter().zip(attempts) {
        let cell = |name: &str| {
            let place = headers.iter().position(|header| header == name);
            &row[place.unwrap_or_else(|| panic!("no column {name}"))]
        };
        let label = &results.plan.brokers[attempt.broker].label;
        assert_eq!(cell("broker"), label);
        assert_eq!(cell("verdict"), attempt.verdict.outcome.name());
        let audit = &attempt.audit;
        for (name, count) in [
            ("intended", audit.intended),
            ("unsent", audit.unsent),
            ("sent", audit.sent),
            ("acked", audit.acked),
            ("failed", audit.failed),
            ("expected", audit.expected),
            ("received", audit.received),
            ("lost", audit.lost),
            ("lost_acked", audit.lost_acked),
            ("duplicated", audit.duplicated),
            ("out_of_order", audit.out_of_order),
            ("unexpected", audit.unexpected),
            ("corrupted", audit.corrupted),
        ] {
            // Empty where the system has no acknowledgements.
            let seen = cell(name);
            assert!(
                seen == count.to_string() || (seen.is_empty() && count == 0),
                "{label} {name}: {seen} ≠ {count}"
            );
        }
    }
}
