//! A figure of a broker with what its trials say about how sure it is.

use serde::Serialize;

use super::axis::Unit;
use crate::measure::percentile::Percentile;
use crate::stats::change::CONFIDENCE;
use crate::stats::median::{self, median, median_percentile};

/// The median over trials, and how far they lie apart. In the unit of its axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The median over the trials.
    pub median: f64,
    /// The median as tables print it.
    pub text: String,
    /// Lower end of the whisker.
    pub low: f64,
    /// Upper end; `None` where it lies among messages that never arrived.
    pub high: Option<f64>,
    /// What the whisker is.
    pub whisker: Whisker,
    /// How many trials it is made of.
    pub n: usize,
    /// Each trial that has the figure, in the order of running. A trial in which the percentile falls among
    /// messages that never arrived has no value here, and is part of `low` and `high` all the same.
    pub trials: Vec<f64>,
}

/// What the ends of an estimate are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whisker {
    /// The 95 % interval of the median.
    Interval,
    /// The lowest and the highest trial: there are too few for an interval.
    Range,
    /// There is one trial only: both ends are its value.
    None,
    /// From the highest rate that held to the lowest one that did not.
    Bracket,
}

impl Estimate {
    /// Of the trials' values, of which infinite ones rank above all others. `None` where there is none, or where the
    /// median itself is infinite.
    pub fn of(values: &[f64], unit: Unit) -> Option<Estimate> {
        let middle = median(values.iter().copied()).filter(|it| it.is_finite())?;
        let interval = median::interval(values, CONFIDENCE);
        let lowest = values.iter().copied().min_by(f64::total_cmp)?;
        let highest = values.iter().copied().max_by(f64::total_cmp)?;
        let (whisker, (low, high)) = match (interval, values.len()) {
            (Some(interval), _) => (Whisker::Interval, interval),
            (None, 1) => (Whisker::None, (lowest, highest)),
            (None, _) => (Whisker::Range, (lowest, highest)),
        };
        Some(Estimate {
            median: middle,
            text: unit.show(middle),
            low,
            high: Some(high).filter(|it| it.is_finite()),
            whisker,
            n: values.len(),
            trials: values.iter().copied().filter(|it| it.is_finite()).collect(),
        })
    }

    /// The largest value that is to be drawn.
    pub fn top(&self) -> f64 {
        let all = self.trials.iter().copied().chain(self.high);
        all.fold(self.median, f64::max)
    }

    /// The smallest value that is to be drawn.
    pub fn bottom(&self) -> f64 {
        self.trials.iter().copied().fold(self.low, f64::min)
    }
}

/// One percentile over the trials, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PercentileOf {
    /// As tables head it: `p99.9`.
    pub name: &'static str,
    /// Above 0 and below 1.
    pub share: f64,
    /// Whether there is a figure.
    pub state: State,
    /// The figure, where it is known.
    pub estimate: Option<Estimate>,
    /// Whether the generator's own lateness blurs it.
    pub blurred: bool,
}

/// Whether a percentile is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is.
    Known,
    /// It falls among messages that never arrived.
    Lost,
    /// Too few samples lie beyond it.
    TooFew,
    /// Nothing was measured.
    Nothing,
}

impl PercentileOf {
    /// Of the trials' percentiles.
    pub fn of(
        (name, share): (&'static str, f64),
        trials: &[Percentile],
        blurred: bool,
    ) -> PercentileOf {
        let state = match median_percentile(trials.iter().copied()) {
            Some(Percentile::Value(_)) => State::Known,
            Some(Percentile::Lost) => State::Lost,
            Some(Percentile::TooFew) => State::TooFew,
            None => State::Nothing,
        };
        let value = |percentile: &Percentile| match percentile {
            Percentile::Value(nanoseconds) => Some(*nanoseconds as f64),
            Percentile::Lost => Some(f64::INFINITY),
            Percentile::TooFew => None,
        };
        let values: Vec<f64> = trials.iter().filter_map(value).collect();
        let estimate = Estimate::of(&values, Unit::Nanoseconds);
        PercentileOf {
            name,
            share,
            state,
            estimate: estimate.filter(|_| state == State::Known),
            blurred,
        }
    }

    /// As tables print it.
    pub fn text(&self) -> String {
        match (self.state, &self.estimate) {
            (State::Lost, _) => "lost".to_owned(),
            (_, Some(estimate)) => estimate.text.clone(),
            (_, None) => crate::terminal::numbers::NONE.to_owned(),
        }
    }
}

/// What the whiskers of a chart are, in a sentence. `None` where there are none.
pub fn say_whiskers<'a>(estimates: impl Iterator<Item = &'a Estimate> + Clone) -> Option<String> {
    let lengths = |whisker| {
        let of = estimates.clone().filter(move |it| it.whisker == whisker);
        let lengths: Vec<usize> = of.map(|it| it.n).collect();
        let (least, most) = (lengths.iter().min()?, lengths.iter().max()?);
        Some(match least == most {
            true => format!("n = {least}"),
            false => format!("n = {least} to {most}"),
        })
    };
    let interval = lengths(Whisker::Interval);
    let range = lengths(Whisker::Range);
    let least = median::least(CONFIDENCE);
    match (interval, range) {
        (Some(n), None) => Some(format!(
            "whiskers: 95 % interval of the median over trials, {n}"
        )),
        (None, Some(n)) => Some(format!(
            "whiskers: lowest and highest trial, {n}; a 95 % interval needs {least} trials"
        )),
        (Some(n), Some(few)) => Some(format!(
            "whiskers: 95 % interval of the median over trials, {n}; with {few}, the lowest and highest trial"
        )),
        (None, None) => estimates
            .clone()
            .next()
            .map(|_| "one trial each: nothing is known of the spread".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_trials_have_an_interval_and_five_a_range() {
        let five = Estimate::of(&[3.0, 1.0, 2.0, 5.0, 4.0], Unit::PerSecond).unwrap();
        assert_eq!((five.median, five.low, five.high), (3.0, 1.0, Some(5.0)));
        assert_eq!(five.whisker, Whisker::Range);
        assert_eq!(five.trials, [3.0, 1.0, 2.0, 5.0, 4.0], "as they were made");
        let values: Vec<f64> = (1..=9).map(f64::from).collect();
        let nine = Estimate::of(&values, Unit::PerSecond).unwrap();
        assert_eq!((nine.median, nine.low, nine.high), (5.0, 2.0, Some(8.0)));
        assert_eq!(nine.whisker, Whisker::Interval);
        let one = Estimate::of(&[7.0], Unit::PerSecond).unwrap();
        assert_eq!(
            (one.low, one.high, one.whisker),
            (7.0, Some(7.0), Whisker::None)
        );
        assert_eq!(Estimate::of(&[], Unit::PerSecond), None);
    }

    #[test]
    fn lost_percentiles_open_the_whisker() {
        use Percentile::{Lost, TooFew, Value};
        let of = |trials: &[Percentile]| PercentileOf::of(("p99", 0.99), trials, false);
        let some = of(&[Value(10), Lost, Value(30)]);
        let estimate = some.estimate.clone().unwrap();
        assert_eq!(
            (estimate.median, estimate.low, estimate.high),
            (30.0, 10.0, None)
        );
        assert_eq!(
            (estimate.n, estimate.trials.as_slice()),
            (3, [10.0, 30.0].as_slice())
        );
        assert_eq!(some.text(), "30 ns");
        let most = of(&[Lost, Lost, Value(1)]);
        assert_eq!((most.state, most.text().as_str()), (State::Lost, "lost"));
        let few = of(&[TooFew, TooFew, Value(1)]);
        assert_eq!((few.state, few.text().as_str()), (State::TooFew, "–"));
        assert_eq!(of(&[]).state, State::Nothing);
    }

    #[test]
    fn the_words_name_what_the_whiskers_are() {
        let of = |n: u32| Estimate::of(&(0..n).map(f64::from).collect::<Vec<_>>(), Unit::PerSecond);
        let say = |all: &[u32]| {
            let all: Vec<Estimate> = all.iter().filter_map(|n| of(*n)).collect();
            say_whiskers(all.iter())
        };
        assert_eq!(say(&[]), None);
        assert!(say(&[1]).unwrap().starts_with("one trial"));
        assert!(
            say(&[4, 5])
                .unwrap()
                .contains("n = 4 to 5; a 95 % interval needs 6")
        );
        assert!(say(&[8, 8]).unwrap().ends_with("over trials, n = 8"));
        assert!(say(&[8, 2]).unwrap().contains("with n = 2"));
    }
}
