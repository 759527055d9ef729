//! A server that is killed in mid-run, and started again with what it had written.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use mqbench::engine::task::Task;
use mqbench::measure::verdict::{Outcome, Promise, judge};
use mqbench::scenario::units::Size;
use mqbench::scenario::workload::{Delivery, Durability, Payload};
use nix::sys::signal::Signal;

use crate::Experiment;
use crate::brokers::Restarted;
use crate::combinations::{Combination, at_rate, of_each_offer};
use crate::harness::worker::{Seen, run_disturbed};
use crate::lab::{Lab, count};
use crate::line::Line;
use crate::page::Finding;
use crate::program::signal;

/// How many servers are killed at a time: most of their time the trials wait. With more, those that run in a Java
/// machine take longer to start than a client library waits for an answer.
const AT_ONCE: usize = 2;
/// Messages a second, and how long there is load.
const RATE: f64 = 1_000.0;
const LOAD: Duration = Duration::from_secs(5);
/// Longer than a server waits for a consumer that it has lost before it delivers again: half a minute at most.
const DRAIN: Duration = Duration::from_secs(40);
/// How long consumers wait for what the server sends, and how long it does so before it is killed.
const BEHIND: Duration = Duration::from_millis(500);
const AFTER: Duration = Duration::from_millis(1_500);
/// Of the messages that consumers are behind, those that memory has lost at least.
const CERTAIN: f64 = 0.9;

pub static KILL: Experiment = Experiment {
    name: "kill",
    title: "What was promised to survive does",
    claim: "After kill -9 of the server the audit finds no acknowledged message missing where `disk` or `fsync` was promised, \
        and finds those that memory lost.",
    method: "Each server gets 1,000 messages a second through a proxy that after a while holds back by half a second what \
        the server sends to consumers, so that about 500 messages are acknowledged and not received yet. Then all \
        processes of the server are killed, what the proxy holds is lost with them, and the server is started again on \
        the same port with the files that it had. mqbench stands still meanwhile (SIGSTOP), so that its patience with a server \
        that is gone, five seconds, is not what is tried. What the server had in memory only is gone for good: at least those \
        500 must be among the *lost acked* of mqbench's audit, and the trial must not be called ok. Where it had handed them to the \
        operating system first (`disk`) or synced them (`fsync`), it must deliver all of them after all, and the audit find none \
        missing. A trial that *failed* has figures that count for nothing, and is listed as not tried. kill -9 ends the server and not the machine, so it does not tell `fsync` from `disk`: that is the next experiment.",
    run,
};

/// One system at one durability.
struct Tried {
    combination: Combination,
    /// Of the server: its title and version.
    server: (&'static str, String),
    task: Task,
    seen: Seen,
}

/// `None` where this machine has no such server.
fn kill(combination: Combination) -> Option<Tried> {
    let broker = combination.own()?;
    let server = broker.instance()?;
    let port = server.record().site.port();
    let line = Line::from_server_at(port);
    let (direct, through) = (format!(":{port}"), format!(":{}", line.port));
    let mut task = combination.task(&broker);
    task.url = Some(server.record().url.replace(&direct, &through));
    task.workload.message.sizes[0].size = Size(1024);
    task.workload.message.payload = Payload::Zeros;
    at_rate(&mut task, RATE, LOAD);
    task.phases.drain = DRAIN;
    let mut again = None;
    let seen = run_disturbed(task.clone(), |live| {
        live.await_traffic();
        line.set(BEHIND);
        // Consumers fall behind meanwhile.
        thread::sleep(AFTER);
        signal(live.pid(), Signal::SIGSTOP);
        again = Some(Restarted::of(server));
        line.set(Duration::ZERO);
        signal(live.pid(), Signal::SIGCONT);
    });
    Some(Tried {
        combination,
        server: (
            server.server().about().title,
            server.record().version.clone(),
        ),
        task,
        seen,
    })
}

/// Of each system that acknowledges what it keeps, each durability once.
fn wanted(lab: &Lab) -> Vec<Combination> {
    let mut found: Vec<Combination> = Vec::new();
    for it in of_each_offer() {
        let keeps = it.offer.acks && it.driver.server.is_some() && it.driver.holds_backlog;
        let same = |other: &Combination| {
            other.driver.name == it.driver.name && other.offer.durability == it.offer.durability
        };
        let at_least_once = it.offer.delivery == Delivery::AtLeastOnce;
        if keeps && at_least_once && lab.is_wanted(it.driver.name) && !found.iter().any(same) {
            found.push(it);
        }
    }
    found
}

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&[
        "system",
        "durability",
        "acknowledged",
        "of these lost",
        "the trial is called",
        "because",
    ]);
    let wanted = wanted(lab);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(it) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tried = kill(*it);
                    done.lock().expect("no panic").extend(tried);
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic");
    let place = |it: &Tried| {
        let offer = it.combination.offer;
        let mut wanted = wanted.iter();
        wanted.position(|other| std::ptr::eq(other.offer, offer))
    };
    done.sort_by_key(place);
    for Tried {
        combination,
        server: (title, version),
        task,
        seen,
    } in done
    {
        lab.used(title, &version);
        let promise = Promise {
            delivery: task.delivery,
            acks: task.acks,
        };
        let verdict = judge(&seen.record, &task.workload, promise);
        let durability = combination.offer.durability;
        let name = format!("{}, {}", combination.driver.name, durability.name());
        if let Some(failure) = seen.record.failure {
            finding.untried.push(format!("{name}: {failure}"));
            continue;
        }
        let audit = &seen.record.audit;
        finding.row([
            combination.driver.name.to_owned(),
            durability.name().to_owned(),
            count(audit.acked),
            count(audit.lost_acked),
            verdict.outcome.name().to_owned(),
            verdict.reason.clone(),
        ]);
        if durability >= Durability::Disk {
            finding.check(audit.lost_acked == 0, || {
                format!(
                    "{name}: {} acknowledged messages are lost",
                    audit.lost_acked
                )
            });
            continue;
        }
        let behind = RATE * BEHIND.as_secs_f64();
        finding.check(audit.lost_acked as f64 >= behind * CERTAIN, || {
            format!("{name}: {} are lost of {behind}", audit.lost_acked)
        });
        finding.check(verdict.outcome != Outcome::Ok, || {
            format!("{name}: acknowledged messages are lost, and the trial is called ok")
        });
    }
    finding
}
