//! What is around every chart: heading, what was asked, notes; and the parts that several charts share.

use super::super::axis::Axis;
use super::super::estimate::{Estimate, Whisker};
use super::super::palette::{Look, Marker};
use super::super::{Broker, Head};
use super::font::{Weight, has_all};
use super::paint::disc;
use super::scale::{Scale, TICK_SIZE};
use super::scene::{Anchor, FRAME, GRID, Ink, MUTED, Scene, TEXT, Text, WHITE, WIDTH};

/// Empty space around a picture.
pub const MARGIN: f64 = 24.0;
/// The size of names and figures.
pub const SIZE: f64 = 12.0;
/// The size of notes.
const NOTE_SIZE: f64 = 11.0;
/// From one line of notes to the next.
const NOTE_LINE: f64 = 16.0;
/// Lines that a single note may take: reasons can be long, and are in the tables in full.
const NOTE_LINES: usize = 2;
/// The widest that names of brokers may be.
const NAME_ROOM: f64 = 200.0;

/// A picture with its heading; returns where the chart may begin.
pub fn begin(head: &Head) -> (Scene, f64) {
    let mut scene = Scene::default();
    let room = WIDTH - 2.0 * MARGIN;
    scene.text(Text {
        x: MARGIN,
        y: 38.0,
        text: Weight::Bold.fit(&head.title, 18.0, room),
        size: 18.0,
        weight: Weight::Bold,
        ink: TEXT,
        anchor: Anchor::Start,
    });
    let mut y = 40.0;
    for line in Weight::Regular.wrap(&plain(&head.subtitle), SIZE, room) {
        y += 18.0;
        scene.write((MARGIN, y), &line, SIZE, MUTED, Anchor::Start);
    }
    (scene, y + 14.0)
}

/// Puts the notes below the chart, which ends at `bottom`, and ends the picture.
pub fn end(mut scene: Scene, head: &Head, bottom: f64) -> Scene {
    let mut y = bottom + 8.0;
    for note in &head.notes {
        let ink = if note.starts_with('⚠') { TEXT } else { MUTED };
        let room = WIDTH - 2.0 * MARGIN;
        let mut lines = Weight::Regular.wrap(&plain(note), NOTE_SIZE, room);
        if lines.len() > NOTE_LINES {
            let rest = lines.split_off(NOTE_LINES - 1).join(" ");
            lines.push(Weight::Regular.fit(&rest, NOTE_SIZE, room));
        }
        for line in lines {
            y += NOTE_LINE;
            scene.write((MARGIN, y), &line, NOTE_SIZE, ink, Anchor::Start);
        }
    }
    scene.height = (y + MARGIN).ceil();
    scene
}

/// A sign that the fonts lack and that has a good stand-in.
fn plain(text: &str) -> String {
    text.replace('⇄', "↔")
}

/// The brokers' names, in their order. One in letters that a PNG cannot show begins with the entry's number in the
/// run, so that it can be told from others.
pub fn names(brokers: &[Broker]) -> Vec<String> {
    let name = |(place, broker): (usize, &Broker)| match has_all(&broker.label) {
        true => broker.label.clone(),
        false => format!("#{} {}", place + 1, broker.label),
    };
    brokers.iter().enumerate().map(name).collect()
}

/// The names as they stand at the left of rows, and where these begin.
pub fn column(names: &[String], shown: impl Iterator<Item = usize>) -> (Vec<String>, f64) {
    let fit = |name: &String| Weight::Regular.fit_name(name, SIZE, NAME_ROOM);
    let fitted: Vec<String> = names.iter().map(fit).collect();
    let widths = shown.map(|place| Weight::Regular.width(&fitted[place], SIZE));
    let widest = widths.fold(60.0, f64::max);
    (fitted, MARGIN + MARK_ROOM + widest + 12.0)
}

/// Where a name begins behind its marker.
const MARK_ROOM: f64 = 18.0;

/// A broker's marker and name in the middle of a row.
pub fn name(scene: &mut Scene, middle: f64, name: &str, broker: &Broker) {
    let at = (MARGIN + 6.0, middle);
    mark(
        scene,
        broker.look.marker,
        at,
        5.0,
        &ink(&broker.look),
        !broker.is_ok(),
    );
    let ink = if broker.is_ok() { TEXT } else { MUTED };
    let at = (MARGIN + MARK_ROOM, middle + 0.36 * SIZE);
    scene.write(at, name, SIZE, ink, Anchor::Start);
}

/// The colour on paper.
pub fn ink(look: &Look) -> Ink {
    Ink::of(look.light)
}

/// A marker; a hollow one is white inside.
pub fn mark(
    scene: &mut Scene,
    marker: Marker,
    (x, y): (f64, f64),
    radius: f64,
    ink: &Ink,
    hollow: bool,
) {
    let shape = |radius: f64| match marker {
        Marker::Circle => disc((x, y), radius),
        Marker::Square => {
            let half = radius * 0.88;
            vec![
                (x - half, y - half),
                (x + half, y - half),
                (x + half, y + half),
                (x - half, y + half),
            ]
        }
        Marker::Triangle => {
            let (top, bottom, half) = (y - radius * 1.1, y + radius * 0.8, radius * 1.1);
            vec![(x, top), (x + half, bottom), (x - half, bottom)]
        }
        Marker::Diamond => {
            let half = radius * 1.2;
            vec![(x, y - half), (x + half, y), (x, y + half), (x - half, y)]
        }
    };
    scene
        .shapes
        .push(super::scene::Shape::Area(shape(radius), *ink));
    if hollow {
        let inner = shape(radius - 1.5);
        scene.shapes.push(super::scene::Shape::Area(inner, WHITE));
    }
}

/// The grid and the numbers of an axis along the bottom of a panel, its label above. `top` and `bottom` are
/// those of the rows.
pub fn across(scene: &mut Scene, axis: &Axis, scale: &Scale, left: f64, [top, bottom]: [f64; 2]) {
    for (value, name) in &scale.ticks {
        let x = scale.at(*value);
        let is_zero = *value == 0.0;
        let ink = if is_zero { FRAME } else { GRID };
        scene.line(vec![(x, top), (x, bottom)], ink, 1.0);
        scene.write((x, bottom + 15.0), name, TICK_SIZE, MUTED, Anchor::Middle);
    }
    let label = match axis.log {
        true => format!("{}, logarithmic", axis.label),
        false => axis.label.clone(),
    };
    scene.write((left, top - 8.0), &label, TICK_SIZE, MUTED, Anchor::Start);
}

/// A bar from zero; one that is not valid is hatched.
pub fn bar(scene: &mut Scene, [left, top, width, height]: [f64; 4], ink: Ink, is_ok: bool) {
    if width <= 0.0 {
        return;
    }
    let rect = [left, top, width, height];
    if is_ok {
        scene.rect(rect, ink);
    } else {
        scene.rect(rect, WHITE);
        scene.hatch(rect, ink);
        scene.outline(rect, ink, 1.0);
    }
}

/// The whisker of an estimate, and its trials.
pub fn whisker(scene: &mut Scene, estimate: &Estimate, scale: &Scale, y: f64, ink: Ink, end: f64) {
    // Of a single trial it would say that there is no spread.
    if estimate.whisker == Whisker::None {
        return;
    }
    let low = scale.at(estimate.low);
    let high = estimate.high.map_or(end, |it| scale.at(it));
    let upper = match estimate.high {
        Some(_) => vec![(high, y - 4.0), (high, y + 4.0)],
        // It goes on beyond every value.
        None => vec![(high - 5.0, y - 4.0), (high, y), (high - 5.0, y + 4.0)],
    };
    let lower = vec![(low, y - 4.0), (low, y + 4.0)];
    // Light around it, so that it is seen on a dark bar.
    for (ink, width) in [(WHITE, 3.0), (ink, 1.2)] {
        for points in [vec![(low, y), (high, y)], lower.clone(), upper.clone()] {
            scene.line(points, ink, width);
        }
    }
}

/// Each trial as a small ring.
pub fn trials(scene: &mut Scene, estimate: &Estimate, scale: &Scale, y: f64, ink: Ink) {
    for value in &estimate.trials {
        mark(
            scene,
            Marker::Circle,
            (scale.at(*value), y),
            2.6,
            &ink,
            true,
        );
    }
}
