//! What JetStream keeps for a trial: streams and consumers, made before it and removed after it, and how
//! much waits in them.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::DriverError;
use super::nats_connection::{Connection, failed, plain};
use super::target::CONNECT_TIMEOUT;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// The error code of a stream or a consumer that is not there.
const NOT_FOUND: u64 = 404;
/// How often a push consumer that waits for flow control is told that it is not forgotten.
const HEARTBEAT: u64 = 5_000_000_000;

/// The group's consumer; of ours, where the stream is not.
pub fn consumer_name(task: &Task, group: u32) -> String {
    match task.destination {
        Some(_) => format!("mqbench-{}-{}-group-{group}", task.run_id, task.trial),
        None => format!("group-{group}"),
    }
}

/// Where a push consumer sends to. One token, so that no subject of a stream that ends in `.>` or `.*`
/// takes it in.
pub fn deliver_subject(task: &Task, group: u32, number: u32) -> String {
    let (run, trial) = (&task.run_id, task.trial);
    format!("mqbench-{run}-{trial}-deliver-{group}-{number}")
}

/// Whether the server sends unasked.
pub fn is_push(task: &Task) -> bool {
    task.text("consumer") == Some("push")
}

/// Whether several consumers of a group share a destination.
pub fn is_shared(task: &Task) -> bool {
    task.workload.consumers > task.workload.destinations
}

/// Whether one acknowledgement is for all messages before it, too.
pub fn acks_all(task: &Task) -> bool {
    task.text("ack_policy") == Some("all")
}

fn replicas(task: &Task) -> u64 {
    task.count("replicas").unwrap_or(u64::from(task.nodes))
}

fn storage(task: &Task) -> &'static str {
    match task.durability {
        Durability::Memory => "memory",
        Durability::Disk | Durability::Fsync => "file",
    }
}

fn ack_policy(task: &Task) -> &'static str {
    match task.delivery {
        Delivery::AtMostOnce => "none",
        _ if acks_all(task) => "all",
        _ => "explicit",
    }
}

fn retention(task: &Task) -> &str {
    let workload = &task.workload;
    match task.text("retention") {
        None | Some("pattern") => {}
        Some(asked) => return asked,
    }
    // The server wants messages of a work queue acknowledged one by one.
    let one_by_one = ack_policy(task) == "explicit";
    match workload.pattern {
        _ if workload.consumers == 0 => "limits",
        Pattern::Queue if workload.groups == 1 && one_by_one => "workqueue",
        Pattern::Queue | Pattern::FanOut => "interest",
        _ => "limits",
    }
}

/// Refuses options that contradict each other or the offer.
///
/// # Errors
/// Where they do.
pub fn check_options(task: &Task) -> Result<(), DriverError> {
    let refuse = |cause: &str| {
        let doing = "acknowledge with `ack_policy: all`".to_owned();
        Err(failed(doing, cause.to_owned()))
    };
    match (acks_all(task), task.delivery) {
        (true, Delivery::ExactlyOnce) => {
            refuse("exactly-once confirms each message by itself; take `ack_policy: explicit`")
        }
        (true, Delivery::AtLeastOnce) if is_shared(task) => refuse(
            "consumers of a group share a destination, and one would acknowledge what others have \
             not handled yet; take as many destinations as consumers, or `ack_policy: explicit`",
        ),
        _ => Ok(()),
    }
}

/// Whether there is JetStream at all.
///
/// # Errors
/// Where there is none.
pub fn has_jetstream(connection: &Connection) -> Result<(), DriverError> {
    match connection.client.server_info().jetstream {
        true => Ok(()),
        false => Err(failed(
            format!("make streams at {}", connection.address),
            "the server runs without JetStream: start it with -js, or put `jetstream {}` into its \
             configuration"
                .to_owned(),
        )),
    }
}

/// What the server is and how it keeps messages.
pub fn facts(task: &Task, connection: &Connection) -> Vec<(String, String)> {
    let info = connection.client.server_info();
    let mut facts = vec![
        ("version", info.version),
        ("max_payload", info.max_payload.to_string()),
    ];
    if task.destination.is_none() {
        facts.push(("storage", storage(task).to_owned()));
        facts.push(("replicas", replicas(task).to_string()));
        facts.push(("retention", retention(task).to_owned()));
    }
    if task.durability >= Durability::Disk {
        // The protocol has no question for it.
        facts.push(("sync_interval", "unverified".to_owned()));
    }
    let owned = facts
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    owned.collect()
}

/// Why a question has no good answer.
enum Refusal {
    /// The server says so.
    Answered { code: u64, words: String },
    /// It says nothing.
    Silent(String),
}

impl Refusal {
    fn while_doing(self, doing: &str, connection: &Connection) -> DriverError {
        let cause = match self {
            Refusal::Answered { words, .. } => words,
            Refusal::Silent(why) => why,
        };
        failed(format!("{doing} at {}", connection.address), cause)
    }
}

/// Asks JetStream's interface.
async fn ask(connection: &Connection, what: &str, body: &Value) -> Result<Value, Refusal> {
    let subject = format!("$JS.API.{what}");
    let asking = connection
        .client
        .request(subject, Bytes::from(body.to_string()));
    // Who may not ask gets no answer, and is told so aside.
    let (asking, refused) = (pin!(asking), pin!(connection.watch.refused()));
    let answer = match timeout(CONNECT_TIMEOUT, select(asking, refused)).await {
        Ok(Either::Left((Ok(answer), _))) => answer,
        Ok(Either::Left((Err(error), _))) => {
            return Err(Refusal::Silent(unanswered(&error.to_string())));
        }
        Ok(Either::Right((reason, _))) => return Err(Refusal::Silent(reason)),
        Err(_) => return Err(Refusal::Silent("no answer in time".to_owned())),
    };
    let answer: Value = serde_json::from_slice(&answer.payload)
        .map_err(|_| Refusal::Silent("the answer is none of JetStream's".to_owned()))?;
    match error_of(&answer) {
        None => Ok(answer),
        Some((code, words)) => Err(Refusal::Answered { code, words }),
    }
}

/// The error code and the words of an answer that is a refusal.
fn error_of(answer: &Value) -> Option<(u64, String)> {
    let error = answer.get("error")?;
    let words = error["description"].as_str();
    Some((
        error["code"].as_u64().unwrap_or_default(),
        words.unwrap_or("it does not say why").to_owned(),
    ))
}

/// The server's words where it answers that what was asked about is not there.
pub fn not_found(answer: &[u8]) -> Option<String> {
    let (code, words) = error_of(&serde_json::from_slice(answer).ok()?)?;
    (code == NOT_FOUND).then_some(words)
}

fn unanswered(error: &str) -> String {
    match error.contains("no responders") {
        true => {
            "JetStream does not answer: it is off for this account, or has no leader".to_owned()
        }
        false => plain(error),
    }
}

/// Makes the streams, unless they exist, and a consumer for each group on each of them.
///
/// # Errors
/// Where the server refuses one.
pub async fn make(task: &Task, connection: &Connection) -> Result<(), DriverError> {
    for number in 0..task.workload.destinations.max(1) {
        let stream = task.destination(number);
        if task.destination.is_none() {
            let body = stream_config(task, &stream);
            let made = ask(connection, &format!("STREAM.CREATE.{stream}"), &body).await;
            let doing = format!("make the stream {stream}");
            made.map_err(|refusal| refusal.while_doing(&doing, connection))?;
        }
        for group in 0..groups(task) {
            let name = consumer_name(task, group);
            let body = json!({
                "stream_name": stream,
                "config": consumer_config(task, &name, group, number),
            });
            let what = format!("CONSUMER.CREATE.{stream}.{name}");
            let made = ask(connection, &what, &body).await;
            let doing = format!("make the consumer {name} of the stream {stream}");
            made.map_err(|refusal| refusal.while_doing(&doing, connection))?;
        }
    }
    Ok(())
}

fn groups(task: &Task) -> u32 {
    match task.workload.consumers {
        0 => 0,
        _ => task.workload.groups,
    }
}

fn stream_config(task: &Task, stream: &str) -> Value {
    let mut config = json!({
        "name": stream,
        "subjects": [stream],
        "retention": retention(task),
        "storage": storage(task),
        "num_replicas": replicas(task),
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "discard": "old",
    });
    if task.delivery == Delivery::ExactlyOnce
        && let Some(window) = task.time("duplicate_window")
    {
        config["duplicate_window"] = json!(window.as_nanos() as u64);
    }
    config
}

fn consumer_config(task: &Task, name: &str, group: u32, number: u32) -> Value {
    let policy = ack_policy(task);
    // In an existing stream other messages may stand; only a backlog is read from the beginning.
    let from_now = task.destination.is_some() && task.workload.pattern != Pattern::Backlog;
    let mut config = json!({
        "durable_name": name,
        "name": name,
        "deliver_policy": if from_now { "new" } else { "all" },
        "ack_policy": policy,
        "replay_policy": "instant",
    });
    if policy != "none" {
        config["max_ack_pending"] = json!(task.count("max_ack_pending"));
        config["ack_wait"] = json!(task.time("ack_wait").map(|wait| wait.as_nanos() as u64));
    }
    if is_push(task) {
        config["deliver_subject"] = json!(deliver_subject(task, group, number));
        if is_shared(task) {
            config["deliver_group"] = json!(name);
        } else if policy == "none" {
            // Nothing else keeps the server from sending more than the library can hold.
            config["flow_control"] = json!(true);
            config["idle_heartbeat"] = json!(HEARTBEAT);
        }
    } else {
        // Each consumer may have two requests waiting, and twice as many after an outage.
        config["max_waiting"] = json!((4 * task.workload.consumers).max(512));
    }
    config
}

/// What is published to, by destination: where a stream exists already, the first of its own subjects.
///
/// # Errors
/// Where a stream that should exist does not.
pub async fn subjects(task: &Task, connection: &Connection) -> Result<Vec<String>, DriverError> {
    let mut subjects = Vec::new();
    for number in 0..task.workload.destinations.max(1) {
        let stream = task.destination(number);
        if task.destination.is_none() {
            subjects.push(stream);
            continue;
        }
        let doing = format!("find the stream {stream}");
        let info = ask(connection, &format!("STREAM.INFO.{stream}"), &json!({})).await;
        let info = info.map_err(|refusal| refusal.while_doing(&doing, connection))?;
        let first = info["config"]["subjects"][0].as_str().ok_or_else(|| {
            let cause = "it takes no messages: it has no subject of its own".to_owned();
            failed(format!("publish to the stream {stream}"), cause)
        })?;
        subjects.push(without_wildcards(first));
    }
    Ok(subjects)
}

/// One of the subjects that a subject with wildcards stands for.
fn without_wildcards(subject: &str) -> String {
    let token = |token| match token {
        "*" | ">" => "mqbench",
        plain => plain,
    };
    subject.split('.').map(token).collect::<Vec<_>>().join(".")
}

/// Removes what [`make`] made, all that is there of it.
///
/// # Errors
/// Where the server refuses, other than for what is gone already.
pub async fn remove(task: &Task, connection: &Connection) -> Result<(), DriverError> {
    for number in 0..task.workload.destinations.max(1) {
        let stream = task.destination(number);
        let whats = match task.destination {
            None => vec![format!("STREAM.DELETE.{stream}")],
            Some(_) => (0..groups(task))
                .map(|group| format!("CONSUMER.DELETE.{stream}.{}", consumer_name(task, group)))
                .collect(),
        };
        for what in whats {
            match ask(connection, &what, &json!({})).await {
                Ok(_)
                | Err(Refusal::Answered {
                    code: NOT_FOUND, ..
                }) => {}
                Err(refusal) => {
                    return Err(refusal.while_doing("remove what the trial made", connection));
                }
            }
        }
    }
    Ok(())
}

/// Messages that the slowest group has not acknowledged, or that the stream holds where nobody consumes;
/// summed over the streams.
///
/// # Errors
/// Where the server does not answer.
pub async fn backlog(task: &Task, connection: &Connection) -> Result<u64, DriverError> {
    let counting = async {
        let mut waiting = 0;
        for number in 0..task.workload.destinations.max(1) {
            let stream = task.destination(number);
            if groups(task) == 0 {
                let info = ask(connection, &format!("STREAM.INFO.{stream}"), &json!({})).await?;
                waiting += info["state"]["messages"].as_u64().unwrap_or(0);
                continue;
            }
            let mut most = 0;
            for group in 0..groups(task) {
                let name = consumer_name(task, group);
                let what = format!("CONSUMER.INFO.{stream}.{name}");
                let info = ask(connection, &what, &json!({})).await?;
                let count = |key: &str| info[key].as_u64().unwrap_or(0);
                most = most.max(count("num_pending") + count("num_ack_pending"));
            }
            waiting += most;
        }
        Ok(waiting)
    };
    let counted = match select(pin!(counting), pin!(connection.watch.lost())).await {
        Either::Left((counted, _)) => counted,
        Either::Right((reason, _)) => Err(Refusal::Silent(reason)),
    };
    counted.map_err(|refusal: Refusal| refusal.while_doing("ask how much waits", connection))
}

#[cfg(test)]
mod tests {
    use super::{not_found, without_wildcards};

    #[test]
    fn only_an_answer_that_it_is_not_there_says_so() {
        let gone = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        assert_eq!(
            not_found(gone.as_bytes()).as_deref(),
            Some("stream not found")
        );
        let busy = r#"{"error":{"code":503,"err_code":10008,"description":"unavailable"}}"#;
        assert_eq!(not_found(busy.as_bytes()), None);
        assert_eq!(not_found(br#"{"name":"group-0"}"#), None);
        assert_eq!(not_found(b""), None, "nobody answers");
    }

    #[test]
    fn a_message_is_sent_to_a_subject_and_not_to_a_pattern() {
        assert_eq!(without_wildcards("orders.new"), "orders.new");
        assert_eq!(without_wildcards("orders.*.eu"), "orders.mqbench.eu");
        assert_eq!(without_wildcards("orders.>"), "orders.mqbench");
    }
}
