//! `series.csv`: every trial second by second.

use super::columns::Field;
use super::csv::{lines_of, text};
use crate::measure::record::{Record, Second};
use crate::results::{Attempt, Results, Tried};
use crate::scenario::workload::Load;

/// The latencies of a second, in the order of the columns: the first and third are of an open loop,
/// the second and fourth of a closed one.
const LATENCIES: [&str; 5] = ["end_to_end", "transit", "publish", "service", "lateness"];

/// The names of the columns.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "schema_version",
        "scenario",
        "broker",
        "load_step",
        "trial",
        "block",
        "second",
        "sent_per_s",
        "resolved_per_s",
        "received_per_s",
        "backlog",
    ]
    .map(str::to_owned)
    .into();
    for latency in LATENCIES {
        names.extend(["p50", "p99", "max"].map(|it| format!("{latency}_{it}_us")));
    }
    let shares = [
        "steal_share",
        "foreign_share",
        "publish_cores",
        "consume_cores",
        "broker_cores",
        "client_rss_bytes",
        "broker_rss_bytes",
        "server_backlog",
    ];
    names.extend(shares.map(str::to_owned));
    names
}

/// Lines that grow trial by trial.
#[derive(Debug, Default)]
pub struct Series {
    lines: Vec<Vec<String>>,
}

impl Series {
    /// Adds the seconds of one trial; the warm-up has negative ones.
    pub fn add(&mut self, results: &Results, attempt: &Attempt, record: &Record) {
        let label = results
            .broker_of(attempt)
            .map_or("", |it| it.label.as_str());
        let closed = results.plan.workload.load == Load::Max || attempt.tried == Some(Tried::Loop);
        for second in &record.series {
            let mut line = vec![
                results.schema_version.to_string(),
                results.manifest.scenario.clone(),
                label.to_owned(),
                load_step(results, attempt),
                attempt.repetition.to_string(),
                attempt.block.to_string(),
                text(&Field::Number(second.at, 3)),
                second.sent.to_string(),
                second.resolved.to_string(),
                second.received.to_string(),
                second.backlog.to_string(),
            ];
            line.extend(latencies(second, closed));
            let used = [second.steal, second.foreign]
                .into_iter()
                .chain(second.cores);
            line.extend(used.map(|share| text(&Field::Number(share, 4))));
            line.extend(second.rss.map(|bytes| bytes.to_string()));
            let waiting = second.server_backlog;
            line.push(waiting.map_or(String::new(), |it| it.to_string()));
            self.lines.push(line);
        }
    }

    /// The file.
    pub fn to_csv(&self) -> String {
        lines_of(&names(), self.lines.iter().map(|l| l.iter().cloned()))
    }
}

/// Which rate of a sweep, from 1.
fn load_step(results: &Results, attempt: &Attempt) -> String {
    match results.plan.sweep.is_empty() {
        true => String::new(),
        false => (attempt.point + 1).to_string(),
    }
}

fn latencies(second: &Second, closed: bool) -> impl Iterator<Item = String> {
    let open = |latency: Option<[u64; 3]>| latency.filter(|_| !closed);
    let in_closed = |latency: Option<[u64; 3]>| latency.filter(|_| closed);
    let all = [
        open(second.latency),
        in_closed(second.latency),
        open(second.publish),
        in_closed(second.publish),
        second.lateness,
    ];
    all.into_iter().flat_map(|latency| {
        (0..3).map(move |i| {
            let value = latency.map(|it| it[i] as f64 / 1000.0);
            value.map_or(String::new(), |it| text(&Field::Exact(it, 3)))
        })
    })
}
