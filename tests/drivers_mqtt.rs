//! What only the MQTT driver does; the rest is in `conformance.rs`.

mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use harness::server::{program_of, skipped};
use harness::worker::{Seen, run, run_disturbed};
use harness::{at_rate, offer, prepare, task};
use mqbench::engine::task::Task;
use mqbench::processes::reaper::Reaper;
use mqbench::scenario::workload::{Delivery, Durability, Measure, Pattern};
use mqbench::servers::find::EMBEDDED;
use mqbench::servers::{Config, Instance, Keeper, Order, named};
use serde_json::Value;

/// A server with these settings, ended with the test; `None` where this machine has none.
fn server(settings: &[(&str, &str)], program: Option<&Path>) -> Option<Instance> {
    if program.is_none() && program_of("mosquitto").is_none() {
        return None;
    }
    let of_reaper = PathBuf::from(env!("CARGO_BIN_EXE_mqbench"));
    let reaper: Arc<dyn Keeper> = Arc::new(Reaper::start_from(of_reaper).expect("a reaper"));
    let settings = settings.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    let order = Order {
        server: named("mosquitto").expect("a known server"),
        program,
        config: settings.collect::<Config>(),
        within: std::env::temp_dir(),
        bounds: Default::default(),
    };
    Some(Instance::start(&order, &reaper).expect("started"))
}

fn task_at(server: &Instance, delivery: Delivery) -> Task {
    let mut task = task("mqtt", Some(server.record().url.clone()));
    offer(&mut task, delivery, Durability::Memory);
    task.phases.measure = Measure::Count(2_000);
    task
}

fn set(task: &mut Task, option: &str, value: impl Into<Value>) {
    task.options.insert(option.to_owned(), value.into());
}

const ALL: [Delivery; 3] = [
    Delivery::AtMostOnce,
    Delivery::AtLeastOnce,
    Delivery::ExactlyOnce,
];

/// `mosquitto_sub` with these arguments, or nothing where the machine has none.
fn listener(server: &Instance, arguments: &[&str]) -> Option<Child> {
    let port = server.record().site.port().to_string();
    let started = Command::new("mosquitto_sub")
        .args(["-p", &port])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn();
    if started.is_err() {
        skipped("mosquitto_sub");
    }
    started.ok()
}

fn heard(mut listener: Child) -> String {
    let mut text = String::new();
    let mut said = listener.stdout.take().expect("piped");
    said.read_to_string(&mut text).expect("it says something");
    listener.wait().expect("it ends");
    text
}

#[test]
fn version_5_gives_the_same_guarantees() {
    let Some(server) = server(&[("max_queued_messages", "0")], None) else {
        return;
    };
    for delivery in ALL {
        let mut task = task_at(&server, delivery);
        set(&mut task, "version", "5");
        // What the server lets a publisher have in flight by default, so that there is nothing to note.
        task.workload.in_flight = 20;
        run(task.clone()).assert_complete(&task);
    }
}

#[test]
fn version_5_tells_what_limits_a_publisher() {
    let Some(server) = server(&[("max_inflight_messages", "7")], None) else {
        return;
    };
    let mut task = task_at(&server, Delivery::AtLeastOnce);
    set(&mut task, "version", "5");
    let seen = run(task.clone());
    assert_eq!(seen.fact("receive maximum"), Some("7"));
    assert!(
        seen.record.notes.iter().any(|note| note.contains("7 mess")),
        "{:?}",
        seen.record.notes
    );
    assert_eq!(seen.record.audit.lost, 0);
}

#[test]
fn version_5_tells_of_messages_that_nobody_wants() {
    let Some(server) = server(&[], None) else {
        return;
    };
    let mut task = task_at(&server, Delivery::AtLeastOnce);
    set(&mut task, "version", "5");
    task.workload.consumers = 0;
    task.workload.in_flight = 20;
    let seen = run(task);
    let audit = &seen.record.audit;
    assert_eq!(audit.acked, audit.sent);
    let note = format!("{} messages were acknowledged and discarded", audit.sent);
    assert!(
        seen.record.notes.iter().any(|said| said.contains(&note)),
        "{:?}",
        seen.record.notes
    );
}

#[test]
fn consumers_of_a_group_share_a_topic_in_both_versions() {
    let Some(server) = server(&[("max_queued_messages", "0")], None) else {
        return;
    };
    for version in ["3.1.1", "5"] {
        let mut task = task_at(&server, Delivery::AtLeastOnce);
        set(&mut task, "version", version);
        task.workload.pattern = Pattern::FanOut;
        task.workload.groups = 2;
        task.workload.consumers = 3;
        task.workload.in_flight = 20;
        run(task.clone()).assert_complete(&task);
    }
}

#[test]
fn a_session_outlives_its_connection_as_the_option_says() {
    let Some(server) = server(&[("max_queued_messages", "0")], None) else {
        return;
    };
    for (session, kept) in [("persistent", true), ("clean", false)] {
        let mut task = task_at(&server, Delivery::AtLeastOnce);
        set(&mut task, "session", session);
        at_rate(&mut task, 500.0, Duration::from_secs(2));
        let id = format!("mqbench-{}-{}-group-0-consumer-0", task.run_id, task.trial);
        let mut is_there = None;
        let seen = run_disturbed(task, |live| {
            live.await_traffic();
            is_there = Some(has_session(&server, &id));
        });
        assert_eq!(is_there, Some(kept), "{session}");
        // Who comes with the same name drives the owner out, who comes back.
        came_back(&seen, "consumers");
    }
}

#[track_caller]
fn came_back(seen: &Seen, who: &str) {
    assert_eq!(seen.record.failure, None);
    let told = format!("{who} lost their connection once and came back");
    let notes = &seen.record.notes;
    assert!(notes.iter().any(|it| it.starts_with(&told)), "{notes:?}");
}

/// Whether the server has a session of this name: CONNECT of version 3.1.1 without a clean session, and
/// the second byte of the answer.
fn has_session(server: &Instance, id: &str) -> bool {
    let port = server.record().site.port();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it answers");
    let mut packet = vec![0x10, 12 + id.len() as u8];
    packet.extend(b"\x00\x04MQTT\x04\x00\x00\x3c\x00");
    packet.push(id.len() as u8);
    packet.extend(id.bytes());
    stream.write_all(&packet).expect("it listens");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!((answer[0], answer[3]), (0x20, 0), "let in");
    answer[2] == 1
}

#[test]
fn retained_messages_are_kept_while_the_trial_runs_and_then_removed() {
    let Some(server) = server(&[], None) else {
        return;
    };
    let mut task = task_at(&server, Delivery::AtMostOnce);
    set(&mut task, "retained", true);
    at_rate(&mut task, 500.0, Duration::from_secs(2));
    let topic = task.destination(0);
    let retained = [
        "--retained-only",
        "-C",
        "1",
        "-W",
        "1",
        "-F",
        "%r %l",
        "-t",
        &topic,
    ];
    let mut during = None;
    let seen = run_disturbed(task, |live| {
        live.await_traffic();
        during = listener(&server, &retained).map(heard);
    });
    let Some(during) = during else { return };
    assert_eq!(during, "1 100\n");
    assert_eq!(seen.record.failure, None);
    let after = listener(&server, &retained).map(heard);
    assert_eq!(after.as_deref(), Some(""));
}

#[test]
fn a_last_will_is_left_with_the_server() {
    let Some(server) = server(&[], None) else {
        return;
    };
    let mut task = task_at(&server, Delivery::AtMostOnce);
    set(&mut task, "last_will", "wills");
    at_rate(&mut task, 500.0, Duration::from_secs(3));
    let Some(listener) = listener(&server, &["-C", "1", "-W", "20", "-t", "wills"]) else {
        return;
    };
    let id = format!("mqbench-{}-{}-publisher-0", task.run_id, task.trial);
    let seen = run_disturbed(task, |live| {
        live.await_traffic();
        // Who comes with the same name drives the publisher out, which takes no leave then.
        has_session(&server, &id);
    });
    came_back(&seen, "publishers");
    assert_eq!(heard(listener), "mqbench: a publisher is gone\n");
}

#[test]
fn options_that_cannot_be_are_said() {
    let Some(server) = server(&[], None) else {
        return;
    };
    for (option, value, version) in [
        ("keep_alive", "2s", "5"),
        ("keep_alive", "100ms", "3.1.1"),
        ("last_will", "all/#", "3.1.1"),
    ] {
        let mut task = task_at(&server, Delivery::AtMostOnce);
        set(&mut task, "version", version);
        set(&mut task, option, value);
        let text = prepare(&task).err().expect("refused").to_string();
        assert!(text.contains(option), "{text}");
    }
}

#[test]
fn a_message_that_the_server_would_throw_away_is_refused_before_the_trial() {
    // It acknowledges such a message and drops it.
    let Some(server) = server(&[("message_size_limit", "4096")], None) else {
        return;
    };
    for delivery in ALL {
        let mut task = task_at(&server, delivery);
        task.workload.message.sizes[0].size = mqbench::scenario::units::Size(8_192);
        let text = prepare(&task).err().expect("refused").to_string();
        assert!(text.contains("message_size_limit"), "{text}");
    }
}

#[test]
fn the_embedded_server_gives_the_same_guarantees() {
    let settings = [("max_queued_messages", "0")];
    let server = server(&settings, Some(Path::new(EMBEDDED))).expect("it needs nothing");
    assert!(server.record().version.contains("rumqttd"));
    for delivery in ALL {
        let task = task_at(&server, delivery);
        run(task.clone()).assert_complete(&task);
    }
}
