//! What only the RabbitMQ driver does; the rest is in `conformance.rs`.

mod harness;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use harness::server::skipped;
use harness::worker::{Seen, run, run_disturbed};
use harness::{at_rate, offer, prepare, runtime, task};
use lapin::options::QueueDeleteOptions;
use lapin::{Connection, ConnectionProperties};
use mqbench::engine::task::Task;
use mqbench::processes::reaper::Reaper;
use mqbench::scenario::units::Size;
use mqbench::scenario::workload::{Delivery, Durability, Measure, Pattern};
use mqbench::servers::group::wait_until;
use mqbench::servers::{Config, Error, Instance, Keeper, Order, named};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

/// Ends every server when the test process ends: statics are never dropped.
static REAPER: LazyLock<Arc<dyn Keeper>> = LazyLock::new(|| {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_mqbench"));
    Arc::new(Reaper::start_from(program).expect("a reaper"))
});

/// One for the tests that only use it.
static SHARED: Mutex<Option<Arc<Instance>>> = Mutex::new(None);

fn start(settings: &[(&str, &str)]) -> Option<Instance> {
    let pairs = settings.iter();
    let config: Config = pairs.map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let order = Order {
        server: named("rabbitmq").expect("a known server"),
        program: None,
        config,
        within: std::env::temp_dir(),
        bounds: Default::default(),
    };
    match Instance::start(&order, &REAPER) {
        Ok(instance) => Some(instance),
        Err(Error::NotFound { about, .. }) => {
            skipped(about.title);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn shared() -> Option<Arc<Instance>> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if shared.is_none() {
        *shared = start(&[]).map(Arc::new);
    }
    shared.clone()
}

fn task_at(server: &Instance, durability: Durability) -> Task {
    let mut task = task("rabbitmq", Some(server.record().url.clone()));
    offer(&mut task, Delivery::AtLeastOnce, durability);
    task
}

fn with(mut task: Task, options: &[(&str, Value)]) -> Task {
    let options = options.iter();
    let options = options.map(|(key, value)| (key.to_string(), value.clone()));
    task.options.extend(options);
    task
}

/// Removes a queue as its administrator would.
fn delete(server: &Instance, queue: &str) {
    runtime().block_on(async {
        let url = &server.record().url;
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(url, properties).await.expect("there");
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeleteOptions::default();
        let deleted = channel.queue_delete(queue.into(), options).await;
        deleted.expect("deleted");
        connection.close(200, "done".into()).await.expect("closed");
    });
}

/// Runs a function of the server in the server.
fn call(server: &Instance, function: &str) {
    call_at(server, "rabbitmq", function);
}

/// The same in one of several members.
fn call_at(server: &Instance, member: &str, function: &str) {
    let site = &server.record().site;
    let cookie = std::fs::read_to_string(site.folder.join(".erlang.cookie")).expect("a cookie");
    let status = Command::new("erl_call")
        .args(["-sname", &format!("{member}@localhost"), "-c", &cookie])
        .args(["-a", function])
        .env("ERL_EPMD_PORT", site.ports[2].to_string())
        .status();
    assert!(status.expect("erl_call").success(), "{function}");
}

fn says(seen: &Seen, words: &str) -> bool {
    let Seen { record, .. } = seen;
    let said = record.failure.iter().chain(record.reasons.keys());
    said.chain(&record.notes).any(|text| text.contains(words))
}

#[test]
fn every_kind_of_exchange_and_queue_delivers_everything() {
    let Some(server) = shared() else {
        return;
    };
    let word = |option: &'static str, word: &str| (option, Value::from(word));
    for options in [
        vec![word("exchange", "direct")],
        vec![word("exchange", "fanout")],
        vec![word("exchange", "topic")],
        vec![word("exchange", "headers")],
        vec![word("queue", "quorum")],
        vec![word("queue", "stream")],
        vec![word("queue", "stream"), word("exchange", "topic")],
        vec![("priority", Value::from(3)), ("prefetch", Value::from(1))],
        vec![("mandatory", Value::from(false))],
    ] {
        let mut task = with(task_at(&server, Durability::Disk), &options);
        task.phases.measure = Measure::Count(300);
        task.workload.publishers = 2;
        task.workload.destinations = 2;
        task.workload.consumers = 2;
        if options[0].0 == "queue" || options[0].0 == "exchange" {
            task.workload.pattern = Pattern::FanOut;
            task.workload.groups = 2;
        }
        let problems = run(task.clone()).problems(&task);
        assert!(problems.is_empty(), "{options:?}: {problems:?}");
    }
}

#[test]
fn what_a_queue_cannot_give_is_refused() {
    let Some(server) = shared() else {
        return;
    };
    let stream = [("queue", Value::from("stream"))];
    let fsync = with(task_at(&server, Durability::Fsync), &stream);
    let mut crowd = with(task_at(&server, Durability::Disk), &stream);
    crowd.workload.consumers = 2;
    for (task, words) in [(fsync, "queue: quorum"), (crowd, "cannot share")] {
        let text = prepare(&task).err().expect("refused").to_string();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_message_that_reaches_no_queue_has_failed_with_the_reason() {
    let Some(server) = shared() else {
        return;
    };
    let mut task = task_at(&server, Durability::Memory);
    task.workload.consumers = 0;
    at_rate(&mut task, 500.0, Duration::from_secs(2));
    let queue = task.destination(0);
    let seen = run_disturbed(task, |_| delete(&server, &queue));
    let (audit, reasons) = (&seen.record.audit, &seen.record.reasons);
    assert_eq!(seen.record.failure, None);
    assert!(audit.failed > 0, "{audit:?}");
    assert_eq!(audit.acked + audit.failed, audit.sent, "{audit:?}");
    assert_eq!(reasons.values().sum::<u64>(), audit.failed);
    assert!(says(&seen, "312 NO_ROUTE"), "{reasons:?}");
}

#[test]
fn a_queue_that_is_deleted_under_its_consumer_is_said() {
    let Some(server) = shared() else {
        return;
    };
    let mut task = task_at(&server, Durability::Memory);
    task.workload.destinations = 2;
    at_rate(&mut task, 500.0, Duration::from_secs(30));
    let queue = task.destination(1);
    let seen = run_disturbed(task, |_| delete(&server, &queue));
    let failure = seen.record.failure.expect("it failed");
    assert!(failure.contains("its queue was deleted"), "{failure}");
}

#[test]
fn connections_that_the_server_ends_are_explained_by_it() {
    let Some(server) = start(&[]) else {
        return;
    };
    let mut task = task_at(&server, Durability::Memory);
    at_rate(&mut task, 500.0, Duration::from_secs(30));
    let seen = run_disturbed(task, |live| {
        live.await_traffic();
        call(
            &server,
            "rabbit_networking close_all_connections [\"maintenance\"]",
        );
    });
    assert!(
        says(&seen, "CONNECTION_FORCED"),
        "{:?}",
        seen.record.failure
    );
    assert!(seen.record.audit.contradictions().is_empty());
}

#[test]
fn a_server_short_of_memory_blocks_publishers_which_is_noted() {
    let Some(server) = start(&[("vm_memory_high_watermark.absolute", "10MB")]) else {
        return;
    };
    let mut task = task_at(&server, Durability::Memory);
    at_rate(&mut task, 500.0, Duration::from_secs(1));
    task.phases.drain = Duration::from_secs(1);
    let seen = run(task);
    let notes = &seen.record.notes;
    assert!(says(&seen, "the server blocked publishers"), "{notes:?}");
    assert!(says(&seen, "memory"), "{notes:?}");
    assert!(
        seen.took < Duration::from_secs(20),
        "it took {:?}",
        seen.took
    );
}

#[test]
fn what_expires_is_dead_lettered_and_counted() {
    let Some(server) = shared() else {
        return;
    };
    let options = [
        ("ttl", Value::from("1ms")),
        ("prefetch", Value::from(1)),
        ("dead_letter", Value::from(true)),
    ];
    let mut task = with(task_at(&server, Durability::Memory), &options);
    at_rate(&mut task, 5_000.0, Duration::from_secs(2));
    let seen = run(task);
    let audit = &seen.record.audit;
    assert_eq!(seen.record.failure, None);
    assert!(audit.lost > 0, "{audit:?}");
    let [note] = seen.record.notes.as_slice() else {
        panic!("{:?}", seen.record.notes);
    };
    let counted = note.strip_suffix(" messages expired and were dead-lettered");
    let counted: u64 = counted.and_then(|n| n.parse().ok()).expect("a count");
    assert_eq!(counted, audit.lost, "{note}: {audit:?}");
}

#[test]
fn a_backlog_is_counted_for_the_group_that_is_furthest_behind() {
    let Some(server) = shared() else {
        return;
    };
    let mut task = task_at(&server, Durability::Memory);
    task.workload.groups = 2;
    let session = prepare(&task).expect("prepared");
    // The connection that asks is kept, and lives with its runtime.
    let asking = runtime();
    let waiting = || {
        let asked = session.backlog().expect("it tells");
        asking.block_on(asked).expect("an answer")
    };
    assert_eq!(waiting(), 0);
    let mut other = task.clone();
    other.run_id = "another".to_owned();
    other.destination = Some(task.destination(0));
    other.workload.consumers = 0;
    other.workload.groups = 1;
    other.options.insert("exchange".to_owned(), "fanout".into());
    other.phases.measure = Measure::Count(30);
    assert_eq!(run(other).record.audit.acked, 30);
    assert_eq!(waiting(), 30);
    runtime().block_on(session.clean_up()).expect("removed");
}

/// What a server writes and syncs, and what it says to its clients.
struct Trace {
    strace: Child,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Trace {
    /// `None` where this machine has no strace, or lets nobody trace.
    fn of(server: &Instance) -> Option<Trace> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("trace");
        let pids = server.record().pids();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-q", "-q", "-y", "-s", "4096"]);
        strace.args(["-e", "trace=fsync,fdatasync,write,writev,pwrite64,pwritev"]);
        strace.args(["-o", &file.to_string_lossy()]);
        strace.args(
            pids.iter()
                .flat_map(|pid| ["-p".to_owned(), pid.to_string()]),
        );
        let strace = strace.stderr(Stdio::null()).spawn().ok()?;
        let mut trace = Trace {
            strace,
            file,
            _folder: folder,
        };
        let tracer = format!("TracerPid:\t{}\n", trace.strace.id());
        let is_traced = |pid: &i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status"));
            status.is_ok_and(|status| status.contains(&tracer))
        };
        if wait_until(Duration::from_secs(10), || pids.iter().all(is_traced)) {
            return Some(trace);
        }
        trace.end();
        None
    }

    /// Lets go of the server, and says for each confirm how many writes to files of queues, and how many
    /// syncs of them, had been done when it was sent.
    fn before_confirms(mut self) -> Vec<(u64, u64)> {
        self.end();
        let trace = fs::read_to_string(&self.file).expect("a trace");
        let (mut written, mut synced, mut seen) = (0, 0, Vec::new());
        // A call that others overtake ends in a line of its own, which does not name the file.
        let mut begun: HashSet<&str> = HashSet::new();
        for line in trace.lines() {
            let thread = line.split_whitespace().next().unwrap_or_default();
            let of_queue =
                OF_QUEUES.iter().any(|part| line.contains(part)) || begun.contains(thread);
            if of_queue && line.ends_with("<unfinished ...>") {
                begun.insert(thread);
            } else if of_queue {
                begun.remove(thread);
                synced += u64::from(line.contains("sync"));
                written += u64::from(line.contains("write"));
            }
            let confirms = line.matches(CONFIRM).count();
            seen.extend((0..confirms).map(|_| (written, synced)));
        }
        seen
    }

    fn end(&mut self) {
        // Asked to end, it lets go of the server first.
        let _ = kill(Pid::from_raw(self.strace.id() as i32), Signal::SIGTERM);
        let _ = self.strace.wait();
    }
}

/// Files of a classic queue (its store of messages and its index), of quorum queues, and of a stream.
const OF_QUEUES: &[&str] = &["/msg_stores/", "/quorum/", "/stream/"];
/// The beginning of a `basic.ack`, as strace shows it: length, class and method.
const CONFIRM: &str = r"\0\0\0\r\0<\0P";

#[test]
fn a_message_is_written_before_its_confirm_and_synced_where_that_is_said() {
    let Some(server) = start(&[]) else {
        return;
    };
    // With what was asked and the size of messages: how many writes and syncs each confirm waits for.
    // Small messages of a classic queue lie in its index, larger ones in a store.
    for (queue, durability, size, writes, syncs) in [
        ("classic", Durability::Memory, 100, 0, 0),
        ("classic", Durability::Disk, 100, 1, 1),
        ("classic", Durability::Disk, 8_192, 1, 1),
        ("stream", Durability::Disk, 100, 1, 0),
        ("quorum", Durability::Fsync, 100, 1, 1),
    ] {
        let mut task = with(
            task_at(&server, durability),
            &[("queue", Value::from(queue))],
        );
        task.workload.message.sizes[0].size = Size(size);
        task.workload.in_flight = 1;
        task.phases.measure = Measure::Count(50);
        let Some(trace) = Trace::of(&server) else {
            if Command::new("strace").arg("-V").output().is_err() {
                skipped("strace");
            }
            eprintln!("skipped: needs the right to trace");
            return;
        };
        run(task.clone()).assert_complete(&task);
        let seen = trace.before_confirms();
        let what = format!("{queue}, {durability:?}, {size} bytes: {seen:?}");
        assert_eq!(seen.len(), 50, "confirms in the trace: {what}");
        // A message is sent when the one before was confirmed.
        for pair in seen.windows(2) {
            let (written, synced) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
            assert!(written >= writes && synced >= syncs, "{what}");
        }
        if durability == Durability::Memory {
            assert_eq!(seen.last(), Some(&(0, 0)), "{what}");
        }
    }
}

#[test]
fn a_cluster_keeps_a_queue_on_three_members_and_can_be_suspended() {
    let Some(mut server) = start(&[("nodes", "3")]) else {
        return;
    };
    let mut task = task_at(&server, Durability::Fsync);
    task.nodes = 3;
    task.phases.measure = Measure::Count(500);
    run(task.clone()).assert_complete(&task);
    server.suspend().expect("suspended");
    // The stall itself, not a wait for something.
    std::thread::sleep(Duration::from_secs(5));
    server.resume().expect("resumed");
    run(task.clone()).assert_complete(&task);
    server.stop().expect("stopped");
}

#[test]
fn a_leader_that_dies_takes_nothing_with_it_that_was_confirmed() {
    let Some(server) = start(&[("nodes", "3")]) else {
        return;
    };
    let mut task = task_at(&server, Durability::Fsync);
    task.nodes = 3;
    // The others look for a dead leader once in 5 s.
    at_rate(&mut task, 200.0, Duration::from_secs(25));
    task.phases.drain = Duration::from_secs(20);
    let seen = run_disturbed(task, |live| {
        live.await_traffic();
        // Away from the member that clients are connected to, the first.
        let queue = format!("'%2F_{}'", live.task.destination(0));
        let member = |number: u32| format!("{{{queue},rabbitmq{number}@localhost}}");
        let to_second = format!("ra transfer_leadership [{},{}]", member(1), member(2));
        call_at(&server, "rabbitmq1", &to_second);
        let log = server.record().site.log("rabbitmq1");
        let follows = || {
            let log = fs::read_to_string(&log).expect("a log");
            log.contains(&format!("detected a new leader {}", member(2)))
        };
        assert!(wait_until(Duration::from_secs(10), follows), "it leads");
        let second = server.record().processes[2].group.pid;
        killpg(Pid::from_raw(second), Signal::SIGKILL).expect("it runs");
    });
    assert_eq!(seen.record.failure, None);
    let audit = &seen.record.audit;
    assert_eq!((audit.lost_acked, audit.unresolved), (0, 0), "{audit:?}");
    assert!(audit.acked > 1_000, "it went on: {audit:?}");
}
