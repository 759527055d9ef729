//! The Redis client in plain loops.

use std::collections::VecDeque;
use std::sync::mpsc;

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;

use crate::load::{ACK_WINDOW, Load, Sink, Source};
use crate::{Bare, on_thread};

/// Messages that go out in one write, where they are not paced.
const BATCH: usize = 64;

/// PUBLISH and SUBSCRIBE.
pub struct PubSub;

/// XADD and XREADGROUP.
pub struct Streams;

impl Bare for PubSub {
    fn driver(&self) -> &'static str {
        "redis-pubsub"
    }

    fn consume(&self, url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink) {
        on_thread(async {
            let client = redis::Client::open(url).expect("a URL");
            let mut pubsub = client.get_async_pubsub().await.expect("a connection");
            pubsub.subscribe("bare").await.expect("a subscription");
            ready.send(url.to_owned()).expect("heard");
            let mut messages = pubsub.on_message();
            loop {
                let message = messages.next().await.expect("a message");
                if !sink.take(message.get_payload_bytes()) {
                    return;
                }
            }
        });
    }

    fn publish(&self, url: &str, source: Source) {
        on_thread(send(url, source, |pipe, body| {
            pipe.cmd("PUBLISH").arg("bare").arg(body).ignore();
        }));
    }
}

impl Bare for Streams {
    fn driver(&self) -> &'static str {
        "redis-streams"
    }

    fn guarantee(&self) -> (&'static str, &'static str) {
        ("at-least-once", "memory")
    }

    fn acks(&self) -> bool {
        true
    }

    fn options(&self, _load: &Load) -> &'static str {
        // What is read stays here too.
        "trim: none, "
    }

    fn consume(&self, url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink) {
        on_thread(async {
            let mut connection = connect(url, true).await;
            let mut make = redis::pipe();
            make.cmd("DEL").arg("bare").ignore();
            let group = ["CREATE", "bare", "g", "$", "MKSTREAM"];
            make.cmd("XGROUP").arg(&group).ignore();
            let () = make.query_async(&mut connection).await.expect("a group");
            ready.send(url.to_owned()).expect("heard");
            let mut read: Vec<String> = Vec::new();
            loop {
                let mut pipe = redis::pipe();
                if !read.is_empty() {
                    pipe.cmd("XACK").arg("bare").arg("g").arg(&read).ignore();
                }
                pipe.cmd("XREADGROUP").arg(&[
                    "GROUP", "g", "c", "COUNT", "256", "BLOCK", "1000", "STREAMS", "bare", ">",
                ]);
                let (reply,): (redis::streams::StreamReadReply,) =
                    pipe.query_async(&mut connection).await.expect("a reply");
                read.clear();
                for entry in reply.keys.into_iter().flat_map(|key| key.ids) {
                    let body: Vec<u8> = entry.get("p").expect("a body");
                    read.push(entry.id);
                    if !sink.take(&body) {
                        return;
                    }
                }
            }
        });
    }

    fn publish(&self, url: &str, source: Source) {
        on_thread(send(url, source, |pipe, body| {
            pipe.cmd("XADD").arg(&["bare", "*", "p"]).arg(body).ignore();
        }));
    }
}

async fn connect(url: &str, patient: bool) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a URL");
    let mut config = redis::AsyncConnectionConfig::new();
    if patient {
        config = config.set_response_timeout(None);
    }
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.expect("a connection")
}

/// Paced: one command after the other. Otherwise: as many pipelines under way as the window holds.
async fn send(url: &str, mut source: Source, add: fn(&mut redis::Pipeline, &[u8])) {
    let connection = connect(url, false).await;
    let mut under_way = VecDeque::new();
    let (batch, at_once) = match source.is_paced() {
        true => (1, 1),
        false => (BATCH, ACK_WINDOW / BATCH),
    };
    loop {
        let mut pipe = redis::pipe();
        for _ in 0..batch {
            match source.next().await {
                Some(body) => add(&mut pipe, &body),
                None => break,
            }
        }
        if pipe.is_empty() {
            break;
        }
        let mut connection = connection.clone();
        under_way.push_back(tokio::task::spawn(async move {
            let () = pipe.query_async(&mut connection).await.expect("sent");
        }));
        while under_way.len() >= at_once {
            let first = under_way.pop_front().expect("some are under way");
            first.await.expect("done");
        }
    }
    for last in under_way {
        last.await.expect("done");
    }
}
