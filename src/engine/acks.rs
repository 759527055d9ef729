//! Where publishers say what became of their messages.

use std::fmt::Display;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::ledger::{AckRecord, PublisherBook};
use super::shared::lock;
use crate::measure::clock::{Clock, Monotonic};
use crate::measure::header::Header;

/// Reasons of failure that are told apart; the rest are counted together.
const REASONS: usize = 50;

/// Names a message that was sent, for its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub(super) sequence: u64,
    pub(super) intended: u64,
    pub(super) sent: u64,
    pub(super) measured: bool,
}

impl Token {
    /// Reads it back from the message itself, for clients that give the message back with its
    /// acknowledgement.
    pub fn of(message: &[u8]) -> Option<Token> {
        Header::decode(message).map(|h| Token {
            sequence: h.sequence,
            intended: h.intended,
            sent: h.sent,
            measured: h.measured,
        })
    }

    /// Whether the message belongs to the measured part.
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// The publisher's sequence: 0, 1, 2, …
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// Where a publisher says what became of its messages. One acknowledgement costs a stamp and two
/// locks that nobody else wants; a batch costs the same once.
#[derive(Clone, Debug)]
pub struct Acks<C: Clock = Monotonic> {
    pub(super) clock: C,
    pub(super) book: Arc<PublisherBook>,
    pub(super) record: Arc<Mutex<AckRecord>>,
    pub(super) open_loop: bool,
}

impl<C: Clock> Acks<C> {
    /// The broker took responsibility for this message, now.
    #[inline]
    pub fn acked(&self, token: Token) {
        self.acked_all([token]);
    }

    /// The broker took responsibility for all of these with one answer, now.
    pub fn acked_all(&self, tokens: impl IntoIterator<Item = Token>) {
        let now = self.clock.now();
        let mut count = 0;
        let mut record = lock(&self.record);
        let mut outcome = lock(&self.book.outcome);
        for token in tokens {
            count += 1;
            outcome.acked.insert(token.sequence);
            if token.measured {
                outcome.acked_measured += 1;
                if self.open_loop {
                    record.publish.record(token.intended, now);
                }
                record.service.record(token.sent, now);
            }
        }
        drop((record, outcome));
        self.release(count);
    }

    /// This message was refused or given up, and why.
    pub fn failed(&self, token: Token, reason: &dyn Display) {
        let mut outcome = lock(&self.book.outcome);
        outcome.failed_measured += u64::from(token.measured);
        let mut reason = reason.to_string();
        if outcome.reasons.len() >= REASONS && !outcome.reasons.contains_key(&reason) {
            reason = "other reasons".to_owned();
        }
        *outcome.reasons.entry(reason).or_default() += 1;
        drop(outcome);
        self.release(1);
    }

    fn release(&self, count: u64) {
        self.book.released.0.fetch_add(count, Ordering::SeqCst);
        self.book.wake();
    }
}
