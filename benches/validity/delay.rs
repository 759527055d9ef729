//! A longer way from publishers to the server.

use std::time::Duration;

use mqbench::measure::latency::Kind;

use crate::Experiment;
use crate::lab::{Ask, Lab, Ran, ms, us};
use crate::line::Line;
use crate::page::Finding;

const DELAY: Duration = Duration::from_millis(50);
/// Of the difference from what it must be.
const TOLERANCE: f64 = 0.01;

pub static DELAY_ON_THE_WAY: Experiment = Experiment {
    name: "delay",
    title: "A longer way is in the latency, and no more",
    claim: "50 ms more between publisher and server are 50 ms more in every driver's latencies, to within 1 %.",
    method: "mqbench reaches each server through a proxy that can hold back what publishers send, and nothing else: the \
        server's answers to publishers and both directions of the consumers' connections pass at once. It tells the \
        connections apart by what they carry (1 KiB of zeros is a message) and where a server tells its clients an address \
        it puts its own in the place. 60 messages a second for 4 seconds without delay, twice with 50 ms, and once more \
        without, after 8 seconds at 2,000 a second (a server that runs in a Java machine is slow at first): the \
        difference of the medians, each the mean of both, must be 50 ms, for `end_to_end` and, where there are acknowledgements, for `publish` \
        too, which hold the way there once and the way back undelayed. The rate is low because a client that may have \
        five requests under way (Kafka's idempotent producer) would wait for its own window above 100 a second, and the \
        answer would be another one. ZeroMQ has no server, and so no address at which a proxy could stand.",
    run,
};

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&[
        "system",
        "end_to_end p50 without",
        "with 50 ms",
        "difference",
        "publish p50 without",
        "with 50 ms",
        "difference",
    ]);
    for (driver, offer) in lab.systems() {
        let server = lab.server(driver, offer);
        let port = server.record().site.port();
        let line = Line::from_publishers_to(port);
        let (direct, through) = (format!(":{port}"), format!(":{}", line.port));
        let url = server.record().url.replace(&direct, &through);
        let ask = Ask {
            driver,
            offer,
            url: &url,
            options: "",
            workload: "message: {size: 1KiB, payload: zeros}, load: {rate: 60/s}",
            warmup: 1,
            measure: 4,
        };
        lab.run(&Ask {
            workload: "message: {size: 1KiB, payload: zeros}, load: {rate: 2k/s}",
            measure: 8,
            ..ask
        });
        let delays = [Duration::ZERO, DELAY, DELAY, Duration::ZERO];
        let seen: Result<Vec<Ran>, String> = delays
            .into_iter()
            .map(|delay| {
                lab.quiet(&[&server], || {
                    line.set(delay);
                    lab.run(&ask)
                })
            })
            .collect();
        let seen = match seen {
            Ok(seen) => seen,
            Err(why) => {
                finding.untried.push(format!("{}: {why}", driver.name));
                continue;
            }
        };
        let mut cells = vec![driver.name.to_owned()];
        for kind in [Kind::EndToEnd, Kind::Publish] {
            let mean = |one: usize, other: usize| {
                let both = [one, other].map(|run| seen[run].percentile(kind, 50.0));
                Some(both[0]?.midpoint(both[1]?))
            };
            let (Some(without), Some(with)) = (mean(0, 3), mean(1, 2)) else {
                cells.extend(["–", "–", "–"].map(str::to_owned));
                continue;
            };
            let more = with - without;
            let due = DELAY.as_nanos() as f64;
            cells.extend([us(without), ms(Some(with)), format!("{:.3} ms", more / 1e6)]);
            finding.check((more - due).abs() <= TOLERANCE * due, || {
                let name = kind.name();
                format!("{}: {name} is {:.3} ms longer", driver.name, more / 1e6)
            });
        }
        finding.rows.push(cells);
    }
    finding
}
