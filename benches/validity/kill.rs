//! A server that is killed in mid-run, and started again with what it had written.

use std::thread;
use std::time::Duration;

use mqbench::measure::verdict::{Outcome, Promise, judge};
use mqbench::scenario::units::Size;
use mqbench::scenario::workload::{Durability, Payload};

use crate::Experiment;
use crate::brokers::Restarted;
use crate::combinations::{Combination, at_rate, of_each_offer};
use crate::harness::worker::run_disturbed;
use crate::lab::{Lab, count};
use crate::line::Line;
use crate::page::Finding;

/// Messages a second, and how long there is load.
const RATE: f64 = 1_000.0;
const LOAD: Duration = Duration::from_secs(8);
const DRAIN: Duration = Duration::from_secs(10);
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
    method: "todo",
    run,
};

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
            again = Some(Restarted::of(server));
            line.set(Duration::ZERO);
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
                format!("{name}: {} acknowledged messages are lost", audit.lost_acked)
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
