//! The search for a capacity: which rate to try next, and when enough is known.
//!
//! A pure state machine, without clock and without trials: it is told how each trial ended and says what the next one
//! is. An answer is never taken for the truth. A trial may fail below the limit because the machine paused, hold above
//! it because it was short, and the limit itself may move while one looks. So every answer only shifts a belief about
//! where the limit lies (probabilistic bisection: Horstein, 1963; Waeber, Frazier and Henderson, 2013), and old answers
//! fade. Each probe is where the belief has its median; where most of it lies within a narrow bracket, a full-length
//! trial is made at each end of that. Only what two such trials say is a result: the lower one held and the upper one
//! failed. Where one of them contradicts, the search goes on with what it said, at full length and without what shorter
//! trials held there; and where the trials run out it says that it could not settle.

mod answer;
mod belief;
mod replay;

use belief::{Belief, Wrong};

use crate::scenario::search::MOST_TRIALS;

pub use answer::{Answer, answer};
pub use replay::{capacities, next};

/// The ratio of the ends of a bracket is at most this.
pub const WIDEST: f64 = 1.05;

/// A narrower bracket is luck, not knowledge: near the limit a trial ends one way or the other.
const NARROWEST: f64 = 1.03;
/// The ratio of the ends that are tried: a little less, so that rates can be rounded.
const RATIO: f64 = 1.048;
/// Rates are tried with so many digits.
const DIGITS: i32 = 4;
/// So likely the limit is within the bracket before its ends are tried at full length.
const SURE: f64 = 0.8;
/// What failed within this ratio above the upper end seconds its failure.
const SECONDS: f64 = 1.015;
/// How often a trial fails below the limit, and how often one holds above it, as far as the belief goes: a machine
/// pauses more often than it forgets to.
const WRONG: Wrong = Wrong {
    below: 0.1,
    above: 0.03,
};
/// The same where the generator was late, which is less of a sign.
const VOID_WRONG: Wrong = Wrong {
    below: 0.2,
    above: 0.2,
};
/// The same where others took CPU time from a trial that failed, up to its last repeat: that may be why.
const DISTURBED_WRONG: Wrong = Wrong {
    below: 0.4,
    above: 0.03,
};
/// How likely the limit moves from one trial to the next.
const MOVED: f64 = 0.05;
/// Without a highest rate, this many times what a closed loop reached.
const FAR_ABOVE: f64 = 64.0;

/// What is to be done next. Rates are messages per second, over all publishers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// As fast as the windows allow: see [`Search::reached`].
    Closed,
    /// A trial that lasts just long enough to judge the objective.
    Probe(f64),
    /// A trial of full length.
    Confirm(f64),
    /// Nothing more.
    Over,
}

/// A trial at a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trial {
    rate: f64,
    is_full: bool,
    answer: Answer,
    was_disturbed: bool,
}

impl Trial {
    fn teach(&self, belief: &mut Belief) {
        let wrong = match self.answer {
            Answer::Void => VOID_WRONG,
            Answer::Failed if self.was_disturbed => DISTURBED_WRONG,
            Answer::Held | Answer::Failed => WRONG,
        };
        belief.learn(self.rate, self.answer == Answer::Held, wrong, MOVED);
    }
}

/// Between which rates a search looks. Messages per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Below it a trial would take too long to judge the objective.
    pub lowest: f64,
    /// The most that may be sent.
    pub highest: Option<f64>,
}

/// How a search ended, or where it stands. Trials are counted from 0, without the closed loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// Trials of full length held at the lower end and did not at the upper one.
    Bracket {
        /// The trial that held.
        low: usize,
        /// The one that did not.
        high: usize,
    },
    /// The highest rate that is tried holds.
    AtLeast {
        /// The trial there.
        low: usize,
    },
    /// The lowest rate that is tried does not hold.
    Unmet {
        /// The trial there.
        high: usize,
    },
    /// It goes on, or has given up: what is known so far. Between the two trials ended both ways, or none was made.
    Open {
        /// The highest rate that held, of those below all that failed.
        low: Option<usize>,
        /// The lowest that failed, of those above all that held.
        high: Option<usize>,
    },
}

/// The search for the capacity of one system.
#[derive(Clone, Debug)]
pub struct Search {
    lowest: f64,
    highest: f64,
    /// `None` before the closed loop.
    belief: Option<Belief>,
    /// Whether the closed loop failed.
    is_hopeless: bool,
    /// Trials that were made, the closed loop included.
    made: u32,
    trials: Vec<Trial>,
}

impl Search {
    /// Nothing was tried yet. Where there is a most that may be sent, a closed loop, which knows no rate, is not made.
    pub fn new(limits: Limits) -> Search {
        let highest = limits.highest.unwrap_or(f64::INFINITY);
        let lowest = limits.lowest.min(highest);
        let belief = limits.highest.map(|it| Belief::around(it, lowest, it));
        Search {
            lowest,
            highest,
            belief,
            is_hopeless: false,
            made: 0,
            trials: Vec::new(),
        }
    }

    /// What is to be done next; the same until [`reached`](Self::reached) or [`tell`](Self::tell).
    pub fn next(&self) -> Next {
        let Some(belief) = &self.belief else {
            return match self.is_hopeless {
                true => Next::Over,
                false => Next::Closed,
            };
        };
        let left = MOST_TRIALS.saturating_sub(self.made);
        match self.finding() {
            _ if left == 0 => return Next::Over,
            // One failure may have been a pause of the machine.
            Finding::Bracket { low, high } if !self.is_seconded(low, high) => {
                return Next::Confirm(self.trials[high].rate);
            }
            Finding::Open { .. } => {}
            _ => return Next::Over,
        }
        if belief.below_all() >= SURE {
            return Next::Confirm(self.lowest);
        }
        if belief.above_all() >= SURE {
            return Next::Confirm(self.highest);
        }
        let sure = |(low, high): (f64, f64)| belief.between(low, high);
        if let Some((bracket, end)) = self.half_known(&sure)
            && (sure(bracket) >= SURE || left == 1)
        {
            return Next::Confirm(self.within(end));
        }
        let low = rounded(belief.likeliest(RATIO));
        if sure((low, rounded(low * RATIO))) >= SURE || left <= 2 {
            return Next::Confirm(self.within(low));
        }
        let rate = self.within(rounded(belief.median()));
        // Where a trial of full length has contradicted, short ones are not believed any more.
        match self.trials.iter().any(|it| it.is_full) {
            true => Next::Confirm(rate),
            false => Next::Probe(rate),
        }
    }

    /// A bracket of which one end was tried at full length, and the other end. Of two the likelier one.
    fn half_known(&self, sure: &dyn Fn((f64, f64)) -> f64) -> Option<((f64, f64), f64)> {
        let last = |held: bool| {
            let is = |it: &&Trial| it.is_full && (it.answer == Answer::Held) == held;
            self.trials.iter().rev().find(is).map(|it| it.rate)
        };
        let above = last(true).map(|low| (low, rounded(low * RATIO)));
        let below = last(false).map(|high| (rounded(high / RATIO), high));
        let both = [above.map(|it| (it, it.1)), below.map(|it| (it, it.0))];
        let both = both.into_iter().flatten();
        both.max_by(|a, b| sure(a.0).total_cmp(&sure(b.0)))
    }

    fn within(&self, rate: f64) -> f64 {
        rate.clamp(self.lowest, self.highest)
    }

    /// The closed loop took so many messages a second; `None` where it failed.
    pub fn reached(&mut self, rate: Option<f64>) {
        self.made += 1;
        match rate.filter(|rate| rate.is_finite() && *rate > 0.0) {
            Some(rate) => {
                self.highest = rounded(rate * FAR_ABOVE).max(self.lowest);
                self.belief = Some(Belief::around(rate, self.lowest, self.highest));
            }
            None => self.is_hopeless = true,
        }
    }

    /// What came of a trial at a rate: one of full length, or a probe, and whether others took CPU time from it.
    pub fn tell(&mut self, rate: f64, is_full: bool, answer: Answer, was_disturbed: bool) {
        self.made += 1;
        let trial = Trial {
            rate,
            is_full,
            answer,
            was_disturbed,
        };
        self.trials.push(trial);
        // Probes that held at such a rate were too short to show what a whole trial did.
        let was_misled = |it: &Trial| !it.is_full && it.answer == Answer::Held && it.rate >= rate;
        if is_full && answer == Answer::Failed && self.trials.iter().any(was_misled) {
            let trials = self.trials.iter().filter(|it| !was_misled(it));
            if let Some(belief) = &mut self.belief {
                belief.forget();
                trials.for_each(|it| it.teach(belief));
            }
        } else if let Some(belief) = &mut self.belief {
            trial.teach(belief);
        }
    }

    /// What is known.
    pub fn finding(&self) -> Finding {
        let last = |held: bool| {
            let is = |it: &Trial| it.is_full && (it.answer == Answer::Held) == held;
            self.trials.iter().rposition(is)
        };
        let (low, high) = (last(true), last(false));
        let rate = |place: usize| self.trials[place].rate;
        if let (Some(low), Some(high)) = (low, high) {
            let ratio = rate(high) / rate(low);
            // At the edge of what is tried there is no room for more.
            let is_at_edge = rate(low) <= self.lowest || rate(high) >= self.highest;
            let narrowest = if is_at_edge { 1.0 } else { NARROWEST };
            if ratio > narrowest && ratio <= WIDEST {
                return Finding::Bracket { low, high };
            }
        }
        let newest = self.trials.len().checked_sub(1);
        if let Some(low) = low.filter(|it| Some(*it) == newest && rate(*it) >= self.highest) {
            return Finding::AtLeast { low };
        }
        if let Some(high) = high.filter(|it| Some(*it) == newest && rate(*it) <= self.lowest) {
            return Finding::Unmet { high };
        }
        self.known()
    }

    /// Up to which rate all trials held, and from which one on none did.
    fn known(&self) -> Finding {
        let rate = |place: &usize| self.trials[*place].rate;
        let by_rate = |a: &usize, b: &usize| rate(a).total_cmp(&rate(b));
        let all = 0..self.trials.len();
        let (held, failed): (Vec<usize>, Vec<usize>) =
            all.partition(|it| self.trials[*it].answer == Answer::Held);
        let lowest_failure = failed.iter().map(rate).fold(f64::INFINITY, f64::min);
        let highest_hold = held.iter().map(rate).fold(0.0, f64::max);
        let below = held.into_iter().filter(|it| rate(it) < lowest_failure);
        let above = failed.into_iter().filter(|it| rate(it) > highest_hold);
        Finding::Open {
            low: below.max_by(by_rate),
            high: above.min_by(by_rate),
        }
    }

    /// Whether another trial failed at the upper end of a bracket, or near it.
    fn is_seconded(&self, low: usize, high: usize) -> bool {
        let (from, to) = (self.trials[low].rate, self.trials[high].rate * SECONDS);
        let seconds = |(place, it): (usize, &Trial)| {
            place != high && it.answer != Answer::Held && it.rate > from && it.rate <= to
        };
        self.trials.iter().enumerate().any(seconds)
    }
}

/// A rate as a person would write it.
fn rounded(rate: f64) -> f64 {
    let unit = 10f64.powi(rate.log10().floor() as i32 + 1 - DIGITS);
    // By what is exact: a tenth is not, ten is.
    match unit < 1.0 {
        true => (rate / unit).round() / unit.recip().round(),
        false => (rate / unit).round() * unit,
    }
}

#[cfg(test)]
mod tests;
