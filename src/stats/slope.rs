//! The slope of a series in time: Theil–Sen over the means of blocks, with an interval.
//!
//! The estimate is the median of the slopes between all pairs of blocks: a few blocks that are far off, whatever
//! happened in them, do not move it. Neighbouring seconds depend on each other (a queue that is long is long in the
//! next second, too), which would make an interval over seconds far too narrow; means of blocks do so much less, and
//! what dependence is left in them widens the interval.

use super::median::median;

/// Blocks: enough for an interval, few enough to be long.
const BLOCKS: usize = 20;
/// Values in a block, at the least.
const LEAST: usize = 3;
/// Half the width of the interval in standard deviations of Kendall's statistic: 99.7 %.
const Z: f64 = 3.0;
/// Beyond this dependence of neighbouring blocks an interval says nothing any more.
const MOST_DEPENDENT: f64 = 0.8;

/// A slope, in units of the values for each unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Theil–Sen.
    pub estimate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The slope of the second half alone: what has levelled off has none there.
    pub later: f64,
    /// The median of the blocks.
    pub typical: f64,
    /// From the first value to the last, in time.
    pub span: f64,
}

/// The slope of values at instants; `None` where there are too few.
pub fn slope(series: &[(f64, f64)]) -> Option<Slope> {
    if series.len() < BLOCKS * LEAST {
        return None;
    }
    let blocks: Vec<(f64, f64)> = (0..BLOCKS)
        .map(|b| {
            let block = &series[series.len() * b / BLOCKS..series.len() * (b + 1) / BLOCKS];
            let n = block.len() as f64;
            let mean = |of: fn(&(f64, f64)) -> f64| block.iter().map(of).sum::<f64>() / n;
            (mean(|it| it.0), mean(|it| it.1))
        })
        .collect();
    let slopes = pairs(&blocks);
    let estimate = median(slopes.iter().copied())?;
    let n = BLOCKS as f64;
    // The variance of Kendall's statistic where there is no slope.
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let half = Z * deviation * widened(&blocks, estimate) / 2.0;
    let middle = slopes.len() as f64 / 2.0;
    let at = |place: f64| match place {
        below if below < 0.0 => f64::NEG_INFINITY,
        above if above > (slopes.len() - 1) as f64 => f64::INFINITY,
        place => slopes[place as usize],
    };
    Some(Slope {
        estimate,
        low: at((middle - half).floor()),
        high: at((middle + half).ceil()),
        later: median(pairs(&blocks[BLOCKS / 2..]))?,
        typical: median(blocks.iter().map(|it| it.1))?,
        span: series.last()?.0 - series.first()?.0,
    })
}

/// The slopes between all pairs, the lowest first.
fn pairs(blocks: &[(f64, f64)]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(blocks.len() * blocks.len() / 2);
    for (i, first) in blocks.iter().enumerate() {
        for second in &blocks[i + 1..] {
            let time = second.0 - first.0;
            if time > 0.0 {
                slopes.push((second.1 - first.1) / time);
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    slopes
}

/// By how much dependence of neighbouring blocks widens the interval: as for a mean, from the correlation of what the
/// slope leaves.
fn widened(blocks: &[(f64, f64)], estimate: f64) -> f64 {
    let rest: Vec<f64> = blocks.iter().map(|(t, v)| v - estimate * t).collect();
    let Some(middle) = median(rest.iter().copied()) else {
        return 1.0;
    };
    let rest: Vec<f64> = rest.iter().map(|it| it - middle).collect();
    let all: f64 = rest.iter().map(|it| it * it).sum();
    if all <= 0.0 {
        return 1.0;
    }
    let neighbours: f64 = rest.windows(2).map(|two| two[0] * two[1]).sum();
    // Estimates from so few blocks come out too low by about their number's inverse.
    let correlation = (neighbours / all + 1.0 / BLOCKS as f64).clamp(0.0, MOST_DEPENDENT);
    ((1.0 + correlation) / (1.0 - correlation)).sqrt()
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    use super::*;

    /// Noise around 100 whose neighbours depend on each other by `dependence`.
    struct Noise {
        source: Xoshiro256PlusPlus,
        dependence: f64,
        state: f64,
    }

    impl Noise {
        fn new(seed: u64, dependence: f64) -> Noise {
            Noise {
                source: Xoshiro256PlusPlus::seed_from_u64(seed),
                dependence,
                state: 0.0,
            }
        }

        /// Nearly normal, of deviation 1.
        fn next(&mut self) -> f64 {
            let uniform = |source: &mut Xoshiro256PlusPlus| {
                (source.next_u64() >> 11) as f64 / (1u64 << 53) as f64
            };
            let sum: f64 = (0..12).map(|_| uniform(&mut self.source)).sum();
            let fresh = sum - 6.0;
            let kept = (1.0 - self.dependence * self.dependence).sqrt();
            self.state = self.dependence * self.state + kept * fresh;
            self.state
        }
    }

    fn series(seconds: usize, of: impl FnMut(f64) -> f64) -> Vec<(f64, f64)> {
        let mut of = of;
        (0..seconds).map(|t| (t as f64, of(t as f64))).collect()
    }

    fn false_alarms(seconds: usize, dependence: f64) -> usize {
        (0..1000)
            .filter(|seed| {
                let mut noise = Noise::new(*seed, dependence);
                let slope = slope(&series(seconds, |_| 100.0 + 10.0 * noise.next())).unwrap();
                slope.low > 0.0 || slope.high < 0.0
            })
            .count()
    }

    #[test]
    fn noise_without_a_slope_has_one_called_in_at_most_one_of_a_hundred_cases() {
        for (seconds, dependence) in [(120, 0.0), (120, 0.5), (1200, 0.9), (3600, 0.95)] {
            let alarms = false_alarms(seconds, dependence);
            assert!(
                alarms <= 10,
                "{alarms} of 1000 at {seconds} s, {dependence}"
            );
        }
    }

    #[test]
    fn a_slope_is_found_with_an_interval_around_it() {
        let mut held = 0;
        for seed in 0..200 {
            let mut noise = Noise::new(seed, 0.5);
            let found = slope(&series(600, |t| 100.0 + 0.05 * t + 3.0 * noise.next())).unwrap();
            assert!(found.low > 0.0, "{seed}: {found:?}");
            held += usize::from(found.low <= 0.05 && 0.05 <= found.high);
        }
        assert!(held >= 194, "{held} of 200");
    }

    #[test]
    fn a_line_is_met_exactly_and_stalls_do_not_move_it() {
        let found = slope(&series(600, |t| 7.0 + 2.0 * t)).unwrap();
        assert!((found.estimate - 2.0).abs() < 1e-9 && (found.later - 2.0).abs() < 1e-9);
        assert!((found.span - 599.0).abs() < 1e-9);
        let stalled = |t: f64| {
            if (100.0..105.0).contains(&t) {
                1e6
            } else {
                7.0 + 2.0 * t
            }
        };
        let found = slope(&series(600, stalled)).unwrap();
        assert!((found.estimate - 2.0).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn what_levels_off_has_no_slope_in_its_second_half() {
        let found = slope(&series(600, |t| 100.0 * (1.0 - (-t / 60.0).exp()))).unwrap();
        assert!(found.later < 0.1 * found.estimate, "{found:?}");
    }

    #[test]
    fn few_values_have_none_and_equal_ones_have_none_but_zero() {
        assert_eq!(slope(&series(59, |t| t)), None);
        let flat = slope(&series(60, |_| 5.0)).unwrap();
        assert_eq!((flat.estimate, flat.low, flat.high), (0.0, 0.0, 0.0));
    }
}
