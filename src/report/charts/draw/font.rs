//! The letters of charts: the two fonts in the binary, how wide a text is, and what is cut off where it is too
//! wide.
//!
//! The fonts are Inter (assets/fonts, under the SIL Open Font License), cut down to Latin, Greek, Cyrillic and the
//! signs that charts use. A picture is the same on every machine that way, also where no font is installed.

use std::sync::LazyLock;

use ab_glyph::{Font as _, FontRef, PxScale, ScaleFont as _, point};

/// How thick letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Of everything but headings.
    Regular,
    /// Of headings.
    Bold,
}

static REGULAR: LazyLock<FontRef<'static>> =
    LazyLock::new(|| font(include_bytes!("../../../../assets/fonts/Inter-Regular.ttf")));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    font(include_bytes!(
        "../../../../assets/fonts/Inter-SemiBold.ttf"
    ))
});

fn font(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("a font that is part of the program")
}

/// Stands for a letter that the fonts do not have.
const UNKNOWN: char = '□';
/// The width of such a letter in a viewer that has it, in parts of the size: Chinese letters are square.
const UNKNOWN_WIDTH: f64 = 1.0;
/// Viewers of SVG may lack the font, and take one whose letters are wider.
const SLACK: f64 = 1.03;

impl Weight {
    fn font(self) -> &'static FontRef<'static> {
        match self {
            Weight::Regular => &REGULAR,
            Weight::Bold => &BOLD,
        }
    }

    /// The width of a text in pixels, `size` being that of the font.
    pub fn width(self, text: &str, size: f64) -> f64 {
        text.chars().map(|c| self.letter(c, size)).sum()
    }

    fn letter(self, c: char, size: f64) -> f64 {
        let font = self.font();
        let id = font.glyph_id(c);
        let parts = match id.0 {
            0 => UNKNOWN_WIDTH,
            _ => f64::from(font.h_advance_unscaled(id) / font.units_per_em().unwrap_or(1000.0)),
        };
        parts * size * SLACK
    }

    /// The text, its end replaced by an ellipsis where it is wider than `room`.
    pub fn fit(self, text: &str, size: f64, room: f64) -> String {
        const MORE: char = '…';
        let mut used = self.letter(MORE, size);
        // What fits with an ellipsis behind it, unless there is nothing more.
        let mut kept = 0;
        let mut whole = 0.0;
        for (at, c) in text.char_indices() {
            let letter = self.letter(c, size);
            used += letter;
            whole += letter;
            if used <= room {
                kept = at + c.len_utf8();
            }
            if whole > room {
                return format!("{}{MORE}", text[..kept].trim_end());
            }
        }
        text.to_owned()
    }

    /// The name, its middle replaced by an ellipsis where it is wider than `room`: long names tend to differ at their
    /// ends.
    pub fn fit_name(self, name: &str, size: f64, room: f64) -> String {
        const END: usize = 8;
        let letters: Vec<char> = name.chars().collect();
        if letters.len() <= 2 * END || self.width(name, size) <= room {
            return self.fit(name, size, room);
        }
        let (start, end) = letters.split_at(letters.len() - END);
        let end: String = end.iter().collect();
        let start: String = start.iter().collect();
        let short = self.fit(&start, size, room - self.width(&end, size));
        let joined = format!("{short}{}", end.trim_start());
        match self.width(&joined, size) <= room {
            true => joined,
            false => self.fit(name, size, room),
        }
    }

    /// The text in lines no wider than `room`; a word that is wider is cut.
    pub fn wrap(self, text: &str, size: f64, room: f64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let space = self.letter(' ', size);
        let mut used = 0.0;
        for word in text.split_whitespace() {
            let word = self.fit(word, size, room);
            let width = self.width(&word, size);
            match lines.last_mut() {
                Some(line) if used + space + width <= room => {
                    line.push(' ');
                    line.push_str(&word);
                    used += space + width;
                }
                _ => {
                    lines.push(word);
                    used = width;
                }
            }
        }
        lines
    }

    /// Calls `dot` with the coverage, from 0 to 1, of every pixel that the text touches. `x` is where it begins,
    /// `y` its base line.
    pub fn draw(
        self,
        text: &str,
        size: f64,
        (x, y): (f64, f64),
        dot: &mut impl FnMut(i32, i32, f32),
    ) {
        let font = self.font();
        let units = font.units_per_em().unwrap_or(1000.0);
        let scale = PxScale::from(size as f32 * font.height_unscaled() / units);
        let scaled = font.as_scaled(scale);
        let mut x = x as f32;
        for c in text.chars() {
            let shown = if self.has(c) { c } else { UNKNOWN };
            let id = font.glyph_id(shown);
            let glyph = id.with_scale_and_position(scale, point(x, y as f32));
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|across, down, coverage| {
                    let (across, down) = (across as i32, down as i32);
                    dot(corner.x as i32 + across, corner.y as i32 + down, coverage);
                });
            }
            x += match self.has(c) {
                true => scaled.h_advance(id),
                false => (UNKNOWN_WIDTH * size) as f32,
            };
        }
    }

    fn has(self, c: char) -> bool {
        self.font().glyph_id(c).0 != 0
    }
}

/// Whether the fonts have every letter of a text.
pub fn has_all(text: &str) -> bool {
    text.chars().all(|c| Weight::Regular.has(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fonts_have_what_charts_need() {
        let signs = "µ≤≥×→↔–…⚠✓□·~−’“”äßéøŁΔλЖя";
        for weight in [Weight::Regular, Weight::Bold] {
            let missing: String = signs.chars().filter(|c| !weight.has(*c)).collect();
            assert_eq!(missing, "");
        }
        assert!(has_all("redis-streams, Кафка, Ζεύς"));
        assert!(!has_all("名前"));
    }

    #[test]
    fn a_text_that_is_too_wide_ends_in_an_ellipsis() {
        let name = "a-cluster-with-a-name-that-says-everything-about-it-and-more";
        let short = Weight::Regular.fit(name, 12.0, 150.0);
        assert!(
            short.ends_with('…') && short.starts_with("a-cluster"),
            "{short}"
        );
        assert!(Weight::Regular.width(&short, 12.0) <= 150.0);
        assert!(
            Weight::Regular.width(&short, 12.0) > 130.0,
            "no more than needed"
        );
        assert_eq!(Weight::Regular.fit("nats", 12.0, 150.0), "nats");
        assert_eq!(Weight::Regular.fit("nats", 12.0, 1.0), "…");
        let both = Weight::Regular.fit_name(name, 12.0, 150.0);
        assert!(
            both.starts_with("a-clust") && both.ends_with("…and-more"),
            "{both}"
        );
        assert!(Weight::Regular.width(&both, 12.0) <= 150.0);
        assert_eq!(Weight::Regular.fit_name("nats", 12.0, 150.0), "nats");
        for line in Weight::Regular.wrap(&format!("two {name} words"), 12.0, 150.0) {
            assert!(Weight::Regular.width(&line, 12.0) <= 150.0, "{line}");
        }
    }

    #[test]
    fn letters_are_drawn_where_they_are_measured() {
        let mut right = 0;
        let mut ink = 0.0;
        Weight::Regular.draw("latency", 20.0, (10.0, 30.0), &mut |x, y, coverage| {
            assert!((9..200).contains(&x) && (10..40).contains(&y), "{x} {y}");
            if coverage > 0.1 {
                right = right.max(x);
            }
            ink += coverage;
        });
        let end = 10.0 + Weight::Regular.width("latency", 20.0);
        assert!((f64::from(right) - end).abs() < 5.0, "{right} and {end}");
        assert!(ink > 100.0);
        let mut unknown = 0.0;
        Weight::Regular.draw("名", 20.0, (0.0, 30.0), &mut |_, _, coverage| {
            unknown += coverage
        });
        assert!(unknown > 10.0, "a letter that is missing leaves a mark");
    }
}
