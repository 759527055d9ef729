//! The consumer of JetStream: asks for messages (or is sent them), hands them in, acknowledges.
//!
//! Written against the protocol of consumers on plain subscriptions: the library's streams of messages
//! carry a task, a channel and a context for each message, which cost as much as the message itself.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use async_nats::{Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::stream::{SelectAll, select_all};
use futures_util::{FutureExt, Stream, StreamExt};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::DriverError;
use super::jetstream_streams::{
    acks_all, consumer_name, deliver_subject, is_push, is_shared, not_found,
};
use super::nats_connection::{Connection, plain};
use crate::engine::inbox::Inbox;
use crate::engine::task::Task;
use crate::scenario::workload::{AckPolicy, Delivery};

/// How long the server keeps a request that it cannot fulfil.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often it says that it still has the request while there are no messages.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// After so long without a message or a heartbeat it has not: it was restarted, or the request was lost.
const SILENCE: Duration = Duration::from_secs(3);
/// The pause after a request that nobody took.
const AFTER_NOBODY: Duration = Duration::from_millis(500);
/// A confirmation that has not come for so long is asked for again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Messages handed in before acknowledgements and requests are looked at again.
const ROUND: usize = 256;

/// One stream that this consumer reads.
struct Source {
    /// Where messages are asked for, and where they shall be sent to.
    next: Subject,
    inbox: Subject,
    /// Where the server is asked whether it still has the consumer.
    info: Subject,
    /// Messages asked for that have not come.
    wanted: u64,
    /// When what was asked for counts as forgotten, unless something is heard of it before.
    forgotten: Instant,
}

/// What has been handed in and not been acknowledged.
struct Owed {
    /// Where acknowledgements go, with the stream that each is for.
    replies: Vec<(usize, Subject)>,
    count: u64,
    since: Instant,
}

/// An acknowledgement that the server has not confirmed.
struct Unconfirmed {
    reply: Subject,
    since: Instant,
}

/// By stream and sequence of the message.
type Unconfirmeds = HashMap<(usize, u64), Unconfirmed>;

/// How a consumer acknowledges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Acking {
    Not,
    Each,
    All,
    Confirmed,
}

type Incoming = SelectAll<Box<dyn Stream<Item = (Option<usize>, Message)> + Send + Unpin>>;

/// One consumer at work.
pub struct Reader<'c> {
    connection: &'c Connection,
    incoming: Incoming,
    sources: Vec<Source>,
    acking: Acking,
    policy: AckPolicy,
    owed: Owed,
    unconfirmed: Unconfirmeds,
    /// Where confirmations come.
    confirmations: String,
    /// Where the server answers whether it still has a consumer.
    answers: Subject,
    /// What one request asks for; `None` where the server sends unasked.
    request: Option<(u64, Bytes)>,
}

impl<'c> Reader<'c> {
    /// Subscribes.
    pub async fn open(
        task: &Task,
        group: u32,
        consumer: u32,
        connection: &'c Connection,
    ) -> Result<Reader<'c>, DriverError> {
        let client = &connection.client;
        let doing = format!("subscribe at {}", connection.address);
        let name = consumer_name(task, group);
        let inbox = client.new_inbox();
        let mut incoming: Incoming = select_all([]);
        let mut add = |source: Option<usize>, subscriber: Subscriber| {
            incoming.push(Box::new(subscriber.map(move |m| (source, m))) as Box<_>);
        };
        let mut sources = Vec::new();
        for number in task.destinations_of(consumer) {
            let place = sources.len();
            let subject = match is_push(task) {
                true => deliver_subject(task, group, number),
                false => format!("{inbox}.{place}"),
            };
            let subject = Subject::from(subject);
            let subscribed = match is_push(task) && is_shared(task) {
                true => client.queue_subscribe(subject.clone(), name.clone()).await,
                false => client.subscribe(subject.clone()).await,
            };
            add(
                Some(place),
                subscribed.map_err(DriverError::while_doing(doing.clone()))?,
            );
            let stream = task.destination(number);
            sources.push(Source {
                next: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}").into(),
                inbox: subject,
                info: format!("$JS.API.CONSUMER.INFO.{stream}.{name}").into(),
                wanted: 0,
                forgotten: Instant::now() + SILENCE,
            });
        }
        let acking = match task.delivery {
            Delivery::AtMostOnce => Acking::Not,
            Delivery::AtLeastOnce if acks_all(task) => Acking::All,
            Delivery::AtLeastOnce => Acking::Each,
            Delivery::ExactlyOnce => Acking::Confirmed,
        };
        let confirmations = format!("{inbox}.confirmed.");
        let answers = Subject::from(format!("{inbox}.answer"));
        let mut beside = vec![answers.clone()];
        if acking == Acking::Confirmed {
            beside.push(format!("{confirmations}*.*").into());
        }
        for subject in beside {
            let subscribed = client.subscribe(subject).await;
            add(
                None,
                subscribed.map_err(DriverError::while_doing(doing.clone()))?,
            );
        }
        let batch = task.count("pull_batch").unwrap_or(500);
        let request = json!({
            "batch": batch,
            "expires": EXPIRES.as_nanos() as u64,
            "idle_heartbeat": HEARTBEAT.as_nanos() as u64,
        });
        Ok(Reader {
            connection,
            incoming,
            sources,
            acking,
            policy: task.workload.ack,
            owed: Owed {
                replies: Vec::new(),
                count: 0,
                since: Instant::now(),
            },
            unconfirmed: HashMap::new(),
            confirmations,
            answers,
            request: (!is_push(task)).then(|| (batch, Bytes::from(request.to_string()))),
        })
    }

    /// Reads until it fails, and says why.
    pub async fn run(mut self, mut inbox: Inbox) -> Result<Infallible, String> {
        self.ask().await?;
        let listening = self.connection.round_trip().await;
        listening.map_err(|error| error.cause)?;
        inbox.ready();
        loop {
            let wake = self.wake();
            let message = match select(self.incoming.next(), pin!(sleep_until(wake))).await {
                Either::Left((Some(message), _)) => Some(message),
                Either::Left((None, _)) => return Err("the subscription ended".to_owned()),
                Either::Right(_) => None,
            };
            if let Some(message) = message {
                let now = Instant::now();
                self.take(message, now, &mut inbox).await?;
                for _ in 1..ROUND {
                    let Some(Some(message)) = self.incoming.next().now_or_never() else {
                        break;
                    };
                    self.take(message, now, &mut inbox).await?;
                }
            }
            self.acknowledge().await?;
            self.ask().await?;
        }
    }

    /// When to look again although nothing came.
    fn wake(&self) -> Instant {
        let mut wake = Instant::now() + HEARTBEAT;
        if self.owed.count > 0 {
            wake = wake.min(self.owed.since + self.policy.within);
        }
        wake
    }

    async fn take(
        &mut self,
        (source, message): (Option<usize>, Message),
        now: Instant,
        inbox: &mut Inbox,
    ) -> Result<(), String> {
        let Some(place) = source else {
            if message.subject == self.answers
                && let Some(words) = not_found(&message.payload)
            {
                return Err(format!("the server says: {words}"));
            }
            self.confirm(&message);
            return Ok(());
        };
        let source = &mut self.sources[place];
        source.forgotten = now + SILENCE;
        if let Some(status) = message.status {
            return self.heed(place, status, message).await;
        }
        source.wanted = source.wanted.saturating_sub(1);
        let reply = message.reply.unwrap_or_else(|| Subject::from(""));
        let delivered = Delivered::read(&reply);
        let redelivered = delivered.is_some_and(|d| d.times > 1);
        if self.acking == Acking::Confirmed
            && redelivered
            && let Some(delivered) = delivered
            && self.unconfirmed.contains_key(&(place, delivered.sequence))
        {
            // Handed in before: only the acknowledgement was lost.
            return self.repeat(place, delivered.sequence, reply, now).await;
        }
        inbox.received_at(inbox.stamp(), &message.payload, redelivered);
        if self.acking == Acking::Not {
            return Ok(());
        }
        if self.owed.count == 0 {
            self.owed.since = now;
        }
        self.owed.count += 1;
        if self.acking == Acking::All {
            self.owed.replies.retain(|(other, _)| *other != place);
        }
        self.owed.replies.push((place, reply));
        if self.owed.count >= u64::from(self.policy.every.max(1)) {
            self.acknowledge().await?;
        }
        Ok(())
    }

    /// What the server says beside the messages.
    async fn heed(
        &mut self,
        place: usize,
        status: StatusCode,
        message: Message,
    ) -> Result<(), String> {
        let words = message.description.unwrap_or_default();
        let source = &mut self.sources[place];
        match status.as_u16() {
            // A heartbeat; or a question whether everything so far has been taken.
            100 => {
                let stalled = message.headers.as_ref();
                let stalled = stalled.and_then(|h| h.get("Nats-Consumer-Stalled"));
                let stalled = stalled.map(|subject| Subject::from(subject.as_str()));
                if let Some(subject) = message.reply.or(stalled) {
                    self.publish(subject, None).await?;
                }
            }
            // Nobody: there is no leader, the server has just been started, or the stream has been removed
            // while no request waited that could have been told so. It is asked when the pause is over.
            503 => source.forgotten = Instant::now() + AFTER_NOBODY,
            409 if words.contains("Deleted") || words.contains("push") => {
                return Err(format!("the server says: {words}"));
            }
            // The request has ended, with so many messages missing.
            _ => {
                let pending = message.headers.as_ref();
                let pending = pending.and_then(|h| h.get("Nats-Pending-Messages"));
                let pending = pending.and_then(|count| count.as_str().parse::<u64>().ok());
                source.wanted = match pending {
                    Some(pending) => source.wanted.saturating_sub(pending),
                    None => 0,
                };
            }
        }
        Ok(())
    }

    /// Asks for more where half of what was asked for has come, and what is the matter where nothing comes.
    async fn ask(&mut self) -> Result<(), String> {
        let request = self.request.clone();
        let now = Instant::now();
        let connected = self.connection.watch.is_connected();
        for place in 0..self.sources.len() {
            if now >= self.sources[place].forgotten && connected {
                let source = &mut self.sources[place];
                (source.wanted, source.forgotten) = (0, now + SILENCE);
                self.inquire(place).await?;
            }
            let Some((batch, request)) = &request else {
                continue;
            };
            let source = &mut self.sources[place];
            if source.wanted > batch / 2 {
                continue;
            }
            source.wanted += batch;
            let (next, inbox) = (source.next.clone(), source.inbox.clone());
            let asked = self
                .connection
                .client
                .publish_with_reply(next, inbox, request.clone());
            asked.await.map_err(|error| plain(&error.to_string()))?;
        }
        Ok(())
    }

    /// Asks whether the consumer is still there; nobody waits for the answer.
    async fn inquire(&self, place: usize) -> Result<(), String> {
        let info = self.sources[place].info.clone();
        self.publish(info, Some(self.answers.clone())).await
    }

    /// Sends the acknowledgements that are due.
    async fn acknowledge(&mut self) -> Result<(), String> {
        let now = Instant::now();
        let due = self.owed.count >= u64::from(self.policy.every.max(1))
            || self.owed.count > 0 && now.duration_since(self.owed.since) >= self.policy.within;
        if due {
            self.owed.count = 0;
            let mut replies = std::mem::take(&mut self.owed.replies);
            for (place, reply) in replies.drain(..) {
                if self.acking == Acking::Confirmed {
                    let sequence = Delivered::read(&reply).map_or(0, |d| d.sequence);
                    self.repeat(place, sequence, reply, now).await?;
                } else {
                    self.publish(reply, None).await?;
                }
            }
            self.owed.replies = replies;
        }
        if self.acking == Acking::Confirmed {
            self.remind(now).await?;
        }
        Ok(())
    }

    /// Asks again for confirmations that do not come.
    async fn remind(&mut self, now: Instant) -> Result<(), String> {
        let late = |u: &Unconfirmed| now.duration_since(u.since) >= AGAIN_AFTER;
        if !self.connection.watch.is_connected() || !self.unconfirmed.values().any(late) {
            return Ok(());
        }
        let late = self.unconfirmed.iter().filter(|(_, u)| late(u));
        let late: Vec<_> = late.map(|(key, u)| (*key, u.reply.clone())).collect();
        for ((place, sequence), reply) in late {
            self.repeat(place, sequence, reply, now).await?;
        }
        Ok(())
    }

    /// Sends an acknowledgement that is to be confirmed, for the first time or once more.
    async fn repeat(
        &mut self,
        place: usize,
        sequence: u64,
        reply: Subject,
        since: Instant,
    ) -> Result<(), String> {
        let confirmation = format!("{}{place}.{sequence}", self.confirmations);
        let unconfirmed = Unconfirmed {
            reply: reply.clone(),
            since,
        };
        self.unconfirmed.insert((place, sequence), unconfirmed);
        self.publish(reply, Some(confirmation.into())).await
    }

    fn confirm(&mut self, message: &Message) {
        let key = message.subject.strip_prefix(&self.confirmations);
        let key = key.and_then(|key| key.split_once('.'));
        if let Some((place, sequence)) = key
            && let (Ok(place), Ok(sequence)) = (place.parse(), sequence.parse())
            && message.status.is_none()
        {
            self.unconfirmed.remove(&(place, sequence));
        }
    }

    /// Sends a word without content: an acknowledgement, an answer to flow control, or a question.
    async fn publish(&self, subject: Subject, reply: Option<Subject>) -> Result<(), String> {
        let client = &self.connection.client;
        let published = match reply {
            None => client.publish(subject, Bytes::new()).await,
            Some(reply) => {
                client
                    .publish_with_reply(subject, reply, Bytes::new())
                    .await
            }
        };
        published.map_err(|error| plain(&error.to_string()))
    }
}

/// What the subject of an acknowledgement says of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delivered {
    /// How often it was delivered, this time included.
    times: u64,
    /// Its place in the stream.
    sequence: u64,
}

impl Delivered {
    /// `$JS.ACK.<stream>.<consumer>.<times>.<sequence>…`, with a domain and an account before the stream
    /// in the longer form.
    fn read(subject: &str) -> Option<Delivered> {
        let tokens = subject.strip_prefix("$JS.ACK.")?;
        let skipped = match tokens.bytes().filter(|byte| *byte == b'.').count() {
            6 => 2,
            _ => 4,
        };
        let mut tokens = tokens.split('.').skip(skipped);
        Some(Delivered {
            times: tokens.next()?.parse().ok()?,
            sequence: tokens.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Delivered;

    #[test]
    fn both_forms_of_an_acknowledgement_are_read() {
        let expected = Some(Delivered {
            times: 2,
            sequence: 1234,
        });
        let short = "$JS.ACK.orders.group-0.2.1234.99.1700000000000000000.5";
        assert_eq!(Delivered::read(short), expected);
        let long = "$JS.ACK._.hash.orders.group-0.2.1234.99.1700000000000000000.5.random";
        assert_eq!(Delivered::read(long), expected);
        assert_eq!(Delivered::read("_INBOX.x"), None);
    }
}
