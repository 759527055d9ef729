//! What the headline of a workload is.

use crate::measure::latency::Kind;
use crate::scenario::workload::{Load, Pattern, Workload};

/// What the headline of a workload is: which table it gets, and by which figures it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Open loop with a latency as the headline.
    Latency(Kind),
    /// Closed loop: throughput at a window, with a service time.
    Throughput(Kind),
    /// A preloaded backlog is consumed: nothing is sent.
    Drain,
}

impl Shape {
    /// Of a workload.
    pub fn of(workload: &Workload) -> Shape {
        let closed = matches!(workload.load, Load::Max);
        match (closed, workload.publishers, workload.consumers) {
            (_, 0, _) => Shape::Drain,
            (false, _, _) if workload.pattern == Pattern::RequestReply => {
                Shape::Latency(Kind::RoundTrip)
            }
            (false, _, 0) => Shape::Latency(Kind::Publish),
            (false, _, _) => Shape::Latency(Kind::EndToEnd),
            (true, _, 0) => Shape::Throughput(Kind::Service),
            (true, _, _) if workload.pattern == Pattern::RequestReply => {
                Shape::Throughput(Kind::RoundTrip)
            }
            (true, _, _) => Shape::Throughput(Kind::Transit),
        }
    }
}
