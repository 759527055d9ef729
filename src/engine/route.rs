//! Which destination each message goes to, known to both sides without asking.

use std::sync::Arc;

use super::payload::Payload;
use super::task::Order;
use crate::scenario::workload::Workload;

/// The way from publisher and sequence to destination and lane.
///
/// With at most as many destinations as publishers, each publisher has one; otherwise it goes round
/// its own, by key where there are keys, so that a key stays in one place.
#[derive(Clone, Debug)]
pub struct Route {
    publishers: u32,
    destinations: u32,
    keys: u32,
    payload: Arc<Payload>,
}

impl Route {
    pub(super) fn new(workload: &Workload, payload: Arc<Payload>) -> Route {
        Route {
            // A backlog is preloaded by one publisher that the workload does not name.
            publishers: workload.publishers.max(1),
            destinations: workload.destinations.max(1),
            keys: workload.message.keys,
            payload,
        }
    }

    /// Publishers that there are, the one that preloads included.
    pub fn publishers(&self) -> u32 {
        self.publishers
    }

    /// How many destinations a publisher has.
    fn of(&self, publisher: u16) -> u32 {
        if self.destinations <= self.publishers {
            1
        } else {
            (self.destinations - u32::from(publisher)).div_ceil(self.publishers)
        }
    }

    fn turn(&self, publisher: u16, sequence: u64) -> u32 {
        let number = match self.payload.key(publisher, sequence) {
            Some(key) => u64::from(key),
            None => sequence,
        };
        (number % u64::from(self.of(publisher))) as u32
    }

    /// The destination of one message.
    #[inline]
    pub fn destination(&self, publisher: u16, sequence: u64) -> u32 {
        if self.destinations == 1 {
            return 0;
        }
        if self.destinations <= self.publishers {
            return u32::from(publisher) % self.destinations;
        }
        u32::from(publisher) + self.turn(publisher, sequence) * self.publishers
    }

    /// Messages of one lane must keep their order among each other. Lanes of all publishers are
    /// numbered through.
    #[inline]
    pub(super) fn lane(&self, order: Order, publisher: u16, sequence: u64) -> usize {
        let (lanes, lane) = match order {
            Order::PerKey if self.keys > 0 => {
                let key = self.payload.key(publisher, sequence).unwrap_or(0);
                (self.keys, key)
            }
            _ if self.destinations <= self.publishers => return usize::from(publisher),
            _ => (
                self.destinations.div_ceil(self.publishers),
                self.turn(publisher, sequence),
            ),
        };
        usize::from(publisher) * lanes as usize + lane as usize
    }
}
