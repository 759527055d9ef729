//! Which destination each message goes to, known to both sides without asking.

use std::sync::Arc;

use super::payload::Payload;
use super::task::{Order, Task};

/// The way from publisher and sequence to destination and lane.
///
/// A publisher goes round its destinations, by key where there are keys, so that a key stays in one
/// place.
#[derive(Clone, Debug)]
pub struct Route {
    /// By publisher: its destinations.
    own: Arc<[Vec<u32>]>,
    /// How many a publisher has at most.
    most: u32,
    keys: u32,
    payload: Arc<Payload>,
}

impl Route {
    pub(super) fn new(task: &Task, payload: Arc<Payload>) -> Route {
        // A backlog is preloaded by one publisher that the workload does not name.
        let publishers = 0..task.workload.publishers.max(1);
        let own: Arc<[Vec<u32>]> = publishers.map(|p| task.destinations_by(p)).collect();
        Route {
            most: own.iter().map(Vec::len).max().unwrap_or(1) as u32,
            own,
            keys: task.workload.message.keys,
            payload,
        }
    }

    /// Publishers that there are, the one that preloads included.
    pub fn publishers(&self) -> u32 {
        self.own.len() as u32
    }

    /// Which of its destinations a publisher sends a message to.
    #[inline]
    fn turn(&self, publisher: u16, sequence: u64) -> usize {
        let destinations = self.own[usize::from(publisher)].len();
        if destinations == 1 {
            return 0;
        }
        let number = match self.payload.key(publisher, sequence) {
            Some(key) => u64::from(key),
            None => sequence,
        };
        (number % destinations as u64) as usize
    }

    /// The destination of one message.
    #[inline]
    pub fn destination(&self, publisher: u16, sequence: u64) -> u32 {
        self.own[usize::from(publisher)][self.turn(publisher, sequence)]
    }

    /// The lanes of a publisher, where order is per publisher, and the destination of each.
    pub(super) fn lanes(&self, publisher: u16) -> impl Iterator<Item = (usize, u32)> + '_ {
        let first = usize::from(publisher) * self.most as usize;
        let own = self.own[usize::from(publisher)].iter();
        own.enumerate()
            .map(move |(turn, destination)| (first + turn, *destination))
    }

    /// Messages of one lane must keep their order among each other. Lanes of all publishers are
    /// numbered through.
    #[inline]
    pub(super) fn lane(&self, order: Order, publisher: u16, sequence: u64) -> usize {
        let (lanes, lane) = match order {
            Order::PerKey if self.keys > 0 => {
                let key = self.payload.key(publisher, sequence).unwrap_or(0);
                (self.keys, key as usize)
            }
            _ => (self.most, self.turn(publisher, sequence)),
        };
        usize::from(publisher) * lanes as usize + lane
    }
}
