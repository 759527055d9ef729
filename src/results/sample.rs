//! Results made by hand, for tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::engine::task::{Order, WindowBy};
use crate::measure::frequency::Frequency;
use crate::measure::host::Host;
use crate::measure::instrument::{ClockCost, SleepLateness};
use crate::measure::latency::{Kind, Latency};
use crate::measure::percentile::Percentile;
use crate::measure::record::{Audit, Rates, Record, Second, Slope};
use crate::measure::resources::Usage;
use crate::measure::verdict::Outcome;
use crate::plan::{Asked, Connection, GivenOffer, Plan, PlannedBroker, PlannedTrial, Secrets};
use crate::scenario::units::Rate;
use crate::scenario::workload::{Delivery, Durability};
use crate::scenario::{self, Overrides, Scenario};

use super::attempt::Attempt;
use super::calibration::{
    self, Calibration, Capacity, FigureNoise, Noise, Paced, Resolution, Said, Taken,
};
use super::model::{Manifest, Results, SCHEMA_VERSION};
use super::open::Stored;
use super::provenance::{BrokerProvenance, Provenance};

/// A plan of 5,000 messages a second for 20 s, one publisher and one consumer.
pub fn plan(brokers: &[&str], trials: u32) -> Plan {
    let numbers = (0..trials).flat_map(|block| {
        let brokers = 0..brokers.len();
        let all = brokers.len() as u32;
        brokers.map(move |broker| (block * all + broker as u32 + 1, block + 1, broker))
    });
    let asked = asked();
    Plan {
        scenario: "latency".to_owned(),
        description: String::new(),
        seed: 7,
        workload: asked.workload,
        sweep: Vec::new(),
        search: None,
        point: None,
        phases: asked.phases,
        thresholds: Vec::new(),
        disturbed: asked.disturbed,
        placement: asked.placement,
        left_out: Vec::new(),
        brokers: brokers.iter().map(|label| broker(label)).collect(),
        trials: numbers
            .map(|(number, block, broker)| PlannedTrial {
                number,
                block,
                broker,
                point: 0,
                seed: 1,
            })
            .collect(),
        defaults: Vec::new(),
        quick: Vec::new(),
    }
}

fn asked() -> Scenario {
    let text = "brokers: [loopback]\n\
                workload: {delivery: at-least-once, durability: disk, load: {rate: 5k/s}}\n\
                phases: {warmup: 5s, measure: 20s, drain: 10s}\n";
    scenario::parse("latency.yaml", text, &Overrides::default(), &|_| None).expect("a scenario")
}

fn broker(label: &str) -> PlannedBroker {
    PlannedBroker {
        label: label.to_owned(),
        driver: label.to_owned(),
        title: label.to_owned(),
        connection: Connection::InProcess,
        destination: None,
        options: BTreeMap::new(),
        offer: GivenOffer {
            delivery: Delivery::AtLeastOnce,
            durability: Durability::Disk,
            acks: true,
            order: Order::PerPublisher,
            settings: Vec::new(),
            note: String::new(),
        },
        window: WindowBy::Acks,
        how: String::new(),
        ranked: true,
        baseline_of: None,
        max_rate: None,
        transaction: None,
        asked: Asked {
            delivery: Delivery::AtLeastOnce,
            durability: Durability::Disk,
        },
        tls: None,
        secrets: Secrets::default(),
    }
}

/// Asks every broker for this delivery.
pub fn ask(plan: &mut Plan, delivery: Delivery) {
    plan.workload.delivery = delivery;
    for broker in &mut plan.brokers {
        broker.asked.delivery = delivery;
    }
}

/// Samples with a long tail around `median` nanoseconds.
pub fn latency(median: f64, samples: u64) -> Latency {
    let mut latency = Latency::default();
    for i in 0..samples {
        let beyond = 1.0 - (i as f64 + 0.5) / samples as f64;
        latency.record(0, (median * (0.7 + 0.3 * (0.5 / beyond).sqrt())) as u64);
    }
    latency
}

/// What a trial of the plan saw: everything arrived, half of it within `median` nanoseconds.
pub fn record(median: f64) -> Record {
    let n = 100_000;
    let kinds = [
        (Kind::EndToEnd, median),
        (Kind::Publish, median * 0.8),
        (Kind::Transit, median * 0.95),
        (Kind::Service, median * 0.75),
        (Kind::Lateness, 1_000.0),
        (Kind::SendWait, 1_500.0),
    ];
    Record {
        audit: Audit {
            intended: n,
            sent: n,
            acked: n,
            expected: n,
            received: n,
            distinct: n,
            ..Audit::default()
        },
        latencies: kinds
            .into_iter()
            .map(|(kind, median)| (kind, latency(median, n)))
            .collect(),
        series: vec![
            Second {
                at: -1.0,
                sent: 5_000,
                received: 4_990,
                ..Second::default()
            },
            Second {
                at: 1.0,
                sent: 5_000,
                resolved: 5_000,
                received: 5_000,
                backlog: 1,
                latency: Some([120_000, 400_000, 2_000_000]),
                publish: Some([90_000, 300_000, 1_500_000]),
                lateness: Some([900, 5_000, 20_000]),
                steal: 0.001,
                cores: [0.075, 0.06, 0.07],
                rss: [20 << 20, 30 << 20],
                ..Second::default()
            },
        ],
        rates: Rates {
            offered: 5_000.0,
            sent: 5_000.0,
            received: 5_000.0,
            bytes: 1_280_000.0,
        },
        seconds: 20.0,
        drain_seconds: 0.1,
        usage: Usage {
            seconds: 20.0,
            capacity_s: 40.0,
            idle_s: 30.0,
            own_s: 3.2,
            publish_s: 1.5,
            consume_s: 1.2,
            brokers_s: median / 1e5,
            rss_peak_bytes: 20 << 20,
            brokers_rss_peak_bytes: 30 << 20,
            brokers_written_bytes: 28 << 20,
            brokers_disk_bytes: 27 << 20,
            brokers_disk_grown_bytes: 26 << 20,
            sent: 100_000,
            received: 100_000,
            ..Usage::default()
        },
        ..Record::default()
    }
}

fn host() -> Host {
    Host {
        id: "0123456789abcdef".to_owned(),
        cpu: "a CPU".to_owned(),
        cores: 2,
        governor: None,
        kernel: "Linux 6.1".to_owned(),
        memory_bytes: 4 << 30,
        load_average: [0.1, 0.2, 0.3],
        clock_source: Some("tsc".to_owned()),
        virtual_machine: true,
    }
}

/// What was found about the machine of these runs two hours before them.
pub fn calibration() -> Calibration {
    let paced = [(1e3, None), (5e3, Some(31e3)), (1e5, Some(28e3))];
    let figure = |figure: &str, percent, median, noise, margin| FigureNoise {
        figure: figure.to_owned(),
        percent,
        median,
        noise,
        runs_ratio: 1.02,
        margin,
        smallest_effect: Some(0.11),
        trials_needed: Some(6),
        said: Said {
            unchanged: 1,
            inconclusive: 1,
            changed: 0,
        },
    };
    Calibration {
        schema_version: calibration::SCHEMA_VERSION,
        made: "2026-11-20T19:04:00+01:00".to_owned(),
        seconds: 74.0,
        tool_version: "0.1.0".to_owned(),
        optimised: calibration::OPTIMISED,
        host: host(),
        clock: ClockCost {
            cost_ns: 23.4,
            step_ns: 20,
        },
        sleep: SleepLateness {
            p50_ns: Some(52_000),
            p90_ns: Some(71_000),
        },
        frequency: Some(Frequency {
            mean_mhz: 2_400.0,
            least_mhz: 2_400.0,
            most_mhz: None,
        }),
        throttled: None,
        paced: paced
            .map(|(per_second, p99)| Paced {
                per_second,
                trials: 3,
                lateness_p50_ns: Some(600.0),
                lateness_p99_ns: p99.map(|it| it / 2.0),
                end_to_end_p50_ns: Some(2_100.0),
                end_to_end_p99_ns: p99,
                cpu_ns: Some(9_000.0),
            })
            .into(),
        capacity: Capacity {
            per_second: Some(17.2e6),
            cpu_ns: Some(105.0),
        },
        resolution: Resolution {
            p50_ns: 2_400.0,
            p95_ns: 9_000.0,
            p99_ns: 36_000.0,
        },
        taken: Taken {
            steal: 0.004,
            others: 0.002,
        },
        noise: vec![Noise {
            broker: "nats".to_owned(),
            driver: "nats".to_owned(),
            server_version: Some("2.10".to_owned()),
            scenario: "latency".to_owned(),
            workload: asked().workload,
            made: "2026-11-20T19:04:00+01:00".to_owned(),
            runs: 3,
            trials: 5,
            seconds: 2.0,
            usual_trials: 5,
            figures: vec![
                figure("received/s", None, 5e3, 0.0004, 0.05),
                figure("p50(end_to_end)", Some(50.0), 130e3, 0.03, 0.05),
                figure("p99(end_to_end)", Some(99.0), 400e3, 0.08, 0.1),
            ],
            invalid: None,
        }],
    }
}

/// A run of which nothing was done yet.
pub fn begun(plan: Plan) -> Results {
    let brokers = plan.brokers.iter().map(|broker| BrokerProvenance {
        client: format!("{} 1.0", broker.label),
        server_version: Some("2.10".to_owned()),
        ..BrokerProvenance::default()
    });
    Results {
        schema_version: SCHEMA_VERSION,
        manifest: Manifest {
            id: "7f3a9c01".to_owned(),
            scenario: plan.scenario.clone(),
            started: "2026-11-20T21:04:00+01:00".to_owned(),
            finished: None,
            tool_version: "0.1.0".to_owned(),
            git_commit: None,
            command: vec!["mqbench".to_owned(), "run".to_owned(), "latency".to_owned()],
            interrupted: false,
            repeats: None,
        },
        scenario_text: "name: latency\n".to_owned(),
        provenance: Provenance {
            host: host(),
            scenario_hash: "0".repeat(16),
            brokers: brokers.collect(),
            calibration: None,
        },
        plan,
        attempts: Vec::new(),
        capacities: Vec::new(),
        thresholds: Vec::new(),
    }
}

/// A whole run: broker `i` of the plan has `medians[i]`, each trial a few percent off it. `change`
/// gets the broker and which of its trials it is, from 1.
pub fn run(plan: Plan, medians: &[f64], change: impl Fn(&mut Record, usize, u32)) -> Results {
    let mut results = begun(plan);
    for trial in results.plan.trials.clone() {
        let drift = 1.0 + 0.02 * f64::from((trial.block * 2 + trial.broker as u32) % 5);
        let mut record = record(medians[trial.broker] * drift);
        change(&mut record, trial.broker, trial.block);
        let attempt = Attempt::of(&record, &results.plan, &trial, 1);
        results.add(attempt);
    }
    results.thresholds = Vec::new();
    results
}

/// A plan of these rates instead of the one, each with all trials.
pub fn swept(mut plan: Plan, rates: &[f64]) -> Plan {
    let trials = plan.trials.last().map_or(0, |trial| trial.block);
    plan.sweep = rates.iter().map(|rate| Rate(*rate)).collect();
    plan.trials = crate::plan::order::interleave(plan.brokers.len(), rates.len(), trials, 7);
    plan.workload = plan.at(0).workload.clone();
    plan
}

/// Loses so many of the acknowledged messages.
pub fn lose(record: &mut Record, messages: u64) {
    record.audit.lost += messages;
    record.audit.distinct -= messages;
    record.audit.received -= messages;
}

/// A series of runs like this one, one a day; `change` gets the number of each, from 0. Quicker than to make
/// the samples of each run anew.
pub fn days(run: &Results, count: usize, change: impl Fn(usize, &mut Results)) -> Vec<Stored> {
    let day = |i: usize| {
        let mut results = run.clone();
        results.manifest.started = format!("2026-11-{:02}T21:04:00+01:00", i + 1);
        change(i, &mut results);
        Stored {
            folder: PathBuf::from(format!("results/{i}")),
            results,
        }
    };
    (0..count).map(day).collect()
}

/// Makes all latencies of a broker so many times as long.
pub fn stretch(results: &mut Results, broker: usize, factor: f64) {
    for attempt in results.attempts.iter_mut().filter(|it| it.broker == broker) {
        for summary in attempt.latencies.values_mut() {
            for percentile in &mut summary.percentiles {
                if let Percentile::Value(nanoseconds) = percentile {
                    *nanoseconds = (*nanoseconds as f64 * factor) as u64;
                }
            }
        }
    }
}

/// That of a broker that falls behind.
pub fn slope() -> Slope {
    Slope {
        estimate: 690.0,
        low: 600.0,
        high: 780.0,
    }
}

/// Judges all trials of a broker to be saturated.
pub fn saturate(results: &mut Results, broker: usize) {
    for attempt in results.attempts.iter_mut().filter(|it| it.broker == broker) {
        attempt.verdict.outcome = Outcome::Saturated;
        attempt.verdict.reason = "backlog grew by 690 messages a second".to_owned();
    }
}
