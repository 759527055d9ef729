//! A stretch of network whose length can be set: every byte comes out so much later than it went in.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Ends with the process.
pub struct Line {
    pub port: u16,
    delay: Arc<AtomicU64>,
}

impl Line {
    /// To a port of this machine.
    pub fn to(port: u16) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let line = Line {
            port: listener.local_addr().expect("its address").port(),
            delay: Arc::default(),
        };
        let delay = Arc::clone(&line.delay);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", port)).expect("the server");
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let (from, to) = (from.expect("a copy"), to.expect("a copy"));
                    pass(from, to, Arc::clone(&delay));
                }
            }
        });
        line
    }

    /// From now on, in each direction.
    pub fn set(&self, delay: Duration) {
        self.delay.store(delay.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// One direction: a thread takes in and says when it is due, another puts out.
fn pass(mut from: TcpStream, mut to: TcpStream, delay: Arc<AtomicU64>) {
    let _ = to.set_nodelay(true);
    let (put, take) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let due = Instant::now() + Duration::from_nanos(delay.load(Ordering::Relaxed));
            if put.send((due, buffer[..length].to_vec())).is_err() {
                break;
            }
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
