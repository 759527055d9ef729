//! Drives a session of a driver through the real books of a trial, as the engine does: consumers
//! first, then publishers, a drain, the stop, the clean-up.

#![allow(dead_code, reason = "each test file uses its part of the harness")]

pub mod server;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, select};
use mqbench::drivers::{Consumer, Driver, DriverError, Publisher, Session, find};
use mqbench::engine::inbox::Inbox;
use mqbench::engine::ledger::Ledger;
use mqbench::engine::outbox::{Outbox, ThreadRecords};
use mqbench::engine::pacing::{AsyncOutbox, BlockingOutbox, Timer};
use mqbench::engine::shared::lock;
use mqbench::engine::task::{Task, WindowBy};
use mqbench::measure::clock::{Clock, Monotonic};
use mqbench::scenario::units::{Rate, Size};
use mqbench::scenario::workload::{
    AckPolicy, Arrival, Delivery, Durability, Load, Measure, Message, Pattern, Payload, Phases,
    WeightedSize, Workload,
};
use serde_json::Value;

/// A queue from one publisher to one consumer: some thousand messages, as fast as the window allows.
pub fn task(driver: &str, url: Option<String>) -> Task {
    static TRIAL: AtomicU64 = AtomicU64::new(1);
    let trial = TRIAL.fetch_add(1, Ordering::Relaxed) as u16;
    let descriptor = find(driver).expect("a driver").descriptor();
    let offer = &descriptor.offers[0];
    Task {
        run: std::process::id(),
        trial,
        run_id: format!("test{}", std::process::id()),
        seed: 7,
        driver: driver.to_owned(),
        url,
        user: None,
        password: None,
        token: None,
        destination: None,
        options: defaults(driver),
        delivery: offer.delivery,
        durability: offer.durability,
        acks: offer.acks,
        order: offer.order,
        window: WindowBy::Nothing,
        workload: Workload {
            pattern: Pattern::Queue,
            delivery: Delivery::AtMostOnce,
            durability: Durability::Memory,
            message: Message {
                sizes: vec![WeightedSize {
                    size: Size(100),
                    weight: 1.0,
                }],
                payload: Payload::Random,
                keys: 0,
                verify: true,
            },
            load: Load::Max,
            publishers: 1,
            consumers: 1,
            groups: 1,
            destinations: 1,
            in_flight: 256,
            ack: AckPolicy {
                every: 100,
                within: Duration::from_millis(10),
            },
        },
        phases: Phases {
            warmup: Duration::ZERO,
            measure: Measure::Count(5_000),
            drain: Duration::from_secs(5),
        },
    }
}

/// An open loop at this rate for this long.
pub fn at_rate(task: &mut Task, rate: f64, time: Duration) {
    task.workload.load = Load::Rate {
        rate: Rate(rate),
        arrival: Arrival::Uniform,
    };
    task.phases.measure = Measure::Time(time);
}

/// Takes another offer of the driver.
pub fn offer(task: &mut Task, delivery: Delivery, durability: Durability) {
    let descriptor = find(&task.driver).expect("a driver").descriptor();
    let offer = descriptor
        .offers
        .iter()
        .find(|o| o.delivery == delivery && o.durability == durability)
        .expect("an offer");
    task.delivery = delivery;
    task.durability = durability;
    task.acks = offer.acks;
    task.order = offer.order;
}

fn defaults(driver: &str) -> BTreeMap<String, Value> {
    let options = find(driver).expect("a driver").descriptor().options;
    let filled = options.iter().filter_map(|option| {
        let text = option.default?;
        let value = match text.parse::<u64>() {
            Ok(number) => Value::from(number),
            Err(_) => text
                .parse::<bool>()
                .map_or_else(|_| Value::from(text), Value::from),
        };
        Some((option.name.to_owned(), value))
    });
    filled.collect()
}

/// What became of a trial.
pub struct Trial {
    pub ledger: Arc<Ledger>,
    pub session: Box<dyn Session>,
    /// What went wrong, on any side.
    pub errors: Vec<DriverError>,
    pub took: Duration,
}

impl Trial {
    /// Everything that was sent arrived once, in order, and was acknowledged where there are acks.
    #[track_caller]
    pub fn assert_complete(&self) {
        let ledger = &self.ledger;
        assert_eq!(self.errors, [], "the loops end without errors");
        let sent = ledger.sent();
        assert!(sent > 0, "something was sent");
        for (number, group) in ledger.groups.iter().enumerate() {
            let counts = group.counts();
            assert_eq!(group.distinct(), sent, "group {number} has everything");
            assert_eq!(group.copies(), sent, "group {number} has it once");
            assert_eq!(counts.out_of_order, 0, "group {number} has it in order");
            assert_eq!(group.unexpected(), 0, "group {number} has nothing foreign");
            assert_eq!(group.corrupted(), 0, "group {number} has it unharmed");
        }
        if ledger.task.acks {
            for book in &ledger.publishers {
                let outcome = lock(&book.outcome);
                assert_eq!(outcome.reasons, BTreeMap::new(), "nothing failed");
            }
            assert_eq!(ledger.released(), sent, "every message was acknowledged");
        }
    }

    /// Reasons of failure, with their counts.
    pub fn failures(&self) -> BTreeMap<String, u64> {
        let books = self.ledger.publishers.iter();
        books
            .flat_map(|book| lock(&book.outcome).reasons.clone())
            .collect()
    }

    /// Removes what the trial made.
    pub fn clean_up(&self) -> Result<(), DriverError> {
        runtime().block_on(self.session.clean_up())
    }

    pub fn fact(&self, key: &str) -> Option<String> {
        let facts = self.session.server_facts();
        facts.into_iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

pub fn prepare(task: &Task) -> Result<Box<dyn Session>, DriverError> {
    let driver: &dyn Driver = find(&task.driver).expect("a driver");
    runtime().block_on(driver.prepare(task))
}

/// Runs a trial that nothing disturbs.
pub fn run(task: Task) -> Trial {
    run_disturbed(task, |_| {})
}

/// Runs a trial; `disturb` is called when the load has begun, on a thread of its own.
pub fn run_disturbed(mut task: Task, disturb: impl FnOnce(&Ledger) + Send) -> Trial {
    let driver = find(&task.driver).expect("a driver");
    let holds_backlog = driver.descriptor().holds_backlog;
    task.window = WindowBy::of(&task.workload, task.acks, holds_backlog);
    let session = prepare(&task).expect("prepared");
    let ledger = Ledger::open(task).expect("a ledger");
    let errors = Mutex::new(Vec::new());
    let begun = Instant::now();
    thread::scope(|scope| {
        start_consumers(scope, session.as_ref(), &ledger, &errors);
        let workload = &ledger.task.workload;
        let expected = u64::from(workload.groups * workload.consumers);
        let limit = Instant::now() + Duration::from_secs(15);
        while ledger.ready.load(Ordering::SeqCst) < expected {
            assert!(Instant::now() < limit, "consumers ready; {errors:?}");
            if !lock(&errors).is_empty() {
                ledger.stop();
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        start_publishers(scope, session.as_ref(), &ledger, &errors);
        let books = Arc::clone(&ledger);
        scope.spawn(move || disturb(&books));
        control(&ledger, &errors);
        ledger.stop();
    });
    let took = begun.elapsed();
    for group in &ledger.groups {
        group.settle();
    }
    Trial {
        ledger,
        session,
        errors: errors.into_inner().expect("no panic"),
        took,
    }
}

/// Waits for the end of the load and of the drain.
fn control(ledger: &Ledger, errors: &Mutex<Vec<DriverError>>) {
    let settle = || {
        for group in &ledger.groups {
            group.settle();
        }
        thread::sleep(Duration::from_millis(2));
    };
    let limit = Instant::now() + Duration::from_secs(60);
    while !ledger.all_sent() && Instant::now() < limit {
        settle();
    }
    let drained = Instant::now() + ledger.task.phases.drain;
    while !(ledger.all_received() && ledger.all_resolved())
        && Instant::now() < drained
        && lock(errors).is_empty()
    {
        settle();
    }
}

type Errors<'e> = &'e Mutex<Vec<DriverError>>;

fn note(errors: Errors, result: Result<(), DriverError>) {
    if let Err(error) = result {
        lock(errors).push(error);
    }
}

async fn stopped(ledger: &Ledger) {
    while !ledger.stopping.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn start_consumers<'s, 'e>(
    scope: &'s thread::Scope<'s, 'e>,
    session: &dyn Session,
    ledger: &Arc<Ledger>,
    errors: Errors<'e>,
) {
    let mut tasks = Vec::new();
    for group in 0..ledger.groups.len() {
        for consumer in 0..ledger.task.workload.consumers {
            let inbox = Inbox::new(ledger, Monotonic, group, consumer as usize);
            match session.consumer(group as u32, consumer) {
                Consumer::Blocking(mut consumer) => {
                    scope.spawn(move || note(errors, consumer.run(inbox)));
                }
                Consumer::Async(consumer) => tasks.push((consumer, inbox)),
            }
        }
    }
    if tasks.is_empty() {
        return;
    }
    let ledger = Arc::clone(ledger);
    scope.spawn(move || {
        runtime().block_on(async {
            let all = join_all(tasks.into_iter().map(|(mut consumer, inbox)| async move {
                note(errors, consumer.run(inbox).await);
            }));
            select(Box::pin(all), Box::pin(stopped(&ledger))).await;
        });
    });
}

fn start_publishers<'s, 'e>(
    scope: &'s thread::Scope<'s, 'e>,
    session: &dyn Session,
    ledger: &Arc<Ledger>,
    errors: Errors<'e>,
) {
    let publishers = ledger.publishers.len();
    let (connected, all_connected) = mpsc::channel();
    let mut tasks = Vec::new();
    for number in 0..publishers {
        match session.publisher(number as u32) {
            Publisher::Async(publisher) => tasks.push((number as u16, publisher)),
            Publisher::Blocking(mut publisher) => {
                let (ledger, connected) = (Arc::clone(ledger), connected.clone());
                scope.spawn(move || {
                    let result = publisher.connect();
                    let records = ThreadRecords::new(&ledger);
                    let outbox = Outbox::new(&ledger, Monotonic, number as u16, &records);
                    let ok = result.is_ok();
                    note(errors, result);
                    let _ = connected.send(1);
                    if ok {
                        wait_for_begin(&ledger);
                        note(errors, publisher.run(BlockingOutbox::new(outbox)));
                    }
                });
            }
        }
    }
    if !tasks.is_empty() {
        let (ledger, connected) = (Arc::clone(ledger), connected.clone());
        scope.spawn(move || {
            runtime().block_on(async {
                let timer = Rc::new(Timer::default());
                let records = ThreadRecords::new(&ledger);
                let all = tasks.into_iter().map(|(number, mut publisher)| {
                    let (timer, ledger) = (Rc::clone(&timer), Arc::clone(&ledger));
                    let outbox = Outbox::new(&ledger, Monotonic, number, &records);
                    let connected = connected.clone();
                    async move {
                        let result = publisher.connect().await;
                        let ok = result.is_ok();
                        note(errors, result);
                        let _ = connected.send(1);
                        let outbox = AsyncOutbox::new(outbox, timer);
                        if ok {
                            while ledger.timeline.start() == u64::MAX {
                                tokio::time::sleep(Duration::from_millis(1)).await;
                            }
                            note(errors, publisher.run(outbox).await);
                        }
                    }
                });
                let all = join_all(all);
                let beside = select(Box::pin(timer.clone().run()), Box::pin(stopped(&ledger)));
                select(Box::pin(all), beside).await;
            });
        });
    }
    for _ in 0..publishers {
        let limit = Duration::from_secs(15);
        all_connected.recv_timeout(limit).expect("connected");
    }
    ledger.timeline.begin(Monotonic.now());
}

fn wait_for_begin(ledger: &Ledger) {
    while ledger.timeline.start() == u64::MAX {
        thread::sleep(Duration::from_millis(1));
    }
}
