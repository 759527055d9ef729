//! A whole trial on the real clock: its threads, and a controller that watches over them.
//!
//! Consumers first, then connections of publishers, then the load; each waits for all of the one
//! before. Whatever fails ends the trial with what was seen until then.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::contract::Session;
use super::controller::{Controller, Part, Step};
pub use super::crew::MOST_THREADS;
use super::crew::{Crew, Ending, Message};
use super::gauge::Gauge;
use super::ledger::Ledger;
use crate::measure::clock::{Clock, Monotonic};
use crate::measure::record::{Record, Second};
use crate::measure::resources::Watch;
use crate::scenario::Pinned;

/// Everybody must be connected and ready within this time.
const READY: Duration = Duration::from_secs(30);
/// Between the opening of the gate and the first message: time for every thread to pass it.
const LEAD: u64 = 20_000_000;

/// What the runner tells while the trial runs.
#[derive(Clone, Debug)]
pub enum News<'a> {
    /// Waiting for connections and subscriptions.
    Starting,
    /// So many messages of the backlog were laid in during the last second.
    Filling(u64),
    /// A second ended.
    Second(Part, &'a Second),
    /// A part began.
    Part(Part),
}
/// Ends a trial from outside.
#[derive(Clone)]
pub struct Interrupter(Sender<Message>);

impl Interrupter {
    /// Ends it: what was seen is kept.
    pub fn interrupt(&self) {
        // A trial that is over needs no end.
        let _ = self.0.send(Message::Interrupt);
    }
}

/// A trial that is about to run.
pub struct Run {
    ledger: Arc<Ledger>,
    crew: Crew,
    hear: Receiver<Message>,
}

impl Run {
    /// Prepares the threads' common ground; nothing runs yet.
    pub fn new(ledger: Arc<Ledger>, session: Arc<dyn Session>) -> Run {
        let (tell, hear) = mpsc::channel();
        Run {
            crew: Crew::new(Arc::clone(&ledger), session, tell),
            ledger,
            hear,
        }
    }

    /// Has threads of publishers and consumers run on these cores.
    #[must_use]
    pub fn pinned(mut self, pinned: Pinned) -> Run {
        self.crew.pinned = pinned;
        self
    }

    /// To end the trial from outside.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter(self.crew.tell.clone())
    }

    /// Runs the trial to its end, whatever that is.
    pub fn run(mut self, mut watch: Watch, mut news: impl FnMut(News)) -> Record {
        news(News::Starting);
        let is_backlog = self.ledger.task.workload.drains_backlog();
        let started = if is_backlog {
            // The backlog is there before its consumers are.
            self.start_publishers().and_then(|()| {
                self.begin();
                self.await_publishers(&mut news)?;
                self.start_consumers()
            })
        } else {
            self.start_consumers()
                .and_then(|()| self.start_publishers())
        };
        let gauge = started.and_then(|()| Gauge::start(&mut self.crew));
        let mut record = match &gauge {
            Ok(gauge) => {
                if is_backlog {
                    self.ledger.timeline.begin(Monotonic.now());
                } else {
                    self.begin();
                }
                self.watch_over(gauge, &mut watch, &mut news)
            }
            Err(end) => never_began(end),
        };
        self.crew.end();
        record.server_facts = self.crew.session.server_facts();
        record.notes = self.crew.session.notes();
        record.notes.extend(gauge.ok().and_then(|it| it.note()));
        record
    }

    fn begin(&self) {
        self.ledger.timeline.begin(Monotonic.now() + LEAD);
        self.crew.gate.open();
    }

    fn watch_over(
        &mut self,
        gauge: &Gauge,
        watch: &mut Watch,
        news: &mut impl FnMut(News),
    ) -> Record {
        let mut controller = Controller::new(&self.ledger);
        let mut part = controller.part();
        news(News::Part(part));
        let (mut ending, mut seen) = (None, None);
        let is_backlog = self.ledger.task.workload.drains_backlog();
        if is_backlog {
            watch.begin_filled();
        }
        loop {
            let now = Monotonic.now();
            let sample = controller.wants_sample(now).then(|| watch.sample(now));
            let seconds = controller.series().len();
            if let Some((at, waiting)) = gauge.take() {
                controller.server_says(at, waiting);
            }
            controller.server_owes(gauge.owes());
            let step = controller.step(now, sample.as_ref());
            if controller.part() != part {
                part = controller.part();
                news(News::Part(part));
                match part {
                    Part::Measuring => watch.begin(),
                    // Nothing but to drain it is what is measured of a backlog.
                    Part::Draining if is_backlog => {}
                    _ if seen.is_none() => {
                        seen = Some(watch.seen());
                        controller.usage_ends(now);
                    }
                    _ => {}
                }
            }
            if let Some(second) = controller.series().get(seconds) {
                news(News::Second(part, second));
            }
            let Step::Until(until) = step else { break };
            let wait = Duration::from_nanos(until.saturating_sub(Monotonic.now()));
            match self.hear.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => {
                    if let Some(end) = Ending::of(message) {
                        ending = Some(end);
                        break;
                    }
                }
            }
        }
        let seen = seen.unwrap_or_else(|| watch.seen());
        if ending.is_none() && !self.ledger.all_sent() {
            let held = self.ledger.publishers.iter();
            let held = held
                .filter(|book| !book.ended.load(Ordering::Acquire))
                .count();
            ending = Some(Ending::Failed(format!(
                "the client library did not let {held} of {} publishers go",
                self.ledger.publishers.len()
            )));
        }
        if ending.is_some() {
            // Outboxes close their books when they are told to end.
            self.ledger.stop();
            self.crew.over.open();
            self.await_books();
        }
        let mut record = controller.finish(Monotonic.now(), seen);
        if let Some(end) = ending {
            end.note_in(&mut record);
        }
        record
    }

    /// Waits until every outbox has closed its book, for a short time: a client that hangs keeps its own.
    fn await_books(&self) {
        let until = Monotonic.now() + 500_000_000;
        while !self.ledger.all_sent() && Monotonic.now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn start_consumers(&mut self) -> Result<(), Ending> {
        let wanted = self.crew.start_consumers()?;
        let deadline = Monotonic.now() + READY.as_nanos() as u64;
        while self.ledger.ready.load(Ordering::SeqCst) < wanted {
            if Monotonic.now() > deadline {
                let ready = self.ledger.ready.load(Ordering::SeqCst);
                let cause = format!(
                    "{ready} of {wanted} consumers were ready after {} s",
                    READY.as_secs()
                );
                return Err(Ending::Failed(cause));
            }
            match self.hear.recv_timeout(Duration::from_millis(1)) {
                Ok(message) => Ending::of(message).map_or(Ok(()), Err)?,
                Err(_) => continue,
            }
        }
        Ok(())
    }

    fn start_publishers(&mut self) -> Result<(), Ending> {
        let count = self.crew.start_publishers()?;
        let deadline = Monotonic.now() + READY.as_nanos() as u64;
        for connected in 0..count {
            let left = Duration::from_nanos(deadline.saturating_sub(Monotonic.now()));
            match self.hear.recv_timeout(left) {
                Ok(Message::Connected(Ok(()))) => {}
                Ok(message) => return Err(Ending::of(message).unwrap_or(Ending::Interrupted)),
                Err(_) => {
                    return Err(Ending::Failed(format!(
                        "{connected} of {count} publishers were connected after {} s",
                        READY.as_secs()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Waits until the backlog is there. It says how far it is, or it would look as if nothing moved.
    fn await_publishers(&self, news: &mut impl FnMut(News)) -> Result<(), Ending> {
        let (mut left, mut sent) = (self.ledger.publishers.len(), 0);
        while left > 0 {
            match self.hear.recv_timeout(Duration::from_secs(1)) {
                Ok(Message::Publisher(Ok(()))) => left -= 1,
                Ok(message) => return Err(Ending::of(message).unwrap_or(Ending::Interrupted)),
                Err(RecvTimeoutError::Timeout) => {
                    let before = std::mem::replace(&mut sent, self.ledger.sent());
                    news(News::Filling(sent - before));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }
}

fn never_began(end: &Ending) -> Record {
    let mut record = Record::default();
    end.note_in(&mut record);
    record
}
