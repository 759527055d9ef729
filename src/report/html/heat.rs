//! The colours of the heat map: what they mean, and how they look on each ground.

use maud::{Markup, html};

use crate::report::charts::heat::Heat;
use crate::report::charts::ramp;

/// Width of a colour in the key.
const WIDE: usize = 20;
/// Room for numbers that stand at the ends.
const SIDE: usize = 24;

/// What the colours mean.
pub(super) fn key(chart: &Heat) -> Markup {
    let length = WIDE * chart.colours;
    let at = |share: f64| format!("{:.1}", SIDE as f64 + share * length as f64);
    let view = format!("0 0 {} 30", length + 2 * SIDE);
    html! {
        div.heat-key {
            span { "messages in a cell" }
            svg width=(length + 2 * SIDE) height="30" viewBox=(view) aria-hidden="true" {
                @for step in 0..chart.colours {
                    rect class={ "h" (step) } x=(SIDE + step * WIDE) y="2" width=(WIDE) height="11" {}
                }
                @for (share, count) in chart.named_counts() {
                    text x=(at(share)) y="26" text-anchor="middle" { (count) }
                }
            }
        }
    }
}

/// The colours as classes, for light and dark ground and for paper.
pub(super) fn colors() -> String {
    let set = |ramp: [&str; ramp::STEPS]| {
        let all: Vec<String> = (0..ramp::STEPS)
            .map(|step| format!("--h{step}:{}", ramp[step]))
            .collect();
        all.join(";")
    };
    let classes: Vec<String> = (0..ramp::STEPS)
        .map(|step| format!(".h{step}{{fill:var(--h{step})}}"))
        .collect();
    let (light, dark) = (set(ramp::LIGHT), set(ramp::DARK));
    format!(
        ":root{{{light}}}@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\
         :root[data-theme=dark]{{{dark}}}@media print{{:root:root:root{{{light}}}}}{}",
        classes.join("")
    )
}
