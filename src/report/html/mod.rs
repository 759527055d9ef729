//! `report.html`: a run as one page. It needs nothing but itself: no network, no server, and for what it tells
//! in words and tables no script either.

mod beside;
mod capacity;
mod charts;
mod comparison;
mod conditions;
mod course;
mod heat;
mod names;
mod policy;
mod sheet;
mod story;
mod sweep;
mod thin;
mod trials;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::capacity::Capacities;
use super::charts::Charts;
use super::headline::headline;
use super::sweep::Sweep;
use super::table::Comparison;
use super::versus::Versus;
use crate::results::Results;
use crate::stats::group::telling;
use crate::terminal::diagnostic::printable;

/// How the page looks, on a screen and on paper.
const STYLE: &str = include_str!("page.css");
/// Runs before anything is drawn: light or dark.
const THEME: &str = include_str!("script/theme.js");
/// What makes the page answer.
const SCRIPT: &str = concat!(
    include_str!("script/tables.js"),
    include_str!("script/values.js"),
    include_str!("script/tip.js"),
    include_str!("script/rows.js"),
    include_str!("script/lines.js"),
    include_str!("script/heat.js"),
    include_str!("script/charts.js"),
    include_str!("script/page.js"),
);

/// The page of a run with its charts.
pub fn run(results: &Results, charts: &Charts) -> String {
    let points = results.points();
    let sweep = Sweep::of(&points);
    // Of a sweep, what cannot be told of all rates at once is told of one.
    let shown = telling(&points).unwrap_or(results);
    let comparison = Comparison::of(shown);
    let found = Capacities::of(&points);
    let summary = match (&sweep, &found) {
        (_, Some(found)) => capacity::summary(results, found),
        (Some(sweep), None) => sweep::summary(results, sweep),
        (None, None) => story::section(results, &comparison),
    };
    let capacity = found
        .as_ref()
        .map(|found| capacity::section(results, found));
    // A search has each broker at a rate of its own: there is nothing to put side by side.
    let side_by_side = |section: &dyn Fn() -> Markup| match found {
        Some(_) => Markup::default(),
        None => section(),
    };
    let by_load = sweep.as_ref().map(|sweep| sweep::section(results, sweep));
    let sections = [
        ("summary", "Summary", summary),
        ("capacity", "Capacity", capacity.unwrap_or_default()),
        ("by-load", "By offered load", by_load.unwrap_or_default()),
        (
            "thresholds",
            "Thresholds",
            comparison::thresholds_section(results),
        ),
        (
            "comparison",
            "Comparison",
            side_by_side(&|| comparison::section(&comparison)),
        ),
        ("charts", "Charts", charts::section(charts)),
        ("course", "Over time", course::section(results)),
        (
            "beside",
            "Differences",
            side_by_side(&|| beside::section(shown)),
        ),
        ("trials", "Trials", trials::section(results)),
        ("audit", "Audit", trials::audit_section(&comparison)),
        ("conditions", "Conditions", conditions::section(results)),
    ];
    let about = headline(results);
    let title = printable(&results.manifest.scenario);
    let asked = about.strip_prefix(&format!("{title}: ")).unwrap_or(&about);
    let description = printable(&results.plan.description);
    let header = html! {
        h1 { (title) }
        p.asked { (asked) }
        @if !description.is_empty() { p.dim { (description) } }
        p.dim {
            time datetime=(results.manifest.started) { (printable(&results.manifest.started)) }
            " · mqbench " (printable(&results.manifest.tool_version))
            " · " (printable(&results.provenance.host.cpu))
        }
        @if results.manifest.interrupted {
            p.warn { "⚠ The run was interrupted: this is what was measured until then." }
        }
    };
    let mut colors = charts::colors(&charts.brokers);
    if charts.heat.is_some() {
        colors += &heat::colors();
    }
    document(&title, &colors, &header, &sections)
}

/// The page of two runs, or of the brokers of one, beside each other: what differs first.
pub fn versus(versus: &Versus) -> String {
    let different = versus.different();
    let header = html! {
        h1 { "Comparison" }
        p.asked { (versus.title) }
        ul.sides { @for side in &versus.about { li.dim { (side) } } }
    };
    let summary = html! {
        section #summary aria-labelledby="summary-title" {
            h2 #summary-title { "Summary" }
            (beside::sentences(versus))
        }
    };
    let differences = html! {
        @if !different.is_empty() {
            section #differences aria-labelledby="differences-title" {
                h2 #differences-title { "What is not the same" }
                ul.signs { @for line in &different { li.warn { span.sign { "≠" } " " (line) } } }
            }
        }
    };
    let figures = html! {
        section #figures aria-labelledby="figures-title" {
            h2 #figures-title { "Figures" }
            (beside::sheet(versus).markup())
            @for note in versus.notes() { p.legend { (note) } }
        }
    };
    let sections = [
        ("differences", "What is not the same", differences),
        ("summary", "Summary", summary),
        ("figures", "Figures", figures),
    ];
    document("Comparison", "", &header, &sections)
}

/// A part of a page: the name by which it is linked, its title, what is in it. Of a run without charts, say,
/// that part is empty, and no link leads there.
type Section<'a> = (&'a str, &'a str, Markup);

/// A whole document.
fn document(title: &str, colors: &str, header: &Markup, sections: &[Section]) -> String {
    let there = || sections.iter().filter(|(_, _, body)| !body.0.is_empty());
    let style = format!("{STYLE}{colors}");
    let policy = policy::policy(&[THEME, SCRIPT], &[&style]);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content="mqbench";
                title { (title) " · mqbench" }
                style { (PreEscaped(style)) }
                script { (PreEscaped(THEME)) }
            }
            body {
                a.skip href="#main" { "Skip to the results" }
                header.top {
                    div.masthead {
                        div { (header) }
                        button #theme type="button" hidden { "Theme" }
                    }
                    nav aria-label="Sections" {
                        ul { @for (id, name, _) in there() { li { a href={ "#" (id) } { (name) } } } }
                    }
                }
                main #main { @for (_, _, body) in there() { (body) } }
                footer {
                    p { "Made by mqbench. Everything here comes from " code { "results.json" } " and the trials beside it." }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests;
