//! The charts of a run: their frames, their values for the script that draws them, and the same in words.

use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use crate::report::charts::cost::Cost;
use crate::report::charts::curve::Curve;
use crate::report::charts::durability::Durability;
use crate::report::charts::heat::Heat;
use crate::report::charts::load::Load;
use crate::report::charts::over_time::OverTime;
use crate::report::charts::percentiles::Percentiles;
use crate::report::charts::throughput::Throughput;
use crate::report::charts::{Broker, Charts, Head};

use super::{heat, thin};

/// All charts that there is data for; nothing where there is none.
pub(super) fn section(charts: &Charts) -> Markup {
    let load = charts.load.as_ref().map(|it| &it.head);
    let throughput = charts.throughput.as_ref().map(|it| &it.head);
    let percentiles = charts.percentiles.as_ref().map(|it| &it.head);
    let curve = charts.curve.as_ref().map(|it| &it.head);
    let together = charts.over_time.as_ref().map_or(1, thin::together);
    let thinned = match &charts.over_time {
        Some(chart) if together > 1 => Some(thin::thin(chart, together)),
        _ => None,
    };
    let over_time = thinned.as_ref().or(charts.over_time.as_ref());
    let cost = charts.cost.as_ref().map(|it| &it.head);
    let heat = charts.heat.as_ref();
    let durability = charts.durability.as_ref();
    let heads = [load, throughput, percentiles, curve, cost];
    let none = heads.iter().all(Option::is_none);
    if none && over_time.is_none() && heat.is_none() && durability.is_none() {
        return html! {};
    }
    html! {
        section #charts aria-labelledby="charts-title" {
            h2 #charts-title { "Charts" }
            noscript { p.warn { "The charts need JavaScript; each is told in words below its title." } }
            div #chips role="group" aria-label="Brokers in the charts" hidden {}
            @if let Some(head) = load { (figure(head, &[("load", "")], true, DRAG)) }
            @if let Some(head) = percentiles { (figure(head, &[("percentiles", "")], true, SHAPES)) }
            @if let Some(head) = curve { (figure(head, &[("curve", "")], true, DRAG)) }
            @if let Some(head) = throughput { (figure(head, &[("throughput", "")], true, "")) }
            @if let Some(over_time) = over_time {
                @let brokers = over_time.panels.iter().map(|panel| panel.broker);
                (of_each(charts, &over_time.head, "over-time", brokers, LINES, &html! {}))
            }
            @if let Some(heat) = heat {
                @let brokers = heat.panels.iter().map(|panel| panel.broker);
                (of_each(charts, &heat.head, "heat", brokers, "", &heat::key(heat)))
            }
            @if let Some(head) = cost { (figure(head, &[("cost", "")], true, COST)) }
            @if let Some(durability) = durability {
                @let panels: &[(&str, &str)] = match durability.latency {
                    Some(_) => &[("durability-rate", "throughput"), ("durability-latency", "latency")],
                    None => &[("durability-rate", "throughput")],
                };
                (figure(&durability.head, panels, false, ""))
            }
            (data(charts, over_time, together))
        }
    }
}

const SHAPES: &str = "● p50 ■ p95 ◆ p99 ▲ p99.9";
const DRAG: &str = "drag over a part to look at it closely; double click for the whole; arrow keys read values, + and − zoom";
const LINES: &str = "strong line: p50; light line: p99; drag over a part to look at it closely";
const COST: &str = "filled: broker; outlined: client";

fn name(charts: &Charts, broker: usize) -> &str {
    charts.brokers.get(broker).map_or("?", |it| &it.label)
}

/// A chart with a panel for each of these brokers; their ids begin with `group`.
fn of_each(
    charts: &Charts,
    head: &Head,
    group: &str,
    brokers: impl Iterator<Item = usize>,
    hint: &str,
    key: &Markup,
) -> Markup {
    let panels: Vec<(String, &str)> = brokers
        .map(|broker| (format!("{group}-{broker}"), name(charts, broker)))
        .collect();
    let panels: Vec<(&str, &str)> = panels
        .iter()
        .map(|(id, name)| (id.as_str(), *name))
        .collect();
    // The scale of all panels of a chart is changed at once; one with a key of colours has one scale only.
    let scale = key.0.is_empty().then_some(group);
    framed(head, &panels, scale, hint, key)
}

/// One chart, of one or several panels.
fn figure(head: &Head, panels: &[(&str, &str)], scales: bool, hint: &str) -> Markup {
    let scale = panels.first().filter(|_| scales).map(|(id, _)| *id);
    framed(head, panels, scale, hint, &html! {})
}

/// What is around a chart: `scale` is the group of panels whose scale a button changes, `key` says what colours mean.
fn framed(
    head: &Head,
    panels: &[(&str, &str)],
    scale: Option<&str>,
    hint: &str,
    key: &Markup,
) -> Markup {
    let several = panels.len() > 1;
    // Which brokers are not valid, and why, is in the summary, too: here it is folded.
    let (marked, notes): (Vec<&String>, Vec<&String>) =
        head.notes.iter().partition(|note| note.starts_with('⚠'));
    let hint = (!hint.is_empty()).then_some(hint);
    let read: Vec<&str> = hint
        .into_iter()
        .chain(notes.iter().map(|note| note.as_str()))
        .collect();
    html! {
        figure.chart id=(head.id) {
            figcaption {
                h3 { (head.title) }
                div.tools {
                    @if let Some(group) = scale { button type="button" hidden data-log=(group) { "Scale" } }
                }
            }
            (key)
            div.panels.several[several] {
                @for (i, (id, name)) in panels.iter().enumerate() {
                    div.panel data-chart=(id) {
                        @if !name.is_empty() {
                            div.panel-head { h4 { bdi { (name) } } div.tools {} }
                        }
                        // All panels together are told once.
                        @let label = if i == 0 { head.alt.clone() } else { format!("{}: {name}", head.title) };
                        div.plot role="img" aria-label=(label) {}
                    }
                }
            }
            p.legend { (read.join(" · ")) }
            details.words {
                summary { "In words" }
                p { (head.alt) }
                @if !marked.is_empty() { ul { @for note in marked { li { (note) } } } }
            }
        }
    }
}

/// What the script gets.
#[derive(Serialize)]
struct Values<'a> {
    brokers: &'a [Broker],
    load: &'a Option<Load>,
    throughput: &'a Option<Throughput>,
    curve: &'a Option<Curve>,
    percentiles: &'a Option<Percentiles>,
    over_time: Option<&'a OverTime>,
    /// Seconds that a point of it stands for.
    together: usize,
    heat: &'a Option<Heat>,
    cost: &'a Option<Cost>,
    durability: &'a Option<Durability>,
}

/// The values, as the script reads them. `<` is written so that nothing in them ends the element.
fn data(charts: &Charts, over_time: Option<&OverTime>, together: usize) -> Markup {
    let values = Values {
        brokers: &charts.brokers,
        load: &charts.load,
        throughput: &charts.throughput,
        curve: &charts.curve,
        percentiles: &charts.percentiles,
        over_time,
        together,
        heat: &charts.heat,
        cost: &charts.cost,
        durability: &charts.durability,
    };
    let text = serde_json::to_string(&values).unwrap_or_else(|error| {
        unreachable!("charts are plain values: {error}");
    });
    let text = text.replace('<', "\\u003c");
    html! { script #charts-data type="application/json" { (PreEscaped(text)) } }
}

/// The colour of each broker, on light and dark ground and on paper.
pub(super) fn colors(brokers: &[Broker]) -> String {
    let rules = |prefix: &str, color: fn(&Broker) -> &'static str| {
        let rule = |(place, broker): (usize, &Broker)| {
            format!("{prefix} .b{place}{{--c:{}}}", color(broker))
        };
        let rules: Vec<String> = brokers.iter().enumerate().map(rule).collect();
        rules.join("")
    };
    let light = |prefix: &str| rules(prefix, |it| it.look.light);
    let dark = |prefix: &str| rules(prefix, |it| it.look.dark);
    format!(
        "{}@media (prefers-color-scheme:dark){{{}}}{}@media print{{{}}}",
        light(":root"),
        dark(":root:not([data-theme=light])"),
        dark(":root[data-theme=dark]"),
        light(":root:root:root")
    )
}
