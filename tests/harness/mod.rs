//! What tests of drivers start from: tasks, and servers to run them against.

#![allow(dead_code, reason = "each test file uses its part of the harness")]

pub mod proxy;
pub mod server;
#[path = "../support/mod.rs"]
mod support;
pub mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mqbench::drivers::descriptor::{Offer, OptionKind};
use mqbench::drivers::{Driver, DriverError, Session, find};
use mqbench::engine::task::{Task, WindowBy};
use mqbench::scenario::units::{Rate, Size};
use mqbench::scenario::workload::{Arrival, Delivery, Durability, Load, Measure, Payload, Phases};
use serde_json::Value;

/// A queue from one publisher to one consumer: some thousand messages, as fast as the window allows.
pub fn task(driver: &str, url: Option<String>) -> Task {
    static TRIAL: AtomicU64 = AtomicU64::new(1);
    let trial = TRIAL.fetch_add(1, Ordering::Relaxed) as u16;
    let descriptor = find(driver).expect("a driver").descriptor();
    let offer = &descriptor.offers[0];
    let mut task = Task {
        run: std::process::id(),
        trial,
        // Of this trial alone, so that what it leaves on a server that others use too can be told.
        run_id: format!("test{}x{trial}", std::process::id()),
        driver: driver.to_owned(),
        url,
        options: defaults(driver),
        // Decided when the workload is: by the worker of `worker.rs`.
        window: WindowBy::Nothing,
        phases: Phases {
            warmup: Duration::ZERO,
            measure: Measure::Count(5_000),
            drain: Duration::from_secs(5),
        },
        ..support::task()
    };
    task.workload.message.sizes[0].size = Size(100);
    task.workload.message.payload = Payload::Random;
    task.workload.load = Load::Max;
    task.workload.in_flight = 256;
    give(&mut task, offer);
    task
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
    give(task, offer);
}

/// Asks for what an offer gives, and takes it.
pub fn give(task: &mut Task, offer: &Offer) {
    task.delivery = offer.delivery;
    task.durability = offer.durability;
    task.workload.delivery = offer.delivery;
    task.workload.durability = offer.durability;
    task.acks = offer.acks;
    task.order = offer.order;
}

fn defaults(driver: &str) -> BTreeMap<String, Value> {
    let options = find(driver).expect("a driver").descriptor().options;
    let filled = options.iter().filter_map(|option| {
        let text = option.default?;
        let value = match option.kind {
            OptionKind::Count(..) => Value::from(text.parse::<u64>().expect("a number")),
            OptionKind::Flag => Value::from(text == "true"),
            _ => Value::from(text),
        };
        Some((option.name.to_owned(), value))
    });
    filled.collect()
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
