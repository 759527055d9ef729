//! How a run ends for whoever started it: the exit code.

use super::group::Group;
use crate::measure::verdict::Outcome;
use crate::results::Results;

/// Exit codes, in the order in which they win over each other: of several, the least applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Interrupted; partial results are written.
    Interrupted,
    /// Usage, scenario or result file is wrong.
    Usage,
    /// A broker or driver failed.
    Failed,
    /// Gating on measurements that are not valid.
    Invalid,
    /// A threshold failed or a regression was found.
    Missed,
    /// Done; thresholds and gate pass.
    Done,
}

impl Exit {
    /// What the process returns.
    pub fn code(self) -> u8 {
        match self {
            Exit::Interrupted => 130,
            Exit::Usage => 2,
            Exit::Failed => 3,
            Exit::Invalid => 4,
            Exit::Missed => 99,
            Exit::Done => 0,
        }
    }

    /// How a run ended.
    ///
    /// - *Failed*: any trial that counts failed, in a search all of a broker, or a broker has none at all.
    /// - *Invalid*: a promise was broken in any trial; or a threshold is about a broker whose trials
    ///   together are not *ok* ([`Group::outcome`]). Without thresholds a saturated broker is a finding
    ///   and no fault: whoever draws latency against load wants to see it.
    ///   How the program of a baseline fared, measured beside it for the gate, is the gate's to say.
    /// - *Missed*: a threshold is not met. It is never reached over invalid figures: those neither pass
    ///   nor fail.
    pub fn of_run(results: &Results) -> Exit {
        if results.manifest.interrupted {
            return Exit::Interrupted;
        }
        let is_own = |group: &Group| results.plan.brokers[group.broker].baseline_of.is_none();
        // Not every broker is tried at every load point of a sweep, but all are at the lowest.
        let groups: Vec<Group> = Group::all(results).into_iter().filter(is_own).collect();
        let at_lowest = |group: &Group| Group::at(results, group.broker, 0);
        let is_missing = groups.iter().any(|it| at_lowest(it).trials.is_empty());
        let any = |outcome| {
            let mut trials = groups.iter().flat_map(|group| &group.trials);
            trials.any(|attempt| attempt.verdict.outcome == outcome)
        };
        let is_failed = match results.plan.search {
            // There a failure is an answer, unless there is nothing else.
            Some(_) => groups.iter().any(|group| {
                let mut trials = group.trials.iter();
                trials.all(|attempt| attempt.verdict.outcome == Outcome::Failed)
            }),
            None => any(Outcome::Failed),
        };
        if is_failed || is_missing {
            return Exit::Failed;
        }
        let gated_on_invalid = || {
            let mut judged = results.thresholds.iter().flat_map(|judged| &judged.brokers);
            judged.any(|judgement| !judgement.valid)
        };
        if any(Outcome::BrokenPromise) || gated_on_invalid() {
            return Exit::Invalid;
        }
        match results.thresholds.iter().all(|judged| judged.met) {
            true => Exit::Done,
            false => Exit::Missed,
        }
    }
}
