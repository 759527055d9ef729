//! A broker that is a queue in this process, with faults on request: the instrument by which every
//! claim of the measuring code is tested, and on which the harness's own cost is measured.
//!
//! Without faults, messages go from publishers to consumers through pipes of reused chunks. With
//! faults, a model decides what happens when; live, a thread carries its events out on the clock; in a
//! simulation the engine does.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use atomic_waker::AtomicWaker;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use tokio::sync::Notify;

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec};
use super::faults::{Faults, Model};
use super::{AsyncConsumer, AsyncPublisher, Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::inbox::Inbox;
use crate::engine::ledger::lock;
use crate::engine::outbox::{Acks, Token};
use crate::engine::pacing::AsyncOutbox;
use crate::engine::simulation::{Broker, Event};
use crate::engine::task::Task;
use crate::measure::clock::{Clock, Monotonic};
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// Messages that a publisher takes at once.
const BATCH: usize = 64;
/// Bytes after which a pipe starts a new chunk.
const CHUNK: usize = 64 << 10;
/// Empty chunks that a pipe keeps for reuse.
const SPARE: usize = 16;
/// Chunks that wait in a pipe before publishers do: a queue has its limits, and so memory has.
const LIMIT: usize = 64;

const fn fault(name: &'static str, kind: OptionKind, about: &'static str) -> OptionSpec {
    OptionSpec {
        name,
        kind,
        default: None,
        about,
    }
}

const fn offer(delivery: Delivery, acks: bool) -> Offer {
    Offer {
        delivery,
        durability: Durability::Memory,
        acks,
        order: Order::PerPublisher,
        settings: &[],
        note: "",
    }
}

const fn pattern(pattern: Pattern) -> PatternSpec {
    PatternSpec {
        pattern,
        shared: true,
        how: "queue in this process",
    }
}

static DESCRIPTOR: Descriptor = Descriptor {
    name: "loopback",
    title: "Loopback",
    about: "No broker: a queue in this process, with faults on request. Measures the harness itself.",
    client: "none",
    schemes: &[],
    server: None,
    options: &[
        fault(
            "delay",
            OptionKind::Time,
            "every delivery comes so much later",
        ),
        fault(
            "jitter",
            OptionKind::Time,
            "besides, up to this much later, drawn evenly",
        ),
        fault(
            "loss",
            OptionKind::Fraction,
            "share of deliveries that never come",
        ),
        fault(
            "duplicate",
            OptionKind::Fraction,
            "share of deliveries that come twice",
        ),
        fault(
            "reorder",
            OptionKind::Fraction,
            "share of deliveries that change places with the next one",
        ),
        fault(
            "stall",
            OptionKind::Stall,
            "the broker stands still: from this instant of the measured part, for so long",
        ),
        fault(
            "fail_ack",
            OptionKind::Fraction,
            "share of messages that are refused (where publishers get acknowledgements)",
        ),
        fault(
            "service_time",
            OptionKind::Time,
            "one server handles a message at a time, each for so long",
        ),
        fault(
            "slow_consumer",
            OptionKind::Time,
            "each consumer takes so long for a message",
        ),
        fault(
            "seed",
            OptionKind::Count(0, u64::MAX),
            "what the faults are drawn from",
        ),
    ],
    patterns: &[
        pattern(Pattern::Queue),
        pattern(Pattern::FanOut),
        pattern(Pattern::Backlog),
    ],
    offers: &[
        offer(Delivery::AtMostOnce, false),
        offer(Delivery::AtLeastOnce, true),
        offer(Delivery::ExactlyOnce, true),
    ],
    holds_backlog: true,
    security: &[],
    needs_threads: false,
    ranked: false,
};

/// The driver.
pub struct Loopback;

impl Driver for Loopback {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            let faults = Faults::of(task).map_err(DriverError::while_doing("read the faults"))?;
            let hub = Arc::new(Hub::new(task));
            let bench = faults
                .any()
                .then(|| Bench::start(Model::new(task, faults), Arc::clone(&hub)));
            let session: Box<dyn Session> = Box::new(Loop { hub, bench });
            Ok(session)
        })
    }
}

/// Messages on their way to one consumer.
#[derive(Default)]
struct Pipe {
    state: Mutex<PipeState>,
    waker: AtomicWaker,
    /// Whether the consumer waits; so a publisher need not touch the waker for each message.
    waiting: AtomicBool,
    /// Publishers that wait for room.
    room: Notify,
}

#[derive(Default)]
struct PipeState {
    full: VecDeque<Chunk>,
    spare: Vec<Chunk>,
}

/// Messages one after the other.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Chunk {
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }
}

impl Pipe {
    /// Puts messages in, as many as `write` ends in the chunk, and tells the consumer.
    fn push(&self, write: impl FnOnce(&mut Chunk)) {
        let mut state = lock(&self.state);
        if state
            .full
            .back()
            .is_none_or(|chunk| chunk.bytes.len() > CHUNK)
        {
            let fresh = state.spare.pop().unwrap_or_default();
            state.full.push_back(fresh);
        }
        if let Some(chunk) = state.full.back_mut() {
            write(chunk);
        }
        drop(state);
        if self.waiting.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    fn pop(&self) -> Option<Chunk> {
        lock(&self.state).full.pop_front()
    }

    fn recycle(&self, mut chunk: Chunk) {
        chunk.bytes.clear();
        chunk.ends.clear();
        let mut state = lock(&self.state);
        if state.spare.len() < SPARE {
            state.spare.push(chunk);
        }
        let has_room = state.full.len() + 1 == LIMIT;
        drop(state);
        if has_room {
            self.room.notify_waiters();
        }
    }

    /// Waits until it is not full.
    async fn await_room(&self) {
        loop {
            // Before looking, so that a notice in between is not missed.
            let notified = self.room.notified();
            if lock(&self.state).full.len() < LIMIT {
                return;
            }
            notified.await;
        }
    }

    /// The next chunk, when there is one.
    async fn next(&self) -> Chunk {
        poll_fn(|cx| {
            if let Some(chunk) = self.pop() {
                return Poll::Ready(chunk);
            }
            self.waker.register(cx.waker());
            self.waiting.store(true, Ordering::SeqCst);
            match self.pop() {
                Some(chunk) => Poll::Ready(chunk),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// The pipes of a trial, and who takes part.
struct Hub {
    /// By group and consumer.
    pipes: Vec<Vec<Pipe>>,
    /// By destination: the consumers of any group that read it.
    readers: Vec<Vec<usize>>,
    /// By group and destination: whose turn it is.
    turns: Vec<Vec<AtomicUsize>>,
    acks: bool,
    /// Whether publishers wait for room. A backlog that is preloaded has nobody yet to make any.
    is_bounded: bool,
}

impl Hub {
    fn new(task: &Task) -> Hub {
        let workload = &task.workload;
        let groups = if workload.consumers == 0 {
            0
        } else {
            workload.groups
        };
        Hub {
            pipes: (0..groups)
                .map(|_| (0..workload.consumers).map(|_| Pipe::default()).collect())
                .collect(),
            readers: readers(task),
            turns: (0..groups)
                .map(|_| {
                    (0..workload.destinations)
                        .map(|_| AtomicUsize::new(0))
                        .collect()
                })
                .collect(),
            acks: task.acks,
            is_bounded: workload.publishers > 0,
        }
    }

    /// The consumer of a group that gets the next message of a destination.
    fn reader(&self, group: usize, destination: usize) -> usize {
        match self.readers[destination].as_slice() {
            [only] => *only,
            several => {
                let turn = self.turns[group][destination].fetch_add(1, Ordering::Relaxed);
                several[turn % several.len()]
            }
        }
    }
}

/// By destination: the consumers of any group that read it.
pub(super) fn readers(task: &Task) -> Vec<Vec<usize>> {
    let mut readers = vec![Vec::new(); task.workload.destinations as usize];
    for consumer in 0..task.workload.consumers {
        for destination in task.destinations_of(consumer) {
            readers[destination as usize].push(consumer as usize);
        }
    }
    readers
}

struct Loop {
    hub: Arc<Hub>,
    bench: Option<Bench>,
}

impl Session for Loop {
    fn publisher(&self, publisher: u32) -> Publisher {
        Publisher::Async(Box::new(LoopPublisher {
            publisher: publisher as usize,
            hub: Arc::clone(&self.hub),
            desk: self.bench.as_ref().map(|bench| Arc::clone(&bench.desk)),
        }))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        Consumer::Async(Box::new(LoopConsumer {
            hub: Arc::clone(&self.hub),
            group: group as usize,
            consumer: consumer as usize,
        }))
    }
}

struct LoopPublisher {
    publisher: usize,
    hub: Arc<Hub>,
    desk: Option<Arc<Desk>>,
}

impl AsyncPublisher for LoopPublisher {
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async { Ok(()) })
    }

    fn run(&mut self, mut outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let acks = outbox.acks();
            if let Some(desk) = &self.desk {
                desk.enter(self.publisher, acks.clone(), &outbox);
            }
            let mut tokens = Vec::with_capacity(BATCH);
            while outbox.due(BATCH).await > 0 {
                match &self.desk {
                    None => self.pass(&mut outbox, &mut tokens),
                    Some(desk) => desk.accept_all(self.publisher, &mut outbox),
                }
                if self.hub.acks && self.desk.is_none() {
                    acks.acked_all(tokens.drain(..));
                }
                tokens.clear();
                if self.hub.is_bounded {
                    for pipe in self.hub.pipes.iter().flatten() {
                        pipe.await_room().await;
                    }
                }
                // Nothing else would ever let the other tasks of this thread run.
                tokio::task::consume_budget().await;
            }
            Ok(())
        })
    }
}

impl LoopPublisher {
    /// Hands a batch over to the consumers.
    fn pass(&self, outbox: &mut AsyncOutbox, tokens: &mut Vec<Token>) {
        let hub = &self.hub;
        if let ([group], [readers]) = (hub.pipes.as_slice(), hub.readers.as_slice())
            && let [reader] = readers.as_slice()
        {
            // One destination with one reader: the whole batch goes with one lock.
            group[*reader].push(|chunk| {
                while let Some(message) = outbox.next() {
                    chunk.add(|bytes| message.append_to(bytes));
                    tokens.push(message.token);
                }
            });
            return;
        }
        while let Some(message) = outbox.next() {
            for (group, pipes) in hub.pipes.iter().enumerate() {
                let reader = hub.reader(group, message.destination as usize);
                pipes[reader].push(|chunk| chunk.add(|bytes| message.append_to(bytes)));
            }
            tokens.push(message.token);
        }
    }
}

struct LoopConsumer {
    hub: Arc<Hub>,
    group: usize,
    consumer: usize,
}

impl AsyncConsumer for LoopConsumer {
    fn run(&mut self, mut inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let pipe = &self.hub.pipes[self.group][self.consumer];
            inbox.ready();
            loop {
                let chunk = pipe.next().await;
                let mut from = 0;
                for end in &chunk.ends {
                    inbox.received(&chunk.bytes[from..*end]);
                    from = *end;
                }
                pipe.recycle(chunk);
                tokio::task::consume_budget().await;
            }
        })
    }
}

/// A thread that carries out what the model of a faulty broker decides.
struct Bench {
    desk: Arc<Desk>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Where publishers hand in messages for the model.
struct Desk {
    state: Mutex<DeskState>,
    changed: Condvar,
}

struct DeskState {
    model: Model,
    acks: Vec<Option<Acks>>,
    begun: bool,
    over: bool,
}

impl Desk {
    fn enter(&self, publisher: usize, acks: Acks, outbox: &AsyncOutbox) {
        let mut state = lock(&self.state);
        if state.acks.len() <= publisher {
            state.acks.resize(publisher + 1, None);
        }
        state.acks[publisher] = Some(acks);
        if !state.begun {
            state.begun = true;
            let timeline = &outbox.ledger().timeline;
            state
                .model
                .begin(timeline.start(), timeline.measured_from());
        }
    }

    fn accept_all(&self, publisher: usize, outbox: &mut AsyncOutbox) {
        let mut state = lock(&self.state);
        let now = Monotonic.now();
        while let Some(message) = outbox.next() {
            let mut bytes = Vec::with_capacity(message.len());
            message.append_to(&mut bytes);
            state
                .model
                .accept(now, publisher, message.token, message.destination, bytes);
        }
        drop(state);
        self.changed.notify_one();
    }
}

impl Bench {
    fn start(model: Model, hub: Arc<Hub>) -> Bench {
        let desk = Arc::new(Desk {
            state: Mutex::new(DeskState {
                model,
                acks: Vec::new(),
                begun: false,
                over: false,
            }),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&desk);
        let thread = thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || carry_out(&own, &hub))
            .ok();
        Bench { desk, thread }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        lock(&self.desk.state).over = true;
        self.desk.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It holds nothing that could keep it: it ends at the next event or notice.
            let _ = thread.join();
        }
    }
}

/// Shorter waits than this are passed looking at the clock, nanoseconds.
const SPIN: u64 = 60_000;

fn carry_out(desk: &Desk, hub: &Hub) {
    // Precise sleeps; where it is refused the faults come a little later than asked.
    let _ = nix::sys::prctl::set_timerslack(1);
    let mut state = lock(&desk.state);
    while !state.over {
        let now = Monotonic.now();
        match state.model.next_at() {
            Some(at) if at <= now => {
                let event = state.model.next(now);
                match event {
                    Some(Event::Deliver {
                        group,
                        consumer,
                        bytes,
                    }) => {
                        hub.pipes[group][consumer]
                            .push(|chunk| chunk.add(|all| all.extend_from_slice(&bytes)));
                    }
                    Some(Event::Answer {
                        publisher,
                        token,
                        failed,
                    }) if hub.acks => {
                        if let Some(Some(acks)) = state.acks.get(publisher) {
                            match failed {
                                None => acks.acked(token),
                                Some(reason) => acks.failed(token, &reason),
                            }
                        }
                    }
                    _ => {}
                }
            }
            Some(at) if at - now < SPIN => {
                drop(state);
                std::hint::spin_loop();
                state = lock(&desk.state);
            }
            next => {
                let wait = next.map_or(Duration::from_millis(100), |at| {
                    Duration::from_nanos(at - now - SPIN)
                });
                state = match desk.changed.wait_timeout(state, wait) {
                    Ok((state, _)) => state,
                    Err(poisoned) => poisoned.into_inner().0,
                };
            }
        }
    }
}
