//! Where consumers hand in what they received.
//!
//! `received` takes a stamp, reads the header and puts four words into the consumer's own ring: no
//! lock, no allocation, no shared cache line. The books of the group are brought up to date from the
//! rings in batches, by the consumer itself when it has collected some, and by the controller when the
//! consumer is idle.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;

use super::group::{Group, MEASURED, REDELIVERED, RING, add};
use super::ledger::{Ledger, PublisherBook};
use super::shared::lock;
use crate::measure::clock::{Clock, Monotonic};
use crate::measure::header::{self, Header};

/// A consumer brings the books up to date when it has collected this many.
const BATCH: u64 = 64;

/// Where one consumer hands in its messages.
#[derive(Debug)]
pub struct Inbox<C: Clock = Monotonic> {
    clock: C,
    ledger: Arc<Ledger>,
    group: Arc<Group>,
    consumer: usize,
    is_ready: bool,
    /// Kept until the consumer is ready.
    turn: Option<OwnedSemaphorePermit>,
}

impl<C: Clock> Inbox<C> {
    /// The inbox of one consumer of one group. There is one for each consumer.
    pub fn new(ledger: &Arc<Ledger>, clock: C, group: usize, consumer: usize) -> Inbox<C> {
        Inbox {
            clock,
            group: Arc::clone(&ledger.groups[group]),
            ledger: Arc::clone(ledger),
            consumer,
            is_ready: false,
            turn: None,
        }
    }

    /// Keeps the turn to connect until the consumer is ready, or gone.
    pub fn in_turn(&mut self, turn: OwnedSemaphorePermit) {
        self.turn = Some(turn);
    }

    /// This consumer can receive: the load may start when all can.
    pub fn ready(&mut self) {
        if !self.is_ready {
            self.is_ready = true;
            self.turn = None;
            self.ledger.ready.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether the trial is over: a blocking loop looks at it whenever a receive times out.
    pub fn is_over(&self) -> bool {
        self.ledger.stopping.load(Ordering::Relaxed)
    }

    /// The present instant: one stamp for all messages that came with one read.
    #[inline]
    pub fn stamp(&self) -> u64 {
        self.clock.now()
    }

    /// Hands in one message, received now.
    #[inline]
    pub fn received(&mut self, bytes: &[u8]) {
        self.received_at(self.clock.now(), bytes, false);
    }

    /// Hands in one message.
    ///
    /// `redelivered` is what the broker says of it: a second copy that the broker announces as such is
    /// counted apart from a silent one.
    #[inline]
    pub fn received_at(&mut self, stamp: u64, bytes: &[u8], redelivered: bool) {
        let ring = &self.group.rings[self.consumer];
        let task = &self.ledger.task;
        let header = match Header::decode(bytes) {
            Some(h) if h.run == task.run && h.trial == task.trial => h,
            _ => return add(&ring.counts.0.unexpected, 1),
        };
        if u32::from(header.publisher) >= self.ledger.route.publishers() {
            return add(&ring.counts.0.corrupted, 1);
        }
        if task.workload.message.verify
            && &bytes[header::LENGTH..]
                != self.ledger.payload.body(header.publisher, header.sequence)
        {
            add(&ring.counts.0.corrupted, 1);
        }
        add(&ring.counts.0.bytes, bytes.len() as u64);
        ring.counts.0.last.store(stamp, Ordering::Relaxed);

        let head = ring.head.0.load(Ordering::Relaxed);
        let mut waiting = head - ring.tail.0.load(Ordering::Acquire);
        if waiting >= BATCH {
            self.settle(waiting as usize == RING);
            waiting = head - ring.tail.0.load(Ordering::Acquire);
        }
        debug_assert!((waiting as usize) < RING, "a full ring was settled");
        let mut id =
            u64::from(header.publisher) | header.sequence << 16 & !(MEASURED | REDELIVERED);
        id |= if header.measured { MEASURED } else { 0 };
        id |= if redelivered { REDELIVERED } else { 0 };
        let slot = &ring.slots[head as usize % RING];
        slot[0].store(id, Ordering::Relaxed);
        slot[1].store(header.intended, Ordering::Relaxed);
        slot[2].store(header.sent, Ordering::Relaxed);
        slot[3].store(stamp, Ordering::Relaxed);
        ring.head.0.store(head + 1, Ordering::Release);
        self.give_credit(header.publisher as usize);
    }

    /// Brings the books up to date; unless it must, it does not wait for another that is at it.
    #[cold]
    fn settle(&self, must: bool) {
        let ring = &self.group.rings[self.consumer];
        let books = if must {
            Some(lock(&self.group.books))
        } else {
            self.group.books.try_lock().ok()
        };
        if let Some(mut books) = books {
            self.group.drain(ring, self.consumer, &mut books);
        }
    }

    /// Lets the publisher know that one of its messages has come, where its window counts receipts.
    #[inline]
    fn give_credit(&self, publisher: usize) {
        let ring = &self.group.rings[self.consumer];
        let Some(receipts) = ring.receipts(publisher) else {
            return;
        };
        let count = receipts.load(Ordering::Relaxed) + 1;
        if count & self.group.step_mask == 0 {
            receipts.store(count, Ordering::SeqCst);
            let book: &PublisherBook = &self.ledger.publishers[publisher];
            book.wake();
        } else {
            receipts.store(count, Ordering::Relaxed);
        }
    }

    /// This consumer has lost its connection: nothing can come to it until it is back.
    pub fn away(&self) {
        let counts = &self.group.rings[self.consumer].counts.0;
        counts.is_away.store(true, Ordering::Relaxed);
    }

    /// It has another connection, by which order is judged afresh.
    pub fn back(&mut self) {
        let counts = &self.group.rings[self.consumer].counts.0;
        counts.back.store(self.clock.now(), Ordering::Relaxed);
        counts.is_away.store(false, Ordering::Relaxed);
        self.new_epoch();
    }

    /// The assignment of destinations has changed: order is judged afresh from here.
    pub fn new_epoch(&mut self) {
        let mut books = lock(&self.group.books);
        let ring = &self.group.rings[self.consumer];
        self.group.drain(ring, self.consumer, &mut books);
        books.orders[self.consumer].clear();
    }
}
