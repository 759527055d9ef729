//! What only the NATS driver does; the rest is in `conformance.rs`.

mod harness;

use std::thread;
use std::time::Duration;

use harness::server::Server;
use harness::worker::{run, run_disturbed};
use harness::{at_rate, prepare, task};
use mqbench::scenario::units::Size;

#[test]
fn a_wrong_password_is_said() {
    let Some(server) = Server::nats(&["--user", "bench", "--pass", "right"]) else {
        return;
    };
    let mut task = task("nats", Some(server.url()));
    task.user = Some("bench".to_owned());
    task.password = Some("right".to_owned());
    run(task.clone()).assert_complete(&task);
    task.password = Some("wrong".to_owned());
    let text = prepare(&task).err().expect("refused").to_string();
    assert!(text.contains("authorization violation"), "{text}");
}

#[test]
fn a_message_that_is_too_large_is_refused_before_the_trial() {
    let Some(server) = Server::nats(&[]) else {
        return;
    };
    let mut task = task("nats", Some(server.url()));
    task.workload.message.sizes[0].size = Size(2 << 20);
    let text = prepare(&task).err().expect("too large").to_string();
    assert!(
        text.contains("2097152") && text.contains("1048576"),
        "{text}"
    );
}

#[test]
fn a_server_that_comes_back_costs_only_what_was_on_its_way() {
    let Some(mut server) = Server::nats(&[]) else {
        return;
    };
    let mut task = task("nats", Some(server.url()));
    task.phases.drain = Duration::from_millis(500);
    at_rate(&mut task, 2_000.0, Duration::from_secs(3));
    let seen = run_disturbed(task, |live| {
        live.await_traffic();
        server.kill();
        // The outage itself.
        thread::sleep(Duration::from_millis(300));
        server.start_again();
    });
    let record = &seen.record;
    assert_eq!(record.failure, None);
    let audit = &record.audit;
    assert!(audit.distinct > 2_000, "it went on: {audit:?}");
    assert_eq!(audit.out_of_order, 0);
    let notes = &record.notes;
    assert!(notes[0].contains("were lost 2 times"), "{notes:?}");
}

#[test]
fn consumers_may_subscribe_to_a_wildcard() {
    let Some(server) = Server::nats(&[]) else {
        return;
    };
    for (keys, consumers) in [(0, 1), (100, 1), (100, 3)] {
        let mut task = task("nats", Some(server.url()));
        task.options.insert("subject".to_owned(), "wildcard".into());
        task.workload.publishers = 2;
        task.workload.message.keys = keys;
        task.workload.consumers = consumers;
        run(task.clone()).assert_complete(&task);
    }
}
