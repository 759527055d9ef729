//! Whether each threshold can be judged by what the scenario will measure.
//!
//! A threshold that never gets data would fail every run, so it is refused before the first.

use super::findings::{Findings, no_such_broker};
use super::model::Scenario;
use super::threshold::{Count, Metric, Statistic, Threshold, Throughput};
use super::workload::{Load, Measure, Pattern, Phases, Workload};

/// Samples that must lie beyond a percentile for it to be printed.
pub const SAMPLES_BEYOND: f64 = 50.0;

pub(super) fn check(scenario: &Scenario, findings: &mut Findings) {
    for (number, threshold) in scenario.thresholds.iter().enumerate() {
        let path = format!("thresholds.{number}");
        if let Some(broker) = &threshold.broker
            && !scenario.brokers.iter().any(|b| b.label == *broker)
        {
            let at = scenario.place(&path);
            findings.push(no_such_broker(scenario, at, broker));
        }
        if let Some((reason, help)) = obstacle(threshold, &scenario.workload, scenario.messages()) {
            findings.add(&path, format!("`{threshold}` {reason}"), help);
        }
    }
    if let Some(objective) = &scenario.search
        && let Some((reason, help)) = obstacle(&objective.condition, &scenario.workload, None)
    {
        let condition = &objective.condition;
        findings.add(
            "workload.load.search",
            format!("`{condition}` {reason}"),
            help,
        );
    }
}

/// Why a threshold could never be judged, and what to do; `None` where it can be. `messages` are those of the measured
/// part of one trial, where that is known.
pub(super) fn obstacle(
    threshold: &Threshold,
    workload: &Workload,
    messages: Option<f64>,
) -> Option<(String, String)> {
    let because = |reason: &str, help: &str| Some((reason.to_owned(), help.to_owned()));
    let backlog = workload.drains_backlog();
    let closed = workload.load == Load::Max;
    match threshold.metric {
        Metric::Latency(statistic, latency) => {
            let round_trip = latency.name() == "round_trip";
            let replies = workload.pattern == Pattern::RequestReply;
            if round_trip && !replies {
                return because(
                    "needs replies, and this pattern has none",
                    "use `end_to_end`",
                );
            }
            if backlog {
                return because(
                    "needs publishers, and a backlog is there before the clock starts",
                    "judge a backlog by `received_per_s` or by counts such as `lost`",
                );
            }
            if closed && latency.needs_schedule() {
                return because(
                    "stays empty with `load: max`: a closed loop has no intended time",
                    "give a rate, or use `transit` or `service`, which are service times",
                );
            }
            if workload.consumers == 0 && latency.needs_consumers() {
                return because("needs consumers, and there are none", "use `publish`");
            }
            too_few(statistic, latency.needs_consumers(), workload, messages)
        }
        Metric::Count(count) => {
            let received = !matches!(
                count,
                Count::Intended
                    | Count::Unsent
                    | Count::Sent
                    | Count::Acked
                    | Count::Failed
                    | Count::Unresolved
            );
            (workload.consumers == 0 && received).then(|| {
                (
                    "needs consumers, and there are none".to_owned(),
                    "judge publishing alone by `failed`, `unsent` or `sent_per_s`".to_owned(),
                )
            })
        }
        Metric::Throughput(Throughput::Received) if workload.consumers == 0 => {
            because("needs consumers, and there are none", "use `sent_per_s`")
        }
        Metric::Throughput(Throughput::Offered) if closed => because(
            "stays empty with `load: max`: a closed loop has no schedule",
            "use `sent_per_s` or `received_per_s`",
        ),
        Metric::Throughput(Throughput::Sent) if backlog => because(
            "needs publishers, and a backlog is there before the clock starts",
            "use `received_per_s`",
        ),
        Metric::Throughput(_) => None,
    }
}

/// A percentile is known only where enough samples lie beyond it.
fn too_few(
    statistic: Statistic,
    per_group: bool,
    workload: &Workload,
    messages: Option<f64>,
) -> Option<(String, String)> {
    let Statistic::Percentile(percentile) = statistic else {
        return None;
    };
    let copies = if per_group {
        f64::from(workload.groups)
    } else {
        1.0
    };
    let samples = messages? * copies;
    let share = 1.0 - percentile / 100.0;
    // Half a sample of tolerance: 99.9 is not exact in binary.
    if samples * share + 0.5 >= SAMPLES_BEYOND {
        return None;
    }
    let needed = (SAMPLES_BEYOND / share).ceil();
    let largest = (1.0 - SAMPLES_BEYOND / samples.max(1.0)) * 100.0;
    let known = ["p99.99", "p99.9", "p99", "p95", "p90", "p50"]
        .into_iter()
        .find(|name| name[1..].parse::<f64>().is_ok_and(|p| p <= largest));
    let help = match known {
        Some(known) => format!("measure longer, send faster, or use `{known}`"),
        None => "measure longer, or send faster".to_owned(),
    };
    Some((
        format!(
            "needs {needed:.0} messages in a trial, and there will be {samples:.0}: at least 50 must lie beyond a percentile"
        ),
        help,
    ))
}

impl Workload {
    /// Whether a preloaded backlog is consumed: nothing is sent while measuring.
    pub fn drains_backlog(&self) -> bool {
        self.pattern == Pattern::Backlog || self.publishers == 0
    }

    /// Messages of the measured part of one trial, over all publishers, where that can be known
    /// beforehand.
    pub fn messages(&self, phases: &Phases) -> Option<f64> {
        match (phases.measure, &self.load) {
            (Measure::Count(count), _) => Some(count as f64),
            (_, Load::Steps { steps, .. }) => Some(
                steps
                    .iter()
                    .map(|step| step.rate.0 * step.lasts.as_secs_f64())
                    .sum(),
            ),
            (Measure::Time(time), Load::Rate { rate, .. }) => Some(rate.0 * time.as_secs_f64()),
            (Measure::Time(_), Load::Max) => None,
        }
    }
}
