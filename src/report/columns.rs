//! The columns of `summary.csv` and `trials.csv`: their names are a contract. Columns may be added,
//! never renamed. The JSON format has the same names.

use crate::measure::latency::Kind;
use crate::measure::percentile::{Percentile, SHARES};
use crate::scenario::workload::{Delivery, Durability, Pattern};

use crate::results::Capacity;

use super::rows::{COUNTS, Row, Scope};

/// The value of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// Not applicable, or not known.
    Empty,
    /// Words.
    Text(String),
    /// A number with this many decimals at most.
    Number(f64, usize),
    /// A number with exactly this many decimals.
    Exact(f64, usize),
}

impl Field {
    fn text(text: impl Into<String>) -> Field {
        Field::Text(text.into())
    }

    fn number(value: impl Into<f64>) -> Field {
        Field::Number(value.into(), 3)
    }

    fn maybe(value: Option<f64>) -> Field {
        match value {
            Some(value) if value.is_finite() => Field::number(value),
            _ => Field::Empty,
        }
    }

    /// Nanoseconds, as microseconds with three decimals.
    fn micros(nanoseconds: Option<f64>) -> Field {
        nanoseconds.map_or(Field::Empty, |it| Field::Exact(it / 1000.0, 3))
    }
}

/// The names and values of a row, in the order of the contract.
pub fn fields(row: &Row) -> Vec<(String, Field)> {
    let mut out: Vec<(String, Field)> = Vec::new();
    let mut add = |name: &str, field: Field| out.push((name.to_owned(), field));
    let (results, workload) = (row.results, row.workload());
    let offer = &row.broker.offer;
    add("schema_version", Field::number(results.schema_version));
    add("scenario", Field::text(&results.manifest.scenario));
    add("broker", Field::text(&row.broker.label));
    add("driver", Field::text(&row.broker.driver));
    let version = row.server_version.map_or(Field::Empty, Field::text);
    add("server_version", version);
    add("pattern", Field::text(pattern(workload.pattern)));
    add(
        "asked_delivery",
        Field::text(delivery(row.broker.asked.delivery)),
    );
    let asked = durability(row.broker.asked.durability);
    add("asked_durability", Field::text(asked));
    add("given_delivery", Field::text(delivery(offer.delivery)));
    let given = durability(offer.durability);
    add("given_durability", Field::text(given));
    add("size_bytes", Field::number(workload.message.mean_size()));
    add("publishers", Field::number(workload.publishers));
    add("consumers", Field::number(workload.consumers));
    add("groups", Field::number(workload.groups));
    add("destinations", Field::number(workload.destinations));
    add("in_flight", Field::number(workload.in_flight));
    add("load_kind", Field::text(row.load.kind));
    let step = row.load.step.map(|step| step as f64);
    add("load_step", Field::maybe(step));
    add("target_per_s", Field::maybe(row.load.target));
    match row.scope {
        Scope::Trial { trial, block } => {
            add("trial", Field::number(trial));
            add("block", Field::number(block));
        }
        Scope::Broker { trials, ok } => {
            add("trials", Field::number(trials as f64));
            add("trials_ok", Field::number(ok as f64));
        }
    }
    let verdict = row
        .outcome
        .map_or(Field::Empty, |it| Field::text(it.name()));
    add("verdict", verdict);
    let reason = match row.reason.as_str() {
        "" => Field::Empty,
        reason => Field::text(reason),
    };
    add("verdict_reason", reason);
    let bound = row
        .bound_by
        .map_or(Field::Empty, |it| Field::text(it.name()));
    add("bound_by", bound);
    let rates = row.rates;
    // A closed loop offers nothing: it takes what it gets.
    let offered = rates
        .map(|r| r.offered)
        .filter(|_| row.load.target.is_some());
    add("offered_per_s", Field::maybe(offered));
    add("sent_per_s", Field::maybe(rates.and_then(|r| r.sent)));
    add("received_per_s", Field::maybe(rates.map(|r| r.received)));
    add("bytes_per_s", Field::maybe(rates.map(|r| r.bytes)));
    // Of the broker, not of one trial of it.
    let capacity = match row.scope {
        Scope::Broker { .. } => row.capacity,
        Scope::Trial { .. } => None,
    };
    let low = capacity.and_then(Capacity::lower);
    let high = capacity.and_then(Capacity::upper);
    add("capacity_low_per_s", Field::maybe(low.map(|it| it.rate.0)));
    add(
        "capacity_high_per_s",
        Field::maybe(high.map(|it| it.rate.0)),
    );
    for (place, name) in COUNTS.iter().enumerate() {
        add(name, Field::maybe(row.counts.map(|counts| counts[place])));
    }
    for kind in Kind::ALL {
        let figures = row.latencies.get(&kind);
        let mut latency = |statistic: &str, value| {
            let name = format!("{}_{statistic}_us", kind.name());
            add(&name, Field::micros(value));
        };
        latency("mean", figures.and_then(|f| f.mean));
        for (place, (name, _)) in SHARES.iter().enumerate() {
            let percentile = figures.map(|f| f.percentiles[place]);
            let value = percentile.and_then(Percentile::value);
            latency(name, value.map(|nanoseconds| nanoseconds as f64));
        }
        latency("max", figures.and_then(|f| f.max));
    }
    let cost = row.cost;
    add("client_cpu_us_per_message", Field::maybe(cost.client_cpu));
    add("publish_cpu_us_per_message", Field::maybe(cost.publish_cpu));
    add("consume_cpu_us_per_message", Field::maybe(cost.consume_cpu));
    add("client_rss_peak_bytes", Field::maybe(cost.client_rss_peak));
    add("broker_cpu_us_per_message", Field::maybe(cost.broker_cpu));
    add("broker_rss_peak_bytes", Field::maybe(cost.broker_rss_peak));
    add("broker_disk_bytes", Field::maybe(cost.broker_disk));
    add("broker_written_bytes", Field::maybe(cost.broker_written));
    add(
        "stored_per_payload_byte",
        Field::maybe(cost.stored_per_byte),
    );
    out
}

/// As a scenario writes it.
pub fn pattern(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::Queue => "queue",
        Pattern::FanOut => "fan-out",
        Pattern::RequestReply => "request-reply",
        Pattern::Stream => "stream",
        Pattern::Backlog => "backlog",
    }
}

/// As a scenario writes it.
pub fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::AtMostOnce => "at-most-once",
        Delivery::AtLeastOnce => "at-least-once",
        Delivery::ExactlyOnce => "exactly-once",
    }
}

/// As a scenario writes it.
pub fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Memory => "memory",
        Durability::Disk => "disk",
        Durability::Fsync => "fsync",
    }
}
