//! What only the Redis drivers do; the rest is in `conformance.rs`.

#[path = "conformance/certificates.rs"]
#[allow(dead_code, reason = "the conformance suite uses all of it")]
mod certificates;
mod harness;

use std::process::Command;
use std::time::Duration;

use certificates::Certificates;
use harness::server::Server;
use harness::worker::{run, run_disturbed};
use harness::{at_rate, offer, prepare, runtime, task};
use mqbench::engine::task::Task;
use mqbench::scenario::workload::{Delivery, Durability, Measure, Pattern};
use mqbench::servers::group::wait_until;
use serde_json::Value;

const BOTH: [&str; 2] = ["redis-pubsub", "redis-streams"];

/// What `redis-cli` says, without the last line end.
fn cli(server: &Server, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &server.port.to_string()])
        .args(arguments)
        .output()
        .expect("redis-cli");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// A field of `XINFO STREAM` while the trial runs; 0 before the stream is there.
fn described(server: &Server, stream: &str, field: &str) -> u64 {
    let text = cli(server, &["XINFO", "STREAM", stream]);
    let mut lines = text.lines().skip_while(|line| *line != field);
    let value = lines.nth(1).and_then(|line| line.parse().ok());
    value.unwrap_or(0)
}

/// Runs a trial and says how many messages the stream holds when it has got 12,000.
fn kept(server: &Server, task: &Task) -> u64 {
    let stream = task.destination(0);
    let mut kept = u64::MAX;
    run_disturbed(task.clone(), |_| {
        assert!(wait_until(Duration::from_secs(20), || {
            described(server, &stream, "entries-added") >= 12_000
        }));
        kept = described(server, &stream, "length");
    })
    .assert_complete(task);
    kept
}

#[test]
fn what_all_have_acknowledged_is_trimmed_and_nothing_else() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    let mut task = task("redis-streams", Some(server.url()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Memory);
    task.workload.pattern = Pattern::FanOut;
    task.workload.groups = 2;
    at_rate(&mut task, 10_000.0, Duration::from_secs(4));
    let left = kept(&server, &task);
    assert!(left < 6_000, "{left} are left");
}

#[test]
fn without_consumers_a_stream_keeps_its_length() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    let mut task = task("redis-streams", Some(server.url()));
    task.workload.consumers = 0;
    task.options
        .insert("max_length".to_owned(), Value::from(1_000));
    at_rate(&mut task, 10_000.0, Duration::from_secs(4));
    let left = kept(&server, &task);
    assert!(left < 6_000, "{left} are left");
}

#[test]
fn a_backlog_is_counted() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    let mut task = task("redis-streams", Some(server.url()));
    task.workload.pattern = Pattern::Backlog;
    task.phases.measure = Measure::Count(500);
    let stream = task.destination(0);
    let session = prepare(&task).expect("prepared");
    let waiting = || {
        let asked = session.backlog().expect("it tells");
        runtime().block_on(asked).expect("an answer")
    };
    assert_eq!(waiting(), 0);
    for _ in 0..7 {
        cli(&server, &["XADD", &stream, "*", "m", "x"]);
    }
    assert_eq!(waiting(), 7);
    let group = format!("mqbench-{}-{}-group-0", task.run_id, task.trial);
    let read = [
        "XREADGROUP",
        "GROUP",
        &group,
        "me",
        "COUNT",
        "3",
        "STREAMS",
        &stream,
        ">",
    ];
    cli(&server, &read);
    assert_eq!(waiting(), 4);
}

/// What a consumer of the trial's group reads that never acknowledges.
fn read_as(server: &Server, task: &Task, consumer: &str) -> String {
    let group = format!("mqbench-{}-{}-group-0", task.run_id, task.trial);
    let stream = task.destination(0);
    let read = ["XREADGROUP", "GROUP", &group, consumer, "COUNT", "10"];
    let rest = ["BLOCK", "300", "STREAMS", &stream, ">"];
    loop {
        let got = cli(server, &[&read[..], &rest[..]].concat());
        if !got.is_empty() {
            return got;
        }
    }
}

#[test]
fn what_another_consumer_left_is_taken_over_and_flagged() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    let mut task = task("redis-streams", Some(server.url()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Memory);
    task.options
        .insert("claim_after".to_owned(), Value::from("100ms"));
    at_rate(&mut task, 1_000.0, Duration::from_secs(1));
    let seen = run_disturbed(task.clone(), |_| {
        // A consumer of the group that reads and dies: its messages come back to the others.
        read_as(&server, &task, "dead");
    });
    let (failure, audit) = (&seen.record.failure, &seen.record.audit);
    assert_eq!(*failure, None);
    assert_eq!(audit.distinct, audit.sent, "nothing is lost: {audit:?}");
    assert_eq!(audit.out_of_order, 0, "order begins afresh: {audit:?}");
}

#[test]
fn a_consumer_that_loses_its_connection_comes_back_to_what_it_had_not_got() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    let mut task = task("redis-streams", Some(server.url()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Memory);
    // What is left to another consumer would be taken over too late.
    task.options
        .insert("claim_after".to_owned(), Value::from("60s"));
    at_rate(&mut task, 1_000.0, Duration::from_secs(2));
    let seen = run_disturbed(task.clone(), |_| {
        // Handed out in its name and never seen by it, as what was on its way when a connection dies.
        read_as(&server, &task, "consumer-0");
        let clients = cli(&server, &["CLIENT", "LIST"]);
        // They are in order of age, and the consumer of the trial is older than ours.
        let reading = clients.lines().find(|it| it.contains("cmd=xreadgroup"));
        let number = reading.and_then(|it| it.strip_prefix("id=")?.split(' ').next());
        let number = number.expect("a consumer that reads");
        assert_eq!(cli(&server, &["CLIENT", "KILL", "ID", number]), "1");
    });
    let record = &seen.record;
    assert_eq!(record.failure, None);
    let audit = &record.audit;
    assert_eq!(audit.distinct, audit.sent, "nothing is lost: {audit:?}");
    assert_eq!((audit.duplicated, audit.out_of_order), (0, 0), "{audit:?}");
    let notes = &record.notes;
    assert!(notes[0].contains("lost their connection once"), "{notes:?}");
}

#[test]
fn a_trial_goes_on_when_all_who_read_and_trim_lose_their_connections() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    let mut task = task("redis-streams", Some(server.url()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Memory);
    task.workload.pattern = Pattern::Backlog;
    task.workload.publishers = 0;
    task.phases.measure = Measure::Count(100_000);
    // As long as a machine may need that has other work.
    task.phases.drain = Duration::from_secs(50);
    let seen = run_disturbed(task, |_| {
        let killed = cli(&server, &["CLIENT", "KILL", "TYPE", "normal"]);
        assert!(
            killed.parse::<u32>().is_ok_and(|killed| killed >= 2),
            "{killed}"
        );
    });
    let record = &seen.record;
    assert_eq!(record.failure, None);
    let audit = &record.audit;
    assert_eq!(audit.distinct, 100_000, "nothing is lost: {audit:?}");
    assert_eq!((audit.duplicated, audit.out_of_order), (0, 0), "{audit:?}");
}

#[test]
fn what_is_pending_is_not_trimmed() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    let mut task = task("redis-streams", Some(server.url()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Memory);
    task.options
        .insert("claim_after".to_owned(), Value::from("0s"));
    task.phases.drain = Duration::from_millis(500);
    at_rate(&mut task, 10_000.0, Duration::from_secs(4));
    let stream = task.destination(0);
    let mut left = None;
    run_disturbed(task.clone(), |_| {
        let got = read_as(&server, &task, "dead");
        // The stream's name, then the id of the first.
        let id = got.lines().nth(1).expect("an id").to_owned();
        let before = described(&server, &stream, "entries-added");
        assert!(wait_until(Duration::from_secs(20), || {
            described(&server, &stream, "entries-added") >= before + 6_000
        }));
        left = Some(cli(&server, &["XRANGE", &stream, &id, &id]));
    });
    assert!(
        left.is_some_and(|entry| !entry.is_empty()),
        "it was trimmed"
    );
}

#[test]
fn an_existing_stream_stays_and_loses_only_our_group() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    cli(&server, &["XADD", "theirs", "*", "k", "v"]);
    cli(&server, &["XGROUP", "CREATE", "theirs", "their-group", "0"]);
    let mut task = task("redis-streams", Some(server.url()));
    task.destination = Some("theirs".to_owned());
    run(task.clone()).assert_complete(&task);
    assert_eq!(cli(&server, &["XLEN", "theirs"]), "5001");
    let groups = cli(&server, &["XINFO", "GROUPS", "theirs"]);
    assert!(
        groups.contains("their-group") && !groups.contains("mqbench"),
        "{groups}"
    );
}

#[test]
fn a_server_that_keeps_less_than_was_asked_is_refused() {
    let Some(server) = Server::redis(&["--appendonly", "yes", "--appendfsync", "everysec"]) else {
        return;
    };
    let mut task = task("redis-streams", Some(server.url()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Fsync);
    let text = prepare(&task).err().expect("refused").to_string();
    assert!(text.contains("appendfsync everysec"), "{text}");
    offer(&mut task, Delivery::AtLeastOnce, Durability::Disk);
    let session = prepare(&task).expect("disk is given");
    assert!(session.notes()[0].contains("everysec"), "and labelled");
    cli(&server, &["CONFIG", "SET", "appendfsync", "always"]);
    cli(
        &server,
        &["CONFIG", "SET", "no-appendfsync-on-rewrite", "yes"],
    );
    offer(&mut task, Delivery::AtLeastOnce, Durability::Fsync);
    let text = prepare(&task).err().expect("refused").to_string();
    assert!(text.contains("no-appendfsync-on-rewrite yes"), "{text}");
    cli(&server, &["CONFIG", "SET", "appendonly", "no"]);
    let text = prepare(&task).err().expect("refused").to_string();
    assert!(text.contains("appendonly no"), "{text}");
}

#[test]
fn a_wrong_password_is_said() {
    let Some(server) = Server::redis(&["--requirepass", "right"]) else {
        return;
    };
    for driver in BOTH {
        let mut task = task(driver, Some(server.url()));
        task.password = Some("right".to_owned());
        run(task.clone()).assert_complete(&task);
        task.password = Some("wrong".to_owned());
        let text = prepare(&task).err().expect("refused").to_string();
        eprintln!("{text}");
        assert!(text.to_lowercase().contains("password"), "{text}");
    }
}

#[test]
fn an_address_says_that_connections_are_encrypted() {
    let files = Certificates::new();
    let shown = files.shown_by_server("server");
    let arguments = [
        "--tls-port",
        "0",
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &shown["tls_cert"],
        "--tls-key-file",
        &shown["tls_key"],
    ];
    let Some(server) = Server::redis(&arguments) else {
        return;
    };
    // Beside the plain port, by which it is seen that the server is there.
    let port = harness::server::free_port().to_string();
    assert_eq!(cli(&server, &["CONFIG", "SET", "tls-port", &port]), "OK");
    for driver in BOTH {
        let task = |url: String| task(driver, Some(url));
        // By the authorities of the system nobody is known who signs for a test.
        let strict = task(format!("rediss://127.0.0.1:{port}"));
        let text = prepare(&strict).err().expect("refused").to_string();
        assert!(text.contains("unknown authority"), "{text}");
        for scheme in ["redis", "rediss", "valkeys"] {
            let mut trusting = task(format!("{scheme}://127.0.0.1:{port}"));
            trusting.tls = Some(files.trusting("ca"));
            run(trusting.clone()).assert_complete(&trusting);
        }
        let lax = task(format!("rediss://127.0.0.1:{port}#insecure"));
        run(lax.clone()).assert_complete(&lax);
        let mut local = task("unix:///tmp/redis.sock".to_owned());
        local.tls = Some(files.trusting("ca"));
        let text = prepare(&local).err().expect("refused").to_string();
        assert!(text.contains("not encrypted"), "{text}");
    }
}
