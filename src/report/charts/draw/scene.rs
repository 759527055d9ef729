//! A picture as a list of shapes, before it is painted: what is tested is where they are.

use super::font::Weight;

/// A colour, `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ink(pub [u8; 3]);

impl Ink {
    /// From `#rrggbb`.
    pub fn of(hex: &str) -> Ink {
        let part = |i: usize| {
            let digits = hex.get(i..i + 2);
            digits
                .and_then(|it| u8::from_str_radix(it, 16).ok())
                .unwrap_or(0)
        };
        Ink([part(1), part(3), part(5)])
    }

    /// This much of it, from 0 to 1, on white.
    pub fn tint(self, share: f64) -> Ink {
        let mixed = |part: u8| (255.0 - (255.0 - f64::from(part)) * share).round() as u8;
        Ink(self.0.map(mixed))
    }
}

/// The ground.
pub const WHITE: Ink = Ink([255, 255, 255]);
/// Headings, names, figures.
pub const TEXT: Ink = Ink([28, 30, 33]);
/// What stands behind: axes, notes.
pub const MUTED: Ink = Ink([85, 90, 97]);
/// Lines of the grid.
pub const GRID: Ink = Ink([226, 228, 232]);
/// Lines of axes and frames.
pub const FRAME: Ink = Ink([150, 155, 162]);

/// Where a text stands from its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A text on one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Where, by `anchor`.
    pub x: f64,
    /// The base line.
    pub y: f64,
    /// What.
    pub text: String,
    /// The font's size.
    pub size: f64,
    /// The font's weight.
    pub weight: Weight,
    /// The colour.
    pub ink: Ink,
    /// Which part of it is at `x`.
    pub anchor: Anchor,
}

impl Text {
    /// Where it begins.
    pub fn left(&self) -> f64 {
        let width = self.weight.width(&self.text, self.size);
        match self.anchor {
            Anchor::Start => self.x,
            Anchor::Middle => self.x - width / 2.0,
            Anchor::End => self.x - width,
        }
    }

    #[cfg(test)]
    /// Left, top, right and bottom of the box that its letters are in.
    pub fn bounds(&self) -> [f64; 4] {
        let left = self.left();
        let right = left + self.weight.width(&self.text, self.size);
        [
            left,
            self.y - 0.78 * self.size,
            right,
            self.y + 0.22 * self.size,
        ]
    }
}

/// Something that is painted. Pixels of a picture of [`WIDTH`].
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A filled rectangle: left, top, width, height.
    Rect([f64; 4], Ink),
    /// A line through points.
    Line {
        /// Its points.
        points: Vec<(f64, f64)>,
        /// The colour.
        ink: Ink,
        /// How thick.
        width: f64,
    },
    /// A filled shape, convex.
    Area(Vec<(f64, f64)>, Ink),
    /// A text.
    Text(Text),
}

/// The width of all pictures.
pub const WIDTH: f64 = 960.0;

/// A picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// How high it is.
    pub height: f64,
    /// In the order of painting.
    pub shapes: Vec<Shape>,
}

impl Scene {
    /// Fills a rectangle; one without an extent is left out.
    pub fn rect(&mut self, [left, top, width, height]: [f64; 4], ink: Ink) {
        if width > 0.0 && height > 0.0 {
            self.shapes
                .push(Shape::Rect([left, top, width, height], ink));
        }
    }

    /// Draws a line.
    pub fn line(&mut self, points: Vec<(f64, f64)>, ink: Ink, width: f64) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line { points, ink, width });
        }
    }

    /// Draws a line in dashes: lengths of dash and gap by turns. No pattern is a solid line.
    pub fn dashed(&mut self, points: Vec<(f64, f64)>, ink: Ink, width: f64, pattern: &[u32]) {
        if pattern.iter().sum::<u32>() == 0 {
            return self.line(points, ink, width);
        }
        let mut lengths = pattern.iter().cycle().map(|it| f64::from(*it));
        let (mut left, mut draws) = (lengths.next().unwrap_or(1.0), true);
        let mut dash: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
        for two in points.windows(2) {
            let (mut from, to) = (two[0], two[1]);
            loop {
                let rest = (to.0 - from.0).hypot(to.1 - from.1);
                if rest <= left {
                    left -= rest;
                    dash.push(to);
                    break;
                }
                let part = left / rest;
                from = (
                    from.0 + (to.0 - from.0) * part,
                    from.1 + (to.1 - from.1) * part,
                );
                dash.push(from);
                let whole = std::mem::replace(&mut dash, vec![from]);
                if draws {
                    self.line(whole, ink, width);
                }
                (left, draws) = (lengths.next().unwrap_or(1.0), !draws);
            }
        }
        if draws {
            self.line(dash, ink, width);
        }
    }

    /// Draws the outline of a rectangle.
    pub fn outline(&mut self, [left, top, width, height]: [f64; 4], ink: Ink, thick: f64) {
        let (right, bottom) = (left + width, top + height);
        let corners = [
            (left, top),
            (right, top),
            (right, bottom),
            (left, bottom),
            (left, top),
        ];
        self.line(corners.to_vec(), ink, thick);
    }

    /// Hatches a rectangle.
    pub fn hatch(&mut self, [left, top, width, height]: [f64; 4], ink: Ink) {
        const STEP: f64 = 5.0;
        let mut offset = STEP;
        while offset < width + height {
            // From the upper or right side down to the left or lower one.
            let from = match offset <= width {
                true => (left + offset, top),
                false => (left + width, top + offset - width),
            };
            let to = match offset <= height {
                true => (left, top + offset),
                false => (left + offset - height, top + height),
            };
            self.line(vec![from, to], ink, 1.0);
            offset += STEP;
        }
    }

    /// Writes a text; an empty one is left out.
    pub fn text(&mut self, text: Text) {
        if !text.text.is_empty() {
            self.shapes.push(Shape::Text(text));
        }
    }

    /// Writes a text of regular weight.
    pub fn write(&mut self, (x, y): (f64, f64), text: &str, size: f64, ink: Ink, anchor: Anchor) {
        self.text(Text {
            x,
            y,
            text: text.to_owned(),
            size,
            weight: Weight::Regular,
            ink,
            anchor,
        });
    }

    #[cfg(test)]
    /// All texts.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        self.shapes.iter().filter_map(|shape| match shape {
            Shape::Text(text) => Some(text),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_are_as_long_as_asked() {
        let mut scene = Scene::default();
        let corner = vec![(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)];
        scene.dashed(corner, TEXT, 1.0, &[6, 2]);
        let length = |shape: &Shape| match shape {
            Shape::Line { points, .. } => {
                let parts = points.windows(2);
                parts
                    .map(|it| (it[1].0 - it[0].0).hypot(it[1].1 - it[0].1))
                    .sum()
            }
            _ => 0.0,
        };
        let lengths: Vec<f64> = scene.shapes.iter().map(length).collect();
        assert_eq!(lengths, [6.0, 6.0, 4.0]);
    }

    #[test]
    fn hatching_stays_within_its_rectangle() {
        let mut scene = Scene::default();
        scene.hatch([10.0, 20.0, 37.0, 11.0], TEXT);
        assert!(scene.shapes.len() > 5);
        for shape in &scene.shapes {
            let Shape::Line { points, .. } = shape else {
                panic!("{shape:?}")
            };
            for (x, y) in points {
                assert!(
                    (10.0..=47.0).contains(x) && (20.0..=31.0).contains(y),
                    "{x} {y}"
                );
            }
        }
    }

    #[test]
    fn colours_are_read_and_mixed() {
        assert_eq!(Ink::of("#0072b2"), Ink([0, 0x72, 0xb2]));
        assert_eq!(Ink::of("#000000").tint(0.2), Ink([204; 3]));
    }
}
