//! A latency against the offered load: a line for each broker, named at its end.

use super::super::Broker;
use super::super::axis::Axis;
use super::super::load::{Line, Load, Point, drawn};
use super::ends::{self, NAMES};
use super::frame::{self, MARGIN};
use super::scale::{Scale, TICK_SIZE};
use super::scene::{Anchor, FRAME, GRID, Ink, MUTED, Scene, WIDTH};

/// Room for the numbers at the left.
const NUMBERS: f64 = 56.0;
const HEIGHT: f64 = 400.0;
/// Beyond the first and the last rate.
const AIR: f64 = 14.0;

/// Draws it.
pub fn draw(chart: &Load, brokers: &[Broker]) -> Scene {
    let (mut scene, y) = frame::begin(&chart.head);
    let names = frame::names(brokers);
    let (left, right) = (MARGIN + NUMBERS, WIDTH - MARGIN - NAMES);
    let top = y + 26.0;
    let bottom = top + HEIGHT;
    let up = Scale::of(&chart.y, drawn(&chart.lines), (bottom, top));
    let rates = chart
        .lines
        .iter()
        .flat_map(|it| &it.points)
        .map(|it| it.rate);
    let across = Scale::of(&chart.x, rates, (left + AIR, right - AIR));
    grid(&mut scene, chart, &up, &across, [left, top, right, bottom]);
    let mut named = Vec::new();
    for line in &chart.lines {
        let at = |point: &Point| {
            let value = point.estimate.as_ref()?.median;
            Some((across.at(point.rate), up.at(value)))
        };
        named.extend(one(&mut scene, line, &brokers[line.broker], &at));
    }
    ends::name(&mut scene, brokers, &names, named, [right, top, bottom]);
    frame::end(scene, &chart.head, bottom + 42.0)
}

/// Draws one broker; where it is to be named.
fn one(
    scene: &mut Scene,
    line: &Line,
    broker: &Broker,
    at: &impl Fn(&Point) -> Option<(f64, f64)>,
) -> Option<(usize, (f64, f64))> {
    let ink = frame::ink(&broker.look);
    // A rate whose latency is not known interrupts the line.
    for run in line.points.split(|it| it.estimate.is_none()) {
        let points: Vec<(f64, f64)> = run.iter().filter_map(at).collect();
        scene.dashed(points, ink, 2.0, broker.look.dash);
    }
    let known = line.points.iter().filter_map(|it| Some((it, at(it)?)));
    let mut last = None;
    for (point, place) in known {
        let hollow = point.verdict.is_some();
        frame::mark(scene, broker.look.marker, place, 4.2, &ink, hollow);
        if point.holds {
            ring(scene, place, ink);
        }
        last = Some((line.broker, place));
    }
    last
}

/// Around the highest rate that a broker holds.
fn ring(scene: &mut Scene, (x, y): (f64, f64), ink: Ink) {
    const RADIUS: f64 = 8.5;
    let around = (0..=24).map(|step| {
        let turn = f64::from(step) / 24.0 * std::f64::consts::TAU;
        (x + RADIUS * turn.cos(), y + RADIUS * turn.sin())
    });
    scene.line(around.collect(), ink, 1.5);
}

fn grid(
    scene: &mut Scene,
    chart: &Load,
    up: &Scale,
    across: &Scale,
    [left, top, right, bottom]: [f64; 4],
) {
    for (value, name) in &up.ticks {
        let y = up.at(*value);
        scene.line(vec![(left, y), (right, y)], GRID, 1.0);
        scene.write((left - 8.0, y + 4.0), name, TICK_SIZE, MUTED, Anchor::End);
    }
    for (value, name) in &across.ticks {
        let x = across.at(*value);
        scene.line(vec![(x, top), (x, bottom)], GRID, 1.0);
        let at = (x, bottom + 16.0);
        scene.write(at, name, TICK_SIZE, MUTED, Anchor::Middle);
    }
    let sides = vec![(left, top), (left, bottom), (right, bottom)];
    scene.line(sides, FRAME, 1.0);
    let label = |axis: &Axis| match axis.log {
        true => format!("{}, logarithmic", axis.label),
        false => axis.label.clone(),
    };
    let above = (MARGIN, top - 10.0);
    scene.write(above, &label(&chart.y), TICK_SIZE, MUTED, Anchor::Start);
    let below = ((left + right) / 2.0, bottom + 34.0);
    scene.write(below, &label(&chart.x), TICK_SIZE, MUTED, Anchor::Middle);
}
