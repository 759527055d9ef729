//! The Redis drivers against a real server.

mod harness;

use std::process::Command;
use std::thread;
use std::time::Duration;

use harness::server::{Server, free_port};
use harness::{at_rate, offer, prepare, run, run_disturbed, runtime, task};
use mqbench::scenario::workload::{Delivery, Durability, Measure, Pattern};
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

#[test]
fn a_queue_delivers_everything_in_order_and_acknowledges() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    for driver in BOTH {
        let trial = run(task(driver, Some(server.url())));
        trial.assert_complete();
        assert!(trial.fact("version").is_some());
        trial.clean_up().expect("cleaned up");
        assert_eq!(cli(&server, &["KEYS", "*"]), "", "{driver} leaves nothing");
    }
}

#[test]
fn every_group_gets_everything() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    for driver in BOTH {
        let mut task = task(driver, Some(server.url()));
        task.workload.pattern = Pattern::FanOut;
        task.workload.groups = 3;
        task.workload.publishers = 2;
        run(task).assert_complete();
    }
}

#[test]
fn a_consumer_reads_several_destinations() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    for driver in BOTH {
        let mut task = task(driver, Some(server.url()));
        task.workload.destinations = 5;
        task.workload.consumers = 2;
        if driver == "redis-streams" {
            offer(&mut task, Delivery::AtLeastOnce, Durability::Memory);
        }
        let trial = run(task);
        trial.assert_complete();
        trial.clean_up().expect("cleaned up");
        assert_eq!(cli(&server, &["KEYS", "*"]), "", "{driver} leaves nothing");
    }
}

#[test]
fn an_open_loop_sends_what_is_due() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    for driver in BOTH {
        let mut task = task(driver, Some(server.url()));
        at_rate(&mut task, 1_000.0, Duration::from_secs(1));
        let trial = run(task);
        trial.assert_complete();
        assert_eq!(trial.ledger.sent(), 1_000);
    }
}

#[test]
fn every_offer_of_streams_delivers_everything() {
    for (delivery, durability) in [
        (Delivery::AtLeastOnce, Durability::Memory),
        (Delivery::AtMostOnce, Durability::Disk),
        (Delivery::AtLeastOnce, Durability::Disk),
        (Delivery::AtLeastOnce, Durability::Fsync),
    ] {
        let arguments: &[&str] = match durability {
            Durability::Memory => &[],
            Durability::Disk => &["--appendonly", "yes", "--appendfsync", "no"],
            Durability::Fsync => &["--appendonly", "yes", "--appendfsync", "always"],
        };
        let Some(server) = Server::redis(arguments) else {
            return;
        };
        let mut task = task("redis-streams", Some(server.url()));
        offer(&mut task, delivery, durability);
        task.workload.consumers = 2;
        let trial = run(task);
        trial.assert_complete();
        assert_eq!(trial.session.notes(), Vec::<String>::new());
    }
}

#[test]
fn what_all_have_acknowledged_is_trimmed_and_nothing_else() {
    let Some(server) = Server::redis(&[]) else {
        return;
    };
    let mut task = task("redis-streams", Some(server.url()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Memory);
    task.workload.groups = 2;
    at_rate(&mut task, 20_000.0, Duration::from_secs(2));
    let stream = task.destination(0);
    let trial = run(task);
    trial.assert_complete();
    let left: u64 = cli(&server, &["XLEN", &stream]).parse().expect("a length");
    let added = cli(&server, &["XINFO", "STREAM", &stream]);
    assert!(added.contains("40000"), "all were added: {added}");
    assert!(left < 20_000, "{left} are left");
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
    at_rate(&mut task, 20_000.0, Duration::from_secs(1));
    let stream = task.destination(0);
    run(task).assert_complete();
    let left: u64 = cli(&server, &["XLEN", &stream]).parse().expect("a length");
    assert!(left < 10_000, "{left} are left");
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
    let stream = task.destination(0);
    let group = format!("mqbench-{}-{}-group-0", task.run_id, task.trial);
    let trial = run_disturbed(task, |_| {
        // A consumer of the group that reads and dies: its messages come back to the others.
        let read = [
            "XREADGROUP",
            "GROUP",
            &group,
            "dead",
            "COUNT",
            "10",
            "BLOCK",
            "300",
            "STREAMS",
            &stream,
            ">",
        ];
        while cli(&server, &read).is_empty() {}
    });
    assert_eq!(trial.errors, []);
    assert_eq!(trial.ledger.groups[0].distinct(), 1_000, "nothing is lost");
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
    let trial = run(task);
    trial.assert_complete();
    trial.clean_up().expect("cleaned up");
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
    cli(&server, &["CONFIG", "SET", "appendonly", "no"]);
    let text = prepare(&task).err().expect("refused").to_string();
    assert!(text.contains("appendonly no"), "{text}");
}

#[test]
fn nobody_there_is_said_with_the_address() {
    for driver in BOTH {
        let url = format!("redis://me:secret@127.0.0.1:{}", free_port());
        let error = prepare(&task(driver, Some(url))).err().expect("nobody");
        let text = error.to_string();
        assert!(text.contains("connect to redis://127.0.0.1:"), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("refused"), "{text}");
    }
}

#[test]
fn a_wrong_password_is_said() {
    let Some(server) = Server::redis(&["--requirepass", "right"]) else {
        return;
    };
    for driver in BOTH {
        let mut task = task(driver, Some(server.url()));
        task.password = Some("right".to_owned());
        run(task.clone()).assert_complete();
        task.password = Some("wrong".to_owned());
        let text = prepare(&task).err().expect("refused").to_string();
        eprintln!("{text}");
        assert!(text.to_lowercase().contains("password"), "{text}");
    }
}

#[test]
fn a_server_that_dies_ends_the_trial_with_a_reason() {
    for driver in BOTH {
        let Some(mut server) = Server::redis(&[]) else {
            return;
        };
        let mut task = task(driver, Some(server.url()));
        at_rate(&mut task, 20_000.0, Duration::from_secs(20));
        let trial = run_disturbed(task, |_| {
            thread::sleep(Duration::from_millis(300));
            server.kill();
        });
        assert!(
            trial.took < Duration::from_secs(15),
            "took {:?}",
            trial.took
        );
        assert!(trial.errors.len() >= 2, "{:?}", trial.errors);
        eprintln!("{:?} {:?}", trial.errors, trial.failures());
        let ledger = &trial.ledger;
        assert_eq!(
            ledger.released(),
            ledger.sent(),
            "each message is acked or failed"
        );
        trial.clean_up().err().or(None);
    }
}
