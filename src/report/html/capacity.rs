//! A search: how much each broker takes, and what was wrong above that.

use maud::{Markup, html};

use crate::report::capacity::{Capacities, bracket, said};
use crate::report::warnings::warnings;
use crate::results::Results;
use crate::results::capacity::{Capacity, State};
use crate::terminal::diagnostic::printable;
use crate::terminal::table::{self, Align};

use super::names;
use super::sheet::{Cell, Column, Line, Sheet};
use super::story::{made, warned};

/// What a reader should know first.
pub(super) fn summary(results: &Results, found: &Capacities) -> Markup {
    let mut rows: Vec<_> = found.rows().collect();
    let low = |capacity: &Option<&Capacity>| {
        let low = capacity.and_then(Capacity::lower);
        low.map_or(0.0, |low| low.rate.0)
    };
    rows.sort_by(|a, b| low(&b.1).total_cmp(&low(&a.1)));
    html! {
        section #summary aria-labelledby="summary-title" {
            h2 #summary-title { "Summary" }
            p.lede { "How much each system takes, and what was wrong above that." }
            @if let Some(ahead) = found.ahead() { p { (ahead) "." } }
            ul.signs {
                @for (row, capacity) in &rows {
                    @if let Some(capacity) = capacity {
                        li {
                            (names::broker(results, row.place))
                            " takes " strong { (bracket(capacity)) } " messages a second"
                            @if let Some(said) = said(capacity, row.broker) {
                                @let class = if capacity.state == State::Settled { "dim" } else { "warn" };
                                span class=(class) { " · " (said) }
                            }
                        }
                    }
                }
            }
            p { (made(results)) }
            (warned(&warnings(results)))
        }
    }
}

/// The table that a search prints, with what its figures mean.
pub(super) fn section(results: &Results, found: &Capacities) -> Markup {
    html! {
        section #capacity aria-labelledby="capacity-title" {
            h2 #capacity-title { "Capacity" }
            (sheet(results, found).markup())
            div.legend { @for note in found.notes() { p { (note) } } }
        }
    }
}

fn sheet(results: &Results, found: &Capacities) -> Sheet {
    let printed = found.table();
    let column = |it: &table::Column| match it.align {
        Align::Left => Column::words(&it.title),
        Align::Right => Column::numbers(&it.title),
    };
    let line = |((row, capacity), line): ((_, Option<&Capacity>), &table::Row)| {
        let row: &crate::report::rows::Row = row;
        let figures = &found.comparison.figures[row.place];
        let cells = line.cells.iter().zip(&printed.columns);
        let cells = cells.map(|(cell, column)| {
            let text: String = cell.text.chars().chain(cell.mark).collect();
            let value = match column.title.as_str() {
                "broker" => return Cell::of(names::broker(results, row.place)),
                "capacity/s" => {
                    let low = capacity.and_then(Capacity::lower);
                    low.map(|low| low.rate.0)
                }
                "probes" => capacity.map(|it| f64::from(it.probes)),
                title => figures
                    .iter()
                    .find(|it| it.title == title)
                    .and_then(|it| it.value),
            };
            Cell::text(printable(&text)).by(value)
        });
        Line {
            cells: cells.collect(),
            notes: line
                .notes
                .iter()
                .map(|(note, _)| html! { (note) })
                .collect(),
            class: "",
        }
    };
    Sheet {
        caption: "What each broker takes".to_owned(),
        lines: found.rows().zip(&printed.rows).map(line).collect(),
        columns: printed.columns.iter().map(column).collect(),
    }
}
