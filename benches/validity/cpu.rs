//! CPU time counted by the kernel's own tool.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::Experiment;
use crate::lab::{Ask, Lab};
use crate::page::Finding;

/// How long perf counts, in the middle of the measured part; how long after the load began it starts.
const COUNTED: u32 = 6;
const AFTER: Duration = Duration::from_secs(3);
const MEASURED: u32 = 10;
/// How far apart both may be. They do not count over the same seconds.
const TOLERANCE: f64 = 0.05;

pub static CPU: Experiment = Experiment {
    name: "cpu",
    title: "CPU time is what perf counts",
    claim: "The CPU time that mqbench gives for broker and client is that of `perf stat`.",
    method: "At a steady 5,000 messages a second `perf stat -e task-clock` is attached for 6 of the 10 measured seconds to the \
        processes of the server, and to mqbench's worker. What it counts a second, and what mqbench gives for the measured \
        part a second, must be the same to within 5 %: the seconds are not the same ones, so the load's own \
        unevenness is in the difference.",
    run,
};

/// Seconds of CPU time in what `perf stat -x,` prints: `1234.56,msec,task-clock,…`.
fn counted(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains("task-clock"))?;
    Some(line.split(',').next()?.parse::<f64>().ok()? / 1e3)
}

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&[
        "system",
        "broker, by perf",
        "by mqbench",
        "ratio",
        "client, by perf",
        "by mqbench",
        "ratio",
    ]);
    if Command::new("perf").arg("--version").output().is_err() {
        finding.untried.push("there is no perf".to_owned());
        return finding;
    }
    for (driver, offer) in lab.systems() {
        let server = lab.server(driver, offer);
        let ask = Ask {
            driver,
            offer,
            url: &server.record().url,
            options: "",
            workload: "message: {size: 256B}, load: {rate: 5k/s}",
            warmup: 2,
            measure: MEASURED,
        };
        let seen = lab.quiet(&[&server], || {
            let mut said = [None, None];
            let ran = lab.run_with(&ask, |worker| {
                // Into the measured part.
                thread::sleep(AFTER);
                let brokers: Vec<String> =
                    server.record().pids().iter().map(i32::to_string).collect();
                let both = [
                    ("perf-broker", brokers.join(",")),
                    ("perf-client", worker.to_string()),
                ];
                let helpers = both.map(|(name, pids)| {
                    let mut perf = Command::new("perf");
                    perf.args(["stat", "-x,", "-e", "task-clock", "-p", &pids]);
                    perf.args(["sleep", &COUNTED.to_string()]);
                    lab.start(perf, name)
                });
                said = helpers.map(|helper| counted(&helper.finish()));
            });
            (ran, said)
        });
        let (ran, said) = match seen {
            Ok(seen) => seen,
            Err(why) => {
                finding.untried.push(format!("{}: {why}", driver.name));
                continue;
            }
        };
        let [Some(broker), Some(client)] = said else {
            finding
                .untried
                .push("perf may count nobody here".to_owned());
            return finding;
        };
        let usage = ran.record.usage;
        let mut cells = vec![driver.name.to_owned()];
        for (who, counted, given) in [
            ("broker", broker, usage.brokers_s),
            ("client", client, usage.own_s),
        ] {
            // Of a second, in milliseconds.
            let counted = counted / f64::from(COUNTED) * 1e3;
            let given = given / usage.seconds * 1e3;
            let ratio = given / counted;
            cells.extend([
                format!("{counted:.1} ms/s"),
                format!("{given:.1} ms/s"),
                format!("{ratio:.3}"),
            ]);
            finding.check((ratio - 1.0).abs() <= TOLERANCE, || {
                format!(
                    "{}: of the {who} mqbench gives {ratio:.3} times what perf does",
                    driver.name
                )
            });
        }
        finding.rows.push(cells);
    }
    finding
}
