//! When messages are due: an absolute schedule, computed and never adjusted.
//!
//! Every arrival process is the same walk in *operational time* (the number of messages that should
//! have been sent by now), mapped to the clock by the inverse of the cumulative rate. Steps of rate
//! are corners of that map; uniform, Poisson and burst arrivals are ways to walk.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::scenario::workload::{Arrival, Load, Phases};

const SECOND: f64 = 1e9;

/// A stretch of constant rate.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Nanoseconds after the start of the load.
    from: f64,
    /// Messages due before it, over all publishers.
    before: f64,
    /// Messages per nanosecond, over all publishers.
    rate: f64,
}

/// The due instants of one publisher, in order, without end.
#[derive(Clone, Debug)]
pub struct Schedule {
    stretches: Vec<Stretch>,
    at: usize,
    walk: Walk,
    publisher: f64,
    publishers: f64,
    next: u64,
}

#[derive(Clone, Debug)]
enum Walk {
    Uniform {
        index: u64,
    },
    Burst {
        index: u64,
        size: f64,
    },
    Poisson {
        passed: f64,
        random: Box<Xoshiro256PlusPlus>,
    },
}

impl Schedule {
    /// The schedule of one publisher among several; `None` for a closed loop, which has none.
    ///
    /// The warm-up runs at the first rate. Instants are nanoseconds after the start of the load.
    pub fn new(
        load: &Load,
        phases: &Phases,
        publisher: u32,
        publishers: u32,
        seed: u64,
    ) -> Option<Schedule> {
        let (rates, arrival): (Vec<(f64, f64)>, Arrival) = match load {
            Load::Max => return None,
            Load::Rate { rate, arrival } => (vec![(rate.0 / SECOND, 0.0)], *arrival),
            Load::Steps { steps, arrival } => (
                steps
                    .iter()
                    .map(|s| (s.rate.0 / SECOND, s.lasts.as_nanos() as f64))
                    .collect(),
                *arrival,
            ),
        };
        let mut stretches = Vec::with_capacity(rates.len());
        let (mut from, mut before) = (0.0, 0.0);
        for (number, (rate, lasts)) in rates.into_iter().enumerate() {
            stretches.push(Stretch { from, before, rate });
            let warmup = if number == 0 {
                phases.warmup.as_nanos() as f64
            } else {
                0.0
            };
            from += lasts + warmup;
            before += (lasts + warmup) * rate;
        }
        let walk = match arrival {
            Arrival::Uniform => Walk::Uniform { index: 0 },
            Arrival::Burst(size) => Walk::Burst {
                index: 0,
                size: f64::from(size.max(1)),
            },
            Arrival::Poisson => Walk::Poisson {
                passed: 0.0,
                random: Box::new(Xoshiro256PlusPlus::seed_from_u64(
                    seed ^ (u64::from(publisher) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
                )),
            },
        };
        let mut schedule = Schedule {
            stretches,
            at: 0,
            walk,
            publisher: f64::from(publisher),
            publishers: f64::from(publishers),
            next: 0,
        };
        schedule.next = schedule.step();
        Some(schedule)
    }

    /// When the next message is due.
    #[inline]
    pub fn peek(&self) -> u64 {
        self.next
    }

    /// Takes the next message.
    #[inline]
    pub fn pop(&mut self) -> u64 {
        let due = self.next;
        self.next = self.step();
        due
    }

    #[inline]
    fn step(&mut self) -> u64 {
        let place = match &mut self.walk {
            Walk::Uniform { index } => {
                let place = *index as f64 * self.publishers + self.publisher;
                *index += 1;
                place
            }
            Walk::Burst { index, size } => {
                let place = *index as f64 * self.publishers + self.publisher;
                *index += 1;
                (place / *size).floor() * *size
            }
            Walk::Poisson { passed, random } => {
                // Each publisher is a Poisson process of its share of the rate; together they are one of the whole.
                *passed += exponential(random) * self.publishers;
                *passed
            }
        };
        while let Some(next) = self.stretches.get(self.at + 1)
            && next.before <= place
        {
            self.at += 1;
        }
        let stretch = self.stretches[self.at];
        (stretch.from + (place - stretch.before) / stretch.rate).round() as u64
    }
}

/// A draw from the exponential distribution with mean 1.
fn exponential(random: &mut Xoshiro256PlusPlus) -> f64 {
    // 53 random bits, shifted by half a step so that the logarithm never sees zero.
    let uniform = ((random.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::units::Rate;
    use crate::scenario::workload::{Measure, Step};
    use std::time::Duration;

    fn phases(warmup: u64) -> Phases {
        Phases {
            warmup: Duration::from_secs(warmup),
            measure: Measure::Time(Duration::from_secs(10)),
            drain: Duration::from_secs(1),
        }
    }

    fn rate(per_second: f64, arrival: Arrival) -> Load {
        Load::Rate {
            rate: Rate(per_second),
            arrival,
        }
    }

    #[test]
    fn uniform_messages_of_all_publishers_interleave_evenly() {
        let load = rate(1000.0, Arrival::Uniform);
        let mut all = Vec::new();
        for publisher in 0..4 {
            let mut schedule = Schedule::new(&load, &phases(0), publisher, 4, 1).unwrap();
            all.extend((0..250).map(|_| schedule.pop()));
        }
        all.sort_unstable();
        let expected: Vec<u64> = (0..1000).map(|i| i * 1_000_000).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn the_schedule_does_not_drift_over_a_thousand_million_messages() {
        let mut schedule =
            Schedule::new(&rate(300_000.0, Arrival::Uniform), &phases(0), 0, 1, 1).unwrap();
        schedule.walk = Walk::Uniform {
            index: 1_000_000_000,
        };
        let due = schedule.step();
        assert!(due.abs_diff(3_333_333_333_333) <= 1, "{due}");
    }

    #[test]
    fn bursts_are_due_at_once_and_keep_the_mean_rate() {
        let mut schedule =
            Schedule::new(&rate(1000.0, Arrival::Burst(10)), &phases(0), 0, 1, 1).unwrap();
        let due: Vec<u64> = (0..30).map(|_| schedule.pop()).collect();
        assert!(due[..10].iter().all(|d| *d == 0));
        assert!(due[10..20].iter().all(|d| *d == 10_000_000));
        assert!(due[20..].iter().all(|d| *d == 20_000_000));
    }

    #[test]
    fn steps_change_the_rate_at_their_corners() {
        let load = Load::Steps {
            steps: vec![
                Step {
                    rate: Rate(100.0),
                    lasts: Duration::from_secs(1),
                },
                Step {
                    rate: Rate(1000.0),
                    lasts: Duration::from_secs(1),
                },
            ],
            arrival: Arrival::Uniform,
        };
        let mut schedule = Schedule::new(&load, &phases(1), 0, 1, 1).unwrap();
        let due: Vec<u64> = (0..1200).map(|_| schedule.pop()).collect();
        let within = |from: u64, to: u64| due.iter().filter(|d| (from..to).contains(*d)).count();
        assert_eq!(
            within(0, 2_000_000_000),
            200,
            "warm-up and first step at 100/s"
        );
        assert_eq!(within(2_000_000_000, 3_000_000_000), 1000);
    }

    #[test]
    fn poisson_gaps_pass_a_kolmogorov_smirnov_test_and_are_the_same_for_the_same_seed() {
        let load = rate(5000.0, Arrival::Poisson);
        for publishers in [1, 3] {
            let mut all: Vec<u64> = (0..publishers)
                .flat_map(|p| {
                    let mut s = Schedule::new(&load, &phases(0), p, publishers, 7).unwrap();
                    let mut again = Schedule::new(&load, &phases(0), p, publishers, 7).unwrap();
                    (0..100_000 / publishers)
                        .map(|_| {
                            let due = s.pop();
                            assert_eq!(due, again.pop());
                            due
                        })
                        .collect::<Vec<_>>()
                })
                .collect();
            all.sort_unstable();
            all.truncate(90_000);
            let mut gaps: Vec<f64> = all
                .windows(2)
                .map(|w| (w[1] - w[0]) as f64 / 1e9 * 5000.0)
                .collect();
            gaps.sort_by(f64::total_cmp);
            let n = gaps.len() as f64;
            let distance = gaps
                .iter()
                .enumerate()
                .map(|(i, gap)| {
                    let model = 1.0 - (-gap).exp();
                    (model - i as f64 / n)
                        .abs()
                        .max((model - (i as f64 + 1.0) / n).abs())
                })
                .fold(0.0, f64::max);
            // 1.63 / √n is the 1 % point of the Kolmogorov distribution; the seed is fixed.
            assert!(distance < 1.63 / n.sqrt(), "{distance} with {publishers}");
        }
    }

    #[test]
    fn a_closed_loop_has_no_schedule() {
        assert!(Schedule::new(&Load::Max, &phases(0), 0, 1, 1).is_none());
    }
}
