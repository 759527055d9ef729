//! The comparison table: rows, marks, and who wins a column.

use anstyle::Style;

use crate::measure::verdict::Outcome;
use crate::results::Results;
use crate::scenario::workload::{Delivery, Durability};
use crate::stats::shape::Shape;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;
use crate::terminal::style;
use crate::terminal::table::{Align, Cell, Row as Line, Table};

use super::cells::{Better, Figure, figures};
use super::columns;
use super::rows::{Row, Scope, by_broker};

/// Behind the best figure of a column.
pub const BEST: char = '*';
/// Behind a latency that the generator's own lateness blurs.
pub const BLURRED: char = '~';
/// Behind a latency of trials that are not *ok*.
pub const INVALID: char = '!';

/// The brokers of a run side by side.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// In the order of the plan.
    pub rows: Vec<Row<'a>>,
    /// Which columns there are.
    pub shape: Shape,
    /// Figures of each row.
    pub figures: Vec<Vec<Figure>>,
    /// Whether anybody may win: kinds of exactly-once are not alike, nor are latencies at other rates.
    pub ranked: bool,
}

impl<'a> Comparison<'a> {
    /// Of a run.
    pub fn of(results: &'a Results) -> Comparison<'a> {
        let shape = Shape::of(&results.plan.workload);
        let rows = by_broker(results);
        let stores = rows.iter().any(|row| row.cost.stored_per_byte > Some(0.0));
        Comparison {
            figures: rows.iter().map(|row| figures(row, shape, stores)).collect(),
            // At rates of their own nobody is faster than another.
            ranked: results.plan.search.is_none()
                && !results
                    .plan
                    .brokers
                    .iter()
                    .any(|broker| broker.asked.delivery == Delivery::ExactlyOnce),
            shape,
            rows,
        }
    }

    /// The row that wins a column. Nobody does alone, or where the best is printed like another.
    pub fn winner(&self, column: usize) -> Option<usize> {
        let contestants = || {
            let ranked = self
                .rows
                .iter()
                .enumerate()
                .filter(|(_, row)| row.is_ranked());
            ranked.filter_map(|(i, _)| {
                let figure = self.figures[i].get(column)?;
                (!figure.blurred).then_some((i, figure, figure.value?))
            })
        };
        let better = contestants().next()?.1.better;
        let best = match better {
            Better::Lower => contestants().min_by(|a, b| a.2.total_cmp(&b.2)),
            Better::Higher => contestants().max_by(|a, b| a.2.total_cmp(&b.2)),
            Better::Neither => None,
        };
        let (winner, figure, _) = best.filter(|_| self.ranked && contestants().count() > 1)?;
        // Ties are looked for among all valid rows: a blurred figure cannot win, but can be as good.
        let tied = self.rows.iter().enumerate().any(|(i, row)| {
            let other = self.figures[i].get(column);
            i != winner && row.is_ranked() && other.is_some_and(|it| it.text == figure.text)
        });
        (!tied).then_some(winner)
    }

    /// Whether any cell has this mark.
    pub fn has(&self, mark: char) -> bool {
        let lines = self.table().rows;
        let mut cells = lines.iter().flat_map(|line| &line.cells);
        cells.any(|cell| cell.mark == Some(mark))
    }

    /// The table.
    pub fn table(&self) -> Table {
        let mut table = Table::default();
        table.column("broker", Align::Left);
        table.column("gives", Align::Left);
        for figure in self.figures.first().into_iter().flatten() {
            table.column(&figure.title, Align::Right);
        }
        let bounds = self.rows.iter().any(|row| row.bound_by.is_some());
        if bounds {
            table.column("bound by", Align::Left);
        }
        let width = self.figures.first().map_or(0, Vec::len);
        let winners: Vec<Option<usize>> = (0..width).map(|c| self.winner(c)).collect();
        for (i, row) in self.rows.iter().enumerate() {
            let mut cells = vec![
                Cell::plain(printable(&row.broker.label)),
                Cell::plain(gives(row)),
            ];
            let figures = self.figures[i].iter().enumerate();
            cells.extend(figures.map(|(c, it)| cell(row, it, winners[c] == Some(i))));
            if bounds {
                let bound = row.bound_by.map_or(numbers::NONE, |bound| bound.name());
                cells.push(Cell::plain(bound));
            }
            table.rows.push(Line {
                cells,
                notes: notes(row),
            });
        }
        table
    }
}

fn cell(row: &Row, figure: &Figure, wins: bool) -> Cell {
    let cell = Cell::plain(&figure.text);
    if wins {
        return cell.mark(BEST).styled(style::GOOD);
    }
    if figure.latency && !row.is_valid() && figure.text != numbers::NONE {
        return cell.mark(INVALID).styled(style::DIM);
    }
    if figure.blurred {
        return cell.mark(BLURRED).styled(style::DIM);
    }
    let lost = figure.text == "lost" || (figure.title == "lost" && figure.value > Some(0.0));
    match lost {
        true => cell.styled(style::WARN),
        false => cell,
    }
}

/// What a broker gives: its durability, and its delivery where that is more than was asked.
pub fn gives(row: &Row) -> String {
    let offer = &row.broker.offer;
    let durability = columns::durability(offer.durability);
    match offer.delivery > row.broker.asked.delivery || row.results.plan.is_unequal() {
        true => format!("{}, {durability}", columns::delivery(offer.delivery)),
        false => durability.to_owned(),
    }
}

/// Whether a broker gives more than was asked, which costs it time that others do not spend.
pub fn gives_more(row: &Row) -> bool {
    let given: (Delivery, Durability) = (row.broker.offer.delivery, row.broker.offer.durability);
    given.0 > row.broker.asked.delivery || given.1 > row.broker.asked.durability
}

/// What stands under a row.
pub(super) fn notes(row: &Row) -> Vec<(String, Style)> {
    let mut notes = Vec::new();
    match row.outcome {
        Some(Outcome::Ok) => {}
        Some(outcome) => {
            let reason = printable(&row.reason);
            notes.push((format!("⚠ {}: {reason}", outcome.name()), style::WARN));
        }
        None => notes.push((format!("⚠ {}", printable(&row.reason)), style::WARN)),
    }
    if let (Some(summed), Scope::Broker { trials, ok }) = (row.rates, row.scope)
        && !row.is_valid()
        && summed.sent.unwrap_or_default() + summed.received > 0.0
    {
        let over = match ok {
            0 if trials == 1 => "measured in the one trial, which is not ok".to_owned(),
            0 => format!("medians over all {trials} trials: none is ok"),
            1 => format!("measured in the one trial of {trials} that is ok"),
            _ => format!("medians over the {ok} of {trials} trials that are ok"),
        };
        notes.push((over, style::DIM));
    }
    if let Some((count, share)) = still_disturbed(row) {
        let of = row.results.standing_of(row.place).count();
        let which = format!("{count} of {of} trials");
        let text = format!(
            "⚠ disturbed: others took up to {} of the CPU in {which}",
            numbers::percent(share)
        );
        notes.push((text, style::WARN));
    }
    if !row.broker.ranked {
        let why = match &row.broker.baseline_of {
            Some(label) => format!(
                "not ranked: the baseline's program, for the gate of {}",
                printable(label)
            ),
            None => "not ranked: it is no broker of its own".to_owned(),
        };
        notes.push((why, style::DIM));
    }
    notes
}

/// How many trials that count are disturbed all the same, and the largest share taken.
fn still_disturbed(row: &Row) -> Option<(usize, f64)> {
    let standing = row.results.standing_of(row.place);
    let shares: Vec<f64> = standing.filter_map(|a| Some(a.disturbed?.share)).collect();
    let largest = shares.iter().copied().max_by(f64::total_cmp)?;
    Some((shares.len(), largest))
}
