//! What only the JetStream driver does; the rest is in `conformance.rs`.

mod harness;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use harness::server::{Server, skipped};
use harness::worker::{run, run_disturbed};
use harness::{at_rate, offer, prepare, runtime, task};
use mqbench::engine::task::Task;
use mqbench::processes::reaper::Reaper;
use mqbench::scenario::workload::{Delivery, Durability, Measure, Pattern};
use mqbench::servers::group::wait_until;
use mqbench::servers::{Config, Error, Instance, Keeper, Order, named};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A server with streams in its own folder.
fn jetstream(further: &[&str]) -> Option<Server> {
    let mut arguments = vec!["-js", "-sd", "."];
    arguments.extend(further);
    Server::nats(&arguments)
}

fn at_least_once(server: &Server) -> Task {
    let mut task = task("jetstream", Some(server.url()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Disk);
    task
}

fn set(task: &mut Task, option: &str, value: &str) {
    task.options.insert(option.to_owned(), value.into());
}

/// What JetStream's interface answers.
fn ask(url: &str, what: String, body: &str) -> serde_json::Value {
    let (servers, body) = (url.split(',').collect::<Vec<_>>(), body.to_owned());
    runtime().block_on(async move {
        let client = async_nats::connect(servers).await.expect("a connection");
        let answer = client.request(format!("$JS.API.{what}"), body.into()).await;
        let answer = answer.expect("an answer").payload;
        serde_json::from_slice(&answer).expect("JSON")
    })
}

fn refused(task: &Task) -> String {
    prepare(task).err().expect("refused").to_string()
}

#[test]
fn a_server_without_jetstream_is_said_with_what_turns_it_on() {
    let Some(server) = Server::nats(&[]) else {
        return;
    };
    let text = refused(&at_least_once(&server));
    assert!(
        text.contains("without JetStream") && text.contains("-js"),
        "{text}"
    );
}

#[test]
fn what_is_pushed_arrives_and_is_acknowledged() {
    let Some(server) = jetstream(&[]) else {
        return;
    };
    for delivery in [
        Delivery::AtMostOnce,
        Delivery::AtLeastOnce,
        Delivery::ExactlyOnce,
    ] {
        for (consumers, groups) in [(1, 1), (3, 1), (2, 2)] {
            let mut task = at_least_once(&server);
            offer(&mut task, delivery, Durability::Memory);
            set(&mut task, "consumer", "push");
            task.workload.pattern = match groups {
                1 => Pattern::Queue,
                _ => Pattern::FanOut,
            };
            (task.workload.consumers, task.workload.groups) = (consumers, groups);
            run(task.clone()).assert_complete(&task);
        }
    }
}

#[test]
fn a_pushed_backlog_waits_for_who_reads_it() {
    let Some(server) = jetstream(&[]) else {
        return;
    };
    let mut task = at_least_once(&server);
    offer(&mut task, Delivery::AtMostOnce, Durability::Memory);
    set(&mut task, "consumer", "push");
    // More than the library holds, so that the server has to wait for what is taken.
    task.options
        .insert("subscription_capacity".to_owned(), 40_000.into());
    task.workload.pattern = Pattern::Backlog;
    task.workload.publishers = 0;
    task.workload.message.sizes[0].size.0 = 1_000;
    task.phases.measure = Measure::Count(100_000);
    run(task.clone()).assert_complete(&task);
}

#[test]
fn one_acknowledgement_for_several_messages_needs_a_destination_for_each_consumer() {
    let Some(server) = jetstream(&[]) else {
        return;
    };
    let mut task = at_least_once(&server);
    set(&mut task, "ack_policy", "all");
    (task.workload.consumers, task.workload.destinations) = (2, 2);
    run(task.clone()).assert_complete(&task);
    task.workload.destinations = 1;
    let text = refused(&task);
    assert!(text.contains("explicit"), "{text}");
}

#[test]
fn what_is_not_acknowledged_in_time_comes_again_and_is_told_as_such() {
    let Some(server) = jetstream(&[]) else {
        return;
    };
    let mut task = at_least_once(&server);
    set(&mut task, "ack_wait", "300ms");
    task.workload.ack.every = 1_000_000;
    task.workload.ack.within = Duration::from_millis(900);
    at_rate(&mut task, 500.0, Duration::from_secs(2));
    let audit = run(task).record.audit;
    assert!(audit.redelivered > 0, "{audit:?}");
    assert_eq!((audit.lost, audit.duplicated), (0, 0), "{audit:?}");
}

#[test]
fn what_was_acknowledged_outlives_the_server() {
    let Some(mut server) = jetstream(&[]) else {
        return;
    };
    let mut task = at_least_once(&server);
    offer(&mut task, Delivery::AtLeastOnce, Durability::Disk);
    at_rate(&mut task, 2_000.0, Duration::from_secs(4));
    task.phases.drain = Duration::from_secs(15);
    let seen = run_disturbed(task, |live| {
        live.await_traffic();
        server.kill();
        // The outage itself.
        thread::sleep(Duration::from_millis(300));
        server.start_again();
    });
    assert_eq!(seen.record.failure, None);
    let audit = &seen.record.audit;
    assert!(audit.distinct > 2_000, "it went on: {audit:?}");
    assert_eq!((audit.lost_acked, audit.unresolved), (0, 0), "{audit:?}");
    let reasons = &seen.record.reasons;
    let told = |reason: &String| reason.contains("lost before the acknowledgement");
    assert!(reasons.keys().all(told), "{reasons:?}");
}

#[test]
fn messages_with_an_id_are_sent_again_when_no_answer_comes_and_kept_once() {
    let Some(server) = jetstream(&[]) else {
        return;
    };
    let mut task = at_least_once(&server);
    offer(&mut task, Delivery::ExactlyOnce, Durability::Memory);
    at_rate(&mut task, 2_000.0, Duration::from_secs(6));
    task.phases.drain = Duration::from_secs(15);
    let pid = Pid::from_raw(server.pid() as i32);
    let seen = run_disturbed(task, |live| {
        live.await_traffic();
        kill(pid, Signal::SIGSTOP).expect("stopped");
        // Longer than a publisher waits before it sends again.
        thread::sleep(Duration::from_millis(2_600));
        kill(pid, Signal::SIGCONT).expect("continued");
    });
    assert_eq!(seen.record.failure, None);
    let audit = &seen.record.audit;
    assert_eq!(
        (audit.failed, audit.unresolved, audit.lost, audit.duplicated),
        (0, 0, 0, 0),
        "{audit:?} {:?}",
        seen.record.reasons
    );
    assert_eq!(audit.acked, audit.sent, "{audit:?}");
}

#[test]
fn an_existing_stream_keeps_everything_but_our_consumers() {
    let Some(server) = jetstream(&[]) else {
        return;
    };
    let mut task = at_least_once(&server);
    let stream = "orders";
    let ask = |what: String, body: &str| ask(&server.url(), what, body);
    task.destination = Some(stream.to_owned());
    let text = refused(&task);
    assert!(text.contains("stream not found"), "{text}");
    let config =
        r#"{"name":"orders","subjects":["orders.>"],"retention":"limits","storage":"file"}"#;
    let made = ask(format!("STREAM.CREATE.{stream}"), config);
    assert_eq!(made["config"]["name"], stream, "{made}");
    task.phases.measure = Measure::Count(500);
    run(task.clone()).assert_complete(&task);
    // What the first trial left is not read by the second.
    task.trial += 1;
    run(task.clone()).assert_complete(&task);
    let info = ask(format!("STREAM.INFO.{stream}"), "");
    let state = &info["state"];
    assert_eq!(
        (&state["messages"], &state["consumer_count"]),
        (&1_000.into(), &0.into())
    );
}

#[test]
fn what_waits_is_told_and_the_pattern_says_how_long_it_is_kept() {
    let Some(server) = jetstream(&[]) else {
        return;
    };
    for (pattern, consumers, retention) in [
        (Pattern::Queue, 1, "workqueue"),
        (Pattern::FanOut, 1, "interest"),
        (Pattern::Stream, 1, "limits"),
        (Pattern::Queue, 0, "limits"),
    ] {
        let mut task = at_least_once(&server);
        task.workload.pattern = pattern;
        task.workload.consumers = consumers;
        task.phases.measure = Measure::Count(300);
        let runtime = runtime();
        let driver = mqbench::drivers::find("jetstream").expect("a driver");
        runtime.block_on(async {
            let session = driver.prepare(&task).await.expect("prepared");
            // Published by another trial into the stream of this one.
            let mut other = task.clone();
            other.destination = Some(task.destination(0));
            other.trial = task.trial.wrapping_add(1_000);
            other.workload.consumers = 0;
            let sent = tokio::task::spawn_blocking(move || run(other)).await;
            assert_eq!(sent.expect("no panic").record.failure, None);
            let waiting = session.backlog().expect("it tells").await.expect("told");
            assert_eq!(waiting, 300, "before anybody reads");
            let fact = ("retention".to_owned(), retention.to_owned());
            let facts = session.server_facts();
            assert!(facts.contains(&fact), "{facts:?}");
            session.clean_up().await.expect("removed");
        });
    }
}

#[test]
fn a_file_with_an_nkey_logs_in() {
    // Made for this test; it opens nothing else.
    let seed = "SUAMGP4NUWMFHDRGWY76HYGZFZDJLGJ6OQSMF7TAGQAHEGNNYAC4RV5GIE";
    let public = "UBULQGAZMPP5XND3GB7TX5L7DKW5DMJGBZ5GY5CPW2C4RCLGHSTRHQAY";
    let folder = tempfile::tempdir().expect("a folder");
    let (conf, key) = (folder.path().join("n.conf"), folder.path().join("user.nk"));
    let users = format!("authorization {{ users: [ {{ nkey: {public} }} ] }}\n");
    std::fs::write(&conf, users).expect("written");
    std::fs::write(&key, format!("{seed}\n")).expect("written");
    let Some(server) = jetstream(&["-c", &conf.to_string_lossy()]) else {
        return;
    };
    let mut task = at_least_once(&server);
    let text = refused(&task);
    assert!(text.contains("authorization violation"), "{text}");
    set(&mut task, "nkey", &key.to_string_lossy());
    task.phases.measure = Measure::Count(100);
    run(task.clone()).assert_complete(&task);
    set(&mut task, "nkey", "/nonexistent.nk");
    let text = refused(&task);
    assert!(text.contains("/nonexistent.nk"), "{text}");
}

/// How many messages had been written to the stream, and how many times that had been synced, when each
/// acknowledgement was sent.
fn written_before_acknowledgements(server: &Server, task: &Task) -> Option<Vec<(u64, u64)>> {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace")
        .args(["-f", "-q", "-q", "-y", "-s", "65536"])
        .args(["-e", "trace=fsync,fdatasync,pwrite64,write,writev"])
        .args([
            "-o",
            &trace.to_string_lossy(),
            "-p",
            &server.pid().to_string(),
        ])
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let traced = || {
        let status = fs::read_to_string(format!("/proc/{}/status", server.pid()));
        let status = status.unwrap_or_default();
        let tracer = status.lines().find_map(|l| l.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() == strace.id().to_string())
    };
    let traces = wait_until(Duration::from_secs(5), traced);
    if traces {
        run(task.clone()).assert_complete(task);
    }
    // Asked to end, it lets go of the process first.
    let _ = kill(Pid::from_raw(strace.id() as i32), Signal::SIGTERM);
    let _ = strace.wait();
    let trace = traces.then(|| fs::read_to_string(trace).expect("a trace"))?;
    let (mut written, mut synced, mut seen) = (0, 0, Vec::new());
    // A call that others overtake ends in a line of its own, which does not name the file.
    let mut begun: HashSet<String> = HashSet::new();
    for line in trace.lines() {
        let thread = line
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        let of_stream = line.contains(".blk>") || begun.contains(&thread);
        let ended = !line.ends_with("<unfinished ...>");
        if of_stream && (line.contains("pwrite64") || line.contains("sync")) {
            match ended {
                false => drop(begun.insert(thread)),
                true => {
                    begun.remove(&thread);
                    written += u64::from(line.contains("pwrite64"));
                    synced += u64::from(line.contains("sync"));
                }
            }
        }
        let answers = line.matches("\\\"seq\\\":").count();
        seen.extend((0..answers).map(|_| (written, synced)));
    }
    Some(seen)
}

#[test]
fn a_message_is_written_before_its_acknowledgement_and_synced_where_that_is_asked() {
    for (always, durability) in [(false, Durability::Disk), (true, Durability::Fsync)] {
        let folder = tempfile::tempdir().expect("a folder");
        let conf = folder.path().join("n.conf");
        let sync = if always { "sync_interval: always" } else { "" };
        fs::write(&conf, format!("jetstream {{ store_dir: \".\"\n{sync} }}\n")).expect("written");
        let Some(server) = Server::nats(&["-c", &conf.to_string_lossy()]) else {
            return;
        };
        let mut task = at_least_once(&server);
        offer(&mut task, Delivery::AtLeastOnce, durability);
        // A work queue would write down, too, what it drops.
        task.workload.pattern = Pattern::Stream;
        task.workload.in_flight = 1;
        task.phases.measure = Measure::Count(50);
        let Some(seen) = written_before_acknowledgements(&server, &task) else {
            if Command::new("strace").arg("-V").output().is_err() {
                skipped("strace");
            }
            eprintln!("skipped: needs the right to trace");
            return;
        };
        assert_eq!(seen.len(), 50, "acknowledgements in the trace");
        for (number, (written, synced)) in (1..).zip(seen) {
            assert!(
                written >= number,
                "acknowledgement {number}: {written} written"
            );
            let expected = if always { number } else { 0 };
            assert!(
                synced >= expected && (always || synced == 0),
                "{durability:?}, acknowledgement {number}: {synced} synced"
            );
        }
    }
}

/// What a cluster needs until its test has ended: who ends it, and its turn.
type Held = (Arc<dyn Keeper>, MutexGuard<'static, ()>);

/// Three servers that keep each stream in three copies; `None` where this machine has no such server. One cluster at a
/// time: members that lack the CPU take each other for gone and choose another leader, and meanwhile a stream takes
/// no message.
fn cluster() -> Option<(Instance, Held)> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_mqbench"));
    let reaper: Arc<dyn Keeper> = Arc::new(Reaper::start_from(program).expect("a reaper"));
    let config = [("nodes", "3"), ("jetstream", "file")];
    let order = Order {
        server: named("nats").expect("a server"),
        program: None,
        config: Config::from(config.map(|(k, v)| (k.to_owned(), v.to_owned()))),
        within: std::env::temp_dir(),
        bounds: Default::default(),
    };
    match Instance::start(&order, &reaper) {
        Ok(instance) => Some((instance, (reaper, turn))),
        Err(Error::NotFound { about, .. }) => {
            skipped(about.title);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn replicated(instance: &Instance) -> Task {
    let mut task = task("jetstream", Some(instance.record().url.clone()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Disk);
    task.nodes = 3;
    task
}

#[test]
fn a_cluster_takes_streams_as_soon_as_it_answers_and_after_it_was_suspended() {
    let Some((mut instance, _reaper)) = cluster() else {
        return;
    };
    let task = replicated(&instance);
    let seen = run(task.clone());
    seen.assert_complete(&task);
    assert_eq!(seen.fact("replicas"), Some("3"));
    instance.suspend().expect("it stands still");
    // Longer than any member waits for a leader: all of them want to be the next.
    thread::sleep(Duration::from_secs(10));
    instance.resume().expect("it answers again");
    let task = replicated(&instance);
    run(task.clone()).assert_complete(&task);
}

#[test]
fn a_leader_that_dies_takes_nothing_with_it_that_was_acknowledged() {
    let Some((instance, _reaper)) = cluster() else {
        return;
    };
    let mut task = replicated(&instance);
    // What the leader had delivered to nobody comes again after that.
    set(&mut task, "ack_wait", "3s");
    // An election takes up to 9 s.
    at_rate(&mut task, 500.0, Duration::from_secs(15));
    task.phases.drain = Duration::from_secs(20);
    task.workload.publishers = 3;
    let stream = task.destination(0);
    let seen = run_disturbed(task, |live| {
        live.await_traffic();
        let info = ask(&instance.record().url, format!("STREAM.INFO.{stream}"), "");
        let leader = info["cluster"]["leader"].as_str().expect("a leader");
        let number = leader.trim_start_matches("nats-").parse::<usize>();
        let dies = instance.leaders()[number.expect("a number") - 1];
        kill(Pid::from_raw(dies), Signal::SIGKILL).expect("it runs");
    });
    assert_eq!(seen.record.failure, None);
    let audit = &seen.record.audit;
    assert_eq!((audit.lost_acked, audit.unresolved), (0, 0), "{audit:?}");
    assert!(audit.acked > 1_500, "it went on: {audit:?}");
}
