use serde_json::Value;

use super::history::render;
use super::{Format, View};
use crate::results::{Stored, sample};
use crate::stats::figure::Figure;
use crate::stats::history::{Options, histories};
use crate::stats::median::median;

/// Runs of three brokers, one a day. From the ninth on the first has another server and is slower; the
/// second could not keep up in the third; the name of the third is trouble.
fn runs(count: usize) -> Vec<Stored> {
    let plan = sample::plan(&["nats", "kafka", "a|b\n<i>\u{1b}名前"], 5);
    let run = sample::run(plan, &[400e3, 2e6, 1e6], |_, _, _| {});
    sample::days(&run, count, |i, results| {
        let drift = [1.0, 1.01, 0.99, 1.02][i % 4];
        sample::stretch(results, 0, if i >= 8 { 1.6 * drift } else { drift });
        sample::stretch(results, 1, drift);
        if i == 2 {
            sample::saturate(results, 1);
        }
        if i >= 8 {
            results.provenance.brokers[0].server_version = Some("2.11".to_owned());
        }
    })
}

fn shown(runs: &[Stored], format: Format, width: usize) -> String {
    let view = View {
        width: Some(width),
        ..View::default()
    };
    render(&histories(runs, &Options::default()), format, &view)
}

#[test]
fn a_history_shows_every_broker_run_by_run_and_what_changed() {
    let text = shown(&runs(13), Format::Text, 100);
    insta::assert_snapshot!("history", text);
    assert!(!text.contains('\u{1b}'), "no codes of a name");
    assert!(
        text.lines()
            .all(|line| crate::terminal::style::width(line) <= 100)
    );
}

#[test]
fn a_narrow_terminal_loses_columns_and_says_which() {
    let text = shown(&runs(13), Format::Text, 60);
    assert!(
        text.lines()
            .all(|line| crate::terminal::style::width(line) <= 60)
    );
    assert!(text.contains("not shown for want of width"), "{text}");
}

#[test]
fn a_history_for_a_wiki() {
    let text = shown(&runs(13), Format::Markdown, 100);
    insta::assert_snapshot!("history_markdown", text);
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut tables = text.split("\n\n").filter(|part| part.starts_with("| "));
    assert!(tables.all(|table| {
        table
            .lines()
            .all(|line| columns(line) == columns(table.lines().next().unwrap()))
    }));
    assert!(!text.contains("<i>"));
}

#[test]
fn too_few_runs_are_said_to_be_too_few() {
    let text = shown(&runs(2), Format::Text, 100);
    assert!(
        text.contains("? too few runs that count to tell a lasting change: it takes 11"),
        "{text}"
    );
    assert!(!text.contains("no lasting change"), "{text}");
}

#[test]
fn files_have_the_very_values_of_the_runs() {
    let runs = runs(13);
    let json: Value = serde_json::from_str(&shown(&runs, Format::Json, 100)).unwrap();
    let csv = shown(&runs, Format::Csv, 100);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|it| it == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 13 * 3 * 3);
    let p99: Figure = "p99(end_to_end)"
        .parse::<crate::stats::figure::Asked>()
        .unwrap()
        .of(crate::stats::shape::Shape::of(
            &runs[0].results.plan.workload,
        ));
    for (i, run) in runs.iter().enumerate() {
        for (broker, planned) in run.results.plan.brokers.iter().enumerate() {
            let trials = run
                .results
                .standing_of(broker)
                .filter_map(|it| p99.value(it));
            let expected = median(trials).unwrap();
            let of_file = &json["histories"][0]["brokers"][broker]["figures"][2]["points"][i];
            assert_eq!(of_file["value"].as_f64(), Some(expected));
            let row = rows.iter().find(|row| {
                row[column("broker")] == planned.label
                    && row[column("figure")] == *"p99(end_to_end)"
                    && row[column("started")] == run.results.manifest.started
            });
            let row = row.unwrap();
            assert_eq!(row[column("value")].parse::<f64>().unwrap(), expected);
            let worth = if (i, broker) == (2, 1) {
                "invalid"
            } else {
                "counted"
            };
            assert_eq!(
                (&row[column("worth")], of_file["worth"].as_str()),
                (worth, Some(worth))
            );
            let level = if broker == 0 && i >= 8 { "2" } else { "1" };
            assert_eq!(&row[column("level")], level);
        }
    }
    let change = &json["histories"][0]["brokers"][0]["figures"][2]["changes"][0];
    assert_eq!(
        (change["run"].as_u64(), change["verdict"].as_str()),
        (Some(8), Some("regressed"))
    );
    assert_eq!(change["differences"][0]["what"], "nats: server");
}
