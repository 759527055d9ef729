//! The normal distribution, as far as tests and numbers of trials need it.

/// The probability of a value below `z`, to 10⁻⁷: Abramowitz and Stegun, 7.1.26.
pub fn below(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let terms = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ];
    let series = terms.into_iter().fold(0.0, |sum, term| (sum + term) * t);
    let beyond = series * (-x * x).exp() / 2.0;
    if z < 0.0 { beyond } else { 1.0 - beyond }
}

/// The value above which `tail` lies, from 10⁻⁷ to one half: the inverse of [`below`].
pub fn beyond(tail: f64) -> f64 {
    let (mut low, mut high) = (0.0, 6.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if below(-middle) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_met() {
        for (z, p) in [
            (0.0, 0.5),
            (1.0, 0.841_344_75),
            (-1.959_964, 0.025),
            (-3.0, 0.001_349_9),
        ] {
            assert!((below(z) - p).abs() < 2e-7, "{z}");
        }
        for (tail, z) in [
            (0.5, 0.0),
            (0.1, 1.281_552),
            (0.025, 1.959_964),
            (0.006_25, 2.497_705),
        ] {
            assert!((beyond(tail) - z).abs() < 1e-4, "{tail}");
        }
    }
}
