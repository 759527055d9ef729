//! lapin in a plain loop.

use std::pin::pin;
use std::sync::mpsc;

use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::load::{ACK_WINDOW, Sink, Source};
use crate::{Bare, on_thread};

/// Messages that are handed to the library before their confirms are looked for.
const BATCH: usize = 64;
/// Messages that are acknowledged at once, and that may be unacknowledged.
const ACK_EVERY: u64 = 100;
const PREFETCH: u16 = 1_000;
const PERSISTENT: u8 = 2;

/// A durable queue, persistent messages, confirms and acknowledgements.
pub struct RabbitMq;

impl Bare for RabbitMq {
    fn driver(&self) -> &'static str {
        "rabbitmq"
    }

    fn guarantee(&self) -> (&'static str, &'static str) {
        ("at-least-once", "disk")
    }

    fn acks(&self) -> bool {
        true
    }

    fn consume(&self, url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink) {
        on_thread(async {
            let (_connection, channel) = open(url).await;
            let (queue, none) = (ShortString::from("bare"), FieldTable::default());
            let gone = channel.queue_delete(queue.clone(), QueueDeleteOptions::default());
            gone.await.expect("removed");
            let durable = QueueDeclareOptions {
                durable: true,
                ..QueueDeclareOptions::default()
            };
            let made = channel.queue_declare(queue.clone(), durable, none.clone());
            made.await.expect("a queue");
            let set = channel.basic_qos(PREFETCH, BasicQosOptions::default());
            set.await.expect("set");
            let options = BasicConsumeOptions::default();
            let messages = channel.basic_consume(queue, ShortString::default(), options, none);
            let mut messages = messages.await.expect("a subscription");
            ready.send(url.to_owned()).expect("heard");
            loop {
                let message = messages.next().await.expect("a message").expect("whole");
                let more = sink.take(&message.data);
                let tag = message.delivery_tag;
                if !more || tag % ACK_EVERY == 0 {
                    let options = BasicAckOptions { multiple: true };
                    channel.basic_ack(tag, options).await.expect("written");
                }
                if !more {
                    return;
                }
            }
        });
    }

    fn publish(&self, url: &str, mut source: Source) {
        on_thread(async {
            let (_connection, channel) = open(url).await;
            let confirms = channel.confirm_select(ConfirmSelectOptions::default());
            confirms.await.expect("selected");
            let batch = if source.is_paced() { 1 } else { BATCH };
            let mut under_way = FuturesUnordered::new();
            let mut taken = 0;
            loop {
                let body = {
                    let mut next = pin!(source.next());
                    loop {
                        if under_way.len() >= ACK_WINDOW {
                            under_way.next().await;
                        } else if under_way.is_empty() || taken % batch != 0 {
                            break next.await;
                        } else if let Either::Left((body, _)) =
                            select(next.as_mut(), under_way.next()).await
                        {
                            break body;
                        }
                    }
                };
                let Some(body) = body else { break };
                under_way.push(send(&channel, body));
                taken += 1;
                if taken % batch == 0 {
                    // Nothing is sent before it is first polled.
                    while let Some(Some(())) = under_way.next().now_or_never() {}
                }
            }
            while under_way.next().await.is_some() {}
        });
    }
}

async fn open(url: &str) -> (Connection, Channel) {
    let connecting = Connection::connect(url, ConnectionProperties::default());
    let connection = connecting.await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

async fn send(channel: &Channel, body: bytes::Bytes) {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    let published = channel.basic_publish("".into(), "bare".into(), options, &body, properties);
    let confirm = published.await.expect("written").await;
    assert!(confirm.expect("an answer").is_ack());
}
