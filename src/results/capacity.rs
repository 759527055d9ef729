//! What a search found of one broker.

use serde::{Deserialize, Serialize};

use crate::scenario::units::Rate;

/// How much a broker takes under an objective: a bracket, and how sure its ends are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// How far the search came.
    pub state: State,
    /// The highest rate that held, of those below all that failed; confirmed where the state says so.
    pub low: Option<End>,
    /// The lowest rate that did not hold, of those above all that did, and why.
    pub high: Option<End>,
    /// What a closed loop took before: messages per second, over all publishers.
    pub closed_loop: Option<Rate>,
    /// Why there is no start, empty where there is one.
    pub trouble: String,
    /// Trials that were made to look, the closed loop included.
    pub probes: u32,
    /// Trials of full length.
    pub confirmations: u32,
}

/// How far a search came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not to its end: the run was broken off.
    #[default]
    Open,
    /// Trials of full length held at the lower end and did not at the upper one.
    Settled,
    /// A trial of full length held at the highest rate that could be offered: by the generator, or by the broker's
    /// `max_rate`.
    AtLeast,
    /// A trial of full length failed at the lowest rate that is tried.
    Unmet,
    /// It had no trials left: trials contradicted each other, or too much was unknown. Its ends are further apart, and
    /// their trials may have been short.
    GaveUp,
    /// The closed loop at the beginning failed, so that it was not known where to look.
    NoStart,
}

/// An end of a bracket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Messages per second, over all publishers.
    pub rate: Rate,
    /// The number of its trial.
    pub trial: u32,
    /// Why the rate did not hold; empty where it did.
    pub why: String,
    /// Whether it was the generator that could not, which says nothing about the broker.
    pub is_generator: bool,
}

impl Capacity {
    /// The lower end of what a search that has ended knows.
    pub fn lower(&self) -> Option<&End> {
        let is_known = matches!(self.state, State::Settled | State::AtLeast | State::GaveUp);
        self.low.as_ref().filter(|_| is_known)
    }

    /// The upper end of what a search that has ended knows, where it is the broker's doing.
    pub fn upper(&self) -> Option<&End> {
        let is_known = matches!(self.state, State::Settled | State::Unmet | State::GaveUp);
        self.high
            .as_ref()
            .filter(|end| is_known && !end.is_generator)
    }
}
