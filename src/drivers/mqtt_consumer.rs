//! Consuming over MQTT: one connection, a subscription for each destination.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::losses::Ended;
use super::mqtt::{Notes, client_id};
use super::mqtt_connection::{Connection, Heard, Role, comes_back, keeps_sessions, qos};
use super::{AsyncConsumer, DriverError};
use crate::engine::inbox::Inbox;
use crate::engine::task::Task;

/// One of the consumers of a group.
pub struct MqttConsumer {
    pub task: Arc<Task>,
    pub notes: Arc<Notes>,
    pub group: u32,
    pub consumer: u32,
}

/// Of whom the server remembers what they have not got yet.
pub fn consumer_id(task: &Task, group: u32, consumer: u32) -> String {
    client_id(task, &format!("group-{group}-consumer-{consumer}"))
}

/// Where several consumers of a group share a topic, each message goes to one of them.
fn filters(task: &Task, group: u32, consumer: u32) -> Vec<String> {
    let topics = task.destination_names_of(consumer);
    if task.workload.consumers <= task.workload.destinations {
        return topics;
    }
    let share = |topic| {
        format!(
            "$share/{}/{topic}",
            client_id(task, &format!("group-{group}"))
        )
    };
    topics.into_iter().map(share).collect()
}

impl AsyncConsumer for MqttConsumer {
    fn run(&mut self, mut inbox: Inbox) -> LocalBoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            let task = self.task.as_ref();
            let role = Role {
                id: consumer_id(task, self.group, self.consumer),
                keeps_session: keeps_sessions(task),
                has_will: false,
            };
            let filters = filters(task, self.group, self.consumer);
            let subscribe = async || {
                let mut connection = Connection::open(task, &role).await?;
                match connection.subscribe(&filters, qos(task)).await {
                    Ok(meanwhile) => Ok((connection, meanwhile)),
                    Err(cause) => Err(connection.failed("subscribe at", cause)),
                }
            };
            let (mut connection, _) = subscribe().await?;
            inbox.ready();
            let mut comeback = self.notes.losses.consumer();
            loop {
                match connection.events.next().await {
                    Ok(heard) => take(heard, &mut inbox),
                    Err(cause) => {
                        let ended = Ended {
                            error: connection.failed("receive from", cause),
                            is_lost: comes_back(task),
                        };
                        let meanwhile;
                        (connection, meanwhile) =
                            comeback.receive_again(&mut inbox, ended, subscribe).await?;
                        meanwhile.into_iter().for_each(|it| take(it, &mut inbox));
                    }
                }
            }
        })
    }
}

/// Hands in a message. The library has acknowledged it by now, where there is something to acknowledge.
#[inline]
fn take(heard: Heard, inbox: &mut Inbox) {
    if let Heard::Message {
        payload,
        redelivered,
        ..
    } = heard
    {
        inbox.received_at(inbox.stamp(), &payload, redelivered);
    }
}
