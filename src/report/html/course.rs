//! How the trials went over time: every pause, and what grew or fell.

use maud::{Markup, html};

use crate::report::course::{changes, length};
use crate::results::course::PauseKind;
use crate::results::{Attempt, Results};
use crate::terminal::numbers::{NONE, counted, time};

use super::names;
use super::sheet::{Cell, Column, Line, Sheet};

/// Empty where no trial paused and none was long enough to look for a drift.
pub(super) fn section(results: &Results) -> Markup {
    let trials: Vec<&Attempt> = results
        .standing()
        .filter(|it| !it.course.is_empty())
        .collect();
    let pauses = pauses(results, &trials);
    let drifts = drifts(results, &trials);
    html! {
        @if !trials.is_empty() {
            section #course aria-labelledby="course-title" {
                h2 #course-title { "Over time" }
                @if pauses.lines.is_empty() {
                    p { "No pauses." }
                } @else {
                    details open[pauses.lines.len() <= 12] {
                        summary { (counted(pauses.lines.len() as u64, "pause")) }
                        (pauses.markup())
                    }
                    p.legend {
                        "Silent: nothing was received for 100 ms and 20 times what lies between two messages. Slow: the p99 of \
                         a second is 5 times and 10 ms above the median of the seconds around it."
                    }
                }
                @if !drifts.lines.is_empty() {
                    (drifts.markup())
                    p.legend {
                        "Theil–Sen slopes over the means of 20 blocks, with 99.7 % intervals that are wider where neighbouring \
                         blocks depend on each other. A drift is called where the interval excludes zero, the change over the \
                         trial is a tenth of the usual value or more, and it goes on in the second half."
                    }
                }
            }
        }
    }
}

fn pauses(results: &Results, trials: &[&Attempt]) -> Sheet {
    let lines = trials.iter().flat_map(|trial| {
        let pauses = trial.course.pauses.iter();
        pauses.map(|pause| {
            let kind = match pause.kind {
                PauseKind::Silent => "silent",
                PauseKind::Slow => "slow",
            };
            let p99 = pause.p99.map(|it| it as f64);
            Line {
                cells: vec![
                    Cell::of(names::broker(results, trial.broker)),
                    Cell::text(trial.repetition.to_string()).by(Some(trial.repetition.into())),
                    Cell::text(kind),
                    Cell::text(format!("{:.1} s", pause.at)).by(Some(pause.at)),
                    Cell::text(length(pause.seconds)).by(Some(pause.seconds)),
                    Cell::text(p99.map_or(NONE.to_owned(), time)).by(p99),
                ],
                ..Line::default()
            }
        })
    });
    Sheet {
        caption: "Pauses".to_owned(),
        columns: vec![
            Column::words("broker"),
            Column::numbers("trial"),
            Column::words("kind"),
            Column::numbers("at"),
            Column::numbers("for"),
            Column::numbers("p99"),
        ],
        lines: lines.collect(),
    }
}

fn drifts(results: &Results, trials: &[&Attempt]) -> Sheet {
    let lines = trials.iter().flat_map(|trial| {
        trial.course.drifts.iter().map(|drift| Line {
            cells: vec![
                Cell::of(names::broker(results, trial.broker)),
                Cell::text(trial.repetition.to_string()).by(Some(trial.repetition.into())),
                Cell::text(match drift.called {
                    true => "drifts",
                    false => "steady",
                })
                .class(if drift.called { "warn" } else { "" }),
                Cell::text(changes(drift)).class("prose"),
            ],
            ..Line::default()
        })
    });
    Sheet {
        caption: "Drifts".to_owned(),
        columns: vec![
            Column::words("broker"),
            Column::numbers("trial"),
            Column::words("verdict"),
            Column::words("slope"),
        ],
        lines: lines.collect(),
    }
}
