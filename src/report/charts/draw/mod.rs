//! Charts as pictures: each is laid out once as a list of shapes ([`scene`]) and painted in both formats.

mod bars;
mod course;
mod curve;
mod durability;
mod ends;
mod font;
mod frame;
mod heat;
mod load;
mod over_time;
mod paint;
mod percentiles;
mod scale;
mod scene;

use super::{Charts, Head};
use scene::Scene;

/// A chart that is ready to be painted.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The chart's name in file names.
    pub id: &'static str,
    title: String,
    alt: String,
    scene: Scene,
}

impl Picture {
    fn of(head: &Head, scene: Scene) -> Picture {
        Picture {
            id: head.id,
            title: head.title.clone(),
            alt: head.alt.clone(),
            scene,
        }
    }

    /// As PNG, or why it cannot be made.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        paint::png(&self.scene)
    }

    /// As SVG, which says in words what it shows, or why it cannot be made.
    pub fn svg(&self) -> Result<String, String> {
        paint::svg(&self.scene, &self.title, &self.alt)
    }
}

/// All charts of a run, the most telling first.
pub fn pictures(charts: &Charts) -> Vec<Picture> {
    let brokers = &charts.brokers;
    let all = [
        charts
            .load
            .as_ref()
            .map(|it| Picture::of(&it.head, load::draw(it, brokers))),
        charts
            .throughput
            .as_ref()
            .map(|it| Picture::of(&it.head, bars::throughput(it, brokers))),
        charts
            .percentiles
            .as_ref()
            .map(|it| Picture::of(&it.head, percentiles::draw(it, brokers))),
        charts
            .curve
            .as_ref()
            .map(|it| Picture::of(&it.head, curve::draw(it, brokers))),
        charts
            .over_time
            .as_ref()
            .map(|it| Picture::of(&it.head, over_time::draw(it, brokers))),
        charts
            .heat
            .as_ref()
            .map(|it| Picture::of(&it.head, heat::draw(it, brokers))),
        charts
            .cost
            .as_ref()
            .map(|it| Picture::of(&it.head, bars::cost(it, brokers))),
        charts
            .durability
            .as_ref()
            .map(|it| Picture::of(&it.head, durability::draw(it, brokers))),
    ];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
