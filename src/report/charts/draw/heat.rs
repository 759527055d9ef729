//! How a latency was spread over time: a panel for each broker, a column for each second, the darker the more
//! messages.

use std::collections::BTreeMap;

use super::super::heat::{Column, Heat, Panel};
use super::super::{Broker, ramp};
use super::course::{self, Course, Grid};
use super::font::Weight;
use super::frame::{self, MARGIN};
use super::scale::{Scale, TICK_SIZE};
use super::scene::{Anchor, Ink, MUTED, Scene, WIDTH};
use crate::measure::cells::bounds;

/// Width and height of one colour in the legend.
const SWATCH: [f64; 2] = [17.0, 10.0];

/// Draws it.
pub fn draw(chart: &Heat, brokers: &[Broker]) -> Scene {
    let (mut scene, y) = frame::begin(&chart.head);
    let names = frame::names(brokers);
    let [low, high] = chart.rows;
    let rows = f64::from(high - low) + 1.0;
    let mut grid = Grid::of(chart.panels.len());
    // Rows of whole pixels: one that is a pixel higher than its neighbours would seem to be something.
    grid.height = (grid.height / rows).round().max(1.0) * rows;
    let first = legend(&mut scene, chart, y + 18.0) + 42.0;
    let mut end = first;
    for (place, panel) in chart.panels.iter().enumerate() {
        let area = grid.place(place, first);
        let [left, top, _, height] = area;
        end = top + height;
        let ends = [bounds(low)[0], bounds(high)[1]];
        let scale = Scale::between(chart.y.unit, ends, (end, top));
        grid.lines(&mut scene, place, &scale, left);
        course::title(
            &mut scene,
            &names[panel.broker],
            &brokers[panel.broker],
            area,
        );
        trials(&mut scene, chart, panel, area);
    }
    let end = course::end(&mut scene, end);
    frame::end(scene, &chart.head, end)
}

/// What colours and grounds mean; returns where it ends.
fn legend(scene: &mut Scene, chart: &Heat, y: f64) -> f64 {
    let what = "messages in a cell";
    scene.write((MARGIN, y), what, TICK_SIZE, MUTED, Anchor::Start);
    let left = MARGIN + Weight::Regular.width(what, TICK_SIZE) + 14.0;
    let [wide, high] = SWATCH;
    for step in 0..ramp::STEPS {
        let at = left + step as f64 * wide;
        scene.rect([at, y - 9.0, wide, high], ink(step));
    }
    let length = wide * ramp::STEPS as f64;
    for (share, text) in chart.named_counts() {
        let at = (left + share * length, y + 15.0);
        scene.line(vec![(at.0, y + 1.0), (at.0, y + 4.0)], MUTED, 1.0);
        scene.write(at, &text, TICK_SIZE, MUTED, Anchor::Middle);
    }
    let trials = || chart.panels.iter().flat_map(|it| &it.trials);
    let disturbed = trials().flat_map(|it| &it.columns).any(|it| it.disturbed);
    let invalid = trials().any(|it| it.verdict.is_some());
    let x = left + length + 40.0;
    course::grounds(scene, (x, y), disturbed, invalid);
    let at = (WIDTH - MARGIN, y);
    scene.write(at, "logarithmic axis", TICK_SIZE, MUTED, Anchor::End);
    y + 15.0
}

fn ink(step: usize) -> Ink {
    Ink::of(ramp::LIGHT[step])
}

fn trials(scene: &mut Scene, chart: &Heat, panel: &Panel, [left, top, width, height]: [f64; 4]) {
    let area = [left, top, width, height];
    let course = Course::of(panel.trials.iter().map(|it| it.seconds), area);
    for (trial, [from, wide]) in panel.trials.iter().zip(course.trials.iter().copied()) {
        let disturbed = trial.columns.iter().filter(|it| it.disturbed);
        let disturbed = disturbed.map(|it| [it.from, it.to]);
        let is_ok = trial.verdict.is_none();
        let area = [from, top, wide, height];
        course::ground(scene, course.pixels, disturbed, is_ok, area);
        cells(scene, chart, &trial.columns, course.pixels, area);
    }
    let numbers = panel.trials.iter().map(|it| it.trial);
    course.name(scene, numbers, top + height);
}

/// The cells of a trial. Those beside each other that have the same colour are one shape, which keeps an SVG small;
/// all end at whole pixels, so that no gap is seen between two of them.
fn cells(
    scene: &mut Scene,
    chart: &Heat,
    columns: &[Column],
    pixels: f64,
    [left, top, _, height]: [f64; 4],
) {
    let [low, high] = chart.rows;
    let row = height / (f64::from(high - low) + 1.0);
    let at = |seconds: f64| (left + seconds * pixels).round();
    // The colour of each row, and since when it has it.
    let mut open: BTreeMap<u8, (usize, f64)> = BTreeMap::new();
    let mut close = |cell: u8, (step, from): (usize, f64), to: f64| {
        let y = top + f64::from(high - cell) * row;
        let wide = (at(to) - at(from)).max(1.0);
        scene.rect([at(from), y, wide, row], ink(step));
    };
    let mut end = 0.0;
    for column in columns {
        let steps = column
            .cells
            .iter()
            .map(|(cell, count)| (cell, chart.step(count)));
        let steps: BTreeMap<u8, usize> = steps.collect();
        open.retain(|cell, run| {
            let goes_on = steps.get(cell) == Some(&run.0);
            if !goes_on {
                close(*cell, *run, column.from);
            }
            goes_on
        });
        for (cell, step) in steps {
            open.entry(cell).or_insert((step, column.from));
        }
        end = column.to;
    }
    for (cell, run) in open {
        close(cell, run, end);
    }
}
