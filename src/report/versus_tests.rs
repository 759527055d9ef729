use std::path::PathBuf;

use super::verdicts::verdict_name;
use super::versus::Versus;
use super::{Format, View, junit};
use crate::measure::latency::{Kind, Latency};
use crate::measure::record::{Record, Slope};
use crate::results::{Results, Stored, sample};
use crate::scenario::workload::Load;
use crate::stats::compare::{Options, best, brokers, runs};

fn stored(name: &str, results: Results) -> Stored {
    Stored {
        folder: PathBuf::from(format!("results/{name}")),
        results,
    }
}

/// Eight trials of three brokers; `medians` in nanoseconds.
fn run(name: &str, medians: &[f64]) -> Stored {
    let plan = sample::plan(&["nats", "redis-streams", "kafka"], 8);
    stored(name, sample::run(plan, medians, |_, _, _| {}))
}

fn versus(baseline: &Stored, candidate: &Stored, format: Format) -> String {
    let pairs = runs(&baseline.results, &candidate.results, &Options::default());
    let view = View {
        width: Some(110),
        ..View::default()
    };
    Versus::runs(baseline, candidate, pairs).render(format, &view)
}

/// What is said of each figure of the first broker that both have.
fn said([baseline, candidate]: &[Stored; 2]) -> String {
    let pairs = runs(&baseline.results, &candidate.results, &Options::default());
    let words = pairs[0].verdicts().map(|(_, it)| verdict_name(it));
    words.collect::<Vec<&str>>().join(" ")
}

/// One is the same, one is a third slower, one cannot keep up.
fn pair() -> (Stored, Stored) {
    let baseline = run("before", &[150e3, 400e3, 2e6]);
    let mut candidate = run("after", &[150e3, 540e3, 2e6]);
    candidate.results.provenance.brokers[0].server_version = Some("2.16.0".to_owned());
    let plan = candidate.results.plan.clone();
    let provenance = candidate.results.provenance;
    candidate.results = sample::run(plan, &[150e3, 540e3, 2e6], |record, broker, _| {
        if broker == 2 {
            record.backlog_slope = Some(Slope {
                estimate: 690.0,
                low: 600.0,
                high: 780.0,
            });
        }
    });
    candidate.results.provenance = provenance;
    (baseline, candidate)
}

#[test]
fn two_runs_show_each_broker_then_and_now() {
    let (baseline, candidate) = pair();
    insta::assert_snapshot!("versus_runs", versus(&baseline, &candidate, Format::Text));
    insta::assert_snapshot!(
        "versus_markdown",
        versus(&baseline, &candidate, Format::Markdown)
    );
    insta::assert_snapshot!("versus_csv", versus(&baseline, &candidate, Format::Csv));
    let json: serde_json::Value =
        serde_json::from_str(&versus(&baseline, &candidate, Format::Json)).unwrap();
    let words: Vec<&str> = json["brokers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["unchanged", "regressed", "invalid"]);
}

#[test]
fn the_brokers_of_a_run_stand_beside_the_best() {
    let stored = run("one", &[400e3, 150e3, 2e6]);
    let options = Options::default();
    let reference = best(&stored.results, &options).unwrap();
    assert_eq!(reference, 1, "the lowest p99");
    let pairs = brokers(&stored.results, reference, &options);
    assert!(pairs.iter().flat_map(|it| &it.figures).all(|it| it.paired));
    let versus = Versus::brokers(&stored.results, pairs);
    let view = View {
        width: Some(110),
        ..View::default()
    };
    insta::assert_snapshot!("versus_brokers", versus.render(Format::Text, &view));
}

#[test]
fn too_few_trials_say_how_many_would_do() {
    let plan = || sample::plan(&["nats"], 2);
    let baseline = stored("a", sample::run(plan(), &[1e6], |_, _, _| {}));
    let candidate = stored("b", sample::run(plan(), &[1e6], |_, _, _| {}));
    let text = versus(&baseline, &candidate, Format::Text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("? nats: inconclusive"), "{text}");
    assert!(text.contains("trials each would settle it"), "{text}");
}

#[test]
fn what_the_generator_blurred_is_not_judged() {
    let plan = || sample::plan(&["nats"], 6);
    // Two of a hundred messages were taken from the schedule a millisecond late.
    let late = |record: &mut Record, _: usize, _: u32| {
        let mut lateness = Latency::default();
        for i in 0..100_000 {
            lateness.record(0, if i % 50 == 0 { 1_000_000 } else { 1_000 });
        }
        record.latencies.insert(Kind::Lateness, lateness);
    };
    let baseline = stored("a", sample::run(plan(), &[1e7], |_, _, _| {}));
    let candidate = stored("b", sample::run(plan(), &[1e6], late));
    assert_eq!(
        said(&[baseline, candidate]),
        "unchanged improved improved instrument-limited"
    );
}

#[test]
fn a_report_for_test_runners_has_a_case_for_each_figure() {
    let (mut baseline, mut candidate) = pair();
    let name = "a \"b\" <c> & 'd'";
    for stored in [&mut baseline, &mut candidate] {
        stored.results.plan.brokers[1].label = name.to_owned();
    }
    let pairs = runs(&baseline.results, &candidate.results, &Options::default());
    let versus = Versus::runs(&baseline, &candidate, pairs);
    insta::assert_snapshot!("versus_junit", junit::render(&versus, "latency", false));
}

/// Eight trials of nats with this median, in a closed loop or an open one.
fn of_nats(median: f64, closed: bool, change: impl Fn(&mut Record)) -> Stored {
    let mut plan = sample::plan(&["nats"], 8);
    if closed {
        plan.workload.load = Load::Max;
    }
    let results = sample::run(plan, &[median], |record, _, _| change(record));
    stored("nats", results)
}

#[test]
fn what_a_warm_up_left_behind_is_no_throughput() {
    // A tenth more than was due came out of a server that had just started, or came twice.
    let received = |rate: f64, closed: bool| {
        of_nats(1e6, closed, |record| record.rates.received = rate * 5_000.0)
    };
    let open = [received(1.1, false), received(1.0, false)];
    assert_eq!(said(&open), "unchanged unchanged unchanged unchanged");
    // What did not come does count, and a closed loop has no rate that is due.
    let open = [received(1.1, false), received(0.9, false)];
    assert!(said(&open).starts_with("regressed "), "{}", said(&open));
    assert_eq!(
        said(&[received(1.1, true), received(1.0, true)]),
        "regressed"
    );
}

#[test]
fn copies_that_came_again_are_no_throughput() {
    let closed = |again: u64| {
        of_nats(1e6, true, |record| {
            record.rates.received *= 1.0 + again as f64 / record.audit.received as f64;
            record.audit.received += again;
            record.audit.redelivered += again;
        })
    };
    assert_eq!(said(&[closed(0), closed(20_000)]), "unchanged");
}

#[test]
fn what_a_slower_machine_may_have_done_is_not_called_and_told() {
    let sides = |medians: [f64; 2], closed: bool, work: [f64; 2]| {
        [0, 1].map(|it| {
            of_nats(medians[it], closed, |record| {
                record.work_ns = Some(work[it])
            })
        })
    };
    let text = |[baseline, candidate]: &[Stored; 2]| {
        let text = versus(baseline, candidate, Format::Text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    // The schedule sets the throughput, whatever the machine does.
    let open = sides([1e6, 1.3e6], false, [1e6, 1e6]);
    assert_eq!(said(&open), "unchanged regressed regressed regressed");
    assert!(
        !text(&open).contains("the machine itself"),
        "{}",
        text(&open)
    );
    let open = sides([1e6, 1.3e6], false, [1e6, 1.3e6]);
    assert_eq!(
        said(&open),
        "unchanged inconclusive inconclusive inconclusive"
    );
    let told = "nats: the machine itself was slower (the same piece of work took 30 % longer) when the second was \
                measured";
    assert!(text(&open).contains(told), "{}", text(&open));
    let open = sides([1e6, 2e6], false, [1e6, 1.3e6]);
    assert_eq!(said(&open), "unchanged regressed regressed regressed");
    // Throughput of a closed loop falls as the work takes longer.
    let closed = |work| said(&sides([1e6, 1e6], true, work));
    assert_eq!(closed([1e6, 1e6]), "unchanged");
    assert_eq!(closed([1e6, 0.9e6]), "inconclusive");
}

#[test]
fn the_machines_speed_decides_no_more_than_the_share_of_time_in_which_it_works() {
    let words = |closed: bool, busy: f64, rate: f64| {
        let sides = [1e6, 1.2e6].map(|work| {
            of_nats(10e6, closed, |record| {
                record.work_ns = Some(work);
                record.usage.own_s = busy / 2.0 * record.usage.seconds;
                record.usage.brokers_s = busy / 2.0 * record.usage.seconds;
                record.rates.sent = rate;
            })
        });
        said(&sides)
    };
    assert_eq!(words(true, 0.9, 5e3), "inconclusive");
    assert_eq!(words(true, 0.1, 5e3), "unchanged");
    // Fifty messages are under way at any time, so the usual one waits for work in a fiftieth of its time; the slowest may
    // have waited for it alone.
    let tail = "inconclusive inconclusive";
    assert_eq!(
        words(false, 0.02, 5e3),
        format!("unchanged unchanged {tail}")
    );
    // One is, in a fiftieth of the time: all the work is done then.
    assert_eq!(
        words(false, 0.02, 2.0),
        format!("unchanged inconclusive {tail}")
    );
    // A broker that is not seen works no more than anything on these two cores, or elsewhere.
    let unseen = |busy: f64| {
        let sides = [1e6, 1.2e6].map(|work| {
            of_nats(10e6, true, |record| {
                let seconds = record.usage.seconds;
                record.work_ns = Some(work);
                record.usage.brokers_s = 0.0;
                record.usage.idle_s = (2.0 - busy) * seconds;
            })
        });
        said(&sides)
    };
    assert_eq!(unseen(0.9), "inconclusive");
    assert_eq!(unseen(0.1), "unchanged");
}

/// A baseline of 2.10, and a run of nats and, in the same blocks, of that program again, which takes as long as is said.
fn interleaved(again: f64) -> (Stored, Stored) {
    let plan = sample::plan(&["nats", "kafka"], 8);
    let mut baseline = stored("before", sample::run(plan, &[100e3, 1e6], |_, _, _| {}));
    let mut plan = sample::plan(&["nats", "kafka", "nats@2.10"], 8);
    plan.brokers[2].baseline_of = Some("nats".to_owned());
    plan.brokers[2].ranked = false;
    let medians = [200e3, 1e6, again];
    let mut candidate = stored("after", sample::run(plan, &medians, |_, _, _| {}));
    baseline.results.provenance.brokers[0].server_program = Some("/old".to_owned());
    let brokers = &mut candidate.results.provenance.brokers;
    brokers[0].server_version = Some("2.15".to_owned());
    brokers[2].server_program = Some("/old".to_owned());
    (baseline, candidate)
}

/// What nats is compared with, and whether that is by blocks.
fn before(baseline: &Stored, candidate: &Stored) -> (Option<f64>, bool, bool) {
    let pairs = runs(&baseline.results, &candidate.results, &Options::default());
    let labels: Vec<&str> = pairs.iter().map(|it| &*it.label).collect();
    assert_eq!(labels, ["nats", "kafka"]);
    assert!(!pairs[1].interleaved);
    let p50 = pairs[0]
        .figures
        .iter()
        .find(|it| it.figure.short() == "p50");
    let p50 = p50.expect("a median");
    (p50.medians.0, p50.paired, pairs[0].interleaved)
}

#[test]
fn a_program_that_was_measured_again_stands_for_the_figures_of_its_baseline() {
    let near = |found: Option<f64>, wanted: f64| {
        let found = found.expect("a figure");
        assert!((found / wanted - 1.0).abs() < 0.1, "{found} for {wanted}");
    };
    let (baseline, candidate) = interleaved(200e3);
    let (p50, paired, again) = before(&baseline, &candidate);
    near(p50, 200e3);
    assert!(paired && again);
    let text = versus(&baseline, &candidate, Format::Text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    let said = "nats compared with the baseline's program, measured again beside the candidate in the same blocks; \
                kafka with the figures of the baseline";
    assert!(words.contains(said), "{text}");
    assert!(words.contains("nats: unchanged"), "{text}");
    assert!(!words.contains("only in the candidate"), "{text}");
    assert!(words.contains("server 2.10 → 2.15"), "{text}");
}

#[test]
fn what_is_not_the_baselines_program_or_failed_does_not_stand_for_it() {
    let old = |change: &dyn Fn(&mut Results)| {
        let (baseline, mut candidate) = interleaved(200e3);
        change(&mut candidate.results);
        let (p50, paired, again) = before(&baseline, &candidate);
        assert!(!paired && !again);
        let found = p50.expect("a figure");
        assert!((found / 100e3 - 1.0).abs() < 0.1, "{found}");
    };
    old(&|run| run.provenance.brokers[2].server_version = Some("2.11".to_owned()));
    old(&|run| run.provenance.brokers[2].server_program = Some("/other".to_owned()));
    old(&|run| run.attempts.retain(|it| it.broker != 2));
    old(&|run| {
        for attempt in run.attempts.iter_mut().filter(|it| it.broker == 2) {
            attempt.verdict.outcome = crate::measure::verdict::Outcome::Failed;
        }
    });
}
