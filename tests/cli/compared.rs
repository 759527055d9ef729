//! Stored results side by side, and what a gate says of them.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Place, ended};

const SCENARIO: &str = "\
name: t
brokers: {loopback: {}, other: {driver: loopback}}
workload: {message: {size: 64B}, load: {rate: 500/s}}
phases: {warmup: 0ms, measure: 200ms, drain: 5s}
trials: 5
disturbed: {repeats: 0}
";

/// A run, kept as `name`, whose trials all say so: `p50` in nanoseconds for the second broker.
fn keep(place: &Place, run: &Value, name: &str, p50: u64, change: impl Fn(&mut Value)) {
    let mut run = run.clone();
    for attempt in run["attempts"].as_array_mut().expect("attempts") {
        attempt["verdict"] =
            json!({"outcome": "ok", "reason": "", "remedy": "", "instrument_limited": []});
        attempt["rates"]["received"] = json!(500.0);
        let nanoseconds = if attempt["broker"] == 1 {
            p50
        } else {
            1_000_000
        };
        let percentiles = attempt["latencies"]["end_to_end"]["percentiles"].as_array_mut();
        for percentile in percentiles.expect("percentiles") {
            *percentile = json!({"value": nanoseconds});
        }
    }
    change(&mut run);
    fs::create_dir_all(place.path(name)).expect("a folder");
    place.write(&format!("{name}/results.json"), &run.to_string());
}

/// A folder with runs: `same` as `before`, `slower`, and others that cannot be compared as they are.
fn place() -> Place {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    place.run(&["run", "s.yaml", "--quiet"]);
    let run: Value = serde_json::from_str(&place.kept("results.json")).expect("JSON");
    keep(&place, &run, "before", 2_000_000, |_| {});
    keep(&place, &run, "same", 2_000_000, |_| {});
    keep(&place, &run, "slower", 3_000_000, |_| {});
    keep(&place, &run, "elsewhere", 2_000_000, |run| {
        run["provenance"]["host"]["id"] = json!("another");
    });
    keep(&place, &run, "invalid", 2_000_000, |run| {
        for attempt in run["attempts"].as_array_mut().expect("attempts") {
            attempt["verdict"]["outcome"] = json!("saturated");
            attempt["verdict"]["reason"] = json!("backlog grew");
        }
    });
    keep(&place, &run, "few", 2_000_000, |run| {
        let attempts = run["attempts"].as_array_mut().expect("attempts");
        attempts.retain(|attempt| attempt["repetition"] == 1);
    });
    keep(&place, &run, "foreign", 2_000_000, |run| {
        for (i, broker) in run["plan"]["brokers"]
            .as_array_mut()
            .expect("brokers")
            .iter_mut()
            .enumerate()
        {
            broker["label"] = json!(format!("unknown-{i}"));
        }
    });
    place
}

fn gate<'a>(candidate: &'a str, further: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["gate", "--baseline", "before", "--candidate", candidate];
    arguments.extend(further);
    arguments
}

#[test]
fn a_gate_ends_as_its_figures_say() {
    let place = place();
    let same = place.run(&gate("same", &["--strict"]));
    assert!(
        same.assert_code(0).out.contains("✓ other: unchanged"),
        "{}",
        same.out
    );

    let slower = place.run(&gate(
        "slower",
        &["--export-junit", "gate.xml", "--export-markdown", "gate.md"],
    ));
    slower.assert_code(99);
    assert!(slower.err.contains("regressed: other"), "{}", slower.err);
    assert!(
        slower.out.contains("✓ loopback: unchanged"),
        "{}",
        slower.out
    );
    let junit = fs::read_to_string(place.path("gate.xml")).expect("a report");
    assert!(
        junit.contains("failures=\"3\"") && junit.contains("ratio 1.50"),
        "{junit}"
    );
    let markdown = fs::read_to_string(place.path("gate.md")).expect("a report");
    assert!(markdown.contains("❌ other: regressed"), "{markdown}");

    let invalid = place.run(&gate("invalid", &[]));
    invalid.assert_code(4);
    assert!(invalid.out.contains("backlog grew"), "{}", invalid.out);

    let few = place.run(&gate("few", &[]));
    let words: Vec<&str> = few.assert_code(0).out.split_whitespace().collect();
    assert!(
        words.join(" ").contains("5 trials each would settle it"),
        "{}",
        few.out
    );
    place.run(&gate("few", &["--strict"])).assert_code(99);
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    let place = place();
    let elsewhere = place.run(&gate("elsewhere", &[]));
    elsewhere.assert_code(2);
    assert!(
        elsewhere.err.contains("--allow machine"),
        "{}",
        elsewhere.err
    );
    place
        .run(&gate("elsewhere", &["--allow", "machine"]))
        .assert_code(0);

    let foreign = place.run(&["compare", "before", "foreign"]);
    foreign.assert_code(2);
    assert!(
        foreign.err.contains("no broker in common"),
        "{}",
        foreign.err
    );

    let unknown = place.run(&["compare", "before", "--reference", "othr"]);
    unknown.assert_code(2);
    assert!(
        unknown.err.contains("did you mean `other`?"),
        "{}",
        unknown.err
    );

    let metric = place.run(&["compare", "before", "--metric", "speed"]);
    metric.assert_code(2);
    assert!(metric.err.contains("p99(publish)"), "{}", metric.err);
    for margin in ["0%", "200%", "much"] {
        place
            .run(&["compare", "before", "--margin", margin])
            .assert_code(2);
    }

    fs::create_dir_all(place.path("cut")).expect("a folder");
    place.write("cut/results.json", "{\"schema_version\": 1,");
    let cut = place.run(&["compare", "before", "cut"]);
    cut.assert_code(2);
    assert!(cut.err.contains("cut short"), "{}", cut.err);
    place.run(&["compare", "before", "nowhere"]).assert_code(2);
}

#[test]
fn the_brokers_of_a_run_are_compared_by_what_is_asked_for() {
    let place = place();
    let json = place.run(&[
        "compare",
        "before",
        "--reference",
        "other",
        "--metric",
        "p50",
        "--margin",
        "1%",
        "--format",
        "json",
    ]);
    let value: Value = serde_json::from_str(&json.assert_code(0).out).expect("JSON");
    let only = &value["brokers"][0];
    assert_eq!(
        (&only["broker"], &only["reference"]),
        (&json!("loopback"), &json!("other"))
    );
    let figures = only["figures"].as_array().expect("figures");
    assert_eq!(figures.len(), 1);
    let ratio = figures[0]["ratio"].as_f64().expect("a number");
    assert!((ratio - 0.5).abs() < 1e-9, "{ratio}");
    assert_eq!(figures[0]["verdict"], json!("improved"));
    assert_eq!(figures[0]["trials"], json!([5, 5]));

    let runs = place.run(&["compare", "before", "slower", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(runs.assert_code(0).out.as_bytes());
    assert_eq!(reader.records().count(), 8, "two brokers, four figures");
}

#[test]
fn a_run_is_judged_by_its_baseline() {
    let place = place();
    let nowhere = place.run(&["run", "s.yaml", "--baseline", "nowhere"]);
    nowhere.assert_code(2);
    assert!(
        nowhere.err.contains("nowhere") && !nowhere.err.contains("trial"),
        "{}",
        nowhere.err
    );
    // The same scenario on the same machine: how fast it is today is not the matter here.
    let mut command = place.command(&[
        "run",
        "s.yaml",
        "--baseline",
        "before",
        "--export-junit",
        "gate.xml",
    ]);
    command.env("GITHUB_STEP_SUMMARY", place.path("summary.md"));
    let run = ended(command);
    let summary = fs::read_to_string(place.path("summary.md")).expect("a summary");
    assert!(
        summary.contains("| broker | gives |") && summary.contains("| broker | figure |"),
        "{summary}"
    );
    assert!(
        [Some(0), Some(4), Some(99)].contains(&run.code),
        "{}",
        run.err
    );
    assert!(run.out.contains("baseline: before"), "{}", run.out);
    assert!(
        fs::read_to_string(place.path("gate.xml"))
            .expect("a report")
            .contains("<testsuite")
    );
    let elsewhere = place.run(&[
        "run",
        "s.yaml",
        "--baseline",
        "elsewhere",
        "--format",
        "json",
    ]);
    elsewhere.assert_code(2);
    assert!(
        elsewhere.err.contains("--allow machine"),
        "{}",
        elsewhere.err
    );
    serde_json::from_str::<Value>(&elsewhere.out).expect("one document");
}
