//! The brokers of a run as its charts name, colour and mark them.

use serde::Serialize;

use super::palette::{self, LOOKS, Look};
use crate::measure::verdict::Outcome;
use crate::report::rows::{Row, Scope};
use crate::report::table::gives;
use crate::results::Results;
use crate::terminal::diagnostic::printable;

/// A broker in the charts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Broker {
    /// As the results name it, safe to print.
    pub label: String,
    /// What it gives, as the table says it: `disk`.
    pub gives: String,
    /// Its place among the looks: the same for the same system everywhere.
    pub style: usize,
    /// How it looks. With more brokers than looks, those of the same style differ in marker and dash.
    pub look: Look,
    /// Whether its figures may be compared.
    pub validity: Validity,
    /// Trials that count.
    pub trials: usize,
    /// Trials whose figures are summed up: those that are *ok*, or all if none is.
    pub used: usize,
    /// Whether it may stand in a ranking.
    pub ranked: bool,
}

/// Whether figures may be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Validity {
    /// They may.
    Ok,
    /// They are drawn hollow.
    Invalid {
        /// The verdict: `saturated`.
        verdict: &'static str,
        /// In words.
        reason: String,
    },
    /// No trial was made.
    Missing {
        /// Why.
        reason: String,
    },
}

impl Broker {
    /// Whether its figures may be compared.
    pub fn is_ok(&self) -> bool {
        self.validity == Validity::Ok
    }

    /// What a reader must know of its figures; `None` where there is nothing.
    pub fn remark(&self) -> Option<String> {
        let label = &self.label;
        match &self.validity {
            Validity::Ok => None,
            Validity::Invalid { verdict, reason } => {
                Some(format!("⚠ {label}: {verdict}: {reason}"))
            }
            Validity::Missing { reason } => Some(format!("⚠ {label}: {reason}")),
        }
    }

    /// Its name, and that its figures are not valid where they are not.
    pub fn spoken(&self) -> String {
        match &self.validity {
            Validity::Ok => self.label.clone(),
            Validity::Invalid { verdict, .. } => format!("{} (not valid: {verdict})", self.label),
            Validity::Missing { .. } => format!("{} (not measured)", self.label),
        }
    }
}

/// All brokers of the plan, in its order.
pub fn all(results: &Results, rows: &[Row]) -> Vec<Broker> {
    let styles = palette::assign(&results.plan);
    let broker = |row: &Row| {
        let style = styles[row.place];
        let earlier = styles[..row.place].iter();
        let reason = printable(&row.reason);
        let (trials, ok) = match row.scope {
            Scope::Broker { trials, ok } => (trials, ok),
            Scope::Trial { .. } => (1, usize::from(row.is_valid())),
        };
        Broker {
            label: printable(&row.broker.label),
            gives: gives(row),
            style,
            look: LOOKS[style].again(earlier.filter(|it| **it == style).count()),
            validity: match row.outcome {
                Some(Outcome::Ok) => Validity::Ok,
                Some(outcome) => Validity::Invalid {
                    verdict: outcome.name(),
                    reason,
                },
                None => Validity::Missing { reason },
            },
            trials,
            used: if ok == 0 { trials } else { ok },
            ranked: row.broker.ranked,
        }
    };
    rows.iter().map(broker).collect()
}
