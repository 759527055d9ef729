//! When the broker dies, stands still, or the user has enough: the trial ends in time, says why, and
//! its books are exact.

use std::thread;
use std::time::Duration;

use mqbench::engine::task::Task;
use mqbench::servers::Instance;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::combinations::{Combination, at_rate, each, each_once, of_each_offer};
use crate::harness::worker::{Live, Seen, run_disturbed};
use crate::servers::leftovers;

/// A trial must have given up by then on a broker that is gone.
pub const GIVEN_UP: Duration = Duration::from_secs(15);
/// How long the broker stands still.
const STILL: Duration = Duration::from_secs(2);
/// After so long the supervisor kills a worker that was asked to end, and its record is lost.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the end may take once the user wants it.
const PROMPT: Duration = Duration::from_secs(3);

fn signal(instance: &Instance, signal: Signal) {
    for leader in instance.leaders() {
        killpg(Pid::from_raw(leader), signal).expect("it runs");
    }
}

/// What is wrong with the words of a failure; they are for a user.
fn unclear(text: &str) -> Vec<String> {
    let jargon = [
        "::", "Error(", "Error {", "Kind", "Some(", "os error", "unwrap", "[(",
    ];
    let found = jargon.into_iter().filter(|word| text.contains(word));
    found
        .map(|word| format!("`{word}` in the words of a failure: {text}"))
        .collect()
}

/// What is wrong however a trial ended.
pub fn wrong_in_any_case(seen: &Seen) -> Vec<String> {
    let mut found = seen.record.audit.contradictions();
    let said = seen.record.failure.iter().chain(seen.record.reasons.keys());
    found.extend(said.flat_map(|words| unclear(words)));
    found.extend(seen.complained());
    found
}

/// Each of these that has a server, on a broker of its own. `change` makes the load, `disturb` is called
/// in the middle of it, and `check` says what is wrong with what was seen; what `disturb` gives ends after
/// that, and before the broker.
pub fn each_disturbed<T>(
    combinations: impl Iterator<Item = Combination>,
    change: impl Fn(&mut Task) + Sync,
    disturb: impl Fn(&mut Live, &Instance) -> T + Sync,
    check: impl Fn(&Task, &Instance, &Seen) -> Vec<String> + Sync,
) {
    let with_server = combinations.filter(|c| c.driver.server.is_some());
    each(with_server, |combination| {
        let Some(broker) = combination.own() else {
            return Vec::new();
        };
        let instance = broker.instance().expect("a server");
        let mut task = combination.task(&broker);
        change(&mut task);
        let mut made = None;
        let seen = run_disturbed(task.clone(), |live| {
            live.await_traffic();
            made = Some(disturb(live, instance));
        });
        let found = check(&task, instance, &seen);
        drop(made);
        found
    });
}

#[test]
fn a_broker_that_dies_ends_the_trial_with_a_reason() {
    each_disturbed(
        each_once().filter(|c| !c.is_backlog()),
        |task| at_rate(task, 2_000.0, Duration::from_secs(30)),
        |_, instance| signal(instance, Signal::SIGKILL),
        |_, instance, seen| {
            let mut found = wrong_in_any_case(seen);
            found.extend(seen.late(GIVEN_UP));
            match &seen.record.failure {
                Some(failure) => {
                    let address = &instance.record().url;
                    if !failure.contains(address) {
                        found.push(format!("it does not name {address}: {failure}"));
                    }
                }
                None => found.push("no failure".to_owned()),
            }
            found
        },
    );
}

#[test]
fn a_broker_that_stands_still_for_a_while_costs_no_message() {
    each_disturbed(
        of_each_offer(),
        |task| {
            at_rate(task, 500.0, Duration::from_secs(5));
            task.phases.drain = Duration::from_secs(10);
        },
        |_, instance| {
            signal(instance, Signal::SIGSTOP);
            // The stall itself, not a wait for something.
            thread::sleep(STILL);
            signal(instance, Signal::SIGCONT);
        },
        |task, _, seen| seen.problems(task),
    );
}

#[test]
fn a_broker_that_stands_still_for_good_does_not_keep_the_trial() {
    each_disturbed(
        of_each_offer(),
        |task| {
            at_rate(task, 500.0, Duration::from_secs(3));
            task.phases.drain = Duration::from_secs(2);
        },
        |_, instance| signal(instance, Signal::SIGSTOP),
        |_, instance, seen| {
            signal(instance, Signal::SIGCONT);
            let mut found = wrong_in_any_case(seen);
            let audit = &seen.record.audit;
            // The load and the drain come to their ends first.
            found.extend(seen.late(GIVEN_UP + Duration::from_secs(5)));
            if audit.lost == 0 && audit.unsent == 0 {
                found.push(format!("nothing is missing: {audit:?}"));
            }
            found
        },
    );
}

#[test]
fn who_has_enough_gets_the_end_at_once() {
    each(each_once().filter(|c| !c.is_backlog()), |combination| {
        let Some(broker) = combination.shared() else {
            return Vec::new();
        };
        let mut task = combination.task(&broker);
        at_rate(&mut task, 2_000.0, Duration::from_secs(30));
        let seen = run_disturbed(task.clone(), |live| {
            live.await_traffic();
            live.interrupt();
        });
        let mut found = wrong_in_any_case(&seen);
        if !seen.record.interrupted {
            found.push(format!("not interrupted: {:?}", seen.record.failure));
        }
        found.extend(seen.late_to_end(PROMPT));
        if let Some(instance) = broker.instance() {
            found.extend(leftovers(instance, &task.run_id));
        }
        found.extend(seen.record.notes);
        found
    });
}

#[test]
fn a_broker_that_stands_still_does_not_keep_who_has_enough() {
    each_disturbed(
        of_each_offer(),
        |task| at_rate(task, 500.0, Duration::from_secs(30)),
        |live, instance| {
            signal(instance, Signal::SIGSTOP);
            live.interrupt();
        },
        |_, instance, seen| {
            signal(instance, Signal::SIGCONT);
            let mut found = wrong_in_any_case(seen);
            found.extend(seen.late_to_end(PATIENCE));
            found
        },
    );
}
