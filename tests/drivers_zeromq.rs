//! What only the ZeroMQ driver does; the rest is in `conformance.rs`, over its default transport.

mod harness;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use harness::worker::run;
use harness::{at_rate, prepare, task};
use mqbench::drivers::Publisher;
use mqbench::engine::ledger::Ledger;
use mqbench::engine::outbox::{Outbox, ThreadRecords};
use mqbench::engine::pacing::BlockingOutbox;
use mqbench::engine::shared::lock;
use mqbench::engine::task::Task;
use mqbench::measure::clock::{Clock, Monotonic};
use mqbench::scenario::workload::{Measure, Pattern};
use serde_json::Value;

const TRANSPORTS: [&str; 3] = ["tcp", "ipc", "inproc"];

fn over(transport: &str) -> Task {
    let mut task = task("zeromq", None);
    task.options
        .insert("transport".to_owned(), Value::from(transport));
    task
}

#[test]
fn a_queue_delivers_everything_in_order() {
    for transport in TRANSPORTS {
        let task = over(transport);
        let seen = run(task.clone());
        seen.assert_complete(&task);
        assert_eq!(seen.fact("transport"), Some(transport));
    }
}

#[test]
fn publishers_and_consumers_meet_in_any_number() {
    for transport in TRANSPORTS {
        for (publishers, consumers, groups, destinations) in [
            (1, 3, 1, 1),
            (3, 1, 1, 1),
            (2, 2, 2, 1),
            (2, 2, 1, 5),
            (1, 1, 2, 3),
            (3, 4, 1, 2),
        ] {
            let mut task = over(transport);
            let workload = &mut task.workload;
            workload.publishers = publishers;
            workload.consumers = consumers;
            workload.groups = groups;
            workload.destinations = destinations;
            run(task.clone()).assert_complete(&task);
        }
    }
}

#[test]
fn every_group_gets_everything_from_the_first_message() {
    for transport in TRANSPORTS {
        for (publishers, consumers, destinations) in [(1, 1, 1), (2, 1, 1), (2, 2, 5)] {
            let mut task = over(transport);
            task.workload.pattern = Pattern::FanOut;
            task.workload.groups = 3;
            task.workload.publishers = publishers;
            task.workload.consumers = consumers;
            task.workload.destinations = destinations;
            run(task.clone()).assert_complete(&task);
        }
    }
}

#[test]
fn a_window_never_reaches_the_mark_where_messages_are_dropped() {
    for transport in TRANSPORTS {
        let mut task = over(transport);
        task.workload.pattern = Pattern::FanOut;
        task.workload.groups = 3;
        task.workload.in_flight = 1_000;
        task.phases.measure = Measure::Count(200_000);
        run(task.clone()).assert_complete(&task);
    }
}

#[test]
fn local_sockets_leave_nothing_behind() {
    let ours = || {
        let entries = fs::read_dir(std::env::temp_dir()).expect("a folder");
        let names =
            entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()));
        names.filter(|n| n.starts_with("mqbench-")).count()
    };
    let before = ours();
    for _ in 0..2 {
        run(over("ipc"));
    }
    // Other tests of this file may be using theirs meanwhile.
    assert!(ours() <= before + 2, "at most those of other tests");
}

#[test]
fn a_publisher_that_nobody_serves_ends_with_the_trial() {
    let mut task = over("inproc");
    task.workload.in_flight = 1;
    task.options
        .insert("high_water_mark".to_owned(), Value::from(1));
    at_rate(&mut task, 1_000.0, Duration::from_secs(20));
    let ledger = Ledger::open(task.clone()).expect("a ledger");
    let session = prepare(&task).expect("prepared");
    // The consumer is there, holds its socket, and never reads.
    let _idle = session.consumer(0, 0);
    let Publisher::Blocking(mut publisher) = session.publisher(0) else {
        panic!("it blocks");
    };
    publisher.connect().expect("connected");
    let records = ThreadRecords::new(&ledger);
    let outbox = Outbox::new(&ledger, Monotonic, 0, &records);
    ledger.timeline.begin(Monotonic.now());
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || publisher.run(BlockingOutbox::new(outbox)));
        thread::sleep(Duration::from_millis(200));
        ledger.stop();
    });
    assert!(begun.elapsed() < Duration::from_secs(2), "it ends");
    let reasons = lock(&ledger.publishers[0].outcome).reasons.clone();
    assert!(
        reasons.keys().any(|r| r.contains("took nothing")),
        "{reasons:?}"
    );
}
