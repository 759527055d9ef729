//! A consumer: one socket for all that it reads.

use std::sync::Arc;

use zmq::{Error, SocketType};

use super::places::{Places, Way, connected};
use crate::drivers::{BlockingConsumer, DriverError};
use crate::engine::inbox::Inbox;

pub(super) struct ZeroMqConsumer {
    pub(super) places: Arc<Places>,
    pub(super) way: Option<Way>,
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
