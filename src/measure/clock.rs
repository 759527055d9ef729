//! One monotonic clock for a host, and a simulated one that is exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::time::{ClockId, clock_gettime};

/// Where every stamp comes from. Nanoseconds; the origin is the clock's own business.
pub trait Clock: Clone + Send + Sync + 'static {
    /// The present instant in nanoseconds.
    fn now(&self) -> u64;
}

/// The host's `CLOCK_MONOTONIC`: every process on the host shares it, so stamps of one process can
/// be subtracted from those of another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    #[inline]
    fn now(&self) -> u64 {
        // The call cannot fail for a clock that every Linux has; zero would show up as a negative
        // latency, which is counted.
        clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |t| {
            t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64
        })
    }
}

/// A clock that stands still until it is set.
#[derive(Clone, Debug, Default)]
pub struct Simulated(Arc<AtomicU64>);

impl Simulated {
    /// Moves the clock to this instant.
    pub fn set(&self, nanoseconds: u64) {
        self.0.store(nanoseconds, Ordering::Relaxed);
    }
}

impl Clock for Simulated {
    #[inline]
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
