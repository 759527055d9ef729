//! Stored results over time.

use std::fs;

use serde_json::{Value, json};

use crate::program::Place;

const SCENARIO: &str = "\
name: t
brokers: {loopback: {}, other: {driver: loopback}}
workload: {message: {size: 64B}, load: {rate: 500/s}}
phases: {warmup: 0ms, measure: 200ms, drain: 5s}
trials: 5
disturbed: {repeats: 0}
";

/// Twelve days of one run; from the eighth on `other` is slower, and mqbench is newer.
fn place() -> Place {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    place.run(&["run", "s.yaml", "--quiet", "--out", "first"]);
    let first = place.path("first/latest/results.json");
    let run: Value =
        serde_json::from_str(&fs::read_to_string(first).expect("results")).expect("JSON");
    for day in 1..=12 {
        let mut run = run.clone();
        run["manifest"]["started"] = json!(format!("2026-11-{day:02}T03:30:00+00:00"));
        run["manifest"]["id"] = json!(format!("{day:08x}"));
        run["manifest"]["tool_version"] = json!(if day >= 8 { "0.2.0" } else { "0.1.0" });
        for attempt in run["attempts"].as_array_mut().expect("attempts") {
            attempt["verdict"] =
                json!({"outcome": "ok", "reason": "", "remedy": "", "instrument_limited": []});
            attempt["rates"]["received"] = json!(500.0);
            let slower = day >= 8 && attempt["broker"] == 1;
            let nanoseconds = if slower { 3_000_000 } else { 2_000_000 } + day % 3;
            let percentiles = attempt["latencies"]["end_to_end"]["percentiles"].as_array_mut();
            for percentile in percentiles.expect("percentiles") {
                *percentile = json!({"value": nanoseconds});
            }
        }
        let folder = format!("nightly/{day:02}");
        fs::create_dir_all(place.path(&folder)).expect("a folder");
        place.write(&format!("{folder}/results.json"), &run.to_string());
    }
    place
}

#[test]
fn what_changed_and_when_is_told_and_what_cannot_be_read_is_passed_over() {
    let place = place();
    fs::create_dir_all(place.path("nightly/cut")).expect("a folder");
    place.write("nightly/cut/results.json", "{\"schema_version\": 1,");
    let history = place.run(&["history", "nightly"]);
    history.assert_code(0);
    let words: Vec<&str> = history.out.split_whitespace().collect();
    let said = words.join(" ");
    assert!(
        said.contains("✗ other: worse from 2026-11-08 03:30 on")
            && said.contains("p99 2.0 ms → 3.0 ms: 1.50 ×"),
        "{}",
        history.out
    );
    assert!(
        said.contains("changed then: mqbench 0.1.0 → 0.2.0"),
        "{said}"
    );
    assert!(
        said.contains("= loopback: no lasting change of received/s, p50 and p99"),
        "{said}"
    );
    assert!(
        history
            .err
            .contains("passed over: `nightly/cut/results.json` is cut short")
    );
    let quiet = place.run(&["history", "nightly", "--quiet"]);
    assert_eq!(quiet.assert_code(0).err, "");

    let json = place.run(&[
        "history", "nightly", "--metric", "p95", "--broker", "other", "--format", "json",
    ]);
    let json: Value = serde_json::from_str(&json.assert_code(0).out).expect("JSON");
    let brokers = json["histories"][0]["brokers"].as_array().expect("brokers");
    assert_eq!(brokers.len(), 1);
    let figures = brokers[0]["figures"].as_array().expect("figures");
    assert_eq!(figures.len(), 1);
    assert_eq!(figures[0]["changes"][0]["run"], 7);

    let csv = place.run(&["history", "nightly", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(csv.assert_code(0).out.as_bytes());
    assert_eq!(reader.records().count(), 12 * 2 * 3);
    let markdown = place.run(&["history", "nightly", "--format", "markdown"]);
    assert!(
        markdown
            .assert_code(0)
            .out
            .contains("- ❌ other: worse from")
    );
}

#[test]
fn where_nothing_is_to_be_shown_it_says_what_to_do() {
    let place = place();
    fs::create_dir(place.path("empty")).expect("a folder");
    for (arguments, says) in [
        (&["history", "empty"][..], "mqbench run latency --out empty"),
        (&["history", "nowhere"], "cannot read `nowhere`"),
        (
            &["history", "nightly", "--broker", "othr"],
            "did you mean `other`?",
        ),
        (&["history", "nightly", "--metric", "speed"], "p99(publish)"),
        (&["history"], "<DIR>"),
    ] {
        let ended = place.run(arguments);
        ended.assert_code(2);
        assert_eq!(ended.out, "");
        assert!(ended.err.contains(says), "{}", ended.err);
    }
}
