//! How fast the machine is at the moment, by the time that it takes for always the same piece of work.
//!
//! A virtual machine becomes slower in ways that it is not told of: its neighbours fill the caches, take the other half of
//! a core, bring the clock down. Nothing of that is in any counter of the guest, the shares of the hypervisor included, and
//! all of it is in the throughput of every broker. So the work is timed while nothing is measured, just before and just
//! after a trial.

use std::hint::black_box;
use std::time::Duration;

use nix::time::ClockId;

/// How often the piece is done; what counts is the median.
const PIECES: usize = 15;
/// How often a piece goes over the table: half a millisecond and some, far more than a reading of the clock.
const ROUNDS: usize = 40;
/// Words in the table: 256 KiB, more than the nearest cache holds.
const WORDS: usize = 32 * 1024;
/// An odd number with its bits spread about.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

/// CPU time of the piece of work in nanoseconds, as it is now; `None` where the clock of a thread is not to be had. It takes
/// about ten milliseconds. What is said is only good for being compared with what the same program says at
/// another time.
pub fn work_ns() -> Option<f64> {
    let table: Vec<u64> = (0..WORDS as u64).map(|it| it.wrapping_mul(ODD)).collect();
    // The first one finds the table far away.
    work(&table);
    let mut times = Vec::with_capacity(PIECES);
    for _ in 0..PIECES {
        let began = thread_time()?;
        black_box(work(black_box(&table)));
        times.push(thread_time()?.checked_sub(began)?.as_nanos() as f64);
    }
    times.sort_by(f64::total_cmp);
    Some(times[PIECES / 2])
}

fn work(table: &[u64]) -> u64 {
    let step = |sum: u64, word: u64| (sum ^ word).wrapping_mul(ODD).rotate_left(23);
    let (mut a, mut b, mut c, mut d) = (1, 1, 1, 1);
    for _ in 0..ROUNDS {
        // Four sums that do not wait for each other, so that all units of a core are at work.
        for words in table.as_chunks::<4>().0 {
            a = step(a, words[0]);
            b = step(b, words[1]);
            c = step(c, words[2]);
            d = step(d, words[3]);
        }
    }
    a ^ b ^ c ^ d
}

fn thread_time() -> Option<Duration> {
    let now = ClockId::CLOCK_THREAD_CPUTIME_ID.now().ok()?;
    Some(Duration::from(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_takes_time_and_is_the_same_each_time() {
        assert!(work_ns().unwrap() > 0.0);
        let table = [3, 5, 7, 11, 13, 17, 19, 23];
        assert_eq!(work(&table), work(&table));
        assert_ne!(work(&table), work(&table[4..]));
    }
}
