//! async-nats and JetStream in a plain loop.

use std::future::IntoFuture as _;
use std::sync::mpsc;

use async_nats::jetstream::{self, consumer, stream};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use crate::load::{ACK_WINDOW, Load, Sink, Source};
use crate::{Bare, on_thread};

/// Messages that one request asks for.
const PULL: usize = 500;

/// A stream in files, acknowledgements to the publisher and explicit ones of the consumer.
pub struct JetStream;

impl Bare for JetStream {
    fn driver(&self) -> &'static str {
        "jetstream"
    }

    fn guarantee(&self) -> (&'static str, &'static str) {
        ("at-least-once", "disk")
    }

    fn acks(&self) -> bool {
        true
    }

    fn options(&self, _load: &Load) -> &'static str {
        "retention: limits, "
    }

    fn consume(&self, url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink) {
        on_thread(async {
            let client = async_nats::connect(url).await.expect("a connection");
            let context = jetstream::new(client);
            let _ = context.delete_stream("bare").await;
            let stream = stream::Config {
                name: "bare".to_owned(),
                subjects: vec!["bare".to_owned()],
                storage: stream::StorageType::File,
                ..stream::Config::default()
            };
            let stream = context.create_stream(stream).await.expect("a stream");
            let config = consumer::pull::Config {
                durable_name: Some("bare".to_owned()),
                max_ack_pending: 100_000,
                ..consumer::pull::Config::default()
            };
            let consumer = stream.create_consumer(config).await.expect("a consumer");
            let messages = consumer.stream().max_messages_per_batch(PULL).messages();
            let mut messages = messages.await.expect("a subscription");
            ready.send(url.to_owned()).expect("heard");
            loop {
                let message = messages.next().await.expect("a message").expect("whole");
                message.ack().await.expect("written");
                if !sink.take(&message.payload) {
                    return;
                }
            }
        });
    }

    fn publish(&self, url: &str, mut source: Source) {
        on_thread(async {
            let client = async_nats::connect(url).await.expect("a connection");
            let context = jetstream::context::ContextBuilder::new()
                .max_ack_inflight(ACK_WINDOW)
                .build(client);
            let mut under_way = FuturesUnordered::new();
            while let Some(body) = source.next().await {
                let sent = context.publish("bare", body).await.expect("sent");
                under_way.push(sent.into_future());
                while under_way.len() >= ACK_WINDOW {
                    let ack = under_way.next().await.expect("some are under way");
                    ack.expect("an answer");
                }
                while let Some(Some(ack)) = under_way.next().now_or_never() {
                    ack.expect("an answer");
                }
            }
            while let Some(ack) = under_way.next().await {
                ack.expect("an answer");
            }
        });
    }
}
