//! Charts over time: a panel for each broker, its trials side by side.

use super::super::Broker;
use super::font::Weight;
use super::frame::{self, MARGIN, SIZE};
use super::scale::{Scale, TICK_SIZE};
use super::scene::{Anchor, FRAME, GRID, Ink, MUTED, Scene, TEXT, WIDTH};

/// Room for the numbers at the left.
const NUMBERS: f64 = 52.0;
/// Where panels begin.
const LEFT: f64 = MARGIN + NUMBERS;
/// Between panels.
const GAP: f64 = 22.0;
/// Between trials, where there is room.
const BETWEEN: f64 = 3.0;
/// Below a panel: the numbers of its trials, and the title of the next one.
const BELOW: f64 = 58.0;

/// The ground of a second in which others took CPU time.
pub const DISTURBED: Ink = Ink([232, 233, 236]);

/// How panels are laid out.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    columns: usize,
    /// Of one panel.
    pub width: f64,
    /// Of one panel.
    pub height: f64,
}

impl Grid {
    /// For so many panels.
    pub fn of(panels: usize) -> Grid {
        let (columns, height) = match panels {
            0..=1 => (1, 260.0),
            2..=4 => (2, 170.0),
            _ => (3, 120.0),
        };
        Grid {
            columns,
            width: (WIDTH - MARGIN - LEFT + GAP) / columns as f64 - GAP,
            height,
        }
    }

    /// The box of a panel by its place, the first of them at `top`: left, top, width, height.
    pub fn place(&self, panel: usize, top: f64) -> [f64; 4] {
        let (row, column) = (panel / self.columns, panel % self.columns);
        let left = LEFT + column as f64 * (self.width + GAP);
        let top = top + row as f64 * (self.height + BELOW);
        [left, top, self.width, self.height]
    }

    /// The lines of the axis of values, and their numbers at the first panel of a row.
    pub fn lines(&self, scene: &mut Scene, panel: usize, scale: &Scale, left: f64) {
        for (value, name) in &scale.ticks {
            let y = scale.at(*value);
            scene.line(vec![(left, y), (left + self.width, y)], GRID, 1.0);
            if panel.is_multiple_of(self.columns) {
                scene.write((left - 8.0, y + 4.0), name, TICK_SIZE, MUTED, Anchor::End);
            }
        }
    }
}

/// Above a panel: the broker's marker and name.
pub fn title(scene: &mut Scene, name: &str, broker: &Broker, [left, top, width, _]: [f64; 4]) {
    let title = Weight::Regular.fit_name(name, SIZE, width - 18.0);
    let mark = (left + 5.0, top - 13.0);
    let ink = frame::ink(&broker.look);
    let hollow = !broker.is_ok();
    frame::mark(scene, broker.look.marker, mark, 4.6, &ink, hollow);
    scene.write((left + 16.0, top - 9.0), &title, SIZE, TEXT, Anchor::Start);
}

/// Below all panels, the last of which end at `bottom`: what the numbers are. Returns where the chart ends.
pub fn end(scene: &mut Scene, bottom: f64) -> f64 {
    let middle = LEFT + (WIDTH - MARGIN - LEFT) / 2.0;
    let text = "trials one after another, by their number; each is its measured part";
    let at = (middle, bottom + 34.0);
    scene.write(at, text, TICK_SIZE, MUTED, Anchor::Middle);
    bottom + 42.0
}

/// Where the trials of a panel are.
#[derive(Clone, Debug)]
pub struct Course {
    /// Of a second.
    pub pixels: f64,
    /// Where each trial begins, and how wide it is.
    pub trials: Vec<[f64; 2]>,
}

impl Course {
    /// Of trials of so many seconds.
    pub fn of(seconds: impl Iterator<Item = f64>, [left, _, width, _]: [f64; 4]) -> Course {
        let seconds: Vec<f64> = seconds.collect();
        let gaps = seconds.len() as f64 - 1.0;
        // At most a fifth of the panel for all gaps together.
        let between = BETWEEN.min(0.2 * width / gaps.max(1.0));
        let all: f64 = seconds.iter().sum();
        let pixels = (width - gaps * between) / all.max(1e-9);
        let mut from = left;
        let trial = |seconds: f64| {
            let wide = seconds * pixels;
            let begin = from;
            from += wide + between;
            [begin, wide]
        };
        Course {
            pixels,
            trials: seconds.into_iter().map(trial).collect(),
        }
    }

    /// The number of each trial below it, as far as there is room.
    pub fn name(&self, scene: &mut Scene, numbers: impl Iterator<Item = u32>, bottom: f64) {
        let mut free = f64::NEG_INFINITY;
        for ([from, wide], number) in self.trials.iter().zip(numbers) {
            let number = number.to_string();
            let half = Weight::Regular.width(&number, TICK_SIZE) / 2.0;
            let middle = from + wide / 2.0;
            if middle - half > free {
                let at = (middle, bottom + 15.0);
                scene.write(at, &number, TICK_SIZE, MUTED, Anchor::Middle);
                free = middle + half + 4.0;
            }
        }
    }
}

/// A sample and its meaning in a legend, whose text stands at `y`; returns where the next one begins.
pub fn meaning(
    scene: &mut Scene,
    (x, y): (f64, f64),
    meaning: &str,
    sample: impl FnOnce(&mut Scene, [f64; 4]),
) -> f64 {
    sample(scene, [x, y - 10.0, SAMPLE, 12.0]);
    let at = (x + SAMPLE + 6.0, y);
    scene.write(at, meaning, TICK_SIZE, MUTED, Anchor::Start);
    at.0 + Weight::Regular.width(meaning, TICK_SIZE) + 26.0
}

/// How wide a sample is.
const SAMPLE: f64 = 22.0;

/// The meanings of those grounds that occur.
pub fn grounds(scene: &mut Scene, (mut x, y): (f64, f64), disturbed: bool, invalid: bool) {
    if disturbed {
        let sample = |scene: &mut Scene, area| scene.rect(area, DISTURBED);
        x = meaning(scene, (x, y), "others took CPU time", sample);
    }
    if invalid {
        meaning(scene, (x, y), "trial not ok", |scene, area| {
            scene.hatch(area, FRAME);
            scene.outline(area, FRAME, 1.0);
        });
    }
}

/// The ground of a trial: grey where it was disturbed, from when to when in seconds; hatched where it is not *ok*.
pub fn ground(
    scene: &mut Scene,
    pixels: f64,
    disturbed: impl Iterator<Item = [f64; 2]>,
    is_ok: bool,
    [left, top, width, height]: [f64; 4],
) {
    for [begin, end] in disturbed {
        let span = (end - begin) * pixels;
        scene.rect([left + begin * pixels, top, span, height], DISTURBED);
    }
    if !is_ok {
        scene.hatch([left, top, width, height], FRAME.tint(0.6));
    }
    scene.outline([left, top, width, height], GRID, 1.0);
}
