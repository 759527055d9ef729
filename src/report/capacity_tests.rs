use super::table::Comparison;
use super::*;
use crate::measure::record::Record;
use crate::measure::verdict::Outcome;
use crate::plan::Plan;
use crate::plan::order::interleave;
use crate::results::capacity::State;
use crate::results::{Attempt, Tried, sample};
use crate::scenario::Objective;
use crate::scenario::search::MOST_TRIALS;
use crate::scenario::units::Rate;
use crate::stats::exit::Exit;
use crate::stats::search::{Next, capacities, next};
use crate::stats::thresholds::judge;

fn plan(brokers: &[&str]) -> Plan {
    let mut plan = sample::plan(brokers, 1);
    let condition = "p99(end_to_end) < 10ms".parse().unwrap();
    plan.search = Some(Objective::new(condition, &plan.phases));
    plan.trials = interleave(brokers.len(), 1, MOST_TRIALS, 7);
    plan
}

/// Searches: broker `i` is saturated above `limits[i]`; `change` gets each record with its broker and rate.
fn search(plan: Plan, limits: &[f64], change: impl Fn(&mut Record, usize, Option<f64>)) -> Results {
    let mut results = sample::begun(plan);
    for trial in results.plan.trials.clone() {
        let (part, tried) = match next(&results, trial.broker) {
            Next::Closed => (results.plan.closed_loop(), Tried::Loop),
            Next::Probe(rate) => (
                results.plan.at_rate(Rate(rate), false),
                Tried::Probe(Rate(rate)),
            ),
            Next::Confirm(rate) => (
                results.plan.at_rate(Rate(rate), true),
                Tried::Confirm(Rate(rate)),
            ),
            Next::Over => continue,
        };
        let mut record = sample::record(1e5);
        let limit = limits[trial.broker];
        let offered = tried.rate().map(|rate| rate.0);
        let got = offered.map_or(limit * 0.8, |rate| rate.min(limit));
        (record.rates.sent, record.rates.received) = (got, got);
        record.rates.offered = offered.unwrap_or(0.0);
        record.backlog_slope = offered.filter(|it| *it > limit).map(|_| sample::slope());
        change(&mut record, trial.broker, offered);
        results.add(Attempt {
            tried: Some(tried),
            ..Attempt::of(&record, &part, &trial, 1)
        });
        results.capacities = capacities(&results);
    }
    results.thresholds = judge(&results);
    results
}

fn text(results: &Results) -> String {
    let view = View {
        width: Some(100),
        ..View::default()
    };
    render(Format::Text, results, &view)
}

/// One takes most, one misses the objective at any rate, of one the generator ends first.
fn three() -> Results {
    let mut plan = plan(&["nats", "kafka", "rabbitmq"]);
    plan.thresholds = vec!["lost == 0".parse().unwrap()];
    search(
        plan,
        &[9_000.0, 4_000.0, 2_000.0],
        |record, broker, rate| {
            if broker == 1 && rate.is_some() {
                record.latencies.insert(
                    crate::measure::latency::Kind::EndToEnd,
                    sample::latency(2e7, 100_000),
                );
            }
            if broker == 0 && rate > Some(9_000.0) {
                let late = sample::latency(4e6, 100_000);
                record
                    .latencies
                    .insert(crate::measure::latency::Kind::Lateness, late);
            }
        },
    )
}

#[test]
fn a_search_is_shown_as_brackets_with_what_was_wrong_above() {
    let results = three();
    let states: Vec<State> = results.capacities.iter().map(|it| it.state).collect();
    assert_eq!(states, [State::AtLeast, State::Unmet, State::Settled]);
    insta::assert_snapshot!("capacity", text(&results));
    insta::assert_snapshot!(
        "capacity_markdown",
        render(Format::Markdown, &results, &View::default())
    );
}

#[test]
fn the_columns_have_the_bracket_and_trials_say_what_they_were() {
    let results = three();
    let rows = |csv: String| -> Vec<std::collections::BTreeMap<String, String>> {
        let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
        let all = reader.deserialize().map(|row| row.unwrap());
        all.collect()
    };
    let summary = rows(csv::summary(&results));
    let brackets: Vec<(&str, bool, bool)> = summary
        .iter()
        .map(|row| {
            let is_there = |name: &str| !row[name].is_empty();
            (
                row["broker"].as_str(),
                is_there("capacity_low_per_s"),
                is_there("capacity_high_per_s"),
            )
        })
        .collect();
    assert_eq!(
        brackets,
        [
            ("nats", true, false),
            ("kafka", false, true),
            ("rabbitmq", true, true)
        ]
    );
    for row in &summary {
        assert_eq!(row["load_kind"], "search");
        assert_eq!(row["target_per_s"], row["capacity_low_per_s"]);
    }
    let trials = rows(csv::trials(&results));
    assert_eq!(trials.len(), results.attempts.len());
    let kinds = |kind: &str| trials.iter().filter(|row| row["load_kind"] == kind).count();
    assert_eq!(kinds("max"), 3);
    assert_eq!(
        kinds("max") + kinds("probe") + kinds("search"),
        trials.len()
    );
    let json: serde_json::Value =
        serde_json::from_str(&render(Format::Json, &results, &View::default())).unwrap();
    assert_eq!(json["capacities"][2]["state"], "settled");
    assert_eq!(json["rows"][0]["broker"], "nats");
}

#[test]
fn nobody_wins_a_column_at_rates_of_their_own() {
    let results = search(plan(&["nats", "kafka"]), &[9_000.0, 4_000.0], |_, _, _| {});
    let points = results.points();
    let found = capacity::Capacities::of(&points).unwrap();
    assert!(!found.comparison.has(super::table::BEST));
    let ahead = found.ahead().unwrap();
    assert!(ahead.starts_with("nats takes most: 2.1"), "{ahead}");
    let alike = search(plan(&["nats", "kafka"]), &[4_000.0, 4_010.0], |_, _, _| {});
    let points = alike.points();
    let ahead = capacity::Capacities::of(&points).unwrap().ahead().unwrap();
    assert!(ahead.ends_with("their brackets overlap"), "{ahead}");
}

#[test]
fn a_search_that_does_not_settle_says_between_which_rates_it_did_not() {
    let turn = std::cell::Cell::new(0);
    let results = search(
        plan(&["nats", "kafka"]),
        &[9_000.0, 7_500.0],
        |record, broker, rate| {
            if broker == 0 {
                // The machine slows down after a while, and recovers.
                let limit = match turn.replace(turn.get() + 1) {
                    0..=6 => 9_000.0,
                    7..=10 => 5_000.0,
                    _ => 7_000.0,
                };
                record.backlog_slope = rate.filter(|rate| *rate > limit).map(|_| sample::slope());
            }
        },
    );
    let [unsettled, _] = results.capacities.as_slice() else {
        panic!("two");
    };
    assert_eq!(unsettled.state, State::GaveUp);
    let (low, high) = (unsettled.lower().unwrap(), unsettled.upper().unwrap());
    let tried = results.attempts.iter().filter(|it| it.broker == 0);
    for trial in tried.filter(|it| it.tried.unwrap().rate().is_some()) {
        let (rate, held) = (trial.tried.unwrap().rate().unwrap(), trial.verdict.outcome);
        assert!(rate > low.rate || held == Outcome::Ok, "{rate} failed");
        assert!(rate < high.rate || held != Outcome::Ok, "{rate} held");
    }
    let text = text(&results);
    let row = text.lines().find(|line| line.starts_with("  nats "));
    let ends = [low, high].map(|end| crate::terminal::numbers::rate(end.rate.0));
    assert!(
        row.unwrap()
            .contains(&format!("≈ {} to {}", ends[0], ends[1])),
        "{text}"
    );
    assert!(text.contains("≈ not settled: in between"), "{text}");
    let points = results.points();
    let ahead = capacity::Capacities::of(&points).unwrap().ahead().unwrap();
    // Whose lower end is the highest need not be ahead of a wide bracket.
    assert_eq!(
        ahead,
        "kafka and nats cannot be told apart: their brackets overlap"
    );
    let charts = charts::Charts::of(&results, &details::Details::default());
    let chart = charts.throughput.as_ref().expect("a chart");
    assert_eq!(chart.bars.len(), 2);
    let notes = &chart.head.notes;
    let said = notes
        .iter()
        .find(|it| it.starts_with("⚠ nats: not settled after 14 trials"));
    assert!(said.is_some(), "{notes:?}");
}

#[test]
fn thresholds_are_judged_at_the_lower_end_and_a_failed_probe_is_an_answer() {
    let mut plan = plan(&["nats"]);
    plan.thresholds = vec!["unsent == 0".parse().unwrap()];
    let results = search(plan, &[9_000.0], |record, _, rate| {
        if rate > Some(9_000.0) {
            record.audit.unsent = 500;
            record.audit.sent -= 500;
            record.failure = Some("the connection is gone".to_owned());
        }
    });
    assert_eq!(results.capacities[0].state, State::Settled);
    assert!(results.thresholds[0].met, "{:?}", results.thresholds);
    assert_eq!(Exit::of_run(&results), Exit::Done);
    let failed = results
        .attempts
        .iter()
        .filter(|it| it.verdict.outcome == Outcome::Failed);
    assert!(failed.count() > 0);
    assert!(text(&results).contains("the connection is gone"));
}

#[test]
fn a_search_without_a_beginning_is_a_failure() {
    let results = search(plan(&["nats"]), &[9_000.0], |record, _, _| {
        *record = Record {
            failure: Some("it did not answer".to_owned()),
            ..Record::default()
        };
    });
    assert_eq!(results.attempts.len(), 1);
    assert_eq!(results.capacities[0].state, State::NoStart);
    assert_eq!(Exit::of_run(&results), Exit::Failed);
    assert!(text(&results).contains("it did not answer"));
}

#[test]
fn what_was_measured_before_an_interruption_is_told() {
    let mut results = three();
    results.attempts.truncate(9);
    results.capacities = capacities(&results);
    results.manifest.interrupted = true;
    assert!(results.capacities.iter().all(|it| it.state == State::Open));
    let text = text(&results);
    assert!(text.contains("interrupted after 3 trials"), "{text}");
    assert_eq!(Comparison::of(&results.points()[0]).rows.len(), 3);
}

#[test]
fn the_page_has_the_brackets_and_puts_nothing_side_by_side() {
    let results = three();
    let details = details::Details::default();
    let charts = charts::Charts::of(&results, &details);
    let page = html::run(&results, &charts);
    assert!(page.contains("id=\"capacity\""));
    assert!(page.contains("closed loop"));
    assert!(page.contains("id=\"capacities\""));
    assert!(!page.contains("id=\"beside\"") && !page.contains("id=\"comparison\""));
}

#[test]
fn the_chart_has_the_brackets_and_says_whom_it_lacks() {
    let results = three();
    let charts = charts::Charts::of(&results, &details::Details::default());
    let chart = charts.throughput.as_ref().expect("a chart");
    let found = &results.capacities;
    let ends = |broker: usize| {
        let low = found[broker].lower().unwrap().rate.0;
        let high = found[broker].upper().map(|end| end.rate.0);
        (broker, low, high)
    };
    let drawn = chart.bars.iter();
    let drawn = drawn.map(|bar| (bar.broker, bar.estimate.median, bar.estimate.high));
    let drawn: Vec<_> = drawn.collect();
    assert_eq!(drawn, [ends(0), ends(2)], "who takes most first");
    assert_eq!(drawn[0].2, None, "the generator ended first");
    assert!(drawn[1].2.is_some());
    let notes = &chart.head.notes;
    assert!(
        notes
            .iter()
            .any(|it| it.ends_with("an arrow where none is known")),
        "{notes:?}"
    );
    assert!(
        notes
            .last()
            .unwrap()
            .starts_with("⚠ kafka: the objective is met at no rate"),
        "{notes:?}"
    );
    assert!(chart.head.title.contains("p99(end_to_end) < 10ms"));
    let others = [
        charts.cost.is_none(),
        charts.percentiles.is_none(),
        charts.curve.is_none(),
    ];
    assert_eq!(others, [true; 3]);
}
