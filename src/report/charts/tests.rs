use super::estimate::State;
use super::*;
use crate::measure::record::Record;
use crate::plan::Plan;
use crate::report::columns::{Field, fields};
use crate::report::details::Details;
use crate::results::{Store, sample};
use crate::scenario::workload;

/// The charts of a run that was kept and read again. `change` gets the record, the broker and which of its
/// trials it is, from 1.
pub(super) fn charts(
    plan: Plan,
    medians: &[f64],
    change: impl Fn(&mut Record, usize, u32),
) -> (Results, Charts) {
    charts_of(plan, |broker, trial| {
        let drift = 1.0 + 0.02 * f64::from((trial * 2 + broker as u32) % 5);
        let mut record = sample::record(medians[broker] * drift);
        record.rates.received += f64::from(trial) - drift;
        change(&mut record, broker, trial);
        record
    })
}

/// The charts of a run of which each trial saw what `see` says of a broker and which of its trials it is: from 1,
/// and from 101, 201, … at the further rates of a sweep.
pub(super) fn charts_of(plan: Plan, see: impl Fn(usize, u32) -> Record) -> (Results, Charts) {
    let folder = tempfile::tempdir().unwrap();
    let mut results = sample::begun(plan);
    let store = Store::create(folder.path(), &results.manifest).unwrap();
    for trial in results.plan.trials.clone() {
        let record = see(trial.broker, trial.block + 100 * trial.point as u32);
        store.keep_trial(trial.number, 1, &record).unwrap();
        let plan = results.plan.at(trial.point).into_owned();
        let attempt = crate::results::Attempt::of(&record, &plan, &trial, 1);
        results.add(attempt);
    }
    let details = Details::read(store.folder(), &results).unwrap();
    let charts = Charts::of(&results, &details);
    (results, charts)
}

/// A number of `summary.csv`.
fn summed(results: &Results, broker: usize, column: &str) -> Option<f64> {
    let fields = fields(&by_broker(results)[broker]);
    let field = fields.into_iter().find(|(name, _)| name == column);
    match field.expect("a column").1 {
        Field::Number(value, _) | Field::Exact(value, _) => Some(value),
        _ => None,
    }
}

fn same(one: f64, other: Option<f64>) {
    let other = other.expect("a figure");
    assert!((one - other).abs() <= 1e-9 * one.abs(), "{one} and {other}");
}

#[test]
fn a_sweep_is_drawn_with_the_very_values_of_its_rows() {
    let rates = [1_000.0, 5_000.0, 20_000.0];
    let plan = sample::swept(sample::plan(&["nats", "kafka"], 3), &rates);
    let (results, charts) = charts_of(plan, |broker, trial| {
        let point = trial / 100;
        let longer = f64::from(1 + trial % 100) * f64::from(1 + point);
        let mut record = sample::record(1e5 * (1.0 + broker as f64) * longer);
        if broker == 1 && point == 2 {
            record.backlog_slope = Some(sample::slope());
        }
        record
    });
    let chart = charts.load.unwrap();
    assert_eq!(chart.percentile, "p99");
    let parts = results.points();
    let rows = crate::report::rows::by_load(&parts);
    let mut seen = 0;
    for line in &chart.lines {
        for point in &line.points {
            let of = |row: &&crate::report::rows::Row| {
                row.place == line.broker && row.load.target == Some(point.rate)
            };
            let row = rows.iter().find(of).expect("a row");
            let value = row.percentile(Kind::EndToEnd, "p99").unwrap().value();
            assert_eq!(
                point.estimate.as_ref().unwrap().median,
                value.unwrap() as f64
            );
            assert_eq!(point.verdict.is_none(), row.is_valid());
            seen += 1;
        }
    }
    assert_eq!(seen, rows.len());
    assert_eq!(seen, 6);
    let holds: Vec<&str> = chart.lines.iter().map(|line| line.holds.as_str()).collect();
    assert_eq!(holds, ["≥ 20,000/s", "5,000/s"]);
    let rings = |line: &load::Line| -> Vec<f64> {
        let points = line.points.iter().filter(|it| it.holds);
        points.map(|it| it.rate).collect()
    };
    assert_eq!(rings(&chart.lines[0]), [20_000.0]);
    assert_eq!(rings(&chart.lines[1]), [5_000.0]);
    // A saturated broker's latency does not take the room of the others.
    let highest = load::drawn(&chart.lines).fold(0.0, f64::max);
    assert!(highest <= 20e6, "{highest}");
    // The other charts are about the highest rate at which both are ok.
    let subtitle = &charts.throughput.unwrap().head.subtitle;
    assert!(subtitle.contains("5,000/s, open loop"), "{subtitle}");
}

#[test]
fn what_is_drawn_is_what_the_tables_have() {
    let plan = sample::plan(&["nats", "kafka", "redis-streams"], 7);
    let (results, charts) = charts(plan, &[1e5, 9e5, 3e5], |record, broker, trial| {
        if (broker, trial) == (1, 2) {
            sample::lose(record, 2_000);
        }
    });
    let throughput = charts.throughput.unwrap();
    assert_eq!(throughput.bars.len(), 3);
    assert_eq!(throughput.target, Some(5_000.0));
    for bar in &throughput.bars {
        same(
            bar.estimate.median,
            summed(&results, bar.broker, "received_per_s"),
        );
    }
    let percentiles = charts.percentiles.unwrap();
    for dots in &percentiles.brokers {
        for (key, dot) in ["p50", "p95", "p99", "p999"].iter().zip(&dots.percentiles) {
            let column = format!("end_to_end_{key}_us");
            match &dot.estimate {
                Some(estimate) => {
                    let micros = summed(&results, dots.broker, &column).map(|it| it * 1e3);
                    // A table rounds the mean of two to the nanosecond.
                    assert!((estimate.median - micros.unwrap()).abs() <= 0.5);
                }
                None => assert_eq!(summed(&results, dots.broker, &column), None),
            }
        }
    }
    for costs in &charts.cost.unwrap().brokers {
        let known = [
            (&costs.server, "broker_cpu_us_per_message"),
            (&costs.client, "client_cpu_us_per_message"),
        ];
        for (estimate, column) in known {
            let nanoseconds = summed(&results, costs.broker, column).map(|it| it * 1e3);
            same(estimate.as_ref().unwrap().median, nanoseconds);
        }
    }
}

#[test]
fn a_curve_is_that_of_all_samples_of_the_trials_that_are_summed_up() {
    let plan = sample::plan(&["nats", "kafka"], 3);
    let (_, charts) = charts(plan, &[1e5, 9e5], |record, broker, trial| {
        if broker == 0 && trial == 3 {
            record.failure = Some("it fell over".to_owned());
        }
    });
    let curve = charts.curve.unwrap();
    let mut whole = crate::measure::latency::Latency::default();
    for trial in 1..=2 {
        let drift = 1.0 + 0.02 * f64::from((trial * 2) % 5);
        whole.merge(&sample::latency(1e5 * drift, 100_000));
    }
    assert_eq!(
        curve.lines[0].samples, 200_000,
        "the trial that failed is not in it"
    );
    assert_eq!(curve.lines[1].samples, 300_000);
    for (share, nanoseconds) in &curve.lines[0].points {
        assert_eq!(
            *nanoseconds,
            whole.quantile(*share).max(whole.at_rank(1)),
            "{share}"
        );
    }
    let (last, _) = curve.lines[0].points.last().unwrap();
    assert!(*last <= 1.0 - 50.0 / 200_000.0);
}

#[test]
fn the_best_stands_first_and_what_is_not_valid_last() {
    let plan = sample::plan(&["slow", "fast", "broken", "middle"], 3);
    let (_, charts) = charts(plan, &[9e5, 1e5, 1e4, 3e5], |record, broker, _| {
        if broker == 2 {
            record.audit.out_of_order = 3;
        }
    });
    let order = |all: Vec<usize>| -> Vec<String> {
        let labels = all.into_iter().map(|it| charts.brokers[it].label.clone());
        labels.collect()
    };
    let percentiles = charts.percentiles.as_ref().unwrap();
    let by_p99 = percentiles.brokers.iter().map(|it| it.broker).collect();
    assert_eq!(order(by_p99), ["fast", "middle", "slow", "broken"]);
    let costs = charts.cost.as_ref().unwrap();
    let by_cost = costs.brokers.iter().map(|it| it.broker).collect();
    assert_eq!(order(by_cost), ["fast", "middle", "slow", "broken"]);
    let bars = charts.throughput.as_ref().unwrap();
    let as_planned = bars.bars.iter().map(|it| it.broker).collect();
    assert_eq!(order(as_planned), ["slow", "fast", "middle", "broken"]);
    assert!(matches!(
        charts.brokers[2].validity,
        Validity::Invalid {
            verdict: "broken-promise",
            ..
        }
    ));
    let marked = "⚠ broken: broken-promise: 3 messages came out of order";
    for head in [&percentiles.head, &costs.head, &bars.head] {
        assert_eq!(head.notes.last().unwrap(), marked);
        assert!(
            head.alt.contains("broken (not valid: broken-promise)"),
            "{}",
            head.alt
        );
    }
}

#[test]
fn what_was_not_measured_has_no_chart() {
    let nothing = Charts::of(
        &sample::begun(sample::plan(&["nats"], 2)),
        &Details::default(),
    );
    assert_eq!(nothing.brokers.len(), 1);
    assert!(matches!(
        nothing.brokers[0].validity,
        Validity::Missing { .. }
    ));
    assert_eq!(nothing.throughput, None);
    assert_eq!(nothing.curve, None);
    assert_eq!(nothing.percentiles, None);
    assert_eq!(nothing.over_time, None);
    assert_eq!(nothing.heat, None);
    assert_eq!(nothing.cost, None);
    assert_eq!(nothing.durability, None);

    // Everything was lost: there is a throughput of nothing, and percentiles that are lost have no place.
    let (_, charts) = charts(
        sample::plan(&["nats", "kafka"], 2),
        &[1e5, 1e5],
        |record, broker, _| {
            if broker == 0 {
                sample::lose(record, 100_000);
                record.latencies.clear();
                record.rates.received = 0.0;
            }
        },
    );
    let bars = charts.throughput.unwrap().bars;
    let of_first = bars.iter().find(|it| it.broker == 0).unwrap();
    assert_eq!(of_first.estimate.median, 0.0);
    let percentiles = charts.percentiles.unwrap();
    let of_first = percentiles
        .brokers
        .iter()
        .find(|it| it.broker == 0)
        .unwrap();
    assert!(
        of_first
            .percentiles
            .iter()
            .all(|it| it.state == State::Lost)
    );
    assert!(
        charts
            .curve
            .unwrap()
            .lines
            .iter()
            .all(|line| line.broker != 0)
    );
}

#[test]
fn an_interrupted_run_has_charts_of_what_it_measured() {
    let folder = tempfile::tempdir().unwrap();
    let mut results = sample::begun(sample::plan(&["nats", "kafka"], 2));
    let store = Store::create(folder.path(), &results.manifest).unwrap();
    let trial = results.plan.trials[0];
    for (trial, interrupted) in [(trial, false), (results.plan.trials[1], true)] {
        let mut record = sample::record(1e5);
        record.interrupted = interrupted;
        store.keep_trial(trial.number, 1, &record).unwrap();
        let attempt = crate::results::Attempt::of(&record, &results.plan, &trial, 1);
        results.add(attempt);
    }
    results.manifest.end(true);
    let details = Details::read(store.folder(), &results).unwrap();
    let charts = Charts::of(&results, &details);
    let bars = charts.throughput.unwrap();
    assert_eq!(bars.bars.len(), 1);
    same(
        bars.bars[0].estimate.median,
        summed(&results, 0, "received_per_s"),
    );
    let said = "⚠ kafka: broken off after 20 s, so it is not compared: 5,000/s received, p50 100 µs, \
                p99 282 µs, 0 lost";
    assert_eq!(bars.head.notes.last().unwrap(), said);
    assert_eq!(charts.curve.unwrap().lines.len(), 1);
}

#[test]
fn seconds_are_those_of_the_measured_part_with_what_disturbed_them() {
    let (_, charts) = charts(sample::plan(&["nats"], 2), &[1e5], |record, _, trial| {
        let second = record.series[1].clone();
        for i in 2..=21u32 {
            let mut second = second.clone();
            second.at = f64::from(i);
            second.latency = (i != 7).then_some([u64::from(i) * 1_000, 5_000_000, 9_000_000]);
            second.foreign = if trial == 2 && i == 4 { 0.3 } else { 0.0 };
            record.series.push(second);
        }
        if trial == 1 {
            record.audit.out_of_order = 1;
        }
    });
    let over_time = charts.over_time.unwrap();
    let trials = &over_time.panels[0].trials;
    assert_eq!(trials.len(), 2);
    assert_eq!(trials[0].verdict, Some("broken-promise"));
    assert_eq!(trials[1].verdict, None);
    // Of 20 seconds: the warm-up's and the drain's are not among them.
    for trial in trials {
        let at: Vec<f64> = trial.points.iter().map(|it| it.at).collect();
        assert_eq!(at, (1..=20).map(f64::from).collect::<Vec<_>>());
        assert_eq!(trial.points[4].p50, Some(5_000));
        assert_eq!(
            trial.points[6].p50, None,
            "a second in which nothing arrived"
        );
    }
    let disturbed = |trial: usize| {
        let points = trials[trial].points.iter();
        points
            .filter(|it| it.disturbed)
            .map(|it| it.at)
            .collect::<Vec<_>>()
    };
    assert_eq!(disturbed(0), Vec::<f64>::new());
    assert_eq!(disturbed(1), [4.0]);
    let (_, short) = self::charts(sample::plan(&["nats"], 2), &[1e5], |_, _, _| {});
    assert_eq!(short.over_time, None, "one second is no course of time");
}

#[test]
fn durability_has_its_price_where_a_system_stands_at_several() {
    use workload::Durability::{Disk, Fsync, Memory};
    let labels = [
        "log-fsync",
        "log-memory",
        "log-disk",
        "other",
        "tuned-a",
        "tuned-b",
    ];
    let mut plan = sample::plan(&labels, 2);
    let given = [Fsync, Memory, Disk, Disk, Disk, Fsync];
    for (broker, durability) in plan.brokers.iter_mut().zip(given) {
        broker.offer.durability = durability;
        broker.asked.durability = durability;
    }
    for broker in &mut plan.brokers[..3] {
        (broker.driver, broker.title) = ("log".to_owned(), "A Log".to_owned());
    }
    for (i, broker) in plan.brokers[4..].iter_mut().enumerate() {
        // More than durability differs.
        broker.driver = "tuned".to_owned();
        broker.options.insert("batch".to_owned(), i.into());
    }
    let medians = [8e5, 1e5, 2e5, 1e5, 1e5, 1e5];
    let (results, charts) = charts(plan, &medians, |_, _, _| {});
    let durability = charts.durability.unwrap();
    assert_eq!(durability.systems.len(), 1);
    let system = &durability.systems[0];
    assert_eq!(system.title, "A Log");
    let steps: Vec<_> = system
        .steps
        .iter()
        .map(|it| (it.broker, it.durability))
        .collect();
    assert_eq!(steps, [(1, "memory"), (2, "disk"), (0, "fsync")]);
    for step in &system.steps {
        let rate = step.rate.as_ref().unwrap().median;
        same(rate, summed(&results, step.broker, "received_per_s"));
        let p99 = step
            .percentile
            .as_ref()
            .unwrap()
            .estimate
            .as_ref()
            .unwrap()
            .median;
        let micros = summed(&results, step.broker, "end_to_end_p99_us").unwrap();
        assert!((p99 - micros * 1e3).abs() <= 0.5);
    }
}

#[test]
fn a_closed_loop_and_a_backlog_have_the_charts_that_make_sense() {
    let mut plan = sample::plan(&["slow", "fast"], 2);
    plan.workload.load = workload::Load::Max;
    let change = |record: &mut Record, broker: usize, _: u32| {
        record.rates.received = if broker == 0 { 1e4 } else { 2e5 };
    };
    let (_, closed) = charts(plan.clone(), &[1e5, 1e5], change);
    let bars = closed.throughput.unwrap();
    assert_eq!(bars.target, None);
    assert_eq!(bars.bars[0].broker, 1, "the fastest first");
    assert_eq!(bars.bars[0].estimate.text, "200 k");
    assert_eq!(closed.percentiles.unwrap().axis.label, "transit time");
    assert!(closed.curve.unwrap().head.notes[0].contains("not what a user waits"));

    plan.workload.consumers = 0;
    let (results, publishing) = charts(plan.clone(), &[1e5, 1e5], |_, _, _| {});
    let bars = publishing.throughput.unwrap();
    same(
        bars.bars[0].estimate.median,
        summed(&results, bars.bars[0].broker, "sent_per_s"),
    );
    assert!(bars.axis.label.starts_with("messages sent"));

    (plan.workload.publishers, plan.workload.consumers) = (0, 1);
    let (_, drained) = charts(plan, &[1e5, 1e5], |_, _, _| {});
    assert!(drained.throughput.is_some() && drained.cost.is_some());
    assert_eq!((drained.curve, drained.percentiles), (None, None));
}

#[test]
fn charts_are_plain_values_whatever_brokers_are_called() {
    let label = "</script>\"\n<img src=x onerror=alert(1)>\u{202e}, 名前";
    let (_, charts) = charts(
        sample::plan(&[label, "kafka"], 2),
        &[1e5, 1e5],
        |record, broker, trial| {
            if (broker, trial) == (0, 1) {
                sample::lose(record, 100_000);
                record.latencies.clear();
            }
        },
    );
    assert!(!charts.brokers[0].label.contains(['\n', '\u{202e}']));
    let text = serde_json::to_string(&charts).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["brokers"][0]["label"], charts.brokers[0].label);
    let p50 = &value["percentiles"]["brokers"][1]["percentiles"][0];
    assert_eq!(p50["state"], "lost", "half of the trials lost everything");
    assert_eq!(p50["estimate"], serde_json::Value::Null);
}
