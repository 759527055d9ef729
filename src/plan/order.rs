//! The order of trials: blocks of one trial of every broker, each shuffled, so that whatever drifts on
//! the machine hits all brokers alike. In a sweep a block has one trial of every broker at every rate: one rate
//! after the other, upwards, so that nobody is measured right after what was too much for it.

use std::hash::{BuildHasher, Hasher, RandomState};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::model::PlannedTrial;

/// A seed for a run that names none: short enough to be typed again.
pub fn draw_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> 32
}

/// Every trial, in order. Earlier blocks stay as they are when trials are added.
///
/// `points` is the number of load points, 1 without a sweep.
pub fn interleave(brokers: usize, points: usize, trials: u32, seed: u64) -> Vec<PlannedTrial> {
    let mut blocks = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut planned = Vec::new();
    let mut number = 0;
    for block in 1..=trials {
        let seed = blocks.next_u64() >> 11;
        let mut shuffle = Xoshiro256PlusPlus::seed_from_u64(blocks.next_u64());
        for point in 0..points {
            let mut order: Vec<usize> = (0..brokers).collect();
            for last in (1..order.len()).rev() {
                order.swap(last, below(&mut shuffle, last + 1));
            }
            for broker in order {
                number += 1;
                planned.push(PlannedTrial {
                    number,
                    block,
                    broker,
                    point,
                    seed,
                });
            }
        }
    }
    planned
}

/// A number below `bound`, each as likely (by widening; the bias is below 2^-32 for any real bound).
fn below(rng: &mut Xoshiro256PlusPlus, bound: usize) -> usize {
    let wide = u128::from(rng.next_u64()) * bound as u128;
    (wide >> 64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_block_holds_every_broker_once() {
        let trials = interleave(4, 1, 5, 42);
        assert_eq!(trials.len(), 20);
        for block in 1..=5 {
            let brokers: HashSet<usize> = trials
                .iter()
                .filter(|trial| trial.block == block)
                .map(|trial| trial.broker)
                .collect();
            assert_eq!(brokers.len(), 4);
        }
        let numbers: Vec<u32> = trials.iter().map(|trial| trial.number).collect();
        assert_eq!(numbers, (1..=20).collect::<Vec<u32>>());
    }

    #[test]
    fn a_block_of_a_sweep_holds_every_broker_at_every_rate_upwards() {
        let trials = interleave(3, 4, 2, 42);
        assert_eq!(trials.len(), 24);
        for block in trials.chunks(12) {
            for (point, at_point) in block.chunks(3).enumerate() {
                assert!(at_point.iter().all(|trial| trial.point == point));
                let brokers: HashSet<usize> = at_point.iter().map(|it| it.broker).collect();
                assert_eq!(brokers.len(), 3);
            }
        }
    }

    #[test]
    fn the_seed_alone_decides_the_order() {
        assert_eq!(interleave(4, 1, 5, 42), interleave(4, 1, 5, 42));
        assert_ne!(interleave(4, 1, 5, 42), interleave(4, 1, 5, 43));
        assert_eq!(interleave(4, 1, 3, 42)[..], interleave(4, 1, 5, 42)[..12]);
    }

    #[test]
    fn every_order_comes_up_about_as_often_as_any_other() {
        let mut seen = std::collections::HashMap::<Vec<usize>, u32>::new();
        for block in interleave(3, 1, 6000, 1).chunks(3) {
            let order = block.iter().map(|trial| trial.broker).collect();
            *seen.entry(order).or_default() += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|n| (850..1150).contains(n)), "{seen:?}");
    }

    #[test]
    fn trials_of_a_block_share_their_arrivals_and_blocks_differ() {
        let trials = interleave(2, 1, 3, 7);
        assert_eq!(trials[0].seed, trials[1].seed);
        assert_ne!(trials[0].seed, trials[2].seed);
        assert!(trials.iter().all(|trial| trial.seed < 1 << 53));
    }
}
