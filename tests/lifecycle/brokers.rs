//! Brokers that die, stand still, are missing, or refuse.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mqbench::measure::latency::Kind;
use mqbench::measure::verdict::Outcome;
use nix::sys::signal::Signal;

use crate::program::{Ended, Place, alone, attempts, beside_others, ended, has, is_quiet, signal};
use crate::{place, scenario};

#[path = "../harness/server.rs"]
#[allow(dead_code, reason = "shared with the tests of drivers")]
mod server;

const A_WHILE: Duration = Duration::from_secs(120);

#[test]
fn a_server_that_is_killed_costs_one_trial_and_is_started_afresh() {
    let _turn = beside_others();
    if !has("nats") {
        return;
    }
    let place = place(&scenario("[nats, loopback]", 3_000, 2));
    let running = place.start(&["run", "s.yaml"]);
    let first = place.await_server("nats-server");
    // The order of trials is drawn: the trial that uses the server is the one whose worker talks to it.
    await_client(&place, first);
    signal(first, Signal::SIGKILL);
    let ended = running.ends_within(A_WHILE);
    ended.assert_code(3);
    place.assert_clean();
    let results = place.results();
    assert_eq!(results.attempts.len(), 4, "{}", ended.err);
    let nats = attempts(&results, "nats");
    let failed: Vec<_> = nats
        .iter()
        .filter(|attempt| attempt.verdict.outcome == Outcome::Failed)
        .collect();
    assert_eq!(failed.len(), 1, "{}", ended.out);
    let reason = &failed[0].verdict.reason;
    assert!(
        reason.contains("nats") && reason.contains("signal: 9"),
        "the reason names the server and its end: {reason}"
    );
    let other = nats.iter().find(|a| a.verdict.outcome != Outcome::Failed);
    assert!(other.expect("a second trial").audit.received > 0);
    for attempt in attempts(&results, "loopback") {
        assert_ne!(attempt.verdict.outcome, Outcome::Failed);
    }
}

/// Waits until the load of a trial on this server has begun.
fn await_client(place: &Place, server: i32) {
    crate::program::await_that("a trial uses the server", || {
        place.loaded().iter().any(|pid| connects(*pid, server))
    });
}

/// Whether a process has a connection whose other end is a port that the server listens on.
fn connects(client: i32, server: i32) -> bool {
    let ports = crate::program::listening(server);
    crate::program::connected(client)
        .iter()
        .any(|port| ports.contains(port))
}

#[test]
fn a_server_that_stands_still_shows_in_an_open_loop_and_hardly_in_a_closed_one() {
    let _turn = alone();
    if !has("nats") {
        return;
    }
    let open = scenario("[nats]", 5_000, 1);
    let closed = open
        .replace("load: {rate: 1k/s}", "load: max")
        .replace("in_flight: 10000", "in_flight: 1");
    let mut shares = Vec::new();
    for (text, kind) in [(open, Kind::EndToEnd), (closed, Kind::Transit)] {
        let place = place(&text);
        let running = place.start(&["run", "s.yaml"]);
        let server = place.await_server("nats-server");
        await_client(&place, server);
        // Stopped for a second by the clock: the time is what is tested, not what is waited for.
        let until = Instant::now() + Duration::from_secs(1);
        signal(server, Signal::SIGSTOP);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        let stopped = until.elapsed() + Duration::from_secs(1);
        signal(server, Signal::SIGCONT);
        let ended = running.ends_within(A_WHILE);
        ended.assert_code(0);
        place.assert_clean();
        let stored = place.stored();
        let attempt = attempts(&stored.results, "nats")[0];
        let record = stored.record(attempt.trial, attempt.attempt).expect("kept");
        let latency = &record.latencies[&kind];
        assert!(latency.max() >= 950_000_000, "{kind:?}: {}", latency.max());
        let affected = crate::program::share_above(latency, 50_000_000);
        let expected = stopped.as_secs_f64() / attempt.seconds;
        if kind == Kind::EndToEnd {
            assert!(affected >= 0.7 * expected, "{affected} of {expected}");
            if is_quiet(attempt) {
                assert!(affected <= 1.5 * expected, "{affected} of {expected}");
            }
        } else if is_quiet(attempt) {
            let slow = crate::program::share_above(latency, 500_000_000) * latency.count() as f64;
            assert!(slow < 1.5, "{slow} of {}", latency.count());
        }
        shares.push(affected);
    }
    assert!(shares[1] < shares[0] / 5.0, "open and closed: {shares:?}");
}

#[test]
fn a_missing_broker_says_how_to_get_it_and_the_others_run() {
    let _turn = beside_others();
    let place = place(&scenario("[nats, zeromq]", 300, 1));
    let mut command = place.command(&["run", "s.yaml"]);
    command
        .env("PATH", "/nowhere")
        .env("HOME", place.path("home"))
        .env("XDG_CACHE_HOME", place.path("cache"));
    let ended = ended(command);
    ended.assert_code(3);
    for said in [&ended.err, &ended.out] {
        assert!(said.contains("cannot start a private nats"), "{said}");
        assert!(said.contains("scripts/get nats"), "{said}");
        assert!(!said.contains('\u{fffd}'), "{said}");
    }
    let results = place.results();
    let nats = attempts(&results, "nats")[0];
    assert_eq!(nats.verdict.outcome, Outcome::Failed);
    assert!(!nats.verdict.reason.contains('\n'));
    assert!(attempts(&results, "zeromq")[0].audit.received > 0);
    place.assert_clean();
}

/// Runs against an external broker, which must fail within seconds and say all of this.
fn refused(broker: &str, environment: &[(&str, &str)], says: &[&str]) -> Ended {
    let place = place(&scenario(broker, 300, 1));
    let mut command = place.command(&["run", "s.yaml"]);
    command.envs(environment.iter().copied());
    let began = Instant::now();
    let ended = ended(command);
    ended.assert_code(3);
    // Many seconds only because the machine may be busy; the timeouts of clients are what it excludes.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let out = ended.out.to_lowercase();
    for part in says {
        assert!(out.contains(part), "{part}: {}", ended.out);
    }
    place.assert_clean();
    ended
}

#[test]
fn messages_of_others_are_counted_apart() {
    let _turn = beside_others();
    let Some(nats) = server::Server::nats(&[]) else {
        return;
    };
    let broker = format!(
        "{{mine: {{driver: nats, url: \"{}\", destination: shared}}}}",
        nats.url()
    );
    let place = place(&scenario(&broker, 1_000, 1));
    let running = place.start(&["run", "s.yaml"]);
    running.await_load();
    let mut stranger = TcpStream::connect(("127.0.0.1", nats.port)).expect("connected");
    stranger
        .write_all(
            b"CONNECT {\"verbose\":false}\r\nPUB shared 5\r\nhello\r\nPUB shared 0\r\n\r\nPING\r\n",
        )
        .expect("sent");
    let ended = running.ends_within(A_WHILE);
    ended.assert_code(0);
    let audit = attempts(&place.results(), "mine")[0].audit;
    assert_eq!(audit.unexpected, 2, "{audit:?}");
    assert_eq!(
        (audit.received, audit.lost, audit.duplicated),
        (audit.sent, 0, 0)
    );
    place.assert_clean();
}

#[test]
fn a_broker_of_ones_own_on_this_machine_is_charged_what_it_costs() {
    let _turn = beside_others();
    let Some(nats) = server::Server::nats(&[]) else {
        return;
    };
    let broker = format!("{{mine: {{driver: nats, url: \"{}\"}}}}", nats.url());
    let place = place(&scenario(&broker, 1_000, 1));
    place.run(&["run", "s.yaml"]).assert_code(0);
    let results = place.results();
    let usage = attempts(&results, "mine")[0].usage;
    assert!(
        usage.brokers_s > 0.0 && usage.brokers_rss_peak_bytes > 0,
        "{usage:?}"
    );
    let summary = place.kept("summary.csv");
    let mut reader = csv::Reader::from_reader(summary.as_bytes());
    let names = reader.headers().expect("names").clone();
    let row = reader.records().next().expect("a row").expect("a row");
    let column = |name: &str| &row[names.iter().position(|it| it == name).expect(name)];
    assert_ne!(column("broker_cpu_us_per_message"), "");
    assert_eq!(
        column("broker_disk_bytes"),
        "",
        "nobody knows where it keeps its data"
    );
    place.assert_clean();
}

#[test]
fn a_closed_port_is_refused_at_once_and_by_name() {
    let _turn = beside_others();
    let port = server::free_port();
    for (driver, scheme) in [
        ("redis-streams", "redis"),
        ("redis-pubsub", "redis"),
        ("nats", "nats"),
    ] {
        let broker =
            format!("{{mine: {{driver: {driver}, url: \"{scheme}://127.0.0.1:{port}\"}}}}");
        let address = format!("127.0.0.1:{port}");
        refused(&broker, &[], &["failed", &address, "refused"]);
    }
}

#[test]
fn a_wrong_password_is_a_clear_reason_and_stays_secret() {
    let _turn = beside_others();
    let Some(redis) = server::Server::redis(&["--requirepass", "right"]) else {
        return;
    };
    let url = redis.url();
    for driver in ["redis-streams", "redis-pubsub"] {
        let broker = format!(
            "{{mine: {{driver: {driver}, url: \"{url}\", user: default, password: \"${{P}}\"}}}}"
        );
        let ended = refused(&broker, &[("P", "wrong-tulip")], &["failed", "password"]);
        assert!(!format!("{ended:?}").contains("tulip"), "{ended:?}");
        let none = format!("{{mine: {{driver: {driver}, url: \"{url}\"}}}}");
        refused(&none, &[], &["failed", "auth"]);

        let place = place(&scenario(&broker, 300, 1));
        let mut command = place.command(&["run", "s.yaml"]);
        command.env("P", "right");
        crate::program::ended(command).assert_code(0);
        for file in ["results.json", "trials/0001.json", "trials.csv"] {
            assert!(!place.kept(file).contains("right\""), "{file}");
        }
    }
}
