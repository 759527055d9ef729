//! rumqttc-next in a plain loop.

use std::cell::Cell;
use std::pin::pin;
use std::sync::mpsc;

use futures_util::future::{Either, select};
use rumqttc_three::{
    AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Outgoing, Packet, PublishOptions,
    QoS,
};

use crate::load::{ACK_WINDOW, Sink, Source};
use crate::{Bare, on_thread};

/// Requests that wait for the library's loop.
const QUEUE: usize = 64;

/// Version 3.1.1, at this quality.
pub struct Mqtt(pub QoS);

impl Bare for Mqtt {
    fn driver(&self) -> &'static str {
        "mqtt"
    }

    fn name(&self) -> &'static str {
        match self.0 {
            QoS::AtMostOnce => "mqtt-qos-0",
            QoS::AtLeastOnce => "mqtt-qos-1",
            QoS::ExactlyOnce => "mqtt-qos-2",
        }
    }

    fn guarantee(&self) -> (&'static str, &'static str) {
        match self.0 {
            QoS::AtMostOnce => ("at-most-once", "memory"),
            QoS::AtLeastOnce => ("at-least-once", "memory"),
            QoS::ExactlyOnce => ("exactly-once", "memory"),
        }
    }

    fn acks(&self) -> bool {
        self.0 != QoS::AtMostOnce
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        // By default what a slow consumer leaves is dropped, and a loop that measures nothing would wait
        // for it for ever.
        &[("max_queued_messages", "0")]
    }

    fn consume(&self, url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink) {
        on_thread(async {
            let (client, mut events) = connect(url, "bare-consumer");
            client.subscribe("bare", self.0).await.expect("taken");
            loop {
                match events.poll().await.expect("an event") {
                    Event::Incoming(Packet::SubAck(_)) => {
                        ready.send(url.to_owned()).expect("heard");
                    }
                    Event::Incoming(Packet::Publish(message)) if !sink.take(&message.payload) => {
                        return;
                    }
                    _ => {}
                }
            }
        });
    }

    fn publish(&self, url: &str, mut source: Source) {
        on_thread(async {
            let (client, mut events) = connect(url, "bare-publisher");
            let (sent, is_complete) = (Cell::new(0_u64), Cell::new(false));
            let sending = async {
                while let Some(body) = source.next().await {
                    let taken = client
                        .publish("bare", body, PublishOptions::new(self.0))
                        .await;
                    taken.expect("taken");
                    sent.set(sent.get() + 1);
                }
                is_complete.set(true);
            };
            let done_at = match self.acks() {
                true => |event: &Event| {
                    matches!(
                        event,
                        Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))
                    )
                },
                false => |event: &Event| matches!(event, Event::Outgoing(Outgoing::Publish(_))),
            };
            {
                let driving = pin!(async {
                    let mut done = 0;
                    while !(is_complete.get() && done == sent.get()) {
                        done += u64::from(done_at(&events.poll().await.expect("an event")));
                    }
                });
                if let Either::Left(((), driving)) = select(pin!(sending), driving).await {
                    driving.await;
                }
            }
            // What the library has not written yet is, before it takes leave.
            client.disconnect().await.expect("taken");
            while events.poll().await.is_ok() {}
        });
    }
}

fn connect(url: &str, id: &str) -> (AsyncClient, EventLoop) {
    let (_, address) = url.split_once("://").expect("a URL");
    let (host, port) = address.rsplit_once(':').expect("a port");
    let mut options = MqttOptions::new(id, (host, port.parse().expect("a number")));
    options
        .set_inflight(ACK_WINDOW as u16)
        .set_max_request_batch(QUEUE);
    let (client, mut events) = AsyncClient::builder(options).capacity(QUEUE).build();
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    (client, events)
}
