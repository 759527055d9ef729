//! The comparison of the brokers, and what became of the thresholds.

use maud::{Markup, html};

use crate::report::cells::Figure;
use crate::report::notes::{legend, observed, thresholds, what};
use crate::report::rows::Row;
use crate::report::table::{BEST, BLURRED, Comparison, INVALID, gives, gives_more, notes};
use crate::results::Results;
use crate::results::model::Observed;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;

use super::names;
use super::sheet::{Cell, Column, Line, Sheet};

/// The table that a run prints, with what its figures and marks mean.
pub(super) fn section(comparison: &Comparison) -> Markup {
    html! {
        section #comparison aria-labelledby="comparison-title" {
            h2 #comparison-title { "Comparison" (names::at(comparison)) }
            (sheet(comparison).markup())
            div.legend {
                p { (what(comparison)) }
                @if let Some(legend) = legend(comparison) { p { (legend) } }
            }
        }
    }
}

fn sheet(comparison: &Comparison) -> Sheet {
    let titles = comparison.figures.first().into_iter().flatten();
    let mut columns = vec![Column::words("broker"), Column::words("gives")];
    columns.extend(titles.map(|figure| Column::numbers(&figure.title)));
    let bounds = comparison.rows.iter().any(|row| row.bound_by.is_some());
    if bounds {
        columns.push(Column::words("bound by"));
    }
    let rows = comparison.rows.iter().enumerate();
    let lines = rows.map(|(i, row)| {
        let mut cells = vec![
            Cell::of(names::broker(row.results, row.place)),
            Cell::text(gives(row)).class(if gives_more(row) { "more" } else { "" }),
        ];
        let figures = comparison.figures[i].iter().enumerate();
        cells.extend(
            figures.map(|(column, it)| figure(row, it, comparison.winner(column) == Some(i))),
        );
        if bounds {
            let bound = row.bound_by.map_or(numbers::NONE, |bound| bound.name());
            cells.push(Cell::text(bound));
        }
        Line {
            cells,
            notes: notes(row)
                .iter()
                .map(|(note, _)| html! { (note) })
                .collect(),
            class: if row.is_valid() { "" } else { "invalid" },
        }
    });
    Sheet {
        caption: "The brokers side by side".to_owned(),
        lines: lines.collect(),
        columns,
    }
}

/// A figure with the mark that the printed table gives it.
fn figure(row: &Row, figure: &Figure, wins: bool) -> Cell {
    let has_value = figure.text != numbers::NONE;
    let (mark, class) = if wins {
        (Some((BEST, "best of its column")), "win")
    } else if figure.latency && !row.is_valid() && has_value {
        (Some((INVALID, "from trials that are not ok")), "dim")
    } else if figure.blurred {
        (Some((BLURRED, "instrument-limited")), "dim")
    } else if figure.text == "lost" || (figure.title == "lost" && figure.value > Some(0.0)) {
        (None, "warn")
    } else {
        (None, "")
    };
    // A percentile among messages that never arrived is worse than every other.
    let value = match figure.text == "lost" {
        true => Some(f64::INFINITY),
        false => figure.value,
    };
    let shown = html! {
        (figure.text)
        span.mark { @if let Some((mark, says)) = mark { abbr title=(says) { (mark) } } }
    };
    Cell::of(shown).by(value).class(class)
}

/// What became of the thresholds; nothing where there are none.
pub(super) fn thresholds_section(results: &Results) -> Markup {
    let lines = thresholds(results);
    if lines.is_empty() {
        return html! {};
    }
    let met = lines.iter().filter(|line| line.met).count();
    html! {
        section #thresholds aria-labelledby="thresholds-title" {
            h2 #thresholds-title { "Thresholds" }
            ul.signs {
                @for line in &lines {
                    li class=(names::verdict(line.met)) {
                        span.sign { @if line.met { "✓" } @else { "✗" } }
                        span.said { @if line.met { " met: " } @else { " missed: " } }
                        code { (line.threshold) }
                        " "
                        span.dim { (line.seen) }
                    }
                }
            }
            details {
                summary { "By broker (" (met) " of " (numbers::counted(lines.len() as u64, "threshold")) " met)" }
                (by_broker(results).markup())
            }
        }
    }
}

fn by_broker(results: &Results) -> Sheet {
    let mut lines = Vec::new();
    for judged in &results.thresholds {
        for it in &judged.brokers {
            let value = match it.observed {
                Observed::Value(value) => Some(value),
                Observed::Lost => Some(f64::INFINITY),
                Observed::TooFew | Observed::Nothing => None,
            };
            let sign = if it.met { "✓ met" } else { "✗ missed" };
            lines.push(Line {
                cells: vec![
                    Cell::of(html! { code { (printable(&judged.threshold.to_string())) } }),
                    Cell::of(html! {
                        (names::broker(results, it.broker))
                        @if let Some(rate) = results.plan.sweep.get(it.point) { " at " (rate) }
                    }),
                    Cell::text(observed(judged.threshold.metric, it.observed)).by(value),
                    Cell::text(sign).class(names::verdict(it.met)),
                    Cell::text(if it.valid { "yes" } else { "⚠ no" }),
                ],
                ..Line::default()
            });
        }
    }
    Sheet {
        caption: "What each broker did about each threshold".to_owned(),
        columns: vec![
            Column::words("threshold"),
            Column::words("broker"),
            Column::numbers("observed"),
            Column::words("verdict"),
            Column::words("valid"),
        ],
        lines,
    }
}
