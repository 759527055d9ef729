//! The names of lines, where they end.

use super::super::Broker;
use super::font::Weight;
use super::frame::{self, MARGIN, SIZE};
use super::scene::{Anchor, MUTED, Scene, TEXT, WIDTH};

/// Room for names at the right.
pub const NAMES: f64 = 190.0;
/// From one name to the next.
const LINE: f64 = 17.0;

/// Names the lines at the right, each given by its broker and its end: in the order in which they end, each as near to
/// its end as there is room.
pub fn name(
    scene: &mut Scene,
    brokers: &[Broker],
    names: &[String],
    mut ends: Vec<(usize, (f64, f64))>,
    [right, top, bottom]: [f64; 3],
) {
    ends.sort_by(|a, b| a.1.1.total_cmp(&b.1.1));
    let mut at: Vec<f64> = ends.iter().map(|(_, end)| end.1).collect();
    // Down from above, then up again from the bottom, so that none overlaps or leaves the chart.
    let mut least = top;
    for y in &mut at {
        *y = y.max(least);
        least = *y + LINE;
    }
    let mut most = bottom;
    for y in at.iter_mut().rev() {
        *y = y.min(most);
        most = *y - LINE;
    }
    for ((place, end), y) in ends.into_iter().zip(at) {
        let broker = &brokers[place];
        let ink = frame::ink(&broker.look);
        let from = (end.0 + 4.0, end.1);
        let knee = (right + 4.0, end.1);
        scene.line(vec![from, knee, (right + 18.0, y)], ink.tint(0.6), 1.0);
        frame::mark(
            scene,
            broker.look.marker,
            (right + 24.0, y),
            4.2,
            &ink,
            !broker.is_ok(),
        );
        let room = WIDTH - MARGIN - right - 34.0;
        let name = Weight::Regular.fit_name(&names[place], SIZE, room);
        let ink = if broker.is_ok() { TEXT } else { MUTED };
        scene.write(
            (right + 34.0, y + 0.36 * SIZE),
            &name,
            SIZE,
            ink,
            Anchor::Start,
        );
    }
}
