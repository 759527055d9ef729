use super::history::*;
use crate::measure::latency::Kind;
use crate::results::sample;
use crate::results::{Results, Stored};
use crate::stats::change::Change;
use crate::stats::compare::Verdict;
use crate::stats::differences::About;
use crate::stats::figure::Figure;
use crate::stats::median::median;

/// Twelve runs of two brokers; from the eighth on the first is slower, with another server.
fn runs(change: impl Fn(usize, &mut Results)) -> Vec<Stored> {
    let plan = sample::plan(&["nats", "kafka"], 5);
    let run = sample::run(plan, &[400e3, 2e6], |_, _, _| {});
    sample::days(&run, 12, |i, results| {
        let drift = [1.0, 1.01, 0.99, 1.02][i % 4];
        sample::stretch(results, 0, if i >= 7 { 1.6 * drift } else { drift });
        sample::stretch(results, 1, drift);
        if i >= 7 {
            for broker in &mut results.provenance.brokers {
                broker.server_version = Some("2.11".to_owned());
            }
        }
        change(i, results);
    })
}

fn line<'s>(series: &'s Series, figure: Figure) -> &'s Line {
    series.lines.iter().find(|it| it.figure == figure).unwrap()
}

const P99: Figure = Figure::Latency(Kind::EndToEnd, 99.0);

#[test]
fn a_lasting_change_is_found_with_its_size_and_what_else_changed() {
    let runs = runs(|_, _| {});
    let histories = histories(&runs, &Options::default());
    let [history] = &histories[..] else {
        panic!("{}", histories.len())
    };
    let names: Vec<String> = history.figures.iter().map(|it| it.short()).collect();
    assert_eq!(names, ["received/s", "p50", "p99"]);
    let [nats, kafka] = &history.series[..] else {
        panic!("two brokers")
    };
    let [turn] = &line(nats, P99).turns[..] else {
        panic!("one turn")
    };
    assert_eq!(
        (turn.entry, turn.runs, turn.change),
        (7, (7, 5), Change::Regressed)
    );
    assert!((turn.ratio - 1.6).abs() < 0.05, "{turn:?}");
    let (low, high) = turn.interval.unwrap();
    assert!(low > 1.5 && low < turn.ratio && turn.ratio < high && high < 1.7);
    let about: Vec<(About, &str)> = turn
        .differences
        .iter()
        .map(|it| (it.about, &it.what[..]))
        .collect();
    assert_eq!(about, [(About::Version, "nats: server")], "not kafka's");
    let quiet = [&line(kafka, P99).turns, &line(nats, Figure::Received).turns];
    assert!(quiet.iter().all(|it| it.is_empty()));
    let (compared, verdict) = line(nats, P99).points[7].before.clone().unwrap();
    assert!((compared.decision.ratio.unwrap() - 1.6).abs() < 0.1);
    assert_eq!(verdict, Verdict::Judged(Change::Regressed));
    assert!(line(nats, P99).points[0].before.is_none());
}

#[test]
fn values_are_the_medians_that_a_comparison_has() {
    let runs = runs(|_, _| {});
    let histories = histories(&runs, &Options::default());
    for (point, run) in line(&histories[0].series[0], P99).points.iter().zip(&runs) {
        let trials = run.results.standing_of(0).filter_map(|it| P99.value(it));
        assert_eq!(point.value, median(trials));
        assert_eq!((point.trials, point.worth), (5, Worth::Counted));
    }
}

#[test]
fn a_run_that_is_not_valid_is_shown_and_not_counted() {
    let runs = runs(|i, results| {
        if i == 3 {
            sample::stretch(results, 0, 200.0);
            sample::saturate(results, 0);
        }
    });
    let histories = histories(&runs, &Options::default());
    let [nats, kafka] = &histories[0].series[..] else {
        panic!("two brokers")
    };
    let nats = line(nats, P99);
    assert_eq!((nats.points[3].worth, nats.counted()), (Worth::Invalid, 11));
    assert!(nats.points[3].value.is_some());
    // The next is held against the last one that was valid.
    let (compared, _) = nats.points[4].before.clone().unwrap();
    assert!((compared.decision.ratio.unwrap() - 1.0).abs() < 0.1);
    assert_eq!(nats.turns.len(), 1);
    assert_eq!(line(kafka, P99).counted(), 12);
}

#[test]
fn a_shift_within_the_margin_is_none() {
    let runs = runs(|_, _| {});
    let wide = Options {
        margin: Some(0.7),
        ..Options::default()
    };
    let histories = histories(&runs, &wide);
    assert!(
        histories[0].series[0]
            .lines
            .iter()
            .all(|it| it.turns.is_empty())
    );
}

#[test]
fn other_questions_are_other_histories() {
    let runs = runs(|i, results| match i {
        0 => results.manifest.scenario = "other".to_owned(),
        1 => results.plan.phases.warmup += std::time::Duration::from_secs(1),
        2 => {
            results.plan.brokers[1].asked.durability = crate::scenario::workload::Durability::Memory
        }
        _ => {}
    });
    let histories = histories(&runs, &Options::default());
    let sizes: Vec<usize> = histories.iter().map(|it| it.runs.len()).collect();
    assert_eq!(sizes, [1, 1, 10]);
    let entries: Vec<(&str, usize)> = histories[2]
        .series
        .iter()
        .map(|it| (&*it.label, it.entries.len()))
        .collect();
    assert_eq!(entries, [("nats", 10), ("kafka", 9), ("kafka", 1)]);
    let only = Options {
        brokers: vec!["kafka".to_owned()],
        ..Options::default()
    };
    assert!(
        crate::stats::history::histories(&runs, &only)
            .iter()
            .all(|it| it.series.iter().all(|s| s.label == "kafka"))
    );
}

#[test]
fn a_program_of_a_baseline_has_no_history() {
    let runs = runs(|_, results| {
        results.plan.brokers[1].baseline_of = Some("nats".to_owned());
    });
    let histories = histories(&runs, &Options::default());
    let labels: Vec<&str> = histories[0].series.iter().map(|it| &*it.label).collect();
    assert_eq!(labels, ["nats"]);
}
