//! A sweep: each rate has trials of its own, and whoever two rates were too much for is not asked for more.

use serde_json::Value;

use crate::program::Place;

/// `slow` takes a thousand messages a second, whatever the machine does beside it.
const SCENARIO: &str = "\
name: t
brokers: {steady: {driver: loopback}, slow: {driver: loopback, service_time: 1ms}}
workload: {message: {size: 64B}, load: {sweep: [8k/s, 200/s, 2k/s, 4k/s]}}
phases: {warmup: 0ms, measure: 500ms, drain: 100ms}
trials: 2
disturbed: {repeats: 0}
";

fn rows(csv: &str) -> Vec<Vec<(String, String)>> {
    let mut table = csv::Reader::from_reader(csv.as_bytes());
    let names: Vec<String> = table
        .headers()
        .expect("names")
        .iter()
        .map(str::to_owned)
        .collect();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.expect("a row");
        names
            .iter()
            .cloned()
            .zip(record.iter().map(str::to_owned))
            .collect()
    };
    table.records().map(row).collect()
}

fn of<'r>(row: &'r [(String, String)], name: &str) -> &'r str {
    &row.iter().find(|(it, _)| it == name).expect("a column").1
}

#[test]
fn each_rate_has_rows_of_its_own_and_what_is_too_much_is_not_tried_again() {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    place.run(&["run", "s.yaml", "--quiet"]);
    let summary = rows(&place.kept("summary.csv"));
    let found: Vec<(&str, &str, &str, &str)> = summary
        .iter()
        .map(|row| {
            (
                of(row, "broker"),
                of(row, "load_kind"),
                of(row, "load_step"),
                of(row, "target_per_s"),
            )
        })
        .collect();
    let steps = ["200", "2000", "4000", "8000"];
    let mut expected = Vec::new();
    for (broker, tried) in [("steady", 4), ("slow", 3)] {
        for (step, rate) in ["1", "2", "3", "4"].iter().zip(steps).take(tried) {
            expected.push((broker, "sweep", *step, rate));
        }
    }
    assert_eq!(found, expected, "upwards, and none for what was not tried");
    for row in summary.iter().filter(|row| of(row, "broker") == "slow") {
        let saturated = of(row, "verdict") == "saturated";
        assert_eq!(saturated, of(row, "load_step") != "1", "{row:?}");
    }
    let trials = rows(&place.kept("trials.csv"));
    let slow = trials.iter().filter(|row| of(row, "broker") == "slow");
    // The second block knows from the first, but for the first two rates that are too much.
    assert_eq!(slow.count(), 2 * 3);
    // Every trial at its own rate.
    for row in &trials {
        let offered: f64 = of(row, "offered_per_s").parse().expect("a number");
        let target: f64 = of(row, "target_per_s").parse().expect("a number");
        assert!(
            (offered / target - 1.0).abs() < 0.02,
            "{offered} of {target}"
        );
    }
    let series = rows(&place.kept("series.csv"));
    assert!(
        series
            .iter()
            .all(|row| ["1", "2", "3", "4"].contains(&of(row, "load_step")))
    );
}

#[test]
fn a_sweep_is_shown_rate_by_rate_and_judged_at_each() {
    let place = Place::new();
    let scenario = format!("{SCENARIO}thresholds: [unsent == 0, {{steady: lost == 0}}]\n");
    place.write("s.yaml", &scenario);
    let ran = place.run(&["run", "s.yaml", "--quiet"]);
    let text = ran.out;
    for words in [
        "200/s",
        "8,000/s",
        "holds",
        "⚠ saturated at 2,000/s",
        "p50 of the end-to-end",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let results: Value = serde_json::from_str(&place.kept("results.json")).expect("JSON");
    let judged = results["thresholds"][1]["brokers"]
        .as_array()
        .expect("a list");
    assert_eq!(judged.len(), 4, "of steady at each rate");
    // Stored results say the same again, as a table for a program as well.
    let again = place.run(&["report", "results/latest", "--format", "csv"]);
    assert_eq!(again.out, place.kept("summary.csv"));
    let beside = place.run(&[
        "compare",
        "results/latest",
        "results/latest",
        "--format",
        "csv",
    ]);
    let pairs = rows(&beside.out);
    let labels: Vec<&str> = pairs.iter().map(|row| of(row, "broker")).collect();
    assert!(labels.contains(&"slow at 200/s"), "{labels:?}");
    assert!(
        !labels.contains(&"slow at 4k/s"),
        "it held it in neither: {labels:?}"
    );
    let page = place.kept("report.html");
    assert!(page.contains("By offered load"));
    assert!(page.contains("latency-by-load"));
}
