//! A server that stands still for a second in mid-run.

use std::thread;
use std::time::Duration;

use mqbench::measure::latency::Kind;

use crate::Experiment;
use crate::lab::{Ask, Lab, count, ms, stall};
use crate::page::Finding;
use crate::tools;

/// Messages a second, and seconds: 50 messages must lie beyond the 99.9th percentile for it to be printed.
pub const RATE: u32 = 3_000;
pub const SECONDS: u32 = 17;
/// For how long the server stands still, and how long after the load began.
const STALL: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_secs(5);
/// By how much less and more than the truth a figure may be. The server does not catch up at once: what comes in
/// meanwhile waits behind what has piled up.
const LESS: f64 = 0.01;
const MORE: f64 = 0.10;

pub static OMISSION: Experiment = Experiment {
    name: "omission",
    title: "A stalled server is in the percentiles",
    claim: "A second in which the server stands still is in mqbench's latencies as long as its users would have felt it.",
    method: "Each server is stopped (SIGSTOP to all its processes) for one second in the middle of 17 seconds at 3,000 \
        messages a second, and let go. *Truth* is what follows from the schedule alone, for the time that the server \
        really stood still: the message that was due when it stopped waits for all of it, the last one that was due \
        before it went on for nothing, and what lies between is spread evenly. mqbench's end-to-end latency must not be more \
        than 1 % below the truth, nor more than 10 % above it, for what the server takes to catch up. Its `transit`, \
        measured from the actual sending, is what a tool would report that forgives itself the wait for its own \
        window (256 messages here). Where the system's own tool reports latencies, it gets the same stall at the same \
        rate; redis-benchmark has no rate, so its truth is that of an even schedule at the rate which it reached. Of NATS \
        and MQTT no tool of their own reports a latency (`nats bench` and mosquitto_pub do not).",
    run,
};

/// Latencies of a run in which nothing waits but during one stall, nanoseconds.
pub struct Truth {
    stall: f64,
    rate: f64,
    messages: f64,
}

impl Truth {
    pub fn new(stall: Duration, rate: f64, messages: f64) -> Truth {
        Truth {
            stall: stall.as_nanos() as f64,
            rate,
            messages,
        }
    }

    /// Of the messages by length, the one with this share of all below it.
    fn at(&self, share: f64) -> f64 {
        // How many are longer: so many were due before it, after the stall began.
        let longer = self.messages - (share * self.messages).ceil();
        self.stall - longer / self.rate * 1e9
    }

    fn cells(&self) -> [String; 3] {
        [self.at(0.99), self.at(0.999), self.stall].map(|it| ms(Some(it)))
    }
}

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&["server", "by", "p99", "p99.9", "longest"]);
    for (driver, offer) in lab.systems() {
        let server = lab.server(driver, offer);
        let load = format!("message: {{size: 256B}}, load: {{rate: {RATE}/s}}, in_flight: 256");
        let ask = Ask {
            driver,
            offer,
            url: &server.record().url,
            options: "",
            workload: &load,
            warmup: 1,
            measure: SECONDS,
        };
        let seen = lab.quiet(&[&server], || {
            let mut stood = Duration::ZERO;
            let ran = lab.run_with(&ask, |_| {
                thread::sleep(AFTER);
                stood = stall(&server, STALL);
            });
            (ran, stood)
        });
        let (ran, stood) = match seen {
            Ok(seen) => seen,
            Err(why) => {
                finding.untried.push(format!("{}: {why}", driver.name));
                continue;
            }
        };
        let truth = Truth::new(stood, f64::from(RATE), f64::from(RATE * SECONDS));
        let row = |finding: &mut Finding, by: &str, [p99, p999, max]: [String; 3]| {
            finding.row([driver.name.to_owned(), by.to_owned(), p99, p999, max]);
        };
        row(&mut finding, "*truth*", truth.cells());
        let of = |kind| {
            let percentiles = [99.0, 99.9].map(|it| ran.percentile(kind, it));
            [percentiles[0], percentiles[1], ran.max(kind)]
        };
        row(
            &mut finding,
            "mqbench `end_to_end`",
            of(Kind::EndToEnd).map(ms),
        );
        row(&mut finding, "mqbench `transit`", of(Kind::Transit).map(ms));
        let due = [truth.at(0.99), truth.at(0.999), truth.stall];
        for (seen, due) in of(Kind::EndToEnd).into_iter().zip(due) {
            let low = due * (1.0 - LESS);
            let high = due * (1.0 + MORE);
            finding.check(seen.is_some_and(|it| low <= it && it <= high), || {
                format!(
                    "{}: {} where {} is true",
                    driver.name,
                    ms(seen),
                    ms(Some(due))
                )
            });
        }
        for tool in tools::of(driver.name) {
            let Some(mut prepared) = tool.prepare(lab, &server) else {
                let missing = format!("{} (scripts/validity gets it)", tool.name);
                finding.untried.push(missing);
                continue;
            };
            let seen = lab.quiet(&[&server], || {
                let helper = lab.start(prepared.command(), "tool");
                thread::sleep(AFTER);
                let stood = stall(&server, STALL);
                (tool.read)(&helper.finish(), stood)
            });
            match seen {
                Ok(Some(seen)) => {
                    if tool.has_own_rate {
                        let rate = seen.messages / seen.seconds;
                        let truth = Truth::new(seen.stood, rate, seen.messages);
                        let at = format!("*truth* at {}/s", count(rate as u64));
                        row(&mut finding, &at, truth.cells());
                    }
                    row(&mut finding, tool.name, seen.latencies.map(ms));
                }
                Ok(None) => finding
                    .untried
                    .push(format!("{} said nothing of it", tool.name)),
                Err(why) => finding.untried.push(format!("{}: {why}", tool.name)),
            }
        }
    }
    finding
}
