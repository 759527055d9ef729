//! The books of one trial: what every publisher, consumer and group shares.
//!
//! Rules of the hot path: nothing here is written by two threads per message. A publisher's counters
//! are written by its own thread (or by the one that drains its acknowledgements) and only read by
//! others; histograms belong to a thread and their locks are taken by others once a second.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use atomic_waker::AtomicWaker;

use super::group::Group;
use super::payload::Payload;
use super::route::Route;
use super::shared::{Padded, Recorder, lock};
use super::task::{Task, WindowBy};
use crate::measure::latency::{Kind, Latency};
use crate::measure::sequences::SequenceSet;
use crate::scenario::workload::{Load, Measure};

/// What a thread of publishers records of its own sending.
#[derive(Debug, Default)]
pub struct SendRecord {
    pub lateness: Recorder,
    pub send_wait: Recorder,
}

/// What a thread that takes acknowledgements records.
#[derive(Debug, Default)]
pub struct AckRecord {
    pub publish: Recorder,
    pub service: Recorder,
}

/// What is known of one publisher's messages after they were sent.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Acknowledged sequences, warm-up included.
    pub acked: SequenceSet,
    /// Acknowledged messages of the measured part.
    pub acked_measured: u64,
    /// Messages of the measured part that failed.
    pub failed_measured: u64,
    /// How often each reason was given, warm-up included.
    pub reasons: BTreeMap<String, u64>,
}

/// One publisher, as the others see it.
#[derive(Debug, Default)]
pub struct PublisherBook {
    /// Messages handed to the client library, warm-up included.
    pub sent: Padded<AtomicU64>,
    /// Of these, messages of the measured part.
    pub sent_measured: AtomicU64,
    /// Bytes of the measured part.
    pub bytes_measured: AtomicU64,
    /// Messages of the measured part that were due.
    pub intended: AtomicU64,
    /// First sequence of the measured part.
    pub first_measured: AtomicU64,
    /// Whether the loop has ended.
    pub ended: AtomicBool,
    /// Messages that give no credit any more: acknowledged or failed.
    pub released: Padded<AtomicU64>,
    /// Credits taken back because their messages never came.
    pub reclaimed: AtomicU64,
    /// Whether the loop waits for credit.
    pub waiting: AtomicBool,
    /// Who to tell that there is credit.
    pub waker: AtomicWaker,
    /// What became of its messages.
    pub outcome: Mutex<Outcome>,
}

impl PublisherBook {
    /// Tells the loop that there may be credit.
    #[inline]
    pub fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) {
            self.waker.wake();
        }
    }
}

/// When the parts of the trial begin and end, nanoseconds of the trial's clock.
#[derive(Debug)]
pub struct Timeline {
    start: AtomicU64,
    warmup: u64,
    measure: Option<u64>,
}

impl Timeline {
    fn new(task: &Task) -> Timeline {
        Timeline {
            start: AtomicU64::new(u64::MAX),
            warmup: task.phases.warmup.as_nanos() as u64,
            measure: match (&task.workload.load, task.phases.measure) {
                // The steps say how long they last.
                (Load::Steps { steps, .. }, Measure::Time(_)) => {
                    Some(steps.iter().map(|s| s.lasts.as_nanos() as u64).sum())
                }
                (_, Measure::Time(time)) => Some(time.as_nanos() as u64),
                (_, Measure::Count(_)) => None,
            },
        }
    }

    /// The load starts now.
    pub fn begin(&self, now: u64) {
        self.start.store(now, Ordering::Release);
    }

    /// When the load started.
    pub fn start(&self) -> u64 {
        self.start.load(Ordering::Acquire)
    }

    /// When the measured part begins.
    pub fn measured_from(&self) -> u64 {
        self.start().saturating_add(self.warmup)
    }

    /// When it ends; `u64::MAX` where it ends by count.
    pub fn measured_to(&self) -> u64 {
        self.measure.map_or(u64::MAX, |length| {
            self.measured_from().saturating_add(length)
        })
    }
}

/// The books of one trial.
#[derive(Debug)]
pub struct Ledger {
    /// What was asked.
    pub task: Task,
    /// What fills the messages.
    pub payload: Arc<Payload>,
    /// Which message goes where.
    pub route: Route,
    /// When its parts begin and end.
    pub timeline: Timeline,
    /// One for each publisher.
    pub publishers: Vec<Arc<PublisherBook>>,
    /// One for each group of consumers.
    pub groups: Vec<Arc<Group>>,
    /// Consumers that can receive.
    pub ready: AtomicU64,
    /// Whether everybody should end.
    pub stopping: AtomicBool,
    senders: Mutex<Vec<Arc<Mutex<SendRecord>>>>,
    ackers: Mutex<Vec<Arc<Mutex<AckRecord>>>>,
}

impl Ledger {
    /// Opens the books.
    ///
    /// # Errors
    /// Where the payload cannot be made.
    pub fn open(task: Task) -> Result<Arc<Ledger>, String> {
        let payload = Arc::new(Payload::new(&task.workload.message, task.seed)?);
        let workload = &task.workload;
        let route = Route::new(&task, Arc::clone(&payload));
        let by_receipts = task.window == WindowBy::Receipts;
        let groups = if workload.consumers == 0 {
            0
        } else {
            workload.groups
        };
        Ok(Arc::new(Ledger {
            publishers: (0..route.publishers()).map(|_| Arc::default()).collect(),
            groups: (0..groups)
                .map(|_| Arc::new(Group::new(&task, route.clone(), by_receipts)))
                .collect(),
            payload,
            route,
            timeline: Timeline::new(&task),
            ready: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            senders: Mutex::default(),
            ackers: Mutex::default(),
            task,
        }))
    }

    /// A record for one more thread of publishers.
    pub fn send_record(&self) -> Arc<Mutex<SendRecord>> {
        let record = Arc::default();
        lock(&self.senders).push(Arc::clone(&record));
        record
    }

    /// A record for one more thread that takes acknowledgements.
    pub fn ack_record(&self) -> Arc<Mutex<AckRecord>> {
        let record = Arc::default();
        lock(&self.ackers).push(Arc::clone(&record));
        record
    }

    /// Ends the second for every recorder and gives its histograms.
    pub fn end_second(&self) -> BTreeMap<Kind, Latency> {
        let mut second = BTreeMap::new();
        let mut end = |kind: Kind, recorder: &mut Recorder| {
            recorder.end_second(second.entry(kind).or_default());
        };
        for record in lock(&self.senders).iter() {
            let mut record = lock(record);
            end(Kind::Lateness, &mut record.lateness);
            end(Kind::SendWait, &mut record.send_wait);
        }
        for record in lock(&self.ackers).iter() {
            let mut record = lock(record);
            end(Kind::Publish, &mut record.publish);
            end(Kind::Service, &mut record.service);
        }
        for group in &self.groups {
            group.end_second(&mut end);
        }
        second.retain(|_, latency| latency.count() > 0);
        second
    }

    /// The histograms of the whole measured part.
    pub fn latencies(&self) -> BTreeMap<Kind, Latency> {
        self.end_second();
        let mut whole: BTreeMap<Kind, Latency> = BTreeMap::new();
        let mut add = |kind: Kind, recorder: &Recorder| {
            whole.entry(kind).or_default().merge(recorder.before());
        };
        for record in lock(&self.senders).iter() {
            let record = lock(record);
            add(Kind::Lateness, &record.lateness);
            add(Kind::SendWait, &record.send_wait);
        }
        for record in lock(&self.ackers).iter() {
            let record = lock(record);
            add(Kind::Publish, &record.publish);
            add(Kind::Service, &record.service);
        }
        for group in &self.groups {
            group.add_latencies(&mut add);
        }
        whole.retain(|_, latency| latency.count() > 0);
        whole
    }

    /// Messages handed to client libraries, warm-up included.
    pub fn sent(&self) -> u64 {
        self.publishers
            .iter()
            .map(|p| p.sent.0.load(Ordering::Relaxed))
            .sum()
    }

    /// Messages acknowledged or failed, warm-up included.
    pub fn released(&self) -> u64 {
        self.publishers
            .iter()
            .map(|p| p.released.0.load(Ordering::Relaxed))
            .sum()
    }

    /// Messages that were refused or given up, warm-up included.
    pub fn failed(&self) -> u64 {
        let books = self.publishers.iter();
        books
            .map(|book| lock(&book.outcome).reasons.values().sum::<u64>())
            .sum()
    }

    /// Whether every publisher's loop has ended.
    pub fn all_sent(&self) -> bool {
        self.publishers
            .iter()
            .all(|p| p.ended.load(Ordering::Acquire))
    }

    /// Messages on their way: to the slowest group, or to their acknowledgement where nobody consumes.
    pub fn backlog(&self) -> u64 {
        let sent = || {
            self.publishers
                .iter()
                .map(|p| p.sent.0.load(Ordering::Relaxed))
        };
        if self.groups.is_empty() {
            let resolved = if self.task.acks {
                self.released()
            } else {
                self.sent()
            };
            return self.sent().saturating_sub(resolved);
        }
        let backlogs = self.groups.iter().map(|group| group.on_their_way(sent()));
        backlogs.max().unwrap_or(0)
    }

    /// Whether every group has every message that was sent.
    pub fn all_received(&self) -> bool {
        let sent = self.sent();
        self.groups.iter().all(|g| g.distinct() >= sent)
    }

    /// Whether every sent message was acknowledged or failed, where the offer has acknowledgements.
    pub fn all_resolved(&self) -> bool {
        !self.task.acks || self.released() >= self.sent()
    }

    /// Tells everybody to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for publisher in &self.publishers {
            publisher.waker.wake();
        }
    }
}
