//! What a trial on Redis Streams needs beside the messages: to know that the server keeps what was
//! asked, to remove what nobody needs any more, and to see how much waits.

use std::convert::Infallible;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult, Value, cmd};
use tokio::time::{MissedTickBehavior, interval};

use super::DriverError;
use super::losses::{Ended, again};
use super::redis::{ANSWER_WITHIN, failed, info_line, setting, version};
use super::redis_connection::{address, connect};
use super::redis_names::groups;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// How often streams are trimmed.
const TRIM_EVERY: Duration = Duration::from_millis(20);
/// One `XTRIM` with `~` removes at most so many entries (100 nodes of 100), so that the server is not
/// kept from its work for long.
const TRIMMED_AT_ONCE: u64 = 10_000;
/// Calls per stream and turn at most: what the publishers add in a turn must also go in one.
const TRIMS_PER_TURN: usize = 4;

type FactsAndNotes = (Vec<(String, String)>, Vec<String>);

/// Asks the server what it is and how it persists, and compares that with the offer of the task.
pub async fn facts_and_check(
    task: &Task,
    connection: &mut MultiplexedConnection,
) -> Result<FactsAndNotes, DriverError> {
    let info: RedisResult<String> = cmd("INFO").query_async(connection).await;
    let info = info.map_err(failed(task, "ask for the version"))?;
    let append_only = setting(connection, "appendonly").await;
    let append_only = append_only.or_else(|| {
        let enabled = info_line(&info, "aof_enabled")?;
        Some(if enabled == "1" { "yes" } else { "no" }.to_owned())
    });
    let sync = setting(connection, "appendfsync").await;
    let unsynced = setting(connection, "no-appendfsync-on-rewrite").await;
    let mut notes = Vec::new();
    let unverified = || "unverified".to_owned();
    let facts = [
        Some(("appendonly", append_only.clone().unwrap_or_else(unverified))),
        Some(("appendfsync", sync.clone().unwrap_or_else(unverified))),
        info_line(&info, "maxmemory_policy").map(|v| ("maxmemory-policy", v.to_owned())),
    ];
    let facts = facts.into_iter().flatten();
    let facts = facts.map(|(key, value)| (key.to_owned(), value));
    let facts = version(&info).into_iter().chain(facts).collect();

    let contradicts = |key: &str, found: &str, needed: &str| DriverError {
        doing: format!("keep messages as asked at {}", address(task)),
        cause: format!("the server has `{key} {found}`, this durability needs `{key} {needed}`"),
    };
    if task.durability >= Durability::Disk {
        match append_only.as_deref() {
            Some("no") => return Err(contradicts("appendonly", "no", "yes")),
            Some(_) => {}
            None => notes.push("the server does not say whether it keeps a file".to_owned()),
        }
        match (task.durability, sync.as_deref()) {
            (Durability::Fsync, Some(other)) if other != "always" => {
                return Err(contradicts("appendfsync", other, "always"));
            }
            (Durability::Fsync, Some(_)) if unsynced.as_deref() == Some("yes") => {
                return Err(contradicts("no-appendfsync-on-rewrite", "yes", "no"));
            }
            (_, Some("everysec")) => notes.push(
                "appendfsync is everysec: the write to the file may come up to 2 s after the \
                 acknowledgement"
                    .to_owned(),
            ),
            (_, Some(_)) => {}
            (_, None) => notes.push("the server does not say when it syncs its file".to_owned()),
        }
    }
    Ok((facts, notes))
}

/// Makes the groups, and by that the streams, before anything is sent: a group made later would have
/// to say from where it wants to read, and trimming would not know of it.
pub async fn make_groups(
    task: &Task,
    connection: &mut MultiplexedConnection,
) -> Result<(), DriverError> {
    let foreign = task.destination.is_some();
    // In an existing stream other messages may stand; only a backlog is read from the beginning.
    let from = if foreign && task.workload.pattern != Pattern::Backlog {
        "$"
    } else {
        "0"
    };
    make_groups_from(from, task, connection, false).await
}

/// A connection in place of one that was lost, to a server that has the groups: one that kept nothing and was started
/// again has forgotten them. Whatever is in its streams by then they have not been given.
pub async fn reconnect_to_groups(
    task: &Task,
    answer_within: Duration,
) -> Result<MultiplexedConnection, DriverError> {
    let mut connection = connect(task, answer_within).await?;
    make_groups_from("0", task, &mut connection, true).await?;
    Ok(connection)
}

/// `may_exist`: one that is there already is no error.
async fn make_groups_from(
    from: &str,
    task: &Task,
    connection: &mut MultiplexedConnection,
    may_exist: bool,
) -> Result<(), DriverError> {
    for stream in task.destination_names() {
        for group in groups(task) {
            let mut create = cmd("XGROUP");
            create.arg("CREATE").arg(&stream).arg(&group).arg(from);
            let made: RedisResult<()> = create.arg("MKSTREAM").query_async(connection).await;
            match made {
                Err(error) if may_exist && error.code() == Some("BUSYGROUP") => {}
                made => {
                    made.map_err(failed(task, &format!("make a consumer group of {stream}")))?
                }
            }
        }
    }
    Ok(())
}

/// Trims the streams of the trial until it is dropped, on a connection of its own; returns where there
/// is nothing to trim.
pub async fn trim(task: &Task) -> Result<(), DriverError> {
    if task.destination.is_some() || task.text("trim") != Some("acknowledged") {
        return Ok(());
    }
    let mut connection = connect(task, ANSWER_WITHIN).await?;
    loop {
        let Err(error) = trim_on(task, &mut connection).await;
        let doing = format!("trim the streams at {}", address(task));
        let ended = Ended::from(error).while_doing(doing);
        let connect = async || reconnect_to_groups(task, ANSWER_WITHIN).await;
        connection = again(ended, connect).await?;
    }
}

/// Trims until something is wrong.
async fn trim_on(task: &Task, connection: &mut MultiplexedConnection) -> RedisResult<Infallible> {
    let names = task.destination_names();
    let groups: Vec<String> = groups(task).collect();
    let max_length = task.count("max_length").unwrap_or(1_000_000);
    let mut turn = interval(TRIM_EVERY);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        for stream in &names {
            let bound = if groups.is_empty() {
                Some(("MAXLEN", max_length.to_string()))
            } else {
                let (time, number) = oldest_needed(task, connection, stream, &groups).await?;
                (time > 0).then(|| ("MINID", format!("{time}-{number}")))
            };
            let Some((by, bound)) = bound else { continue };
            for _ in 0..TRIMS_PER_TURN {
                let trimmed: u64 = cmd("XTRIM")
                    .arg(stream)
                    .arg(by)
                    .arg("~")
                    .arg(&bound)
                    .query_async(connection)
                    .await?;
                if trimmed < TRIMMED_AT_ONCE {
                    break;
                }
            }
        }
    }
}

/// The oldest entry that some group still needs: one that it has not acknowledged or not been given.
async fn oldest_needed(
    task: &Task,
    connection: &mut MultiplexedConnection,
    stream: &str,
    groups: &[String],
) -> RedisResult<(u64, u64)> {
    // The order matters: what was delivered between the two answers is pending in the second.
    let mut pipeline = Pipeline::new();
    pipeline.cmd("XINFO").arg("GROUPS").arg(stream);
    let pending = task.delivery != Delivery::AtMostOnce;
    if pending {
        for group in groups {
            pipeline.cmd("XPENDING").arg(stream).arg(group);
        }
    }
    let answers: Vec<Value> = pipeline.query_async(connection).await?;
    let mut answers = answers.into_iter();
    let described = answers.next().unwrap_or(Value::Nil);
    let delivered = list(&described)
        .iter()
        .filter_map(|group| id(field(group, "last-delivered-id")?));
    let mut oldest = delivered.min().unwrap_or((0, 0));
    for answer in answers {
        // Count, least id, greatest id, consumers; the ids are nil where nothing is pending.
        if let Some(least) = list(&answer).get(1).and_then(id) {
            oldest = oldest.min(least);
        }
    }
    Ok(oldest)
}

/// Messages that no group or not every group has been given yet, by the group that waits for most.
pub async fn backlog(task: &Task) -> Result<u64, DriverError> {
    let wrong = failed(task, "ask how much waits");
    let mut connection = connect(task, ANSWER_WITHIN).await?;
    let mut waiting = 0;
    for stream in task.destination_names() {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("XLEN").arg(&stream);
        if task.workload.consumers > 0 {
            pipeline.cmd("XINFO").arg("GROUPS").arg(&stream);
        }
        let answers: RedisResult<Vec<Value>> = pipeline.query_async(&mut connection).await;
        let answers = answers.map_err(&wrong)?;
        let number = |value: Option<&Value>| match value {
            Some(Value::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        let length = number(answers.first()).unwrap_or(0);
        let groups = answers.get(1).map(list).unwrap_or_default();
        // Where the server cannot tell (before Redis 7), the length is the most that it can be.
        let lags = groups
            .iter()
            .map(|g| number(field(g, "lag")).unwrap_or(length));
        waiting += lags.max().unwrap_or(length);
    }
    Ok(waiting)
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// A field of a description, which is a flat list in RESP2 and a map in RESP3.
fn field<'v>(description: &'v Value, name: &str) -> Option<&'v Value> {
    let is_name = |value: &Value| match value {
        Value::BulkString(bytes) => bytes == name.as_bytes(),
        Value::SimpleString(text) => text == name,
        _ => false,
    };
    match description {
        Value::Array(items) => items
            .chunks_exact(2)
            .find(|pair| is_name(&pair[0]))
            .map(|pair| &pair[1]),
        Value::Map(pairs) => pairs.iter().find(|(key, _)| is_name(key)).map(|(_, v)| v),
        _ => None,
    }
}

/// The two numbers of an entry's id.
fn id(value: &Value) -> Option<(u64, u64)> {
    let Value::BulkString(bytes) = value else {
        return None;
    };
    let (time, number) = std::str::from_utf8(bytes).ok()?.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}
