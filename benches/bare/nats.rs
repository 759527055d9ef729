//! async-nats in a plain loop.

use std::sync::mpsc;

use futures_util::StreamExt;

use crate::load::{Sink, Source};
use crate::{Bare, on_thread};

/// Core, without acknowledgements.
pub struct Nats;

impl Bare for Nats {
    fn driver(&self) -> &'static str {
        "nats"
    }

    fn consume(&self, url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink) {
        on_thread(async {
            let options = async_nats::ConnectOptions::new().subscription_capacity(524_288);
            let client = options.connect(url).await.expect("a connection");
            let mut messages = client.subscribe("bare").await.expect("a subscription");
            // The server answers one message after the other: what comes back says that it has subscribed.
            let mut echo = client.subscribe("echo").await.expect("a subscription");
            client.publish("echo", "".into()).await.expect("sent");
            echo.next().await.expect("an answer");
            ready.send(url.to_owned()).expect("heard");
            while sink.take(&messages.next().await.expect("a message").payload) {}
        });
    }

    fn publish(&self, url: &str, mut source: Source) {
        on_thread(async {
            let client = async_nats::connect(url).await.expect("a connection");
            while let Some(body) = source.next().await {
                client.publish("bare", body).await.expect("sent");
            }
            client.flush().await.expect("written");
        });
    }
}
