//! Where a value stands on an axis, and which values are named there.

use super::super::axis::{Axis, Unit};
use super::font::Weight;

/// The size of the numbers on an axis.
pub const TICK_SIZE: f64 = 11.0;

/// An axis from `from` to `to`, in pixels; `to` lies above `from` where the axis goes upwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
    /// The values that are named, with their names.
    pub ticks: Vec<(f64, String)>,
}

impl Scale {
    /// An axis with room for all values. A linear one begins at zero.
    pub fn of(axis: &Axis, values: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Scale {
        let known = |it: &f64| it.is_finite() && (!axis.log || *it > 0.0);
        let (low, high) = values
            .filter(known)
            .fold((f64::INFINITY, 0.0_f64), |(low, high), it| {
                (low.min(it), high.max(it))
            });
        let length = (to - from).abs();
        let is_across = from < to;
        let mut scale = match axis.log && low.is_finite() {
            true => log(low, high, length, least(is_across)),
            false => linear(high, length),
        };
        (scale.from, scale.to) = (from, to);
        scale.name(axis.unit, is_across);
        scale
    }

    /// A logarithmic axis that ends where it is said to.
    pub fn between(unit: Unit, [low, high]: [f64; 2], (from, to): (f64, f64)) -> Scale {
        let is_across = from < to;
        let mut scale = log(low, high, (to - from).abs(), least(is_across));
        let inside = |value: f64| value >= low * 0.9999 && value <= high * 1.0001;
        scale.ticks.retain(|it| inside(it.0));
        (scale.low, scale.high, scale.from, scale.to) = (low, high, from, to);
        scale.name(unit, is_across);
        scale
    }

    /// Where a value stands; beyond the ends it stands on the nearer one.
    pub fn at(&self, value: f64) -> f64 {
        let share = match self.log {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    /// Names the ticks, powers of ten first; across, those that would touch another are left without a name.
    fn name(&mut self, unit: Unit, is_across: bool) {
        let mut order: Vec<usize> = (0..self.ticks.len()).collect();
        order.sort_by_key(|place| self.log && !is_power(self.ticks[*place].0));
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for place in order {
            let value = self.ticks[place].0;
            let text = match value == 0.0 {
                true => "0".to_owned(),
                // Steps are round: a decimal of zero says nothing.
                false => unit.show(value).replace(".0 ", " "),
            };
            let half = Weight::Regular.width(&text, TICK_SIZE) / 2.0 + 3.0;
            let span = (self.at(value) - half, self.at(value) + half);
            let fits = taken.iter().all(|it| span.1 < it.0 || span.0 > it.1);
            if fits || !is_across {
                taken.push(span);
                self.ticks[place].1 = text;
            }
        }
    }
}

/// Pixels that a decade takes with three names in it.
fn least(is_across: bool) -> f64 {
    if is_across { 150.0 } else { 60.0 }
}

fn is_power(value: f64) -> bool {
    (value.log10() - value.log10().round()).abs() < 1e-6
}

fn blank(values: Vec<f64>) -> Vec<(f64, String)> {
    values.into_iter().map(|it| (it, String::new())).collect()
}

/// Steps of 1, 2 or 5 times a power of ten, about 70 pixels apart. The axis ends a little beyond the largest value,
/// not at the next step: most of the space is for what was measured.
fn linear(high: f64, length: f64) -> Scale {
    let high = if high > 0.0 { high } else { 1.0 };
    let wanted = (length / 70.0).clamp(2.0, 8.0);
    let rough = high / wanted;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|it| it * power);
    let step = steps
        .into_iter()
        .find(|it| *it >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let end = high * 1.03;
    let count = (end / step).floor() as u32;
    Scale {
        low: 0.0,
        high: end,
        from: 0.0,
        to: 0.0,
        log: false,
        ticks: blank((0..=count).map(|i| f64::from(i) * step).collect()),
    }
}

/// Ends at the next 1, 2 or 5 times a power of ten, with all of those as ticks where there is room, else powers
/// of ten only.
fn log(low: f64, high: f64, length: f64, least: f64) -> Scale {
    let from = low.log10().floor() as i32;
    let to = high.log10().ceil() as i32;
    let nice = |decade: i32| [1.0, 2.0, 5.0].map(|it| it * 10f64.powi(decade));
    let all: Vec<f64> = (from..=to).flat_map(nice).collect();
    let first = all.iter().rposition(|it| *it <= low * 1.0001).unwrap_or(0);
    let last = all
        .iter()
        .position(|it| *it >= high * 0.9999)
        .unwrap_or(all.len() - 1);
    let last = last.max(first + 1).min(all.len() - 1);
    let decades = (all[last] / all[first]).log10();
    let room = length / decades > least;
    let shown = all[first..=last]
        .iter()
        .copied()
        .filter(|it| room || is_power(*it));
    Scale {
        low: all[first],
        high: all[last],
        from: 0.0,
        to: 0.0,
        log: true,
        ticks: blank(shown.collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scale: &Scale) -> Vec<&str> {
        scale
            .ticks
            .iter()
            .map(|it| it.1.as_str())
            .filter(|it| !it.is_empty())
            .collect()
    }

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_beyond_the_largest() {
        let axis = Axis::linear("", Unit::PerSecond);
        let scale = Scale::of(&axis, [4_998.0, 5_000.0].into_iter(), (0.0, 500.0));
        assert_eq!(
            names(&scale),
            ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]
        );
        assert_eq!(scale.at(0.0), 0.0);
        assert!((scale.at(5_000.0) - 500.0 / 1.03).abs() < 1e-9);
        assert!((scale.at(2_500.0) - 250.0 / 1.03).abs() < 1e-9);
        assert_eq!(scale.at(9_999.0), 500.0);
        let nothing = Scale::of(&axis, [0.0].into_iter(), (0.0, 500.0));
        assert_eq!(nothing.at(0.0), 0.0);
    }

    #[test]
    fn a_logarithmic_axis_has_equal_distances_for_equal_ratios() {
        let axis = Axis {
            log: true,
            ..Axis::linear("", Unit::Nanoseconds)
        };
        let scale = Scale::of(&axis, [84_000.0, 19_000_000.0].into_iter(), (400.0, 0.0));
        assert_eq!(names(&scale).first(), Some(&"50 µs"));
        assert_eq!(names(&scale).last(), Some(&"20 ms"));
        let step = scale.at(1e5) - scale.at(1e6);
        assert!((scale.at(1e6) - scale.at(1e7) - step).abs() < 1e-9 && step > 0.0);
        let same = Scale::of(&axis, [1e5, 1e5].into_iter(), (400.0, 0.0));
        assert!(same.at(1e5).is_finite() && same.ticks.len() >= 2);
        // Of eight decades only the powers of ten are named.
        let wide = Scale::of(&axis, [100.0, 1e10].into_iter(), (400.0, 0.0));
        assert!(
            names(&wide).iter().all(|it| it.contains('1')),
            "{:?}",
            names(&wide)
        );
    }

    #[test]
    fn an_axis_ends_where_it_is_said_to() {
        let scale = Scale::between(Unit::Nanoseconds, [126e3, 1.26e6], (200.0, 0.0));
        assert_eq!((scale.at(126e3), scale.at(1.26e6)), (200.0, 0.0));
        assert_eq!(names(&scale), ["200 µs", "500 µs", "1 ms"]);
    }

    #[test]
    fn names_across_do_not_touch() {
        let axis = Axis {
            log: true,
            ..Axis::linear("", Unit::Nanoseconds)
        };
        let scale = Scale::of(&axis, [1e4, 1e7].into_iter(), (0.0, 320.0));
        let mut right = f64::NEG_INFINITY;
        for (value, name) in scale.ticks.iter().filter(|it| !it.1.is_empty()) {
            let half = Weight::Regular.width(name, TICK_SIZE) / 2.0;
            assert!(scale.at(*value) - half > right, "{name}");
            right = scale.at(*value) + half;
        }
    }
}
