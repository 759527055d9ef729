//! One MQTT connection, whichever version of the protocol: the library has a client for each, and the
//! driver sees one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc_five as five;
use rumqttc_three as three;
use three::{NetworkOptions, QoS, TlsConfiguration};
use tokio::time::timeout;

use super::DriverError;
use super::mqtt_address::{ENCRYPTED, Host};
use super::mqtt_words as words;
use super::target::{CONNECT_TIMEOUT, shown, url};
use super::tls;
use crate::engine::task::Task;
use crate::scenario::brokers::Tls;
use crate::scenario::workload::Delivery;

/// Requests that wait for the library's loop, and that one turn of it writes at once. Every message in it has
/// its stamp already: a long queue would be measured as latency.
const QUEUE: usize = 64;
/// The largest packet of the protocol. The library's own limit is 10 KiB.
const LARGEST: u32 = 268_435_455;
/// A session that could not be removed ends by itself after so many seconds; version 5 only.
const EXPIRY: u32 = 3_600;

/// Which version of the protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1.
    Three,
    /// 5.
    Five,
}

impl Version {
    pub fn of(task: &Task) -> Version {
        match task.text("version") {
            Some("5") => Version::Five,
            _ => Version::Three,
        }
    }
}

/// How often a message is delivered over one hop, by the guarantee.
pub fn qos(task: &Task) -> u8 {
    match task.delivery {
        Delivery::AtMostOnce => 0,
        Delivery::AtLeastOnce => 1,
        Delivery::ExactlyOnce => 2,
    }
}

/// Whether the server keeps the consumers' sessions while they are away.
pub fn keeps_sessions(task: &Task) -> bool {
    qos(task) > 0 && task.text("session") != Some("clean")
}

/// Whether another connection may take the place of one that is lost. What makes a delivery exactly one (which messages
/// came already) the library forgets with the old one.
pub fn comes_back(task: &Task) -> bool {
    qos(task) < 2
}

/// How a connection shows itself to the server.
pub struct Role {
    /// Its client identifier: two of the same drive each other out.
    pub id: String,
    /// Whether the server keeps its session when it goes.
    pub keeps_session: bool,
    /// Whether the server publishes the last will when it goes without a word.
    pub has_will: bool,
}

impl Role {
    /// For something short, which leaves nothing behind.
    pub fn passing(id: String) -> Role {
        Role {
            id,
            keeps_session: false,
            has_will: false,
        }
    }
}

/// What the server says of itself when it lets somebody in; version 5 only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Welcome {
    pub receive_maximum: Option<u16>,
    pub maximum_packet_size: Option<u32>,
    pub maximum_qos: Option<u8>,
    pub retain_available: Option<bool>,
    pub shared_available: Option<bool>,
}

/// What is heard on a connection.
pub enum Heard {
    /// The oldest message that was handed to the library and not told of yet is written, under this
    /// number; 0 where nothing will be heard of it again.
    Sent(u16),
    /// The server has taken responsibility for the message with this number.
    Acked(u16),
    /// The same, and nobody had subscribed; version 5 only.
    AckedForNobody(u16),
    /// The server did not take the message with this number, and why; version 5 only.
    Refused(u16, String),
    /// A message.
    Message {
        payload: Bytes,
        redelivered: bool,
        topic: Bytes,
    },
    /// The subscriptions of one request: the quality that is granted for each, or why there is none.
    Subscribed(Vec<Result<u8, &'static str>>),
    /// Let in.
    Welcome(Welcome),
    /// Nothing that matters here.
    Nothing,
}

/// Where requests are handed to the library.
pub enum Requests {
    Three(three::AsyncClient),
    Five(five::AsyncClient),
}

/// Where the library's loop is driven: nothing is sent or received but by waiting here.
pub enum Events {
    Three(Box<three::EventLoop>),
    Five(Box<five::EventLoop>),
}

/// One connection.
pub struct Connection {
    pub requests: Requests,
    pub events: Events,
    pub welcome: Welcome,
    /// As messages show it.
    pub address: String,
}

impl Connection {
    /// Connects, and waits until the server has let us in.
    pub async fn open(task: &Task, role: &Role) -> Result<Connection, DriverError> {
        let url = url(task)?;
        let address = shown(url);
        let failed = |cause: String| DriverError {
            doing: format!("connect to {address}"),
            cause,
        };
        let host = Host::of(url).map_err(failed)?;
        let tls = tls::wanted(task, ENCRYPTED);
        let (requests, mut events) = client(task, &host, role, tls.as_ref())?;
        let welcome = match timeout(CONNECT_TIMEOUT, events.next()).await {
            Ok(Ok(Heard::Welcome(welcome))) => welcome,
            Ok(Ok(_)) => return Err(failed("what answers does not speak MQTT".to_owned())),
            Ok(Err(cause)) => {
                let cause = match &tls {
                    Some(tls) if cause == words::CLOSED => tls::refused(&cause, tls),
                    Some(_) => tls::explain(&cause),
                    None => cause,
                };
                return Err(failed(cause));
            }
            Err(_) => {
                let seconds = CONNECT_TIMEOUT.as_secs();
                return Err(failed(format!("no answer within {seconds} s")));
            }
        };
        Ok(Connection {
            requests,
            events,
            welcome,
            address,
        })
    }

    /// What was attempted with the server, and why it failed.
    pub fn failed(&self, doing: &str, cause: String) -> DriverError {
        DriverError {
            doing: format!("{doing} {}", self.address),
            cause,
        }
    }

    /// Takes leave and waits until the server has closed the connection: it handles one packet after
    /// the other, so it has everything then.
    pub async fn close(mut self) -> Result<(), DriverError> {
        let closing = async {
            self.requests.disconnect().await;
            while self.events.next().await.is_ok() {}
        };
        timeout(CONNECT_TIMEOUT, closing)
            .await
            .map_err(|_| DriverError {
                doing: format!("take leave of {}", self.address),
                cause: format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
            })
    }

    /// Waits for something on this connection, no longer than `within`.
    pub async fn wait_for<T>(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(Heard) -> Option<T>,
    ) -> Result<T, String> {
        let listening = async {
            loop {
                if let Some(found) = wanted(self.events.next().await?) {
                    return Ok(found);
                }
            }
        };
        match timeout(within, listening).await {
            Ok(heard) => heard,
            Err(_) => Err(words::SILENT.to_owned()),
        }
    }

    /// Subscribes to all of these and waits until the server has confirmed each at this quality. What was heard
    /// meanwhile: a server sends what it has kept for a session as soon as that goes on.
    pub async fn subscribe(&mut self, filters: &[String], qos: u8) -> Result<Vec<Heard>, String> {
        self.requests.subscribe(filters, qos).await;
        let mut meanwhile = Vec::new();
        let heard = |heard| match heard {
            Heard::Subscribed(granted) => Some(granted),
            other => {
                meanwhile.push(other);
                None
            }
        };
        let granted = self.wait_for(CONNECT_TIMEOUT, heard).await?;
        for (filter, granted) in filters.iter().zip(granted) {
            match granted {
                Ok(granted) if granted >= qos => {}
                Ok(granted) => return Err(format!("QoS {granted} is granted instead of {qos}")),
                Err(why) => return Err(format!("the server refused {filter}: {why}")),
            }
        }
        Ok(meanwhile)
    }
}

fn client(
    task: &Task,
    host: &Host,
    role: &Role,
    tls: Option<&Tls>,
) -> Result<(Requests, Events), DriverError> {
    let tls = match tls {
        Some(tls) => Some(TlsConfiguration::Rustls(Arc::new(tls::client_config(tls)?))),
        None => None,
    };
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    let login = task
        .user
        .clone()
        .map(|user| (user, task.password.clone().unwrap_or_default()))
        .or_else(|| host.login.clone());
    let will = task.text("last_will").filter(|_| role.has_will);
    let keep_alive = keep_alive(task).as_secs().clamp(1, u16::MAX.into()) as u16;
    let address = (host.name.clone(), host.port);
    let client = match Version::of(task) {
        Version::Three => {
            let mut options = three::MqttOptions::new(&role.id, address);
            if let Some(tls) = tls {
                options.set_transport(three::Transport::tls_with_config(tls));
            }
            options
                .set_keep_alive(keep_alive)
                .set_max_request_batch(QUEUE)
                .set_clean_session(!role.keeps_session)
                .set_max_packet_size(LARGEST as usize, LARGEST as usize)
                .set_inflight(in_flight(task));
            if let Some((user, password)) = login {
                options.set_credentials(user, password);
            }
            if let Some(topic) = will {
                let qos = QoS::AtLeastOnce;
                options.set_last_will(three::LastWill::new(topic, WILL, qos, false));
            }
            let (client, mut events) = three::AsyncClient::builder(options).capacity(QUEUE).build();
            events.set_network_options(network);
            (Requests::Three(client), Events::Three(Box::new(events)))
        }
        Version::Five => {
            let mut options = five::MqttOptions::new(&role.id, address);
            if let Some(tls) = tls {
                options.set_transport(five::Transport::tls_with_config(tls));
            }
            options
                .set_keep_alive(keep_alive)
                .set_max_request_batch(QUEUE)
                .set_clean_start(!role.keeps_session)
                .set_max_packet_size(Some(LARGEST))
                .set_session_expiry_interval(role.keeps_session.then_some(EXPIRY))
                .set_connect_timeout(CONNECT_TIMEOUT)
                .set_outgoing_inflight_upper_limit(in_flight(task))
                .set_network_options(network);
            if let Some((user, password)) = login {
                options.set_credentials(user, password);
            }
            if let Some(topic) = will {
                let qos = QoS::AtLeastOnce;
                options.set_last_will(five::LastWill::new(topic, WILL, qos, false, None));
            }
            let (client, events) = five::AsyncClient::builder(options).capacity(QUEUE).build();
            (Requests::Five(client), Events::Five(Box::new(events)))
        }
    };
    Ok(client)
}

/// What the server publishes when a publisher goes without a word.
const WILL: &str = "mqbench: a publisher is gone";

/// How long nothing may be heard before we ask whether the other side is there.
pub fn keep_alive(task: &Task) -> Duration {
    task.time("keep_alive").unwrap_or(Duration::from_secs(5))
}

/// Messages of one connection that may wait for their acknowledgement. Twice the window: the library
/// numbers them in a circle of this size, and an acknowledgement out of turn must not stop it.
fn in_flight(task: &Task) -> u16 {
    let window = task.workload.in_flight.saturating_mul(2);
    u16::try_from(window).unwrap_or(u16::MAX).max(16)
}

impl Requests {
    /// Hands over a message. The library ends its loop only with the connection, which is told there.
    pub async fn publish(&self, topic: &str, qos: u8, retain: bool, payload: Bytes) {
        match self {
            Requests::Three(client) => {
                let options = three::PublishOptions::new(level(qos)).retain(retain);
                let _ = client.publish(topic, payload, options).await;
            }
            Requests::Five(client) => {
                let options = five::PublishOptions::new(level(qos)).retain(retain);
                let _ = client.publish(topic, payload, options).await;
            }
        }
    }

    /// Asks for subscriptions; the answer is heard later.
    pub async fn subscribe(&self, filters: &[String], qos: u8) {
        let qos = level(qos);
        match self {
            Requests::Three(client) => {
                let filter = |path: &String| three::SubscribeFilter::new(path.clone(), qos);
                let _ = client.subscribe_many(filters.iter().map(filter)).await;
            }
            Requests::Five(client) => {
                let filter = |path: &String| five::SubscribeFilter::new(path, qos);
                let _ = client.subscribe_many(filters.iter().map(filter)).await;
            }
        }
    }

    async fn disconnect(&self) {
        match self {
            Requests::Three(client) => drop(client.disconnect().await),
            Requests::Five(client) => drop(client.disconnect().await),
        }
    }
}

fn level(qos: u8) -> QoS {
    match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

impl Events {
    /// Drives the connection until there is something to tell; an error is the end of it.
    pub async fn next(&mut self) -> Result<Heard, String> {
        match self {
            Events::Three(events) => match events.poll().await {
                Ok(event) => Ok(of_three(event)),
                Err(error) => Err(words::of_three(&error)),
            },
            Events::Five(events) => match events.poll().await {
                Ok(event) => Ok(of_five(event)),
                Err(error) => Err(words::of_five(&error)),
            },
        }
    }
}

fn of_three(event: three::Event) -> Heard {
    use three::{Event, Outgoing, Packet, SubscribeReasonCode};
    match event {
        Event::Incoming(Packet::Publish(publish)) => Heard::Message {
            payload: publish.payload,
            redelivered: publish.dup,
            topic: publish.topic,
        },
        Event::Outgoing(Outgoing::Publish(pkid)) => Heard::Sent(pkid),
        Event::Incoming(Packet::PubAck(ack)) => Heard::Acked(ack.pkid),
        Event::Incoming(Packet::PubComp(complete)) => Heard::Acked(complete.pkid),
        Event::Incoming(Packet::ConnAck(_)) => Heard::Welcome(Welcome::default()),
        Event::Incoming(Packet::SubAck(ack)) => {
            let granted = ack.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(qos) => Ok(*qos as u8),
                SubscribeReasonCode::Failure => Err("no reason is given; is it allowed?"),
            });
            Heard::Subscribed(granted.collect())
        }
        _ => Heard::Nothing,
    }
}

fn of_five(event: five::Event) -> Heard {
    use five::{Event, Outgoing, Packet};
    use five::{PubAckReason, PubCompReason, PubRecReason, SubscribeReasonCode};
    match event {
        Event::Incoming(Packet::Publish(publish)) => Heard::Message {
            payload: publish.payload,
            redelivered: publish.dup,
            topic: publish.topic,
        },
        Event::Outgoing(Outgoing::Publish(pkid)) => Heard::Sent(pkid),
        Event::Incoming(Packet::PubAck(ack)) => match ack.reason {
            PubAckReason::Success => Heard::Acked(ack.pkid),
            PubAckReason::NoMatchingSubscribers => Heard::AckedForNobody(ack.pkid),
            reason => Heard::Refused(ack.pkid, words::spaced(&reason)),
        },
        // The answer of good news is that of the release; only bad news ends here.
        Event::Incoming(Packet::PubRec(received)) => match received.reason {
            PubRecReason::Success | PubRecReason::NoMatchingSubscribers => Heard::Nothing,
            reason => Heard::Refused(received.pkid, words::spaced(&reason)),
        },
        Event::Incoming(Packet::PubComp(complete)) => match complete.reason {
            PubCompReason::Success => Heard::Acked(complete.pkid),
            reason => Heard::Refused(complete.pkid, words::spaced(&reason)),
        },
        Event::Incoming(Packet::ConnAck(ack)) => {
            let welcome = ack.properties.map(|said| Welcome {
                receive_maximum: said.receive_max,
                maximum_packet_size: said.max_packet_size,
                maximum_qos: said.max_qos,
                retain_available: said.retain_available.map(|it| it != 0),
                shared_available: said.shared_subscription_available.map(|it| it != 0),
            });
            Heard::Welcome(welcome.unwrap_or_default())
        }
        Event::Incoming(Packet::SubAck(ack)) => {
            let granted = ack.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(qos) => Ok(*qos as u8),
                SubscribeReasonCode::NotAuthorized => Err("not authorised"),
                SubscribeReasonCode::QuotaExceeded => Err("its quota is exceeded"),
                SubscribeReasonCode::SharedSubscriptionsNotSupported => {
                    Err("it has no shared subscriptions: let each topic have one consumer")
                }
                SubscribeReasonCode::TopicFilterInvalid => Err("it does not take this name"),
                _ => Err("no reason is given; is it allowed?"),
            });
            Heard::Subscribed(granted.collect())
        }
        _ => Heard::Nothing,
    }
}
