//! What the Redis drivers share: the words of an error, and publishing in pipelines.

use std::io::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, RedisResult, RedisWrite, ToRedisArgs, Value, cmd};

use super::descriptor::{OptionKind, OptionSpec};
use super::losses::{Ended, Losses};
use super::redis_connection::{address, connect, reconnect};
use super::{AsyncPublisher, DriverError};
use crate::engine::acks::{Acks, Token};
use crate::engine::outbox::Message;
use crate::engine::pacing::AsyncOutbox;
use crate::engine::task::Task;

/// The client of both drivers.
pub const CLIENT: &str = "redis 1.8";
/// A server that answers nothing for so long is called gone.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of messages in one pipeline, about.
const FULL: u64 = 64 << 10;
/// Messages that one pipeline may have in any case.
const FEWEST: u64 = 4;

/// How much one pipeline carries: see [`fitting`].
pub const fn batch(default: &'static str) -> OptionSpec {
    OptionSpec {
        name: "batch",
        kind: OptionKind::Count(1, 10_000),
        default: Some(default),
        about: "Messages that one pipeline of a publisher carries at most; of large ones 64 KiB, or four.",
    }
}

/// How many pipelines of one publisher may be under way: with one, the client would idle while the
/// server answers; with many, a batch is taken apart that one write could send.
pub const PIPELINES: OptionSpec = OptionSpec {
    name: "pipelines",
    kind: OptionKind::Count(1, 50),
    default: Some("4"),
    about: "Pipelines that a publisher has under way before it waits for the answer to one.",
};

/// For `map_err`: what was attempted, at which server.
pub fn failed(task: &Task, doing: &str) -> impl Fn(RedisError) -> DriverError {
    let doing = format!("{doing} at {}", address(task));
    move |error| DriverError {
        doing: doing.clone(),
        cause: reason(&error),
    }
}

/// What was wrong, in the server's words where it said something.
pub fn reason(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    if error.is_connection_refusal() {
        return "connection refused".to_owned();
    }
    // Of several commands that went together the first that failed says it.
    let failed = error.clone().into_server_errors();
    if let Some((_, first)) = failed.as_deref().and_then(<[_]>::first) {
        return match first.details() {
            Some(detail) => format!("{} {detail}", first.code()),
            None => first.code().to_owned(),
        };
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, Some(detail)) => detail.to_owned(),
        (None, None) if error.is_connection_dropped() => "the connection was lost".to_owned(),
        // Behind the dash stands the name of the library's type.
        (None, None) => {
            let text = error.to_string();
            text.split(" - ").next().unwrap_or(&text).to_owned()
        }
    }
}

/// The value of a line `name:value` in an answer to `INFO`.
pub fn info_line<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// What an answer to `INFO` says of the version: of Redis, and of a relative that tells one of its own
/// besides the Redis that it is compatible with.
pub fn version(info: &str) -> Option<(String, String)> {
    let version = match info_line(info, "valkey_version") {
        Some(own) => format!("Valkey {own}"),
        None => info_line(info, "redis_version")?.to_owned(),
    };
    Some(("version".to_owned(), version))
}

/// One setting of the server; `None` where we may not ask.
pub async fn setting(connection: &mut MultiplexedConnection, name: &str) -> Option<String> {
    let answer: RedisResult<Vec<String>> = cmd("CONFIG")
        .arg("GET")
        .arg(name)
        .query_async(connection)
        .await;
    answer.ok()?.into_iter().nth(1)
}

/// Refuses messages that the server would not take: it answers them with the end of the connection,
/// which says nothing of the reason.
pub async fn check_size(
    task: &Task,
    connection: &mut MultiplexedConnection,
) -> Result<(), DriverError> {
    let largest = task.workload.message.largest();
    let limit = setting(connection, "proto-max-bulk-len").await;
    match limit.and_then(|limit| limit.parse::<u64>().ok()) {
        Some(limit) if largest > limit => Err(DriverError {
            doing: format!("send messages of {largest} bytes to {}", address(task)),
            cause: format!("the server takes at most {limit} (its proto-max-bulk-len)"),
        }),
        _ => Ok(()),
    }
}

/// The payload of a message, written into a command without a copy in between.
pub struct Body<'m, 'p>(pub &'m Message<'p>);

impl ToRedisArgs for Body<'_, '_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let (head, body) = self.0.parts();
        let mut writer = out.writer_for_next_arg();
        // Writing into memory cannot fail.
        let _ = writer.write_all(head).and_then(|()| writer.write_all(body));
    }
}

/// Commands on their way, and the messages that they carry.
#[derive(Default)]
struct Batch {
    pipeline: Pipeline,
    tokens: Vec<Token>,
}

/// What one of the drivers sends: its names and settings are worked out before the load starts.
pub trait Commands: Send {
    /// The command that carries a message.
    fn command(&self, message: &Message<'_>) -> Cmd;

    /// What else must be looked after while messages are sent.
    fn upkeep<'t>(&self, _task: &'t Task) -> LocalBoxFuture<'t, Result<(), DriverError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A publisher of either driver.
pub struct RedisPublisher<C> {
    task: Arc<Task>,
    commands: C,
    losses: Arc<Losses>,
    connection: Option<MultiplexedConnection>,
}

impl<C: Commands> RedisPublisher<C> {
    pub fn new(task: &Arc<Task>, commands: C, losses: &Arc<Losses>) -> Self {
        RedisPublisher {
            task: Arc::clone(task),
            commands,
            losses: Arc::clone(losses),
            connection: None,
        }
    }
}

impl<C: Commands> AsyncPublisher for RedisPublisher<C> {
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            self.connection = Some(connect(&self.task, ANSWER_WITHIN).await?);
            Ok(())
        })
    }

    fn run(&mut self, outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let connection = match self.connection.take() {
                Some(connection) => connection,
                None => connect(&self.task, ANSWER_WITHIN).await?,
            };
            let sending = pin!(self.send_all(connection, outbox));
            beside(sending, self.commands.upkeep(&self.task)).await
        })
    }
}

impl<C: Commands> RedisPublisher<C> {
    /// Sends until the outbox has no more. In place of a connection that is lost it takes another, if the server is there
    /// again soon: what was under way then has failed, whether or not the server has it.
    async fn send_all(
        &self,
        mut connection: MultiplexedConnection,
        mut outbox: AsyncOutbox,
    ) -> Result<(), DriverError> {
        let task = self.task.as_ref();
        let asked = task.count("batch").unwrap_or(64);
        let sending = Sending {
            acks: task.acks,
            batch: asked.min(fitting(task.workload.message.largest())) as usize,
            pipelines: task.count("pipelines").unwrap_or(4) as usize,
        };
        let command = |message: &Message<'_>| self.commands.command(message);
        let mut comeback = self.losses.publisher();
        while let Err(error) = sending.run(&connection, &mut outbox, command).await {
            let doing = format!("publish to {}", address(task));
            let ended = Ended::from(error).while_doing(doing);
            let connect = async || reconnect(task, ANSWER_WITHIN).await;
            connection = comeback.again(ended, connect).await?;
        }
        Ok(())
    }
}

/// Messages of a size that one pipeline carries at most: more bytes than [`FULL`] cost more than they save, since a buffer
/// of that size is got from the system and given back each time, page by page.
fn fitting(size: u64) -> u64 {
    (FULL / size.max(1)).max(FEWEST)
}

/// Runs work and upkeep; ends with the work, or with what went wrong in the upkeep.
pub async fn beside(
    work: impl Future<Output = Result<(), DriverError>> + Unpin,
    upkeep: impl Future<Output = Result<(), DriverError>> + Unpin,
) -> Result<(), DriverError> {
    match select(work, upkeep).await {
        Either::Left((done, _)) => done,
        Either::Right((Err(error), _)) => Err(error),
        Either::Right((Ok(()), work)) => work.await,
    }
}

/// How a publisher sends.
struct Sending {
    /// Whether answers are acknowledgements.
    acks: bool,
    /// Messages of one pipeline at most.
    batch: usize,
    /// Pipelines under way at most.
    pipelines: usize,
}

impl Sending {
    /// Sends until the outbox has no more and everything is answered, or a pipeline fails. All that is due goes out in
    /// one pipeline; while some are under way, what becomes due is collected for the next.
    async fn run(
        &self,
        connection: &MultiplexedConnection,
        outbox: &mut AsyncOutbox,
        command: impl Fn(&Message<'_>) -> Cmd,
    ) -> RedisResult<()> {
        let acks = outbox.acks();
        let mut under_way = FuturesUnordered::new();
        let mut spare: Vec<Batch> = Vec::new();
        let mut problem = None;
        while problem.is_none() {
            let due = {
                let mut due = pin!(outbox.due(self.batch));
                loop {
                    if under_way.is_empty() {
                        break due.await;
                    }
                    let full = under_way.len() >= self.pipelines;
                    let answered = if full {
                        under_way.next().await
                    } else {
                        match select(due.as_mut(), under_way.next()).await {
                            Either::Left((due, _)) => break due,
                            Either::Right((answered, _)) => answered,
                        }
                    };
                    let Some((batch, answer)) = answered else {
                        continue;
                    };
                    problem = problem.or(self.settle(&acks, &batch, answer));
                    spare.push(batch);
                    if problem.is_some() {
                        break 0;
                    }
                }
            };
            if due == 0 {
                break;
            }
            let mut batch = spare.pop().unwrap_or_default();
            batch.pipeline.clear();
            batch.tokens.clear();
            while let Some(message) = outbox.next() {
                batch.tokens.push(message.token);
                batch.pipeline.add_command(command(&message));
            }
            under_way.push(send(connection.clone(), batch));
            // A future does nothing until it is asked, and the next batch may be due already.
            if let Some(Some((batch, answer))) = under_way.next().now_or_never() {
                problem = self.settle(&acks, &batch, answer);
                spare.push(batch);
            }
        }
        while let Some((batch, answer)) = under_way.next().await {
            problem = problem.or(self.settle(&acks, &batch, answer));
        }
        problem.map_or(Ok(()), Err)
    }

    /// Says what became of the messages of one pipeline; after what is returned the connection is of no use.
    fn settle(
        &self,
        acks: &Acks,
        batch: &Batch,
        answer: RedisResult<Vec<Value>>,
    ) -> Option<RedisError> {
        let answers = match answer {
            Ok(answers) => answers,
            Err(error) => {
                let cause = reason(&error);
                for token in &batch.tokens {
                    acks.failed(*token, &cause);
                }
                return Some(error);
            }
        };
        let refused = |value: &Value| matches!(value, Value::ServerError(_));
        if !answers.iter().any(refused) {
            if self.acks {
                acks.acked_all(batch.tokens.iter().copied());
            }
            return None;
        }
        for (token, answer) in batch.tokens.iter().zip(&answers) {
            match answer {
                Value::ServerError(error) => acks.failed(*token, error),
                _ if self.acks => acks.acked(*token),
                _ => {}
            }
        }
        None
    }
}

async fn send(
    mut connection: MultiplexedConnection,
    batch: Batch,
) -> (Batch, RedisResult<Vec<Value>>) {
    let count = batch.tokens.len();
    let answer = connection
        .send_packed_commands(&batch.pipeline, 0, count)
        .await;
    (batch, answer)
}
