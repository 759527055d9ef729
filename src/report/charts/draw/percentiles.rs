//! Percentiles by broker: a row of points for each, with the figures beside it.

use super::super::Broker;
use super::super::estimate::State;
use super::super::palette::Marker;
use super::super::percentiles::Percentiles;
use super::font::Weight;
use super::frame::{self, MARGIN, SIZE};
use super::scale::Scale;
use super::scene::{Anchor, MUTED, Scene, TEXT, Text, WIDTH};

/// The markers of the percentiles, in their order. Here they tell percentiles apart, not brokers: those have rows.
const MARKERS: [Marker; 4] = [
    Marker::Circle,
    Marker::Square,
    Marker::Diamond,
    Marker::Triangle,
];
/// Room for the figure of a percentile.
const FIGURE: f64 = 68.0;
/// How far the points lie above the middle of their row: below them is room for whiskers.
const POINTS: f64 = 9.0;
/// From one whisker to the next.
const WHISKERS: f64 = 5.2;
const ROW: f64 = 38.0;

/// Draws it.
pub fn draw(chart: &Percentiles, brokers: &[Broker]) -> Scene {
    let (mut scene, y) = frame::begin(&chart.head);
    let names = frame::names(brokers);
    let (names, left) = frame::column(&names, chart.brokers.iter().map(|it| it.broker));
    // Those that somebody has.
    let all = chart.brokers.first().map_or(0, |it| it.percentiles.len());
    let has = |i: &usize| {
        let mut states = chart.brokers.iter().map(|it| it.percentiles[*i].state);
        states.any(|it| matches!(it, State::Known | State::Lost))
    };
    let shown: Vec<usize> = (0..all).filter(has).collect();
    let count = shown.len();
    let (top, right) = (y + 26.0, WIDTH - MARGIN - FIGURE * count as f64 - 8.0);
    let bottom = top + ROW * chart.brokers.len() as f64;
    let known = chart.brokers.iter().flat_map(|it| it.known());
    let values = known.flat_map(|(_, it)| [it.bottom(), it.top()]);
    let scale = Scale::of(&chart.axis, values, (left + 6.0, right - 6.0));
    frame::across(&mut scene, &chart.axis, &scale, left, [top, bottom]);
    let column = |i: usize| WIDTH - MARGIN - FIGURE * (count - 1 - i) as f64;
    for (i, place) in shown.iter().enumerate() {
        let dot = &chart.brokers[0].percentiles[*place];
        let start = column(i) - Weight::Bold.width(dot.name, SIZE);
        frame::mark(
            &mut scene,
            MARKERS[i % 4],
            (start - 10.0, top - 12.0),
            4.0,
            &MUTED,
            false,
        );
        scene.text(Text {
            x: column(i),
            y: top - 8.0,
            text: dot.name.to_owned(),
            size: SIZE,
            weight: Weight::Bold,
            ink: TEXT,
            anchor: Anchor::End,
        });
    }
    for (row, dots) in chart.brokers.iter().enumerate() {
        let broker = &brokers[dots.broker];
        let middle = top + ROW * (row as f64 + 0.5);
        if row % 2 == 1 {
            let stripe = [MARGIN, middle - ROW / 2.0, WIDTH - 2.0 * MARGIN, ROW];
            scene
                .shapes
                .insert(0, super::scene::Shape::Rect(stripe, TEXT.tint(0.03)));
        }
        frame::name(&mut scene, middle, &names[dots.broker], broker);
        let ink = frame::ink(&broker.look);
        let line = middle - POINTS;
        let ends = dots.known().map(|(_, it)| scale.at(it.median));
        let (low, high) = ends.fold((f64::MAX, f64::MIN), |(low, high), x| {
            (low.min(x), high.max(x))
        });
        if low <= high {
            scene.line(vec![(low, line), (high, line)], ink.tint(0.35), 3.0);
        }
        for (i, dot) in shown
            .iter()
            .map(|place| &dots.percentiles[*place])
            .enumerate()
        {
            let valid = broker.is_ok() && !dot.blurred;
            if let Some(estimate) = &dot.estimate {
                // Whiskers below one another: those of neighbours may overlap.
                let y = line + WHISKERS * (i as f64 + 1.3);
                let at = (scale.at(estimate.median), line);
                scene.line(vec![at, (at.0, y)], ink.tint(0.6), 1.0);
                frame::whisker(&mut scene, estimate, &scale, y, ink.tint(0.8), right);
                frame::mark(&mut scene, MARKERS[i % 4], at, 5.0, &ink, !valid);
            }
            let blurred = if dot.blurred && dot.state == State::Known {
                "~"
            } else {
                ""
            };
            let figure = format!("{}{blurred}", dot.text());
            let ink = if valid { TEXT } else { MUTED };
            let at = (column(i), middle + 0.36 * SIZE);
            scene.write(at, &figure, SIZE, ink, Anchor::End);
        }
    }
    frame::end(scene, &chart.head, bottom + 20.0)
}
