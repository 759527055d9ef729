//! The NATS driver against a real server.

mod harness;

use std::thread;
use std::time::Duration;

use harness::server::{Server, free_port};
use harness::{at_rate, prepare, run, run_disturbed, task};
use mqbench::scenario::units::Size;
use mqbench::scenario::workload::Pattern;

#[test]
fn a_queue_delivers_everything_in_order() {
    let Some(server) = Server::nats(&[]) else {
        return;
    };
    let trial = run(task("nats", Some(server.url())));
    trial.assert_complete();
    assert!(trial.fact("version").is_some());
    assert_eq!(trial.session.notes(), Vec::<String>::new());
    trial.clean_up().expect("cleaned up");
}

#[test]
fn consumers_of_a_group_share_and_groups_do_not() {
    let Some(server) = Server::nats(&[]) else {
        return;
    };
    let mut task = task("nats", Some(server.url()));
    task.workload.pattern = Pattern::FanOut;
    task.workload.groups = 2;
    task.workload.consumers = 2;
    task.workload.publishers = 2;
    run(task).assert_complete();
}

#[test]
fn a_consumer_reads_several_destinations() {
    let Some(server) = Server::nats(&[]) else {
        return;
    };
    let mut task = task("nats", Some(server.url()));
    task.workload.destinations = 5;
    task.workload.consumers = 2;
    run(task).assert_complete();
}

#[test]
fn an_open_loop_sends_what_is_due() {
    let Some(server) = Server::nats(&[]) else {
        return;
    };
    let mut task = task("nats", Some(server.url()));
    at_rate(&mut task, 1_000.0, Duration::from_secs(1));
    let trial = run(task);
    trial.assert_complete();
    assert_eq!(trial.ledger.sent(), 1_000);
}

#[test]
fn nobody_there_is_said_with_the_address() {
    let url = format!("nats://me:secret@127.0.0.1:{}", free_port());
    let error = prepare(&task("nats", Some(url))).err().expect("nobody");
    let text = error.to_string();
    assert!(text.contains("connect to nats://127.0.0.1:"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    assert!(text.to_lowercase().contains("refused"), "{text}");
}

#[test]
fn a_wrong_password_is_said() {
    let Some(server) = Server::nats(&["--user", "bench", "--pass", "right"]) else {
        return;
    };
    let mut task = task("nats", Some(server.url()));
    task.user = Some("bench".to_owned());
    task.password = Some("right".to_owned());
    run(task.clone()).assert_complete();
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
fn a_server_that_dies_ends_the_trial_with_a_reason() {
    let Some(mut server) = Server::nats(&[]) else {
        return;
    };
    let mut task = task("nats", Some(server.url()));
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
    assert_eq!(trial.errors.len(), 2, "{:?}", trial.errors);
    assert!(
        trial.errors.iter().all(|e| e.cause.contains("was lost")),
        "{:?}",
        trial.errors
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
    let trial = run_disturbed(task, |_| {
        thread::sleep(Duration::from_millis(500));
        server.kill();
        thread::sleep(Duration::from_millis(300));
        server.start_again();
    });
    assert_eq!(trial.errors, []);
    let group = &trial.ledger.groups[0];
    assert!(group.distinct() > 2_000, "it went on: {}", group.distinct());
    assert_eq!(group.counts().out_of_order, 0);
    let notes = trial.session.notes();
    assert!(notes[0].contains("were lost 2 times"), "{notes:?}");
}
