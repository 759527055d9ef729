//! Throughput and cost: a row of bars for each broker.

use super::super::Broker;
use super::super::bars::Bar;
use super::super::cost::Cost;
use super::super::estimate::Estimate;
use super::super::throughput::Throughput;
use super::font::Weight;
use super::frame::{self, MARGIN, SIZE};
use super::scale::Scale;
use super::scene::{Anchor, MUTED, Scene, TEXT, WIDTH};

/// Room for a figure behind the bars.
const FIGURE: f64 = 88.0;

/// Draws it.
pub fn throughput(chart: &Throughput, brokers: &[Broker]) -> Scene {
    const ROW: f64 = 32.0;
    let (mut scene, y) = frame::begin(&chart.head);
    let names = frame::names(brokers);
    let (names, left) = frame::column(&names, chart.bars.iter().map(|it| it.broker));
    let figure = |bar: &Bar| format!("{}/s", bar.estimate.text);
    let widths = chart
        .bars
        .iter()
        .map(|it| Weight::Regular.width(&figure(it), SIZE) + 12.0);
    let (top, right) = (y + 24.0, WIDTH - MARGIN - widths.fold(FIGURE, f64::max));
    let bottom = top + ROW * chart.bars.len() as f64;
    let values = chart
        .bars
        .iter()
        .map(|it| it.estimate.top())
        .chain(chart.target);
    let scale = Scale::of(&chart.axis, values, (left, right));
    frame::across(&mut scene, &chart.axis, &scale, left, [top, bottom]);
    for (i, bar) in chart.bars.iter().enumerate() {
        let broker = &brokers[bar.broker];
        let middle = top + ROW * (i as f64 + 0.5);
        frame::name(&mut scene, middle, &names[bar.broker], broker);
        let length = scale.at(bar.estimate.median) - left;
        let ink = frame::ink(&broker.look);
        frame::bar(
            &mut scene,
            [left, middle - 9.0, length, 18.0],
            ink,
            broker.is_ok(),
        );
        frame::whisker(&mut scene, &bar.estimate, &scale, middle, TEXT, right);
        frame::trials(&mut scene, &bar.estimate, &scale, middle, TEXT);
        let ink = if broker.is_ok() { TEXT } else { MUTED };
        let at = (WIDTH - MARGIN, middle + 0.36 * SIZE);
        scene.write(at, &figure(bar), SIZE, ink, Anchor::End);
    }
    if let Some(target) = chart.target {
        let x = scale.at(target);
        scene.dashed(vec![(x, top), (x, bottom)], TEXT, 1.2, &[5, 4]);
    }
    frame::end(scene, &chart.head, bottom + 20.0)
}

/// Draws it.
pub fn cost(chart: &Cost, brokers: &[Broker]) -> Scene {
    const ROW: f64 = 44.0;
    let (mut scene, y) = frame::begin(&chart.head);
    let names = frame::names(brokers);
    let (names, left) = frame::column(&names, chart.brokers.iter().map(|it| it.broker));
    let (top, right) = (y + 24.0, WIDTH - MARGIN - FIGURE - 16.0);
    let bottom = top + ROW * chart.brokers.len() as f64;
    let values = chart
        .brokers
        .iter()
        .flat_map(|it| it.known())
        .map(Estimate::top);
    let scale = Scale::of(&chart.axis, values, (left, right));
    frame::across(&mut scene, &chart.axis, &scale, left, [top, bottom]);
    for (i, costs) in chart.brokers.iter().enumerate() {
        let broker = &brokers[costs.broker];
        let middle = top + ROW * (i as f64 + 0.5);
        frame::name(&mut scene, middle, &names[costs.broker], broker);
        let ink = frame::ink(&broker.look);
        let parts = [
            ("broker", &costs.server, middle - 9.0, ink),
            ("client", &costs.client, middle + 9.0, ink.tint(0.45)),
        ];
        for (what, estimate, y, ink) in parts {
            let Some(estimate) = estimate else { continue };
            let length = scale.at(estimate.median) - left;
            frame::bar(
                &mut scene,
                [left, y - 7.0, length, 14.0],
                ink,
                broker.is_ok(),
            );
            frame::whisker(&mut scene, estimate, &scale, y, TEXT, right);
            frame::trials(&mut scene, estimate, &scale, y, TEXT);
            let ink = if broker.is_ok() { TEXT } else { MUTED };
            let base = y + 0.36 * SIZE;
            scene.write(
                (WIDTH - MARGIN, base),
                &estimate.text,
                SIZE,
                ink,
                Anchor::End,
            );
            scene.write((right + 12.0, base), what, 11.0, MUTED, Anchor::Start);
        }
    }
    frame::end(scene, &chart.head, bottom + 20.0)
}
