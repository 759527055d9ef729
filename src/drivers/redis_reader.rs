//! The consumer of Redis Streams: reads, acknowledges with the next read, takes over what others left.
//!
//! The client's typed replies would build maps of every entry, which costs a third of the throughput;
//! a walk over the raw value copies nothing.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value, cmd};

use super::DriverError;
use super::redis::reason;
use super::redis_connection::address;
use super::redis_names::group_name;
use crate::engine::inbox::Inbox;
use crate::engine::task::Task;
use crate::scenario::workload::Delivery;

/// How long a read waits for messages before it is asked again.
pub const BLOCK: Duration = Duration::from_secs(1);

/// What one consumer has read and not acknowledged.
struct Owed {
    /// For each stream.
    ids: Vec<Vec<Vec<u8>>>,
    count: usize,
    since: Instant,
}

/// One consumer at work.
pub struct Reader<'t> {
    task: &'t Task,
    connection: MultiplexedConnection,
    streams: Vec<String>,
    group: String,
    name: String,
    /// At most once: the server forgets what it hands out.
    no_ack: bool,
    owed: Owed,
    pipeline: Pipeline,
}

impl<'t> Reader<'t> {
    /// On a connection that is patient enough for a read that waits.
    pub fn new(
        task: &'t Task,
        group: u32,
        consumer: u32,
        connection: MultiplexedConnection,
    ) -> Reader<'t> {
        let streams = task.destination_names_of(consumer);
        Reader {
            task,
            connection,
            owed: Owed {
                ids: vec![Vec::new(); streams.len()],
                count: 0,
                since: Instant::now(),
            },
            streams,
            group: group_name(task, group),
            name: format!("consumer-{consumer}"),
            no_ack: task.delivery == Delivery::AtMostOnce,
            pipeline: Pipeline::new(),
        }
    }

    /// Reads until it fails.
    pub async fn run(mut self, mut inbox: Inbox) -> Result<(), DriverError> {
        let doing = format!("receive from {}", address(self.task));
        let problem = |cause: String| DriverError {
            doing: doing.clone(),
            cause,
        };
        let claim_after = self.task.time("claim_after").filter(|_| !self.no_ack);
        let mut claimed = Instant::now();
        // The groups were made before: whatever is sent from now on, they get.
        inbox.ready();
        loop {
            self.pipeline.clear();
            let acks = self.add_acks();
            self.add_read();
            let answers = self
                .connection
                .send_packed_commands(&self.pipeline, 0, acks + 1)
                .await
                .map_err(|error| problem(reason(&error)))?;
            let mut read = Value::Nil;
            for answer in answers {
                if let Value::ServerError(error) = &answer {
                    return Err(problem(error.to_string()));
                }
                read = answer;
            }
            let stamp = inbox.stamp();
            let Reader { owed, streams, .. } = &mut self;
            entries_of_read(read, |stream, id, message| {
                inbox.received_at(stamp, message, false);
                let place = streams.iter().position(|s| s.as_bytes() == stream);
                owed.add(place.unwrap_or(0), id);
            });
            if self.no_ack {
                self.owed.forget();
            }
            if let Some(idle) = claim_after
                && claimed.elapsed() >= idle / 2
            {
                claimed = Instant::now();
                self.claim(idle, &mut inbox).await.map_err(&problem)?;
            }
        }
    }

    /// Adds the acknowledgements that are due and says how many commands they take. They travel with
    /// the next read, so they cost no round trip.
    fn add_acks(&mut self) -> usize {
        let policy = &self.task.workload.ack;
        let due = self.owed.count >= policy.every.max(1) as usize
            || self.owed.count > 0 && self.owed.since.elapsed() >= policy.within;
        if !due {
            return 0;
        }
        let mut commands = 0;
        for (stream, ids) in self.streams.iter().zip(&self.owed.ids) {
            if !ids.is_empty() {
                let ack = self.pipeline.cmd("XACK").arg(stream).arg(&self.group);
                ack.arg(ids);
                commands += 1;
            }
        }
        self.owed.forget();
        commands
    }

    fn add_read(&mut self) {
        // While acknowledgements are owed, the read returns in time for them.
        let wait = if self.owed.count > 0 {
            let within = self.task.workload.ack.within;
            within.saturating_sub(self.owed.since.elapsed()).min(BLOCK)
        } else {
            BLOCK
        };
        // Zero would mean: wait for ever.
        let wait = (wait.as_micros().div_ceil(1_000) as u64).max(1);
        let read = self.pipeline.cmd("XREADGROUP").arg("GROUP");
        read.arg(&self.group).arg(&self.name);
        read.arg("COUNT")
            .arg(self.task.count("read_count").unwrap_or(256));
        read.arg("BLOCK").arg(wait);
        if self.no_ack {
            read.arg("NOACK");
        }
        read.arg("STREAMS").arg(&self.streams);
        for _ in &self.streams {
            read.arg(">");
        }
    }

    /// Takes over what others of the group have left.
    async fn claim(&mut self, idle: Duration, inbox: &mut Inbox) -> Result<(), String> {
        for (place, stream) in self.streams.iter().enumerate() {
            let mut claim = cmd("XAUTOCLAIM");
            claim.arg(stream).arg(&self.group).arg(&self.name);
            claim.arg(idle.as_millis() as u64).arg("0-0");
            claim.arg("COUNT").arg(256);
            let answer = self.connection.send_packed_command(&claim).await;
            let answer = answer.map_err(|error| reason(&error))?;
            if let Value::ServerError(error) = &answer {
                return Err(error.to_string());
            }
            let stamp = inbox.stamp();
            let owed = &mut self.owed;
            entries_of_claim(answer, |id, message| {
                inbox.received_at(stamp, message, true);
                owed.add(place, id);
            });
        }
        Ok(())
    }
}

impl Owed {
    fn add(&mut self, stream: usize, id: Vec<u8>) {
        if self.count == 0 {
            self.since = Instant::now();
        }
        self.count += 1;
        self.ids[stream].push(id);
    }

    fn forget(&mut self) {
        self.count = 0;
        for ids in &mut self.ids {
            ids.clear();
        }
    }
}

/// Hands out stream, id and message of every entry in the answer to `XREADGROUP`.
fn entries_of_read(answer: Value, mut each: impl FnMut(&[u8], Vec<u8>, &[u8])) {
    let mut stream = |name: Value, entries: Value| {
        if let (Value::BulkString(name), Value::Array(entries)) = (name, entries) {
            walk(entries, |id, message| each(&name, id, message));
        }
    };
    match answer {
        Value::Array(streams) => {
            for pair in streams {
                if let Value::Array(pair) = pair
                    && let Ok([name, entries]) = <[Value; 2]>::try_from(pair)
                {
                    stream(name, entries);
                }
            }
        }
        // RESP3 answers with a map.
        Value::Map(streams) => {
            for (name, entries) in streams {
                stream(name, entries);
            }
        }
        // Nothing came in time.
        _ => {}
    }
}

/// Hands out id and message of every entry in the answer to `XAUTOCLAIM`: the place to go on from, the
/// entries, and what had been deleted.
fn entries_of_claim(answer: Value, each: impl FnMut(Vec<u8>, &[u8])) {
    if let Value::Array(parts) = answer
        && let Some(Value::Array(entries)) = parts.into_iter().nth(1)
    {
        walk(entries, each);
    }
}

/// Entries are pairs of an id and a flat list of fields and values; the message is the first value.
fn walk(entries: Vec<Value>, mut each: impl FnMut(Vec<u8>, &[u8])) {
    for entry in entries {
        if let Value::Array(pair) = entry
            && let Ok([Value::BulkString(id), Value::Array(fields)]) = <[Value; 2]>::try_from(pair)
            && let Some(Value::BulkString(message)) = fields.get(1)
        {
            each(id, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(id: &str, message: &str) -> Value {
        Value::Array(vec![text(id), Value::Array(vec![text("m"), text(message)])])
    }

    fn read(answer: Value) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        let owned = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        entries_of_read(answer, |stream, id, message| {
            found.push((owned(stream), owned(&id), owned(message)));
        });
        found
    }

    #[test]
    fn both_shapes_of_an_answer_are_walked() {
        let entries = Value::Array(vec![entry("1-0", "a"), entry("1-1", "b")]);
        let expected = [("s", "1-0", "a"), ("s", "1-1", "b")];
        let expected = expected.map(|(s, i, m)| (s.to_owned(), i.to_owned(), m.to_owned()));
        let array = Value::Array(vec![Value::Array(vec![text("s"), entries.clone()])]);
        assert_eq!(read(array), expected);
        assert_eq!(read(Value::Map(vec![(text("s"), entries)])), expected);
        assert_eq!(read(Value::Nil), []);
    }

    #[test]
    fn an_entry_that_was_deleted_is_passed_over() {
        let gone = Value::Array(vec![text("1-0"), Value::Nil]);
        let mut count = 0;
        let claim = Value::Array(vec![
            text("0-0"),
            Value::Array(vec![gone, entry("1-1", "b")]),
            Value::Array(vec![text("1-0")]),
        ]);
        entries_of_claim(claim, |_, message| {
            count += 1;
            assert_eq!(message, b"b");
        });
        assert_eq!(count, 1);
    }
}
