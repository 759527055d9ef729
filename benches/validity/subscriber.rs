//! A subscriber of NATS that is nobody's code but this file's: it speaks the protocol itself, keeps what it gets with
//! the time, and takes nothing of mqbench but the layout of its header.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};

use nix::time::{ClockId, clock_gettime};

/// One message.
pub struct Heard {
    /// When it was here, nanoseconds of the host's monotonic clock.
    pub at: u64,
    pub body: Vec<u8>,
}

impl Heard {
    /// When it was due: bytes 16 to 23, the lowest first.
    pub fn intended(&self) -> u64 {
        let bytes = self.body[16..24].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    }

    /// Whether it belongs to the measured part: the lowest bit of byte 1.
    pub fn is_measured(&self) -> bool {
        self.body[1] & 1 == 1
    }
}

/// Hears everything that is published until it is ended.
pub struct Subscriber {
    stream: TcpStream,
    thread: JoinHandle<Vec<Heard>>,
}

impl Subscriber {
    /// Returns once the server has taken the subscription.
    pub fn at(port: u16) -> Subscriber {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server");
        let mut out = stream.try_clone().expect("a copy");
        let mut lines = BufReader::new(stream.try_clone().expect("a copy"));
        let hello = b"CONNECT {\"verbose\":false}\r\nSUB > 1\r\nPING\r\n";
        out.write_all(hello).expect("it listens");
        let mut line = String::new();
        while line.trim_end() != "PONG" {
            line.clear();
            assert!(lines.read_line(&mut line).expect("an answer") > 0);
        }
        let thread = thread::spawn(move || {
            let mut heard = Vec::new();
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                // `MSG subject number length`
                if line.starts_with("PONG") {
                    break;
                } else if line.starts_with("PING") {
                    let _ = out.write_all(b"PONG\r\n");
                } else if let Some(rest) = line.strip_prefix("MSG ") {
                    let length = rest
                        .split_whitespace()
                        .last()
                        .and_then(|it| it.parse().ok());
                    let mut body = vec![0; length.unwrap_or(0_usize) + 2];
                    if lines.read_exact(&mut body).is_err() {
                        break;
                    }
                    let at = now();
                    body.truncate(body.len() - 2);
                    if body.len() >= 32 {
                        heard.push(Heard { at, body });
                    }
                }
                line.clear();
            }
            heard
        });
        Subscriber { stream, thread }
    }

    /// What it has heard of what was published until now.
    pub fn end(mut self) -> Vec<Heard> {
        // The answer comes behind all that the server had to say.
        self.stream.write_all(b"PING\r\n").expect("it listens");
        self.thread.join().expect("it hears")
    }
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}
