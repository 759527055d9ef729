//! Histories for programs: every run of every broker, and every figure.

use serde_json::{Value, json};

use super::verdicts::{change_name, verdict_name};
use super::{csv, headline::headline};
use crate::stats::figure::Figure;
use crate::stats::history::{Entry, History, Line, Point, Series, Turn, Worth};

/// The columns; a contract like those of the other files.
const COLUMNS: [&str; 26] = [
    "history",
    "scenario",
    "broker",
    "driver",
    "asked_delivery",
    "asked_durability",
    "figure",
    "unit",
    "run",
    "started",
    "tool_version",
    "git_commit",
    "server_version",
    "machine",
    "value",
    "trials",
    "worth",
    "reason",
    "ratio",
    "ratio_low",
    "ratio_high",
    "verdict",
    "level",
    "level_ratio",
    "level_ratio_low",
    "level_ratio_high",
];

/// A row for each run, broker and figure. `level_ratio` stands where a level begins.
pub fn csv(histories: &[History]) -> String {
    let names = COLUMNS.map(str::to_owned);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (number, history) in histories.iter().enumerate() {
        for series in &history.series {
            for line in &series.lines {
                for (place, entry) in series.entries.iter().enumerate() {
                    rows.push(row(number + 1, history, series, line, place, entry));
                }
            }
        }
    }
    csv::lines_of(&names, rows.into_iter().map(Vec::into_iter))
}

fn row(
    number: usize,
    history: &History,
    series: &Series,
    line: &Line,
    place: usize,
    entry: &Entry,
) -> Vec<String> {
    let text = |value: Option<f64>| value.map(|it| it.to_string()).unwrap_or_default();
    let stored = history.runs[entry.run];
    let (results, point) = (&stored.results, &line.points[place]);
    let manifest = &results.manifest;
    let broker = &results.plan.brokers[entry.group.broker];
    let server = results.provenance.broker(entry.group.broker);
    let server = server.and_then(|it| it.server_version.clone());
    let decision = point.before.as_ref().map(|it| &it.0.decision);
    let (low, high) = decision.and_then(|it| it.interval).unzip();
    let turn = line.turns.iter().find(|turn| turn.entry == place);
    let (level_low, level_high) = turn.and_then(|it| it.interval).unzip();
    vec![
        number.to_string(),
        manifest.scenario.clone(),
        series.label.to_string(),
        broker.driver.clone(),
        super::columns::delivery(series.asked.delivery).to_owned(),
        super::columns::durability(series.asked.durability).to_owned(),
        line.figure.to_string(),
        unit(line.figure).to_owned(),
        stored.folder.display().to_string(),
        manifest.started.clone(),
        manifest.tool_version.clone(),
        manifest.git_commit.clone().unwrap_or_default(),
        server.unwrap_or_default(),
        results.provenance.host.id.clone(),
        text(point.value),
        point.trials.to_string(),
        worth(point.worth).to_owned(),
        entry.invalid().unwrap_or_default(),
        text(decision.and_then(|it| it.ratio)),
        text(low),
        text(high),
        verdict(point).unwrap_or_default().to_owned(),
        level(line, place).to_string(),
        text(turn.map(|it| it.ratio)),
        text(level_low),
        text(level_high),
    ]
}

/// One document.
pub fn json(histories: &[History]) -> String {
    let all: Vec<Value> = histories.iter().map(history).collect();
    format!("{:#}\n", json!({"histories": all}))
}

fn history(history: &History) -> Value {
    let runs: Vec<Value> = history
        .runs
        .iter()
        .map(|run| {
            let (manifest, host) = (&run.results.manifest, &run.results.provenance.host);
            json!({
                "folder": run.folder.display().to_string(),
                "id": manifest.id,
                "started": manifest.started,
                "tool_version": manifest.tool_version,
                "git_commit": manifest.git_commit,
                "machine": host.id,
                "kernel": host.kernel,
            })
        })
        .collect();
    let newest = history.runs.last().map(|run| &run.results);
    json!({
        "scenario": newest.map(|it| &it.manifest.scenario),
        "headline": newest.map(headline),
        "runs": runs,
        "brokers": history.series.iter().map(|it| series(history, it)).collect::<Vec<_>>(),
    })
}

fn series(history: &History, series: &Series) -> Value {
    let figures: Vec<Value> = series.lines.iter().map(|it| figure(series, it)).collect();
    let entries: Vec<Value> = series
        .entries
        .iter()
        .map(|entry| {
            let provenance = &history.runs[entry.run].results.provenance;
            let server = provenance.broker(entry.group.broker);
            json!({
                "run": entry.run,
                "server_version": server.and_then(|it| it.server_version.as_ref()),
                "valid_trials": entry.group.ok.len(),
                "invalid": entry.invalid(),
                "differences": different(&entry.differences),
            })
        })
        .collect();
    json!({
        "broker": series.label,
        "asked_delivery": super::columns::delivery(series.asked.delivery),
        "asked_durability": super::columns::durability(series.asked.durability),
        "least_runs": series.least_runs,
        "entries": entries,
        "figures": figures,
    })
}

fn figure(series: &Series, line: &Line) -> Value {
    let points = line.points.iter().zip(&series.entries).enumerate();
    let points: Vec<Value> = points
        .map(|(place, (point, entry))| {
            let decision = point.before.as_ref().map(|it| &it.0.decision);
            json!({
                "run": entry.run,
                "value": number(point.value),
                "trials": point.trials,
                "worth": worth(point.worth),
                "ratio": number(decision.and_then(|it| it.ratio)),
                "interval": ends(decision.and_then(|it| it.interval)),
                "verdict": verdict(point),
                "level": level(line, place),
            })
        })
        .collect();
    let turn = |turn: &Turn| {
        json!({
            "run": series.entries[turn.entry].run,
            "verdict": change_name(turn.change),
            "levels": [number(Some(turn.levels.0)), number(Some(turn.levels.1))],
            "ratio": number(Some(turn.ratio)),
            "interval": ends(turn.interval),
            "runs": [turn.runs.0, turn.runs.1],
            "differences": different(&turn.differences),
        })
    };
    json!({
        "figure": line.figure.to_string(),
        "unit": unit(line.figure),
        "points": points,
        "changes": line.turns.iter().map(turn).collect::<Vec<_>>(),
    })
}

fn different(differences: &[crate::stats::differences::Difference]) -> Vec<Value> {
    differences
        .iter()
        .map(|it| json!({"about": it.about.name(), "what": it.what, "one": it.one, "other": it.other}))
        .collect()
}

/// Lost percentiles are infinite, which JSON has no word for.
fn number(value: Option<f64>) -> Value {
    match value {
        Some(value) if value.is_infinite() => json!("lost"),
        value => json!(value),
    }
}

fn ends(interval: Option<(f64, f64)>) -> Value {
    match interval {
        Some((low, high)) => json!([number(Some(low)), number(Some(high))]),
        None => Value::Null,
    }
}

/// Of a value as it is in files.
fn unit(figure: Figure) -> &'static str {
    match figure {
        Figure::Sent | Figure::Received => "1/s",
        Figure::Latency(..) => "ns",
        Figure::BrokerCpu | Figure::ClientCpu => "us",
    }
}

fn worth(worth: Worth) -> &'static str {
    match worth {
        Worth::Counted => "counted",
        Worth::NotMeasured => "not-measured",
        Worth::Invalid => "invalid",
        Worth::Blurred => "instrument-limited",
    }
}

fn verdict(point: &Point) -> Option<&'static str> {
    point.before.as_ref().map(|it| verdict_name(it.1))
}

/// The number of the level that an entry belongs to, from 1.
fn level(line: &Line, place: usize) -> usize {
    1 + line.turns.iter().filter(|turn| turn.entry <= place).count()
}
