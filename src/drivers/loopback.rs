//! A broker that is a queue in this process, with faults on request: the instrument by which every
//! claim of the measuring code is tested, and on which the harness's own cost is measured.
//!
//! Without faults, messages go from publishers to consumers through pipes of reused chunks. With
//! faults, a model decides what happens when; live, a thread carries its events out on the clock; in a
//! simulation the engine does.

use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};

use super::descriptor::{Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec};
use super::faults::{Faults, Model};
use super::loopback_bench::{Bench, Desk};
use super::loopback_pipes::Hub;
use super::{AsyncConsumer, AsyncPublisher, Consumer, Driver, DriverError, Publisher, Session};
use crate::engine::acks::Token;
use crate::engine::inbox::Inbox;
use crate::engine::pacing::AsyncOutbox;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// Messages that a publisher takes at once.
const BATCH: usize = 64;
const fn fault(name: &'static str, kind: OptionKind, about: &'static str) -> OptionSpec {
    OptionSpec {
        name,
        kind,
        default: None,
        about,
    }
}

const fn offer(delivery: Delivery, acks: bool) -> Offer {
    Offer {
        delivery,
        durability: Durability::Memory,
        acks,
        order: Order::PerPublisher,
        settings: &[],
        note: "",
    }
}

const fn pattern(pattern: Pattern) -> PatternSpec {
    PatternSpec {
        pattern,
        shared: true,
        how: "queue in this process",
    }
}

static DESCRIPTOR: Descriptor = Descriptor {
    name: "loopback",
    title: "Loopback",
    about: "No broker: a queue in this process, with faults on request. Measures the harness itself.",
    client: "none",
    schemes: &[],
    server: None,
    options: &[
        fault(
            "delay",
            OptionKind::Time,
            "every delivery comes so much later",
        ),
        fault(
            "jitter",
            OptionKind::Time,
            "besides, up to this much later, drawn evenly",
        ),
        fault(
            "loss",
            OptionKind::Fraction,
            "share of deliveries that never come",
        ),
        fault(
            "duplicate",
            OptionKind::Fraction,
            "share of deliveries that come twice",
        ),
        fault(
            "reorder",
            OptionKind::Fraction,
            "share of deliveries that change places with the next one",
        ),
        fault(
            "stall",
            OptionKind::Stall,
            "the broker stands still: from this instant of the measured part, for so long",
        ),
        fault(
            "fail_ack",
            OptionKind::Fraction,
            "share of messages that are refused (where publishers get acknowledgements)",
        ),
        fault(
            "service_time",
            OptionKind::Time,
            "one server handles a message at a time, each for so long",
        ),
        fault(
            "slow_consumer",
            OptionKind::Time,
            "each consumer takes so long for a message",
        ),
        fault(
            "seed",
            OptionKind::Count(0, u64::MAX),
            "what the faults are drawn from",
        ),
    ],
    patterns: &[
        pattern(Pattern::Queue),
        pattern(Pattern::FanOut),
        pattern(Pattern::Backlog),
    ],
    offers: &[
        offer(Delivery::AtMostOnce, false),
        offer(Delivery::AtLeastOnce, true),
        offer(Delivery::ExactlyOnce, true),
    ],
    holds_backlog: true,
    needs_consumers: &[],
    transactions: &[],
    security: &[],
    needs_threads: false,
    ranked: false,
};

/// The driver.
pub struct Loopback;

impl Driver for Loopback {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn prepare<'a>(
        &'a self,
        task: &'a Task,
    ) -> BoxFuture<'a, Result<Box<dyn Session>, DriverError>> {
        Box::pin(async move {
            let faults = Faults::of(task).map_err(DriverError::while_doing("read the faults"))?;
            let hub = Arc::new(Hub::new(task));
            let bench = faults
                .any()
                .then(|| Bench::start(Model::new(task, faults), Arc::clone(&hub)));
            let session: Box<dyn Session> = Box::new(Loop { hub, bench });
            Ok(session)
        })
    }
}

struct Loop {
    hub: Arc<Hub>,
    bench: Option<Bench>,
}

impl Session for Loop {
    fn publisher(&self, publisher: u32) -> Publisher {
        Publisher::Async(Box::new(LoopPublisher {
            publisher: publisher as usize,
            hub: Arc::clone(&self.hub),
            desk: self.bench.as_ref().map(|bench| Arc::clone(&bench.desk)),
        }))
    }

    fn consumer(&self, group: u32, consumer: u32) -> Consumer {
        Consumer::Async(Box::new(LoopConsumer {
            hub: Arc::clone(&self.hub),
            group: group as usize,
            consumer: consumer as usize,
        }))
    }
}

struct LoopPublisher {
    publisher: usize,
    hub: Arc<Hub>,
    desk: Option<Arc<Desk>>,
}

impl AsyncPublisher for LoopPublisher {
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async { Ok(()) })
    }

    fn run(&mut self, mut outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let acks = outbox.acks();
            if let Some(desk) = &self.desk {
                desk.enter(self.publisher, acks.clone(), &outbox);
            }
            let mut tokens = Vec::with_capacity(BATCH);
            while outbox.due(BATCH).await > 0 {
                match &self.desk {
                    None => self.pass(&mut outbox, &mut tokens),
                    Some(desk) => desk.accept_all(self.publisher, &mut outbox),
                }
                if self.hub.acks && self.desk.is_none() {
                    acks.acked_all(tokens.drain(..));
                }
                tokens.clear();
                if self.hub.is_bounded {
                    for pipe in self.hub.pipes.iter().flatten() {
                        pipe.await_room().await;
                    }
                }
                // Nothing else would ever let the other tasks of this thread run.
                tokio::task::consume_budget().await;
            }
            Ok(())
        })
    }
}

impl LoopPublisher {
    /// Hands a batch over to the consumers.
    fn pass(&self, outbox: &mut AsyncOutbox, tokens: &mut Vec<Token>) {
        let hub = &self.hub;
        if let Some(pipe) = hub.only_pipe(self.publisher) {
            // One destination with one reader: the whole batch goes with one lock.
            pipe.push(|chunk| {
                while let Some(message) = outbox.next() {
                    chunk.add(|bytes| message.append_to(bytes));
                    tokens.push(message.token);
                }
            });
            return;
        }
        while let Some(message) = outbox.next() {
            for (group, pipes) in hub.pipes.iter().enumerate() {
                let reader = hub.reader(group, message.destination as usize);
                pipes[reader].push(|chunk| chunk.add(|bytes| message.append_to(bytes)));
            }
            tokens.push(message.token);
        }
    }
}

struct LoopConsumer {
    hub: Arc<Hub>,
    group: usize,
    consumer: usize,
}

impl AsyncConsumer for LoopConsumer {
    fn run(&mut self, mut inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let pipe = &self.hub.pipes[self.group][self.consumer];
            inbox.ready();
            loop {
                let chunk = pipe.next().await;
                let mut from = 0;
                for end in &chunk.ends {
                    inbox.received(&chunk.bytes[from..*end]);
                    from = *end;
                }
                pipe.recycle(chunk);
                tokio::task::consume_budget().await;
            }
        })
    }
}
