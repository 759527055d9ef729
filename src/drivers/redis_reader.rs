//! The consumer of Redis Streams: reads, acknowledges with the next read, takes over what others left,
//! and comes back when its connection was lost.
//!
//! What the server has handed out and nobody has acknowledged stays pending: it is read again by the
//! consumer that it was handed to, when that has a connection again, or by another when it has been
//! pending for long. So at-least-once holds when a connection dies.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value, cmd};

use super::DriverError;
use super::losses::{Comeback, Ended, Losses};
use super::redis::ANSWER_WITHIN;
use super::redis_connection::{address, connect};
use super::redis_entries::{of_claim, of_read};
use super::redis_names::group_name;
use super::redis_upkeep::reconnect_to_groups;
use crate::engine::inbox::Inbox;
use crate::engine::task::Task;
use crate::scenario::workload::Delivery;

/// How long a read waits for messages before it is asked again.
const BLOCK: Duration = Duration::from_secs(1);

/// Enough for a read that waits.
const PATIENCE: Duration = BLOCK.saturating_add(ANSWER_WITHIN);

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
    comeback: Comeback<'t>,
    connection: MultiplexedConnection,
    streams: Vec<String>,
    group: String,
    name: String,
    /// At most once: the server forgets what it hands out.
    no_ack: bool,
    /// What others have left pending for so long is taken over.
    claim_after: Option<Duration>,
    claimed: Instant,
    owed: Owed,
    pipeline: Pipeline,
}

impl<'t> Reader<'t> {
    /// Connects.
    pub async fn open(
        task: &'t Task,
        losses: &'t Losses,
        group: u32,
        consumer: u32,
    ) -> Result<Reader<'t>, DriverError> {
        let mine = task.destinations_of(consumer);
        let no_ack = task.delivery == Delivery::AtMostOnce;
        let claim_after = task
            .time("claim_after")
            .filter(|time| !no_ack && !time.is_zero());
        Ok(Reader {
            task,
            comeback: losses.consumer(),
            connection: connect(task, PATIENCE).await?,
            owed: Owed {
                ids: vec![Vec::new(); mine.len()],
                count: 0,
                since: Instant::now(),
            },
            streams: mine.into_iter().map(|n| task.destination(n)).collect(),
            group: group_name(task, group),
            name: format!("consumer-{consumer}"),
            no_ack,
            // Those that live acknowledge late where they are told to.
            claim_after: claim_after.map(|time| time.max(2 * task.workload.ack.within)),
            claimed: Instant::now(),
            pipeline: Pipeline::new(),
        })
    }

    /// Reads until it fails.
    pub async fn run(mut self, mut inbox: Inbox) -> Result<(), DriverError> {
        // The groups were made before: whatever is sent from now on, they get.
        inbox.ready();
        let mut back = false;
        loop {
            let turn = if back {
                self.read_again(&mut inbox).await
            } else {
                self.turn(&mut inbox).await
            };
            match turn {
                Ok(()) => back = false,
                Err(ended) => {
                    let doing = format!("receive from {}", address(self.task));
                    let ended = ended.while_doing(doing);
                    let connect = async || reconnect_to_groups(self.task, PATIENCE).await;
                    let connected = self.comeback.receive_again(&mut inbox, ended, connect);
                    self.connection = connected.await?;
                    back = !self.no_ack;
                }
            }
        }
    }

    /// One read, with the acknowledgements that are due.
    async fn turn(&mut self, inbox: &mut Inbox) -> Result<(), Ended<String>> {
        self.pipeline.clear();
        let acks = self.add_acks();
        self.add_read();
        let read = self.ask(acks + 1).await?;
        self.take(read, inbox, false);
        if self.no_ack {
            self.owed.forget();
        }
        match self.claim_after {
            Some(idle) if self.claimed.elapsed() >= idle / 2 => {
                self.claimed = Instant::now();
                self.claim(idle, inbox).await
            }
            _ => Ok(()),
        }
    }

    /// Sends the pipeline; the answer to its last command.
    async fn ask(&mut self, commands: usize) -> Result<Value, Ended<String>> {
        let Reader {
            connection,
            pipeline,
            ..
        } = self;
        let answers = connection
            .send_packed_commands(pipeline, 0, commands)
            .await?;
        let mut last = Value::Nil;
        for answer in answers {
            if let Value::ServerError(error) = &answer {
                return Err(Ended::refused(error.to_string()));
            }
            last = answer;
        }
        Ok(last)
    }

    /// Hands in what was read; how many entries that were.
    fn take(&mut self, read: Value, inbox: &mut Inbox, again: bool) -> usize {
        let stamp = inbox.stamp();
        let Reader { owed, streams, .. } = self;
        let before = owed.count;
        of_read(read, |stream, id, message| {
            if let Some(message) = message {
                inbox.received_at(stamp, message, again);
            }
            let place = streams.iter().position(|s| s.as_bytes() == stream);
            owed.add(place.unwrap_or(0), id);
        });
        owed.count - before
    }

    /// After a loss: acknowledges what was received, and reads what was handed out to this consumer and
    /// did not arrive, or whose acknowledgement did not.
    async fn read_again(&mut self, inbox: &mut Inbox) -> Result<(), Ended<String>> {
        loop {
            self.pipeline.clear();
            let acks = self.add_all_acks();
            let read = self.pipeline.cmd("XREADGROUP").arg("GROUP");
            read.arg(&self.group).arg(&self.name);
            read.arg("COUNT")
                .arg(self.task.count("read_count").unwrap_or(256));
            read.arg("STREAMS").arg(&self.streams);
            for _ in &self.streams {
                // A place instead of `>`: what is pending from there on.
                read.arg("0");
            }
            let read = self.ask(acks + 1).await?;
            if self.take(read, inbox, true) == 0 {
                return Ok(());
            }
        }
    }

    /// Adds the acknowledgements that are due and says how many commands they take. They travel with
    /// the next read, so they cost no round trip.
    fn add_acks(&mut self) -> usize {
        let policy = &self.task.workload.ack;
        let due = self.owed.count >= policy.every.max(1) as usize
            || self.owed.count > 0 && self.owed.since.elapsed() >= policy.within;
        if due { self.add_all_acks() } else { 0 }
    }

    fn add_all_acks(&mut self) -> usize {
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

    /// Takes over what others of the group have left. What this one has received it acknowledges first:
    /// otherwise it would take that over from itself.
    async fn claim(&mut self, idle: Duration, inbox: &mut Inbox) -> Result<(), Ended<String>> {
        self.pipeline.clear();
        let acks = self.add_all_acks();
        if acks > 0 {
            self.ask(acks).await?;
        }
        for (place, stream) in self.streams.iter().enumerate() {
            let mut from = b"0-0".to_vec();
            loop {
                let mut claim = cmd("XAUTOCLAIM");
                claim.arg(stream).arg(&self.group).arg(&self.name);
                claim.arg(idle.as_millis() as u64).arg(&from);
                claim.arg("COUNT").arg(256);
                let answer = self.connection.send_packed_command(&claim).await?;
                if let Value::ServerError(error) = &answer {
                    return Err(Ended::refused(error.to_string()));
                }
                let (stamp, owed) = (inbox.stamp(), &mut self.owed);
                let mut first = true;
                let next = of_claim(answer, |id, message| {
                    // They are older than what this consumer has seen: order begins afresh.
                    if std::mem::take(&mut first) {
                        inbox.new_epoch();
                    }
                    if let Some(message) = message {
                        inbox.received_at(stamp, message, true);
                    }
                    owed.add(place, id);
                });
                match next {
                    Some(next) => from = next,
                    None => break,
                }
            }
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
