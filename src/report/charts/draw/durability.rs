//! What durability costs: throughput at the left, a percentile at the right, a group of rows for each system.

use super::super::Broker;
use super::super::durability::{Durability, Step, System};
use super::super::estimate::{Estimate, State};
use super::super::palette::Marker;
use super::font::Weight;
use super::frame::{self, MARGIN, SIZE};
use super::scale::Scale;
use super::scene::{Anchor, Ink, MUTED, Scene, TEXT, Text, WIDTH};

/// Room for the names of durabilities.
const NAMES: f64 = 64.0;
/// The widest that names of systems may be.
const SYSTEMS: f64 = 150.0;
/// Room for a figure behind its panel.
const FIGURE: f64 = 74.0;
const ROW: f64 = 24.0;
/// Between systems.
const GAP: f64 = 14.0;

/// The darker, the more durable.
fn ink(durability: &str) -> Ink {
    match durability {
        "memory" => Ink([147, 190, 224]),
        "disk" => Ink([55, 126, 184]),
        _ => Ink([8, 48, 107]),
    }
}

/// Draws it.
pub fn draw(chart: &Durability, brokers: &[Broker]) -> Scene {
    let (mut scene, y) = frame::begin(&chart.head);
    let top = y + 24.0;
    let height = |system: &System| ROW * system.steps.len() as f64 + GAP;
    let bottom = top + chart.systems.iter().map(height).sum::<f64>();
    let titles = chart
        .systems
        .iter()
        .map(|it| Weight::Bold.width(&it.title, SIZE));
    let widest = titles.fold(0.0, f64::max).min(SYSTEMS);
    let left = MARGIN + widest + NAMES;
    let panels = if chart.latency.is_some() { 2.0 } else { 1.0 };
    let width = (WIDTH - MARGIN - left) / panels - FIGURE - 5.0;
    let steps = || chart.systems.iter().flat_map(|it| &it.steps);
    let rates = steps().filter_map(|it| it.rate.as_ref()).map(Estimate::top);
    let rate = Scale::of(&chart.rate, rates, (left, left + width));
    frame::across(&mut scene, &chart.rate, &rate, left, [top, bottom]);
    let second = left + width + FIGURE + 20.0;
    let latency = chart.latency.as_ref().map(|axis| {
        let known = steps().filter_map(|it| it.percentile.as_ref()?.estimate.as_ref());
        let values = known.flat_map(|it| [it.bottom(), it.top()]);
        let end = second + width - 20.0;
        let scale = Scale::of(axis, values, (second, end));
        frame::across(&mut scene, axis, &scale, second, [top, bottom]);
        (scale, end)
    });
    let mut y = top;
    for system in &chart.systems {
        scene.text(Text {
            x: MARGIN,
            y: y + (GAP + ROW) / 2.0 + 0.36 * SIZE,
            text: Weight::Bold.fit(&system.title, SIZE, SYSTEMS),
            size: SIZE,
            weight: Weight::Bold,
            ink: TEXT,
            anchor: Anchor::Start,
        });
        y += GAP / 2.0;
        for step in &system.steps {
            let middle = y + ROW / 2.0;
            let is_ok = brokers[step.broker].is_ok();
            let base = middle + 0.36 * SIZE;
            let quiet = if is_ok { TEXT } else { MUTED };
            scene.write(
                (left - 8.0, base),
                step.durability,
                SIZE,
                quiet,
                Anchor::End,
            );
            if let Some(estimate) = &step.rate {
                let bar = [left, middle - 8.0, rate.at(estimate.median) - left, 16.0];
                frame::bar(&mut scene, bar, ink(step.durability), is_ok);
                frame::whisker(&mut scene, estimate, &rate, middle, TEXT, left + width);
                let at = (left + width + FIGURE - 8.0, base);
                scene.write(
                    at,
                    &format!("{}/s", estimate.text),
                    SIZE,
                    quiet,
                    Anchor::End,
                );
            }
            if let Some((scale, end)) = &latency {
                latency_of(&mut scene, step, scale, middle, [second, *end], is_ok);
            }
            y += ROW;
        }
        y += GAP / 2.0;
    }
    frame::end(scene, &chart.head, bottom + 20.0)
}

/// A point, not a bar: on a logarithmic axis the length of a bar means nothing.
fn latency_of(
    scene: &mut Scene,
    step: &Step,
    scale: &Scale,
    y: f64,
    [left, end]: [f64; 2],
    is_ok: bool,
) {
    let Some(percentile) = &step.percentile else {
        return;
    };
    let valid = is_ok && !percentile.blurred;
    if let Some(estimate) = &percentile.estimate {
        let ink = ink(step.durability);
        let x = scale.at(estimate.median);
        scene.dashed(vec![(left, y), (x, y)], ink.tint(0.6), 1.0, &[2, 3]);
        frame::whisker(scene, estimate, scale, y, TEXT, end);
        frame::mark(scene, Marker::Circle, (x, y), 5.5, &ink, !valid);
    }
    let blurred = if percentile.blurred && percentile.state == State::Known {
        "~"
    } else {
        ""
    };
    let figure = format!("{}{blurred}", percentile.text());
    let ink = if valid { TEXT } else { MUTED };
    scene.write(
        (WIDTH - MARGIN, y + 0.36 * SIZE),
        &figure,
        SIZE,
        ink,
        Anchor::End,
    );
}
