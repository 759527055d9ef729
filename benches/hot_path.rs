//! What the harness costs per message, part by part and whole. `cargo bench --bench hot_path`.
//!
//! Each bench passes messages in batches of 64, as a driver does; the figures are per message.

use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;

use mqbench::engine::inbox::Inbox;
use mqbench::engine::ledger::Ledger;
use mqbench::engine::outbox::{Next, Outbox, ThreadRecords};
use mqbench::engine::schedule::Schedule;
use mqbench::engine::task::{Task, WindowBy};
use mqbench::measure::clock::{Clock, Monotonic};
use mqbench::measure::header::Header;
use mqbench::measure::latency::Latency;
use mqbench::measure::sequences::SequenceSet;
use mqbench::scenario::units::{Rate, Size};
use mqbench::scenario::workload::{Arrival, Load, Measure, Payload};

#[path = "../tests/support/mod.rs"]
mod support;

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

/// Messages in one measured call.
const BATCH: usize = 64;

fn main() {
    divan::main();
}

fn task(load: Load, size: u64, acks: bool) -> Task {
    let mut task = support::task();
    task.workload.load = load;
    task.workload.message.sizes[0].size = Size(size);
    task.workload.message.payload = Payload::Random;
    task.workload.message.verify = false;
    task.workload.in_flight = 32_768;
    task.acks = acks;
    task.window = WindowBy::of(&task.workload, acks, true);
    task.phases.warmup = Duration::ZERO;
    task.phases.measure = Measure::Time(Duration::from_secs(3600));
    task
}

/// An open loop that is always behind: every message is due, none has to be waited for.
fn overdue() -> Load {
    Load::Rate {
        rate: Rate(1e9),
        arrival: Arrival::Uniform,
    }
}

#[divan::bench]
fn clock(bencher: Bencher) {
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            black_box(Monotonic.now());
        }
    });
}

#[divan::bench(args = ["uniform", "poisson"])]
fn schedule(bencher: Bencher, arrival: &str) {
    let arrival = if arrival == "poisson" {
        Arrival::Poisson
    } else {
        Arrival::Uniform
    };
    let load = Load::Rate {
        rate: Rate(1e6),
        arrival,
    };
    let phases = task(load.clone(), 100, false).phases;
    let mut schedule = Schedule::new(&load, &phases, 0, 1, 1).expect("an open loop has one");
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            black_box(schedule.pop());
        }
    });
}

#[divan::bench]
fn header(bencher: Bencher) {
    let mut header = Header {
        measured: true,
        trial: 1,
        run: 2,
        publisher: 3,
        sequence: 4,
        intended: 5,
        sent: 6,
    };
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            header.sequence += 1;
            black_box(Header::decode(&black_box(header.encode())));
        }
    });
}

#[divan::bench]
fn audit(bencher: Bencher) {
    let (mut set, mut next) = (SequenceSet::default(), 0);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            black_box(set.insert(next));
            next += 1;
        }
    });
}

#[divan::bench]
fn record(bencher: Bencher) {
    let (mut latency, mut value) = (Latency::default(), 1);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            value = value * 5 % 9_999_991;
            latency.record(0, value);
        }
    });
}

/// Schedule, stamp, encode, hand over (a copy), decode, audit, record; closed loop without and with
/// acknowledgements, and an open loop with all its latencies.
#[divan::bench(args = ["closed 100 B", "closed 1 KiB", "closed acks 100 B", "open 100 B", "open acks 100 B"])]
fn whole_path(bencher: Bencher, case: &str) {
    let load = if case.starts_with("open") {
        overdue()
    } else {
        Load::Max
    };
    let size = if case.ends_with("KiB") { 1024 } else { 100 };
    let acks = case.contains("acks");
    let ledger = Ledger::open(task(load, size, acks)).expect("a payload");
    ledger.timeline.begin(Monotonic.now());
    let records = ThreadRecords::new(&ledger);
    let mut outbox = Outbox::new(&ledger, Monotonic, 0, &records);
    let mut inbox = Inbox::new(&ledger, Monotonic, 0, 0);
    let answers = outbox.acks();
    let (mut tokens, mut bytes) = (Vec::with_capacity(BATCH), Vec::with_capacity(4096));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        assert_eq!(outbox.poll(BATCH), Next::Due(BATCH));
        while let Some(message) = outbox.next() {
            bytes.clear();
            message.append_to(&mut bytes);
            tokens.push(message.token);
            inbox.received(&bytes);
        }
        if acks {
            answers.acked_all(tokens.drain(..));
        }
        tokens.clear();
    });
}
