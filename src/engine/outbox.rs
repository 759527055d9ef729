//! Where publishers get their messages from.
//!
//! An outbox is a state machine without waiting in it: `poll` says what is due, or until when there is
//! nothing. The waits around it (a thread's, a task's, a simulation's) are in `pacing` and `simulation`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::BufMut;

use super::acks::{Acks, Token};
use super::ledger::{AckRecord, Ledger, PublisherBook, SendRecord};
use super::payload::Payload;
use super::schedule::Schedule;
use super::shared::lock;
use super::window::Window;
use crate::measure::clock::{Clock, Monotonic};
use crate::measure::header::{self, Header};
use crate::scenario::workload::Measure;

/// How long after the end of the measured part a message that was due within it is still sent: time
/// for the timer to wake, not for a backlog to be worked off.
const GRACE: u64 = 10_000_000;

/// What an outbox has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// So many messages are due; [`Outbox::next`] gives them.
    Due(usize),
    /// Nothing until this instant, nanoseconds.
    At(u64),
    /// Nothing until messages under way are acknowledged (or received); look again at this instant at
    /// the latest.
    Credit(u64),
    /// No more messages.
    End,
}

/// One message to send.
#[derive(Debug)]
pub struct Message<'a> {
    /// To give back with the acknowledgement.
    pub token: Token,
    /// Number of the destination; its name is [`super::task::Task::destination`].
    pub destination: u32,
    /// Number of the key, where messages have keys.
    pub key: Option<u32>,
    head: [u8; header::LENGTH],
    body: &'a [u8],
}

impl Message<'_> {
    /// Length in bytes.
    #[inline]
    #[allow(
        clippy::len_without_is_empty,
        reason = "no message is empty: it has a header"
    )]
    pub fn len(&self) -> usize {
        header::LENGTH + self.body.len()
    }

    /// Writes the message behind what is in the buffer.
    #[inline]
    pub fn append_to(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.head);
        buffer.put_slice(self.body);
    }

    /// The two parts of the message, for clients that gather.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        (&self.head, self.body)
    }
}

/// Where one publisher gets its messages from.
#[derive(Debug)]
pub struct Outbox<C: Clock = Monotonic> {
    clock: C,
    ledger: Arc<Ledger>,
    book: Arc<PublisherBook>,
    payload: Arc<Payload>,
    publisher: u16,
    schedule: Option<Schedule>,
    window: Window,
    record: Arc<Mutex<SendRecord>>,
    ack_record: Arc<Mutex<AckRecord>>,
    /// Messages of the measured part that are left, where it ends by count.
    quota: Option<u64>,
    /// Messages that have been taken.
    sequence: u64,
    measured: u64,
    /// Since when it has been waiting for work with credit in hand.
    ready: Option<u64>,
    woke: u64,
    sent: u64,
    /// Intended instants of the batch, and how many of it were taken.
    batch: Vec<u64>,
    taken: usize,
}

/// The records of the thread that the publisher runs on; publishers of one thread share them.
#[derive(Clone, Debug)]
pub struct ThreadRecords {
    /// Of sending.
    pub send: Arc<Mutex<SendRecord>>,
    /// Of acknowledgements.
    pub ack: Arc<Mutex<AckRecord>>,
}

impl ThreadRecords {
    /// For one more thread.
    pub fn new(ledger: &Ledger) -> ThreadRecords {
        ThreadRecords {
            send: ledger.send_record(),
            ack: ledger.ack_record(),
        }
    }
}

impl<C: Clock> Outbox<C> {
    /// The outbox of one publisher; there is one for each.
    pub fn new(
        ledger: &Arc<Ledger>,
        clock: C,
        publisher: u16,
        records: &ThreadRecords,
    ) -> Outbox<C> {
        let task = &ledger.task;
        let workload = &task.workload;
        let publishers = ledger.route.publishers();
        let share = |total: u64| {
            let n = u64::from(publishers);
            total / n + u64::from(u64::from(publisher) < total % n)
        };
        let schedule = (workload.publishers > 0)
            .then(|| {
                let n = u32::from(publisher);
                Schedule::new(&workload.load, &task.phases, n, publishers, task.seed)
            })
            .flatten();
        Outbox {
            clock,
            book: Arc::clone(&ledger.publishers[publisher as usize]),
            payload: Arc::clone(&ledger.payload),
            publisher,
            schedule,
            window: Window::of(ledger, usize::from(publisher)),
            record: Arc::clone(&records.send),
            ack_record: Arc::clone(&records.ack),
            quota: match task.phases.measure {
                Measure::Count(total) => Some(share(total)),
                Measure::Time(_) => None,
            },
            sequence: 0,
            measured: 0,
            ready: None,
            woke: 0,
            sent: 0,
            batch: Vec::new(),
            taken: 0,
            ledger: Arc::clone(ledger),
        }
    }

    /// The trial that this outbox belongs to.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Where to say what became of the messages. Any number of copies may be made.
    pub fn acks(&self) -> Acks<C> {
        Acks {
            clock: self.clock.clone(),
            book: Arc::clone(&self.book),
            record: Arc::clone(&self.ack_record),
            open_loop: self.schedule.is_some(),
        }
    }

    /// Messages sent that are neither acknowledged nor failed.
    pub fn unresolved(&self) -> u64 {
        self.sequence - self.book.released.0.load(Ordering::Acquire)
    }

    pub(super) fn book(&self) -> &Arc<PublisherBook> {
        &self.book
    }

    /// Whether the whole trial is being ended.
    pub fn is_over(&self) -> bool {
        self.ledger.stopping.load(Ordering::Relaxed)
    }

    /// Says what is due, at most `max` messages. Messages of the batch before that were not taken are
    /// counted as sent to nobody: take them all.
    pub fn poll(&mut self, max: usize) -> Next {
        debug_assert!(self.taken == self.batch.len(), "a batch was left");
        self.batch.clear();
        self.taken = 0;
        let now = self.clock.now();
        if self.is_over() {
            return self.end(now);
        }
        let timeline = &self.ledger.timeline;
        let (from, to) = (timeline.measured_from(), timeline.measured_to());
        let due = match &self.schedule {
            // Everybody starts at once, also where nothing says when a message is due.
            None => now.max(timeline.start()),
            Some(schedule) => timeline.start().saturating_add(schedule.peek()),
        };
        let left = self.quota.map_or(u64::MAX, |quota| quota - self.measured);
        let late = match self.schedule {
            None => now >= to,
            Some(_) => due >= to || now >= to.saturating_add(GRACE),
        };
        if late || left == 0 {
            return self.end(now);
        }
        let credit = self.window.credit(self.sequence, max as u64);
        if credit == 0 {
            self.ready = None;
            return match self.window.starve(self.sequence, now) {
                Some(until) => Next::Credit(until.min(to.saturating_add(GRACE))),
                None => self.poll(max),
            };
        }
        let ready = *self.ready.get_or_insert(now);
        if due > now {
            return Next::At(due);
        }
        let room = (max as u64).min(credit);
        match &mut self.schedule {
            None => {
                let measured = now >= from;
                let room = if measured { room.min(left) } else { room };
                self.batch.resize(room as usize, now);
            }
            Some(schedule) => {
                let start = timeline.start();
                let mut measured = 0;
                while (self.batch.len() as u64) < room {
                    let due = start + schedule.peek();
                    if due > now || due >= to {
                        break;
                    }
                    measured += u64::from(due >= from);
                    if measured > left {
                        break;
                    }
                    self.batch.push(due);
                    schedule.pop();
                }
            }
        }
        self.window.spend(self.batch.len() as u64);
        self.woke = now;
        self.ready = Some(ready);
        self.sent = 0;
        Next::Due(self.batch.len())
    }

    /// The next message of the batch, stamped.
    ///
    /// The sent stamp is taken when the first of the batch is taken and holds for all of it: a batch
    /// is what one write sends.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "a message borrows from the outbox"
    )]
    pub fn next(&mut self) -> Option<Message<'_>> {
        let intended = *self.batch.get(self.taken)?;
        if self.taken == 0 {
            self.stamp_batch();
        }
        self.taken += 1;
        // A closed loop has no schedule: a message is intended when it is sent.
        let intended = if self.schedule.is_some() {
            intended
        } else {
            self.sent
        };
        let measured = intended >= self.ledger.timeline.measured_from();
        let sequence = self.sequence;
        self.sequence += 1;
        let book = &self.book;
        book.sent.0.store(self.sequence, Ordering::Relaxed);
        let body = self.payload.body(self.publisher, sequence);
        if measured {
            if self.measured == 0 {
                book.first_measured.store(sequence, Ordering::Relaxed);
            }
            self.measured += 1;
            book.sent_measured.store(self.measured, Ordering::Relaxed);
            let bytes = book.bytes_measured.load(Ordering::Relaxed);
            let length = (header::LENGTH + body.len()) as u64;
            book.bytes_measured.store(bytes + length, Ordering::Relaxed);
        }
        if self.taken == self.batch.len() {
            // The loop comes back when the library lets it: from then on it is ready again.
            self.ready = None;
        }
        let task = &self.ledger.task;
        let header = Header {
            measured,
            trial: task.trial,
            run: task.run,
            publisher: self.publisher,
            sequence,
            intended,
            sent: self.sent,
        };
        Some(Message {
            token: Token {
                sequence,
                intended,
                sent: self.sent,
                measured,
            },
            destination: self.ledger.route.destination(self.publisher, sequence),
            key: self.payload.key(self.publisher, sequence),
            head: header.encode(),
            body,
        })
    }

    /// Takes the stamp of the batch and records what its messages waited for.
    fn stamp_batch(&mut self) {
        self.sent = self.clock.now();
        if self.schedule.is_none() {
            return;
        }
        let from = self.ledger.timeline.measured_from();
        let ready = self.ready.unwrap_or(self.woke);
        let mut record = lock(&self.record);
        for intended in &self.batch {
            if *intended < from {
                continue;
            }
            record.lateness.record((*intended).max(ready), self.woke);
            let held_back = ready.saturating_sub(*intended);
            record.send_wait.record(self.woke, self.sent + held_back);
        }
    }

    /// Closes the book: what was due and was not sent is unsent.
    fn end(&mut self, now: u64) -> Next {
        if self.book.ended.load(Ordering::Relaxed) {
            return Next::End;
        }
        let timeline = &self.ledger.timeline;
        let mut intended = self.measured;
        if let Some(schedule) = &mut self.schedule {
            // An interrupted trial owes only what was due by now.
            let to = timeline.measured_to().min(now);
            let (start, from) = (timeline.start(), timeline.measured_from());
            let left = self.quota.map_or(u64::MAX, |quota| quota - self.measured);
            let mut owed = 0;
            while start.saturating_add(schedule.peek()) < to && owed < left {
                owed += u64::from(start + schedule.pop() >= from);
            }
            intended += owed;
        }
        self.book.intended.store(intended, Ordering::Relaxed);
        self.book.ended.store(true, Ordering::Release);
        Next::End
    }
}

impl<C: Clock> Drop for Outbox<C> {
    /// A loop that ends early (its client failed) leaves a closed book as well.
    fn drop(&mut self) {
        let now = self.clock.now();
        self.end(now);
    }
}
