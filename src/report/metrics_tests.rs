use super::metrics::*;
use crate::measure::latency::Kind;
use crate::measure::percentile::Percentile;
use crate::measure::progress::Progress;
use crate::measure::record::{Record, Second};
use crate::plan::Plan;
use crate::results::Attempt;
use crate::results::sample;

fn metrics(labels: &[&str]) -> (Plan, Metrics) {
    let plan = sample::plan(labels, 2);
    let manifest = sample::begun(plan.clone()).manifest;
    let metrics = Metrics::new(&plan, &manifest);
    (plan, metrics)
}

fn value(page: &str, of: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(of))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn second() -> Second {
    sample::record(1e5).series[1].clone()
}

#[test]
fn counters_go_up_each_second_and_are_put_right_at_the_end() {
    let (plan, mut metrics) = metrics(&["nats"]);
    let published = |metrics: &Metrics| value(&metrics.render(), "mq_messages_published_total{");
    assert_eq!(published(&metrics), Some(0.0));
    metrics.begin(&plan.trials[0], None);
    let mut progress = Progress::starting();
    progress.second = Some(Box::new(second()));
    progress.errors = 3;
    metrics.progress(&progress);
    assert_eq!(published(&metrics), Some(5_000.0));
    assert_eq!(
        value(&metrics.render(), "mq_publish_errors_total{"),
        Some(3.0)
    );
    let record = sample::record(1e5);
    let attempt = Attempt::of(&record, &plan, &plan.trials[0], 1);
    metrics.end(&record, &attempt, false);
    assert_eq!(
        published(&metrics),
        Some(10_000.0),
        "both seconds of the record"
    );
    let page = metrics.render();
    let sent = page
        .lines()
        .find(|line| line.contains("fate=\"sent\""))
        .unwrap();
    assert!(sent.ends_with(" 100000"), "{sent}");
    // A worker that was killed has no record: what was told stays.
    metrics.begin(&plan.trials[1], None);
    metrics.progress(&progress);
    let nothing = Record {
        failure: Some("killed".to_owned()),
        ..Record::default()
    };
    let attempt = Attempt::of(&nothing, &plan, &plan.trials[1], 1);
    metrics.end(&nothing, &attempt, false);
    assert_eq!(published(&metrics), Some(15_000.0));
    assert!(metrics.render().contains("verdict=\"failed\"} 1"));
}

#[test]
fn latencies_are_those_of_the_last_second_then_those_of_the_trial() {
    let (plan, mut metrics) = metrics(&["nats"]);
    metrics.begin(&plan.trials[0], None);
    let mut progress = Progress::starting();
    progress.second = Some(Box::new(second()));
    metrics.progress(&progress);
    let of = |metrics: &Metrics, quantile: &str| {
        let page = metrics.render();
        let wanted = format!("latency=\"end_to_end\",quantile=\"{quantile}\"");
        let line = page
            .lines()
            .find(|line| line.contains(&wanted))
            .map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    assert_eq!(
        [of(&metrics, "0.5"), of(&metrics, "1")],
        [Some(0.000_12), Some(0.002)]
    );
    let record = sample::record(1e5);
    let attempt = Attempt::of(&record, &plan, &plan.trials[0], 1);
    metrics.end(&record, &attempt, false);
    let p99 = attempt
        .percentile(Kind::EndToEnd, 99.0)
        .and_then(Percentile::value)
        .unwrap();
    assert_eq!(of(&metrics, "0.99"), Some(p99 as f64 / 1e9));
    let page = metrics.render();
    let count = page.lines().find(|line| {
        line.starts_with("mq_message_latency_seconds_count") && line.contains("end_to_end")
    });
    assert!(count.unwrap().ends_with(" 100000"), "{count:?}");
}

#[test]
fn a_repeated_trial_is_not_among_those_that_count() {
    let (plan, mut metrics) = metrics(&["nats"]);
    let record = sample::record(1e5);
    for again in [true, false] {
        metrics.begin(&plan.trials[0], None);
        let attempt = Attempt::of(&record, &plan, &plan.trials[0], 1);
        metrics.end(&record, &attempt, again);
    }
    let page = metrics.render();
    assert!(page.contains("fate=\"sent\"} 100000"), "{page}");
    assert_eq!(value(&page, "mqbench_trials_repeated_total{"), Some(1.0));
    assert_eq!(value(&page, "mq_messages_published_total{"), Some(20_000.0));
}

#[test]
fn every_line_is_of_the_format_whatever_the_names_are() {
    let (plan, mut metrics) = metrics(&["a\"b\\c\nd", "日本 {x=\"y\"} 1"]);
    metrics.begin(&plan.trials[1], None);
    let mut progress = Progress::starting();
    progress.second = Some(Box::new(Second {
        server_backlog: Some(4),
        ..second()
    }));
    metrics.progress(&progress);
    let page = metrics.render();
    assert!(page.ends_with('\n'));
    assert!(page.contains(r#"broker="a\"b\\c\nd""#), "{page}");
    let mut families = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(!families.contains(&name.to_owned()), "once: {line}");
            families.push(name.to_owned());
        } else if !line.starts_with("# HELP ") {
            // All samples of a family stand together, behind its type.
            let family = families.last().unwrap();
            let name = line.split('{').next().unwrap();
            assert!(name.starts_with(family.as_str()), "{line}");
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok() || value == "+Inf", "{line}");
        }
    }
    assert!(families.len() > 12, "{families:?}");
}
