//! A latency over time: a panel for each broker, its trials side by side.

use super::super::Broker;
use super::super::over_time::{OverTime, Panel, Point, Trial};
use super::font::Weight;
use super::frame::{self, MARGIN, SIZE};
use super::scale::{Scale, TICK_SIZE};
use super::scene::{Anchor, FRAME, GRID, Ink, MUTED, Scene, Shape, TEXT, WIDTH};
use crate::stats::median::median;

/// Room for the numbers at the left.
const NUMBERS: f64 = 52.0;
/// Between panels.
const GAP: f64 = 22.0;
/// How much of its colour the line of p99 has.
const FAINT: f64 = 0.55;
/// Between trials, where there is room.
const BETWEEN: f64 = 3.0;

/// Draws it.
pub fn draw(chart: &OverTime, brokers: &[Broker]) -> Scene {
    let (mut scene, y) = frame::begin(&chart.head);
    let names = frame::names(brokers);
    let (columns, height) = match chart.panels.len() {
        0..=1 => (1, 260.0),
        2..=4 => (2, 170.0),
        _ => (3, 120.0),
    };
    let left = MARGIN + NUMBERS;
    let width = (WIDTH - MARGIN - left + GAP) / columns as f64 - GAP;
    let y = legend(&mut scene, chart, width, y + 18.0);
    let mut bottom = y;
    for (row, panels) in chart.panels.chunks(columns).enumerate() {
        let top = y + 42.0 + row as f64 * (height + 58.0);
        bottom = top + height;
        let values = chart
            .panels
            .iter()
            .flat_map(|it| &it.trials)
            .flat_map(|it| &it.points);
        let values = values.flat_map(|it| [it.p50, it.p99]).flatten();
        let scale = Scale::of(&chart.y, values.map(|it| it as f64), (bottom, top));
        for (column, panel) in panels.iter().enumerate() {
            let left = left + column as f64 * (width + GAP);
            for (value, name) in &scale.ticks {
                let y = scale.at(*value);
                scene.line(vec![(left, y), (left + width, y)], GRID, 1.0);
                if column == 0 {
                    scene.write((left - 8.0, y + 4.0), name, TICK_SIZE, MUTED, Anchor::End);
                }
            }
            let broker = &brokers[panel.broker];
            let title = Weight::Regular.fit_name(&names[panel.broker], SIZE, width - 18.0);
            let mark = (left + 5.0, top - 13.0);
            let ink = frame::ink(&broker.look);
            frame::mark(
                &mut scene,
                broker.look.marker,
                mark,
                4.6,
                &ink,
                !broker.is_ok(),
            );
            scene.write((left + 16.0, top - 9.0), &title, SIZE, TEXT, Anchor::Start);
            trials(&mut scene, panel, &scale, ink, [left, top, width, height]);
        }
    }
    let middle = left + (WIDTH - MARGIN - left) / 2.0;
    let below = "trials one after another, by their number; each is its measured part";
    scene.write(
        (middle, bottom + 34.0),
        below,
        TICK_SIZE,
        MUTED,
        Anchor::Middle,
    );
    frame::end(scene, &chart.head, bottom + 42.0)
}

/// What lines and grounds mean; returns where it ends.
fn legend(scene: &mut Scene, chart: &OverTime, width: f64, y: f64) -> f64 {
    let mut x = MARGIN;
    let middle = y - 4.0;
    let sample = |scene: &mut Scene, x: f64, what: usize| match what {
        0 => scene.line(vec![(x, middle), (x + 22.0, middle)], TEXT, 2.0),
        1 => scene.line(vec![(x, middle), (x + 22.0, middle)], TEXT.tint(FAINT), 1.5),
        2 => {
            scene.rect([x, middle - 6.0, 22.0, 12.0], TEXT.tint(0.2));
            scene.line(vec![(x, middle), (x + 22.0, middle)], TEXT, 2.0);
        }
        3 => scene.rect([x, middle - 6.0, 22.0, 12.0], DISTURBED),
        _ => {
            scene.hatch([x, middle - 6.0, 22.0, 12.0], FRAME);
            scene.outline([x, middle - 6.0, 22.0, 12.0], FRAME, 1.0);
        }
    };
    let trials = || chart.panels.iter().flat_map(|it| &it.trials);
    let disturbed = trials().flat_map(|it| &it.points).any(|it| it.disturbed);
    let invalid = trials().any(|it| it.verdict.is_some());
    let mut panels = chart.panels.iter();
    let dense = panels.any(|it| together(pixels(it, width)) > 1);
    let meanings = [
        ("p50 of a second", true),
        ("p99 of a second", true),
        ("median and range of neighbours", dense),
        ("others took CPU time", disturbed),
        ("trial not ok", invalid),
    ];
    for (what, (meaning, occurs)) in meanings.into_iter().enumerate() {
        if !occurs {
            continue;
        }
        sample(scene, x, what);
        scene.write((x + 28.0, y), meaning, TICK_SIZE, MUTED, Anchor::Start);
        x += 28.0 + Weight::Regular.width(meaning, TICK_SIZE) + 26.0;
    }
    if chart.y.log {
        let at = (WIDTH - MARGIN, y);
        scene.write(at, "logarithmic axis", TICK_SIZE, MUTED, Anchor::End);
    }
    y
}

/// The ground of a second in which others took CPU time.
const DISTURBED: Ink = Ink([232, 233, 236]);

fn trials(
    scene: &mut Scene,
    panel: &Panel,
    scale: &Scale,
    ink: Ink,
    [left, top, width, height]: [f64; 4],
) {
    let pixels = pixels(panel, width);
    let mut from = left;
    let mut free = f64::NEG_INFINITY;
    for trial in &panel.trials {
        let wide = length(trial) * pixels;
        let ground = [from, top, wide, height];
        for [begin, end] in disturbed(trial) {
            let span = (end - begin) * pixels;
            scene.rect([from + begin * pixels, top, span, height], DISTURBED);
        }
        if trial.verdict.is_some() {
            scene.hatch(ground, FRAME.tint(0.6));
        }
        scene.outline(ground, GRID, 1.0);
        lines(scene, trial, scale, (from, pixels), ink);
        let number = trial.trial.to_string();
        let half = Weight::Regular.width(&number, TICK_SIZE) / 2.0;
        let middle = from + wide / 2.0;
        if middle - half > free {
            scene.write(
                (middle, top + height + 15.0),
                &number,
                TICK_SIZE,
                MUTED,
                Anchor::Middle,
            );
            free = middle + half + 4.0;
        }
        from += wide + between(panel, width);
    }
}

/// The length of a trial in seconds: its measured part, or its last second where that ended a little later.
fn length(trial: &Trial) -> f64 {
    let ends = trial.points.iter().map(|it| it.at);
    ends.fold(trial.seconds, f64::max)
}

/// How many pixels a second has in a panel of this width.
fn pixels(panel: &Panel, width: f64) -> f64 {
    let all: f64 = panel.trials.iter().map(length).sum();
    let gaps = panel.trials.len() as f64 - 1.0;
    (width - gaps * between(panel, width)) / all.max(1e-9)
}

/// Pixels between two trials: at most a fifth of the panel for all together.
fn between(panel: &Panel, width: f64) -> f64 {
    let gaps = panel.trials.len() as f64 - 1.0;
    BETWEEN.min(0.2 * width / gaps.max(1.0))
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
