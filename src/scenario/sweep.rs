//! The rates of a sweep.

use super::document::{LoadDocument, SweepDocument, SweepRange, SweepScale, WorkloadDocument};
use super::resolve::Unresolved;
use super::units::Rate;

/// The most rates of one sweep.
const MOST: usize = 50;
/// Digits of the rates between the ends of a range: those that a person would have chosen.
const DIGITS: i32 = 2;

/// The rates that are asked for, the lowest first; none where no sweep is, or where something is wrong with it.
pub(super) fn rates(workload: &WorkloadDocument, errors: &mut Vec<Unresolved>) -> Vec<Rate> {
    let Some(LoadDocument::Map(map)) = &workload.load else {
        return Vec::new();
    };
    let mut rates = match &map.sweep {
        None => return Vec::new(),
        Some(SweepDocument::Rates(rates)) => rates.clone(),
        Some(SweepDocument::Range(range)) => spread(range),
    };
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let twice = rates.windows(2).find(|two| two[0] == two[1]);
    let wrong = match (rates.as_slice(), twice) {
        ([], _) => Some((
            match &map.sweep {
                Some(SweepDocument::Range(SweepRange {
                    from, to, steps, ..
                })) => {
                    format!("{from} to {to} in {steps} steps are no rates of a sweep")
                }
                _ => "the sweep has no rates".to_owned(),
            },
            "for example `sweep: [1k/s, 2k/s, 5k/s]`, or `sweep: {from: 1k/s, to: 100k/s, steps: 10}`: upwards, in 2 \
             steps or more",
        )),
        ([lowest, ..], _) if lowest.0 <= 0.0 => Some((
            "a rate of zero sends nothing".to_owned(),
            "begin with the lowest rate that is of interest: `sweep: [1k/s, 2k/s, 5k/s]`",
        )),
        (_, Some(twice)) => Some((
            format!("{} stands twice in the sweep", twice[0]),
            "keep one; with a range, ask for fewer steps; `trials` says how often each rate is measured",
        )),
        (rates, _) if rates.len() > MOST => Some((
            format!("a sweep of {} rates", rates.len()),
            "there may be 50: each takes all trials of all brokers",
        )),
        _ => None,
    };
    match wrong {
        Some((message, help)) => {
            errors.push(Unresolved {
                path: "workload.load.sweep",
                message,
                help,
            });
            Vec::new()
        }
        None => rates,
    }
}

/// A range in steps; those between its ends are rounded. None where it has no steps or runs backwards.
fn spread(range: &SweepRange) -> Vec<Rate> {
    let (from, to) = (range.from.0, range.to.0);
    // So many that they are refused are not made.
    let steps = range.steps.min(MOST as u32 + 1);
    if steps < 2 || from <= 0.0 || to <= from {
        return Vec::new();
    }
    let at = |step: u32| {
        let share = f64::from(step) / f64::from(steps - 1);
        match (step, range.scale.unwrap_or(SweepScale::Log)) {
            (0, _) => from,
            (last, _) if last + 1 == steps => to,
            (_, SweepScale::Log) => rounded(from * (to / from).powf(share)),
            (_, SweepScale::Linear) => rounded(from + (to - from) * share),
        }
    };
    (0..steps).map(|step| Rate(at(step))).collect()
}

fn rounded(rate: f64) -> f64 {
    let unit = 10f64.powi(rate.log10().floor() as i32 + 1 - DIGITS);
    (rate / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: f64, to: f64, steps: u32, scale: SweepScale) -> Vec<f64> {
        let rates = spread(&SweepRange {
            from: Rate(from),
            to: Rate(to),
            steps,
            scale: Some(scale),
        });
        rates.iter().map(|rate| rate.0).collect()
    }

    #[test]
    fn a_range_is_spread_by_ratio_or_by_difference() {
        let log = range(1_000.0, 100_000.0, 5, SweepScale::Log);
        assert_eq!(log, [1_000.0, 3_200.0, 10_000.0, 32_000.0, 100_000.0]);
        let linear = range(1_000.0, 5_000.0, 5, SweepScale::Linear);
        assert_eq!(linear, [1_000.0, 2_000.0, 3_000.0, 4_000.0, 5_000.0]);
        assert_eq!(range(7.0, 9.0, 2, SweepScale::Log), [7.0, 9.0]);
    }

    #[test]
    fn what_is_no_range_has_no_rates() {
        for (from, to, steps) in [(5.0, 5.0, 3), (5.0, 1.0, 3), (1.0, 5.0, 1), (0.0, 5.0, 3)] {
            assert!(range(from, to, steps, SweepScale::Log).is_empty());
        }
    }
}
