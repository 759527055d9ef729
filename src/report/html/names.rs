//! How brokers are named on the page: with the colour that they have in every chart, and apart from the text
//! around them, whatever script they are written in.

use maud::{Markup, html};

use crate::results::Results;
use crate::terminal::diagnostic::printable;
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

/// What the style sheet and the page call a verdict.
pub(super) fn verdict(is_ok: bool) -> &'static str {
    if is_ok { "good" } else { "bad" }
}
