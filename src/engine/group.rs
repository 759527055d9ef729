//! The books of a group of consumers: what it received, once a message, whichever consumer got it.
//!
//! Consumers write receipts into rings of their own; the set of sequences, the histograms and the order
//! are brought up to date from there in batches, under one lock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::gaps::Gaps;
use super::route::Route;
use super::shared::{Padded, Recorder, lock};
use super::task::{Order, Task};
use crate::measure::latency::Kind;
use crate::measure::sequences::{Inserted, SequenceSet};
use crate::scenario::workload::Load;

/// Entries of a ring.
pub(super) const RING: usize = 256;
pub(super) const MEASURED: u64 = 1 << 62;
pub(super) const REDELIVERED: u64 = 1 << 63;

/// Receipts on their way from a consumer to the books of its group.
#[derive(Debug)]
pub(super) struct Ring {
    /// publisher and sequence with flags, intended, sent, received.
    pub(super) slots: Box<[[AtomicU64; 4]]>,
    /// Written by the consumer.
    pub(super) head: Padded<AtomicU64>,
    /// Written by whoever holds the group's lock.
    pub(super) tail: Padded<AtomicU64>,
    pub(super) counts: Padded<ConsumerCounts>,
    /// For each publisher, copies received; empty unless windows count receipts.
    receipts: Box<[Padded<[AtomicU64; ROW]>]>,
}

/// Counters on one pair of cache lines.
const ROW: usize = 16;

/// What a consumer counts by itself.
#[derive(Debug, Default)]
pub struct ConsumerCounts {
    /// Bytes of this trial's messages.
    pub bytes: AtomicU64,
    /// Messages of other runs or trials, or of nobody we know.
    pub unexpected: AtomicU64,
    /// Messages of ours whose content is not what was sent.
    pub corrupted: AtomicU64,
    /// When the last message came, nanoseconds.
    pub last: AtomicU64,
    /// Whether it has no connection.
    pub is_away: AtomicBool,
    /// When it had another one in place of one that it had lost, nanoseconds.
    pub back: AtomicU64,
}

/// Adds to a counter that only this thread writes.
#[inline]
pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// The books of one group of consumers.
#[derive(Debug)]
pub struct Group {
    pub(super) rings: Vec<Ring>,
    pub(super) books: Mutex<Books>,
    /// Copies received, warm-up included.
    copies: AtomicU64,
    /// Distinct messages received, warm-up included.
    distinct: AtomicU64,
    /// Publishers that wait hear of receipts in steps of one more than this, a power of two.
    pub(super) step_mask: u64,
}

#[derive(Debug)]
pub(super) struct Books {
    sets: Vec<SequenceSet>,
    /// One past the highest sequence received from each publisher.
    reached: Vec<u64>,
    /// What will not be waited for, by publisher.
    given_up: Vec<GivenUp>,
    /// By destination: the consumers that read it.
    readers: Vec<Vec<usize>>,
    end_to_end: Recorder,
    transit: Recorder,
    open_loop: bool,
    order: Order,
    route: Route,
    /// For each consumer and lane: one past the highest sequence.
    pub(super) orders: Vec<Vec<u64>>,
    gaps: Gaps,
    counts: GroupCounts,
}

/// Messages of one publisher that are not waited for any more.
#[derive(Clone, Debug, Default)]
struct GivenUp {
    /// All below this that have not come.
    below: u64,
    /// How many those are.
    missing: u64,
    /// Receipts that were of no message that had not come before.
    copies: u64,
}

/// What a group received of the measured part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Copies.
    pub received: u64,
    /// Distinct messages.
    pub distinct: u64,
    /// Copies after the first, not flagged by the broker.
    pub duplicated: u64,
    /// Copies after the first, flagged as redelivered by the broker.
    pub redelivered: u64,
    /// Distinct messages that came after a later one of their publisher and lane, not flagged as redelivered by the broker.
    pub out_of_order: u64,
    /// Sequences that no publisher can have reached.
    pub absurd: u64,
}

impl Group {
    pub(super) fn new(task: &Task, route: Route, by_receipts: bool) -> Group {
        let workload = &task.workload;
        let consumers = workload.consumers as usize;
        let publishers = route.publishers() as usize;
        let counted = if by_receipts { publishers } else { 0 };
        // So small that not all of a window can stay below the step of every consumer: a publisher
        // that waits for the whole of it is told.
        let step = workload.in_flight / 16 / workload.consumers.max(1);
        Group {
            rings: (0..consumers).map(|_| Ring::new(counted)).collect(),
            books: Mutex::new(Books {
                sets: vec![SequenceSet::default(); publishers],
                reached: vec![0; publishers],
                given_up: vec![GivenUp::default(); publishers],
                readers: task.readers(),
                end_to_end: Recorder::default(),
                transit: Recorder::default(),
                open_loop: !matches!(workload.load, Load::Max),
                order: task.order,
                route,
                orders: vec![Vec::new(); consumers],
                gaps: Gaps::of(task),
                counts: GroupCounts::default(),
            }),
            copies: AtomicU64::new(0),
            distinct: AtomicU64::new(0),
            step_mask: (1 << step.max(1).ilog2()) - 1,
        }
    }

    /// Copies received, warm-up included.
    pub fn copies(&self) -> u64 {
        self.copies.load(Ordering::Relaxed)
    }

    /// Distinct messages received, warm-up included.
    pub fn distinct(&self) -> u64 {
        self.distinct.load(Ordering::Acquire)
    }

    /// Copies received from a publisher, where windows count receipts.
    pub(super) fn receipts(&self, publisher: usize) -> u64 {
        let receipts = self.rings.iter().filter_map(|r| r.receipts(publisher));
        receipts.map(|count| count.load(Ordering::SeqCst)).sum()
    }

    /// What must be added to the receipts of a publisher's messages, modulo 2^64, for the number of
    /// those that are not waited for any more: what was lost, less what came more than once. Messages
    /// below `given_up` count as lost if they have not come.
    pub(super) fn correction(&self, publisher: usize, given_up: u64) -> u64 {
        self.settle();
        let mut books = lock(&self.books);
        books.give_up(publisher, given_up);
        let given_up = &books.given_up[publisher];
        given_up.missing.wrapping_sub(given_up.copies)
    }

    /// Bytes received, warm-up included.
    pub fn bytes(&self) -> u64 {
        self.sum(|c| &c.bytes)
    }

    /// Messages of other runs or trials.
    pub fn unexpected(&self) -> u64 {
        self.sum(|c| &c.unexpected)
    }

    /// Messages whose content is not what was sent.
    pub fn corrupted(&self) -> u64 {
        self.sum(|c| &c.corrupted) + self.counts().absurd
    }

    /// When the last message came, nanoseconds; 0 if none did.
    pub fn last_received(&self) -> u64 {
        let last = |ring: &Ring| ring.counts.0.last.load(Ordering::Relaxed);
        self.rings.iter().map(last).max().unwrap_or(0)
    }

    /// Whether more may be on its way: something has come since that instant (nanoseconds), or a consumer has been without
    /// a connection.
    pub fn is_receiving(&self, since: u64) -> bool {
        let is_receiving = |ring: &Ring| {
            let counts = &ring.counts.0;
            let [last, back] = [&counts.last, &counts.back].map(|it| it.load(Ordering::Relaxed));
            counts.is_away.load(Ordering::Relaxed) || last.max(back) > since
        };
        self.rings.iter().any(is_receiving)
    }

    fn sum(&self, counter: impl Fn(&ConsumerCounts) -> &AtomicU64) -> u64 {
        let read = |ring: &Ring| counter(&ring.counts.0).load(Ordering::Relaxed);
        self.rings.iter().map(read).sum()
    }

    /// What was received of the measured part.
    pub fn counts(&self) -> GroupCounts {
        lock(&self.books).counts
    }

    /// Brings the books up to date with all that the consumers have handed in.
    pub fn settle(&self) {
        let mut books = lock(&self.books);
        for (consumer, ring) in self.rings.iter().enumerate() {
            self.drain(ring, consumer, &mut books);
        }
    }

    /// Messages that were sent and that nothing sent later has overtaken: those on their way. What was
    /// lost is not among them, so a loss is not a queue that grows.
    pub fn on_their_way(&self, sent: impl Iterator<Item = u64>) -> u64 {
        let mut books = lock(&self.books);
        let each = sent.enumerate();
        each.map(|(publisher, sent)| sent.saturating_sub(books.done_with(publisher)))
            .sum()
    }

    /// When nothing came within a span, from and to, all in nanoseconds.
    pub fn gaps(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        lock(&self.books).gaps.within(from, to)
    }

    /// The sequences received from one publisher, for the audit at the end.
    pub fn with_set<T>(&self, publisher: usize, read: impl FnOnce(&SequenceSet) -> T) -> T {
        read(&lock(&self.books).sets[publisher])
    }

    pub(super) fn end_second(&self, end: &mut impl FnMut(Kind, &mut Recorder)) {
        let mut books = lock(&self.books);
        end(Kind::EndToEnd, &mut books.end_to_end);
        end(Kind::Transit, &mut books.transit);
    }

    pub(super) fn add_latencies(&self, add: &mut impl FnMut(Kind, &Recorder)) {
        let books = lock(&self.books);
        add(Kind::EndToEnd, &books.end_to_end);
        add(Kind::Transit, &books.transit);
    }

    /// Whoever calls it holds the lock of the books, so only one drains a ring at a time.
    pub(super) fn drain(&self, ring: &Ring, consumer: usize, books: &mut Books) {
        let tail = ring.tail.0.load(Ordering::Relaxed);
        let head = ring.head.0.load(Ordering::Acquire);
        let mut new = 0;
        for place in tail..head {
            let slot = &ring.slots[place as usize % RING];
            let word = |n: usize| slot[n].load(Ordering::Relaxed);
            new += u64::from(books.enter(consumer, word(0), word(1), word(2), word(3)));
        }
        ring.tail.0.store(head, Ordering::Release);
        // Both are written under the lock only.
        add(&self.copies, head - tail);
        self.distinct.store(
            self.distinct.load(Ordering::Relaxed) + new,
            Ordering::Release,
        );
    }
}

impl Books {
    /// How many messages of a publisher have come or are known to be lost.
    fn done_with(&mut self, publisher: usize) -> u64 {
        if self.order != Order::PerPublisher {
            // Nothing tells what was lost from what is late: the furthest counts.
            return self.reached[publisher];
        }
        self.give_up(publisher, 0);
        self.sets[publisher].len() + self.given_up[publisher].missing
    }

    /// Gives up what has not come and lies below `at_least` or has been overtaken.
    fn give_up(&mut self, publisher: usize, at_least: u64) {
        let below = at_least.max(self.overtaken(publisher));
        let given_up = &mut self.given_up[publisher];
        if below > given_up.below {
            given_up.missing += self.sets[publisher].missing_within(given_up.below, below);
            given_up.below = below;
        }
    }

    /// Below this, everything of a publisher has come or will not: on each of its ways, which are
    /// from each of its destinations to each of their readers, something later came through.
    fn overtaken(&self, publisher: usize) -> u64 {
        if self.order != Order::PerPublisher {
            return 0;
        }
        let lanes = self.route.lanes(publisher as u16);
        let ways = lanes.flat_map(|(lane, destination)| {
            let readers = self.readers[destination as usize].iter();
            readers.map(move |consumer| self.orders[*consumer].get(lane).copied().unwrap_or(0))
        });
        ways.min().unwrap_or(0)
    }

    /// Enters one receipt; whether it was the first copy.
    #[inline]
    fn enter(&mut self, consumer: usize, id: u64, intended: u64, sent: u64, received: u64) -> bool {
        let (measured, redelivered) = (id & MEASURED != 0, id & REDELIVERED != 0);
        let publisher = (id & 0xFFFF) as usize;
        let sequence = (id & !(MEASURED | REDELIVERED)) >> 16;
        self.gaps.received(received);
        let counts = &mut self.counts;
        counts.received += u64::from(measured);
        match self.sets[publisher].insert(sequence) {
            Inserted::New => {
                let given_up = &mut self.given_up[publisher];
                given_up.missing -= u64::from(sequence < given_up.below);
            }
            Inserted::Again => {
                self.given_up[publisher].copies += 1;
                if measured {
                    counts.redelivered += u64::from(redelivered);
                    counts.duplicated += u64::from(!redelivered);
                }
                return false;
            }
            Inserted::Absurd => {
                self.given_up[publisher].copies += 1;
                counts.absurd += 1;
                return false;
            }
        }
        let reached = &mut self.reached[publisher];
        *reached = (*reached).max(sequence + 1);
        if self.order != Order::None {
            let lane = self.route.lane(self.order, publisher as u16, sequence);
            let orders = &mut self.orders[consumer];
            if orders.len() <= lane {
                orders.resize(lane + 1, 0);
            }
            if sequence < orders[lane] {
                // No broker promises a place to what it delivers again, because it got no answer or its first copy was lost.
                counts.out_of_order += u64::from(measured && !redelivered);
            } else {
                orders[lane] = sequence + 1;
            }
        }
        if measured {
            counts.distinct += 1;
            if self.open_loop {
                self.end_to_end.record(intended, received);
            }
            self.transit.record(sent, received);
        }
        true
    }
}

impl Ring {
    fn new(publishers: usize) -> Ring {
        Ring {
            slots: (0..RING).map(|_| Default::default()).collect(),
            head: Padded::default(),
            tail: Padded::default(),
            counts: Padded::default(),
            receipts: (0..publishers.div_ceil(ROW))
                .map(|_| Padded::default())
                .collect(),
        }
    }

    /// The counter of a publisher's messages, where windows count receipts. Written by the consumer.
    #[inline]
    pub(super) fn receipts(&self, publisher: usize) -> Option<&AtomicU64> {
        Some(&self.receipts.get(publisher / ROW)?.0[publisher % ROW])
    }
}
