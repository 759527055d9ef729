//! In quiet runs: everything arrives once, in order, and acknowledgements mean what they say; the
//! server is left as it was.

use std::time::Duration;

use mqbench::engine::task::Task;
use mqbench::measure::verdict::{Outcome, Promise, judge};
use mqbench::scenario::units::Size;
use mqbench::scenario::workload::{Durability, Measure, Pattern, WeightedSize};

use crate::brokers::Broker;
use crate::combinations::{Combination, all, at_rate, each, of_each_offer};
use crate::harness::worker::run;
use crate::servers::leftovers;

/// How long may be waited for what is still on its way.
const DRAIN: Duration = Duration::from_secs(20);

/// Messages a second: what a server takes that is still warming up, beside others, on two cores.
const BRISK: f64 = 1_000.0;

/// Runs a task and says all that is wrong with how it went, or with what it left.
fn quiet(task: &Task, broker: &Broker) -> Vec<String> {
    let seen = run(task.clone());
    let mut found = seen.problems(task);
    let audit = &seen.record.audit;
    match task.phases.measure {
        Measure::Count(count) if audit.intended != count => {
            found.push(format!("intended: {}, not {count}", audit.intended));
        }
        _ => {}
    }
    let promise = Promise {
        delivery: task.delivery,
        acks: task.acks,
    };
    let verdict = judge(&seen.record, &task.workload, promise);
    // Whether the machine was fast enough is not the driver's matter.
    if verdict.outcome >= Outcome::BrokenPromise {
        found.push(verdict.reason);
    }
    if let Some(instance) = broker.instance() {
        found.extend(leftovers(instance, &task.run_id));
        if seen.fact("version").is_none() {
            found.push("the server's version is not told".to_owned());
        }
    }
    found
}

/// Runs what `change` makes of the smallest task.
fn run_each(
    combinations: impl Iterator<Item = Combination>,
    change: impl Fn(&Combination, &mut Task) + Sync,
) {
    each(combinations, |combination| {
        let Some(broker) = combination.shared() else {
            return Vec::new();
        };
        let mut task = combination.task(&broker);
        // It ends as soon as everything is in; a server that has just started may be slow at first.
        task.phases.drain = DRAIN;
        change(combination, &mut task);
        quiet(&task, &broker)
    });
}

#[test]
fn a_closed_loop_delivers_everything() {
    run_each(all(), |_, _| {});
}

#[test]
fn an_open_loop_delivers_everything() {
    run_each(all().filter(|c| !c.is_backlog()), |combination, task| {
        task.phases.warmup = Duration::from_millis(200);
        // One that syncs each message by itself, on a slow device, would have the window full of those
        // of the warm-up until the end.
        let rate = match combination.offer.durability {
            Durability::Fsync => 200.0,
            Durability::Memory | Durability::Disk => BRISK,
        };
        // So many together take their time.
        let time = match combination
            .driver
            .transactions
            .contains(&combination.offer.delivery)
        {
            true => Duration::from_secs(2),
            false => Duration::from_millis(500),
        };
        at_rate(task, rate, time);
    });
}

#[test]
fn a_window_of_one_delivers_everything() {
    run_each(all(), |_, task| {
        task.workload.in_flight = 1;
        task.phases.measure = Measure::Count(100);
    });
}

#[test]
fn several_publishers_and_consumers_of_several_groups_deliver_everything() {
    run_each(all(), |combination, task| {
        let workload = &mut task.workload;
        if !combination.is_backlog() {
            workload.publishers = 3;
        }
        let fans_out = |c: &Combination| {
            let mut patterns = c.driver.patterns.iter();
            patterns.any(|p| p.pattern == Pattern::FanOut)
        };
        match combination.pattern.pattern {
            Pattern::FanOut => workload.groups = 3,
            Pattern::Queue => {}
            _ if fans_out(combination) => workload.groups = 2,
            _ => {}
        }
        workload.consumers = 4;
        workload.destinations = if combination.pattern.shared { 2 } else { 4 };
        at_rate(task, BRISK, Duration::from_millis(500));
    });
}

#[test]
fn a_consumer_reads_several_destinations() {
    run_each(all(), |_, task| {
        task.workload.destinations = 5;
        task.workload.consumers = 2;
        at_rate(task, BRISK, Duration::from_millis(500));
    });
}

#[test]
fn messages_of_any_size_arrive_unharmed() {
    run_each(all(), |_, task| {
        let sizes = [32, 33, 1 << 10, 64 << 10];
        task.workload.message.sizes = sizes
            .map(|size| WeightedSize {
                size: Size(size),
                weight: 1.0,
            })
            .to_vec();
        task.workload.in_flight = 32;
        task.phases.measure = Measure::Count(400);
    });
}

#[test]
fn without_consumers_everything_is_sent() {
    let can =
        |c: &Combination| !c.is_backlog() && !c.driver.needs_consumers.contains(&c.pattern.pattern);
    each(all().filter(can), |combination| {
        let Some(broker) = combination.shared() else {
            return Vec::new();
        };
        let mut task = combination.task(&broker);
        task.workload.consumers = 0;
        task.phases.drain = DRAIN;
        at_rate(&mut task, BRISK, Duration::from_millis(500));
        quiet(&task, &broker)
    });
}

#[test]
fn the_same_trial_can_be_made_again() {
    each(of_each_offer(), |combination| {
        let Some(broker) = combination.shared() else {
            return Vec::new();
        };
        let mut task = combination.task(&broker);
        task.phases.measure = Measure::Count(200);
        let mut found = quiet(&task, &broker);
        found.extend(quiet(&task, &broker));
        found
    });
}

#[test]
fn each_offer_is_the_one_that_is_taken_for_what_it_gives() {
    each(of_each_offer(), |combination| {
        let Combination { driver, offer, .. } = combination;
        let enough = |o: &&mqbench::drivers::descriptor::Offer| {
            o.delivery >= offer.delivery && o.durability >= offer.durability
        };
        let taken = driver.offers.iter().find(enough);
        match taken.is_some_and(|taken| std::ptr::eq(taken, *offer)) {
            true => Vec::new(),
            false => vec!["an offer that stands before it is taken".to_owned()],
        }
    });
}
