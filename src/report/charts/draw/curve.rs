//! The distribution of a latency: a line for each broker, named at its end.

use super::super::Broker;
use super::super::axis::share;
use super::super::curve::{Curve, End};
use super::ends::{self, NAMES};
use super::font::Weight;
use super::frame::{self, MARGIN};
use super::scale::{Scale, TICK_SIZE};
use super::scene::{Anchor, FRAME, GRID, MUTED, Scene, TEXT, WIDTH};

/// Room for the numbers at the left.
const NUMBERS: f64 = 56.0;
/// Lines have a marker every so many pixels.
const MARKERS: f64 = 90.0;
const HEIGHT: f64 = 400.0;

/// How far right a share stands: the nines that it has.
fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

/// Draws it.
pub fn draw(chart: &Curve, brokers: &[Broker]) -> Scene {
    let (mut scene, y) = frame::begin(&chart.head);
    let names = frame::names(brokers);
    let (left, right) = (MARGIN + NUMBERS, WIDTH - MARGIN - NAMES);
    let top = y + 26.0;
    let bottom = top + HEIGHT;
    let points = || chart.lines.iter().flat_map(|it| &it.points);
    let values = points().map(|(_, nanoseconds)| *nanoseconds as f64);
    let scale = Scale::of(&chart.y, values, (bottom, top));
    let last = points().map(|(share, _)| nines(*share)).fold(0.0, f64::max);
    let x = |share: f64| left + (right - left) * nines(share) / last.max(0.5);
    grid(&mut scene, chart, &scale, &x, [left, top, right, bottom]);

    let mut ends = Vec::new();
    for (i, line) in chart.lines.iter().enumerate() {
        let broker = &brokers[line.broker];
        let ink = frame::ink(&broker.look);
        let points: Vec<(f64, f64)> = line
            .points
            .iter()
            .map(|(share, nanoseconds)| (x(*share), scale.at(*nanoseconds as f64)))
            .collect();
        scene.dashed(points.clone(), ink, 2.0, broker.look.dash);
        let spread = MARKERS * (0.3 + 0.7 * i as f64 / chart.lines.len() as f64);
        let mut next = left + spread;
        for point in &points {
            if point.0 >= next {
                frame::mark(
                    &mut scene,
                    broker.look.marker,
                    *point,
                    3.6,
                    &ink,
                    !broker.is_ok(),
                );
                next = point.0 + MARKERS;
            }
        }
        if let Some(end) = points.last() {
            if line.end == End::Lost {
                cross(&mut scene, *end);
            }
            ends.push((line.broker, *end));
        }
    }
    ends::name(&mut scene, brokers, &names, ends, [right, top, bottom]);
    frame::end(scene, &chart.head, bottom + 42.0)
}

fn grid(
    scene: &mut Scene,
    chart: &Curve,
    scale: &Scale,
    x: &impl Fn(f64) -> f64,
    [left, top, right, bottom]: [f64; 4],
) {
    for (value, name) in &scale.ticks {
        let y = scale.at(*value);
        scene.line(vec![(left, y), (right, y)], GRID, 1.0);
        scene.write((left - 8.0, y + 4.0), name, TICK_SIZE, MUTED, Anchor::End);
    }
    let nines = (2..=9).map(|nines| 1.0 - 10f64.powi(-nines));
    let shares = [0.0, 0.5, 0.9].into_iter().chain(nines);
    let mut free = f64::NEG_INFINITY;
    for at in shares.map(|share| (share * 1e9).round() / 1e9) {
        let at_x = x(at);
        let name = share(at);
        let half = Weight::Regular.width(&name, TICK_SIZE) / 2.0;
        if at_x > right + 0.5 || at_x - half < free {
            continue;
        }
        free = at_x + half + 6.0;
        scene.line(vec![(at_x, top), (at_x, bottom)], GRID, 1.0);
        scene.write(
            (at_x, bottom + 16.0),
            &name,
            TICK_SIZE,
            MUTED,
            Anchor::Middle,
        );
    }
    scene.line(
        vec![(left, top), (left, bottom), (right, bottom)],
        FRAME,
        1.0,
    );
    let label = match chart.y.log {
        true => format!("{}, logarithmic", chart.y.label),
        false => chart.y.label.clone(),
    };
    scene.write(
        (MARGIN, top - 10.0),
        &label,
        TICK_SIZE,
        MUTED,
        Anchor::Start,
    );
    let middle = (left + right) / 2.0;
    let below = "share of messages that took at most so long";
    scene.write(
        (middle, bottom + 34.0),
        below,
        TICK_SIZE,
        MUTED,
        Anchor::Middle,
    );
}

fn cross(scene: &mut Scene, (x, y): (f64, f64)) {
    let arm = 5.0;
    scene.line(vec![(x - arm, y - arm), (x + arm, y + arm)], TEXT, 2.0);
    scene.line(vec![(x - arm, y + arm), (x + arm, y - arm)], TEXT, 2.0);
}
