//! The publisher of JetStream: sends without waiting, and takes acknowledgements when they come.
//!
//! The library's own publishing makes a subject and a channel for each acknowledgement. Here there is one
//! subscription for all of them, and each message under way has a place whose subject is made once and
//! used again, so that a message costs no more than one of NATS core and its answer.

use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode, Subject, Subscriber, header};
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::DriverError;
use super::nats_connection::{Connection, failed, plain};
use crate::engine::acks::{Acks, Token};
use crate::engine::pacing::AsyncOutbox;
use crate::engine::task::Task;
use crate::scenario::workload::Delivery;

/// Messages taken from the outbox at a time: few enough that one stamp holds for all of them.
const BATCH: usize = 64;
/// Payloads are cut from blocks of this size: one allocation for many.
const BLOCK: usize = 64 << 10;
/// A message that is not acknowledged for so long has failed.
const ACK_WITHIN: Duration = Duration::from_secs(10);
/// A message with an id is sent again after so long: the stream drops the second copy.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How often that is looked at.
const TURN: Duration = Duration::from_millis(500);

/// A message under way.
struct UnderWay {
    token: Token,
    sent: Instant,
    /// When it was sent last, and how often the connection had been lost by then.
    last: Instant,
    losses: u64,
    /// Sent again: two answers may come, so its place is not used for another message.
    repeated: bool,
    /// What to send again, where the stream knows it by its id.
    copy: Option<(Subject, HeaderMap, Bytes)>,
}

/// Messages under way, each at a place that the subject of its answer names.
struct Places {
    inbox: String,
    subjects: Vec<Subject>,
    taken: Vec<Option<UnderWay>>,
    free: Vec<usize>,
    count: usize,
}

impl Places {
    fn take(&mut self, message: UnderWay) -> (usize, Subject) {
        let place = self.free.pop().unwrap_or_else(|| {
            let place = self.taken.len();
            self.subjects.push(format!("{}.{place}", self.inbox).into());
            self.taken.push(None);
            place
        });
        self.taken[place] = Some(message);
        self.count += 1;
        (place, self.subjects[place].clone())
    }

    /// The message at this place, which has been answered.
    fn give_back(&mut self, place: usize) -> Option<Token> {
        let message = self.taken.get_mut(place)?.take()?;
        self.count -= 1;
        if !message.repeated {
            self.free.push(place);
        }
        Some(message.token)
    }

    /// The message at this place, given up: its answer may still come.
    fn give_up(&mut self, place: usize) -> Option<Token> {
        let message = self.taken.get_mut(place)?.take()?;
        self.count -= 1;
        Some(message.token)
    }

    fn place_of(&self, subject: &str) -> Option<usize> {
        let number = subject.strip_prefix(&self.inbox)?.strip_prefix('.')?;
        number.parse().ok()
    }
}

/// What one publisher sends with.
pub struct Sender<'c> {
    connection: &'c Connection,
    subjects: Vec<Subject>,
    /// Whether the server is asked for acknowledgements.
    answered: bool,
    /// Whether they are told to the engine.
    acks: bool,
    /// How many messages may be under way where the engine does not see to it.
    window: usize,
    /// What ids of messages begin with, where they have ids.
    id: Option<String>,
    places: RefCell<Places>,
    /// There are fewer messages under way.
    fewer: Notify,
}

impl<'c> Sender<'c> {
    /// For the publisher of this number.
    pub fn new(
        task: &Task,
        publisher: u32,
        subjects: &[String],
        connection: &'c Connection,
    ) -> Sender<'c> {
        // A backlog must be there when it is to be drained, so it is laid in no faster than it is taken.
        let lays_in = task.workload.publishers == 0;
        let with_id = task.delivery == Delivery::ExactlyOnce;
        Sender {
            connection,
            subjects: subjects.iter().map(|s| s.as_str().into()).collect(),
            answered: task.acks || lays_in,
            acks: task.acks,
            window: match task.acks {
                true => usize::MAX,
                false => task.workload.in_flight.max(1) as usize,
            },
            id: with_id.then(|| format!("{}-{}-{publisher}-", task.run_id, task.trial)),
            places: RefCell::new(Places {
                inbox: connection.client.new_inbox(),
                subjects: Vec::new(),
                taken: Vec::new(),
                free: Vec::new(),
                count: 0,
            }),
            fewer: Notify::new(),
        }
    }

    /// Sends until the outbox has no more and everything is answered.
    pub async fn run(&self, mut outbox: AsyncOutbox) -> Result<(), DriverError> {
        let acks = outbox.acks();
        let mut answers = None;
        if self.answered {
            let all = format!("{}.*", self.places.borrow().inbox);
            let subscribed = self.connection.client.subscribe(all).await;
            let doing = format!("subscribe to answers at {}", self.connection.address);
            answers = Some(subscribed.map_err(DriverError::while_doing(doing))?);
        }
        let ended = {
            let sending = pin!(self.send(&mut outbox, &acks));
            let settling = pin!(self.settle(answers, &acks));
            let working = pin!(async {
                match select(sending, settling).await {
                    Either::Left(((), _)) => Ok(()),
                    Either::Right((reason, _)) => Err(reason),
                }
            });
            match select(working, pin!(self.connection.watch.lost())).await {
                Either::Left((ended, _)) => ended,
                Either::Right((reason, _)) => Err(reason),
            }
        };
        let Err(reason) = ended else {
            // Acknowledged messages are there; others may still be in the library's buffer.
            return match self.answered {
                true => Ok(()),
                false => self.connection.round_trip().await,
            };
        };
        while let Some(message) = outbox.next() {
            acks.failed(message.token, &reason);
        }
        let mut places = self.places.borrow_mut();
        for place in 0..places.taken.len() {
            if let Some(token) = places.give_up(place) {
                self.fail(&acks, token, &reason);
            }
        }
        let doing = format!("publish to {}", self.connection.address);
        Err(failed(doing, reason))
    }

    async fn send(&self, outbox: &mut AsyncOutbox, acks: &Acks) {
        let client = &self.connection.client;
        let mut block = BytesMut::new();
        loop {
            while self.places.borrow().count >= self.window {
                self.fewer.notified().await;
            }
            if outbox.due(BATCH).await == 0 {
                break;
            }
            // The library's clock is read once for all of them.
            let now = Instant::now();
            while let Some(message) = outbox.next() {
                let token = message.token;
                let subject = self.subjects[message.destination as usize].clone();
                if block.capacity() < message.len() {
                    block.reserve(message.len().max(BLOCK));
                }
                message.append_to(&mut block);
                let payload = block.split().freeze();
                if !self.answered {
                    if let Err(error) = client.publish(subject, payload).await {
                        acks.failed(token, &plain(&error.to_string()));
                    }
                    continue;
                }
                let headers = self.id.as_ref().map(|prefix| {
                    let mut headers = HeaderMap::new();
                    headers.insert(
                        header::NATS_MESSAGE_ID,
                        format!("{prefix}{}", token.sequence()),
                    );
                    headers
                });
                let copy = headers.clone();
                let (place, reply) = self.places.borrow_mut().take(UnderWay {
                    token,
                    sent: now,
                    last: now,
                    losses: self.connection.watch.losses(),
                    repeated: false,
                    copy: copy.map(|headers| (subject.clone(), headers, payload.clone())),
                });
                let published = match headers {
                    None => client.publish_with_reply(subject, reply, payload).await,
                    Some(headers) => {
                        client
                            .publish_with_reply_and_headers(subject, reply, headers, payload)
                            .await
                    }
                };
                if let Err(error) = published
                    && let Some(token) = self.places.borrow_mut().give_up(place)
                {
                    self.fail(acks, token, &plain(&error.to_string()));
                }
            }
        }
        while self.places.borrow().count > 0 {
            self.fewer.notified().await;
        }
    }

    /// Takes answers, and looks after messages that have none; ends only where no answers can come.
    async fn settle(&self, answers: Option<Subscriber>, acks: &Acks) -> String {
        let Some(mut answers) = answers else {
            return std::future::pending().await;
        };
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut acked = Vec::new();
        loop {
            let mut answer = match select(answers.next(), pin!(turns.tick())).await {
                Either::Left((Some(answer), _)) => Some(answer),
                Either::Left((None, _)) => return "the subscription to answers ended".to_owned(),
                Either::Right(_) => {
                    self.look_after(acks).await;
                    continue;
                }
            };
            // All that came with one read have one stamp.
            while let Some(message) = answer {
                self.take_answer(&message, acks, &mut acked);
                answer = answers.next().now_or_never().flatten();
            }
            if self.acks {
                acks.acked_all(acked.drain(..));
            } else {
                acked.clear();
            }
            self.fewer.notify_one();
        }
    }

    fn take_answer(&self, answer: &Message, acks: &Acks, acked: &mut Vec<Token>) {
        let mut places = self.places.borrow_mut();
        let place = places.place_of(&answer.subject);
        let Some(place) = place else { return };
        match refusal(answer) {
            None => acked.extend(places.give_back(place)),
            Some(reason) => {
                if let Some(token) = places.give_back(place) {
                    self.fail(acks, token, &reason);
                }
            }
        }
    }

    /// Sends again what has an id and no answer, gives up what has none for too long, or can have none.
    async fn look_after(&self, acks: &Acks) {
        let watch = &self.connection.watch;
        if !watch.is_connected() {
            return;
        }
        let (now, losses) = (Instant::now(), watch.losses());
        let places = self.places.borrow().taken.len();
        for place in 0..places {
            let mut again = None;
            let mut given_up = None;
            {
                let mut places = self.places.borrow_mut();
                let reply = places.subjects[place].clone();
                let Some(message) = &mut places.taken[place] else {
                    continue;
                };
                let lost = message.losses != losses;
                if now.duration_since(message.sent) >= ACK_WITHIN {
                    given_up = Some(format!(
                        "no acknowledgement within {} s",
                        ACK_WITHIN.as_secs()
                    ));
                } else if let Some(copy) = &message.copy {
                    if lost || now.duration_since(message.last) >= AGAIN_AFTER {
                        again = Some((copy.clone(), reply));
                        (message.last, message.losses) = (now, losses);
                        message.repeated = true;
                    }
                } else if lost {
                    given_up =
                        Some("the connection was lost before the acknowledgement".to_owned());
                }
                if let Some(reason) = given_up
                    && let Some(token) = places.give_up(place)
                {
                    self.fail(acks, token, &reason);
                }
            }
            if let Some(((subject, headers, payload), reply)) = again {
                // What the library does not take is looked at again in the next turn.
                let _ = self
                    .connection
                    .client
                    .publish_with_reply_and_headers(subject, reply, headers, payload)
                    .await;
            }
        }
        self.fewer.notify_one();
    }

    fn fail(&self, acks: &Acks, token: Token, reason: &str) {
        acks.failed(token, &reason);
    }
}

/// Why the server did not take a message; `None` if it did.
fn refusal(answer: &Message) -> Option<String> {
    // What nearly every answer begins with; an error would stand before it.
    if answer.payload.starts_with(b"{\"stream\":") {
        return None;
    }
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Some("no stream takes the message: it is gone, or has no leader".to_owned());
    }
    let said: Option<Value> = serde_json::from_slice(&answer.payload).ok();
    match said.as_ref().map(|said| &said["error"]) {
        None => Some("the answer is none of JetStream's".to_owned()),
        Some(Value::Null) => None,
        Some(error) => {
            let words = error["description"].as_str();
            Some(words.unwrap_or("refused without a reason").to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: Option<StatusCode>, payload: &'static str) -> Message {
        Message {
            subject: "_INBOX.a.1".into(),
            reply: None,
            payload: Bytes::from_static(payload.as_bytes()),
            headers: None,
            status,
            description: None,
            length: payload.len(),
        }
    }

    #[test]
    fn an_answer_says_whether_the_message_was_taken() {
        assert_eq!(refusal(&answer(None, r#"{"stream":"s", "seq":7}"#)), None);
        assert_eq!(
            refusal(&answer(None, r#"{"seq":7,"stream":"s","duplicate":true}"#)),
            None
        );
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"s","seq":0}"#;
        assert_eq!(
            refusal(&answer(None, full)).as_deref(),
            Some("maximum bytes exceeded")
        );
        let nobody = refusal(&answer(Some(StatusCode::NO_RESPONDERS), ""));
        assert!(nobody.is_some_and(|why| why.contains("no stream takes the message")));
        assert!(refusal(&answer(None, "hello")).is_some());
    }
}
