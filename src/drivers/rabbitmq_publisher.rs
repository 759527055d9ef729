//! Publishing to RabbitMQ: many messages under way, each from the library's queue to its confirm.
//!
//! The library hands a message to its own thread when the future of `basic_publish` is first polled, so
//! futures that are polled in order are sent in order, however many there are.

use std::collections::HashMap;
use std::pin::pin;

use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};

use super::DriverError;
use super::losses::Ended;
use super::rabbitmq_link::Link;
use super::rabbitmq_topology::{HEADER, Route, Topology};
use crate::engine::acks::{Acks, Token};
use crate::engine::pacing::AsyncOutbox;
use crate::engine::task::Task;
use crate::scenario::workload::Durability;

/// Messages taken from the outbox at a time: few enough that one stamp holds for all of them.
const BATCH: usize = 64;
/// Messages that the library may have in its queue where no window bounds them.
const AHEAD: usize = 256;

const TRANSIENT: u8 = 1;
const PERSISTENT: u8 = 2;

/// What became of one message.
struct Sent {
    token: Token,
    outcome: lapin::Result<Confirmation>,
    body: Vec<u8>,
}

async fn send(
    channel: &Channel,
    route: &Route,
    properties: BasicProperties,
    mandatory: bool,
    token: Token,
    body: Vec<u8>,
) -> Sent {
    let options = BasicPublishOptions {
        mandatory,
        ..BasicPublishOptions::default()
    };
    let (exchange, key) = (route.exchange.clone(), route.key.clone());
    let published = channel.basic_publish(exchange, key, options, &body, properties);
    let outcome = match published.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    Sent {
        token,
        outcome,
        body,
    }
}

/// A channel to publish on, which confirms where the task wants it.
pub async fn open(link: &Link, task: &Task) -> Result<Channel, DriverError> {
    let channel = link.channel().await?;
    if task.acks {
        let selected = channel.confirm_select(ConfirmSelectOptions::default());
        selected
            .await
            .map_err(|error| link.failed("ask for confirms", &error))?;
    }
    Ok(channel)
}

/// Sends until the outbox has no more and everything is confirmed, or the connection is lost.
pub async fn publish(
    link: &Link,
    channel: &Channel,
    task: &Task,
    topology: &Topology,
    publisher: u32,
    outbox: &mut AsyncOutbox,
) -> Result<(), Ended> {
    let properties = properties(task, topology, publisher);
    let mandatory = task.acks && task.flag("mandatory");
    // With confirms it is the window that bounds what is under way.
    let ahead = if task.acks { usize::MAX } else { AHEAD };
    let mut settling = Settling::new(outbox.acks(), task.acks);
    let mut under_way = FuturesUnordered::new();
    while settling.problem.is_none() {
        let due = {
            let mut due = pin!(outbox.due(BATCH));
            loop {
                if under_way.is_empty() {
                    break due.await;
                }
                let sent = if under_way.len() >= ahead {
                    under_way.next().await
                } else {
                    match select(due.as_mut(), under_way.next()).await {
                        Either::Left((due, _)) => break due,
                        Either::Right((sent, _)) => sent,
                    }
                };
                settling.take(sent);
                settling.take_ready(&mut under_way);
                if settling.problem.is_some() {
                    break 0;
                }
            }
        };
        if due == 0 {
            break;
        }
        while let Some(message) = outbox.next() {
            let destination = message.destination as usize;
            let mut body = settling.spare.pop().unwrap_or_default();
            message.append_to(&mut body);
            under_way.push(send(
                channel,
                &topology.routes[destination],
                properties[destination % properties.len()].clone(),
                mandatory,
                message.token,
                body,
            ));
        }
        // A future does nothing until it is first polled, and the next batch may be due already.
        settling.take_ready(&mut under_way);
    }
    while let Some(sent) = under_way.next().await {
        settling.take(Some(sent));
        settling.take_ready(&mut under_way);
    }
    if settling.problem.is_none() {
        // Its answer comes after the server has handled everything before.
        settling.problem = channel.close(200, "done".into()).await.err();
    }
    let Some(error) = &settling.problem else {
        return Ok(());
    };
    let lost = link.lost("publish", error).await;
    for token in &settling.lost {
        settling.acks.failed(*token, &lost.error.cause);
    }
    Err(lost)
}

/// By destination; one for all where it makes no difference.
fn properties(task: &Task, topology: &Topology, publisher: u32) -> Vec<BasicProperties> {
    let mode = if task.durability >= Durability::Disk {
        PERSISTENT
    } else {
        TRANSIENT
    };
    let mut common = BasicProperties::default().with_delivery_mode(mode);
    if let Some(priority) = topology.priority_of(publisher) {
        common = common.with_priority(priority);
    }
    if !topology.needs_header() {
        return vec![common];
    }
    let with_header = |route: &Route| {
        let mut headers = FieldTable::default();
        let value = AMQPValue::LongString(route.key.as_str().into());
        headers.insert(HEADER.into(), value);
        common.clone().with_headers(headers)
    };
    topology.routes.iter().map(with_header).collect()
}

/// Says what became of messages, those together that are known together.
struct Settling {
    acks: Acks,
    confirms: bool,
    confirmed: Vec<Token>,
    /// Messages that came back, by sequence, until their own confirm is there.
    returned: HashMap<u64, String>,
    /// Bodies to be filled again.
    spare: Vec<Vec<u8>>,
    /// What ends the publisher, and the messages that end with it.
    problem: Option<lapin::Error>,
    lost: Vec<Token>,
}

impl Settling {
    fn new(acks: Acks, confirms: bool) -> Settling {
        Settling {
            acks,
            confirms,
            confirmed: Vec::new(),
            returned: HashMap::new(),
            spare: Vec::new(),
            problem: None,
            lost: Vec::new(),
        }
    }

    /// Takes one message; what is said of it waits for [`Settling::take_ready`].
    fn take(&mut self, sent: Option<Sent>) {
        let Some(Sent {
            token,
            outcome,
            mut body,
        }) = sent
        else {
            return;
        };
        body.clear();
        self.spare.push(body);
        match outcome {
            Ok(Confirmation::Ack(None)) => self.confirmed.push(token),
            Ok(Confirmation::Ack(Some(message))) => {
                self.give_back(&message, token);
                self.confirmed.push(token);
            }
            Ok(Confirmation::Nack(_)) => {
                let why = "the server could not take the message (basic.nack)";
                self.acks.failed(token, &why);
            }
            Ok(Confirmation::NotRequested) => {}
            Err(error) => {
                self.lost.push(token);
                self.problem.get_or_insert(error);
            }
        }
    }

    /// The library attaches a returned message to whichever confirm it handles next; whose it is stands
    /// in the message.
    fn give_back(&mut self, message: &BasicReturnMessage, token: Token) {
        let whose = Token::of(&message.data).unwrap_or(token);
        let (code, text) = (message.reply_code, &message.reply_text);
        let why = format!("the server returned the message: {code} {text}");
        self.returned.insert(whose.sequence(), why);
    }

    /// Takes all that are known by now, and says what became of them.
    fn take_ready<F: Future<Output = Sent>>(&mut self, under_way: &mut FuturesUnordered<F>) {
        while let Some(Some(sent)) = under_way.next().now_or_never() {
            self.take(Some(sent));
        }
        if !self.returned.is_empty() {
            self.fail_returned();
        }
        if self.confirms && !self.confirmed.is_empty() {
            self.acks.acked_all(self.confirmed.drain(..));
        }
    }

    fn fail_returned(&mut self) {
        let Settling {
            confirmed,
            returned,
            acks,
            ..
        } = self;
        confirmed.retain(|token| match returned.remove(&token.sequence()) {
            Some(why) => {
                acks.failed(*token, &why);
                false
            }
            None => true,
        });
    }
}
