//! How many messages a publisher may have under way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::group::Group;
use super::ledger::{Ledger, PublisherBook};
use super::task::WindowBy;

/// After so long without a receipt, credit of a window by receipts is taken back.
const RECLAIM: u64 = 1_000_000_000;
/// How often a publisher without credit looks for some that nobody told it of.
const LOOK: u64 = RECLAIM / 10;
/// One that waited so long asks whether what it waits for is lost.
const PATIENCE: u64 = 1_000_000;

/// How many messages one publisher may have under way.
#[derive(Debug)]
pub(super) enum Window {
    /// Any number: nothing says when one has arrived.
    Open,
    /// So many that are neither acknowledged nor failed.
    Acks(u64, Arc<PublisherBook>),
    /// So many that some group still waits for.
    Receipts(Receipts),
}

impl Window {
    pub fn of(ledger: &Ledger, publisher: usize) -> Window {
        let limit = u64::from(ledger.task.workload.in_flight.max(1));
        let book = Arc::clone(&ledger.publishers[publisher]);
        match ledger.task.window {
            WindowBy::Nothing => Window::Open,
            WindowBy::Acks => Window::Acks(limit, book),
            WindowBy::Receipts => Window::Receipts(Receipts {
                groups: ledger.groups.clone(),
                book,
                publisher,
                limit,
                in_hand: 0,
                corrections: vec![0; ledger.groups.len()],
                asked_at: 0,
                starved: None,
            }),
        }
    }

    /// How many messages may follow the `sent` ones. Where that is more than `enough`, it may be said
    /// to be less, but not less than `enough`.
    #[inline]
    pub fn credit(&mut self, sent: u64, enough: u64) -> u64 {
        match self {
            Window::Open => u64::MAX,
            Window::Acks(limit, book) => {
                let under_way = sent - book.released.0.load(Ordering::Acquire);
                limit.saturating_sub(under_way)
            }
            Window::Receipts(receipts) => receipts.credit(sent, enough.max(1)),
        }
    }

    /// So much of the credit is used.
    #[inline]
    pub fn spend(&mut self, count: u64) {
        if let Window::Receipts(receipts) = self {
            receipts.in_hand = receipts.in_hand.saturating_sub(count);
        }
    }

    /// Without credit: when to look again at the latest; `None` where there is some now, as messages
    /// that it waited for are lost.
    pub fn starve(&mut self, sent: u64, now: u64) -> Option<u64> {
        match self {
            Window::Open | Window::Acks(..) => Some(now + LOOK),
            Window::Receipts(receipts) => receipts.starve(sent, now),
        }
    }
}

/// A window where receipts are all that says how far messages have come.
///
/// Under way is what the slowest group has neither received nor given up. Receipts are counted by each
/// consumer for itself and added up here: a message that waits for a slow consumer is under way,
/// however far the others are. What a group has given up, and which receipts were copies, its books
/// know; they are asked once in a part of the window, and when nothing moves.
#[derive(Debug)]
pub(super) struct Receipts {
    groups: Vec<Arc<Group>>,
    book: Arc<PublisherBook>,
    publisher: usize,
    limit: u64,
    /// Credit when it was last reckoned, less what was used since.
    in_hand: u64,
    /// For each group: what is to be added to its receipts, modulo 2^64.
    corrections: Vec<u64>,
    /// How many messages were sent when the books were last asked.
    asked_at: u64,
    /// Since when there has been no credit.
    starved: Option<u64>,
}

impl Receipts {
    fn credit(&mut self, sent: u64, enough: u64) -> u64 {
        if self.in_hand < enough {
            if sent - self.asked_at >= self.limit.div_ceil(4) {
                self.ask(sent, 0);
            }
            self.in_hand = self.limit.saturating_sub(self.under_way(sent));
        }
        if self.in_hand > 0 {
            self.starved = None;
        }
        self.in_hand
    }

    fn under_way(&self, sent: u64) -> u64 {
        let groups = self.groups.iter().zip(&self.corrections);
        let each = groups.map(|(group, correction)| {
            let done = group.receipts(self.publisher).wrapping_add(*correction);
            sent.saturating_sub(done)
        });
        each.max().unwrap_or(0)
    }

    /// Asks the books of every group, and has them give up what they still miss below `given_up`.
    fn ask(&mut self, sent: u64, given_up: u64) {
        for (group, correction) in self.groups.iter().zip(&mut self.corrections) {
            *correction = group.correction(self.publisher, given_up);
        }
        self.asked_at = sent;
    }

    fn starve(&mut self, sent: u64, now: u64) -> Option<u64> {
        let starved = *self.starved.get_or_insert(now);
        if now >= starved + PATIENCE && self.asked_at < sent {
            self.ask(sent, 0);
            if self.credit(sent, 1) > 0 {
                return None;
            }
        }
        if now >= starved + RECLAIM {
            // Everything under way is lost: no receipt has come for so long.
            let lost = self.under_way(sent);
            self.book.reclaimed.fetch_add(lost, Ordering::Relaxed);
            self.ask(sent, sent);
            self.starved = None;
            return None;
        }
        Some(if self.asked_at < sent {
            starved + PATIENCE
        } else {
            now + LOOK
        })
    }
}
