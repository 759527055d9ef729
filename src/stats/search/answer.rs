//! What a trial says of the rate that it was offered.

use crate::measure::latency::Kind;
use crate::measure::verdict::Outcome;
use crate::results::Attempt;
use crate::results::model::Observed;
use crate::scenario::Threshold;
use crate::scenario::threshold::Metric;
use crate::stats::thresholds::{is_met, observe_latency};

/// What a trial says of its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is *ok* and the objective is met.
    Held,
    /// The system could not keep up, or failed, or missed the objective.
    Failed,
    /// The generator was late itself: nothing about the system.
    Void,
}

/// What a trial says, and why it did not hold.
pub fn answer(attempt: &Attempt, objective: &Threshold) -> (Answer, String) {
    let verdict = &attempt.verdict;
    let said = || match verdict.reason.as_str() {
        "" => verdict.outcome.name().to_owned(),
        reason => format!("{}: {reason}", verdict.outcome.name()),
    };
    match verdict.outcome {
        Outcome::GeneratorLimited => return (Answer::Void, said()),
        Outcome::Saturated | Outcome::BrokenPromise | Outcome::Failed => {
            return (Answer::Failed, said());
        }
        Outcome::Ok => {}
    }
    let observed = observed(attempt, objective);
    match is_met(objective, observed) {
        true => (Answer::Held, String::new()),
        false => {
            let metric = objective.metric;
            let was = match observed {
                Observed::Value(seconds) => {
                    format!("was {}", crate::terminal::numbers::time(seconds * 1e9))
                }
                Observed::Lost => "falls among messages that never arrived".to_owned(),
                Observed::TooFew | Observed::Nothing => "is not known: too few messages".to_owned(),
            };
            (Answer::Failed, format!("{metric} {was}"))
        }
    }
}

/// The latency that an objective is about, of one trial.
fn observed(attempt: &Attempt, objective: &Threshold) -> Observed {
    let Metric::Latency(statistic, latency) = objective.metric else {
        return Observed::Nothing;
    };
    let mut kinds = Kind::ALL.into_iter();
    match kinds.find(|kind| kind.name() == latency.name()) {
        Some(kind) => observe_latency(statistic, kind, &[attempt]),
        None => Observed::Nothing,
    }
}
