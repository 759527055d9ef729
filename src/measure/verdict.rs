//! What a trial is worth: one verdict, with the reason and the remedy.

use serde::{Deserialize, Serialize};

use super::latency::Kind;
use super::percentile::{Percentile, SHARES, Summary, percentile};
use super::record::{Record, Slope};
use crate::scenario::workload::{Delivery, Load, Workload};

/// Lateness below this is never held against the generator, nanoseconds.
const LATENESS_FLOOR: u64 = 20_000;
/// Lateness may be this share of the latency that it would blur.
const LATENESS_SHARE: f64 = 0.1;
/// More unsent than this share of what was due means that the system could not keep up.
const UNSENT_SHARE: f64 = 0.01;
/// A backlog that grows by less than this share of the offered rate is noise of its own: a queue that
/// is one message longer at the end is not a queue that grows.
const SLOPE_SHARE: f64 = 0.001;
/// Nor one that is longer by less than this at the end of the half that is looked at, messages: at a low rate the instants at
/// which it is counted drift against those at which messages are due, and one message comes or goes with it.
const LEAST_GROWTH: f64 = 2.0;

/// Whether the figures of a trial may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// They may.
    Ok,
    /// The load generator was late: the figures are its own.
    GeneratorLimited,
    /// The system could not keep up with the offered load.
    Saturated,
    /// The audit contradicts what was asked.
    BrokenPromise,
    /// The broker or the driver failed.
    Failed,
}

impl Outcome {
    /// As tables and columns write it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::GeneratorLimited => "generator-limited",
            Outcome::Saturated => "saturated",
            Outcome::BrokenPromise => "broken-promise",
            Outcome::Failed => "failed",
        }
    }
}

/// A verdict and what led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The worst that applies.
    pub outcome: Outcome,
    /// In words, empty for *ok*.
    pub reason: String,
    /// What to do about it, empty where there is nothing.
    pub remedy: String,
    /// Percentiles of the end-to-end latency that the generator's own lateness blurs: `p99`.
    pub instrument_limited: Vec<String>,
}

/// What the system promised, beyond what was asked.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// How often a message may arrive, as given.
    pub delivery: Delivery,
    /// Whether publishers get acknowledgements.
    pub acks: bool,
}

/// Judges a trial.
pub fn judge(record: &Record, workload: &Workload, promise: Promise) -> Verdict {
    let limited = instrument_limited(record);
    let verdict = |outcome, reason: String, remedy: &str| Verdict {
        outcome,
        reason,
        remedy: remedy.to_owned(),
        instrument_limited: limited.clone(),
    };
    if let Some(failure) = &record.failure {
        return verdict(Outcome::Failed, failure.clone(), "");
    }
    let contradictions = record.audit.contradictions();
    if !contradictions.is_empty() {
        let reason = format!("the books do not add up: {}", contradictions.join("; "));
        return verdict(
            Outcome::Failed,
            reason,
            "this is a fault of mqbench or its driver; please report it",
        );
    }
    if let Some(reason) = broken_promise(record, workload, promise) {
        return verdict(Outcome::BrokenPromise, reason, "");
    }
    if !matches!(workload.load, Load::Max) {
        if let Some(reason) = generator_limited(record) {
            let remedy =
                "leave it more CPU: fewer publishers, a lower rate, or a machine with a spare core";
            return verdict(Outcome::GeneratorLimited, reason, remedy);
        }
        if let Some(reason) = saturated(record) {
            return verdict(
                Outcome::Saturated,
                reason,
                "offer less: `--set workload.load.rate=…`",
            );
        }
    }
    verdict(Outcome::Ok, String::new(), "")
}

fn broken_promise(record: &Record, workload: &Workload, promise: Promise) -> Option<String> {
    let audit = &record.audit;
    // What was still on its way when the drain ran out is late, not lost: that is saturation.
    if workload.delivery >= Delivery::AtLeastOnce && audit.lost_acked > 0 && !record.drain_cut {
        return Some(format!(
            "{} messages were acknowledged and never received",
            audit.lost_acked
        ));
    }
    let copies = audit.repeated();
    if promise.delivery != Delivery::AtLeastOnce && copies > 0 {
        return Some(format!("{copies} messages were received more than once"));
    }
    if audit.out_of_order > 0 {
        return Some(format!("{} messages came out of order", audit.out_of_order));
    }
    if audit.corrupted > 0 {
        return Some(format!(
            "{} messages were not what was sent",
            audit.corrupted
        ));
    }
    None
}

fn bound(latency: Option<u64>) -> u64 {
    let share = latency.map_or(0.0, |l| l as f64 * LATENESS_SHARE);
    LATENESS_FLOOR.max(share as u64)
}

fn generator_limited(record: &Record) -> Option<String> {
    let lateness = record.latencies.get(&Kind::Lateness)?;
    // Where nothing was received, publishing is what was measured.
    let measured = [Kind::EndToEnd, Kind::Publish]
        .iter()
        .find_map(|kind| record.latencies.get(kind));
    let (late, allowed) = (
        lateness.quantile(0.5),
        bound(measured.map(|m| m.quantile(0.5))),
    );
    (late > allowed).then(|| {
        format!(
            "half of the messages left more than {} after they were due ({} would do)",
            micros(late),
            micros(allowed)
        )
    })
}

fn saturated(record: &Record) -> Option<String> {
    let audit = &record.audit;
    if audit.unsent as f64 > UNSENT_SHARE * audit.intended as f64 {
        return Some(format!(
            "{} of {} messages could not be sent in time",
            audit.unsent, audit.intended
        ));
    }
    let least = LEAST_GROWTH / (record.seconds / 2.0);
    for (whose, slope) in [
        ("backlog", record.backlog_slope),
        ("the broker's own backlog", record.server_backlog_slope),
    ] {
        if let Some(slope) = slope
            && slope.low > least.max(SLOPE_SHARE * record.rates.offered)
        {
            let growth = slope.estimate;
            return Some(format!("{whose} grew by {growth:.0} messages a second"));
        }
    }
    record.drain_cut.then(|| {
        format!(
            "{} messages were still on their way when the drain ran out",
            audit.lost
        )
    })
}

/// The percentiles of the end-to-end latency that the generator's lateness at the same percentile blurs.
fn instrument_limited(record: &Record) -> Vec<String> {
    let (Some(lateness), Some(latency)) = (
        record.latencies.get(&Kind::Lateness),
        record.latencies.get(&Kind::EndToEnd),
    ) else {
        return Vec::new();
    };
    let late = Summary::of(lateness, 0);
    SHARES
        .iter()
        .filter(|(name, share)| {
            let own = late.named(name).and_then(Percentile::value);
            let seen = percentile(latency, 0, *share).value();
            matches!((own, seen), (Some(own), Some(_)) if own > bound(seen))
        })
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

fn micros(nanoseconds: u64) -> String {
    format!("{:.0} µs", nanoseconds as f64 / 1000.0)
}

/// The growth of a backlog by least squares over block means.
///
/// `samples` are (nanoseconds, messages). Neighbouring samples of a queue's length depend on each
/// other, which would make the interval of a plain regression far too narrow; the means of ten blocks
/// hardly do. The interval is Student's t at 99 % with eight degrees of freedom (3.355).
pub fn slope(samples: &[(u64, u64)]) -> Option<Slope> {
    const BLOCKS: usize = 10;
    const T: f64 = 3.355;
    if samples.len() < BLOCKS {
        return None;
    }
    let origin = samples[0].0;
    let blocks: Vec<(f64, f64)> = (0..BLOCKS)
        .map(|b| {
            let block = &samples[samples.len() * b / BLOCKS..samples.len() * (b + 1) / BLOCKS];
            let n = block.len() as f64;
            let seconds: f64 = block.iter().map(|(t, _)| (t - origin) as f64 / 1e9).sum();
            let messages: f64 = block.iter().map(|(_, m)| *m as f64).sum();
            (seconds / n, messages / n)
        })
        .collect();
    let n = BLOCKS as f64;
    let (mean_x, mean_y) = (
        blocks.iter().map(|b| b.0).sum::<f64>() / n,
        blocks.iter().map(|b| b.1).sum::<f64>() / n,
    );
    let spread: f64 = blocks.iter().map(|b| (b.0 - mean_x).powi(2)).sum();
    if spread <= 0.0 {
        return None;
    }
    let together: f64 = blocks.iter().map(|b| (b.0 - mean_x) * (b.1 - mean_y)).sum();
    let estimate = together / spread;
    let rest: f64 = blocks
        .iter()
        .map(|b| (b.1 - mean_y - estimate * (b.0 - mean_x)).powi(2))
        .sum();
    let half = T * (rest / (n - 2.0) / spread).sqrt();
    Some(Slope {
        estimate,
        low: estimate - half,
        high: estimate + half,
    })
}
