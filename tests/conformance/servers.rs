//! What only a server itself can be asked, one entry for each: the rest of the suite names none.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mqbench::servers::{Instance, REGISTRY};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::wait_for;

/// What the suite knows of one server.
pub struct Known {
    /// By its name in the servers' registry.
    pub server: &'static str,
    /// A setting that limits the size of messages, its value, and a size above it in bytes.
    pub limit: (&'static str, &'static str, u64),
    /// The names on the server that contain a text.
    names: fn(&Instance, &str) -> io::Result<Vec<String>>,
    /// Settings by which it knows the login and the token of the suite, where those alone do not say it.
    pub access: &'static [(&'static str, &'static str)],
    /// Removes a destination by its name, where the server keeps any.
    remove: Option<fn(&Instance, &str) -> io::Result<()>>,
    /// What makes the login of the suite one that may come in, and may not publish.
    pub forbidding: Forbidding,
}

/// How a server is brought to let somebody in who may do nothing.
pub enum Forbidding {
    /// Not at all.
    Never,
    /// By settings.
    Settings(&'static [(&'static str, &'static str)]),
    /// While it runs, for a user and a password.
    Later(fn(&Instance, &str, &str) -> io::Result<()>),
}

static KNOWN: &[Known] = &[
    Known {
        server: "kafka",
        limit: ("message.max.bytes", "4096", 8_192),
        access: &[],
        names: |instance, text| {
            let mut wire = Wire::to(instance.record().site.port())?;
            // Metadata, version 8, of all topics; then groups, version 0. The names in the answers are
            // plain text.
            let mut found = Vec::new();
            let requests: [&[u8]; 2] = [
                b"\0\0\0\x18\0\x03\0\x08\0\0\0\x01\0\x07mqbench\xff\xff\xff\xff\0\0\0",
                b"\0\0\0\x11\0\x10\0\0\0\0\0\x02\0\x07mqbench",
            ];
            for request in requests {
                let answer = wire.exchange(request)?;
                let answer = String::from_utf8_lossy(&answer);
                let names = answer.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                found.extend(names.filter(|n| n.contains(text)).map(str::to_owned));
            }
            Ok(found)
        },
        remove: Some(|instance, name| {
            // Deletion of topics, version 1: one topic, and how many milliseconds it may take.
            let mut request = b"\0\x14\0\x01\0\0\0\x03\0\x07mqbench\0\0\0\x01\0".to_vec();
            request.push(name.len() as u8);
            request.extend(name.bytes());
            request.extend(b"\0\0\x13\x88");
            let length = (request.len() as u32).to_be_bytes();
            let mut wire = Wire::to(instance.record().site.port())?;
            let answer = wire.exchange(&[&length[..], &request].concat())?;
            match answer.last_chunk::<2>() {
                Some([0, 0]) => Ok(()),
                _ => Err(io::Error::other(format!("{answer:?}"))),
            }
        }),
        // Its own connections, which name no user, may do all; whom no rule names, nothing.
        forbidding: Forbidding::Settings(&[
            (
                "authorizer.class.name",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            ),
            ("super.users", "User:ANONYMOUS"),
        ]),
    },
    Known {
        server: "mosquitto",
        limit: ("max_packet_size", "4096", 8_192),
        access: &[],
        names: sessions_and_retained,
        // A topic is there as long as somebody speaks of it.
        remove: None,
        forbidding: Forbidding::Later(|instance, user, _| {
            let rules = instance.record().site.folder.join("rules");
            std::fs::write(&rules, format!("user {user}\ntopic read #\n"))?;
            let line = format!("acl_file {}\n", rules.display());
            reconfigure(instance, "mosquitto.conf", |text| text + &line, "Reloading")
        }),
    },
    Known {
        server: "nats",
        limit: ("max_payload", "4096", 8_192),
        access: &[],
        // Without JetStream it keeps nothing but subscriptions, which end with their connections.
        names: |instance, text| {
            let mut wire = Wire::to(instance.record().site.port())?;
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
        remove: Some(|instance, name| {
            let mut wire = Wire::to(instance.record().site.port())?;
            wire.say("CONNECT {\"verbose\":false}\r\nSUB answers 1\r\n")?;
            wire.say(&format!(
                "PUB $JS.API.STREAM.DELETE.{name} answers 0\r\n\r\n"
            ))?;
            let mut answer = wire.hear()?;
            while !answer.starts_with('{') {
                answer = wire.hear()?;
            }
            match answer.contains("\"success\":true") {
                true => Ok(()),
                false => Err(io::Error::other(answer)),
            }
        }),
        forbidding: Forbidding::Later(|instance, user, password| {
            let with_rules = |text: String| {
                let (before, rest) = text.split_once("authorization {").expect("a login");
                let (_, after) = rest.split_once('}').expect("its end");
                format!(
                    "{before}authorization {{ users: [{{user: \"{user}\", password: \"{password}\", \
                     permissions: {{publish: {{deny: \">\"}}}}}}] }}{after}"
                )
            };
            reconfigure(instance, "nats.conf", with_rules, "Reloaded")
        }),
    },
    Known {
        server: "pulsar",
        limit: ("maxMessageSize", "1048576", 2 << 20),
        access: &[
            // `bench:` and the hash of its password, as a file of htpasswd has them.
            (
                "basicAuthConf",
                "data:;base64,YmVuY2g6JGFwcjEkbXFiZW5jaDAkZXJ6eWk5V3hrV2RkMENXeDBqSFNlLgo=",
            ),
            // What the token is signed with.
            (
                "tokenSecretKey",
                "data:;base64,bXFiZW5jaCB0ZXN0cyBzaWduIHdpdGggdGhpcyBrZXksIDMyKw==",
            ),
        ],
        names: |instance, text| {
            let mut names = Vec::new();
            for list in [
                "persistent/public/default",
                "persistent/public/default/partitioned",
                "non-persistent/public/default",
            ] {
                // Its REST API is at the second port; each answer ends with its connection.
                let mut wire = Wire::to(instance.record().site.ports[1])?;
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
        // It makes a topic that is gone again for whoever comes back to it.
        remove: None,
        // It is a client of itself, with the same login, and does not start without permission.
        forbidding: Forbidding::Never,
    },
    Known {
        server: "rabbitmq",
        limit: ("max_message_size", "4096", 8_192),
        access: &[],
        names: rabbitmq_names,
        remove: None,
        forbidding: Forbidding::Later(|instance, user, _| {
            // Who does it is for the server's log.
            let arguments = format!("<<\"{user}\">>, <<\"/\">>, <<\"suite\">>");
            let call = format!("rabbit_auth_backend_internal:clear_permissions({arguments}).\n");
            let answer = erl_call(instance, &["-e"], &call)?;
            match answer.contains("ok") {
                true => Ok(()),
                false => Err(io::Error::other(answer)),
            }
        }),
    },
    Known {
        server: "redis",
        limit: ("proto-max-bulk-len", "1mb", 2 << 20),
        access: &[],
        names: |instance, text| {
            let mut wire = Wire::to(instance.record().site.port())?;
            wire.say(&format!("KEYS *{text}*\r\n"))?;
            let count = wire.hear()?;
            let count = count.trim_start_matches('*').parse().unwrap_or(0);
            // For each its length, then itself.
            (0..count)
                .map(|_| wire.hear().and_then(|_| wire.hear()))
                .collect()
        },
        remove: Some(|instance, name| {
            let mut wire = Wire::to(instance.record().site.port())?;
            wire.say(&format!("DEL {name}\r\n"))?;
            wire.hear().map(drop)
        }),
        forbidding: Forbidding::Later(|instance, user, password| {
            let mut wire = Wire::to(instance.record().site.port())?;
            for line in [
                format!("AUTH {user} {password}\r\n"),
                format!("ACL SETUSER {user} -publish -xadd\r\n"),
            ] {
                wire.say(&line)?;
                let answer = wire.hear()?;
                if answer != "+OK" {
                    return Err(io::Error::other(answer));
                }
            }
            Ok(())
        }),
    },
];

/// Servers whose clients go where the server tells them, whatever address they were given.
static TELL_THEIR_ADDRESS: &[&str] = &["kafka"];

/// Whether clients stay with the address that they were given.
pub fn keeps_address(server: &str) -> bool {
    !TELL_THEIR_ADDRESS.contains(&server)
}

/// Whether [`remove_destination`] knows how.
pub fn can_remove(server: &str) -> bool {
    Known::of(server).remove.is_some()
}

/// Removes a destination behind the back of those who use it.
pub fn remove_destination(instance: &Instance, name: &str) -> io::Result<()> {
    let known = Known::of(instance.server().about().name);
    known.remove.expect("one that can")(instance, name)
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
    match (known.names)(instance, &format!("mqbench-{run_id}-")) {
        Ok(names) => names.iter().map(|name| format!("left {name}")).collect(),
        Err(error) => vec![format!("what is left cannot be asked: {error}")],
    }
}

/// Changes the configuration of a server that reads it again when it is told to, and waits until it says that it has.
fn reconfigure(
    instance: &Instance,
    file: &str,
    change: impl FnOnce(String) -> String,
    done: &str,
) -> io::Result<()> {
    let site = &instance.record().site;
    let file = site.folder.join(file);
    std::fs::write(&file, change(std::fs::read_to_string(&file)?))?;
    kill(Pid::from_raw(instance.leaders()[0]), Signal::SIGHUP)?;
    let log = site.log(instance.server().about().name);
    let is_done = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains(done));
    match wait_for(Duration::from_secs(10), is_done) {
        true => Ok(()),
        false => Err(io::Error::other(std::fs::read_to_string(&log)?)),
    }
}

/// Has the node itself do something (`-a`, and a function, or `-e`, and an expression as its input), and gives what
/// comes of it, as Erlang writes it.
fn erl_call(instance: &Instance, what: &[&str], input: &str) -> io::Result<String> {
    let site = &instance.record().site;
    let cookie = std::fs::read_to_string(site.folder.join(".erlang.cookie"))?;
    let mapper = site.ports[2].to_string();
    // Several may ask at once, and the node refuses a second one of the same name.
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let number = CALLS.fetch_add(1, Ordering::Relaxed);
    let name = format!("asks{}x{number}", std::process::id());
    let mut asking = Command::new("erl_call")
        .args(["-sname", "rabbitmq@localhost", "-c", &cookie])
        .args(["-h", &name])
        .args(what)
        .env("ERL_EPMD_PORT", &mapper)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = asking.stdin.take().expect("its input");
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = asking.wait_with_output()?;
    let term = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("erl_call: {term}{complaint}")));
    }
    Ok(term)
}

/// Queues and exchanges, asked of the node itself: AMQP lists nothing.
fn rabbitmq_names(instance: &Instance, text: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for list in [
        "rabbit_amqqueue list_names []",
        "rabbit_exchange list_names []",
    ] {
        // An Erlang term of resources, their names as lists of character codes: `#Bin<109,113,…>`.
        let term = erl_call(instance, &["-a", list], "")?;
        if !term.starts_with('[') {
            return Err(io::Error::other(format!("erl_call: {term}")));
        }
        let names = term.split("#Bin<").skip(1).filter_map(|rest| {
            let codes = rest.split('>').next()?.split(',');
            let bytes: Option<Vec<u8>> = codes.map(|code| code.trim().parse().ok()).collect();
            String::from_utf8(bytes?).ok()
        });
        found.extend(names.filter(|name| name.contains(text)));
    }
    Ok(found)
}

/// What an MQTT server remembers of a run: it tells the owner of a session whether there is one, and
/// sends what it retains to whoever subscribes.
fn sessions_and_retained(instance: &Instance, text: &str) -> io::Result<Vec<String>> {
    let server = ("127.0.0.1", instance.record().site.port());
    // The CONNECT of version 3.1.1, and the second byte of its answer: whether there is a session.
    let connect = |id: &str, clean: bool| -> io::Result<(TcpStream, bool)> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut packet = vec![0x10, 12 + id.len() as u8];
        packet.extend(b"\x00\x04MQTT\x04");
        packet.extend([u8::from(clean) << 1, 0, 60, 0, id.len() as u8]);
        packet.extend(id.bytes());
        stream.write_all(&packet)?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        if answer[0] != 0x20 || answer[3] != 0 {
            return Err(io::Error::other(format!("{id} is refused: {answer:?}")));
        }
        Ok((stream, answer[2] & 1 == 1))
    };
    let mut found = Vec::new();
    // Of the suite each run is one trial, which its id ends with.
    let trial = text.trim_end_matches('-').rsplit('x').next();
    let trial = trial.unwrap_or_default();
    for (group, consumer) in (0..3).flat_map(|group| (0..4).map(move |it| (group, it))) {
        let id = format!("{text}{trial}-group-{group}-consumer-{consumer}");
        if connect(&id, false)?.1 {
            found.push(format!("the session {id}"));
        }
        // Asking has made one.
        connect(&id, true)?;
    }
    // Two of the same name would drive each other out.
    let (mut stream, _) = connect(&format!("{text}leftovers"), true)?;
    // SUBSCRIBE to the topics of this run alone, as others run at the same time; then a question whose
    // answer comes after all that is retained.
    let topics = (0..5).map(|number| format!("{text}{trial}-{number}"));
    let filter = |topic: String| [&[0, topic.len() as u8], topic.as_bytes(), &[0]].concat();
    let filters: Vec<u8> = topics.flat_map(filter).collect();
    let length = filters.len() + 2;
    // A length above 127 takes two bytes, the lower figures first.
    let packet = [0x82, length as u8 | 0x80, (length >> 7) as u8, 0, 1];
    stream.write_all(&[&packet, &filters[..], &[0xc0, 0]].concat())?;
    let mut said = Vec::new();
    let mut part = [0; 4096];
    while !said.ends_with(b"\xd0\x00") {
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => said.extend(&part[..length]),
        }
    }
    if String::from_utf8_lossy(&said).contains(text) {
        found.push(format!("something retained on a topic of {text}{trial}"));
    }
    Ok(found)
}

/// Lines to a server and back.
struct Wire {
    out: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Wire {
    fn to(port: u16) -> io::Result<Wire> {
        let out = TcpStream::connect(("127.0.0.1", port))?;
        out.set_read_timeout(Some(Duration::from_secs(5)))?;
        let lines = BufReader::new(out.try_clone()?);
        Ok(Wire { out, lines })
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.as_bytes())
    }

    /// Sends what is framed by its length, and hears an answer that is.
    fn exchange(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        self.out.write_all(request)?;
        let mut length = [0; 4];
        self.lines.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.lines.read_exact(&mut answer)?;
        Ok(answer)
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
