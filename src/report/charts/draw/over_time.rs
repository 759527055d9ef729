//! A latency over time: a panel for each broker, its trials side by side.

use super::super::Broker;
use super::super::over_time::{OverTime, Panel, Point, Trial};
use super::course::{self, Course, Grid};
use super::frame::{self, MARGIN};
use super::scale::{Scale, TICK_SIZE};
use super::scene::{Anchor, Ink, MUTED, Scene, Shape, TEXT, WIDTH};
use crate::stats::median::median;

/// How much of its colour the line of p99 has.
const FAINT: f64 = 0.55;

/// Draws it.
pub fn draw(chart: &OverTime, brokers: &[Broker]) -> Scene {
    let (mut scene, y) = frame::begin(&chart.head);
    let names = frame::names(brokers);
    let grid = Grid::of(chart.panels.len());
    let first = legend(&mut scene, chart, grid, y + 18.0) + 42.0;
    let mut end = first;
    let points = chart.panels.iter().flat_map(|it| &it.trials);
    let points: Vec<&Point> = points.flat_map(|it| &it.points).collect();
    for (place, panel) in chart.panels.iter().enumerate() {
        let [left, top, width, height] = grid.place(place, first);
        end = top + height;
        let values = points.iter().flat_map(|it| [it.p50, it.p99]).flatten();
        let scale = Scale::of(&chart.y, values.map(|it| it as f64), (end, top));
        grid.lines(&mut scene, place, &scale, left);
        let broker = &brokers[panel.broker];
        let area = [left, top, width, height];
        course::title(&mut scene, &names[panel.broker], broker, area);
        trials(&mut scene, panel, &scale, frame::ink(&broker.look), area);
    }
    let end = course::end(&mut scene, end);
    frame::end(scene, &chart.head, end)
}

/// What lines and grounds mean; returns where it ends.
fn legend(scene: &mut Scene, chart: &OverTime, grid: Grid, y: f64) -> f64 {
    let line = |scene: &mut Scene, [left, top, width, height]: [f64; 4], ink: Ink, thick: f64| {
        let middle = top + height / 2.0;
        scene.line(vec![(left, middle), (left + width, middle)], ink, thick);
    };
    let strong = |scene: &mut Scene, area| line(scene, area, TEXT, 2.0);
    let light = |scene: &mut Scene, area| line(scene, area, TEXT.tint(FAINT), 1.5);
    let mut x = course::meaning(scene, (MARGIN, y), "p50 of a second", strong);
    x = course::meaning(scene, (x, y), "p99 of a second", light);
    let mut panels = chart.panels.iter();
    let area = grid.place(0, 0.0);
    if panels.any(|it| together(course(it, area).pixels) > 1) {
        let band = |scene: &mut Scene, area| {
            scene.rect(area, TEXT.tint(0.2));
            line(scene, area, TEXT, 2.0);
        };
        x = course::meaning(scene, (x, y), "median and range of neighbours", band);
    }
    let trials = || chart.panels.iter().flat_map(|it| &it.trials);
    let disturbed = trials().flat_map(|it| &it.points).any(|it| it.disturbed);
    let invalid = trials().any(|it| it.verdict.is_some());
    course::grounds(scene, (x, y), disturbed, invalid);
    if chart.y.log {
        let at = (WIDTH - MARGIN, y);
        scene.write(at, "logarithmic axis", TICK_SIZE, MUTED, Anchor::End);
    }
    y
}

fn trials(
    scene: &mut Scene,
    panel: &Panel,
    scale: &Scale,
    ink: Ink,
    [left, top, width, height]: [f64; 4],
) {
    let course = course(panel, [left, top, width, height]);
    for (trial, [from, wide]) in panel.trials.iter().zip(course.trials.iter().copied()) {
        let disturbed = disturbed(trial).into_iter();
        let is_ok = trial.verdict.is_none();
        let area = [from, top, wide, height];
        course::ground(scene, course.pixels, disturbed, is_ok, area);
        lines(scene, trial, scale, (from, course.pixels), ink);
    }
    let numbers = panel.trials.iter().map(|it| it.trial);
    course.name(scene, numbers, top + height);
}

fn course(panel: &Panel, area: [f64; 4]) -> Course {
    Course::of(panel.trials.iter().map(length), area)
}

/// The length of a trial in seconds: its measured part, or its last second where that ended a little later.
fn length(trial: &Trial) -> f64 {
    let ends = trial.points.iter().map(|it| it.at);
    ends.fold(trial.seconds, f64::max)
}

/// How many seconds are drawn as one.
fn together(pixels: f64) -> usize {
    (LEAST / pixels.max(1e-9)).ceil().clamp(1.0, 1e6) as usize
}

/// From when to when a trial was disturbed.
fn disturbed(trial: &Trial) -> Vec<[f64; 2]> {
    let mut spans: Vec<[f64; 2]> = Vec::new();
    let mut begin = 0.0;
    for point in &trial.points {
        match spans.last_mut() {
            _ if !point.disturbed => {}
            Some(span) if span[1] == begin => span[1] = point.at,
            _ => spans.push([begin, point.at]),
        }
        begin = point.at;
    }
    spans
}

/// A second less wide than this many pixels is drawn together with its neighbours.
const LEAST: f64 = 2.5;

/// p99 and, above it, p50; a second in which nothing arrived interrupts them. Seconds that lie too close together
/// are shown by the median of several and, behind it, a band from their lowest to their highest.
fn lines(scene: &mut Scene, trial: &Trial, scale: &Scale, (from, pixels): (f64, f64), ink: Ink) {
    let kinds: [(Value, Ink, f64); 2] =
        [(|it| it.p99, ink.tint(FAINT), 1.5), (|it| it.p50, ink, 2.0)];
    let together = together(pixels);
    for (of, ink, width) in kinds {
        for run in trial.points.split(|it| of(it).is_none()) {
            let spans: Vec<Span> = run
                .chunks(together)
                .filter_map(|seconds| Span::of(seconds, of))
                .collect();
            // In the middle of its seconds.
            let at = |span: &Span, value: f64| (from + span.middle * pixels, scale.at(value));
            if together > 1 {
                let upper = spans.iter().map(|it| at(it, it.high));
                let lower = spans.iter().map(|it| at(it, it.low));
                let (upper, lower): (Vec<_>, Vec<_>) = (upper.collect(), lower.collect());
                for (up, low) in upper.windows(2).zip(lower.windows(2)) {
                    let band = vec![up[0], up[1], low[1], low[0]];
                    scene.shapes.push(Shape::Area(band, ink.tint(0.3)));
                }
            }
            let points: Vec<(f64, f64)> = spans.iter().map(|it| at(it, it.median)).collect();
            match points.as_slice() {
                [only] => {
                    let dash = vec![(only.0 - 2.0, only.1), (only.0 + 2.0, only.1)];
                    scene.line(dash, ink, width);
                }
                _ => scene.line(points, ink, width),
            }
        }
    }
}

/// What is drawn of a second.
type Value = fn(&Point) -> Option<u64>;

/// Seconds that are drawn as one.
struct Span {
    /// In seconds.
    middle: f64,
    low: f64,
    median: f64,
    high: f64,
}

impl Span {
    fn of(seconds: &[Point], value: Value) -> Option<Span> {
        let (first, last) = (seconds.first()?, seconds.last()?);
        let values: Vec<f64> = seconds
            .iter()
            .filter_map(value)
            .map(|it| it as f64)
            .collect();
        Some(Span {
            middle: ((first.at - 1.0).max(0.0) + last.at) / 2.0,
            low: values.iter().copied().min_by(f64::total_cmp)?,
            high: values.iter().copied().max_by(f64::total_cmp)?,
            median: median(values)?,
        })
    }
}
