//! The Pulsar client in a plain loop.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use futures_util::StreamExt;
use pulsar::consumer::InitialPosition;
use pulsar::producer::Message;
use pulsar::{
    Consumer, ConsumerOptions, ProducerOptions, Pulsar as Client, SubType, TokioExecutor,
};

use crate::load::{ACK_WINDOW, Sink, Source};
use crate::{Bare, on_thread};

/// Messages between acknowledgements.
const ACK_EVERY: u64 = 100;

/// A persistent topic, receipts awaited, an exclusive subscription.
pub struct Pulsar;

impl Bare for Pulsar {
    fn driver(&self) -> &'static str {
        "pulsar"
    }

    fn guarantee(&self) -> (&'static str, &'static str) {
        ("at-least-once", "disk")
    }

    fn acks(&self) -> bool {
        true
    }

    fn consume(&self, url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink) {
        static ROUNDS: AtomicU32 = AtomicU32::new(0);
        let round = ROUNDS.fetch_add(1, Ordering::Relaxed);
        let topic = format!("persistent://public/default/bare-{round}");
        on_thread(async {
            let mut consumer: Consumer<Vec<u8>, TokioExecutor> = client(url)
                .await
                .consumer()
                .with_topic(&topic)
                .with_subscription("bare")
                .with_subscription_type(SubType::Exclusive)
                .with_options(
                    ConsumerOptions::default().with_initial_position(InitialPosition::Earliest),
                )
                .build()
                .await
                .expect("a subscription");
            ready.send(format!("{url} {topic}")).expect("heard");
            let mut count = 0;
            while let Some(message) = consumer.next().await {
                let message = message.expect("a message");
                let more = sink.take(&message.payload.data);
                count += 1;
                if count % ACK_EVERY == 0 || !more {
                    let acknowledged = consumer.cumulative_ack(&message).await;
                    acknowledged.expect("under way");
                }
                if !more {
                    return;
                }
            }
            panic!("the consumer ended");
        });
    }

    fn publish(&self, url: &str, mut source: Source) {
        let (url, topic) = url.split_once(' ').expect("a topic");
        on_thread(async {
            let mut producer = client(url)
                .await
                .producer()
                .with_topic(topic)
                .with_options(ProducerOptions {
                    block_queue_if_full: true,
                    ..ProducerOptions::default()
                })
                .build()
                .await
                .expect("a producer");
            let mut under_way = VecDeque::new();
            while let Some(body) = source.next().await {
                let message = Message {
                    payload: body.to_vec(),
                    ..Message::default()
                };
                let sent = producer.send_non_blocking(message).await;
                under_way.push_back(sent.expect("under way"));
                while under_way.len() >= ACK_WINDOW {
                    let first = under_way.pop_front().expect("some are under way");
                    first.await.expect("a receipt");
                }
            }
            for last in under_way {
                last.await.expect("a receipt");
            }
        });
    }
}

async fn client(url: &str) -> Client<TokioExecutor> {
    // Where the administration answers is for mqbench.
    let url = url.split('?').next().expect("an address");
    let connected = Client::builder(url, TokioExecutor).build().await;
    connected.expect("a connection")
}
