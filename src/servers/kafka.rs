//! Kafka: nodes of Java that are broker and controller in one, without ZooKeeper.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::find::{jar_version, java};
use super::{
    About, Found, Image, Launch, Layout, MemorySetting, NODES, Server, Setting, Site, Takes,
    mebibytes, nodes, socket,
};

/// See the module.
pub struct Kafka;

const JAR: &str = "kafka_2.13-*.jar";
/// For clients; among controllers; among brokers, always in the clear.
const PORTS: usize = 3;
/// Every instance is a cluster of its own, and all may have the same name.
const CLUSTER: &str = "bXFiZW5jaC1jbHVzdGVyLQ";

static ABOUT: About = About {
    name: "kafka",
    title: "Kafka",
    version: "4.3.1",
    programs: &[JAR],
    image: Some(Image {
        name: "apache/kafka:4.3.1",
        programs: &[
            "/opt/kafka/libs/kafka_2.13-4.3.1.jar",
            "/opt/java/openjdk/bin/java",
        ],
    }),
    url: "kafka://host:9092",
    ports: PORTS,
    // Seconds on an idle machine; half a minute where others keep its cores busy.
    start_within: Duration::from_secs(90),
    stop_within: Duration::from_secs(15),
    settings: &[
        Setting {
            key: NODES,
            takes: Takes::Choice(&["1", "3"]),
            default: Some("1"),
        },
        // A topic that was deleted must not come back because somebody asks for it.
        Setting::text("authorizer.class.name", None),
        Setting::text("super.users", None),
        Setting::text("auto.create.topics.enable", Some("false")),
        // The server's own 3 s are for groups whose members start one after the other.
        Setting::text("group.initial.rebalance.delay.ms", Some("100")),
        // Files of a deleted topic are removed at once, not after a minute: disks are small.
        Setting::text("log.segment.delete.delay.ms", Some("0")),
        Setting::text("compression.type", None),
        Setting::text("default.replication.factor", None),
        Setting::text("log.flush.interval.messages", None),
        Setting::text("log.flush.interval.ms", None),
        Setting::text("log.segment.bytes", None),
        Setting::text("message.max.bytes", None),
        Setting::text("min.insync.replicas", None),
        Setting::text("num.io.threads", None),
        Setting::text("num.network.threads", None),
        Setting::text("num.replica.fetchers", None),
        Setting::text("socket.receive.buffer.bytes", None),
        Setting::text("socket.request.max.bytes", None),
        Setting::text("socket.send.buffer.bytes", None),
        // Options of Java, in its own words.
        Setting::text(XMX, Some("512m")),
        Setting::access(USER),
        Setting::access(PASSWORD),
        Setting::access(TLS_CERT),
        Setting::access(TLS_KEY),
        Setting::access(TLS_CA),
    ],
    // Half: the files that it serves are cached beside its heap.
    memory: &[MemorySetting {
        key: XMX,
        share: 0.5,
        written: mebibytes,
    }],
};

const XMX: &str = "Xmx";
const USER: &str = "user";
const PASSWORD: &str = "password";
const TLS_CERT: &str = "tls_cert";
const TLS_KEY: &str = "tls_key";
const TLS_CA: &str = "tls_ca";
/// Those that have no line of their own name.
const NOT_IN_FILE: &[&str] = &[NODES, XMX, USER, PASSWORD, TLS_CERT, TLS_KEY, TLS_CA];

/// Warnings and errors, and once that it has started.
const LOGGING: &str = "\
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
";

impl Server for Kafka {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn version(&self, found: &Found) -> io::Result<String> {
        if found.container().is_none() {
            java()?;
        }
        jar_version(&found.program, JAR)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its name has no version"))
    }

    fn configure(&self, found: &Found, site: &Site) -> Layout {
        let logging = PathBuf::from("log4j2.properties");
        let mut layout = Layout {
            files: vec![(logging, LOGGING.to_owned())],
            ..Layout::default()
        };
        // What a format writes is the same for all, but for the name and number of the node.
        let format = of_installation(found, "format/bootstrap.checkpoint");
        for node in Node::all(site) {
            layout.files.push((node.file(), node.configuration(found)));
            match &format {
                Some(checkpoint) => {
                    let data = node.data();
                    layout
                        .files
                        .push((data.join("meta.properties"), node.meta()));
                    let into = site.folder.join(data);
                    layout.steps.push(Launch {
                        name: format!("format-{}", node.number),
                        program: "cp".into(),
                        args: vec![checkpoint.clone().into(), into.into()],
                        env: Vec::new(),
                    });
                }
                None => layout.steps.push(node.format(found)),
            }
            layout.processes.push(node.launch(found));
        }
        layout
    }

    fn answers(&self, site: &Site) -> io::Result<()> {
        for node in Node::all(site) {
            socket::connect(node.client())?;
            // A node that is starting, or was suspended for long, is not among its own members.
            let members = members(node.internal())?;
            let wanted = nodes(&site.config);
            if members < wanted {
                let why = format!("{members} of {wanted} nodes are there");
                return Err(io::Error::other(why));
            }
        }
        Ok(())
    }

    fn url(&self, site: &Site) -> String {
        let nodes = Node::all(site).map(|node| format!("127.0.0.1:{}", node.client()));
        format!("kafka://{}", nodes.collect::<Vec<_>>().join(","))
    }

    fn reason(&self, log: &str) -> Option<String> {
        let line = |line: &str| {
            let (_, words) = line.split_once(" ERROR ").or(line.split_once(" FATAL "))?;
            let (_, words) = words.split_once(' ')?;
            Some(words.to_owned())
        };
        // The cause stands below the line that says what could not be done.
        let cause = |line: &str| {
            let named = line.strip_prefix("Caused by: ").unwrap_or(line);
            let (class, words) = named.split_once(": ")?;
            let is_class = class.contains('.') && !class.contains(' ') && !line.starts_with('\t');
            is_class.then(|| words.to_owned())
        };
        log.lines()
            .rev()
            .find_map(cause)
            .or_else(|| log.lines().rev().find_map(line))
    }
}

/// A file of the installation, beside the folder of its jars.
fn of_installation(found: &Found, name: &str) -> Option<PathBuf> {
    let file = found.program.parent()?.parent()?.join(name);
    file.is_file().then_some(file)
}

/// One member.
struct Node<'a> {
    site: &'a Site,
    number: usize,
}

impl Node<'_> {
    fn all(site: &Site) -> impl Iterator<Item = Node<'_>> {
        (1..=nodes(&site.config) as usize).map(move |number| Node { site, number })
    }

    fn port(&self, which: usize) -> u16 {
        self.site.ports[(self.number - 1) * PORTS + which]
    }

    fn client(&self) -> u16 {
        self.port(0)
    }

    fn controller(&self) -> u16 {
        self.port(1)
    }

    fn internal(&self) -> u16 {
        self.port(2)
    }

    fn setting(&self, key: &str) -> Option<&str> {
        self.site.config.get(key).map(String::as_str)
    }

    /// Within the folder of the site.
    fn data(&self) -> PathBuf {
        Path::new("data").join(self.number.to_string())
    }

    fn file(&self) -> PathBuf {
        format!("server-{}.properties", self.number).into()
    }

    fn configuration(&self, found: &Found) -> String {
        let mut lines = Vec::new();
        let mut line = |key: &str, value: &str| lines.push(format!("{key}={}", escaped(value)));
        let members = nodes(&self.site.config);
        let voters = Node::all(self.site)
            .map(|node| format!("{}@127.0.0.1:{}", node.number, node.controller()));
        line("process.roles", "broker,controller");
        line("node.id", &self.number.to_string());
        line(
            "controller.quorum.voters",
            &voters.collect::<Vec<_>>().join(","),
        );
        let (client, internal) = (self.client(), self.internal());
        let brokers = |host: &str| format!("CLIENT://{host}:{client},INTERNAL://{host}:{internal}");
        let controller = format!("CONTROLLER://127.0.0.1:{}", self.controller());
        line(
            "listeners",
            &format!("{},{controller}", brokers(found.bind())),
        );
        line("advertised.listeners", &brokers("127.0.0.1"));
        line("controller.listener.names", "CONTROLLER");
        line("inter.broker.listener.name", "INTERNAL");
        let encrypted = self.setting(TLS_CERT).is_some();
        let protocol = match (encrypted, self.setting(USER).is_some()) {
            (false, false) => "PLAINTEXT",
            (true, false) => "SSL",
            (false, true) => "SASL_PLAINTEXT",
            (true, true) => "SASL_SSL",
        };
        line(
            "listener.security.protocol.map",
            &format!("CLIENT:{protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        );
        let data = self.site.folder.join(self.data());
        line("log.dirs", &data.to_string_lossy());
        let (copies, in_sync) = (members.to_string(), (members / 2 + 1).to_string());
        for kind in ["offsets.topic", "transaction.state.log"] {
            line(&format!("{kind}.replication.factor"), &copies);
            // As many leaders as nodes.
            line(&format!("{kind}.num.partitions"), &copies);
        }
        line("transaction.state.log.min.isr", &in_sync);
        line("share.coordinator.state.topic.replication.factor", &copies);
        line("share.coordinator.state.topic.min.isr", &in_sync);
        line("share.coordinator.state.topic.num.partitions", &copies);
        if self.setting("default.replication.factor").is_none() {
            line("default.replication.factor", &copies);
        }
        if self.setting("min.insync.replicas").is_none() {
            line("min.insync.replicas", &in_sync);
        }
        for (key, value) in &self.site.config {
            if !NOT_IN_FILE.contains(&key.as_str()) {
                line(key, value);
            }
        }
        self.access(&mut line);
        lines.join("\n") + "\n"
    }

    /// Who may come in on the port for clients, and how.
    fn access(&self, line: &mut impl FnMut(&str, &str)) {
        if let (Some(user), Some(password)) = (self.setting(USER), self.setting(PASSWORD)) {
            let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
            let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
            line("listener.name.client.sasl.enabled.mechanisms", "PLAIN");
            line(
                "listener.name.client.plain.sasl.jaas.config",
                &format!("{plain} user_{user}=\"{quoted}\";"),
            );
        }
        let mut pem = |key: &str, file: &str| {
            // One that cannot be read is for the server to complain about, with its name.
            let text = fs::read_to_string(file).unwrap_or_else(|_| file.to_owned());
            line(&format!("listener.name.client.ssl.{key}"), &text);
        };
        if let (Some(cert), Some(key)) = (self.setting(TLS_CERT), self.setting(TLS_KEY)) {
            pem("keystore.certificate.chain", cert);
            pem("keystore.key", key);
            if let Some(ca) = self.setting(TLS_CA) {
                pem("truststore.certificates", ca);
            }
            line("listener.name.client.ssl.keystore.type", "PEM");
        }
        if self.setting(TLS_CA).is_some() {
            line("listener.name.client.ssl.truststore.type", "PEM");
            line("listener.name.client.ssl.client.auth", "required");
        }
    }

    /// What a format writes of the node itself.
    fn meta(&self) -> String {
        // Any name will do that no other folder of the cluster has: sixteen bytes in base 64.
        let folder = format!(
            "bXFiZW5jaC1ub2RlLTAw{}A",
            char::from(b'A' + self.number as u8)
        );
        format!(
            "node.id={}\ndirectory.id={folder}\nversion=1\ncluster.id={CLUSTER}\n",
            self.number
        )
    }

    fn format(&self, found: &Found) -> Launch {
        let mut args = java_arguments(found, self.site);
        args.push("kafka.tools.StorageTool".into());
        args.extend(["format", "-t", CLUSTER, "-c"].map(OsString::from));
        args.push(self.site.folder.join(self.file()).into());
        java_launch(format!("format-{}", self.number), args)
    }

    fn launch(&self, found: &Found) -> Launch {
        let xmx = self.setting(XMX).unwrap_or("512m");
        let mut args = vec![
            format!("-Xms{xmx}").into(),
            format!("-Xmx{xmx}").into(),
            "-XX:+UseG1GC".into(),
            "-XX:MaxGCPauseMillis=20".into(),
            // Without memory it would linger: a server that is gone is noticed.
            "-XX:+ExitOnOutOfMemoryError".into(),
        ];
        // Of other Java or other jars it is of no use, and Java goes on without it.
        if let Some(archive) = of_installation(found, "format/classes.jsa") {
            let mut shared = OsString::from("-XX:SharedArchiveFile=");
            shared.push(archive);
            args.extend([shared, "-Xshare:auto".into(), "-Xlog:cds=off".into()]);
            args.push("-Xlog:cds+dynamic=off".into());
        }
        args.extend(java_arguments(found, self.site));
        args.push("kafka.Kafka".into());
        args.push(self.site.folder.join(self.file()).into());
        let name = match nodes(&self.site.config) {
            1 => ABOUT.name.to_owned(),
            _ => format!("{}-{}", ABOUT.name, self.number),
        };
        java_launch(name, args)
    }
}

fn java_launch(name: String, args: Vec<OsString>) -> Launch {
    Launch {
        name,
        // Where there is no Java it is not started: `version` has said so.
        program: java().unwrap_or_else(|_| "java".into()),
        args,
        env: Vec::new(),
    }
}

/// What every program of the installation is started with.
fn java_arguments(found: &Found, site: &Site) -> Vec<OsString> {
    let jars = found.program.parent().unwrap_or(Path::new(".")).join("*");
    let path = |prefix: &str, path: &Path| {
        let mut argument = OsString::from(prefix);
        argument.push(path);
        argument
    };
    let logging = site.folder.join("log4j2.properties");
    vec![
        "-cp".into(),
        jars.into(),
        // Otherwise it leaves a file outside its folder when it is killed; native libraries likewise.
        "-XX:-UsePerfData".into(),
        path("-Djava.io.tmpdir=", &site.data()),
        path("-Dlog4j2.configurationFile=", &logging),
        "-Dlog4j2.disableJmx=true".into(),
        "-Djava.awt.headless=true".into(),
    ]
}

/// As the value of a line of a file of properties.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}

/// Asks a node, over its own protocol, how many brokers it knows of that are ready.
fn members(port: u16) -> io::Result<u32> {
    // Metadata, version 8, of no topic. Length; key of the request, version, number of the question,
    // name of the client; topics; three flags.
    const METADATA: &[u8] = b"\0\0\0\x18\0\x03\0\x08\0\0\0\x01\0\x07mqbench\0\0\0\0\0\0\0";
    let mut connection = socket::connect(port)?;
    connection.get_mut().write_all(METADATA)?;
    // Length, number of the question, throttling, how many brokers.
    let mut answer = [0; 16];
    connection.read_exact(&mut answer)?;
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| answer[at + i]));
    match word(4) {
        1 => Ok(word(12)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it speaks another protocol",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Origin;

    fn laid_out(config: &[(&str, &str)]) -> Layout {
        let config = config.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        let site = Site {
            folder: "/tmp/x".into(),
            ports: (7001..=7009).collect(),
            config: ABOUT.effective(&config.collect()).unwrap(),
        };
        let found = Found {
            program: "/lib/kafka/libs/kafka_2.13-4.3.1.jar".into(),
            origin: Origin::Cache,
        };
        Kafka.configure(&found, &site)
    }

    /// The configuration of a node.
    fn file(layout: &Layout, number: usize) -> &str {
        let name = format!("server-{number}.properties");
        let mut files = layout.files.iter();
        &files.find(|file| file.0 == Path::new(&name)).unwrap().1
    }

    #[track_caller]
    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }

    #[test]
    fn settings_become_lines_of_its_file_or_arguments() {
        let layout = laid_out(&[("log.flush.interval.messages", "1"), ("Xmx", "1g")]);
        let text = file(&layout, 1);
        has(text, "log.flush.interval.messages=1");
        has(text, "default.replication.factor=1");
        has(text, "log.dirs=/tmp/x/data/1");
        has(
            text,
            "listener.security.protocol.map=CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        );
        assert!(!text.contains("Xmx") && !text.contains("nodes"));
        let args = &layout.processes[0].args;
        let argument = |wanted: &str| args.iter().any(|argument| *argument == *wanted);
        assert!(argument("-Xmx1g") && argument("/lib/kafka/libs/*"));
        // This installation has no format to copy.
        assert_eq!(layout.steps.len(), 1);
    }

    #[test]
    fn a_cluster_has_three_nodes_that_know_each_other() {
        let layout = laid_out(&[("nodes", "3")]);
        assert_eq!((layout.steps.len(), layout.processes.len()), (3, 3));
        for node in 1..=3 {
            let text = file(&layout, node);
            has(text, &format!("node.id={node}"));
            has(
                text,
                "controller.quorum.voters=1@127.0.0.1:7002,2@127.0.0.1:7005,3@127.0.0.1:7008",
            );
            has(text, "default.replication.factor=3");
            has(text, "min.insync.replicas=2");
        }
    }

    #[test]
    fn users_and_encryption_are_for_the_port_of_the_clients_alone() {
        let config = [
            ("user", "bench"),
            ("password", "a \"b\\"),
            ("tls_cert", "/nowhere/cert"),
            ("tls_key", "/nowhere/key"),
            ("tls_ca", "/nowhere/ca"),
        ];
        let layout = laid_out(&config);
        let text = file(&layout, 1);
        has(
            text,
            "listener.security.protocol.map=CLIENT:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        );
        has(text, "listener.name.client.ssl.keystore.key=/nowhere/key");
        has(text, "listener.name.client.ssl.client.auth=required");
        // Once for the login module and once for the file.
        let login = "PlainLoginModule required user_bench=\"a \\\\\"b\\\\\\\\\";";
        assert!(text.contains(login), "{text}");
    }

    #[test]
    fn the_reason_is_the_last_cause_or_the_last_error() {
        let log = "11:01:03.550 ERROR KafkaRaftServer Exiting Kafka due to fatal exception\n\
                   org.apache.kafka.common.config.ConfigException: Invalid value x\n\tat b: c\n";
        assert_eq!(Kafka.reason(log).unwrap(), "Invalid value x");
        let log = "11:01:04.171 ERROR Log Disk is full\n";
        assert_eq!(Kafka.reason(log).unwrap(), "Disk is full");
        assert_eq!(Kafka.reason("11:01:08.298 WARN A b\n"), None);
    }
}
