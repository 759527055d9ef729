//! The trials of one broker, and what they are worth together.

use std::borrow::Cow;

use super::figure::Figure;
use super::shape::Shape;
use crate::measure::verdict::Outcome;
use crate::results::calibration::{Noise, Resolution};
use crate::results::{Attempt, Results};

/// The trials of one broker.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The broker's place in the plan.
    pub broker: usize,
    /// Trials that the plan has for it.
    pub planned: usize,
    /// One attempt of each trial, the one that counts; trials that were broken off are not among them.
    pub trials: Vec<&'a Attempt>,
    /// Those that are *ok*.
    pub ok: Vec<&'a Attempt>,
    /// What they are worth together; `None` where there is none.
    ///
    /// One broken promise breaks it. Otherwise it is *ok* where most trials are: a few lucky ones must
    /// not let a broker win that could mostly not keep up. Else it is what most of the others are, the
    /// worst of equals.
    pub outcome: Option<Outcome>,
    /// Of the workload.
    pub shape: Shape,
    /// From where on latencies are told apart on its machine.
    pub resolution: Resolution,
    /// Logical processors of its machine.
    pub cores: u32,
    /// How much equal trials of its kind were found to differ there.
    pub noise: Option<&'a Noise>,
}

impl<'a> Group<'a> {
    /// The trials of one broker, at all load points of the run: of a sweep, ask one of
    /// [`Results::points`] or [`Group::at`].
    pub fn of(results: &'a Results, broker: usize) -> Group<'a> {
        Group::made_of(results, broker, None)
    }

    /// The trials of one broker at one load point of a sweep, given by its place.
    pub fn at(results: &'a Results, broker: usize, point: usize) -> Group<'a> {
        Group::made_of(results, broker, Some(point))
    }

    fn made_of(results: &'a Results, broker: usize, point: Option<usize>) -> Group<'a> {
        let is_there = |it: usize| point.is_none_or(|point| it == point);
        let trials: Vec<&Attempt> = results
            .standing_of(broker)
            .filter(|attempt| !attempt.interrupted && is_there(attempt.point))
            .collect();
        let ok: Vec<&Attempt> = trials.iter().copied().filter(|a| a.is_ok()).collect();
        let planned = results.plan.trials.iter();
        let planned = planned.filter(|it| it.broker == broker && is_there(it.point));
        let driver = results.plan.brokers.get(broker).map(|it| &it.driver);
        let calibration = results.provenance.calibration.as_ref();
        Group {
            shape: Shape::of(&results.plan.workload),
            cores: results.provenance.host.cores,
            resolution: calibration
                .zip(driver)
                .map_or(Resolution::default(), |(it, driver)| {
                    it.resolution_of(driver, &results.plan)
                }),
            noise: calibration
                .zip(driver)
                .and_then(|(it, driver)| it.noise_of(driver, &results.plan.scenario)),
            broker,
            planned: planned.count(),
            outcome: together(&trials, ok.len()),
            trials,
            ok,
        }
    }

    /// One for each broker of the plan, in its order.
    pub fn all(results: &'a Results) -> Vec<Group<'a>> {
        let brokers = 0..results.plan.brokers.len();
        brokers.map(|broker| Group::of(results, broker)).collect()
    }

    /// Whether its figures may be compared.
    pub fn is_valid(&self) -> bool {
        self.outcome == Some(Outcome::Ok)
    }

    /// The trials whose figures are summed up: those that are *ok*, or all if none is.
    pub fn used(&self) -> &[&'a Attempt] {
        if self.ok.is_empty() {
            &self.trials
        } else {
            &self.ok
        }
    }

    /// A figure of each of these trials that has it, as it is judged.
    pub fn judged(&self, figure: Figure) -> Vec<f64> {
        let used = self.used().iter();
        used.filter_map(|it| figure.judged(it, self.shape))
            .collect()
    }

    /// The last trial with the verdict of the whole.
    pub fn example(&self) -> Option<&'a Attempt> {
        let same = |attempt: &&&Attempt| Some(attempt.verdict.outcome) == self.outcome;
        self.trials.iter().rev().find(same).copied()
    }

    /// How many trials have the verdict of the whole.
    pub fn alike(&self) -> usize {
        let same = |attempt: &&&Attempt| Some(attempt.verdict.outcome) == self.outcome;
        self.trials.iter().filter(same).count()
    }
}

/// The load point of a sweep at which most can be told: the highest at which as many brokers are *ok* as at any. Of a
/// run without a sweep it is the run. `points` is [`Results::points`].
pub fn telling<'a>(points: &'a [Cow<'a, Results>]) -> Option<&'a Results> {
    let ok = |part: &Results| Group::all(part).iter().filter(|it| it.is_valid()).count();
    // Of equals the last.
    points.iter().max_by_key(|part| ok(part)).map(|it| &**it)
}

fn together(trials: &[&Attempt], ok: usize) -> Option<Outcome> {
    let count = |outcome| {
        let same = trials.iter().filter(|a| a.verdict.outcome == outcome);
        same.count()
    };
    if trials.is_empty() {
        return None;
    }
    if count(Outcome::BrokenPromise) > 0 {
        return Some(Outcome::BrokenPromise);
    }
    if ok * 2 > trials.len() {
        return Some(Outcome::Ok);
    }
    let others = [
        Outcome::GeneratorLimited,
        Outcome::Saturated,
        Outcome::Failed,
    ];
    // Of equals the last, which is the worst.
    others.into_iter().max_by_key(|outcome| count(*outcome))
}
