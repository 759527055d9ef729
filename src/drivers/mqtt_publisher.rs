//! Publishing over MQTT: messages go to the library's loop one by one and are known to the server by
//! numbers, which the loop tells when it has written them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::future::{Either, LocalBoxFuture, select};

use super::losses::Ended;
use super::mqtt::{Notes, client_id};
use super::mqtt_connection::{Connection, Events, Heard, Requests, Role, comes_back, qos};
use super::mqtt_words as words;
use super::{AsyncPublisher, DriverError};
use crate::engine::acks::{Acks, Token};
use crate::engine::pacing::AsyncOutbox;
use crate::engine::task::Task;

/// Messages taken from the outbox at a time: what one write of the library carries, so that one stamp holds
/// for all of them.
const BATCH: usize = 64;
/// Payloads are cut from blocks of this size: one allocation for many.
const BLOCK: usize = 64 << 10;

/// One of the publishers of a trial.
pub struct MqttPublisher {
    pub task: Arc<Task>,
    pub notes: Arc<Notes>,
    pub publisher: u32,
    pub connection: Option<Connection>,
}

impl MqttPublisher {
    async fn open(&self) -> Result<Connection, DriverError> {
        let role = Role {
            id: client_id(&self.task, &format!("publisher-{}", self.publisher)),
            keeps_session: false,
            has_will: true,
        };
        Connection::open(&self.task, &role).await
    }
}

impl AsyncPublisher for MqttPublisher {
    fn connect(&mut self) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async {
            let connection = self.open().await?;
            self.notes.limit(&self.task, &connection.welcome);
            self.connection = Some(connection);
            Ok(())
        })
    }

    fn run(&mut self, mut outbox: AsyncOutbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.open().await?,
            };
            let mut comeback = self.notes.losses.publisher();
            while let Err(ended) = publish(connection, &self.task, &self.notes, &mut outbox).await {
                connection = comeback.again(ended, async || self.open().await).await?;
            }
            Ok(())
        })
    }
}

/// Messages between the outbox and the answer of the server.
struct UnderWay {
    /// Handed to the library and not written yet, in order.
    queued: VecDeque<Token>,
    /// Written and unanswered, by number.
    written: Vec<Option<Token>>,
    unanswered: usize,
    /// All have been handed over.
    is_complete: bool,
}

impl UnderWay {
    fn sent(&mut self, pkid: u16) {
        let Some(token) = self.queued.pop_front() else {
            return;
        };
        if pkid > 0 {
            let pkid = usize::from(pkid);
            if self.written.len() <= pkid {
                self.written.resize(pkid + 1, None);
            }
            self.written[pkid] = Some(token);
            self.unanswered += 1;
        }
    }

    fn answered(&mut self, pkid: u16) -> Option<Token> {
        let token = self.written.get_mut(usize::from(pkid))?.take()?;
        self.unanswered -= 1;
        Some(token)
    }

    fn is_done(&self) -> bool {
        self.is_complete && self.unanswered == 0 && self.queued.is_empty()
    }

    fn take_all(&mut self) -> impl Iterator<Item = Token> {
        self.unanswered = 0;
        let written = self.written.iter_mut().filter_map(Option::take);
        written.chain(self.queued.drain(..))
    }
}

async fn publish(
    connection: Connection,
    task: &Task,
    notes: &Notes,
    outbox: &mut AsyncOutbox,
) -> Result<(), Ended> {
    let Connection {
        requests,
        mut events,
        welcome,
        address,
    } = connection;
    let acks = outbox.acks();
    let under_way = RefCell::new(UnderWay {
        queued: VecDeque::new(),
        written: Vec::new(),
        unanswered: 0,
        is_complete: false,
    });
    let ended = {
        let sending = pin!(send(&requests, task, outbox, &under_way));
        let hearing = pin!(hear(&mut events, task, notes, &acks, &under_way));
        match select(sending, hearing).await {
            Either::Right((ended, _)) => ended,
            Either::Left(((), hearing)) => {
                let is_done = under_way.borrow().is_done();
                if is_done { Ok(()) } else { hearing.await }
            }
        }
    };
    if let Err(mut ended) = ended {
        let reason = &mut ended.error;
        if reason == words::CLOSED && qos(task) == 2 {
            *reason = format!(
                "{reason}; does it let {} messages of QoS 2 be in flight (of Mosquitto: \
                 max_inflight_messages, 20 by default)? A lower in_flight or version 5 keeps to it",
                task.workload.in_flight
            );
        }
        for token in under_way.borrow_mut().take_all() {
            acks.failed(token, reason);
        }
        while let Some(message) = outbox.next() {
            acks.failed(message.token, reason);
        }
        ended.is_lost &= comes_back(task);
        return Err(ended.while_doing(format!("publish to {address}")));
    }
    // What is still on its way would be lost with the connection.
    let connection = Connection {
        requests,
        events,
        welcome,
        address,
    };
    connection.close().await.map_err(Ended::refused)
}

/// Hands over everything that becomes due.
async fn send(
    requests: &Requests,
    task: &Task,
    outbox: &mut AsyncOutbox,
    under_way: &RefCell<UnderWay>,
) {
    let topics = task.destination_names();
    let (qos, retain) = (qos(task), task.flag("retained"));
    let mut block = BytesMut::new();
    loop {
        let due = outbox.due(BATCH).await;
        if due == 0 {
            under_way.borrow_mut().is_complete = true;
            return;
        }
        for _ in 0..due {
            let Some(message) = outbox.next() else { break };
            if block.capacity() < message.len() {
                block.reserve(message.len().max(BLOCK));
            }
            message.append_to(&mut block);
            under_way.borrow_mut().queued.push_back(message.token);
            let topic = &topics[message.destination as usize];
            let payload = block.split().freeze();
            requests.publish(topic, qos, retain, payload).await;
        }
    }
}

/// Drives the connection until everything that was handed over is answered; an error is the end of it.
async fn hear(
    events: &mut Events,
    task: &Task,
    notes: &Notes,
    acks: &Acks,
    under_way: &RefCell<UnderWay>,
) -> Result<(), Ended<String>> {
    // A server that hangs does not answer the library's pings either, which ends this.
    loop {
        match events.next().await.map_err(Ended::lost)? {
            Heard::Sent(pkid) => under_way.borrow_mut().sent(pkid),
            Heard::Acked(pkid) => {
                let token = under_way.borrow_mut().answered(pkid);
                token.into_iter().for_each(|token| acks.acked(token));
            }
            Heard::AckedForNobody(pkid) => {
                notes.nobody();
                let token = under_way.borrow_mut().answered(pkid);
                token.into_iter().for_each(|token| acks.acked(token));
            }
            Heard::Refused(pkid, reason) => {
                let reason = format!("the server refused the message: {reason}");
                let token = under_way.borrow_mut().answered(pkid);
                token
                    .into_iter()
                    .for_each(|token| acks.failed(token, &reason));
                if qos(task) == 2 {
                    // The library would keep its place in the window for ever.
                    return Err(Ended::refused(reason));
                }
            }
            _ => {}
        }
        if under_way.borrow().is_done() {
            return Ok(());
        }
    }
}
