//! A search, from what is kept of its trials: the machine has no memory of its own, so that what a run goes by and what
//! its results say is the same.

use crate::results::capacity::{Capacity, End, State};
use crate::results::{Attempt, Results, Tried};
use crate::scenario::Objective;
use crate::scenario::units::Rate;

use super::{Answer, Finding, Limits, Next, Search, answer};

/// A search with the trials that it was told of.
struct Replayed<'a> {
    objective: &'a Objective,
    search: Search,
    /// At a rate, in the order of the search's own.
    trials: Vec<&'a Attempt>,
    capacity: Capacity,
}

/// `None` where the run is no search, or has no such broker.
fn replay(results: &Results, broker: usize) -> Option<Replayed<'_>> {
    let objective = results.plan.search.as_ref()?;
    let planned = results.plan.brokers.get(broker)?;
    let mut all = Replayed {
        objective,
        search: Search::new(Limits {
            lowest: objective.lowest.0,
            highest: planned.max_rate.map(|rate| rate.0),
        }),
        trials: Vec::new(),
        capacity: Capacity::default(),
    };
    let whole = results.standing_of(broker).filter(|it| !it.interrupted);
    for attempt in whole {
        let Some(tried) = attempt.tried else { continue };
        let capacity = &mut all.capacity;
        match tried {
            Tried::Loop => {
                let took = took(attempt, results);
                all.search.reached(took);
                capacity.closed_loop = took.map(Rate);
                if took.is_none() {
                    capacity.trouble = match attempt.verdict.reason.as_str() {
                        "" => "nothing went through".to_owned(),
                        reason => reason.to_owned(),
                    };
                }
                capacity.probes += 1;
            }
            Tried::Probe(rate) | Tried::Confirm(rate) => {
                let is_full = matches!(tried, Tried::Confirm(_));
                let said = answer(attempt, &objective.condition).0;
                let was_disturbed = attempt.disturbed.is_some();
                all.search.tell(rate.0, is_full, said, was_disturbed);
                all.trials.push(attempt);
                match is_full {
                    true => capacity.confirmations += 1,
                    false => capacity.probes += 1,
                }
            }
        }
    }
    Some(all)
}

/// Messages per second that a closed loop took, over all publishers; `None` where it failed.
fn took(attempt: &Attempt, results: &Results) -> Option<f64> {
    let workload = &results.plan.workload;
    let rates = &attempt.rates;
    let took = match workload.consumers {
        0 => rates.sent,
        _ => rates
            .sent
            .min(rates.received / f64::from(workload.groups.max(1))),
    };
    (attempt.seconds > 0.0 && took > 0.0).then_some(took)
}

/// What a search tries next of one broker; [`Next::Over`] too where the run is no search.
pub fn next(results: &Results, broker: usize) -> Next {
    replay(results, broker).map_or(Next::Over, |it| it.search.next())
}

/// What is known of each broker; empty where the run is no search.
pub fn capacities(results: &Results) -> Vec<Capacity> {
    let brokers = 0..results.plan.brokers.len();
    let all = brokers.filter_map(|broker| replay(results, broker));
    all.map(Replayed::capacity).collect()
}

impl Replayed<'_> {
    fn capacity(self) -> Capacity {
        let is_over = self.search.next() == Next::Over;
        let low = |place: usize| {
            let attempt = self.trials.get(place)?;
            Some(End {
                rate: attempt.tried?.rate()?,
                trial: attempt.trial,
                why: String::new(),
                is_generator: false,
            })
        };
        let high = |place: usize| {
            let (said, why) = answer(self.trials.get(place)?, &self.objective.condition);
            Some(End {
                why,
                is_generator: said == Answer::Void,
                ..low(place)?
            })
        };
        let (state, low, high) = match self.search.finding() {
            _ if self.search.is_hopeless => (State::NoStart, None, None),
            Finding::Bracket {
                low: held,
                high: failed,
            } if is_over => {
                let failed = high(failed);
                let state = match failed.as_ref().is_some_and(|it| it.is_generator) {
                    true => State::AtLeast,
                    false => State::Settled,
                };
                (state, low(held), failed)
            }
            Finding::AtLeast { low: held } => (State::AtLeast, low(held), None),
            Finding::Unmet { high: failed } => (State::Unmet, None, high(failed)),
            Finding::Bracket {
                low: held,
                high: failed,
            } => (State::Open, low(held), high(failed)),
            Finding::Open {
                low: held,
                high: failed,
            } => {
                let state = if is_over { State::GaveUp } else { State::Open };
                (state, held.and_then(low), failed.and_then(high))
            }
        };
        Capacity {
            state,
            low,
            high,
            ..self.capacity
        }
    }
}
