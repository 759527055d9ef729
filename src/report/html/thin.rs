//! Long courses of time with fewer points: a page of a long run must still open at once.

use crate::report::charts::over_time::{OverTime, Panel, Point, Trial};
use crate::stats::median::median;

/// The most points of all panels together; more could not be told apart on a screen.
const MOST: usize = 8_000;

/// How many seconds have to share a point.
pub(super) fn together(chart: &OverTime) -> usize {
    let trials = chart.panels.iter().flat_map(|panel| &panel.trials);
    let points: usize = trials.map(|trial| trial.points.len()).sum();
    points.div_ceil(MOST).max(1)
}

/// The chart with a point for every so many seconds. None of them hides a stall: of p99 and maximum the highest
/// is kept, and what disturbed one second disturbed all.
pub(super) fn thin(chart: &OverTime, together: usize) -> OverTime {
    let trial = |trial: &Trial| Trial {
        points: trial.points.chunks(together).map(one).collect(),
        ..trial.clone()
    };
    let panel = |panel: &Panel| Panel {
        broker: panel.broker,
        trials: panel.trials.iter().map(trial).collect(),
    };
    let mut thin = OverTime {
        panels: chart.panels.iter().map(panel).collect(),
        ..chart.clone()
    };
    thin.head.notes.push(format!(
        "a point stands for {together} seconds: for the median of their p50, and the highest p99 and maximum"
    ));
    thin
}

/// Several seconds as one that ends with the last of them.
fn one(seconds: &[Point]) -> Point {
    let highest = |of: fn(&Point) -> Option<u64>| seconds.iter().filter_map(of).max();
    let p50 = median(seconds.iter().filter_map(|it| it.p50).map(|it| it as f64));
    Point {
        at: seconds.iter().map(|it| it.at).fold(0.0, f64::max),
        p50: p50.map(|it| it.round() as u64),
        p99: highest(|it| it.p99),
        max: highest(|it| it.max),
        disturbed: seconds.iter().any(|it| it.disturbed),
        by: seconds.iter().find_map(|it| it.by),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_seen_however_many_seconds_share_a_point() {
        let second = |i: u64| Point {
            at: i as f64,
            p50: (i != 4).then_some(100 * i),
            p99: (i != 4).then_some(if i == 5 { 9_000 } else { 1_000 }),
            max: (i != 4).then_some(if i == 6 { 99_000 } else { 2_000 }),
            disturbed: i == 2,
            by: (i == 2).then_some(0),
        };
        let seconds: Vec<Point> = (1..=7).map(second).collect();
        let points: Vec<Point> = seconds.chunks(3).map(one).collect();
        let expected = [
            (3.0, 200, 1_000, 2_000, true),
            (6.0, 550, 9_000, 99_000, false),
            (7.0, 700, 1_000, 2_000, false),
        ];
        for (point, (at, p50, p99, max, disturbed)) in points.iter().zip(expected) {
            assert_eq!((point.at, point.disturbed), (at, disturbed));
            let found = (point.p50, point.p99, point.max);
            assert_eq!(found, (Some(p50), Some(p99), Some(max)));
        }
        assert_eq!(points.len(), 3);
        assert_eq!(one(&seconds[3..4]).p50, None, "nothing arrived");
    }
}
