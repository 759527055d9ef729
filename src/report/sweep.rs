//! A sweep side by side: each broker's latency at each offered load, and how much it holds.

use crate::measure::latency::Kind;
use crate::measure::verdict::Outcome;
use crate::scenario::units::Rate;
use crate::stats::shape::Shape;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Row as Line, Table};

use super::notes;
use super::rows::Row;
use super::table::{Comparison, gives};

/// The percentiles that have a table, as their columns are headed.
const SHOWN: [&str; 2] = ["p50", "p99"];
/// In the place of a figure where a broker was not tried.
const NOT_TRIED: &str = "·";

/// The load points of a run side by side.
#[derive(Debug)]
pub struct Sweep<'a> {
    /// One comparison for each load point, the lowest first.
    pub points: Vec<Comparison<'a>>,
    rates: Vec<Rate>,
}

/// How much a broker holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knee {
    /// The highest rate that is *ok*, below which nothing was too much.
    pub holds: Option<Rate>,
    /// The lowest that was too much: the rate, the verdict, and why.
    pub fails: Option<(Rate, Outcome, String)>,
}

impl<'a> Sweep<'a> {
    /// Of the load points of a run: see [`Results::points`](crate::results::Results::points). `None` where it is no
    /// sweep.
    pub fn of(points: &'a [std::borrow::Cow<'a, crate::results::Results>]) -> Option<Sweep<'a>> {
        let sweep = &points.first()?.plan.sweep;
        (points.len() > 1).then(|| Sweep {
            rates: sweep.clone(),
            points: points.iter().map(|part| Comparison::of(part)).collect(),
        })
    }

    /// The rows of one broker, the lowest rate first.
    pub fn rows(&self, place: usize) -> impl Iterator<Item = (Rate, &Row<'a>)> {
        let rows = self.points.iter().filter_map(move |it| it.rows.get(place));
        self.rates.iter().copied().zip(rows)
    }

    /// How much one broker holds. A generator that was late itself says nothing of it, neither way.
    pub fn knee(&self, place: usize) -> Knee {
        let mut knee = Knee::default();
        for (rate, row) in self.rows(place) {
            match row.outcome {
                Some(Outcome::Ok) => knee.holds = Some(rate),
                None | Some(Outcome::GeneratorLimited) => {}
                Some(outcome) => {
                    knee.fails = Some((rate, outcome, row.reason.clone()));
                    break;
                }
            }
        }
        knee
    }

    /// What stands in a table of [`tables`](Self::tables), to be sorted by: the table's number, a broker and a load
    /// point by their places. `None` where it cannot be.
    pub fn value(&self, table: usize, place: usize, point: usize) -> Option<f64> {
        let figures = self.points.get(point)?.figures.get(place)?;
        figures.iter().find(|it| it.title == SHOWN[table])?.value
    }

    /// A table for each percentile, with its title. Rows are brokers, columns are rates.
    pub fn tables(&self) -> Vec<(String, Table)> {
        let name = match self.points.first().map(|it| it.shape) {
            Some(Shape::Latency(Kind::Publish)) => "publish latency",
            Some(Shape::Latency(Kind::RoundTrip)) => "round trip",
            _ => "end-to-end latency",
        };
        let last = SHOWN.len() - 1;
        let table = |(i, percentile): (usize, &&str)| {
            let title = format!("{percentile} of the {name} by offered load");
            (title, self.table(percentile, i == last))
        };
        SHOWN.iter().enumerate().map(table).collect()
    }

    /// `notes`: whether what must be said of a broker stands below its row.
    fn table(&self, percentile: &str, notes: bool) -> Table {
        let mut table = Table::default();
        table.column("broker", Align::Left);
        table.column("gives", Align::Left);
        for rate in &self.rates {
            table.column(format!("{}/s", numbers::rate(rate.0)), Align::Right);
        }
        table.column("holds", Align::Right);
        let brokers = self.points.first().map_or(0, |it| it.rows.len());
        let tables: Vec<Table> = self.points.iter().map(Comparison::table).collect();
        for place in 0..brokers {
            let first = &self.points[0].rows[place];
            let mut cells = vec![
                Cell::plain(printable(&first.broker.label)),
                Cell::plain(gives(first)),
            ];
            cells.extend(self.points.iter().zip(&tables).map(|(point, table)| {
                let titled = table.columns.iter().position(|it| it.title == percentile);
                match (titled, point.rows[place].outcome) {
                    (Some(column), Some(_)) => table.rows[place].cells[column].clone(),
                    _ => Cell::plain(NOT_TRIED).styled(style::DIM),
                }
            }));
            let knee = self.knee(place);
            cells.push(Cell::plain(knee.holds()));
            table.rows.push(Line {
                cells,
                notes: match notes {
                    true => knee
                        .said()
                        .into_iter()
                        .map(|it| (it, style::WARN))
                        .collect(),
                    false => Vec::new(),
                },
            });
        }
        table
    }

    /// What the figures are, and what must be known of the brokers.
    pub fn notes(&self) -> Vec<String> {
        let Some(first) = self.points.first() else {
            return Vec::new();
        };
        let mut found = vec![format!(
            "{}; medians over the valid trials; a broker that two rates were too much for is not tried at higher ones \
             ({NOT_TRIED})",
            notes::latency(first)
        )];
        found.push(
            "holds: the highest rate that is ok, with nothing too much below it; the capacity lies between that and the \
             next"
                .to_owned(),
        );
        // The longest legend has all marks that occur, or nearly so.
        let legends = self.points.iter().filter_map(notes::legend);
        found.extend(legends.max_by_key(String::len));
        found.extend(notes::guarantees(first));
        for place in 0..first.rows.len() {
            for (_, row) in self.rows(place) {
                for note in notes::about(row) {
                    if !found.contains(&note) {
                        found.push(note);
                    }
                }
            }
        }
        found
    }
}

impl Knee {
    /// `20,000/s`, `≥ 50,000/s` where nothing was too much.
    pub fn holds(&self) -> String {
        match (self.holds, &self.fails) {
            (Some(rate), None) => format!("≥ {}/s", numbers::rate(rate.0)),
            (Some(rate), Some(_)) => format!("{}/s", numbers::rate(rate.0)),
            (None, _) => numbers::NONE.to_owned(),
        }
    }

    /// What was too much, and why.
    pub fn said(&self) -> Option<String> {
        let (rate, outcome, reason) = self.fails.as_ref()?;
        Some(format!(
            "⚠ {} at {}/s: {}",
            outcome.name(),
            numbers::rate(rate.0),
            printable(reason)
        ))
    }
}
