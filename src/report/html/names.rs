//! How brokers are named on the page: with the colour that they have in every chart, and apart from the text
//! around them, whatever script they are written in.

use maud::{Markup, html};

use crate::results::Results;
use crate::terminal::diagnostic::printable;

/// A broker of the plan by its place.
pub(super) fn broker(results: &Results, place: usize) -> Markup {
    let label = results.plan.brokers.get(place).map_or("?", |it| &it.label);
    html! {
        span class={ "key b" (place) } aria-hidden="true" {}
        bdi { (printable(label)) }
    }
}

/// What the style sheet and the page call a verdict.
pub(super) fn verdict(is_ok: bool) -> &'static str {
    if is_ok { "good" } else { "bad" }
}
