//! How brokers are named on the page: with the colour that they have in every chart, and apart from the text
//! around them, whatever script they are written in.

use maud::{Markup, html};

use crate::report::table::Comparison;
use crate::results::Results;
use crate::terminal::diagnostic::printable;
use crate::terminal::numbers;
use crate::terminal::style::width;

/// Columns from which on a name is long.
const LONG: usize = 28;

/// A broker of the plan by its place.
pub(super) fn broker(results: &Results, place: usize) -> Markup {
    let label = results.plan.brokers.get(place).map_or("?", |it| &it.label);
    let label = printable(label);
    // Only a long name may be broken into lines.
    let class = match width(&label) > LONG {
        true => "broker",
        false => "broker short",
    };
    html! {
        span class=(class) {
            span class={ "key b" (place) } aria-hidden="true" {}
            bdi { (label) }
        }
    }
}

/// ` at 10,000/s`, where a comparison is about one load point of a sweep.
pub(super) fn at(comparison: &Comparison) -> String {
    let first = comparison.rows.first();
    let target = first.and_then(|row| row.load.step.and(row.load.target));
    target.map_or(String::new(), |rate| {
        format!(" at {}/s", numbers::rate(rate))
    })
}

/// What the style sheet and the page call a verdict.
pub(super) fn verdict(is_ok: bool) -> &'static str {
    if is_ok { "good" } else { "bad" }
}
