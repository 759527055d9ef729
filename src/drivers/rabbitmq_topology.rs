//! Exchanges and queues of a trial on RabbitMQ: what they are called, how they are made, how much waits
//! in them, and how they are removed.

use std::time::Duration;

use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use super::DriverError;
use super::rabbitmq_link::Link;
use crate::engine::task::Task;
use crate::scenario::workload::{Durability, Pattern};

/// The type of queue that is a log: reading takes nothing out of it.
const STREAM: &str = "stream";
const QUORUM: &str = "quorum";
const CLASSIC: &str = "classic";
/// The header by which a headers exchange knows a destination.
pub const HEADER: &str = "mqbench";
/// Where a stream is read from, and where a message stands in it.
pub const OFFSET: &str = "x-stream-offset";

/// Where one destination's messages go.
#[derive(Clone, Debug)]
pub struct Route {
    /// Empty for the nameless exchange, whose routing keys are names of queues.
    pub exchange: ShortString,
    /// What the publisher says.
    pub key: ShortString,
}

/// One queue.
#[derive(Clone, Debug)]
pub struct Queue {
    name: String,
    destination: u32,
    group: u32,
    /// Whether it was there before us.
    foreign: bool,
}

/// What a trial makes, and finds again in each of its connections.
#[derive(Debug)]
pub struct Topology {
    /// Type of the queues.
    pub kind: &'static str,
    exchange: Option<ExchangeKind>,
    /// By destination.
    pub routes: Vec<Route>,
    queues: Vec<Queue>,
    durable: bool,
    foreign: bool,
    /// Members of a private cluster; 1 leaves it to the server.
    replicas: u32,
    priorities: Option<u64>,
    ttl: Option<Duration>,
    dead_letter: bool,
    /// A stream that was there before us holds what others wrote.
    from_beginning: bool,
}

/// Settings that contradict each other, or the offer.
pub fn allowed(task: &Task) -> Result<(), DriverError> {
    let kind = kind(task);
    let refused = |cause: String| {
        let doing = format!("use {kind} queues");
        Err(DriverError { doing, cause })
    };
    let workload = &task.workload;
    if task.durability == Durability::Fsync && kind != QUORUM {
        let why = "only quorum queues promise to sync a message before they confirm it; \
                   `durability: fsync` needs `queue: quorum`";
        return refused(why.to_owned());
    }
    if kind == STREAM {
        if workload.consumers > workload.destinations {
            return refused(format!(
                "every consumer of a stream gets everything, so {} consumers cannot share {} of \
                 them; use as many destinations as consumers",
                workload.consumers, workload.destinations
            ));
        }
        if task.count("prefetch") == Some(0) {
            return refused("streams need a `prefetch` above 0".to_owned());
        }
        for option in ["ttl", "dead_letter"] {
            if task.options.get(option).is_some_and(|v| v != false) {
                return refused(format!("streams have no `{option}`"));
            }
        }
    }
    if kind != CLASSIC && task.count("priority").is_some() {
        return refused("only classic queues have a `priority`".to_owned());
    }
    Ok(())
}

fn kind(task: &Task) -> &'static str {
    match task.text("queue") {
        Some(STREAM) => STREAM,
        Some(QUORUM) => QUORUM,
        Some(_) => CLASSIC,
        None if task.durability == Durability::Fsync => QUORUM,
        None => CLASSIC,
    }
}

impl Topology {
    /// What the task needs.
    pub fn of(task: &Task) -> Topology {
        let kind = kind(task);
        let groups = task.workload.groups.max(1);
        let foreign = task.destination.is_some();
        // A stream can be read by all groups; of a queue each needs its own.
        let readers = if kind == STREAM { 1 } else { groups };
        let exchange = match task.text("exchange") {
            Some("direct") => Some(ExchangeKind::Direct),
            Some("fanout") => Some(ExchangeKind::Fanout),
            Some("topic") => Some(ExchangeKind::Topic),
            Some("headers") => Some(ExchangeKind::Headers),
            _ if readers > 1 => Some(ExchangeKind::Fanout),
            _ => None,
        };
        let mut queues = Vec::new();
        let mut routes = Vec::new();
        for destination in 0..task.workload.destinations.max(1) {
            let name = task.destination(destination);
            let (to, key) = match &exchange {
                None => ("", name.clone()),
                Some(ExchangeKind::Topic) => (name.as_str(), format!("{name}.message")),
                Some(_) => (name.as_str(), name.clone()),
            };
            routes.push(Route {
                exchange: to.into(),
                key: key.as_str().into(),
            });
            for group in 0..readers {
                queues.push(Queue {
                    name: match &exchange {
                        None => name.clone(),
                        Some(_) => queue_name(task, destination, group),
                    },
                    destination,
                    group,
                    foreign: foreign && exchange.is_none(),
                });
            }
        }
        Topology {
            kind,
            exchange,
            routes,
            queues,
            durable: kind != CLASSIC || task.durability >= Durability::Disk,
            foreign,
            replicas: task.nodes,
            priorities: task.count("priority"),
            ttl: task.time("ttl"),
            dead_letter: task.flag("dead_letter"),
            from_beginning: !foreign || task.workload.pattern == Pattern::Backlog,
        }
    }

    /// Whether its queues are streams.
    pub fn is_stream(&self) -> bool {
        self.kind == STREAM
    }

    /// The queues that a consumer of a group reads.
    pub fn read_by(&self, task: &Task, group: u32, consumer: u32) -> Vec<ShortString> {
        let destinations = task.destinations_of(consumer);
        let group = if self.is_stream() { 0 } else { group };
        let read = self
            .queues
            .iter()
            .filter(|queue| queue.group == group && destinations.contains(&queue.destination));
        read.map(|queue| queue.name.as_str().into()).collect()
    }

    /// Where expired messages go.
    pub fn dead_letter_queues(&self) -> Vec<ShortString> {
        let own = self.queues.iter().filter(|queue| !queue.foreign);
        let dead = own.map(|queue| dead_letter_name(&queue.name).as_str().into());
        if self.dead_letter {
            dead.collect()
        } else {
            Vec::new()
        }
    }

    /// With what a consumer subscribes: a stream must be told from where. `read` is the offset of the last message that
    /// was read before.
    pub fn consume_arguments(&self, read: Option<i64>) -> FieldTable {
        let mut arguments = FieldTable::default();
        if self.is_stream() {
            let from = match read {
                Some(offset) => AMQPValue::LongLongInt(offset + 1),
                None if self.from_beginning => text("first"),
                None => text("next"),
            };
            arguments.insert(OFFSET.into(), from);
        }
        arguments
    }

    /// Whether messages carry a header to be found by.
    pub fn needs_header(&self) -> bool {
        self.exchange == Some(ExchangeKind::Headers)
    }

    /// What a publisher says about the importance of its messages.
    pub fn priority_of(&self, publisher: u32) -> Option<u8> {
        let levels = self.priorities?;
        u8::try_from(u64::from(publisher) % (levels + 1)).ok()
    }

    /// Makes everything, or finds what is there already.
    pub async fn declare(&self, link: &Link) -> Result<(), DriverError> {
        let channel = link.channel().await?;
        if let Some(kind) = &self.exchange {
            for route in &self.routes {
                self.declare_exchange(link, &channel, route, kind).await?;
            }
        }
        for queue in &self.queues {
            let wrong = |error| link.failed(&format!("declare the queue {}", queue.name), &error);
            let options = QueueDeclareOptions {
                passive: queue.foreign,
                durable: self.durable,
                ..QueueDeclareOptions::default()
            };
            if self.dead_letter && !queue.foreign {
                let name = dead_letter_name(&queue.name);
                let made =
                    channel.queue_declare(name.as_str().into(), options, FieldTable::default());
                made.await.map_err(wrong)?;
            }
            let arguments = self.queue_arguments(queue);
            let made = channel.queue_declare(queue.name.as_str().into(), options, arguments);
            made.await.map_err(wrong)?;
            if self.exchange.is_some() {
                self.bind(&channel, queue).await.map_err(wrong)?;
            }
        }
        link.done_with(channel).await;
        Ok(())
    }

    async fn declare_exchange(
        &self,
        link: &Link,
        channel: &Channel,
        route: &Route,
        kind: &ExchangeKind,
    ) -> Result<(), DriverError> {
        let options = ExchangeDeclareOptions {
            passive: self.foreign,
            durable: self.durable,
            ..ExchangeDeclareOptions::default()
        };
        let (name, none) = (route.exchange.clone(), FieldTable::default());
        let made = channel.exchange_declare(name, kind.clone(), options, none);
        made.await.map_err(|error| {
            link.failed(&format!("declare the exchange {}", route.exchange), &error)
        })
    }

    async fn bind(&self, channel: &Channel, queue: &Queue) -> lapin::Result<()> {
        let route = &self.routes[queue.destination as usize];
        let mut arguments = FieldTable::default();
        let mut key = route.key.clone();
        match &self.exchange {
            Some(ExchangeKind::Topic) => key = format!("{}.*", route.exchange).as_str().into(),
            Some(ExchangeKind::Headers) => {
                arguments.insert("x-match".into(), text("all"));
                arguments.insert(HEADER.into(), text(route.key.as_str()));
            }
            _ => {}
        }
        let name = queue.name.as_str().into();
        let options = QueueBindOptions::default();
        let exchange = route.exchange.clone();
        channel
            .queue_bind(name, exchange, key, options, arguments)
            .await
    }

    fn queue_arguments(&self, queue: &Queue) -> FieldTable {
        let mut arguments = FieldTable::default();
        let mut number = |key: &str, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            arguments.insert(key.into(), AMQPValue::LongLongInt(value));
        };
        if let Some(levels) = self.priorities {
            number("x-max-priority", levels);
        }
        if let Some(ttl) = self.ttl {
            number("x-message-ttl", ttl.as_millis() as u64);
        }
        match self.kind {
            _ if self.replicas < 2 => {}
            QUORUM => number("x-quorum-initial-group-size", u64::from(self.replicas)),
            STREAM => number("x-initial-cluster-size", u64::from(self.replicas)),
            _ => {}
        }
        arguments.insert("x-queue-type".into(), text(self.kind));
        if self.dead_letter {
            // To the nameless exchange, by the name of the other queue.
            let name = dead_letter_name(&queue.name);
            arguments.insert("x-dead-letter-exchange".into(), text(""));
            arguments.insert("x-dead-letter-routing-key".into(), text(&name));
        }
        arguments
    }

    /// Messages that wait for the group that is furthest behind, over all destinations.
    pub async fn backlog(&self, link: &Link, channel: &Channel) -> Result<u64, DriverError> {
        let mut waiting = vec![0; self.routes.len()];
        for queue in &self.queues {
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::default()
            };
            let name = queue.name.as_str().into();
            let asked = channel.queue_declare(name, options, FieldTable::default());
            let asked = asked
                .await
                .map_err(|error| link.failed("ask how much waits", &error))?;
            let most: &mut u64 = &mut waiting[queue.destination as usize];
            *most = (*most).max(u64::from(asked.message_count()));
        }
        Ok(waiting.iter().sum())
    }

    /// Removes what [`Topology::declare`] made and nothing else. What is gone already is no error.
    pub async fn delete(&self, link: &Link) -> Result<(), DriverError> {
        let channel = link.channel().await?;
        let wrong = |error| link.failed("remove what the trial made", &error);
        let own = self.queues.iter().filter(|queue| !queue.foreign);
        let names = own.map(|queue| ShortString::from(queue.name.as_str()));
        for name in names.chain(self.dead_letter_queues()) {
            let gone = channel.queue_delete(name, QueueDeleteOptions::default());
            gone.await.map_err(wrong)?;
        }
        if self.exchange.is_some() && !self.foreign {
            for route in &self.routes {
                let options = ExchangeDeleteOptions::default();
                let gone = channel.exchange_delete(route.exchange.clone(), options);
                gone.await.map_err(wrong)?;
            }
        }
        link.done_with(channel).await;
        Ok(())
    }
}

/// The queue of a group behind an exchange: named after the trial also where the exchange is another's.
fn queue_name(task: &Task, destination: u32, group: u32) -> String {
    let (run, trial) = (&task.run_id, task.trial);
    format!("mqbench-{run}-{trial}-{destination}-group-{group}")
}

fn dead_letter_name(queue: &str) -> String {
    format!("{queue}-dead")
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
