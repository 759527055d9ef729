//! A longer way from publishers to the server.

use std::time::Duration;

use mqbench::measure::latency::Kind;

use crate::Experiment;
use crate::lab::{Ask, Lab, ms, us};
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
        it puts its own in the place. 60 messages a second for 6 seconds, first without delay, then with 50 ms: the \
        difference of the medians must be 50 ms, for `end_to_end` and, where there are acknowledgements, for `publish` \
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
            measure: 6,
        };
        let seen = [Duration::ZERO, DELAY].map(|delay| {
            lab.quiet(&[&server], || {
                line.set(delay);
                lab.run(&ask)
            })
        });
        let [Ok(without), Ok(with)] = &seen else {
            let why = seen.into_iter().find_map(Result::err).unwrap_or_default();
            finding.untried.push(format!("{}: {why}", driver.name));
            continue;
        };
        let mut cells = vec![driver.name.to_owned()];
        for kind in [Kind::EndToEnd, Kind::Publish] {
            let both = [without, with].map(|ran| ran.percentile(kind, 50.0));
            let [Some(without), Some(with)] = both else {
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
