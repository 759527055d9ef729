//! A publisher: one call of the library for each message and each of its sockets.

use std::sync::Arc;
use std::time::Instant;

use zmq::{Error, Socket, SocketType};

use super::places::{Places, Way, connected};
use crate::drivers::target::CONNECT_TIMEOUT;
use crate::drivers::{BlockingPublisher, DriverError};
use crate::engine::pacing::BlockingOutbox;
use crate::scenario::workload::Pattern;

/// Messages taken from the outbox at a time; each is a call of its own, so few share a stamp.
const BATCH: usize = 64;

pub(super) struct ZeroMqPublisher {
    pub(super) places: Arc<Places>,
    pub(super) ways: Vec<(u32, Way)>,
    /// For each destination, those that get its messages.
    pub(super) sockets: Vec<Vec<Socket>>,
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
