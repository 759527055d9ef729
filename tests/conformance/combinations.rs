//! Every driver × every offer × every pattern, and how a check runs over them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mqbench::drivers::REGISTRY;
use mqbench::drivers::descriptor::{Descriptor, Offer, PatternSpec};
use mqbench::engine::task::Task;
use mqbench::scenario::workload::{Load, Measure, Pattern};

use crate::brokers::{Broker, Slots, own, shared};
use crate::harness::{give, task};

/// How many trials of one check run at a time: most of their time they wait.
const AT_ONCE: usize = 2;
/// And of all checks together. Where more have two cores for themselves and their servers, some of these answer nothing
/// for seconds.
static TRIALS: Slots = Slots::of(3);

/// What one driver gives, in one of its patterns.
#[derive(Clone, Copy)]
pub struct Combination {
    pub driver: &'static Descriptor,
    pub offer: &'static Offer,
    pub pattern: &'static PatternSpec,
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Combination {
            driver,
            offer,
            pattern,
        } = self;
        write!(
            f,
            "{}, {}, {}, {}",
            driver.name,
            offer.delivery.name(),
            offer.durability.name(),
            pattern.pattern.name()
        )
    }
}

impl Combination {
    /// A task for it: the smallest workload that the pattern knows.
    pub fn task(&self, broker: &Broker) -> Task {
        let mut task = task(self.driver.name, broker.url());
        give(&mut task, self.offer);
        task.workload.pattern = self.pattern.pattern;
        task.phases.measure = Measure::Count(2_000);
        match self.pattern.pattern {
            Pattern::FanOut => task.workload.groups = 2,
            Pattern::Backlog => task.workload.publishers = 0,
            _ => {}
        }
        task
    }

    /// Whether nothing is sent while measuring.
    pub fn is_backlog(&self) -> bool {
        self.pattern.pattern == Pattern::Backlog
    }

    /// A broker that others use too.
    pub fn shared(&self) -> Option<Broker> {
        shared(self.driver, self.offer)
    }

    /// A broker that nobody else uses.
    pub fn own(&self) -> Option<Broker> {
        own(self.driver, self.offer, &BTreeMap::new())
    }
}

/// All of them, or those of the driver that `MQBENCH_TEST_DRIVER` names.
pub fn all() -> impl Iterator<Item = Combination> {
    let only = std::env::var("MQBENCH_TEST_DRIVER").ok();
    let wanted = REGISTRY.iter().filter_map(move |driver| {
        let (driver, left_out) = (driver.descriptor(), driver.left_out());
        let only = only.as_deref();
        if only.is_some_and(|only| only != driver.name) {
            return None;
        }
        // A client that is not built by default is tried in the builds that have it.
        if left_out.is_some() {
            eprintln!("skipped: this build has no client of {}", driver.title);
            return None;
        }
        Some(driver)
    });
    wanted.flat_map(|driver| {
        let offers = driver.offers.iter();
        offers.flat_map(move |offer| {
            let patterns = driver.patterns.iter();
            patterns.map(move |pattern| Combination {
                driver,
                offer,
                pattern,
            })
        })
    })
}

/// Each offer and each pattern at least once: where they make a difference, but not both at a time. All
/// of them in the long run.
pub fn each_once() -> impl Iterator<Item = Combination> {
    let all_of_them = std::env::var_os("MQBENCH_LONG").is_some();
    all().filter(move |c| {
        let first_offer = std::ptr::eq(c.offer, &raw const c.driver.offers[0]);
        let first_pattern = c.pattern.pattern == c.driver.patterns[0].pattern;
        all_of_them || first_offer || first_pattern
    })
}

/// One for each offer: where the pattern makes no difference.
pub fn of_each_offer() -> impl Iterator<Item = Combination> {
    all().filter(|c| c.pattern.pattern == c.driver.patterns[0].pattern)
}

/// One for each driver: where the offer makes no difference either.
pub fn of_each_driver() -> impl Iterator<Item = Combination> {
    of_each_offer().filter(|c| std::ptr::eq(c.offer, &raw const c.driver.offers[0]))
}

/// As fast as the windows allow where the pattern has no schedule, otherwise at this rate.
pub fn at_rate(task: &mut Task, rate: f64, time: std::time::Duration) {
    if task.workload.drains_backlog() {
        task.workload.load = Load::Max;
        task.phases.measure = Measure::Count((rate * time.as_secs_f64()) as u64);
    } else {
        crate::harness::at_rate(task, rate, time);
    }
}

/// Runs a check for each combination and tells all that fail, not only the first. A check says what is
/// wrong, nothing if all is well.
#[track_caller]
pub fn each(
    combinations: impl Iterator<Item = Combination>,
    check: impl Fn(&Combination) -> Vec<String> + Sync,
) {
    let combinations: Vec<Combination> = combinations.collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(combination) = combinations.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let _turn = TRIALS.take();
                    for problem in check(combination) {
                        let problem = format!("{combination}: {problem}");
                        eprintln!("{problem}");
                        failed.lock().expect("no panic").push(problem);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}
