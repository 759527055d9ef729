//! Consuming over MQTT: one connection, a subscription for each destination.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::mqtt::client_id;
use super::mqtt_connection::{Connection, Heard, Role, keeps_sessions, qos};
use super::{AsyncConsumer, DriverError};
use crate::engine::inbox::Inbox;
use crate::engine::task::Task;

/// One of the consumers of a group.
pub struct MqttConsumer {
    pub task: Arc<Task>,
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
            let mut connection = Connection::open(task, &role).await?;
            let failed = |doing: &str, address: &str, cause| DriverError {
                doing: format!("{doing} {address}"),
                cause,
            };
            let filters = filters(task, self.group, self.consumer);
            let subscribed = connection.subscribe(&filters, qos(task)).await;
            subscribed.map_err(|cause| failed("subscribe at", &connection.address, cause))?;
            inbox.ready();
            loop {
                // The library has acknowledged it by now, where there is something to acknowledge.
                match connection.events.next().await {
                    Ok(Heard::Message {
                        payload,
                        redelivered,
                        ..
                    }) => inbox.received_at(inbox.stamp(), &payload, redelivered),
                    Ok(_) => {}
                    Err(cause) => return Err(failed("receive from", &connection.address, cause)),
                }
            }
        })
    }
}
