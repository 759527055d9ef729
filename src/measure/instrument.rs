//! The instrument itself, before any message: what a reading of the clock costs and tells apart, and how
//! late a sleep ends.

use std::thread;
use std::time::Duration;

use nix::sys::prctl::set_timerslack;
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::latency::Latency;
use super::percentile::percentile;

/// Readings that are timed together, so that the two around them do not count.
const READINGS: usize = 2_000;
/// So often: the median is not moved by an interrupt.
const BATCHES: usize = 51;
/// Sleeps, so many that 50 lie beyond the 90th percentile.
const SLEEPS: usize = 600;
/// How long each is to last.
const SLEEP: Duration = Duration::from_millis(1);

/// What a reading of the clock costs, and what it tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockCost {
    /// Nanoseconds of a reading.
    pub cost_ns: f64,
    /// The least time that was seen between two readings that differ, nanoseconds: no more than the two
    /// readings take, where the clock is fine enough.
    pub step_ns: u64,
}

impl ClockCost {
    /// Reads the clock some hundred thousand times.
    pub fn measure(clock: &impl Clock) -> ClockCost {
        let mut costs: Vec<f64> = (0..BATCHES)
            .map(|_| {
                let began = clock.now();
                for _ in 0..READINGS {
                    std::hint::black_box(clock.now());
                }
                (clock.now() - began) as f64 / (READINGS + 1) as f64
            })
            .collect();
        costs.sort_by(f64::total_cmp);
        let readings: Vec<u64> = (0..READINGS * 10).map(|_| clock.now()).collect();
        ClockCost {
            cost_ns: costs[BATCHES / 2],
            step_ns: step(&readings),
        }
    }
}

/// The least difference between neighbours that is none; 0 where there is no such.
fn step(readings: &[u64]) -> u64 {
    let steps = readings.windows(2).map(|two| two[1].saturating_sub(two[0]));
    steps.filter(|step| *step > 0).min().unwrap_or(0)
}

/// How late the system ends a sleep, with the least slack that it can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SleepLateness {
    /// Median, nanoseconds.
    pub p50_ns: Option<u64>,
    /// 90th percentile, nanoseconds.
    pub p90_ns: Option<u64>,
}

impl SleepLateness {
    /// Sleeps some hundred times for a millisecond, on a thread of its own: slack is a thread's.
    pub fn measure<C: Clock>(clock: &C) -> SleepLateness {
        let clock = clock.clone();
        let sleeper = thread::spawn(move || {
            // Where it is refused, sleeps are later, which is what is measured.
            let _ = set_timerslack(1);
            let mut late = Latency::default();
            for _ in 0..SLEEPS {
                let due = clock.now() + SLEEP.as_nanos() as u64;
                thread::sleep(SLEEP);
                late.record(due, clock.now());
            }
            late
        });
        sleeper.join().map_or_else(
            |_| SleepLateness::default(),
            |late| SleepLateness::of(&late),
        )
    }

    fn of(late: &Latency) -> SleepLateness {
        SleepLateness {
            p50_ns: percentile(late, 0, 0.5).value(),
            p90_ns: percentile(late, 0, 0.9).value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Goes on by so many nanoseconds with each reading.
    #[derive(Clone)]
    struct Ticking(Arc<AtomicU64>, u64);

    impl Clock for Ticking {
        fn now(&self) -> u64 {
            self.0.fetch_add(self.1, Ordering::Relaxed)
        }
    }

    #[test]
    fn a_reading_costs_what_it_takes() {
        let found = ClockCost::measure(&Ticking(Arc::default(), 25));
        assert_eq!((found.cost_ns, found.step_ns), (25.0, 25));
        let stands_still = ClockCost::measure(&Ticking(Arc::default(), 0));
        assert_eq!(stands_still, ClockCost::default());
    }

    #[test]
    fn the_step_is_the_least_that_is_none() {
        assert_eq!(step(&[5, 5, 12, 15, 15, 30]), 3);
        assert_eq!(step(&[]), 0);
        assert_eq!(step(&[9, 7]), 0, "backwards is no step");
    }

    #[test]
    fn a_sleep_that_is_seldom_measured_has_no_90th_percentile() {
        let mut late = Latency::default();
        for _ in 0..120 {
            late.record(0, 50_000);
        }
        let found = SleepLateness::of(&late);
        assert!(found.p50_ns.is_some() && found.p90_ns.is_none());
    }
}
