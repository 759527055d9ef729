//! A search: how much each broker takes under an objective, and what was wrong above that.

use std::borrow::Cow;

use crate::plan::PlannedBroker;
use crate::results::Results;
use crate::results::capacity::{Capacity, End, State};
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{self, counted};
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Row as Line, Table};

use super::notes;
use super::rows::Row;
use super::table::{Comparison, gives};

/// Before a bracket that is not settled.
const UNSETTLED: &str = "≈";
/// Figures of the comparison that stand in the table, by their titles.
const SHOWN: [&str; 3] = ["p50", "p99", "CPU/msg"];

/// What a search found, with the figures of each broker at its lower end.
#[derive(Debug)]
pub struct Capacities<'a> {
    /// Each broker at the lower end of what was found.
    pub comparison: Comparison<'a>,
    found: &'a [Capacity],
    condition: String,
}

impl<'a> Capacities<'a> {
    /// From [`Results::points`]; `None` where the run is no search.
    pub fn of(points: &'a [Cow<'a, Results>]) -> Option<Capacities<'a>> {
        let part = points.first()?;
        let objective = part.plan.search.as_ref()?;
        Some(Capacities {
            comparison: Comparison::of(part),
            found: &part.capacities,
            condition: printable(&objective.condition.to_string()),
        })
    }

    /// Each row of the comparison with what was found of its broker.
    pub fn rows(&self) -> impl Iterator<Item = (&Row<'a>, Option<&'a Capacity>)> {
        let rows = self.comparison.rows.iter();
        rows.map(|row| (row, self.found.get(row.place)))
    }

    /// The table; below each row stands why it is not more.
    pub fn table(&self) -> Table {
        let mut table = Table::default();
        table.column("broker", Align::Left);
        table.column("gives", Align::Left);
        table.column("capacity/s", Align::Right);
        let compared = self.comparison.table();
        let places: Vec<usize> = SHOWN
            .iter()
            .filter_map(|title| compared.columns.iter().position(|it| it.title == *title))
            .collect();
        for place in &places {
            table.column(&compared.columns[*place].title, Align::Right);
        }
        table.column("probes", Align::Right);
        for ((row, capacity), line) in self.rows().zip(&compared.rows) {
            let mut cells = vec![
                Cell::plain(printable(&row.broker.label)),
                Cell::plain(gives(row)),
                Cell::plain(capacity.map_or(numbers::NONE.to_owned(), bracket)),
            ];
            cells.extend(places.iter().map(|place| line.cells[*place].clone()));
            let probes = capacity.map_or(0, |it| u64::from(it.probes));
            cells.push(Cell::plain(numbers::count(probes)));
            let mut notes = Vec::new();
            if let Some(said) = capacity.and_then(|it| said(it, row.broker)) {
                let is_settled = capacity.is_some_and(|it| it.state == State::Settled);
                notes.push(match is_settled {
                    true => (said, style::DIM),
                    false => (format!("⚠ {said}"), style::WARN),
                });
            }
            // What is wrong with a broker stands there already; what is wrong with its trial does not.
            let disturbed = line.notes.iter().filter(|_| row.is_valid());
            notes.extend(disturbed.cloned());
            table.rows.push(Line { cells, notes });
        }
        table
    }

    /// What the figures are, who takes most, and what must be known of the brokers.
    pub fn notes(&self) -> Vec<String> {
        let mut found = vec![
            format!(
                "capacity: the highest rate with {}, by schedule: at the lower end a trial of full length held, at the upper \
                 one it did not",
                self.condition
            ),
            format!(
                "{}; the percentiles are those of one trial at the lower end, which is another rate for each broker",
                notes::latency(&self.comparison)
            ),
        ];
        let mut states = self.found.iter().map(|it| it.state);
        if states.any(|state| state == State::GaveUp) {
            found.push(format!(
                "{UNSETTLED} not settled: in between trials ended both ways, as they do where the machine or the system is not the \
                 same all the time; those at the ends may have been short ones"
            ));
        }
        found.extend(self.ahead());
        found.extend(notes::legend(&self.comparison));
        found.extend(notes::guarantees(&self.comparison));
        for row in &self.comparison.rows {
            found.extend(notes::about(row));
        }
        found
    }

    /// Who takes most, as far as brackets tell.
    pub fn ahead(&self) -> Option<String> {
        let mut ranked: Vec<(&Row, &End, Option<&End>)> = self
            .rows()
            .filter(|(row, _)| row.broker.ranked)
            .filter_map(|(row, capacity)| {
                let capacity = capacity?;
                Some((row, capacity.lower()?, capacity.upper()))
            })
            .collect();
        ranked.sort_by(|a, b| b.1.rate.0.total_cmp(&a.1.rate.0));
        let ((first, low, top), others) = ranked.split_first()?;
        // Whoever may take most besides: with a wide bracket it need not be the next one.
        let reach = |end: &Option<&End>| end.map_or(f64::INFINITY, |end| end.rate.0);
        let (second, other, high) = others
            .iter()
            .max_by(|a, b| reach(&a.2).total_cmp(&reach(&b.2)))?;
        let label = |row: &Row| printable(&row.broker.label);
        let (leader, second) = (label(first), label(second));
        let Some(high) = high else {
            return Some(format!(
                "whether {leader} takes more than {second} is not told: of {second} only a lower end is known"
            ));
        };
        if low.rate < high.rate {
            return Some(format!(
                "{leader} and {second} cannot be told apart: their brackets overlap"
            ));
        }
        let least = numbers::times(low.rate.0 / high.rate.0);
        Some(match top {
            Some(top) => {
                let most = numbers::times(top.rate.0 / other.rate.0);
                format!("{leader} takes most: {least} to {most} as much as {second}")
            }
            None => format!("{leader} takes most: at least {least} as much as {second}"),
        })
    }
}

/// `4,812 to 5,043`, `≥ 50,000` where nothing above is known of the broker. One that is not settled has a mark.
pub fn bracket(capacity: &Capacity) -> String {
    let rate = |end: &End| numbers::rate(end.rate.0);
    let bracket = match (capacity.lower(), capacity.upper()) {
        (Some(low), Some(high)) => format!("{} to {}", rate(low), rate(high)),
        (Some(low), None) => format!("≥ {}", rate(low)),
        (None, Some(high)) => format!("< {}", rate(high)),
        (None, None) => return numbers::NONE.to_owned(),
    };
    match capacity.state {
        State::GaveUp => format!("{UNSETTLED} {bracket}"),
        _ => bracket,
    }
}

/// Why it is not more, or why there is no bracket. `None` where nothing is to be said.
pub fn said(capacity: &Capacity, broker: &PlannedBroker) -> Option<String> {
    let at = |end: &End| format!("{}/s", numbers::rate(end.rate.0));
    let failed = |end: &End| format!("at {} {}", at(end), printable(&end.why));
    let trials = || counted(u64::from(capacity.probes + capacity.confirmations), "trial");
    let so_far = || {
        let held = capacity.low.as_ref();
        let held = held.map(|end| format!("up to {} all held", at(end)));
        let high = capacity.high.as_ref();
        let high = high.map(|end| format!("from {} on none did: {}", at(end), printable(&end.why)));
        let known: Vec<String> = held.into_iter().chain(high).collect();
        match known.is_empty() {
            true => String::new(),
            false => format!(": {}", known.join("; ")),
        }
    };
    match (capacity.state, &capacity.high) {
        (State::Settled, high) => high.as_ref().map(failed),
        (State::AtLeast, Some(high)) => {
            Some(format!("the generator can make no more: {}", failed(high)))
        }
        (State::AtLeast, None) => Some(match broker.max_rate {
            Some(_) => "no more may be sent to it (`max_rate`)".to_owned(),
            None => "no higher rate is tried".to_owned(),
        }),
        (State::Unmet, Some(high)) if high.is_generator => Some(format!(
            "nothing is known: the generator was late at the lowest rate that is tried, {}",
            failed(high)
        )),
        (State::Unmet, high) => Some(format!(
            "the objective is met at no rate that is tried{}",
            high.as_ref()
                .map_or(String::new(), |end| format!(": {}", failed(end)))
        )),
        (State::GaveUp, _) => Some(format!("not settled after {}{}", trials(), so_far())),
        (State::Open, _) if capacity.probes + capacity.confirmations == 0 => {
            Some("interrupted before its first trial ended".to_owned())
        }
        (State::Open, _) => Some(format!("interrupted after {}{}", trials(), so_far())),
        (State::NoStart, _) => Some(format!(
            "the closed loop at the beginning failed: {}",
            printable(&capacity.trouble)
        )),
    }
}
