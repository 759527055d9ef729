//! What fills the messages: made once, handed out as slices.
//!
//! The body of a message is a slice of a pool, found from publisher and sequence alone; so nothing is
//! generated while measuring, and a consumer can compare every body with what was sent.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::measure::header;
use crate::scenario::workload::{self, Message};

/// Larger than the window of any compressor at the level that clients use (2 MiB for zstd, 64 KiB for
/// lz4 and snappy, 32 KiB for gzip), so that random bodies stay random; and no larger, because the
/// copies come out of the processor's cache.
const POOL: usize = 4 << 20;
/// Bodies start at multiples of this, so that copies are aligned.
const STRIDE: u64 = 64;

/// The pool and the sizes to cut from it.
#[derive(Debug)]
pub struct Payload {
    pool: Vec<u8>,
    /// Cumulative share of the draw below which a size is taken, and the body's length.
    sizes: Vec<(u64, usize)>,
    keys: u32,
    seed: u64,
    starts: u64,
}

impl Payload {
    /// Fills the pool.
    ///
    /// # Errors
    /// Where the file of a file payload cannot be read or is empty.
    pub fn new(message: &Message, seed: u64) -> Result<Payload, String> {
        let largest = message.largest() as usize;
        let length = POOL.max(largest * 2);
        let pool = match &message.payload {
            // Zeros need no variety, so the pool is as small as it can be.
            workload::Payload::Zeros => vec![0; largest + STRIDE as usize],
            workload::Payload::Random => random(length, seed),
            workload::Payload::Json => json(length, seed),
            workload::Payload::File(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|e| format!("the payload file {path} cannot be read: {e}"))?;
                if bytes.is_empty() {
                    return Err(format!("the payload file {path} is empty"));
                }
                bytes
                    .iter()
                    .copied()
                    .cycle()
                    .take(length.max(bytes.len()))
                    .collect()
            }
        };
        let weights: f64 = message.sizes.iter().map(|s| s.weight).sum();
        let mut passed = 0.0;
        let sizes = message
            .sizes
            .iter()
            .map(|s| {
                passed += s.weight / weights;
                let below = (passed * u64::MAX as f64) as u64;
                (below, (s.size.0 as usize).saturating_sub(header::LENGTH))
            })
            .collect();
        let starts = ((pool.len() - largest.min(pool.len())) as u64 / STRIDE).max(1);
        Ok(Payload {
            pool,
            sizes,
            keys: message.keys,
            seed,
            starts,
        })
    }

    /// The body of one message.
    #[inline]
    pub fn body(&self, publisher: u16, sequence: u64) -> &[u8] {
        let length = match self.sizes.as_slice() {
            [(_, only)] => *only,
            sizes => {
                let draw = mix(self.seed ^ 1, publisher, sequence);
                sizes
                    .iter()
                    .find(|(below, _)| draw <= *below)
                    .or(sizes.last())
                    .map_or(0, |(_, length)| *length)
            }
        };
        let place = sequence.wrapping_mul(length as u64 / STRIDE + 1) + u64::from(publisher) * 977;
        let start = (place % self.starts * STRIDE) as usize;
        &self.pool[start..start + length]
    }

    /// The key of one message, drawn evenly; `None` where messages have no keys.
    #[inline]
    pub fn key(&self, publisher: u16, sequence: u64) -> Option<u32> {
        if self.keys == 0 {
            return None;
        }
        let draw = mix(self.seed ^ 2, publisher, sequence);
        Some((draw >> 32) as u32 % self.keys)
    }
}

/// A well-mixed number from the place of a message (the finaliser of SplitMix64).
#[inline]
fn mix(seed: u64, publisher: u16, sequence: u64) -> u64 {
    let mut z = seed
        .wrapping_add(u64::from(publisher) << 48)
        .wrapping_add(sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn random(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

/// Records as services write them: field names that repeat, values that do not.
fn json(length: usize, seed: u64) -> Vec<u8> {
    use std::io::Write;
    const STATES: [&str; 5] = ["created", "paid", "packed", "shipped", "delivered"];
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut bytes = Vec::with_capacity(length + 256);
    while bytes.len() < length {
        let (a, b) = (random.next_u64(), random.next_u64());
        // Writing to a vector cannot fail.
        let _ = write!(
            bytes,
            r#"{{"order":"{a:016x}","customer":{},"state":"{}","amount":{}.{:02},"currency":"EUR","items":{},"trace":"{b:016x}"}}"#,
            a % 1_000_000,
            STATES[(b % 5) as usize],
            b % 1000,
            a % 100,
            b % 9 + 1,
        );
        bytes.push(b'\n');
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::units::Size;
    use crate::scenario::workload::WeightedSize;

    fn message(sizes: &[(u64, f64)], payload: workload::Payload) -> Message {
        Message {
            sizes: sizes
                .iter()
                .map(|(size, weight)| WeightedSize {
                    size: Size(*size),
                    weight: *weight,
                })
                .collect(),
            payload,
            keys: 10,
            verify: false,
        }
    }

    #[test]
    fn weighted_sizes_occur_by_their_weights() {
        let payload = Payload::new(
            &message(&[(132, 3.0), (1056, 1.0)], workload::Payload::Random),
            1,
        )
        .unwrap();
        let small = (0..100_000)
            .filter(|s| payload.body(0, *s).len() == 100)
            .count();
        assert!((74_000..76_000).contains(&small), "{small}");
        assert!((0..100_000).all(|s| matches!(payload.body(3, s).len(), 100 | 1024)));
    }

    #[test]
    fn bodies_that_follow_each_other_do_not_repeat_within_a_compression_window() {
        let payload = Payload::new(&message(&[(1056, 1.0)], workload::Payload::Random), 1).unwrap();
        let first = payload.body(0, 0);
        assert!((1..2048).all(|s| payload.body(0, s) != first));
    }

    #[test]
    fn every_body_lies_within_the_pool() {
        for kind in [
            workload::Payload::Zeros,
            workload::Payload::Json,
            workload::Payload::Random,
        ] {
            for size in [32, 33, 100_000] {
                let payload = Payload::new(&message(&[(size, 1.0)], kind.clone()), 1).unwrap();
                for sequence in (0..1_000_000u64).step_by(997) {
                    let body = payload.body((sequence % 65_536) as u16, sequence);
                    assert_eq!(body.len() as u64, size - 32);
                }
            }
        }
    }

    #[test]
    fn keys_are_drawn_evenly() {
        let payload = Payload::new(&message(&[(64, 1.0)], workload::Payload::Zeros), 1).unwrap();
        let mut counts = [0u32; 10];
        for sequence in 0..100_000 {
            counts[payload.key(0, sequence).unwrap() as usize] += 1;
        }
        assert!(
            counts.iter().all(|c| (9_500..10_500).contains(c)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_missing_payload_file_is_named() {
        let error = Payload::new(
            &message(&[(64, 1.0)], workload::Payload::File("/no/such".into())),
            1,
        )
        .unwrap_err();
        assert!(error.contains("/no/such"), "{error}");
    }
}
