//! Small things that the books of a trial are made of.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::measure::latency::Latency;

/// A counter on a cache line of its own (two, as processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

/// A lock whose holder's panic changes nothing for the others: counts stay counts.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A histogram of the second that runs, and of all before it.
#[derive(Debug, Default)]
pub struct Recorder {
    second: Latency,
    before: Latency,
}

impl Recorder {
    /// Records one sample; see [`Latency::record`].
    #[inline]
    pub fn record(&mut self, from: u64, to: u64) {
        self.second.record(from, to);
    }

    /// Ends the second: its samples are added to `into` and to the whole.
    pub fn end_second(&mut self, into: &mut Latency) {
        if self.second.count() > 0 {
            into.merge(&self.second);
            self.before.merge(&self.second);
            self.second.clear();
        }
    }

    /// Everything recorded in seconds that have ended.
    pub fn before(&self) -> &Latency {
        &self.before
    }
}
