//! A stretch of network whose length can be set: a byte comes out so much later than it went in.
//!
//! Lines that treat publishers in another way than others know them by their messages: a connection is a
//! publisher's from its first one on, which must be of zeros, 512 bytes or more. Where the server tells clients its address,
//! those lines put in their own.

#![allow(dead_code, reason = "each bench uses its part")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// So many zeros in a row come from nobody but a publisher whose payload they are.
const PAYLOAD: usize = 256;

/// Ends with the process.
pub struct Line {
    pub port: u16,
    delay: Arc<AtomicU64>,
}

/// Told what goes through in one direction of a connection, which it may change; whether it is held back.
type Watcher = Box<dyn FnMut(&mut [u8]) -> bool + Send>;

/// Makes the watchers of a connection, to the server and back, given the ports of the line and of the server.
type Ways = fn(u16, u16) -> [Watcher; 2];

impl Line {
    /// To a port of this machine. Both directions of all connections are held back.
    pub fn to(port: u16) -> Line {
        Line::make(port, false, |_, _| [Box::new(|_| true), Box::new(|_| true)])
    }

    /// To a port of this machine. Held back is what publishers send, and nothing else: neither what they are
    /// answered nor what consumers say and get.
    pub fn from_publishers_to(port: u16) -> Line {
        Line::make(port, false, |own, port| {
            let mut publishes = false;
            let there = move |bytes: &mut [u8]| {
                publishes = publishes || has_payload(bytes);
                publishes
            };
            let back = move |bytes: &mut [u8]| {
                readdress(bytes, port, own);
                false
            };
            [Box::new(there), Box::new(back)]
        })
    }

    /// To a port of this machine. Held back is what everybody but publishers is sent; where the server ends
    /// meanwhile, it is lost with it.
    pub fn from_server_at(port: u16) -> Line {
        Line::make(port, true, |own, port| {
            let publishes = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&publishes);
            let there = move |bytes: &mut [u8]| {
                if !seen.load(Ordering::Relaxed) && has_payload(bytes) {
                    seen.store(true, Ordering::Relaxed);
                }
                false
            };
            let back = move |bytes: &mut [u8]| {
                readdress(bytes, port, own);
                !publishes.load(Ordering::Relaxed)
            };
            [Box::new(there), Box::new(back)]
        })
    }

    fn make(port: u16, server_ends_at_once: bool, ways: Ways) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let line = Line {
            port: listener.local_addr().expect("its address").port(),
            delay: Arc::default(),
        };
        let (own, delay) = (line.port, Arc::clone(&line.delay));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Where there is no server, the client hears that from the end of its connection.
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                let [there, back] = ways(own, port);
                let copy = |stream: &TcpStream| stream.try_clone().expect("a copy");
                pass(
                    copy(&client),
                    copy(&server),
                    Arc::clone(&delay),
                    there,
                    false,
                );
                pass(
                    server,
                    client,
                    Arc::clone(&delay),
                    back,
                    server_ends_at_once,
                );
            }
        });
        line
    }

    /// From now on, in each direction that is held back.
    pub fn set(&self, delay: Duration) {
        self.delay.store(delay.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// One direction: a thread takes in and says when it is due, another puts out. `ends_at_once`: what is under way
/// when the one side ends does not come out any more.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    delay: Arc<AtomicU64>,
    mut watcher: Watcher,
    ends_at_once: bool,
) {
    let _ = to.set_nodelay(true);
    let (put, take) = mpsc::channel::<(Instant, Vec<u8>)>();
    let end = to.try_clone().expect("a copy");
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let mut due = Instant::now();
            if watcher(&mut buffer[..length]) {
                due += Duration::from_nanos(delay.load(Ordering::Relaxed));
            }
            if put.send((due, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
        if ends_at_once {
            let _ = end.shutdown(Shutdown::Both);
        }
    });
    thread::spawn(move || {
        let _ = nix::sys::prctl::set_timerslack(1);
        for (due, bytes) in take {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // Whoever took in hears of it, too.
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn has_payload(bytes: &[u8]) -> bool {
    let mut zeros = 0;
    bytes.iter().any(|byte| {
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        zeros >= PAYLOAD
    })
}

/// Puts another port into an address of this machine, as text or as the number of 32 bits that follows the
/// name of a host in binary protocols. The length stays the same: ports that are given out have five figures.
fn readdress(bytes: &mut [u8], from: u16, to: u16) {
    let host = b"127.0.0.1".as_slice();
    let forms = [
        (
            format!(":{from}").into_bytes(),
            format!(":{to}").into_bytes(),
        ),
        (
            u32::from(from).to_be_bytes().to_vec(),
            u32::from(to).to_be_bytes().to_vec(),
        ),
    ];
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(host.len()).position(|it| it == host) {
        at += found + host.len();
        for (old, new) in &forms {
            if bytes[at..].starts_with(old) && old.len() == new.len() {
                bytes[at..at + new.len()].copy_from_slice(new);
            }
        }
    }
}
