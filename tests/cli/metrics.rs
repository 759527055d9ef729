//! Metrics of a run while it goes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use mqbench::measure::latency::Kind;
use nix::sys::signal::Signal;

use crate::program::{Place, SOON, attempts, await_that};

const SCENARIO: &str = "\
name: t
brokers: {loopback: {}, other: {driver: loopback}}
workload: {delivery: at-least-once, message: {size: 64B}, load: {rate: 500/s}}
phases: {warmup: 500ms, measure: 2500ms, drain: 5s}
trials: 1
disturbed: {repeats: 0}
";

/// Where the run says that it serves.
fn served(place: &Place) -> SocketAddr {
    let mut found = None;
    await_that("it says where metrics are", || {
        let said = fs::read_to_string(place.path("err")).unwrap_or_default();
        let address = said.split("metrics: http://").nth(1);
        let address = address.and_then(|rest| rest.split_once("/metrics\n"));
        found = address.and_then(|(address, _)| address.parse().ok());
        found.is_some()
    });
    found.expect("found")
}

fn ask(address: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Every sample by its name and labels.
fn scrape(address: SocketAddr) -> io::Result<BTreeMap<String, f64>> {
    let answer = ask(address, b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n")?;
    let (head, page) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(
        head.contains("Content-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    Ok(samples.map(read).collect())
}

fn labels(broker: &str) -> String {
    format!("scenario=\"t\",broker=\"{broker}\",driver=\"loopback\"")
}

#[test]
fn counters_only_go_up_and_are_what_the_results_say() {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    let run = place.start(&["run", "s.yaml", "--metrics", "127.0.0.1:0"]);
    let address = served(&place);
    // One that says nothing, and one that says nonsense.
    let silent = TcpStream::connect(address).expect("a connection");
    let nonsense = ask(address, b"\x00\xff garbage\r\n\r\n").expect("an answer");
    assert!(nonsense.starts_with("HTTP/1.1 400"), "{nonsense}");
    let mut before = BTreeMap::new();
    let mut moved = 0;
    let mut ended = None;
    await_that("one trial is over", || {
        let now = scrape(address).expect("a page");
        for (name, value) in &now {
            let is_counter = name
                .split('{')
                .next()
                .is_some_and(|it| it.ends_with("_total"));
            if let (true, Some(earlier)) = (is_counter, before.get(name)) {
                assert!(value >= earlier, "{name}: {earlier}, then {value}");
                moved += usize::from(name.starts_with("mq_messages_published") && value > earlier);
            }
        }
        ended = ["loopback", "other"].into_iter().find(|broker| {
            let all = format!("mqbench_trials_total{{{},", labels(broker));
            now.keys().any(|name| name.starts_with(&all))
        });
        before = now;
        ended.is_some()
    });
    assert!(moved >= 2, "while it goes: {moved}");
    let (broker, page) = (ended.expect("one"), before);
    run.ends_within(SOON).assert_code(0);
    drop(silent);
    assert!(
        TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );

    let stored = place.stored();
    let trial = attempts(&stored.results, broker)[0].clone();
    let record = stored.record(trial.trial, 1).expect("a record");
    let of = |name: &str, more: &str| page[&format!("{name}{{{}{more}}}", labels(broker))];
    let sum = |count: fn(&mqbench::measure::record::Second) -> u64| {
        record.series.iter().map(count).sum::<u64>() as f64
    };
    assert_eq!(of("mq_messages_published_total", ""), sum(|it| it.sent));
    assert_eq!(of("mq_messages_received_total", ""), sum(|it| it.received));
    assert!(
        of("mq_messages_published_total", "") > trial.audit.sent as f64,
        "warm-up included"
    );
    for (fate, count) in [
        ("sent", trial.audit.sent),
        ("received", trial.audit.received),
        ("lost", 0),
    ] {
        let fate = format!(",fate=\"{fate}\"");
        assert_eq!(of("mqbench_messages_total", &fate), count as f64);
    }
    let latency = &record.latencies[&Kind::EndToEnd];
    let name = "mq_message_latency_seconds";
    let kind = ",latency=\"end_to_end\"";
    assert_eq!(of(&format!("{name}_count"), kind), latency.count() as f64);
    let p50 = of(name, &format!("{kind},quantile=\"0.5\""));
    let kept = trial
        .percentile(Kind::EndToEnd, 50.0)
        .and_then(|it| it.value());
    assert_eq!(Some(p50), kept.map(|nanoseconds| nanoseconds as f64 / 1e9));
}

#[test]
fn an_address_that_cannot_be_had_ends_it_before_anything_starts() {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    for address in [&taken[..], "nonsense"] {
        let ended = place.run(&["run", "s.yaml", "--metrics", address]);
        ended.assert_code(2);
        assert!(
            ended
                .err
                .contains(&format!("cannot serve metrics at `{address}`")),
            "{}",
            ended.err
        );
        assert!(!place.path("results").exists(), "nothing was begun");
    }
}

#[test]
fn an_interrupted_run_leaves_no_port_even_with_a_reader_that_hangs() {
    let place = Place::new();
    place.write("s.yaml", SCENARIO);
    let run = place.start(&["run", "s.yaml", "--metrics", "127.0.0.1:0"]);
    let address = served(&place);
    let mut hanging = TcpStream::connect(address).expect("a connection");
    hanging.write_all(b"GET /met").expect("written");
    run.await_load();
    run.signal(Signal::SIGINT);
    run.ends_within(SOON).assert_code(130);
    assert!(
        TcpStream::connect(address).is_err(),
        "nobody listens any more"
    );
    place.assert_clean();
}
