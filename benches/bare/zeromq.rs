//! libzmq in a plain loop: PUSH to PULL.

use std::sync::mpsc;

use crate::Bare;
use crate::load::{Sink, Source};

/// The larger of the sizes that are sent.
const LARGEST: usize = 1024;

/// Over tcp.
pub struct ZeroMq;

impl Bare for ZeroMq {
    fn driver(&self) -> &'static str {
        "zeromq"
    }

    fn consume(&self, _url: &str, ready: &mpsc::Sender<String>, sink: &mut Sink) {
        let socket = zmq::Context::new().socket(zmq::PULL).expect("a socket");
        socket.bind("tcp://127.0.0.1:*").expect("bound");
        let bound = socket.get_last_endpoint().expect("an endpoint");
        ready.send(bound.expect("text")).expect("heard");
        let mut buffer = [0; LARGEST];
        loop {
            let length = socket.recv_into(&mut buffer, 0).expect("a message");
            if !sink.take(&buffer[..length]) {
                return;
            }
        }
    }

    fn publish(&self, url: &str, mut source: Source) {
        let socket = zmq::Context::new().socket(zmq::PUSH).expect("a socket");
        socket.connect(url).expect("connected");
        while let Some(body) = source.next_blocking() {
            socket.send(&*body, 0).expect("sent");
        }
    }
}
