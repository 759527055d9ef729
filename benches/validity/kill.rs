//! A server that is killed in mid-run, and started again with what it had written.

use std::thread;
use std::time::Duration;

use mqbench::measure::verdict::{Outcome, Promise, judge};
use mqbench::processes::supervisor::WORKER;
use mqbench::scenario::units::Size;
use mqbench::scenario::workload::{Durability, Payload};
use nix::sys::signal::Signal;

use crate::Experiment;
use crate::brokers::Restarted;
use crate::combinations::{Combination, at_rate, of_each_offer};
use crate::harness::worker::run_disturbed;
use crate::lab::{Lab, count};
use crate::line::Line;
use crate::page::Finding;
use crate::program::signal;

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
        missing. kill -9 ends the server and not the machine, so it does not tell `fsync` from `disk`: that is the next experiment.",
    run,
};

/// The process of the trial that runs: a child of this one's.
fn worker() -> i32 {
    let threads = std::fs::read_dir("/proc/self/task")
        .expect("threads")
        .flatten();
    let children = threads.map(|it| std::fs::read_to_string(it.path().join("children")));
    let children = children.flatten().collect::<String>();
    let is_worker = |pid: &i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split('\0').nth(1) == Some(WORKER)
    };
    let mut pids = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    pids.find(is_worker).expect("a trial")
}

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&[
        "system",
        "delivery",
        "durability",
        "acknowledged",
        "of these lost",
        "the trial",
    ]);
    let wanted = |c: &Combination| {
        c.offer.acks
            && c.driver.server.is_some()
            && c.driver.holds_backlog
            && lab.is_wanted(c.driver.name)
    };
    for combination in of_each_offer().filter(wanted) {
        let Some(broker) = combination.own() else {
            continue;
        };
        let server = broker.instance().expect("a server");
        lab.saw(server);
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
            let worker = worker();
            signal(worker, Signal::SIGSTOP);
            again = Some(Restarted::of(server));
            line.set(Duration::ZERO);
            signal(worker, Signal::SIGCONT);
        });
        let promise = Promise {
            delivery: task.delivery,
            acks: task.acks,
        };
        let verdict = judge(&seen.record, &task.workload, promise);
        let audit = &seen.record.audit;
        eprintln!(
            "{combination}: {verdict:?} {audit:?} {:?} {:?}",
            seen.record.failure, seen.record.notes
        );
        finding.row([
            combination.driver.name.to_owned(),
            combination.offer.delivery.name().to_owned(),
            combination.offer.durability.name().to_owned(),
            count(audit.acked),
            count(audit.lost_acked),
            verdict.reason.clone(),
        ]);
        let name = format!(
            "{}, {}",
            combination.driver.name,
            combination.offer.durability.name()
        );
        if combination.offer.durability >= Durability::Disk {
            finding.check(audit.lost_acked == 0, || {
                format!(
                    "{name}: {} acknowledged messages are lost",
                    audit.lost_acked
                )
            });
        } else {
            let behind = RATE * BEHIND.as_secs_f64();
            finding.check(audit.lost_acked as f64 >= behind * CERTAIN, || {
                format!("{name}: {} are lost of {behind}", audit.lost_acked)
            });
            finding.check(verdict.outcome != Outcome::Ok, || {
                format!("{name}: acknowledged messages are lost, and the trial is called ok")
            });
        }
    }
    finding
}
