//! What only the Pulsar driver does; the rest is in `conformance.rs`.

mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use harness::server::skipped;
use harness::worker::run;
use harness::{at_rate, offer, prepare, task};
use mqbench::engine::task::Task;
use mqbench::processes::reaper::Reaper;
use mqbench::scenario::workload::{Delivery, Durability, Measure, Pattern};
use mqbench::servers::{Config, Error, Instance, Keeper, Order, named};
use serde_json::Value;

/// Ends every server when the test process ends: statics are never dropped.
static REAPER: LazyLock<Arc<dyn Keeper>> = LazyLock::new(|| {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_mqbench"));
    Arc::new(Reaper::start_from(program).expect("a reaper"))
});

/// One for all tests; `None` inside where this machine has no such server.
static SHARED: Mutex<Option<Option<Arc<Instance>>>> = Mutex::new(None);

fn shared() -> Option<Arc<Instance>> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.get_or_insert_with(start).clone()
}

fn start() -> Option<Arc<Instance>> {
    let order = Order {
        server: named("pulsar").expect("a known server"),
        program: None,
        config: Config::new(),
        within: std::env::temp_dir(),
        bounds: Default::default(),
    };
    match Instance::start(&order, &REAPER) {
        Ok(instance) => Some(Arc::new(instance)),
        Err(Error::NotFound { about, .. }) => {
            skipped(about.title);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn at_least_once(server: &Instance) -> Task {
    let mut task = task("pulsar", Some(server.record().url.clone()));
    offer(&mut task, Delivery::AtLeastOnce, Durability::Disk);
    task.phases.measure = Measure::Count(300);
    task.phases.drain = Duration::from_secs(20);
    task
}

fn with(mut task: Task, options: &[(&str, Value)]) -> Task {
    let options = options.iter();
    let options = options.map(|(key, value)| (key.to_string(), value.clone()));
    task.options.extend(options);
    task
}

/// One request to its REST API, and the answer whole.
fn ask(server: &Instance, method: &str, path: &str) -> String {
    let port = server.record().site.ports[1];
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("there");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("set");
    let request = format!("{method} /admin/v2/{path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn every_kind_of_topic_batch_and_subscription_delivers_everything() {
    let Some(server) = shared() else {
        return;
    };
    let word = |option: &'static str, word: &str| (option, Value::from(word));
    let count = |option: &'static str, count: u64| (option, Value::from(count));
    let batches = || ("batching", Value::from(true));
    for options in [
        vec![count("partitions", 3)],
        vec![count("partitions", 3), batches()],
        vec![batches(), count("batch", 10)],
        vec![batches(), word("subscription", "shared")],
        vec![word("compression", "lz4")],
        vec![word("compression", "zlib"), batches()],
        vec![word("compression", "zstd")],
        vec![word("compression", "snappy"), batches()],
        vec![word("subscription", "exclusive")],
        vec![word("subscription", "failover")],
        vec![word("subscription", "key-shared")],
        vec![count("max_pending", 1), count("receiver_queue", 1)],
    ] {
        let mut task = with(at_least_once(&server), &options);
        task.workload.publishers = 2;
        task.workload.destinations = 2;
        task.workload.pattern = Pattern::FanOut;
        task.workload.groups = 2;
        task.workload.consumers = 2;
        if task.text("subscription") == Some("key-shared") {
            task.workload.message.keys = 10;
            task.workload.consumers = 4;
        }
        let problems = run(task.clone()).problems(&task);
        assert!(problems.is_empty(), "{options:?}: {problems:?}");
    }
}

#[test]
fn what_a_topic_or_subscription_cannot_give_is_refused() {
    let Some(server) = shared() else {
        return;
    };
    let word = |option: &'static str, word: &str| (option, Value::from(word));
    let asked = at_least_once(&server);
    let forgetful = with(asked.clone(), &[word("topic", "non-persistent")]);
    let mut crowd = with(asked.clone(), &[word("subscription", "exclusive")]);
    crowd.workload.consumers = 2;
    let keyless = with(asked.clone(), &[word("subscription", "key-shared")]);
    let mut batched = with(keyless.clone(), &[("batching", Value::from(true))]);
    batched.workload.message.keys = 10;
    for (task, words) in [
        (forgetful, "leave out `topic`"),
        (crowd, "`subscription: shared`"),
        (keyless, "`workload.message.keys`"),
        (batched, "`batching: false`"),
    ] {
        let Err(error) = prepare(&task) else {
            panic!("not refused: {words}");
        };
        assert!(error.cause.contains(words), "{}", error.cause);
    }
}

/// More than the 50,000 messages that a broker lets a consumer owe it (maxUnackedMessagesPerConsumer).
#[test]
fn a_shared_consumer_of_a_non_persistent_topic_is_sent_as_many_as_come() {
    let Some(server) = shared() else {
        return;
    };
    let mut task = task("pulsar", Some(server.record().url.clone()));
    offer(&mut task, Delivery::AtMostOnce, Durability::Memory);
    task.workload.consumers = 2;
    task.workload.in_flight = 1_000;
    task.phases.measure = Measure::Count(120_000);
    task.phases.drain = Duration::from_secs(20);
    let problems = run(task.clone()).problems(&task);
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn an_existing_topic_stays_and_gives_only_what_comes() {
    let Some(server) = shared() else {
        return;
    };
    let path = "persistent/public/default/existing";
    let made = ask(&server, "PUT", path);
    assert!(made.contains(" 204 "), "{made}");
    let mut task = at_least_once(&server);
    task.destination = Some("existing".to_owned());
    at_rate(&mut task, 500.0, Duration::from_secs(1));
    for _ in 0..2 {
        // The second time the messages of the first are there, and must not be met.
        task.trial += 1;
        let problems = run(task.clone()).problems(&task);
        assert!(problems.is_empty(), "{problems:?}");
    }
    let stays = ask(&server, "GET", "persistent/public/default");
    assert!(stays.contains("/existing\""), "{stays}");
    let subscriptions = ask(&server, "GET", &format!("{path}/subscriptions"));
    assert!(subscriptions.ends_with("[]"), "{subscriptions}");
}
