//! What a trial saw: counts, histograms, series. Plain values; parts merge exactly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::latency::{Kind, Latency};
use super::resources::Usage;
use super::strain::Strain;
use super::takers::Taker;

/// Every message of the measured part, accounted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Due within the measured part.
    pub intended: u64,
    /// Due and not sent when sending stopped.
    pub unsent: u64,
    /// Handed to the client library.
    pub sent: u64,
    /// The broker took responsibility.
    pub acked: u64,
    /// Refused or given up, with a reason.
    pub failed: u64,
    /// Neither, at the end; 0 where the offer has no acknowledgements.
    pub unresolved: u64,
    /// Sent × groups that should get it.
    pub expected: u64,
    /// Copies received.
    pub received: u64,
    /// Distinct messages received, summed over groups.
    pub distinct: u64,
    /// Expected and never received.
    pub lost: u64,
    /// Acknowledged to the publisher and never received by some group.
    pub lost_acked: u64,
    /// Copies after the first that the broker did not announce.
    pub duplicated: u64,
    /// Copies after the first that the broker flagged as redelivered.
    pub redelivered: u64,
    /// Received after a later message of the same publisher and lane, where order is promised.
    pub out_of_order: u64,
    /// Messages of other runs or trials, or of nobody.
    pub unexpected: u64,
    /// Content that was not what was sent.
    pub corrupted: u64,
    /// Credit taken back for messages that did not come within the timeout (closed loop without acks).
    pub reclaimed: u64,
}

impl Audit {
    /// Copies received after the first of their message and group.
    pub fn repeated(&self) -> u64 {
        self.duplicated + self.redelivered
    }

    /// Which of the identities does not hold; an empty list is what every trial must give.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut same = |what: &str, left: u64, right: u64| {
            if left != right {
                found.push(format!("{what}: {left} ≠ {right}"));
            }
        };
        same(
            "intended = sent + unsent",
            self.intended,
            self.sent + self.unsent,
        );
        same(
            "expected = distinct + lost",
            self.expected,
            self.distinct + self.lost,
        );
        same(
            "received = distinct + copies",
            self.received,
            self.distinct + self.repeated(),
        );
        // Without acknowledgements failures are all that is heard of.
        if self.acked + self.unresolved > 0 || self.failed > self.sent {
            let outcomes = self.acked + self.failed + self.unresolved;
            same("sent = acked + failed + unresolved", self.sent, outcomes);
        }
        found
    }

    /// Samples that `end_to_end` and `transit` lack: messages that never came rank above every sample.
    pub fn censored(&self, kind: Kind, groups: u64, acks: bool) -> u64 {
        match kind {
            Kind::EndToEnd | Kind::RoundTrip => self.lost + self.unsent * groups,
            Kind::Transit => self.lost,
            Kind::Publish if acks => self.failed + self.unresolved + self.unsent,
            Kind::Service if acks => self.failed + self.unresolved,
            _ => 0,
        }
    }

    /// Adds the counts of another part of the same trial.
    pub fn merge(&mut self, other: &Audit) {
        self.intended += other.intended;
        self.unsent += other.unsent;
        self.sent += other.sent;
        self.acked += other.acked;
        self.failed += other.failed;
        self.unresolved += other.unresolved;
        self.expected += other.expected;
        self.received += other.received;
        self.distinct += other.distinct;
        self.lost += other.lost;
        self.lost_acked += other.lost_acked;
        self.duplicated += other.duplicated;
        self.redelivered += other.redelivered;
        self.out_of_order += other.out_of_order;
        self.unexpected += other.unexpected;
        self.corrupted += other.corrupted;
        self.reclaimed += other.reclaimed;
    }
}

/// One second of a trial. Latencies in nanoseconds; empty where there was no sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// End of the second, in seconds after the start of the measured part; negative in the warm-up.
    pub at: f64,
    /// Messages sent in it.
    pub sent: u64,
    /// Messages acknowledged or failed in it.
    pub resolved: u64,
    /// Copies received in it, over all groups.
    pub received: u64,
    /// Sent and not yet received by the slowest group (or not yet acknowledged, without consumers).
    pub backlog: u64,
    /// Messages that wait in the broker, where it said so in this second.
    #[serde(default)]
    pub server_backlog: Option<u64>,
    /// End-to-end (transit in a closed loop): p50, p99, max.
    pub latency: Option<[u64; 3]>,
    /// How its samples lie; those of publish (service) where nothing is consumed. Empty, too, in results of versions
    /// that did not keep it.
    #[serde(default, skip_serializing_if = "Cells::is_empty")]
    pub cells: Cells,
    /// Publish (service in a closed loop): p50, p99, max.
    pub publish: Option<[u64; 3]>,
    /// Lateness: p50, p99, max.
    pub lateness: Option<[u64; 3]>,
    /// Share of all CPU that the hypervisor took.
    pub steal: f64,
    /// Share of all CPU that processes outside the run took.
    pub foreign: f64,
    /// Cores busy with publishing, consuming, the broker.
    pub cores: [f64; 3],
    /// Resident memory of the worker, and of the broker.
    pub rss: [u64; 2],
    /// Who of those outside the run took most of the CPU.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takers: Vec<Taker>,
    /// What the machine suffered besides.
    #[serde(default, skip_serializing_if = "Strain::is_nothing")]
    pub strain: Strain,
}

/// A time in which a group of consumers received nothing, far longer than is to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// When it began, in seconds after the start of the measured part.
    pub at: f64,
    /// How long it was, in seconds.
    pub seconds: f64,
}

/// How fast messages went, per second of the measured part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Due.
    pub offered: f64,
    /// Handed to the client library.
    pub sent: f64,
    /// Received, copies of all groups.
    pub received: f64,
    /// Bytes received (sent, without consumers), header and body.
    pub bytes: f64,
}

/// Growth of the backlog over the second half of the measured part, messages per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    /// Least-squares estimate.
    pub estimate: f64,
    /// Lower end of its interval (99 %).
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What one trial saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Every message accounted for.
    pub audit: Audit,
    /// Of the measured part; a latency without samples is absent.
    pub latencies: BTreeMap<Kind, Latency>,
    /// Second by second, warm-up included.
    pub series: Vec<Second>,
    /// Per second of the measured part.
    pub rates: Rates,
    /// Length of the measured part in seconds, as measured.
    pub seconds: f64,
    /// Length of the drain in seconds.
    pub drain_seconds: f64,
    /// Messages still came in while the drain ran out, or a consumer could get none: it was cut, not finished.
    pub drain_cut: bool,
    /// Whether the backlog grew.
    pub backlog_slope: Option<Slope>,
    /// Whether the one that the server tells of did.
    #[serde(default)]
    pub server_backlog_slope: Option<Slope>,
    /// When nothing came, in each group of consumers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// What the measured part cost.
    pub usage: Usage,
    /// Who of those outside the run took most of the CPU in the measured part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takers: Vec<Taker>,
    /// What the machine suffered in it besides.
    #[serde(default)]
    pub strain: Strain,
    /// What always the same piece of work took just before and just after the trial: CPU time in nanoseconds, the mean of
    /// both. More where the machine was slower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_ns: Option<f64>,
    /// Why messages failed, and how often.
    pub reasons: BTreeMap<String, u64>,
    /// What the server said of itself.
    pub server_facts: Vec<(String, String)>,
    /// What a reader of the figures must know besides.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Why the trial could not be done, if it could not; the rest is what was seen until then.
    pub failure: Option<String>,
    /// Whether it was interrupted by the user.
    pub interrupted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_without_acknowledgements_is_no_contradiction() {
        let mut audit = Audit {
            intended: 3,
            sent: 3,
            failed: 1,
            expected: 3,
            distinct: 2,
            received: 2,
            lost: 1,
            ..Audit::default()
        };
        assert_eq!(audit.contradictions(), Vec::<String>::new());
        audit.failed = 4;
        assert_eq!(audit.contradictions().len(), 1);
        (audit.acked, audit.failed) = (1, 1);
        assert_eq!(audit.contradictions().len(), 1);
    }
}
