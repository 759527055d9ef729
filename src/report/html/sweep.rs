//! A sweep: what each broker holds, and its latency at each offered load.

use maud::{Markup, html};

use crate::report::sweep::{Knee, Sweep};
use crate::report::warnings::warnings;
use crate::results::Results;
use crate::terminal::diagnostic::printable;
use crate::terminal::table::{self, Align, Table};

use super::names;
use super::sheet::{Cell, Column, Line, Sheet};
use super::story::{made, warned};

/// What a reader should know first.
pub(super) fn summary(results: &Results, sweep: &Sweep) -> Markup {
    let brokers = 0..results.plan.brokers.len();
    let mut knees: Vec<(usize, Knee)> = brokers.map(|place| (place, sweep.knee(place))).collect();
    let holds = |it: &(usize, Knee)| it.1.holds.map_or(0.0, |rate| rate.0);
    knees.sort_by(|a, b| holds(b).total_cmp(&holds(a)));
    html! {
        section #summary aria-labelledby="summary-title" {
            h2 #summary-title { "Summary" }
            p.lede { "How much each system holds, and what was too much for it." }
            ul.signs {
                @for (place, knee) in &knees {
                    li {
                        (names::broker(results, *place))
                        " holds " strong { (knee.holds()) }
                        @if let Some(said) = knee.said() { span.warn { " · " (said) } }
                    }
                }
            }
            p { (made(results)) }
            (warned(&warnings(results)))
        }
    }
}

/// The tables that a sweep prints, with what their figures mean.
pub(super) fn section(results: &Results, sweep: &Sweep) -> Markup {
    html! {
        section #by-load aria-labelledby="by-load-title" {
            h2 #by-load-title { "By offered load" }
            @for (number, (title, table)) in sweep.tables().into_iter().enumerate() {
                h3 { (title) }
                (sheet(results, sweep, number, &title, &table).markup())
            }
            div.legend { @for note in sweep.notes() { p { (note) } } }
        }
    }
}

/// A printed table, of those of the sweep the one with this number, as one of the page.
fn sheet(results: &Results, sweep: &Sweep, number: usize, title: &str, printed: &Table) -> Sheet {
    // Before the rates stand the broker and what it gives.
    const BEFORE: usize = 2;
    let column = |it: &table::Column| match it.align {
        Align::Left => Column::words(&it.title),
        Align::Right => Column::numbers(&it.title),
    };
    let line = |(place, row): (usize, &table::Row)| Line {
        cells: row
            .cells
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let text: String = cell.text.chars().chain(cell.mark).collect();
                let value = match column {
                    0 => return Cell::of(names::broker(results, place)),
                    last if last + 1 == row.cells.len() => sweep.knee(place).holds.map(|it| it.0),
                    _ => column
                        .checked_sub(BEFORE)
                        .and_then(|point| sweep.value(number, place, point)),
                };
                Cell::text(printable(&text)).by(value)
            })
            .collect(),
        notes: row.notes.iter().map(|(note, _)| html! { (note) }).collect(),
        class: "",
    };
    Sheet {
        caption: title.to_owned(),
        columns: printed.columns.iter().map(column).collect(),
        lines: printed.rows.iter().enumerate().map(line).collect(),
    }
}
