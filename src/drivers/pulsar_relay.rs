//! The way of the client library to brokers that encrypt.
//!
//! The library can encrypt, but it shows no certificate of its own, knows no `insecure`, and believes the
//! authorities that it brings along, whatever it is told. So it is given an address of this process on the
//! loopback, in the clear, and what it writes there goes on over a connection that is encrypted as `tls`
//! says, as those of the other drivers are.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::client::TlsStream;

use super::pulsar_address::broker_url;
use super::pulsar_frames::{Follower, Stopped, redirected};
use super::pulsar_socket::words;
use super::target::Endpoint;
use super::tls;
use crate::scenario::brokers::Tls;

/// Bytes that are taken at a time.
const PART: usize = 64 << 10;
/// How long a broker that cannot be reached is tried: the library tries again only where a connection is
/// refused, and ours never is. Shorter than it waits for a connection, so that it hears the end.
const TRIED_FOR: Duration = Duration::from_secs(4);
/// How long after a failed attempt the next one comes.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long a broker may take to close a connection that the library has closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// The ways of one client.
pub struct Relay {
    tls: Tls,
    /// Those that there are, by the broker's host and port.
    ways: Mutex<HashMap<(String, u16), String>>,
    /// Why a broker could not be reached, the last time.
    trouble: Mutex<Option<String>>,
}

impl Relay {
    pub fn new(tls: Tls) -> Arc<Relay> {
        Arc::new(Relay {
            tls,
            ways: Mutex::default(),
            trouble: Mutex::default(),
        })
    }

    /// The address by which the library reaches a broker. To be called within the runtime of the client,
    /// with which it ends.
    pub fn way_to(self: &Arc<Relay>, broker: &Endpoint) -> io::Result<String> {
        let mut ways = locked(&self.ways);
        let place = (broker.host.clone(), broker.port);
        if let Some(known) = ways.get(&place) {
            return Ok(known.clone());
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let here = Endpoint {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: listener.local_addr()?.port(),
        };
        let url = broker_url(&here);
        tokio::spawn(Arc::clone(self).serve(listener, broker.clone()));
        ways.insert(place, url.clone());
        Ok(url)
    }

    /// Why a broker could not be reached, if one could not.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    async fn serve(self: Arc<Relay>, listener: TcpListener, broker: Endpoint) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) if is_of_this_process(&stream, from) => {
                    let (relay, broker) = (Arc::clone(&self), broker.clone());
                    tokio::spawn(async move { relay.carry(stream, &broker).await });
                }
                // Behind it a broker takes whoever comes for the owner of our certificate.
                Ok(_) => {}
                // Too many open files, which may pass.
                Err(_) => sleep(AGAIN_AFTER).await,
            }
        }
    }

    /// Carries bytes until one of the two closes.
    async fn carry(self: &Arc<Relay>, client: TcpStream, broker: &Endpoint) {
        // One write is one batch: there is nothing that the kernel should wait for.
        if client.set_nodelay(true).is_err() {
            return;
        }
        let Some(broker) = self.reach(broker).await else {
            return;
        };
        let (mut from_client, to_client) = client.into_split();
        let (from_broker, mut to_broker) = split(broker);
        let down = pin!(self.follow(from_broker, to_client));
        let up = pin!(async {
            let ended = copy(&mut from_client, &mut to_broker).await;
            // A farewell that is under way arrives, where the broker is there to hear it.
            ended.is_ok() && to_broker.shutdown().await.is_ok()
        });
        if let Either::Right((true, down)) = select(down, up).await {
            let _ = timeout(FAREWELL, down).await;
        }
    }

    async fn reach(&self, broker: &Endpoint) -> Option<TlsStream<TcpStream>> {
        let end = Instant::now() + TRIED_FOR;
        let stream = loop {
            let connecting = TcpStream::connect((broker.host.as_str(), broker.port));
            let error = match timeout_at(end, connecting).await {
                Ok(Ok(stream)) => break stream,
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            if Instant::now() + AGAIN_AFTER >= end {
                self.complain(words(&error));
                return None;
            }
            sleep(AGAIN_AFTER).await;
        };
        match tls::encrypt(stream, &broker.host, &self.tls).await {
            Ok(stream) => Some(stream),
            Err(cause) => {
                self.complain(cause);
                None
            }
        }
    }

    fn complain(&self, cause: String) {
        *locked(&self.trouble) = Some(cause);
    }

    /// Carries what a broker sends; where it says which broker has a topic, the way to that one comes in
    /// the place of its address.
    async fn follow(
        self: &Arc<Relay>,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut follower = Follower::default();
        let mut bytes = vec![0; PART];
        let mut filled = 0;
        loop {
            let count = from.read(&mut bytes[filled..]).await?;
            if count == 0 {
                return Ok(());
            }
            filled += count;
            let mut done = 0;
            let wanted = loop {
                let there = &bytes[done..filled];
                let (pass, stopped) = follower.pass(there);
                to.write_all(&there[..pass]).await?;
                done += pass;
                match stopped {
                    Stopped::Lookup(length) if length <= filled - done => {
                        let frame = &bytes[done..done + length];
                        let sent = redirected(frame, |place| self.way_to_place(place));
                        // What makes no sense is for the library to complain of.
                        to.write_all(sent.as_deref().unwrap_or(frame)).await?;
                        done += length;
                    }
                    Stopped::Lookup(length) => break length,
                    Stopped::Early | Stopped::Nowhere => break PART,
                }
            };
            bytes.copy_within(done..filled, 0);
            filled -= done;
            if bytes.len() < wanted {
                bytes.resize(wanted, 0);
            }
        }
    }

    fn way_to_place(self: &Arc<Relay>, place: &str) -> Option<String> {
        const USUAL: u16 = 6651;
        let broker = Endpoint::of(place.trim_end_matches('/'), USUAL).ok()?;
        self.way_to(&broker).ok()
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut bytes = vec![0; PART];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..count]).await?;
        // The connection may hold back what it has encrypted.
        to.flush().await?;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the other end of a connection over the loopback is a socket of this process, and not of
/// somebody else on this machine who has found the port.
fn is_of_this_process(stream: &TcpStream, from: SocketAddr) -> bool {
    let (Ok(SocketAddr::V4(here)), SocketAddr::V4(there)) = (stream.local_addr(), from) else {
        return false;
    };
    let known = fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
    let Some(socket) = socket_of(&known, there, here) else {
        return false;
    };
    let link = format!("socket:[{socket}]");
    let ours = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let mut names = ours.filter_map(|entry| fs::read_link(entry.path()).ok());
    names.any(|name| name.as_os_str() == link.as_str())
}

/// The number of the socket that connects two addresses, in the kernel's list.
fn socket_of(list: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<&str> {
    let shown = |at: SocketAddrV4| {
        // The bytes of the address as they lie in memory, taken for a number.
        let ip = u32::from_ne_bytes(at.ip().octets());
        format!("{ip:08X}:{:04X}", at.port())
    };
    let (local, remote) = (shown(local), shown(remote));
    list.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_it = words.next() == Some(local.as_str()) && words.next() == Some(remote.as_str());
        words.nth(6).filter(|_| is_it)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// What a server shows that is its own authority, and how it is believed.
    fn server(folder: &Path) -> (TlsAcceptor, Tls) {
        let names = vec!["127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let file = folder.join("ca.pem");
        fs::write(&file, cert.pem()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let tls = Tls {
            ca: Some(file.to_string_lossy().into_owned()),
            ..Tls::default()
        };
        (TlsAcceptor::from(Arc::new(config)), tls)
    }

    async fn listener() -> (TcpListener, Endpoint) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = "127.0.0.1".to_owned();
        (listener, Endpoint { host, port })
    }

    async fn client(url: &str) -> TcpStream {
        let place = url.strip_prefix("pulsar://").unwrap();
        TcpStream::connect(place).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_said_arrives_whole_and_the_end_of_each_side_is_the_end_of_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let (acceptor, tls) = server(folder.path());
        let (listener, broker) = listener().await;
        let relay = Relay::new(tls);
        let url = relay.way_to(&broker).unwrap();
        // More than the buffers between hold, in frames of ten bytes.
        let frame = [0, 0, 0, 6, 0, 0, 0, 2, 8, 9];
        let said = frame.repeat(1 << 20);
        for closes_first in ["client", "broker"] {
            let (mut client, accepted) = tokio::join!(client(&url), listener.accept());
            let mut theirs = acceptor.accept(accepted.unwrap().0).await.unwrap();
            let expected = said.clone();
            let answers = tokio::spawn(async move {
                let mut heard = vec![0; expected.len()];
                theirs.read_exact(&mut heard).await.unwrap();
                assert!(heard == expected, "all in order");
                theirs.write_all(&heard).await.unwrap();
                theirs.flush().await.unwrap();
                if closes_first == "client" {
                    assert_eq!(theirs.read(&mut heard).await.unwrap(), 0);
                }
            });
            client.write_all(&said).await.unwrap();
            let mut heard = vec![0; said.len()];
            client.read_exact(&mut heard).await.unwrap();
            assert!(heard == said, "all in order");
            if closes_first == "client" {
                drop(client);
            } else {
                assert_eq!(client.read(&mut heard).await.unwrap_or(0), 0);
            }
            answers.await.unwrap();
        }
        assert_eq!(relay.trouble(), None);
    }

    #[tokio::test]
    async fn a_broker_that_cannot_be_believed_is_never_spoken_to_and_the_reason_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (acceptor, mut tls) = server(folder.path());
        let (listener, broker) = listener().await;
        // One of the same name and another key.
        let (_, foreign) = server(folder.path());
        tls.ca = foreign.ca;
        let relay = Relay::new(tls);
        let mut client = client(&relay.way_to(&broker).unwrap()).await;
        client.write_all(b"a secret").await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(stream).await.is_err());
        assert!(client.read_u8().await.is_err());
        let why = relay.trouble().unwrap();
        assert!(why.contains("authority"), "{why}");
    }

    #[tokio::test]
    async fn each_broker_has_one_way() {
        let relay = Relay::new(Tls::default());
        let (first, second) = ("a:6651", "a:6652");
        let way = relay.way_to_place(first);
        assert!(way.is_some());
        assert_eq!(relay.way_to_place("a"), way);
        assert_eq!(relay.way_to_place("a:6651/"), way);
        assert_ne!(relay.way_to_place(second), way);
        assert_eq!(relay.way_to_place(""), None);
    }

    #[test]
    fn a_socket_is_found_in_the_list_of_the_kernel() {
        let list = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  \
                    timeout inode\n   \
                    0: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000  1000  \
                    0 4711 1 0000000000000000 20 4 30 10 -1\n   \
                    1: 0100007F:C001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000  \
                    0 4712 1 0000000000000000 20 4 30 10 -1\n";
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let found = socket_of(list, at(0xC001), at(8080));
        if cfg!(target_endian = "little") {
            assert_eq!(found, Some("4712"));
        }
        assert_eq!(socket_of(list, at(0xC002), at(8080)), None);
    }

    #[tokio::test]
    async fn who_connects_is_known_to_be_of_this_process_or_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let _ours = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        let (stream, from) = listener.accept().await.unwrap();
        assert!(is_of_this_process(&stream, from));

        let mut theirs = std::process::Command::new("bash")
            .args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read -r")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (stream, from) = listener.accept().await.unwrap();
        let known = is_of_this_process(&stream, from);
        theirs.kill().unwrap();
        theirs.wait().unwrap();
        assert!(!known);
    }
}
