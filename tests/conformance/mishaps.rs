//! What the network, the operator and too much load do to a trial. A driver may go on, with the books
//! exact and what it promised kept, or give up in time with a reason; it may do nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use mqbench::drivers::find;
use mqbench::engine::task::Task;
use mqbench::measure::verdict::{Outcome, Promise, Verdict, judge};
use mqbench::scenario::units::Size;
use mqbench::scenario::workload::{Delivery, Durability};

use crate::brokers::Restarted;
use crate::combinations::{Combination, at_rate, each, each_once, of_each_offer};
use crate::disruption::{GIVEN_UP, each_disturbed, wrong_in_any_case};
use crate::harness::proxy::Proxy;
use crate::harness::worker::{Seen, run, run_disturbed};
use crate::servers::{can_remove, keeps_address, leftovers, remove_destination};

/// How long the load lasts, unless the trial ends before.
const LOAD: Duration = Duration::from_secs(6);
const DRAIN: Duration = Duration::from_secs(4);

fn load(task: &mut Task) {
    at_rate(task, 500.0, LOAD);
    task.phases.drain = DRAIN;
}

/// A consumer that often has nothing asked for is not told of everything at the moment when it happens.
fn ask_for_one_at_a_time(task: &mut Task) {
    let driver = find(&task.driver).expect("a known driver");
    let options = driver.descriptor().options;
    let asked_for = ["pull_batch", "read_count", "prefetch", "receiver_queue"];
    for option in options.iter().filter(|o| asked_for.contains(&o.name)) {
        task.options.insert(option.name.to_owned(), 1.into());
    }
}

fn verdict(task: &Task, seen: &Seen) -> Verdict {
    let promise = Promise {
        delivery: task.delivery,
        acks: task.acks,
    };
    judge(&seen.record, &task.workload, promise)
}

/// What is wrong with how a trial took a mishap that the system itself survived.
fn badly_taken(task: &Task, seen: &Seen, keeps_acknowledged: bool) -> Vec<String> {
    let mut found = wrong_in_any_case(seen);
    found.extend(seen.late(LOAD + DRAIN + GIVEN_UP));
    let record = &seen.record;
    let audit = &record.audit;
    if record.failure.is_none() {
        // Whoever goes on must say why something is missing.
        let missing = audit.lost + audit.failed + audit.unresolved > 0;
        if missing && record.notes.is_empty() && record.reasons.is_empty() {
            found.push(format!("messages are missing without a word: {audit:?}"));
        }
        let verdict = verdict(task, seen);
        let broken = verdict.outcome == Outcome::BrokenPromise;
        if broken && (keeps_acknowledged || audit.lost_acked == 0) {
            found.push(verdict.reason);
        }
    }
    if keeps_acknowledged && task.delivery >= Delivery::AtLeastOnce && record.failure.is_none() {
        let lost = audit.lost_acked;
        if lost > 0 && !record.drain_cut {
            found.push(format!("{lost} acknowledged messages are lost"));
        }
    }
    found
}

/// Redis cuts off subscribers that fall behind, which must not be hidden. What makes an MQTT delivery exactly one the
/// client library forgets with its connection.
fn comes_back(combination: &Combination) -> bool {
    match combination.driver.name {
        "redis-pubsub" => false,
        "mqtt" => combination.offer.delivery != Delivery::ExactlyOnce,
        _ => true,
    }
}

#[test]
fn connections_that_are_reset_are_made_again() {
    let with_server = of_each_offer().filter(|c| c.driver.server.is_some());
    each(with_server, |combination| {
        let Some(broker) = combination.shared() else {
            return Vec::new();
        };
        let instance = broker.instance().expect("a server");
        let proxy = Proxy::to(instance.record().site.port());
        let mut task = combination.task(&broker);
        load(&mut task);
        let direct = SocketAddr::from(([127, 0, 0, 1], instance.record().site.port()));
        let url = instance
            .record()
            .url
            .replace(&direct.to_string(), &proxy.address.to_string());
        task.url = Some(url.clone());
        let mut cut = 0;
        let seen = run_disturbed(task.clone(), |live| {
            live.await_traffic();
            cut = proxy.cut();
        });
        let mut found = badly_taken(&task, &seen, true);
        if keeps_address(instance.server().about().name) {
            if cut == 0 {
                found.push("no connection was there to be cut".to_owned());
            }
            let failure = seen.record.failure.iter();
            let nameless = failure.filter(|failure| !failure.contains(&proxy.address.to_string()));
            found.extend(nameless.map(|failure| format!("it does not name {url}: {failure}")));
        }
        if comes_back(combination) {
            let failure = seen.record.failure.iter();
            found.extend(failure.map(|failure| format!("it gave up: {failure}")));
        }
        found.extend(leftovers(instance, &task.run_id));
        found
    });
}

#[test]
fn a_broker_that_is_killed_and_comes_back_keeps_what_it_promised() {
    each_disturbed(
        of_each_offer(),
        load,
        |_, instance| Restarted::of(instance),
        |task, instance, seen| {
            // What is in memory only dies with the server, and may be lost although it was acknowledged.
            let survives = task.durability >= Durability::Disk;
            let mut found = badly_taken(task, seen, survives);
            let failed = seen.record.failure.is_some();
            let outcome = verdict(task, seen).outcome;
            // Of at-most-once an acknowledgement promises no delivery.
            let lost = task.delivery >= Delivery::AtLeastOnce && seen.record.audit.lost_acked > 0;
            if !survives && !failed && lost && outcome == Outcome::Ok {
                found.push("acknowledged messages are lost, and it is ok".to_owned());
            }
            // One that gave up may have done so while there was nobody to tidy up with.
            if !failed {
                found.extend(leftovers(instance, &task.run_id));
            }
            found
        },
    );
}

#[test]
fn a_destination_that_is_removed_ends_the_trial_with_a_reason() {
    let removable = |c: &Combination| {
        !c.is_backlog() && c.driver.holds_backlog && c.driver.server.is_some_and(can_remove)
    };
    each_disturbed(
        each_once().filter(removable),
        |task| {
            load(task);
            ask_for_one_at_a_time(task);
        },
        |live, instance| {
            remove_destination(instance, &live.task.destination(0)).expect("removed");
        },
        |task, instance, seen| {
            let mut found = wrong_in_any_case(seen);
            found.extend(seen.late(GIVEN_UP));
            let is_told = |failure: &str| {
                let words = ["not found", "no such", "no longer", "not exist", "deleted"];
                let failure = failure.to_lowercase();
                words.iter().any(|word| failure.contains(word))
            };
            match &seen.record.failure {
                Some(failure) if is_told(failure) => {}
                Some(failure) => found.push(format!("it does not say that it is gone: {failure}")),
                None => found.push(format!("no failure: {:?}", verdict(task, seen))),
            }
            found.extend(leftovers(instance, &task.run_id));
            found
        },
    );
}

#[test]
fn more_than_a_system_can_take_is_not_called_ok_and_breaks_no_promise() {
    let with_server = of_each_offer().filter(|c| c.driver.server.is_some() && !c.is_backlog());
    each(with_server, |combination| {
        // Of its own: it may well fall.
        let Some(broker) = combination.own() else {
            return Vec::new();
        };
        let instance = broker.instance().expect("a server");
        let mut task = combination.task(&broker);
        at_rate(&mut task, 1_000_000.0, Duration::from_secs(1));
        task.workload.message.sizes[0].size = Size(1024);
        task.workload.in_flight = 10_000;
        task.phases.drain = DRAIN;
        let seen = run(task.clone());
        let mut found = wrong_in_any_case(&seen);
        found.extend(seen.late(Duration::from_secs(1) + DRAIN + GIVEN_UP));
        let verdict = verdict(&task, &seen);
        if [Outcome::Ok, Outcome::BrokenPromise].contains(&verdict.outcome) {
            found.push(format!("{verdict:?}: {:?}", seen.record.audit));
        }
        found.extend(leftovers(instance, &task.run_id));
        found
    });
}
