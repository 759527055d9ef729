//! Every trial with its verdict, and every message accounted for.

use maud::{Markup, html};

use crate::measure::record::Audit;
use crate::measure::resources::{Cause, Disturbance};
use crate::report::rows::Row;
use crate::report::table::Comparison;
use crate::report::verdicts::value;
use crate::results::{Attempt, Results, Tried};
use crate::scenario::workload::Load;
use crate::stats::figure::Figure;
use crate::stats::shape::Shape;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers::{self, count, percent};

use super::names;
use super::sheet::{Cell, Column, Line, Sheet};

/// The trials, those that were repeated as well.
pub(super) fn section(results: &Results) -> Markup {
    let repeated = results.attempts.iter().filter(|it| !it.stands).count();
    html! {
        section #trials aria-labelledby="trials-title" {
            h2 #trials-title { "Trials" }
            p.dim {
                "In the order in which they were made; brokers take turns in random order within each block. "
                @if repeated > 0 {
                    "Attempts that were repeated are dim and count for nothing."
                }
            }
            details open[results.attempts.len() <= 24] {
                summary { (numbers::counted(results.attempts.len() as u64, "attempt")) }
                (sheet(results).markup())
            }
        }
    }
}

fn sheet(results: &Results) -> Sheet {
    let figures = figures(results);
    let mut columns = vec![
        Column::numbers("trial"),
        Column::numbers("block"),
        Column::words("broker"),
        Column::words("verdict"),
    ];
    if results.plan.search.is_some() {
        columns.push(Column::words("tried as"));
    }
    if results.plan.points() > 1 || results.plan.search.is_some() {
        columns.push(Column::numbers("offered/s"));
    }
    columns.extend(figures.iter().map(|it| Column::numbers(&it.short())));
    columns.extend([Column::numbers("lost"), Column::numbers("others' CPU")]);
    Sheet {
        caption: "Every attempt at every trial".to_owned(),
        columns,
        lines: results
            .attempts
            .iter()
            .map(|attempt| line(results, attempt, &figures))
            .collect(),
    }
}

/// Those by which the workload is compared, and what a closed loop has besides.
fn figures(results: &Results) -> Vec<Figure> {
    let shape = Shape::of(&results.plan.workload);
    let mut figures = Figure::of(shape);
    if let Shape::Throughput(kind) = shape {
        figures.extend([50.0, 99.0].map(|percent| Figure::Latency(kind, percent)));
    }
    figures.extend([Figure::ClientCpu, Figure::BrokerCpu]);
    figures
}

fn line(results: &Results, attempt: &Attempt, figures: &[Figure]) -> Line {
    let number = match attempt.attempt {
        0 | 1 => attempt.trial.to_string(),
        again => format!("{}, attempt {again}", attempt.trial),
    };
    let place = f64::from(attempt.trial) + f64::from(attempt.attempt) / 1000.0;
    let ok = attempt.is_ok();
    let verdict = match (attempt.interrupted, attempt.stands) {
        (true, _) => "interrupted",
        (false, true) => attempt.verdict.outcome.name(),
        (false, false) => "repeated",
    };
    let mut cells = vec![
        Cell::text(number).by(Some(place)),
        Cell::text(attempt.block.to_string()).by(Some(attempt.block.into())),
        Cell::of(names::broker(results, attempt.broker)),
        Cell::text(verdict).class(match (attempt.stands, ok) {
            (false, _) => "dim",
            (true, ok) => names::verdict(ok),
        }),
    ];
    if results.plan.search.is_some() {
        cells.push(Cell::text(match attempt.tried {
            Some(Tried::Loop) => "closed loop",
            Some(Tried::Probe(_)) => "probe",
            Some(Tried::Confirm(_)) => "full length",
            None => numbers::NONE,
        }));
    }
    if results.plan.points() > 1 || results.plan.search.is_some() {
        let swept = results.plan.sweep.get(attempt.point).copied();
        let rate = swept
            .or(attempt.tried.and_then(Tried::rate))
            .map(|rate| rate.0);
        let shown = rate.map_or(numbers::NONE.to_owned(), numbers::rate);
        cells.push(Cell::text(shown).by(rate));
    }
    cells.extend(figures.iter().map(|figure| {
        let found = figure.value(attempt);
        let blurred = figure.is_blurred(attempt);
        let shown = html! {
            (value(*figure, found))
            span.mark { @if blurred { abbr title="instrument-limited" { "~" } } }
        };
        Cell::of(shown)
            .by(found)
            .class(if blurred { "dim" } else { "" })
    }));
    let lost = attempt.audit.lost;
    cells.push(
        Cell::text(count(lost))
            .by(Some(lost as f64))
            .class(if lost > 0 { "warn" } else { "" }),
    );
    cells.push(match attempt.disturbed {
        None => Cell::text(numbers::NONE),
        Some(Disturbance { cause, share }) => {
            let who = match cause {
                Cause::Steal => "hypervisor",
                Cause::Foreign => "other processes",
            };
            // The name that a reader will look for.
            let named = attempt.takers.first().filter(|_| cause == Cause::Foreign);
            let named = named.map_or(String::new(), |it| format!(" ({})", printable(&it.name)));
            Cell::text(format!("{who} {}{named}", percent(share)))
                .by(Some(share))
                .class("warn")
        }
    });
    let happened = happened(attempt);
    let notes = (!happened.is_empty()).then(|| html! { (happened) });
    Line {
        cells,
        notes: notes.into_iter().collect(),
        class: match (attempt.stands, ok) {
            (false, _) => "repeated",
            (true, false) => "invalid",
            (true, true) => "",
        },
    }
}

/// Why it is not *ok*, which messages failed, what was noted.
fn happened(attempt: &Attempt) -> String {
    let mut said = Vec::new();
    if !attempt.verdict.reason.is_empty() {
        said.push(printable(&attempt.verdict.reason));
    }
    if attempt.drain_cut {
        said.push("messages still came in when the drain ended".to_owned());
    }
    for (reason, times) in &attempt.reasons {
        said.push(format!("{} ({})", printable(reason), count(*times)));
    }
    said.extend(attempt.notes.iter().map(|note| printable(note)));
    said.join("; ")
}

/// Every message accounted for.
pub(super) fn audit_section(comparison: &Comparison) -> Markup {
    html! {
        section #audit aria-labelledby="audit-title" {
            h2 #audit-title { "Every message accounted for" }
            (audit(comparison).markup())
            p.legend {
                "Sums over all trials that count, also those that are not ok. intended = sent + unsent; expected = sent × \
                 groups; lost = expected − distinct received. – is for what a system does not tell."
            }
        }
    }
}

/// A column of the audit; `None` where it does not apply.
type Counted = (&'static str, fn(&Row) -> Option<u64>);

const AUDIT: [Counted; 15] = [
    ("intended", |row| scheduled(row, row.total.intended)),
    ("unsent", |row| scheduled(row, row.total.unsent)),
    ("sent", |row| Some(row.total.sent)),
    ("acked", |row| acknowledged(row, row.total.acked)),
    ("failed", |row| Some(row.total.failed)),
    ("unresolved", |row| acknowledged(row, row.total.unresolved)),
    ("expected", |row| Some(row.total.expected)),
    ("received", |row| Some(row.total.received)),
    ("lost", |row| Some(row.total.lost)),
    ("lost acked", |row| acknowledged(row, row.total.lost_acked)),
    ("duplicated", |row| Some(row.total.duplicated)),
    ("redelivered", |row| Some(row.total.redelivered)),
    ("out of order", |row| Some(row.total.out_of_order)),
    ("unexpected", |row| Some(row.total.unexpected)),
    ("corrupted", |row| Some(row.total.corrupted)),
];

/// Of a schedule, which a closed loop has not.
fn scheduled(row: &Row, messages: u64) -> Option<u64> {
    (!matches!(row.workload().load, Load::Max)).then_some(messages)
}

/// Of acknowledgements, which not every offer has.
fn acknowledged(row: &Row, messages: u64) -> Option<u64> {
    row.broker.offer.acks.then_some(messages)
}

fn audit(comparison: &Comparison) -> Sheet {
    let mut columns = vec![Column::words("broker")];
    columns.extend(AUDIT.iter().map(|(title, _)| Column::numbers(title)));
    let lines = comparison.rows.iter().map(|row| {
        let mut cells = vec![Cell::of(names::broker(row.results, row.place))];
        cells.extend(AUDIT.iter().map(|(title, counted)| {
            let known = row.total != Audit::default();
            let found = counted(row).filter(|_| known);
            let good = ["intended", "sent", "acked", "expected", "received"].contains(title);
            let class = if !good && found > Some(0) { "warn" } else { "" };
            Cell::text(found.map_or(numbers::NONE.to_owned(), count))
                .by(found.map(|it| it as f64))
                .class(class)
        }));
        Line {
            cells,
            ..Line::default()
        }
    });
    Sheet {
        caption: "Messages of each broker, over all trials".to_owned(),
        lines: lines.collect(),
        columns,
    }
}
