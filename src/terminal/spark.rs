//! A row of small bars, one for each value.

/// From low to high.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Stands where there is no value.
pub const GAP: char = '·';
/// Stands for an infinite value.
pub const BEYOND: char = '×';

/// One character for each value, from the lowest to the highest of them. A range smaller than `least` is
/// drawn in the middle of one of that width, so that what hardly differs looks so.
pub fn sparkline(values: &[Option<f64>], least: f64) -> String {
    let finite = || values.iter().flatten().filter(|value| value.is_finite());
    let low = finite().copied().fold(f64::INFINITY, f64::min);
    let high = finite().copied().fold(f64::NEG_INFINITY, f64::max);
    let missing = (least - (high - low)).max(0.0);
    let (low, range) = (low - missing / 2.0, high - low + missing);
    let bar = |value: &Option<f64>| match value {
        None => GAP,
        Some(value) if value.is_infinite() => BEYOND,
        Some(_) if range <= 0.0 => BARS[BARS.len() / 2 - 1],
        Some(value) => {
            let place = (value - low) / range * BARS.len() as f64;
            BARS[(place as usize).min(BARS.len() - 1)]
        }
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_and_the_highest_value_fill_the_range() {
        let values: Vec<Option<f64>> = (0..8).map(|i| Some(f64::from(i))).collect();
        assert_eq!(sparkline(&values, 0.0), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&values[..2], 0.0), "▁█");
    }

    #[test]
    fn what_hardly_differs_looks_so() {
        assert_eq!(sparkline(&[Some(1.0), Some(1.1)], 8.0), "▄▅");
        assert_eq!(sparkline(&[Some(5.0), Some(5.0)], 0.0), "▄▄");
        assert_eq!(sparkline(&[Some(5.0)], 2.0), "▅");
    }

    #[test]
    fn gaps_and_infinite_values_have_signs_of_their_own() {
        let values = [None, Some(0.0), Some(f64::INFINITY), Some(1.0)];
        assert_eq!(sparkline(&values, 0.0), "·▁×█");
        assert_eq!(sparkline(&[], 1.0), "");
        assert_eq!(sparkline(&[None, None], 1.0), "··");
        assert_eq!(sparkline(&[Some(f64::INFINITY)], 1.0), "×");
    }
}
