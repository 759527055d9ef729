//! How the Kafka driver publishes: each message is handed to the client library, which batches them by
//! itself and tells on a thread of its own what became of them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
};

use super::kafka_client::{Heard, Vigil, client, config, failed, words};
use super::kafka_upkeep::first_words;
use super::{BlockingPublisher, DriverError};
use crate::engine::acks::{Acks, Token};
use crate::engine::outbox::Message;
use crate::engine::pacing::BlockingOutbox;
use crate::engine::shared::lock;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Transaction};

/// Messages taken from the outbox at a time; each is a call of its own, so few share a stamp.
const BATCH: usize = 64;
/// How long the loop waits before it looks whether the connection is there.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long the library may take to prepare for transactions.
const PREPARED_WITHIN: Duration = Duration::from_secs(10);
/// How long one attempt to commit takes, after which it is looked whether the trial is over.
const COMMIT: Duration = Duration::from_millis(500);
/// The most requests that the library lets an idempotent publisher have under way: with more, the
/// server could not tell their order.
const IDEMPOTENT_REQUESTS: u64 = 5;

/// What the library is told to do with each message.
pub fn requests(task: &Task) -> u64 {
    let asked = task.count("in_flight").unwrap_or(IDEMPOTENT_REQUESTS);
    match task.delivery {
        Delivery::AtMostOnce => asked,
        _ => asked.min(IDEMPOTENT_REQUESTS),
    }
}

/// Where the library says what became of a message.
struct Deliveries {
    heard: Heard,
    acks: OnceLock<Acks>,
    /// Whether what was written counts as nothing more than that.
    silent: bool,
    transaction: Option<Arc<Delivered>>,
}

/// What was delivered of the open transaction: who ends it waits for that.
#[derive(Default)]
struct Delivered {
    settled: Mutex<Settled>,
    more: Condvar,
}

#[derive(Default)]
struct Settled {
    count: usize,
    /// The first reason why a message was not delivered.
    failure: Option<String>,
}

impl Delivered {
    /// One more message is delivered, or is not and never will be.
    fn settle(&self, failure: Option<String>) {
        let mut settled = lock(&self.settled);
        settled.count += 1;
        settled.failure = settled.failure.take().or(failure);
        drop(settled);
        self.more.notify_one();
    }

    /// Waits for so many, for a short time, and takes what came of them.
    fn take(&self, count: usize) -> Option<Settled> {
        let settled = lock(&self.settled);
        let few = |settled: &mut Settled| settled.count < count;
        let waited = self.more.wait_timeout_while(settled, PATIENCE, few);
        let (mut settled, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (settled.count >= count).then(|| std::mem::take(&mut *settled))
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.heard.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// The message comes back with its acknowledgement, and its header is its token: nothing needs to be
    /// kept for it.
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let (message, error) = match result {
            Ok(message) => (message, None),
            Err((error, message)) => (message, Some(error)),
        };
        if let Some(error) = error {
            self.heard.note(error.rdkafka_error_code());
        }
        if let Some(delivered) = &self.transaction {
            return delivered.settle(error.map(words));
        }
        let token = message.payload().and_then(Token::of);
        let (Some(token), Some(acks)) = (token, self.acks.get()) else {
            return;
        };
        match error {
            None if self.silent => {}
            None => acks.acked(token),
            // Given up at the end: nobody knows what became of it.
            Some(error) if is_purged(error) => {}
            Some(error) => acks.failed(token, &words(error)),
        }
    }
}

fn is_purged(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{PurgeInflight, PurgeQueue};
    matches!(error.rdkafka_error_code(), Some(PurgeInflight | PurgeQueue))
}

/// One of the publishers.
pub struct KafkaPublisher {
    task: Arc<Task>,
    number: u32,
    topics: Vec<Topic>,
    heard: Heard,
    delivered: Option<Arc<Delivered>>,
    producer: Option<ThreadedProducer<Deliveries>>,
    /// The largest message that the topics take.
    largest: u64,
}

/// A destination.
#[derive(Clone)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Whether no consumer reads more than one of them, so that messages without a key may go to any
    /// and still arrive in order.
    pub spread: bool,
}

impl KafkaPublisher {
    /// Publisher `number`; `topics` by destination.
    pub fn new(task: &Arc<Task>, number: u32, topics: Vec<Topic>, largest: u64) -> KafkaPublisher {
        let transacts = task.delivery == Delivery::ExactlyOnce;
        KafkaPublisher {
            task: Arc::clone(task),
            number,
            topics,
            heard: Heard::default(),
            delivered: transacts.then(Arc::default),
            producer: None,
            largest,
        }
    }

    fn settings(&self) -> Result<rdkafka::ClientConfig, DriverError> {
        let task = &self.task;
        let linger = task.time("linger").unwrap_or_default();
        let batch = task.size("batch_size").unwrap_or(1 << 20).min(self.largest);
        let in_flight = u64::from(task.workload.in_flight);
        let mut settings = config(task)?;
        settings
            .set("linger.ms", (linger.as_secs_f64() * 1e3).to_string())
            .set("batch.size", batch.to_string())
            // The library's 10,000 would end a batch of short messages early.
            .set("batch.num.messages", "1000000")
            .set("message.max.bytes", self.largest.max(1_000).to_string())
            // All that may be under way, and not less than the library has by itself.
            .set(
                "queue.buffering.max.messages",
                in_flight.max(100_000).to_string(),
            )
            .set("queue.buffering.max.kbytes", (2 << 20).to_string())
            .set(
                "compression.codec",
                task.text("compression").unwrap_or("none"),
            )
            .set(
                "max.in.flight.requests.per.connection",
                requests(task).to_string(),
            )
            // The same as that of the Java client: a key is in one place, whoever sends it.
            .set("partitioner", "murmur2_random");
        match task.delivery {
            // To try again could make two of one.
            Delivery::AtMostOnce => settings
                .set("acks", if task.acks { "1" } else { "0" })
                .set("retries", "0"),
            _ => settings
                .set("acks", "all")
                .set("enable.idempotence", "true"),
        };
        if self.delivered.is_some() {
            let id = format!("mqbench-{}-{}-{}", task.run_id, task.trial, self.number);
            settings.set("transactional.id", id);
        }
        Ok(settings)
    }
}

impl KafkaPublisher {
    /// Sends a message where nobody reads and waits for it. The first one of an idempotent publisher
    /// asks for a number to go by, the first transaction finds its coordinator; where a try comes too
    /// early the library waits half a second for the next.
    fn send_first(
        &self,
        producer: &ThreadedProducer<Deliveries>,
        topic: &str,
    ) -> Result<(), KafkaError> {
        if self.delivered.is_some() {
            producer.begin_transaction()?;
        }
        let record: BaseRecord<'_, (), str> = BaseRecord::to(topic).payload("first");
        producer.send(record).map_err(|(error, _)| error)?;
        let limit = Instant::now() + PREPARED_WITHIN;
        while producer.in_flight_count() > 0 {
            if Instant::now() > limit {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
            thread::sleep(Duration::from_millis(1));
        }
        if let Some(delivered) = &self.delivered {
            producer.commit_transaction(PREPARED_WITHIN)?;
            delivered.take(1);
        }
        Ok(())
    }
}

impl BlockingPublisher for KafkaPublisher {
    fn connect(&mut self) -> Result<(), DriverError> {
        let task = &self.task;
        let context = Deliveries {
            heard: self.heard.clone(),
            acks: OnceLock::new(),
            silent: !task.acks,
            transaction: self.delivered.clone(),
        };
        let producer: ThreadedProducer<Deliveries> = client(task, &self.settings()?, context)?;
        if self.delivered.is_some() {
            let prepared = producer.init_transactions(PREPARED_WITHIN);
            prepared.map_err(failed(task, "prepare for transactions"))?;
        }
        // The first message would wait for all of this: where topics are, and connections to there.
        let wrong = failed(task, "ask for the topics");
        for number in task.destinations_by(self.number) {
            let topic = &self.topics[number as usize];
            let asked = producer
                .client()
                .fetch_metadata(Some(&topic.name), PREPARED_WITHIN);
            asked.map_err(&wrong)?;
            for partition in 0..topic.partitions.min(64) as i32 {
                find_leader(&producer, &topic.name, partition).map_err(&wrong)?;
            }
        }
        if let Some(topic) = first_words(task) {
            let sent = self.send_first(&producer, &topic);
            sent.map_err(failed(task, "send a first message"))?;
        }
        self.producer = Some(producer);
        Ok(())
    }

    fn run(&mut self, outbox: BlockingOutbox) -> Result<(), DriverError> {
        let Some(producer) = self.producer.take() else {
            return Err(DriverError {
                doing: "publish".to_owned(),
                cause: "the publisher was not connected".to_owned(),
            });
        };
        let acks = outbox.acks();
        let _ = producer.context().acks.set(acks.clone());
        let mut sending = Sending {
            task: &self.task,
            topics: &self.topics,
            vigil: Vigil::new(self.heard.clone()),
            producer: &producer,
            outbox,
            acks,
            number: self.number,
            turn: self.number,
            bytes: Vec::new(),
        };
        let ended = match &self.delivered {
            Some(delivered) => {
                let limits = self.task.workload.transaction.unwrap_or_default();
                sending.in_transactions(delivered, limits)
            }
            None => sending.one_by_one(),
        };
        if producer.in_flight_count() > 0 {
            // What the cluster has not answered by now would hold up the end.
            producer.purge(PurgeConfig::default().queue().inflight());
            let limit = Instant::now() + COMMIT;
            while producer.in_flight_count() > 0 && Instant::now() < limit {
                thread::sleep(Duration::from_millis(1));
            }
        }
        ended
    }
}

/// A loop that sends, and what it needs.
struct Sending<'a> {
    task: &'a Task,
    topics: &'a [Topic],
    vigil: Vigil,
    producer: &'a ThreadedProducer<Deliveries>,
    outbox: BlockingOutbox,
    acks: Acks,
    number: u32,
    /// Which partition is next, where messages have no key and may go to any.
    turn: u32,
    bytes: Vec<u8>,
}

impl Sending<'_> {
    fn look(&mut self) -> Result<(), DriverError> {
        let client = self.producer.client();
        let ask = |patience| client.fetch_metadata(None, patience).is_ok();
        self.vigil.look(self.task, "send to", ask)
    }

    /// Each message for itself.
    fn one_by_one(&mut self) -> Result<(), DriverError> {
        loop {
            match self.outbox.due_within(BATCH, PATIENCE) {
                Some(0) => break,
                Some(_) => self.send_batch(|acks, token, sent| {
                    if let Err(why) = sent {
                        acks.failed(token, &why);
                    }
                }),
                None => {}
            }
            self.look()?;
        }
        while !self.outbox.is_over() && self.producer.in_flight_count() > 0 {
            thread::sleep(Duration::from_millis(1));
            self.look()?;
        }
        if self.task.acks {
            return Ok(());
        }
        // What was written is not yet what the server has read, and the end of the connection could take
        // it back: an answer that comes behind it says that it is there.
        for number in self.task.destinations_by(self.number) {
            let topic = &self.topics[number as usize];
            for partition in 0..topic.partitions as i32 {
                let ask = |s: &Self| {
                    let client = s.producer.client();
                    let answer = client.fetch_watermarks(&topic.name, partition, PATIENCE);
                    answer.is_ok()
                };
                while !self.outbox.is_over() && !ask(self) {
                    self.look()?;
                }
            }
        }
        Ok(())
    }

    /// Hands the messages that are due to the library; `each` learns why one was not taken.
    fn send_batch(&mut self, mut each: impl FnMut(&Acks, Token, Result<(), String>)) {
        self.turn = self.turn.wrapping_add(1);
        let ledger = Arc::clone(self.outbox.ledger());
        let is_over = || ledger.stopping.load(Ordering::Relaxed);
        while let Some(message) = self.outbox.next() {
            self.bytes.clear();
            message.append_to(&mut self.bytes);
            let topic = &self.topics[message.destination as usize];
            let turn = if topic.spread { self.turn } else { self.number };
            let sent = send(self.producer, topic, turn, &message, &self.bytes, is_over);
            each(&self.acks, message.token, sent);
        }
    }

    /// So many messages at a time, or those of so long, as one.
    fn in_transactions(
        &mut self,
        delivered: &Delivered,
        limits: Transaction,
    ) -> Result<(), DriverError> {
        let most = limits.messages.max(1) as usize;
        let mut tokens: Vec<Token> = Vec::with_capacity(most);
        let mut since = Instant::now();
        loop {
            let left = match tokens.is_empty() {
                true => PATIENCE,
                false => limits.within.saturating_sub(since.elapsed()),
            };
            let due = self.outbox.due_within(BATCH.min(most - tokens.len()), left);
            if due.is_some_and(|count| count > 0) {
                if tokens.is_empty() {
                    since = Instant::now();
                    let began = self.producer.begin_transaction();
                    began.map_err(failed(self.task, "begin a transaction"))?;
                }
                self.send_batch(|_, token, sent| {
                    tokens.push(token);
                    if sent.is_err() {
                        delivered.settle(sent.err());
                    }
                });
            }
            let full = tokens.len() == most || since.elapsed() >= limits.within;
            if !tokens.is_empty() && (full || due == Some(0)) {
                let committed = self.commit(&tokens, delivered);
                match committed {
                    Ok(Outcome::Committed) => self.acks.acked_all(tokens.drain(..)),
                    Ok(Outcome::Aborted(why)) => self.fail(&mut tokens, &why),
                    Ok(Outcome::Over) => break Ok(()),
                    Err(error) => {
                        self.fail(&mut tokens, &error.cause);
                        break Err(error);
                    }
                }
            }
            if due == Some(0) {
                break Ok(());
            }
            if let Err(error) = self.look() {
                self.fail(&mut tokens, &error.cause);
                break Err(error);
            }
        }
    }

    fn fail(&self, tokens: &mut Vec<Token>, why: &str) {
        for token in tokens.drain(..) {
            self.acks.failed(token, &why);
        }
    }

    /// Ends the open transaction one way or the other.
    fn commit(&mut self, tokens: &[Token], delivered: &Delivered) -> Result<Outcome, DriverError> {
        let mut failure = loop {
            if let Some(settled) = delivered.take(tokens.len()) {
                break settled.failure;
            }
            if self.outbox.is_over() {
                return Ok(Outcome::Over);
            }
            self.look()?;
        };
        // The last are let go when they have been told of; before, a commit would wait for them in
        // steps of a tenth of a second.
        while self.producer.in_flight_count() > 0 {
            thread::yield_now();
        }
        loop {
            let ended = match &failure {
                None => self.producer.commit_transaction(COMMIT),
                Some(_) => self.producer.abort_transaction(COMMIT),
            };
            let error = match (ended, failure.take()) {
                (Ok(()), None) => return Ok(Outcome::Committed),
                (Ok(()), Some(why)) => return Ok(Outcome::Aborted(why)),
                (Err(error), before) => {
                    failure = before;
                    error
                }
            };
            if self.outbox.is_over() {
                return Ok(Outcome::Over);
            }
            match &error {
                KafkaError::Transaction(e) if e.txn_requires_abort() && failure.is_none() => {
                    failure = Some(words(&error));
                }
                KafkaError::Transaction(e) if e.is_retriable() => {}
                _ => {
                    let mut wrong = failed(self.task, "end a transaction")(error);
                    // What the library says of a transaction that had failed already is no reason.
                    if let Some(before) = failure {
                        wrong.cause = format!("{before}; then: {}", wrong.cause);
                    }
                    return Err(wrong);
                }
            }
            self.look()?;
        }
    }
}

/// How a transaction ended.
enum Outcome {
    Committed,
    Aborted(String),
    /// The trial ended first.
    Over,
}

/// Waits until the leader of a partition serves it. That of a topic that was just made is named before
/// it knows of that itself, and drops what comes too early.
fn find_leader(
    producer: &ThreadedProducer<Deliveries>,
    topic: &str,
    partition: i32,
) -> Result<(), KafkaError> {
    use RDKafkaErrorCode as Code;
    let limit = Instant::now() + PREPARED_WITHIN;
    loop {
        let asked = producer
            .client()
            .fetch_watermarks(topic, partition, PREPARED_WITHIN);
        let Err(error) = asked else { return Ok(()) };
        let soon = matches!(
            error.rdkafka_error_code(),
            Some(
                Code::NotLeaderForPartition
                    | Code::LeaderNotAvailable
                    | Code::UnknownTopicOrPartition
            )
        );
        if !soon || Instant::now() > limit {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Hands one message to the library, waiting as long as its queue is full.
fn send(
    producer: &ThreadedProducer<Deliveries>,
    topic: &Topic,
    turn: u32,
    message: &Message<'_>,
    bytes: &[u8],
    is_over: impl Fn() -> bool,
) -> Result<(), String> {
    let key = message.key.map(u32::to_be_bytes);
    let mut record = BaseRecord::to(&topic.name).payload(bytes);
    record.key = key.as_ref().map(<[u8; 4]>::as_slice);
    if key.is_none() {
        record.partition = Some((turn % topic.partitions) as i32);
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                if is_over() {
                    return Err("the trial ended while the client's queue was full".to_owned());
                }
                record = back;
                thread::sleep(Duration::from_micros(50));
            }
            Err((error, _)) => return Err(words(&error)),
        }
    }
}
