//! ZeroMQ: no broker, the sockets of publishers and consumers talk to each other.
//!
//! Queue: every consumer binds a PULL socket, and a publisher has, for each of its destinations and
//! each group, a PUSH socket that is connected to all consumers which read that destination there. So
//! any number of publishers and consumers can meet, and one PULL socket serves all destinations.
//! Fan-out: a publisher binds an XPUB socket for each of its destinations, consumers connect a SUB
//! socket to those they read. All binding happens in `prepare`, on ports that the system picks.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tempfile::TempDir;
use zmq::{Context, Error, Socket, SocketType};

use super::descriptor::{
    Descriptor, Offer, OptionKind, OptionSpec, Order, PatternSpec, Setting, Side,
};
use super::target::CONNECT_TIMEOUT;
use super::{
    BlockingConsumer, BlockingPublisher, Consumer, Driver, DriverError, Publisher, Session,
};
use crate::engine::inbox::Inbox;
use crate::engine::pacing::BlockingOutbox;
use crate::engine::shared::lock;
use crate::engine::task::Task;
use crate::scenario::workload::{Delivery, Durability, Pattern};

/// Messages taken from the outbox at a time; each is a call of its own, so few share a stamp.
const BATCH: usize = 64;
/// How long a call waits before the loop looks whether the trial is over, milliseconds.
const PATIENCE: i32 = 50;
/// The longest path that a local socket can have, with its final zero.
const LONGEST_PATH: usize = 107;

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
            Setting {
                side: Side::Publisher,
                key: "ZMQ_SNDHWM",
                value: "high_water_mark",
            },
            Setting {
                side: Side::Consumer,
                key: "ZMQ_RCVHWM",
                value: "high_water_mark",
            },
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

/// Who a bound socket is for: a publisher's destination, or a consumer of a group.
type Owner = (u32, u32);

/// A socket that waits for its owner, and where others find it.
struct Bound {
    owner: Owner,
    endpoint: String,
    socket: Option<Socket>,
}

/// What all sockets of a trial share.
struct Places {
    task: Task,
    /// Each has a thread of its own for its transfers; in memory both sides must share one.
    publishing: Context,
    consuming: Context,
    folder: Mutex<Option<TempDir>>,
    high_water_mark: i32,
    linger: i32,
}

impl Places {
    fn new(task: &Task) -> Result<Places, DriverError> {
        let publishing = Context::new();
        let (consuming, folder) = match task.text("transport") {
            Some("inproc") => (publishing.clone(), None),
            Some("ipc") => {
                let folder = tempfile::Builder::new().prefix("mqbench-").tempdir();
                let doing = DriverError::while_doing("make a folder for local sockets");
                (Context::new(), Some(folder.map_err(doing)?))
            }
            _ => (Context::new(), None),
        };
        let asked = task.count("high_water_mark").unwrap_or(1_000);
        // The reader of a pipe tells the writer how far it is only when it has read half of the mark, so
        // with twice the window or less XPUB would drop messages in every closed loop.
        let high_water_mark = asked.max(4 * u64::from(task.workload.in_flight));
        let linger = task.time("linger").unwrap_or(Duration::from_secs(1));
        Ok(Places {
            task: task.clone(),
            publishing,
            consuming,
            folder: Mutex::new(folder),
            high_water_mark: i32::try_from(high_water_mark).unwrap_or(i32::MAX),
            linger: i32::try_from(linger.as_millis()).unwrap_or(i32::MAX),
        })
    }

    /// A socket with everything set that all have in common.
    fn socket(&self, context: &Context, kind: SocketType) -> Result<Socket, Error> {
        let socket = context.socket(kind)?;
        socket.set_sndhwm(self.high_water_mark)?;
        socket.set_rcvhwm(self.high_water_mark)?;
        socket.set_linger(self.linger)?;
        socket.set_sndtimeo(PATIENCE)?;
        socket.set_rcvtimeo(PATIENCE)?;
        if kind == SocketType::XPUB {
            // Otherwise a second subscriber to the same thing would not be announced.
            socket.set_xpub_verbose(true)?;
        }
        Ok(socket)
    }

    /// Binds a socket where nobody else is.
    fn bind(
        &self,
        context: &Context,
        kind: SocketType,
        owner: Owner,
    ) -> Result<Bound, DriverError> {
        let wish = match self.task.text("transport") {
            Some("inproc") => format!("inproc://{}-{}", owner.0, owner.1),
            Some("ipc") => {
                let name = format!("{}-{}", owner.0, owner.1);
                let folder = lock(&self.folder);
                let path = folder.as_ref().map(|f| f.path().join(name));
                let path = path.unwrap_or_default().display().to_string();
                if path.len() > LONGEST_PATH {
                    return Err(DriverError {
                        doing: format!("bind a local socket at {path}"),
                        cause: format!(
                            "a path may have {LONGEST_PATH} characters; set TMPDIR to a shorter one"
                        ),
                    });
                }
                format!("ipc://{path}")
            }
            _ => "tcp://127.0.0.1:*".to_owned(),
        };
        let doing = || DriverError::while_doing(format!("bind a socket to {wish}"));
        let socket = self.socket(context, kind).map_err(doing())?;
        socket.bind(&wish).map_err(doing())?;
        // The system has put the port in the place of the star.
        let endpoint = match socket.get_last_endpoint().map_err(doing())? {
            Ok(endpoint) => endpoint,
            Err(_) => wish.clone(),
        };
        Ok(Bound {
            owner,
            endpoint,
            socket: Some(socket),
        })
    }

    fn bind_consumers(&self) -> Result<Vec<Bound>, DriverError> {
        let workload = &self.task.workload;
        let consumers =
            (0..workload.groups).flat_map(|g| (0..workload.consumers).map(move |c| (g, c)));
        consumers
            .map(|owner| self.bind(&self.consuming, SocketType::PULL, owner))
            .collect()
    }

    fn bind_publishers(&self) -> Result<Vec<Bound>, DriverError> {
        let task = &self.task;
        let publishers = (0..task.workload.publishers.max(1))
            .flat_map(|p| task.destinations_by(p).into_iter().map(move |d| (p, d)));
        publishers
            .map(|owner| self.bind(&self.publishing, SocketType::XPUB, owner))
            .collect()
    }

    /// How many consumers, over all groups, read a destination.
    fn readers(&self, destination: u32) -> usize {
        let workload = &self.task.workload;
        let reads = |c: &u32| self.task.destinations_of(*c).contains(&destination);
        let in_a_group = (0..workload.consumers).filter(reads).count();
        in_a_group * workload.groups as usize
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

/// How one side gets its socket: bound before, with so many subscribers to wait for, or connected.
enum Way {
    Bound(Socket, usize),
    To(Vec<String>),
}

struct ZeroMqPublisher {
    places: Arc<Places>,
    ways: Vec<(u32, Way)>,
    /// For each destination, those that get its messages.
    sockets: Vec<Vec<Socket>>,
}

impl BlockingPublisher for ZeroMqPublisher {
    fn connect(&mut self) -> Result<(), DriverError> {
        let places = &self.places;
        let destinations = places.task.workload.destinations.max(1);
        self.sockets.resize_with(destinations as usize, Vec::new);
        for (destination, way) in self.ways.drain(..) {
            let socket = match way {
                Way::Bound(socket, readers) => {
                    await_subscribers(&socket, readers)?;
                    socket
                }
                Way::To(endpoints) => {
                    connected(places, &places.publishing, SocketType::PUSH, &endpoints)?
                }
            };
            self.sockets[destination as usize].push(socket);
        }
        Ok(())
    }

    fn run(&mut self, mut outbox: BlockingOutbox) -> Result<(), DriverError> {
        let acks = outbox.acks();
        let drops = self.places.task.workload.pattern == Pattern::FanOut;
        let mut bytes = Vec::new();
        while outbox.due(BATCH) > 0 {
            let mut refreshed = None;
            while let Some(message) = outbox.next() {
                bytes.clear();
                message.append_to(&mut bytes);
                let (token, destination) = (message.token, message.destination as usize);
                for socket in &self.sockets[destination] {
                    // A send looks for word from the readers only once in a millisecond, and PUSH does
                    // so when it is full; XPUB would drop although they have long made room.
                    if drops && refreshed.replace(destination) != Some(destination) {
                        let doing = DriverError::while_doing("ask a socket for its state");
                        socket.get_events().map_err(doing)?;
                    }
                    if let Err(reason) = send(socket, &bytes, || outbox.is_over()) {
                        acks.failed(token, &reason);
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Sends, waiting as long as the trial lasts where the peers take nothing.
fn send(socket: &Socket, bytes: &[u8], is_over: impl Fn() -> bool) -> Result<(), String> {
    loop {
        match socket.send(bytes, 0) {
            Ok(()) => return Ok(()),
            Err(Error::EAGAIN) if is_over() => {
                return Err("the trial ended while the consumers took nothing".to_owned());
            }
            Err(Error::EAGAIN | Error::EINTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn connected(
    places: &Places,
    context: &Context,
    kind: SocketType,
    endpoints: &[String],
) -> Result<Socket, DriverError> {
    let doing = || DriverError::while_doing(format!("connect to {}", endpoints.join(", ")));
    let socket = places.socket(context, kind).map_err(doing())?;
    for endpoint in endpoints {
        socket.connect(endpoint).map_err(doing())?;
    }
    Ok(socket)
}

/// What is published before a subscription has arrived is dropped without a word, so the load must
/// wait for all of them.
fn await_subscribers(socket: &Socket, readers: usize) -> Result<(), DriverError> {
    let doing = || format!("hear from {readers} subscribers");
    let limit = Instant::now() + CONNECT_TIMEOUT;
    let mut heard = 0;
    let mut frame = [0; 64];
    while heard < readers {
        match socket.recv_into(&mut frame, 0) {
            // 1 subscribes, 0 takes it back.
            Ok(length) => heard += usize::from(length > 0 && frame[0] == 1),
            Err(Error::EAGAIN | Error::EINTR) if Instant::now() < limit => {}
            Err(Error::EAGAIN | Error::EINTR) => {
                return Err(DriverError {
                    doing: doing(),
                    cause: format!("only {heard} came in time"),
                });
            }
            Err(error) => return Err(DriverError::while_doing(doing())(error)),
        }
    }
    Ok(())
}

struct ZeroMqConsumer {
    places: Arc<Places>,
    way: Option<Way>,
}

impl BlockingConsumer for ZeroMqConsumer {
    fn run(&mut self, mut inbox: Inbox) -> Result<(), DriverError> {
        let places = &self.places;
        let socket = match self.way.take() {
            Some(Way::Bound(socket, _)) => socket,
            Some(Way::To(endpoints)) if !endpoints.is_empty() => {
                let socket = connected(places, &places.consuming, SocketType::SUB, &endpoints)?;
                let doing = DriverError::while_doing("subscribe");
                socket.set_subscribe(b"").map_err(doing)?;
                socket
            }
            _ => {
                return Err(DriverError {
                    doing: "receive".to_owned(),
                    cause: "the consumer's socket has been taken before".to_owned(),
                });
            }
        };
        // That the subscription has arrived is what the publisher waits for when it connects.
        inbox.ready();
        let largest = places.task.workload.message.largest() as usize;
        let mut bytes = vec![0; largest.max(crate::measure::header::LENGTH)];
        while !inbox.is_over() {
            match socket.recv_into(&mut bytes, 0) {
                Ok(length) => inbox.received(&bytes[..length.min(bytes.len())]),
                Err(Error::EAGAIN | Error::EINTR) => {}
                Err(error) => return Err(DriverError::while_doing("receive")(error)),
            }
        }
        Ok(())
    }
}
