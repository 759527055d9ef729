//! The colours of counts: from few to many, in steps that look equally far apart.
//!
//! They go evenly in lightness from near the ground to far from it, so that many stands out on light and on dark ground and
//! on paper without colours; hue turns from yellow over green to blue, or back, which tells neighbours apart that
//! lightness alone would not. A test holds them to that, for every kind of colour blindness.

/// How many there are.
pub const STEPS: usize = 12;

/// On a light ground, `#rrggbb`.
pub const LIGHT: [&str; STEPS] = [
    "#f1ec9d", "#c8df8c", "#99d185", "#64c387", "#0eb28c", "#059990", "#03828b", "#016c83",
    "#01567a", "#003f76", "#152271", "#1f0658",
];
/// On a dark ground, `#rrggbb`.
pub const DARK: [&str; STEPS] = [
    "#342972", "#2b3f8a", "#09579d", "#006f9d", "#0485a0", "#069aa4", "#05b1a5", "#26c79e",
    "#6fd795", "#a5e48e", "#d5f08e", "#fffaa8",
];

#[cfg(test)]
mod tests {
    use super::super::sight::{SIGHTS, apart, contrast, light_of, seen, through};
    use super::*;

    #[test]
    fn steps_look_equally_far_apart_for_every_sight() {
        for ramp in [LIGHT, DARK] {
            for sight in SIGHTS {
                let all = ramp.map(|hex| seen(through(sight, light_of(hex))));
                let steps: Vec<f64> = all.windows(2).map(|it| apart(it[0], it[1])).collect();
                let mean = steps.iter().sum::<f64>() / steps.len() as f64;
                for step in &steps {
                    // Twice what is just noticed, and nowhere a jump that would look like a border.
                    assert!(
                        *step > 0.035 && (0.6..1.4).contains(&(step / mean)),
                        "{steps:?}"
                    );
                }
                let lightness: Vec<f64> = all.map(|it| it[0]).into();
                let rises = lightness.is_sorted_by(|a, b| a < b);
                let falls = lightness.is_sorted_by(|a, b| a > b);
                assert!(rises || falls, "{lightness:?}");
            }
        }
    }

    #[test]
    fn many_stands_out_and_few_is_seen() {
        for (ramp, ground) in [(LIGHT, "#ffffff"), (DARK, "#14171b")] {
            let from: Vec<f64> = ramp.iter().map(|it| contrast(it, ground)).collect();
            assert!(from.is_sorted_by(|a, b| a < b), "{from:?}");
            assert!(from[0] > 1.15 && from[STEPS - 1] > 14.0, "{from:?}");
        }
    }
}
