//! Whether every latency that is judged is one that all brokers it is asked of have.

use crate::scenario::Scenario;
use crate::scenario::threshold::Metric;
use crate::terminal::diagnostic::Diagnostic;

use super::model::PlannedBroker;

/// Latencies that end with an acknowledgement need brokers that give one.
pub(super) fn check(scenario: &Scenario, brokers: &[PlannedBroker], errors: &mut Vec<Diagnostic>) {
    let numbered = scenario.thresholds.iter().enumerate();
    let all = numbered.map(|(number, it)| (format!("thresholds.{number}"), it));
    let searched = scenario.search.iter();
    let searched = searched.map(|it| ("workload.load.search".to_owned(), &it.condition));
    for (path, threshold) in all.chain(searched) {
        let Metric::Latency(_, latency) = threshold.metric else {
            continue;
        };
        if !latency.needs_acks() {
            continue;
        }
        let about = |broker: &&PlannedBroker| {
            threshold
                .broker
                .as_ref()
                .is_none_or(|label| *label == broker.label)
        };
        let (acking, silent): (Vec<_>, Vec<_>) = brokers
            .iter()
            .filter(about)
            .partition(|broker| broker.offer.acks);
        let names = |brokers: &[&PlannedBroker]| {
            let labels: Vec<&str> = brokers.iter().map(|b| b.label.as_str()).collect();
            labels.join(", ")
        };
        if silent.is_empty() {
            continue;
        }
        let help = match acking.first() {
            Some(first) => format!(
                "ask it of those that do: `{}: {}`",
                first.label,
                threshold.condition()
            ),
            None => "ask for `delivery: at-least-once`, or judge `end_to_end` or `transit`".into(),
        };
        errors.push(
            scenario
                .error(
                    scenario.place(&path),
                    format!("`{threshold}` needs acknowledgements"),
                )
                .label(format!("publishers get none from {}", names(&silent)))
                .help(help),
        );
    }
}
