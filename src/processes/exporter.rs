//! A page that others may read while a run goes: a server for `GET /metrics`, and for nothing else.
//!
//! One thread waits for all connections at once and never for a single one, so that a reader that hangs
//! costs neither the run nor other readers anything. It has a copy of the page and holds no lock of the
//! run's. What is asked is read up to a bound, and everybody gets a short time.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Connections at a time; more wait to be accepted.
const MOST: usize = 16;
/// From being accepted to being done.
const PATIENCE: Duration = Duration::from_secs(5);
/// After an error of accepting (no descriptors left), before the next try.
const RECOVERY: Duration = Duration::from_secs(1);
/// Bytes of a request, its headers included.
const LONGEST: usize = 8 * 1024;

/// Serves a page until it is dropped.
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    page: Arc<Mutex<Arc<str>>>,
    /// Its end wakes the thread.
    alive: Option<PipeWriter>,
    hand: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Listens at `host:port`; port 0 is any that is free. The page is empty. `content_type` is what it is.
    ///
    /// # Errors
    /// Where the address means nothing, is taken, or is not this machine's.
    pub fn listen(address: &str, content_type: &'static str) -> io::Result<Exporter> {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        let listener = TcpListener::bind(&addresses[..])?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let page = Arc::new(Mutex::new(Arc::from("")));
        let (ended, alive) = io::pipe()?;
        let server = Server {
            listener,
            ended,
            content_type,
            page: Arc::clone(&page),
        };
        let hand = thread::Builder::new()
            .name("exporter".to_owned())
            .spawn(move || server.serve())?;
        Ok(Exporter {
            address,
            page,
            alive: Some(alive),
            hand: Some(hand),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the page.
    pub fn show(&self, page: String) {
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = Arc::from(page);
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(hand) = self.hand.take() {
            // Its panic would have said what happened.
            let _ = hand.join();
        }
    }
}

struct Server {
    listener: TcpListener,
    ended: PipeReader,
    content_type: &'static str,
    page: Arc<Mutex<Arc<str>>>,
}

impl Server {
    fn serve(self) {
        let mut clients: Vec<Client> = Vec::new();
        let mut deaf_until: Option<Instant> = None;
        loop {
            let now = Instant::now();
            clients.retain(|client| client.until > now && !client.is_done());
            deaf_until = deaf_until.filter(|until| *until > now);
            let hears = clients.len() < MOST && deaf_until.is_none();
            let mut waits = vec![PollFd::new(self.ended.as_fd(), PollFlags::POLLIN)];
            let accepts = match hears {
                true => PollFlags::POLLIN,
                false => PollFlags::empty(),
            };
            waits.push(PollFd::new(self.listener.as_fd(), accepts));
            for client in &clients {
                waits.push(PollFd::new(client.stream.as_fd(), client.awaits()));
            }
            let ends = clients.iter().map(|it| it.until).chain(deaf_until).min();
            let timeout = ends.map_or(PollTimeout::NONE, |end| {
                // Rounded up, or it would spin for the last part of a millisecond.
                let left = (end - now).as_millis() + 1;
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            });
            match poll(&mut waits, timeout) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(_) => return,
            }
            let ready: Vec<bool> = waits.iter().map(|it| it.any().unwrap_or(true)).collect();
            if ready[0] {
                return;
            }
            for (client, ready) in clients.iter_mut().zip(&ready[2..]) {
                if *ready {
                    client.go_on(|request| self.answer(request));
                }
            }
            if hears && ready[1] {
                match self.accept() {
                    Ok(Some(client)) => clients.push(client),
                    Ok(None) => {}
                    Err(_) => deaf_until = Some(Instant::now() + RECOVERY),
                }
            }
        }
    }

    /// `None` where whoever came is gone already.
    fn accept(&self) -> io::Result<Option<Client>> {
        let (stream, _) = match self.listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if is_passing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        Ok(Some(Client {
            stream,
            state: State::Reading(Vec::new()),
            until: Instant::now() + PATIENCE,
        }))
    }

    /// The whole answer to a request.
    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let line = request
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        let plain = "text/plain; charset=utf-8";
        let (status, kind, body): (&str, &str, Arc<str>) = match words[..] {
            [method, target, version] if version.starts_with("HTTP/1.") => {
                let path = target.split('?').next().unwrap_or_default();
                match (method, path) {
                    ("GET" | "HEAD", "/metrics") => {
                        let page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
                        ("200 OK", self.content_type, Arc::clone(&page))
                    }
                    ("GET" | "HEAD", _) => {
                        ("404 Not Found", plain, "metrics are at /metrics\n".into())
                    }
                    _ => (
                        "405 Method Not Allowed",
                        plain,
                        "GET is all there is\n".into(),
                    ),
                }
            }
            _ => ("400 Bad Request", plain, "this is no HTTP request\n".into()),
        };
        let length = body.len();
        let allow = match status.starts_with("405") {
            true => "Allow: GET, HEAD\r\n",
            false => "",
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n"
        );
        let mut answer = head.into_bytes();
        if words.first() != Some(&"HEAD") {
            answer.extend_from_slice(body.as_bytes());
        }
        answer
    }
}

/// Somebody who reads.
struct Client {
    stream: TcpStream,
    state: State,
    /// Then it is let go, however far it is.
    until: Instant,
}

enum State {
    /// What of the request is there.
    Reading(Vec<u8>),
    /// The answer, and how much of it is sent.
    Writing(Vec<u8>, usize),
    /// All is sent. What still comes is thrown away until the other side ends, too: closed at once, the
    /// connection would be reset, and the answer lost with it.
    Ending,
    Done,
}

impl Client {
    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn awaits(&self) -> PollFlags {
        match self.state {
            State::Writing(..) => PollFlags::POLLOUT,
            _ => PollFlags::POLLIN,
        }
    }

    /// Does what can be done without waiting.
    fn go_on(&mut self, answer: impl Fn(&[u8]) -> Vec<u8>) {
        if let Err(error) = self.try_to_go_on(answer)
            && !is_passing(&error)
        {
            self.state = State::Done;
        }
    }

    fn try_to_go_on(&mut self, answer: impl Fn(&[u8]) -> Vec<u8>) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            match &mut self.state {
                State::Reading(request) => {
                    let count = self.stream.read(&mut buffer)?;
                    request.extend_from_slice(&buffer[..count]);
                    let is_whole = [&b"\r\n\r\n"[..], b"\n\n"]
                        .iter()
                        .any(|end| request.windows(end.len()).any(|bytes| bytes == *end));
                    if is_whole || request.len() >= LONGEST {
                        let text = if is_whole { &request[..] } else { b"" };
                        self.state = State::Writing(answer(text), 0);
                    } else if count == 0 {
                        self.state = State::Done;
                        return Ok(());
                    }
                }
                State::Writing(answer, sent) => {
                    *sent += self.stream.write(&answer[*sent..])?;
                    if *sent == answer.len() {
                        self.stream.shutdown(Shutdown::Write)?;
                        self.state = State::Ending;
                    }
                }
                State::Ending => {
                    if self.stream.read(&mut buffer)? == 0 {
                        self.state = State::Done;
                        return Ok(());
                    }
                }
                State::Done => return Ok(()),
            }
        }
    }
}

/// Whether it may be tried again when there is something to do.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter() -> Exporter {
        let exporter = Exporter::listen("127.0.0.1:0", "text/plain; version=0.0.4").unwrap();
        exporter.show("a 1\n".to_owned());
        exporter
    }

    fn asked(exporter: &Exporter, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(exporter.address()).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_newest_page_is_served() {
        let exporter = exporter();
        let answer = asked(&exporter, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("Content-Type: text/plain; version=0.0.4\r\n"));
        assert!(answer.contains("Content-Length: 4\r\n") && answer.ends_with("\r\n\r\na 1\n"));
        exporter.show("a 2\n".repeat(100_000));
        let answer = asked(&exporter, b"GET /metrics?x=y HTTP/1.0\n\n");
        assert!(answer.ends_with("a 2\n") && answer.len() > 400_000);
        let answer = asked(&exporter, b"HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(answer.ends_with("Content-Length: 400000\r\nConnection: close\r\n\r\n"));
    }

    #[test]
    fn anything_else_is_refused_politely() {
        let exporter = exporter();
        let said = |request: &[u8]| {
            let answer = asked(&exporter, request);
            answer.split("\r\n").next().unwrap_or_default().to_owned()
        };
        assert_eq!(said(b"GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
        assert_eq!(
            said(b"POST /metrics HTTP/1.1\r\n\r\n"),
            "HTTP/1.1 405 Method Not Allowed"
        );
        assert_eq!(said(b"\x16\x03\x01\xff\n\n"), "HTTP/1.1 400 Bad Request");
        assert_eq!(said(&[b'x'; 100_000]), "HTTP/1.1 400 Bad Request");
    }

    #[test]
    fn who_hangs_keeps_neither_others_waiting_nor_the_end() {
        let exporter = exporter();
        exporter.show("a 1\n".repeat(10_000_000));
        let mut idle = Vec::new();
        for request in [&b""[..], b"GET /metr", b"GET /metrics HTTP/1.1\r\n\r\n"] {
            let mut stream = TcpStream::connect(exporter.address()).unwrap();
            stream.write_all(request).unwrap();
            // Never reads.
            idle.push(stream);
        }
        exporter.show("a 1\n".to_owned());
        let answer = asked(&exporter, b"GET /metrics HTTP/1.1\r\n\r\n");
        assert!(answer.ends_with("a 1\n"));
        let address = exporter.address();
        let began = Instant::now();
        drop(exporter);
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        assert!(
            TcpStream::connect(address).is_err(),
            "nobody listens any more"
        );
    }

    #[test]
    fn an_address_that_is_taken_or_none_is_an_error() {
        let exporter = exporter();
        let taken = Exporter::listen(&exporter.address().to_string(), "");
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddrInUse);
        for nonsense in ["", "9464", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999"] {
            assert!(Exporter::listen(nonsense, "").is_err(), "{nonsense}");
        }
    }
}
