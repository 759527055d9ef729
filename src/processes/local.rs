//! Brokers that somebody else started on this machine: their processes, found by the port that they listen
//! on. What those cost is the broker's, and no disturbance of the trial.

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;

use crate::drivers::target::{Endpoint, parts};
use crate::measure::proc;
use crate::servers;

/// What a broker that runs already has on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// Its processes: what they take is its cost.
    pub brokers: Vec<i32>,
    /// Those of a container engine that stand between it and its clients.
    pub helpers: Vec<i32>,
}

impl Party {
    /// Of the broker where a URL of this machine leads; `usual` is the port where it names none. Not found are
    /// processes of other users, unless this is root or they are in containers of an engine that answers.
    pub fn at(url: &str, usual: Option<u16>) -> Party {
        let ports = local_ports(url, usual);
        if ports.is_empty() {
            return Party::default();
        }
        let forwarders = servers::helpers(&[], &ports);
        let mut brokers = listeners(&ports);
        brokers.retain(|pid| !forwarders.contains(pid));
        if !brokers.is_empty() && forwarders.is_empty() {
            return Party {
                brokers,
                helpers: Vec::new(),
            };
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path: Vec<_> = std::env::split_paths(&path).collect();
        brokers.extend(servers::published(&ports, &path));
        Party {
            helpers: servers::helpers(&brokers, &ports),
            brokers,
        }
    }
}

/// Processes that listen at these ports.
fn listeners(ports: &[u16]) -> Vec<i32> {
    let sockets = listening_sockets(ports);
    let above = ancestors(std::process::id() as i32);
    // What started this program, or everything (where it listens for services that are not there yet),
    // is not the broker.
    let own = |pid: &i32| above.contains(pid);
    holders(&sockets)
        .into_iter()
        .filter(|pid| !own(pid))
        .collect()
}

/// The ports of those addresses of a URL, which may have several, that are of this machine.
fn local_ports(url: &str, usual: Option<u16>) -> Vec<u16> {
    let port = |(place, _)| {
        // Port 0 is nobody's: what is not said is not found.
        let endpoint = Endpoint::of(place, usual.unwrap_or(0)).ok()?;
        let address: Option<IpAddr> = endpoint.host.parse().ok();
        let is_local = endpoint.host == "localhost" || address.is_some_and(|it| it.is_loopback());
        (is_local && endpoint.port != 0).then_some(endpoint.port)
    };
    parts(url).filter_map(port).collect()
}

/// The kernel's numbers of the sockets that listen on a port.
fn listening_sockets(ports: &[u16]) -> HashSet<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let rows = tables.iter().flatten().flat_map(|table| table.lines());
    rows.filter_map(|row| {
        const LISTENS: &str = "0A";
        let mut words = row.split_whitespace().skip(1);
        let (address, state) = (words.next()?, words.nth(1)?);
        let (_, port) = address.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let inode = words.nth(5)?;
        (state == LISTENS && ports.contains(&port)).then(|| format!("socket:[{inode}]"))
    })
    .collect()
}

/// Processes that have one of these sockets open.
fn holders(sockets: &HashSet<String>) -> Vec<i32> {
    let holds = |pid: i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut open = open.into_iter().flatten().flatten();
        open.any(|file| {
            let target = fs::read_link(file.path());
            target.is_ok_and(|it| it.to_str().is_some_and(|it| sockets.contains(it)))
        })
    };
    let all = proc::processes().into_iter().map(|process| process.pid);
    all.filter(|pid| !sockets.is_empty() && holds(*pid))
        .collect()
}

/// A process and all that it descends from.
fn ancestors(pid: i32) -> HashSet<i32> {
    let mut found = HashSet::from([pid, 1]);
    let mut next = proc::process(pid);
    while let Some(process) = next {
        if !found.insert(process.parent) {
            break;
        }
        next = proc::process(process.parent);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn ports_are_those_of_addresses_on_this_machine() {
        let ports = |url| local_ports(url, Some(4222));
        assert_eq!(ports("nats://127.0.0.1:5000"), [5000]);
        assert_eq!(ports("nats://me:p@ss@localhost"), [4222]);
        assert_eq!(
            ports("kafka://[::1]:1,broker.example:2,127.0.0.2:3"),
            [1, 3]
        );
        assert_eq!(ports("pulsar://127.0.0.1:6650?admin=8080"), [6650]);
        assert!(ports("redis://h:1/0").is_empty());
        assert!(local_ports("unix:///run/redis.sock", None).is_empty());
    }

    #[test]
    fn who_listens_is_found_and_whoever_started_this_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = std::process::id() as i32;
        assert!(holders(&listening_sockets(&[port])).contains(&own));
        let found = Party::at(&format!("nats://127.0.0.1:{port}"), None);
        assert!(!found.brokers.contains(&own), "{found:?}");
        assert!(ancestors(own).contains(&nix::unistd::getppid().as_raw()));
    }
}
