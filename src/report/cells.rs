//! The figures of the comparison table: which columns a workload has, and what stands in them.

use crate::measure::latency::Kind;
use crate::measure::percentile::Percentile;
use crate::stats::shape::Shape;
use crate::terminal::numbers;

use super::rows::Row;

/// What is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less.
    Lower,
    /// More.
    Higher,
    /// Nobody wins the column.
    Neither,
}

/// One figure of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The heading of its column.
    pub title: String,
    /// As printed.
    pub text: String,
    /// What it is compared by; `None` where it cannot be.
    pub value: Option<f64>,
    /// What is better.
    pub better: Better,
    /// Whether it is a latency: those are marked where the trials are not *ok*.
    pub latency: bool,
    /// Whether the generator's own lateness blurs it.
    pub blurred: bool,
}

impl Figure {
    fn of(title: &str, value: Option<f64>, better: Better, text: fn(f64) -> String) -> Figure {
        Figure {
            title: title.to_owned(),
            text: value.map_or(numbers::NONE.to_owned(), text),
            value,
            better,
            latency: false,
            blurred: false,
        }
    }
}

/// The figures of a row, in the order of the columns.
/// `stores` says whether some broker of the run keeps messages on disk.
pub fn figures(row: &Row, shape: Shape, stores: bool) -> Vec<Figure> {
    // At an offered rate every system that keeps up receives the same: the rest is noise, not merit.
    let best_rate = match shape {
        Shape::Latency(_) => Better::Neither,
        Shape::Throughput(_) | Shape::Drain => Better::Higher,
    };
    let rate = |title, value: Option<f64>| Figure::of(title, value, best_rate, numbers::rate);
    let sent = || rate("sent/s", row.rates.and_then(|r| r.sent));
    let received = || rate("received/s", row.rates.map(|r| r.received));
    let bytes = || {
        let bytes = row.rates.map(|r| r.bytes);
        Figure::of("MB/s", bytes, Better::Higher, numbers::megabytes)
    };
    let cpu = |title, micros: Option<f64>| {
        let nanoseconds = micros.map(|it| it * 1000.0);
        Figure::of(title, nanoseconds, Better::Lower, numbers::time)
    };
    let client = || cpu("client CPU/msg", row.cost.client_cpu);
    let broker = |title| cpu(title, row.cost.broker_cpu);
    let count = |title, value: u64| {
        let known = row.counts.map(|_| value as f64);
        Figure::of(title, known, Better::Neither, |it| {
            numbers::count(it as u64)
        })
    };
    let lost = || count("lost", row.total.lost);
    let failed = || count("failed", row.total.failed + row.total.unresolved);
    let percentiles = |kind: Kind, titles: &[(&str, &str)]| {
        let all = titles.iter();
        let figures: Vec<Figure> = all
            .map(|(name, title)| latency(row, kind, name, title))
            .collect();
        figures
    };
    let mut out = Vec::new();
    match shape {
        Shape::Latency(kind) => {
            let publish_only = kind == Kind::Publish;
            out.push(if publish_only { sent() } else { received() });
            let names = [
                ("p50", "p50"),
                ("p95", "p95"),
                ("p99", "p99"),
                ("p999", "p99.9"),
            ];
            out.extend(percentiles(kind, &names));
            out.push(broker("CPU/msg"));
            out.push(if publish_only { failed() } else { lost() });
        }
        Shape::Throughput(kind) => {
            out.push(sent());
            let publish_only = kind == Kind::Service;
            if !publish_only {
                out.push(received());
            }
            out.push(bytes());
            let titles = match kind {
                Kind::Service => [("p50", "service p50"), ("p99", "service p99")],
                Kind::RoundTrip => [("p50", "round trip p50"), ("p99", "round trip p99")],
                _ => [("p50", "transit p50"), ("p99", "transit p99")],
            };
            out.extend(percentiles(kind, &titles));
            out.push(if publish_only { failed() } else { lost() });
            out.push(client());
            out.push(broker("broker CPU/msg"));
            // Of an open loop it is in the exports: there the table is about time.
            if stores {
                // Who stores nothing has not stored it well.
                let stored = row.cost.stored_per_byte.filter(|it| *it > 0.0);
                out.push(Figure::of(
                    "stored/sent",
                    stored,
                    Better::Lower,
                    numbers::times,
                ));
            }
        }
        Shape::Drain => {
            out.push(received());
            out.push(bytes());
            out.push(lost());
            out.push(client());
            out.push(broker("broker CPU/msg"));
        }
    }
    out
}

/// `name` as columns write it, `title` as the table does.
fn latency(row: &Row, kind: Kind, name: &str, title: &str) -> Figure {
    let percentile = row.percentile(kind, name);
    let (text, value) = match percentile {
        Some(Percentile::Value(nanoseconds)) => {
            (numbers::time(nanoseconds as f64), Some(nanoseconds as f64))
        }
        Some(Percentile::Lost) => ("lost".to_owned(), None),
        Some(Percentile::TooFew) | None => (numbers::NONE.to_owned(), None),
    };
    Figure {
        title: title.to_owned(),
        text,
        value,
        // A service time at a window is set by the window: who keeps it short has not won anything.
        better: match kind {
            Kind::Transit | Kind::Service => Better::Neither,
            _ => Better::Lower,
        },
        latency: true,
        blurred: kind == Kind::EndToEnd && row.instrument_limited.iter().any(|it| it == name),
    }
}
