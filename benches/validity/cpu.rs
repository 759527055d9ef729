//! CPU time counted by the kernel's own tool.

use std::process::Command;
use std::thread;
use std::time::Duration;

use mqbench::measure::resources::{Parties, Watch};

use crate::Experiment;
use crate::lab::{Ask, Lab};
use crate::page::Finding;

/// How long perf counts, in the middle of the measured part; how long after the load began it starts.
const COUNTED: u32 = 6;
const AFTER: Duration = Duration::from_secs(3);
const MEASURED: u32 = 10;
/// How far apart both may be. They do not begin and end at quite the same moments.
const TOLERANCE: f64 = 0.05;
/// What a context switch may take, milliseconds: perf leaves out most of it.
const SWITCH: f64 = 0.004;

pub static CPU: Experiment = Experiment {
    name: "cpu",
    title: "CPU time is what perf counts",
    claim: "The CPU time that mqbench gives for broker and client is that of `perf stat`.",
    method: "At a steady 5,000 messages a second `perf stat -e task-clock` is attached for 6 of the 10 measured seconds to the \
        processes of the server, and to mqbench's worker. The same code by which mqbench counts in a trial counts over these \
        6 seconds, too, and must give the same to within 5 %, and no more beyond that than 4 µs for each context switch: perf begins to \
        count a thread after the switch to it, and what perf itself does at each is not in its figure, but in that of the \
        scheduler, which mqbench asks as `time` and `top` do. (Other seconds of the same trial would not do: what a server \
        spends in one and in the next differs by more.)",
    run,
};

/// Milliseconds of CPU time, and context switches, in what `perf stat -x,` prints: `1234.56,msec,task-clock,…`.
fn counted(said: &str) -> Option<[f64; 2]> {
    let of = |event: &str| {
        let line = said.lines().find(|line| line.contains(event))?;
        line.split(',').next()?.parse().ok()
    };
    Some([of("task-clock")?, of("context-switches")?])
}

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&[
        "system",
        "broker, by perf",
        "by mqbench",
        "ratio",
        "more, for each switch",
        "client, by perf",
        "by mqbench",
        "ratio",
        "more, for each switch",
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
            let mut read = [0.0, 0.0];
            lab.run_with(&ask, |worker| {
                // Into the measured part.
                thread::sleep(AFTER);
                let brokers: Vec<String> =
                    server.record().pids().iter().map(i32::to_string).collect();
                let both = [
                    ("perf-broker", brokers.join(",")),
                    ("perf-client", worker.to_string()),
                ];
                let watched = [server.leaders(), vec![worker]].map(|brokers| {
                    Watch::new(Parties {
                        brokers,
                        ..Parties::default()
                    })
                });
                let helpers = both.map(|(name, pids)| {
                    let mut perf = Command::new("perf");
                    perf.args([
                        "stat",
                        "-x,",
                        "-e",
                        "task-clock,context-switches",
                        "-p",
                        &pids,
                    ]);
                    perf.args(["sleep", &COUNTED.to_string()]);
                    lab.start(perf, name)
                });
                said = helpers.map(|helper| counted(&helper.finish()));
                read = watched.map(|mut watch| watch.seen().usage.brokers_s);
            });
            (read, said)
        });
        let (read, said) = match seen {
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
        let mut cells = vec![driver.name.to_owned()];
        for (who, counted, given) in [("broker", broker, read[0]), ("client", client, read[1])] {
            let [counted, switches] = counted;
            // Of a second; CPU time in milliseconds.
            let [counted, switches, given] =
                [counted, switches, given * 1e3].map(|it| it / f64::from(COUNTED));
            let ratio = given / counted;
            cells.extend([
                format!("{counted:.1} ms/s"),
                format!("{given:.1} ms/s"),
                format!("{ratio:.3}"),
                format!("{:.1} µs", (given - counted) / switches * 1e3),
            ]);
            let least = counted * (1.0 - TOLERANCE);
            let most = counted * (1.0 + TOLERANCE) + switches * SWITCH;
            finding.check((least..=most).contains(&given), || {
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
