//! Offers that promise a sync before the acknowledgement, watched at the system calls of the server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mqbench::measure::latency::Kind;
use mqbench::scenario::workload::{Durability, Measure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::combinations::{each, of_each_offer};
use crate::harness::server::skipped;
use crate::harness::worker::run;

/// What each sync is delayed by.
const DELAY: Duration = Duration::from_millis(20);

/// Delays every sync of a process.
struct Brake(Child);

impl Brake {
    /// `None` where this machine has no strace, or lets nobody trace.
    fn on(pid: i32) -> Option<Brake> {
        let inject = format!(
            "inject=fsync,fdatasync,sync_file_range,msync:delay_enter={}",
            DELAY.as_micros()
        );
        let mut strace = Command::new("strace")
            .args([
                "-f",
                "-q",
                "-q",
                "-e",
                "trace=fsync,fdatasync,sync_file_range,msync",
            ])
            .args(["-e", &inject, "-o", "/dev/null", "-p", &pid.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let traced = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let tracer = status.lines().find_map(|l| l.strip_prefix("TracerPid:"));
            tracer.is_some_and(|tracer| tracer.trim() == strace.id().to_string())
        };
        if mqbench::servers::group::wait_until(Duration::from_secs(5), traced) {
            return Some(Brake(strace));
        }
        let _ = strace.kill();
        let _ = strace.wait();
        let said = strace.stderr.take().map(BufReader::new);
        for line in said.into_iter().flat_map(|said| said.lines()).flatten() {
            eprintln!("{line}");
        }
        None
    }
}

impl Drop for Brake {
    fn drop(&mut self) {
        // Asked to end, it lets go of the process first.
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// With a window of one, a message is sent when the one before was acknowledged. So if syncs are slow,
/// every acknowledgement that waits for one is slow too, and one that does not is not.
#[test]
fn an_acknowledgement_waits_for_the_sync_that_it_promises() {
    let synced = |c: &crate::combinations::Combination| {
        c.offer.durability == Durability::Fsync && c.offer.acks && c.driver.server.is_some()
    };
    each(of_each_offer().filter(synced), |combination| {
        let Some(broker) = combination.own() else {
            return Vec::new();
        };
        // All of them: the one that writes may be a child of the one that was started.
        let pids = broker.instance().map(|i| i.record().pids());
        let brakes = pids.unwrap_or_default().into_iter().map(Brake::on);
        let brakes: Option<Vec<Brake>> = brakes.collect();
        let Some(_brakes) = brakes else {
            if Command::new("strace").arg("-V").output().is_err() {
                skipped("strace");
            }
            // In some containers nobody may trace.
            eprintln!("skipped: needs the right to trace");
            return Vec::new();
        };
        let mut task = combination.task(&broker);
        task.workload.in_flight = 1;
        task.phases.measure = Measure::Count(50);
        let seen = run(task.clone());
        let mut found = seen.problems(&task);
        let service = seen.record.latencies.get(&Kind::Service);
        let fastest = service.map_or(0, |service| service.quantile(0.0));
        if fastest < DELAY.as_nanos() as u64 * 99 / 100 {
            found.push(format!(
                "an acknowledgement came after {fastest} ns although each sync took {DELAY:?}"
            ));
        }
        found
    });
}
