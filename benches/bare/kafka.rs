//! rdkafka in a plain loop.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};

use crate::load::{ACK_WINDOW, Load, Sink, Source};
use crate::{Bare, on_thread};

/// Messages between commits.
const COMMIT_EVERY: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(10);

/// A topic of one partition, an idempotent producer, commits.
pub struct Kafka;

impl Bare for Kafka {
    fn driver(&self) -> &'static str {
        "kafka"
    }

    fn guarantee(&self) -> (&'static str, &'static str) {
        ("at-least-once", "disk")
    }

    fn acks(&self) -> bool {
        true
    }

    fn options(&self, _: &Load) -> &'static str {
        "linger: 0ms, "
    }

    fn consume(&self, url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink) {
        static ROUNDS: AtomicU32 = AtomicU32::new(0);
        let topic = format!("bare-{}", ROUNDS.fetch_add(1, Ordering::Relaxed));
        let admin: AdminClient<DefaultClientContext> = config(url).create().expect("a client");
        let made = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
        let making = async { admin.create_topics([&made], &AdminOptions::new()).await };
        let made = on_thread(making).expect("an answer");
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        let mut settings = config(url);
        settings
            .set("group.id", &topic)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("fetch.queue.backoff.ms", "1");
        let consumer: BaseConsumer = settings.create().expect("a client");
        consumer.subscribe(&[&topic]).expect("subscribed");
        while consumer.assignment().expect("known").count() == 0 {
            let early = consumer.poll(Duration::from_millis(10));
            assert!(early.is_none(), "nothing was sent");
        }
        ready.send(format!("{url} {topic}")).expect("heard");
        let mut count = 0;
        loop {
            let Some(message) = consumer.poll(PATIENCE) else {
                panic!("nothing came within {PATIENCE:?}");
            };
            let message = message.expect("a message");
            let more = sink.take(message.payload().unwrap_or_default());
            count += 1;
            if count % COMMIT_EVERY == 0 || !more {
                let commit = consumer.commit_consumer_state(CommitMode::Async);
                commit.expect("under way");
            }
            if !more {
                return;
            }
        }
    }

    fn publish(&self, url: &str, mut source: Source) {
        let (url, topic) = url.split_once(' ').expect("a topic");
        let under_way = Arc::new(AtomicUsize::new(0));
        let mut settings = config(url);
        settings
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("batch.size", "1000000")
            .set("batch.num.messages", "1000000");
        let counting = Counting(Arc::clone(&under_way));
        let producer: ThreadedProducer<Counting> =
            settings.create_with_context(counting).expect("a client");
        while let Some(body) = source.next_blocking() {
            while under_way.load(Ordering::Acquire) >= ACK_WINDOW {
                thread::sleep(Duration::from_micros(50));
            }
            under_way.fetch_add(1, Ordering::Relaxed);
            let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic).payload(&body[..]);
            while let Err((error, back)) = producer.send(record) {
                let full = RDKafkaErrorCode::QueueFull;
                assert_eq!(error, KafkaError::MessageProduction(full));
                record = back;
                thread::sleep(Duration::from_micros(50));
            }
        }
        while under_way.load(Ordering::Acquire) > 0 {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

struct Counting(Arc<AtomicUsize>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        result.as_ref().expect("delivered");
        self.0.fetch_sub(1, Ordering::Release);
    }
}

fn config(url: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", url.trim_start_matches("kafka://"))
        .set("socket.nagle.disable", "true");
    config
}
