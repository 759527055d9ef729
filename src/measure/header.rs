//! The 32 bytes in front of every payload, by which each message is accounted for.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version |
//! | 1 | flags: bit 0 = belongs to the measured part |
//! | 2–3 | trial |
//! | 4–7 | run |
//! | 8–9 | publisher |
//! | 10–15 | sequence, per publisher (48 bits) |
//! | 16–23 | intended instant, nanoseconds |
//! | 24–31 | sent instant, nanoseconds |
//!
//! All little-endian. The sent instant stands whole, not as a delay of 32 bits, because a publisher
//! can be held back for longer than 4 s.

/// Length in bytes.
pub const LENGTH: usize = 32;
/// Sequences are below this.
pub const SEQUENCES: u64 = 1 << 48;

const VERSION: u8 = 0xB1;
const MEASURED: u8 = 1;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the message belongs to the measured part (not to the warm-up).
    pub measured: bool,
    /// Which trial of the run.
    pub trial: u16,
    /// Which run.
    pub run: u32,
    /// Which publisher.
    pub publisher: u16,
    /// Counted from 0, per publisher, through warm-up and measured part.
    pub sequence: u64,
    /// When it was due, nanoseconds of the host's monotonic clock.
    pub intended: u64,
    /// When it was handed to the client library, same clock.
    pub sent: u64,
}

impl Header {
    /// The bytes that go in front.
    #[inline]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        out[0] = VERSION;
        out[1] = if self.measured { MEASURED } else { 0 };
        out[2..4].copy_from_slice(&self.trial.to_le_bytes());
        out[4..8].copy_from_slice(&self.run.to_le_bytes());
        let id = u64::from(self.publisher) | self.sequence << 16;
        out[8..16].copy_from_slice(&id.to_le_bytes());
        out[16..24].copy_from_slice(&self.intended.to_le_bytes());
        out[24..32].copy_from_slice(&self.sent.to_le_bytes());
        out
    }

    /// Reads the front of a message; `None` where it is none of ours.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let head: &[u8; LENGTH] = bytes.first_chunk()?;
        if head[0] != VERSION {
            return None;
        }
        let id = word(head, 8);
        Some(Header {
            measured: head[1] & MEASURED != 0,
            trial: u16::from_le_bytes([head[2], head[3]]),
            run: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
            publisher: id as u16,
            sequence: id >> 16,
            intended: word(head, 16),
            sent: word(head, 24),
        })
    }
}

#[inline]
fn word(head: &[u8; LENGTH], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&head[at..at + 8]);
    u64::from_le_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            measured: bool, trial: u16, run: u32, publisher: u16,
            sequence in 0..SEQUENCES, intended: u64, sent: u64,
        ) {
            let header = Header { measured, trial, run, publisher, sequence, intended, sent };
            prop_assert_eq!(Header::decode(&header.encode()), Some(header));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Header::decode(&bytes);
        }
    }

    #[test]
    fn a_message_shorter_than_the_header_is_foreign() {
        assert_eq!(Header::decode(&[VERSION; LENGTH - 1]), None);
    }
}
