//! Raw stamps of another subscriber, sorted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mqbench::measure::latency::Kind;

use crate::Experiment;
use crate::lab::{Ask, Lab, count, ms};
use crate::line::Line;
use crate::page::Finding;
use crate::subscriber::Subscriber;

/// What the line holds back goes up and down between these, milliseconds, in this time.
const SHORTEST: f64 = 20.0;
const LONGEST: f64 = 120.0;
const PERIOD: f64 = 4.0;
/// Three significant digits.
const RESOLUTION: f64 = 0.001;
/// Both get a message from the server one after the other, nanoseconds.
const APART: f64 = 100_000.0;

pub static PERCENTILES: Experiment = Experiment {
    name: "percentiles",
    title: "Percentiles are those of the sorted stamps",
    claim: "The percentiles that mqbench prints are those of the raw latencies, to within the three digits of its histograms.",
    method: "3,000 messages a second for 18 seconds go to a NATS server through a proxy that holds them back by a time \
        that goes evenly up and down between 20 and 120 ms. Beside mqbench's consumer a subscriber of a hundred lines \
        that speaks the protocol over a plain socket stamps each message when it has it, takes the due time from its \
        header, keeps all latencies and sorts them. Where percentile *p* of mqbench and the value at rank *p* of \
        the sorted list differ, it must be by less than a thousandth (the resolution) and 100 µs (the server serves one after \
        the other). So large a delay makes that small beside the values: it is the percentiles that are tried, with stamps, header \
        and histogram.",
    run,
};

fn run(lab: &Lab) -> Finding {
    let mut finding = Finding::new(&["percentile", "of the sorted list", "mqbench", "difference"]);
    let Some((driver, offer)) = lab.system("nats") else {
        return finding;
    };
    let server = lab.server(driver, offer);
    let port = server.record().site.port();
    let line = Line::from_publishers_to(port);
    let url = format!("nats://127.0.0.1:{}", line.port);
    let ask = Ask {
        driver,
        offer,
        url: &url,
        options: "",
        workload: "message: {size: 1KiB, payload: zeros}, load: {rate: 3k/s}",
        warmup: 1,
        measure: 18,
    };
    let seen = lab.quiet(&[&server], || {
        let subscriber = Subscriber::at(port);
        let over = AtomicBool::new(false);
        let ran = thread::scope(|scope| {
            scope.spawn(|| {
                let began = Instant::now();
                while !over.load(Ordering::Relaxed) {
                    let turns = began.elapsed().as_secs_f64() / PERIOD;
                    let up = 1.0 - (2.0 * turns.fract() - 1.0).abs();
                    let delay = SHORTEST + (LONGEST - SHORTEST) * up;
                    line.set(Duration::from_secs_f64(delay / 1e3));
                    // The pace of the change, not a wait for something.
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let ran = lab.run(&ask);
            over.store(true, Ordering::Relaxed);
            ran
        });
        (ran, subscriber.end())
    });
    let (ran, heard) = match seen {
        Ok(seen) => seen,
        Err(why) => {
            finding.untried.push(why);
            return finding;
        }
    };
    let measured = heard.iter().filter(|it| it.is_measured());
    let mut raw: Vec<u64> = measured
        .map(|it| it.at.saturating_sub(it.intended()))
        .collect();
    raw.sort_unstable();
    let received = ran.record.audit.received;
    finding.check(raw.len() as u64 == received, || {
        format!("{} were heard and {received} received", raw.len())
    });
    for (name, percent) in [
        ("p50", 50.0),
        ("p90", 90.0),
        ("p95", 95.0),
        ("p99", 99.0),
        ("p99.9", 99.9),
    ] {
        let rank = (percent / 100.0 * raw.len() as f64).ceil() as usize;
        let sorted = raw.get(rank.saturating_sub(1)).map_or(0.0, |it| *it as f64);
        let printed = ran.percentile(Kind::EndToEnd, percent).unwrap_or(0.0);
        let apart = printed - sorted;
        finding.row([
            name.to_owned(),
            format!("{:.3} ms", sorted / 1e6),
            format!("{:.3} ms", printed / 1e6),
            format!("{:+.3} %", apart / sorted * 100.0),
        ]);
        finding.check(apart.abs() <= RESOLUTION * sorted + APART, || {
            format!(
                "{name}: {} where {} is true",
                ms(Some(printed)),
                ms(Some(sorted))
            )
        });
    }
    finding
        .notes
        .push(format!("{} latencies.", count(raw.len() as u64)));
    finding
}
