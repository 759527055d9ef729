//! System calls of a server that promises a sync before it acknowledges.

use std::process::Command;
use std::time::Duration;

use mqbench::measure::latency::Kind;
use mqbench::scenario::workload::{Durability, Measure};

use crate::Experiment;
use crate::combinations::{Combination, of_each_offer};
use crate::harness::worker::run as trial;
use crate::lab::{Helper, Lab, count, ms};
use crate::page::Finding;

/// What each sync is delayed by.
const DELAY: Duration = Duration::from_millis(20);
const MESSAGES: u64 = 100;
const CALLS: &str = "fsync,fdatasync,sync_file_range,msync";

pub static SYNC: Experiment = Experiment {
    name: "sync",
    title: "An acknowledgement that promises a sync waits for one",
    claim: "Under `durability: fsync` each acknowledgement comes after a sync of its own.",
    method: "strace watches every process of the server and delays each fsync, fdatasync, msync and sync_file_range by 20 ms \
        (longer than anything else here takes) while mqbench sends 100 messages, each when the one before is \
        acknowledged. So if an acknowledgement waits for a sync, the fastest of the hundred takes 20 ms, and there are at \
        least as many syncs as messages. The count of syncs is that of the whole trial, with those that make and remove the \
        destination. Beside it stands the same system at `disk`, of which no sync is promised: where that is faster, the wait \
        is the promise; where it is not, the system syncs without being asked.",
    run,
};

/// Delays and writes down every sync of a process.
struct Trace(Helper);

impl Trace {
    fn of(lab: &Lab, pid: i32) -> Option<Trace> {
        let inject = format!("inject={CALLS}:delay_enter={}", DELAY.as_micros());
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-e", &format!("trace={CALLS}"), "-e", &inject])
            .args(["-p", &pid.to_string()]);
        let helper = lab.start(strace, &format!("strace-{pid}"));
        let status = format!("/proc/{pid}/status");
        let traced = || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let tracer = status.lines().find_map(|l| l.strip_prefix("TracerPid:"));
            tracer.is_some_and(|tracer| tracer.trim() != "0")
        };
        crate::program::wait_for(Duration::from_secs(5), traced).then_some(Trace(helper))
    }

    /// How many syncs there were.
    fn end(self) -> u64 {
        let said = self.0.end();
        let calls = said.lines().filter(|line| {
            // One that another thread interrupts in the log has a second line.
            let is_call = CALLS
                .split(',')
                .any(|call| line.contains(&format!("{call}(")));
            is_call && !line.contains("resumed>")
        });
        calls.count() as u64
    }
}

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&[
        "system",
        "durability",
        "messages",
        "syncs",
        "fastest acknowledgement",
        "median",
    ]);
    let wanted = |c: &Combination| {
        c.offer.durability >= Durability::Disk
            && c.offer.acks
            && c.driver.server.is_some()
            && lab.is_wanted(c.driver.name)
    };
    let synced = |c: &Combination| c.offer.durability == Durability::Fsync;
    let all: Vec<Combination> = of_each_offer().filter(wanted).collect();
    // The one that syncs and the one that does not, at the same delivery.
    for combination in &all {
        let first = all.iter().find(|it| {
            it.driver.name == combination.driver.name
                && it.offer.durability == combination.offer.durability
        });
        let has_other = all
            .iter()
            .any(|it| it.driver.name == combination.driver.name && synced(it));
        let is_first = first.is_some_and(|it| std::ptr::eq(it.offer, combination.offer));
        if !is_first || !has_other {
            continue;
        }
        let Some(broker) = combination.own() else {
            continue;
        };
        let server = broker.instance().expect("a server");
        lab.saw(server);
        let pids = server.record().pids().into_iter();
        let traces: Option<Vec<Trace>> = pids.map(|pid| Trace::of(lab, pid)).collect();
        let Some(traces) = traces else {
            finding
                .untried
                .push("strace may trace nobody here".to_owned());
            return finding;
        };
        let mut task = combination.task(&broker);
        task.workload.in_flight = 1;
        task.phases.measure = Measure::Count(MESSAGES);
        let seen = trial(task.clone());
        let syncs: u64 = traces.into_iter().map(Trace::end).sum();
        let wrong = seen.problems(&task);
        let service = seen.record.latencies.get(&Kind::Service);
        let at = |share| service.map(|it| it.quantile(share) as f64);
        let (fastest, median) = (at(0.0).unwrap_or(0.0), at(0.5).unwrap_or(0.0));
        let acked = seen.record.audit.acked;
        let name = format!(
            "{}, {}",
            combination.driver.name,
            combination.offer.durability.name()
        );
        finding.row([
            combination.driver.name.to_owned(),
            combination.offer.durability.name().to_owned(),
            count(acked),
            count(syncs),
            ms(Some(fastest)),
            ms(Some(median)),
        ]);
        finding.check(wrong.is_empty(), || format!("{name}: {}", wrong.join("; ")));
        let delay = DELAY.as_nanos() as f64;
        // As the kernel's timers have it.
        let has_waited = fastest >= delay * 0.99 && syncs >= acked;
        finding.check(!synced(combination) || has_waited, || {
            format!("{name}: {syncs} syncs, fastest {}", ms(Some(fastest)))
        });
    }
    finding
}
