//! ZeroMQ: no broker, the sockets of publishers and consumers talk to each other.
//!
//! Queue: every consumer binds a PULL socket, and a publisher has, for each of its destinations and
//! each group, a PUSH socket that is connected to all consumers which read that destination there. So
//! any number of publishers and consumers can meet, and one PULL socket serves all destinations.
//! Fan-out: a publisher binds an XPUB socket for each of its destinations, consumers connect a SUB
//! socket to those they read. All binding happens in `prepare`, on ports that the system picks.

mod consumer;
mod places;
mod publisher;

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use zmq::Socket;

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting};
use super::{Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::shared::lock;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};
use consumer::ZeroMqConsumer;
use places::{Bound, Owner, Places, Way};
use publisher::ZeroMqPublisher;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "zeromq",
    title: "ZeroMQ",
    about: "ZeroMQ sockets within this process: no broker, nothing kept.",
    client: "zmq 0.10 (libzmq 4.3.4)",
    schemes: &[],
    server: None,
    options: &[
        OptionSpec {
            name: "transport",
            kind: OptionKind::Choice(&["tcp", "ipc", "inproc"]),
            default: Some("tcp"),
            about: "What the sockets talk through: TCP on the loopback interface, local sockets, or \
                    memory.",
        },
        OptionSpec {
            name: "high_water_mark",
            kind: OptionKind::Count(1, 100_000_000),
            default: Some("1000"),
            about: "Messages that a socket holds for each peer on each side, at least four times \
                    in_flight: where it is reached, PUSH waits and XPUB drops.",
        },
        OptionSpec {
            name: "linger",
            kind: OptionKind::Time,
            default: Some("1s"),
            about: "How long a closed socket still tries to send what it holds.",
        },
    ],
    patterns: &[
        PatternSpec {
            pattern: Pattern::Queue,
            shared: true,
            how: "PUSH → PULL",
        },
        PatternSpec {
            pattern: Pattern::FanOut,
            shared: false,
            how: "XPUB → SUB",
        },
    ],
    offers: &[Offer {
        delivery: Delivery::AtMostOnce,
        durability: Durability::Memory,
        acks: false,
        order: Order::PerPublisher,
        settings: &[
            Setting::publisher("ZMQ_SNDHWM", "high_water_mark"),
            Setting::consumer("ZMQ_RCVHWM", "high_water_mark"),
        ],
        note: "at its high-water mark PUSH waits and XPUB drops",
    }],
    holds_backlog: false,
    // PUSH waits for a peer, for ever; XPUB drops.
    needs_consumers: &[Pattern::Queue],
    transactions: &[],
    security: &[],
    needs_threads: true,
    ranked: true,
};

/// The driver.
#[derive(Debug)]
pub struct ZeroMq;

impl Driver for ZeroMq {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            let places = Places::new(task)?;
            let fan_out = task.workload.pattern == Pattern::FanOut;
            let bound = if fan_out {
                places.bind_publishers()?
            } else {
                places.bind_consumers()?
            };
            Ok(Box::new(ZeroMqSession {
                bound: Mutex::new(bound),
                places: Arc::new(places),
            }) as Box<dyn Session>)
        })
    }
}

struct ZeroMqSession {
    /// Before the contexts, whose end waits for the end of all sockets.
    bound: Mutex<Vec<Bound>>,
    places: Arc<Places>,
}

impl ZeroMqSession {
    /// Where those are bound that the caller is looking for.
    fn endpoints(&self, wanted: impl Fn(Owner) -> bool) -> Vec<String> {
        let bound = lock(&self.bound);
        let wanted = bound.iter().filter(|b| wanted(b.owner));
        wanted.map(|b| b.endpoint.clone()).collect()
    }

    /// Hands a bound socket to its owner.
    fn take(&self, owner: Owner) -> Option<Socket> {
        let mut bound = lock(&self.bound);
        bound.iter_mut().find(|b| b.owner == owner)?.socket.take()
    }
}

impl Session for ZeroMqSession {
    fn server_facts(&self) -> Vec<(String, String)> {
        let (major, minor, patch) = zmq::version();
        let transport = self.places.task.text("transport").unwrap_or("tcp");
        vec![
            ("version".to_owned(), format!("{major}.{minor}.{patch}")),
            ("transport".to_owned(), transport.to_owned()),
            (
                "high_water_mark".to_owned(),
                self.places.high_water_mark.to_string(),
            ),
        ]
    }

    fn publisher(&self, publisher: u32) -> Publisher {
        let task = &self.places.task;
        let fan_out = task.workload.pattern == Pattern::FanOut;
        let mut ways = Vec::new();
        for destination in task.destinations_by(publisher) {
            if fan_out {
                let socket = self.take((publisher, destination));
                let readers = self.places.readers(destination);
                ways.extend(socket.map(|socket| (destination, Way::Bound(socket, readers))));
                continue;
            }
            for group in 0..task.workload.groups {
                let reads = |(g, c)| g == group && task.destinations_of(c).contains(&destination);
                ways.push((destination, Way::To(self.endpoints(reads))));
            }
        }
        Publisher::Blocking(Box::new(ZeroMqPublisher {
            places: Arc::clone(&self.places),
            ways,
            sockets: Vec::new(),
        }))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        let task = &self.places.task;
        let way = if task.workload.pattern == Pattern::FanOut {
            let mine = task.destinations_of(consumer);
            Way::To(self.endpoints(|(_, destination)| mine.contains(&destination)))
        } else {
            self.take((group, consumer))
                .map_or(Way::To(Vec::new()), |socket| Way::Bound(socket, 0))
        };
        Consumer::Blocking(Box::new(ZeroMqConsumer {
            places: Arc::clone(&self.places),
            way: Some(way),
        }))
    }

    fn clean_up(&self) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            lock(&self.bound).clear();
            match lock(&self.places.folder).take() {
                Some(folder) => folder.close().map_err(DriverError::while_doing(
                    "remove the folder of the local sockets",
                )),
                None => Ok(()),
            }
        })
    }
}
