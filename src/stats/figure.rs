//! By which figures brokers and runs are compared.

use std::fmt;
use std::str::FromStr;

use super::shape::Shape;
use crate::measure::latency::Kind;
use crate::measure::percentile::Percentile;
use crate::results::Attempt;

/// A figure that every trial has one of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// Messages sent per second of the measured part.
    Sent,
    /// Copies received per second of the measured part.
    Received,
    /// A percentile of a latency, above 0 and below 100.
    Latency(Kind, f64),
    /// CPU time of the broker for each message.
    BrokerCpu,
    /// CPU time of the client for each message.
    ClientCpu,
}

impl Figure {
    /// Those that a workload is compared by unless others are asked for. A closed loop has no latency
    /// that waiting for the window is not part of, so its throughput says all.
    pub fn of(shape: Shape) -> Vec<Figure> {
        let latencies = |kind| [50.0, 95.0, 99.0].map(|percent| Figure::Latency(kind, percent));
        match shape {
            Shape::Latency(Kind::Publish) => {
                let mut all = vec![Figure::Sent];
                all.extend(latencies(Kind::Publish));
                all
            }
            Shape::Latency(kind) => {
                let mut all = vec![Figure::Received];
                all.extend(latencies(kind));
                all
            }
            Shape::Throughput(_) | Shape::Drain => vec![Figure::headline(shape)],
        }
    }

    /// The one by which brokers are ranked.
    pub fn headline(shape: Shape) -> Figure {
        match shape {
            Shape::Latency(kind) => Figure::Latency(kind, 99.0),
            Shape::Throughput(Kind::Service) => Figure::Sent,
            Shape::Throughput(_) | Shape::Drain => Figure::Received,
        }
    }

    /// Whether less is better.
    pub fn lower_is_better(self) -> bool {
        !matches!(self, Figure::Sent | Figure::Received)
    }

    /// From which relative difference on there is a change, unless another margin is asked for.
    pub fn margin(self) -> f64 {
        match self {
            Figure::Latency(_, percent) if percent > 50.0 => 0.1,
            _ => 0.05,
        }
    }

    /// What it was in a trial: per second, nanoseconds or microseconds. A percentile that falls among
    /// messages that never arrived is infinite. `None` where the trial does not have it.
    pub fn value(self, attempt: &Attempt) -> Option<f64> {
        if attempt.seconds <= 0.0 {
            return None;
        }
        let messages = match attempt.audit.sent {
            0 => attempt.audit.received,
            sent => sent,
        };
        let each = |seconds: f64| seconds * 1e6 / messages as f64;
        let found = match self {
            Figure::Sent => attempt.rates.sent,
            Figure::Received => attempt.rates.received,
            Figure::Latency(kind, percent) => match attempt.percentile(kind, percent)? {
                Percentile::Value(nanoseconds) => nanoseconds as f64,
                Percentile::Lost => f64::INFINITY,
                Percentile::TooFew => return None,
            },
            Figure::BrokerCpu => each(attempt.usage.brokers_s),
            Figure::ClientCpu => each(attempt.usage.own_s),
        };
        // What is zero was not read, or nothing was measured.
        (found > 0.0).then_some(found)
    }

    /// What it is judged by: [`Figure::value`], except that of messages received two kinds count for nothing. Copies
    /// that came again; and what came beyond a schedule, which had been queued before measuring began: a system has no
    /// merit in handing that out within the measured time.
    pub fn judged(self, attempt: &Attempt, shape: Shape) -> Option<f64> {
        let value = self.value(attempt)?;
        if self != Figure::Received {
            return Some(value);
        }
        let audit = &attempt.audit;
        let first = match audit.received {
            0 => value,
            received => value * (1.0 - audit.repeated() as f64 / received as f64),
        };
        let due = match (shape, audit.sent) {
            (Shape::Latency(Kind::EndToEnd), 1..) => {
                attempt.rates.offered * audit.expected as f64 / audit.sent as f64
            }
            _ => f64::INFINITY,
        };
        Some(first.min(due))
    }

    /// Whether the generator was late itself by so much that the figure says little of the broker.
    pub fn is_blurred(self, attempt: &Attempt) -> bool {
        let Figure::Latency(Kind::EndToEnd | Kind::Publish, _) = self else {
            return false;
        };
        let name = self.short();
        attempt.verdict.instrument_limited.contains(&name)
    }

    /// As a column has it: `p99`, `received/s`.
    pub fn short(self) -> String {
        match self {
            Figure::Latency(_, percent) => format!("p{percent}"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Figure::Sent => f.write_str("sent/s"),
            Figure::Received => f.write_str("received/s"),
            Figure::Latency(kind, percent) => write!(f, "p{percent}({})", kind.name()),
            Figure::BrokerCpu => f.write_str("broker-cpu"),
            Figure::ClientCpu => f.write_str("client-cpu"),
        }
    }
}

/// Every figure that is not a percentile.
const NAMED: [Figure; 4] = [
    Figure::Sent,
    Figure::Received,
    Figure::BrokerCpu,
    Figure::ClientCpu,
];

/// What was asked for: a latency may be left to the workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    /// As it stands.
    Figure(Figure),
    /// A percentile of the workload's headline latency.
    Percentile(f64),
}

impl Asked {
    /// For a workload.
    pub fn of(self, shape: Shape) -> Figure {
        match (self, shape) {
            (Asked::Figure(figure), _) => figure,
            (Asked::Percentile(percent), Shape::Latency(kind) | Shape::Throughput(kind)) => {
                Figure::Latency(kind, percent)
            }
            (Asked::Percentile(percent), Shape::Drain) => Figure::Latency(Kind::Transit, percent),
        }
    }
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Asked, String> {
        if let Some(figure) = NAMED.into_iter().find(|it| it.to_string() == text) {
            return Ok(Asked::Figure(figure));
        }
        let unknown = || {
            let names = NAMED.map(|it| it.to_string()).join(", ");
            let kinds = Kind::ALL.map(Kind::name).join(", ");
            format!(
                "there is no figure `{text}`; there are {names}, and percentiles: p99, or p99(publish) of one of \
                 {kinds}"
            )
        };
        let (percent, kind) = match text.split_once('(') {
            Some((percent, kind)) => {
                let kind = kind.strip_suffix(')').ok_or_else(unknown)?;
                let known = Kind::ALL.into_iter().find(|it| it.name() == kind);
                (percent, Some(known.ok_or_else(unknown)?))
            }
            None => (text, None),
        };
        let number = percent
            .strip_prefix('p')
            .and_then(|it| it.parse::<f64>().ok());
        let percent = number.filter(|it| *it > 0.0 && *it < 100.0);
        let percent = percent.ok_or_else(unknown)?;
        Ok(match kind {
            Some(kind) => Asked::Figure(Figure::Latency(kind, percent)),
            None => Asked::Percentile(percent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_asked_for_as_they_are_printed() {
        for text in [
            "received/s",
            "sent/s",
            "p99(publish)",
            "p99.9(end_to_end)",
            "broker-cpu",
        ] {
            let asked: Asked = text.parse().unwrap();
            assert_eq!(asked.of(Shape::Drain).to_string(), text);
        }
        let shape = Shape::Latency(Kind::Publish);
        let asked: Asked = "p95".parse().unwrap();
        assert_eq!(asked.of(shape).to_string(), "p95(publish)");
        for text in ["p100", "p0", "99", "p99(", "p99(nothing)", "speed", ""] {
            let why = text.parse::<Asked>().unwrap_err();
            assert!(why.contains("p99(publish)"), "{why}");
        }
    }
}
