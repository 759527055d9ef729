//! What is along the sides of a chart.

use serde::Serialize;

use crate::terminal::numbers;

/// What the numbers of an axis are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Of messages.
    PerSecond,
    /// A latency, or CPU time for a message.
    Nanoseconds,
    /// Time since the beginning.
    Seconds,
    /// From 0 to 1, drawn by how little is left to 1.
    Share,
    /// Names.
    Brokers,
}

impl Unit {
    /// A value as tables print it.
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::PerSecond => numbers::rate(value),
            Unit::Nanoseconds => numbers::time(value),
            Unit::Seconds => numbers::span(value),
            Unit::Share => share(value),
            Unit::Brokers => String::new(),
        }
    }
}

/// `50 %`, `99.9 %`, `99.999 %`: as many nines as there are.
pub fn share(value: f64) -> String {
    let percent = value * 100.0;
    for decimals in 0..8 {
        let text = format!("{percent:.decimals$}");
        let near = text
            .parse::<f64>()
            .is_ok_and(|it| (it - percent).abs() < 1e-9);
        if near {
            return format!("{text} %");
        }
    }
    format!("{percent} %")
}

/// One side of a chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Axis {
    /// In words.
    pub label: String,
    /// What its numbers are.
    pub unit: Unit,
    /// Whether equal distances are equal ratios.
    pub log: bool,
}

impl Axis {
    /// Of equal steps.
    pub fn linear(label: impl Into<String>, unit: Unit) -> Axis {
        Axis {
            label: label.into(),
            unit,
            log: false,
        }
    }

    /// Logarithmic where the values differ by so much that the small ones could not be read otherwise.
    pub fn fitting(
        label: impl Into<String>,
        unit: Unit,
        values: impl Iterator<Item = f64>,
    ) -> Axis {
        let (low, high) = values
            .filter(|value| *value > 0.0 && value.is_finite())
            .fold((f64::INFINITY, 0.0), |(low, high), value| {
                (value.min(low), value.max(high))
            });
        Axis {
            log: high > LOG_FROM * low,
            ..Axis::linear(label, unit)
        }
    }
}

/// From which ratio of the largest to the smallest value on an axis is logarithmic.
const LOG_FROM: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_as_many_nines_as_they_need() {
        let shown = [
            (0.0, "0 %"),
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.99999, "99.999 %"),
        ];
        for (value, text) in shown {
            assert_eq!(share(value), text);
        }
    }

    #[test]
    fn an_axis_is_logarithmic_where_that_fits() {
        let log = |values: &[f64]| Axis::fitting("", Unit::Nanoseconds, values.iter().copied()).log;
        assert!(!log(&[]));
        assert!(!log(&[1.0, 5.0]));
        assert!(log(&[1.0, 50.0]));
        assert!(!log(&[0.0, 5.0, f64::INFINITY]));
    }
}
