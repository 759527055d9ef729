//! Plain sockets on the loopback interface: free ports, one question and its answer, and who listens.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long a server may take over one question; the caller asks again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ports that are free now. They may be taken before the server opens them, so whoever uses them must
/// be ready to try others.
pub fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    // All are held until all are known, or the same one could come twice.
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<io::Result<_>>()?;
    held.iter()
        .map(|held| Ok(held.local_addr()?.port()))
        .collect()
}

/// A connection that gives up on a server which does not answer.
pub fn connect(port: u16) -> io::Result<BufReader<TcpStream>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// Sends `question` and reads lines until one starts with `answer`.
pub fn ask(
    connection: &mut BufReader<TcpStream>,
    question: &str,
    answer: &str,
) -> io::Result<String> {
    use std::io::BufRead;
    connection.get_mut().write_all(question.as_bytes())?;
    for _ in 0..8 {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.starts_with(answer) {
            return Ok(line);
        }
        if line.starts_with('-') {
            return Err(io::Error::other(line.trim_end().to_owned()));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "it speaks another protocol",
    ))
}

/// Whether one of these processes listens on `port`: a port that was free may have been taken by another
/// server of the same kind, which would answer just as well.
pub fn listens(port: u16, pids: &HashSet<i32>) -> bool {
    // Each asked for its own table: a container has a network of its own.
    let sockets: HashSet<String> = pids
        .iter()
        .flat_map(|pid| ["tcp", "tcp6"].map(|table| format!("/proc/{pid}/net/{table}")))
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listeners(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    pids.iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok())
        .flat_map(|files| files.flatten())
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| {
            target
                .to_str()
                .is_some_and(|target| sockets.contains(target))
        })
}

/// Inodes of the sockets that listen on `port`, from `/proc/net/tcp` or `/proc/net/tcp6`.
fn listeners(table: &str, port: u16) -> Vec<u64> {
    const LISTENING: &str = "0A";
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let matches = u16::from_str_radix(local, 16).ok()? == port;
        (matches && *fields.get(3)? == LISTENING).then(|| fields.get(9)?.parse().ok())?
    };
    table.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let ports = free_ports(8).unwrap();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 8);
    }

    #[test]
    fn listeners_are_told_from_connections() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n   \
             0: 0100007F:1387 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 31415 1 0\n   \
             1: 0100007F:1387 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 0 0 27182 1 0\n";
        assert_eq!(listeners(table, 0x1387), [31_415]);
        assert!(listeners(table, 80).is_empty());
    }

    #[test]
    fn the_owner_of_a_port_is_told_from_others() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = HashSet::from([std::process::id() as i32]);
        assert!(listens(port, &own));
        assert!(!listens(port, &HashSet::from([1])));
        drop(listener);
        assert!(!listens(port, &own));
    }

    #[test]
    fn a_refusal_is_an_error_with_its_words() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"-LOADING the dataset\r\n").unwrap();
        });
        let error = ask(&mut connect(port).unwrap(), "PING\r\n", "+PONG").unwrap_err();
        assert_eq!(error.to_string(), "-LOADING the dataset");
        server.join().unwrap();
    }
}
