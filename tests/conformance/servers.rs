//! What only a server itself can be asked, one entry for each: the rest of the suite names none.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mqbench::servers::{Instance, REGISTRY};

/// What the suite knows of one server.
pub struct Known {
    /// By its name in the servers' registry.
    pub server: &'static str,
    /// A setting that limits the size of messages, its value, and a size above it in bytes.
    pub limit: (&'static str, &'static str, u64),
    /// The names on the server that contain a text.
    names: fn(&mut Wire, &str) -> io::Result<Vec<String>>,
}

static KNOWN: &[Known] = &[
    Known {
        server: "nats",
        limit: ("max_payload", "4096", 8_192),
        // Without JetStream it keeps nothing but subscriptions, which end with their connections.
        names: |wire, text| {
            if !wire.hear()?.contains("\"jetstream\":true") {
                return Ok(Vec::new());
            }
            wire.say("CONNECT {\"verbose\":false}\r\nSUB answers 1\r\n")?;
            wire.say("PUB $JS.API.STREAM.NAMES answers 0\r\n\r\n")?;
            let mut answer = wire.hear()?;
            while !answer.starts_with('{') {
                answer = wire.hear()?;
            }
            let names = answer.split('"').filter(|word| word.contains(text));
            Ok(names.map(str::to_owned).collect())
        },
    },
    Known {
        server: "pulsar",
        limit: ("maxMessageSize", "1048576", 2 << 20),
        names: |wire, text| {
            let mut names = Vec::new();
            for list in [
                "persistent/public/default",
                "persistent/public/default/partitioned",
                "non-persistent/public/default",
            ] {
                // Its REST API is at the second port; each answer ends with its connection.
                let mut wire = Wire::to(&wire.ports[1..])?;
                wire.say(&format!("GET /admin/v2/{list} HTTP/1.0\r\n\r\n"))?;
                let mut answer = String::new();
                wire.lines.read_to_string(&mut answer)?;
                if !answer.contains(" 200 ") {
                    return Err(io::Error::other(answer));
                }
                let topics = answer.split('"').filter(|word| word.contains(text));
                names.extend(topics.map(str::to_owned));
            }
            Ok(names)
        },
    },
    Known {
        server: "redis",
        limit: ("proto-max-bulk-len", "1mb", 2 << 20),
        names: |wire, text| {
            wire.say(&format!("KEYS *{text}*\r\n"))?;
            let count = wire.hear()?;
            let count = count.trim_start_matches('*').parse().unwrap_or(0);
            // For each its length, then itself.
            (0..count)
                .map(|_| wire.hear().and_then(|_| wire.hear()))
                .collect()
        },
    },
];

/// Servers whose clients go where the server tells them, whatever address they were given.
static TELL_THEIR_ADDRESS: &[&str] = &["kafka", "pulsar"];

/// Whether clients stay with the address that they were given.
pub fn keeps_address(server: &str) -> bool {
    !TELL_THEIR_ADDRESS.contains(&server)
}

/// Removes a destination behind the back of those who use it; `None` where that cannot be done with a
/// line or two.
pub fn remove_destination(instance: &Instance, name: &str) -> Option<io::Result<()>> {
    let line = match instance.server().about().name {
        "redis" => format!("DEL {name}\r\n"),
        _ => return None,
    };
    let wire = Wire::to(&instance.record().site.ports);
    Some(wire.and_then(|mut wire| {
        wire.say(&line)?;
        wire.hear().map(drop)
    }))
}

impl Known {
    pub fn of(server: &str) -> &'static Known {
        let mut known = KNOWN.iter();
        known
            .find(|known| known.server == server)
            .expect("an entry in KNOWN")
    }
}

/// What a run has left on its server.
pub fn leftovers(instance: &Instance, run_id: &str) -> Vec<String> {
    let known = Known::of(instance.server().about().name);
    let asked = Wire::to(&instance.record().site.ports)
        .and_then(|mut wire| (known.names)(&mut wire, &format!("mqbench-{run_id}-")));
    match asked {
        Ok(names) => names.iter().map(|name| format!("left {name}")).collect(),
        Err(error) => vec![format!("what is left cannot be asked: {error}")],
    }
}

/// Lines to a server and back.
struct Wire {
    /// All that the server has; the connection is to the first.
    ports: Vec<u16>,
    out: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Wire {
    fn to(ports: &[u16]) -> io::Result<Wire> {
        let out = TcpStream::connect(("127.0.0.1", ports[0]))?;
        out.set_read_timeout(Some(Duration::from_secs(5)))?;
        let lines = BufReader::new(out.try_clone()?);
        let ports = ports.to_vec();
        Ok(Wire { ports, out, lines })
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.as_bytes())
    }

    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

#[test]
fn every_server_has_an_entry() {
    for server in REGISTRY {
        Known::of(server.about().name);
    }
}
