//! The backlog that the broker itself tells of: asked beside the load, written down each second.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use harness::server::Server;
use harness::{at_rate, offer, prepare, runtime, task};
use mqbench::drivers::{AsyncConsumer, Consumer, DriverError, Publisher, Session};
use mqbench::engine::inbox::Inbox;
use mqbench::engine::ledger::Ledger;
use mqbench::engine::run::Run;
use mqbench::engine::task::{Task, WindowBy};
use mqbench::measure::record::Record;
use mqbench::measure::resources::{Parties, Watch};
use mqbench::scenario::workload::{Delivery, Durability};

type Asked<'a> = Option<BoxFuture<'a, Result<u64, DriverError>>>;

/// A session of which the test replaces a part.
struct Changed {
    inner: Box<dyn Session>,
    /// The consumers are there and take nothing.
    idle: bool,
    /// Asking for the backlog fails.
    dumb: bool,
    asked: Arc<AtomicU64>,
}

impl Session for Changed {
    fn publisher(&self, publisher: u32) -> Publisher {
        self.inner.publisher(publisher)
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        match self.idle {
            true => Consumer::Async(Box::new(Idle)),
            false => self.inner.consumer(group, consumer),
        }
    }

    fn backlog(&self) -> Asked<'_> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.dumb {
            true => Some(Box::pin(async {
                Err(DriverError::while_doing("ask how much waits")("no tongue"))
            })),
            false => self.inner.backlog(),
        }
    }

    fn clean_up(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        self.inner.clean_up()
    }
}

struct Idle;

impl AsyncConsumer for Idle {
    fn run(&mut self, mut inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            inbox.ready();
            std::future::pending().await
        })
    }
}

/// Runs a trial within this process, and says how often the backlog was asked for.
fn run(mut task: Task, idle: bool, dumb: bool) -> (Record, u64) {
    task.window = WindowBy::of(&task.workload, task.acks, true);
    let asked = Arc::default();
    let session: Arc<dyn Session> = Arc::new(Changed {
        inner: prepare(&task).expect("prepared"),
        idle,
        dumb,
        asked: Arc::clone(&asked),
    });
    let ledger = Ledger::open(task).expect("a ledger");
    let record = Run::new(ledger, Arc::clone(&session)).run(Watch::new(Parties::default()), |_| {});
    runtime().block_on(session.clean_up()).expect("cleaned up");
    (record, asked.load(Ordering::Relaxed))
}

/// Five hundred messages a second for four seconds.
fn streams() -> Option<(Server, Task)> {
    let server = Server::redis(&[])?;
    let mut task = task("redis-streams", Some(server.url()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Memory);
    at_rate(&mut task, 500.0, Duration::from_secs(4));
    task.workload.in_flight = 10_000;
    task.phases.drain = Duration::from_millis(500);
    Some((server, task))
}

#[test]
fn what_waits_in_the_broker_is_told_second_by_second() {
    let Some((_server, task)) = streams() else {
        return;
    };
    let (record, _) = run(task, true, false);
    assert_eq!(record.failure, None);
    let told: Vec<u64> = record
        .series
        .iter()
        .filter_map(|s| s.server_backlog)
        .collect();
    assert!(told.len() >= 3, "{told:?}");
    assert!(told.windows(2).all(|two| two[0] < two[1]), "{told:?}");
    assert!(told.last() <= Some(&record.audit.sent), "{told:?}");
    assert_eq!(record.notes, Vec::<String>::new());
}

#[test]
fn a_broker_whose_consumers_keep_up_has_no_backlog_of_its_own() {
    let Some((_server, task)) = streams() else {
        return;
    };
    let (record, asked) = run(task, false, false);
    assert_eq!((record.audit.lost, record.audit.unsent), (0, 0));
    // What is under way at one instant, not what came in a second.
    let told = record.series.iter().filter_map(|s| s.server_backlog);
    assert!(told.clone().count() >= 3 && told.min() < Some(100));
    assert!((4..=8).contains(&asked), "about once a second: {asked}");
}

#[test]
fn a_broker_that_cannot_be_asked_is_noted_once() {
    let mut task = task("loopback", None);
    at_rate(&mut task, 500.0, Duration::from_millis(2_500));
    let (record, asked) = run(task, false, true);
    assert!(asked >= 3, "{asked}");
    assert_eq!(record.failure, None);
    assert_eq!(record.audit.lost, 0);
    let [note] = record.notes.as_slice() else {
        panic!("{:?}", record.notes);
    };
    assert!(note.contains("no tongue"), "{note}");
    assert!(record.series.iter().all(|s| s.server_backlog.is_none()));
}
