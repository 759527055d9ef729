//! A run while it goes, for Prometheus: its text exposition format, version 0.0.4.
//!
//! Counters go up while a trial runs, by what its worker tells once a second, and are put right by its record
//! when it ends, so that in the end they are what the results say. They begin with the run, warm-up and
//! repeated trials included; `mqbench_messages_total` is what the audits say, of the trials that count.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::measure::latency::Kind;
use crate::measure::percentile::Percentile;
use crate::measure::progress::{Phase, Progress};
use crate::measure::record::{Audit, Record, Second};
use crate::plan::{Plan, PlannedTrial};
use crate::results::{Attempt, Manifest, Tried};
use crate::scenario::workload::Load;

/// What a page is, for the header of an answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The quantiles that every second has; the last one is the maximum.
const QUANTILES: [&str; 3] = ["0.5", "0.99", "1"];
const PHASES: [Phase; 4] = [
    Phase::Starting,
    Phase::WarmUp,
    Phase::Measuring,
    Phase::Draining,
];

/// All that is told of a run.
#[derive(Debug)]
pub struct Metrics {
    /// Labels of the run as a whole.
    run: String,
    /// Seconds since 1970.
    began: f64,
    /// Latencies that a second has: of a message, and of its acknowledgement.
    kinds: [Kind; 2],
    brokers: Vec<Broker>,
    /// The broker that is measured, and how far it is.
    current: Option<(usize, Progress)>,
}

/// Counts over all trials of a broker.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    published: u64,
    received: u64,
    resolved: u64,
    failed: u64,
}

impl Totals {
    fn add(&mut self, second: &Second) {
        self.published += second.sent;
        self.received += second.received;
        self.resolved += second.resolved;
    }

    /// What a counter may have told must not be taken back.
    fn at_least(self, told: Totals) -> Totals {
        Totals {
            published: self.published.max(told.published),
            received: self.received.max(told.received),
            resolved: self.resolved.max(told.resolved),
            failed: self.failed.max(told.failed),
        }
    }

    fn plus(self, other: Totals) -> Totals {
        Totals {
            published: self.published + other.published,
            received: self.received + other.received,
            resolved: self.resolved + other.resolved,
            failed: self.failed + other.failed,
        }
    }
}

#[derive(Debug)]
struct Broker {
    labels: String,
    planned: usize,
    /// Of trials that are over.
    ended: Totals,
    /// Of the trial that runs.
    running: Totals,
    /// By latency: the quantiles of the last second, or of the last trial, in seconds.
    quantiles: BTreeMap<Kind, [Option<f64>; 3]>,
    /// By latency: seconds and samples of all trials that are over.
    sums: BTreeMap<Kind, (f64, u64)>,
    /// Of trials that count.
    audit: Audit,
    verdicts: BTreeMap<&'static str, u64>,
    repeated: u64,
}

impl Metrics {
    /// Of a run in which nothing was done yet.
    pub fn new(plan: &Plan, manifest: &Manifest) -> Metrics {
        let run = labels(&[
            ("scenario", &plan.scenario),
            ("run", &manifest.id),
            ("version", &manifest.tool_version),
        ]);
        let broker = |(place, broker): (usize, &crate::plan::PlannedBroker)| Broker {
            labels: labels(&[
                ("scenario", &plan.scenario),
                ("broker", &broker.label),
                ("driver", &broker.driver),
            ]),
            planned: plan.trials.iter().filter(|it| it.broker == place).count(),
            ended: Totals::default(),
            running: Totals::default(),
            quantiles: BTreeMap::new(),
            sums: BTreeMap::new(),
            audit: Audit::default(),
            verdicts: BTreeMap::new(),
            repeated: 0,
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Metrics {
            run,
            began: since.map_or(0.0, |it| it.as_secs_f64()),
            kinds: kinds(plan.workload.load == Load::Max),
            brokers: plan.brokers.iter().enumerate().map(broker).collect(),
            current: None,
        }
    }

    /// A trial begins; `tried` is what a search tries with it.
    pub fn begin(&mut self, trial: &PlannedTrial, tried: Option<Tried>) {
        if let Some(tried) = tried {
            self.kinds = kinds(tried == Tried::Loop);
        }
        self.current = Some((trial.broker, Progress::starting()));
    }

    /// The running trial says how far it is.
    pub fn progress(&mut self, progress: &Progress) {
        let Some((place, current)) = &mut self.current else {
            return;
        };
        let Some(broker) = self.brokers.get_mut(*place) else {
            return;
        };
        broker.running.failed = broker.running.failed.max(progress.errors);
        if let Some(second) = &progress.second {
            broker.running.add(second);
            let [message, ack] = self.kinds;
            for (kind, three) in [
                (message, second.latency),
                (ack, second.publish),
                (Kind::Lateness, second.lateness),
            ] {
                if let Some(three) = three {
                    let seconds = three.map(|nanoseconds| Some(nanoseconds as f64 / 1e9));
                    broker.quantiles.insert(kind, seconds);
                }
            }
        }
        // What a second said holds until the next one ends.
        let before = current.second.take();
        *current = progress.clone();
        current.second = current.second.take().or(before);
    }

    /// The running trial is over; `again` where it is repeated.
    pub fn end(&mut self, record: &Record, attempt: &Attempt, again: bool) {
        self.current = None;
        let Some(broker) = self.brokers.get_mut(attempt.broker) else {
            return;
        };
        let mut seen = Totals {
            failed: record.reasons.values().sum(),
            ..Totals::default()
        };
        for second in &record.series {
            seen.add(second);
        }
        let told = std::mem::take(&mut broker.running);
        broker.ended = broker.ended.plus(seen.at_least(told));
        for (kind, latency) in &record.latencies {
            let (seconds, samples) = broker.sums.entry(*kind).or_default();
            *seconds += latency.mean() * latency.count() as f64 / 1e9;
            *samples += latency.count();
        }
        broker.quantiles.clear();
        for (kind, summary) in &attempt.latencies {
            let value = |name: &str| match summary.named(name)? {
                Percentile::Value(nanoseconds) => Some(nanoseconds as f64 / 1e9),
                Percentile::Lost => Some(f64::INFINITY),
                Percentile::TooFew => None,
            };
            let most = (summary.count > 0).then_some(summary.max as f64 / 1e9);
            let three = [value("p50"), value("p99"), most];
            broker.quantiles.insert(*kind, three);
        }
        match again {
            true => broker.repeated += 1,
            false => {
                broker.audit.merge(&attempt.audit);
                let verdict = match attempt.interrupted {
                    true => "interrupted",
                    false => attempt.verdict.outcome.name(),
                };
                *broker.verdicts.entry(verdict).or_default() += 1;
            }
        }
    }

    /// The page, the last line ended.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        page.family("mqbench_run_info", "gauge", "The run that goes: always 1.");
        page.sample("mqbench_run_info", &self.run, 1);
        let name = "mqbench_run_start_time_seconds";
        page.family(name, "gauge", "When the run began, in seconds since 1970.");
        page.sample(name, &self.run, self.began);
        self.counters(&mut page);
        self.latencies(&mut page);
        self.trials(&mut page);
        self.gauges(&mut page);
        page.0
    }

    fn counters(&self, page: &mut Page) {
        type Count = fn(&Totals) -> u64;
        let families: [(&str, &str, Count); 4] = [
            (
                "mq_messages_published_total",
                "Messages handed to the client of the broker, warm-up included.",
                |it| it.published,
            ),
            (
                "mq_messages_received_total",
                "Copies of messages that consumers got, warm-up included.",
                |it| it.received,
            ),
            (
                "mq_messages_resolved_total",
                "Messages that the broker acknowledged, or that failed, warm-up included.",
                |it| it.resolved,
            ),
            (
                "mq_publish_errors_total",
                "Messages that were refused or given up, warm-up included.",
                |it| it.failed,
            ),
        ];
        for (name, help, count) in families {
            page.family(name, "counter", help);
            for broker in &self.brokers {
                let all = broker.ended.plus(broker.running);
                page.sample(name, &broker.labels, count(&all));
            }
        }
    }

    fn latencies(&self, page: &mut Page) {
        let name = "mq_message_latency_seconds";
        page.family(
            name,
            "summary",
            "Latency of messages: quantiles of the last second while a trial runs, else of the whole last \
             trial (+Inf: never arrived; 1: of what arrived); sum and count of the trials that are over.",
        );
        for broker in &self.brokers {
            for kind in Kind::ALL {
                let latency = format!("{},latency=\"{}\"", broker.labels, kind.name());
                let known = broker.quantiles.get(&kind).into_iter().flatten();
                for (quantile, value) in QUANTILES.iter().zip(known) {
                    if let Some(value) = value {
                        let labels = format!("{latency},quantile=\"{quantile}\"");
                        page.sample(name, &labels, Number(*value));
                    }
                }
                if let Some((seconds, samples)) = broker.sums.get(&kind) {
                    page.sample(&format!("{name}_sum"), &latency, Number(*seconds));
                    page.sample(&format!("{name}_count"), &latency, samples);
                }
            }
        }
    }

    fn trials(&self, page: &mut Page) {
        let name = "mqbench_messages_total";
        let help = "Messages of the measured parts of trials that count, by what became of them.";
        page.family(name, "counter", help);
        for broker in &self.brokers {
            for (fate, count) in fates(&broker.audit) {
                page.sample(name, &format!("{},fate=\"{fate}\"", broker.labels), count);
            }
        }
        let name = "mqbench_trials_planned";
        page.family(name, "gauge", "Trials that the run has for the broker.");
        for broker in &self.brokers {
            page.sample(name, &broker.labels, broker.planned);
        }
        let name = "mqbench_trials_total";
        page.family(name, "counter", "Trials that are over, by their verdict.");
        for broker in &self.brokers {
            for (verdict, count) in &broker.verdicts {
                let labels = format!("{},verdict=\"{verdict}\"", broker.labels);
                page.sample(name, &labels, count);
            }
        }
        let name = "mqbench_trials_repeated_total";
        page.family(
            name,
            "counter",
            "Trials that were disturbed and made again.",
        );
        for broker in &self.brokers {
            page.sample(name, &broker.labels, broker.repeated);
        }
    }

    /// Of the broker that is measured, while it is.
    fn gauges(&self, page: &mut Page) {
        let Some((place, progress)) = &self.current else {
            return;
        };
        let Some(broker) = self.brokers.get(*place) else {
            return;
        };
        let name = "mqbench_trial_phase";
        page.family(name, "gauge", "1 for the part in which the trial is.");
        for phase in PHASES {
            let labels = format!("{},phase=\"{}\"", broker.labels, phase.name());
            page.sample(name, &labels, u8::from(phase == progress.phase));
        }
        let name = "mq_backlog_messages";
        page.family(name, "gauge", "Messages sent and not yet received.");
        // Between two seconds, as where a part begins, nothing is said of it.
        let last = progress.second.as_ref();
        let backlog = last.map_or(progress.backlog, |second| second.backlog);
        page.sample(name, &broker.labels, backlog);
        let Some(second) = &progress.second else {
            return;
        };
        if let Some(waiting) = second.server_backlog {
            let name = "mq_broker_backlog_messages";
            page.family(
                name,
                "gauge",
                "Messages that wait in the broker, as it says.",
            );
            page.sample(name, &broker.labels, waiting);
        }
        let name = "mqbench_cores_busy";
        page.family(
            name,
            "gauge",
            "Cores busy in the last second, by who used them.",
        );
        for (role, cores) in ["publish", "consume", "broker"].iter().zip(second.cores) {
            let labels = format!("{},role=\"{role}\"", broker.labels);
            page.sample(name, &labels, Number(cores));
        }
        let name = "mqbench_resident_memory_bytes";
        page.family(name, "gauge", "Resident memory, by who holds it.");
        for (role, bytes) in ["worker", "broker"].iter().zip(second.rss) {
            page.sample(name, &format!("{},role=\"{role}\"", broker.labels), bytes);
        }
        let name = "mqbench_cpu_disturbed_ratio";
        let help = "Share of all CPU that others took in the last second.";
        page.family(name, "gauge", help);
        for (by, share) in [("hypervisor", second.steal), ("processes", second.foreign)] {
            page.sample(
                name,
                &format!("{},by=\"{by}\"", broker.labels),
                Number(share),
            );
        }
    }
}

/// The latencies that a second has, in a closed loop or by a schedule.
fn kinds(is_closed: bool) -> [Kind; 2] {
    match is_closed {
        true => [Kind::Transit, Kind::Service],
        false => [Kind::EndToEnd, Kind::Publish],
    }
}

/// Every count of an audit, named as in the files.
fn fates(audit: &Audit) -> [(&'static str, u64); 15] {
    [
        ("intended", audit.intended),
        ("unsent", audit.unsent),
        ("sent", audit.sent),
        ("acked", audit.acked),
        ("failed", audit.failed),
        ("unresolved", audit.unresolved),
        ("expected", audit.expected),
        ("received", audit.received),
        ("lost", audit.lost),
        ("lost_acked", audit.lost_acked),
        ("duplicated", audit.duplicated),
        ("redelivered", audit.redelivered),
        ("out_of_order", audit.out_of_order),
        ("unexpected", audit.unexpected),
        ("corrupted", audit.corrupted),
    ]
}

/// The page as it grows.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{{{labels}}} {value}");
    }
}

/// As the format writes it, which has words of its own for what is no number.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            value if value == f64::INFINITY => f.write_str("+Inf"),
            value if value == f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

/// `scenario="latency",broker="nats"`.
fn labels(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    pairs.collect::<Vec<_>>().join(",")
}

/// The value of a label.
fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
