//! RabbitMQ: a server of Erlang, beside Erlang's port mapper (`epmd`).
//!
//! Left to itself the server would start a port mapper that outlives it. So each instance has one of its
//! own, on a port of its own, that starts before the server and ends after it; all members of a cluster
//! use the same.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    About, Config, Found, Image, Launch, Layout, MemorySetting, NODES, Server, Setting, Site, Takes,
};
use super::{nodes, socket};

/// See the module.
pub struct RabbitMq;

/// Ports of a member: for clients, for the other members, for the port mapper (of the first alone).
const PORTS: usize = 3;
/// How a client of AMQP 0-9-1 introduces itself; the server answers with a method frame on channel 0.
const HELLO: &[u8] = b"AMQP\x00\x00\x09\x01";
const METHOD_ON_CHANNEL_0: [u8; 3] = [1, 0, 0];

/// What is not a line of `rabbitmq.conf` under its own name.
const USER: &str = "user";
const PASSWORD: &str = "password";
const CERTIFICATE: &str = "tls_cert";
const KEY: &str = "tls_key";
const AUTHORITY: &str = "tls_ca";
const ERLANG_ARGUMENTS: &str = "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS";
const ELSEWHERE: &[&str] = &[
    NODES,
    USER,
    PASSWORD,
    CERTIFICATE,
    KEY,
    AUTHORITY,
    ERLANG_ARGUMENTS,
];

static ABOUT: About = About {
    name: "rabbitmq",
    title: "RabbitMQ",
    version: "3.10.8",
    programs: &["rabbitmq-server"],
    // By their names alone: images keep them in different folders, all of them on the path.
    image: Some(Image {
        name: "rabbitmq:3.10.8",
        programs: &["rabbitmq-server", "epmd"],
    }),
    url: "amqp://host:5672",
    ports: PORTS,
    // A cluster's members start at once and join one after the other.
    start_within: Duration::from_secs(90),
    stop_within: Duration::from_secs(15),
    settings: &[
        Setting {
            key: NODES,
            takes: Takes::Choice(&["1", "3"]),
            default: Some("1"),
        },
        Setting::text("channel_max", None),
        Setting::text("collect_statistics_interval", None),
        Setting::text("consumer_timeout", None),
        // Its own default, written out: below it the server blocks publishers.
        Setting::text("disk_free_limit.absolute", Some("50MB")),
        Setting::text("frame_max", None),
        Setting::text("heartbeat", None),
        Setting::text("max_message_size", None),
        Setting::text("net_ticktime", None),
        Setting::text("queue_index_embed_msgs_below", None),
        Setting::text("raft.wal_max_size_bytes", None),
        Setting::text("tcp_listen_options.backlog", None),
        Setting::text("tcp_listen_options.nodelay", None),
        Setting::text("tcp_listen_options.recbuf", None),
        Setting::text("tcp_listen_options.sndbuf", None),
        Setting::text("vm_memory_high_watermark.absolute", None),
        Setting::text("vm_memory_high_watermark.relative", None),
        Setting::text(ERLANG_ARGUMENTS, None),
        Setting::access(USER),
        Setting::access(PASSWORD),
        Setting::access(CERTIFICATE),
        Setting::access(KEY),
        Setting::access(AUTHORITY),
    ],
    // Above it publishers are held back; what it collects as garbage may take as much again for a moment.
    memory: &[MemorySetting {
        key: "vm_memory_high_watermark.absolute",
        share: 0.6,
        written: |bytes| bytes.to_string(),
    }],
};

impl Server for RabbitMq {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    /// Read from the folder of its plugins, where the server itself is one: to ask the program takes
    /// seconds and a port mapper.
    fn version(&self, found: &Found) -> io::Result<String> {
        if let Some(contained) = found.container() {
            let plugins = contained.output_of(Path::new("sh"), &["-c", LIST_PLUGINS])?;
            return version_among(plugins.lines(), "the image");
        }
        let program = fs::canonicalize(script(found))?;
        let home = program.parent().and_then(Path::parent);
        let folder = home.unwrap_or(Path::new("/")).join("plugins");
        let mut plugins = Vec::new();
        for plugin in fs::read_dir(&folder)? {
            plugins.push(plugin?.file_name().to_string_lossy().into_owned());
        }
        let plugins = plugins.iter().map(String::as_str);
        version_among(plugins, &folder.display().to_string())
    }

    fn configure(&self, found: &Found, site: &Site) -> Layout {
        let mut layout = Layout {
            files: vec![
                ("enabled_plugins".into(), "[].\n".to_owned()),
                ("advanced.config".into(), advanced(&site.config)),
            ],
            // The secret that members know each other by, readable for us alone, or Erlang refuses it.
            steps: vec![Launch {
                name: "cookie".to_owned(),
                program: "sh".into(),
                args: vec![
                    "-c".into(),
                    "umask 377; od -An -tx8 -N16 /dev/urandom | tr -d ' \\n' >.erlang.cookie"
                        .into(),
                ],
                env: Vec::new(),
            }],
            processes: vec![Launch {
                name: "epmd".to_owned(),
                program: "epmd".into(),
                args: vec![
                    "-address".into(),
                    "127.0.0.1".into(),
                    "-port".into(),
                    mapper_port(site).to_string().into(),
                ],
                env: Vec::new(),
            }],
        };
        for member in members(site) {
            let file = format!("{}.conf", member.log);
            let path = site.folder.join(&file);
            layout
                .files
                .push((file.into(), member.configuration(found, site)));
            layout.processes.push(member.launch(found, site, path));
        }
        layout
    }

    fn answers(&self, site: &Site) -> io::Result<()> {
        let all = members(site);
        for member in &all {
            let log = fs::read(site.log(&member.log))?;
            let log = String::from_utf8_lossy(&log);
            if !log.contains("Server startup complete") {
                return Err(not_yet(&format!("{} still starts", member.node)));
            }
            // Each tells of all others when it has joined them.
            let mut others = all.iter().filter(|other| other.node != member.node);
            let joined =
                |other: &Member| log.contains(&format!("rabbit on node {} up", other.node));
            if let Some(missing) = others.find(|other| !joined(other)) {
                let (node, other) = (&member.node, &missing.node);
                return Err(not_yet(&format!("{node} has not joined {other}")));
            }
        }
        for member in &all {
            let mut connection = socket::connect(member.port)?;
            if encrypts(site) {
                continue;
            }
            connection.get_mut().write_all(HELLO)?;
            let mut answer = [0; METHOD_ON_CHANNEL_0.len()];
            connection.read_exact(&mut answer)?;
            if answer != METHOD_ON_CHANNEL_0 {
                return Err(not_yet("it speaks another protocol"));
            }
        }
        Ok(())
    }

    fn url(&self, site: &Site) -> String {
        // Whether clients encrypt is for their own settings to say, as with every server.
        let urls = members(site)
            .into_iter()
            .map(|member| format!("amqp://127.0.0.1:{}", member.port));
        urls.collect::<Vec<_>>().join(",")
    }

    fn reason(&self, log: &str) -> Option<String> {
        // `TIME [error] <PROCESS> WORDS`; what is wrong with the configuration stands in a list.
        let errors = log.lines().filter_map(|line| line.split_once("[error] <"));
        let words = errors.filter_map(|(_, rest)| rest.split_once("> "));
        let listed = words.filter_map(|(_, words)| words.trim_start().strip_prefix("- "));
        let listed: Vec<&str> = listed.collect();
        if !listed.is_empty() {
            return Some(listed.join("; "));
        }
        let mut lines = log.lines();
        let start = lines.find_map(|line| line.strip_prefix("Error during startup: "))?;
        // An Erlang term over several lines; the first few name the matter.
        let rest = lines.take(2).map(str::trim);
        let term: Vec<&str> = [start.trim()].into_iter().chain(rest).collect();
        Some(term.join(" ").trim().to_owned())
    }
}

/// One server of the instance.
struct Member {
    /// Its name in the cluster.
    node: String,
    /// Names its process, and so its log.
    log: String,
    port: u16,
    /// The port for the other members.
    distribution: u16,
}

fn members(site: &Site) -> Vec<Member> {
    let count = nodes(&site.config) as usize;
    let ports = site.ports.chunks_exact(PORTS).take(count);
    let member = |(place, ports): (usize, &[u16])| {
        // Without a hyphen, or the log would quote it.
        let log = match count {
            1 => ABOUT.name.to_owned(),
            _ => format!("{}{}", ABOUT.name, place + 1),
        };
        Member {
            node: format!("{log}@localhost"),
            log,
            port: ports[0],
            distribution: ports[1],
        }
    };
    ports.enumerate().map(member).collect()
}

fn mapper_port(site: &Site) -> u16 {
    site.ports[PORTS - 1]
}

fn encrypts(site: &Site) -> bool {
    site.config.contains_key(CERTIFICATE)
}

impl Member {
    fn configuration(&self, found: &Found, site: &Site) -> String {
        let mut text = String::from("loopback_users = none\n");
        let listener = format!("{}:{}", found.bind(), self.port);
        if encrypts(site) {
            text += &format!("listeners.tcp = none\nlisteners.ssl.1 = {listener}\n");
            for (key, name) in [
                (CERTIFICATE, "certfile"),
                (KEY, "keyfile"),
                (AUTHORITY, "cacertfile"),
            ] {
                if let Some(file) = site.config.get(key) {
                    text += &format!("ssl_options.{name} = {file}\n");
                }
            }
            if site.config.contains_key(AUTHORITY) {
                text += "ssl_options.verify = verify_peer\n";
                text += "ssl_options.fail_if_no_peer_cert = true\n";
            }
        } else {
            text += &format!("listeners.tcp.1 = {listener}\n");
        }
        // To the output of the process, where the reason of an early end is looked for.
        text += "log.file = false\nlog.console = true\nlog.console.use_colors = off\n";
        let all = members(site);
        if all.len() > 1 {
            text += "cluster_formation.peer_discovery_backend = classic_config\n";
            // The first to hold the lock asks so often for a cluster that is there already.
            text += "cluster_formation.discovery_retry_interval = 100\n";
            for (place, member) in all.iter().enumerate() {
                let place = place + 1;
                let node = &member.node;
                text += &format!("cluster_formation.classic_config.nodes.{place} = {node}\n");
            }
        }
        for (key, value) in &site.config {
            if !ELSEWHERE.contains(&key.as_str()) {
                text += &format!("{key} = {value}\n");
            }
        }
        text
    }

    fn launch(&self, found: &Found, site: &Site, configuration: PathBuf) -> Launch {
        let mut arguments = String::from("-kernel inet_dist_use_interface {127,0,0,1}");
        if let Some(further) = site.config.get(ERLANG_ARGUMENTS) {
            arguments += &format!(" {further}");
        }
        let data = site.data();
        let env = [
            ("HOME", site.folder.clone().into()),
            ("ERL_EPMD_PORT", mapper_port(site).to_string().into()),
            // A dump is as large as the memory in use, and nobody would read it.
            ("ERL_CRASH_DUMP_BYTES", "0".into()),
            ("RABBITMQ_NODENAME", self.node.clone().into()),
            ("RABBITMQ_MNESIA_BASE", data.into()),
            ("RABBITMQ_LOG_BASE", site.folder.clone().into()),
            (
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                site.folder.join("enabled_plugins").into(),
            ),
            ("RABBITMQ_CONFIG_FILE", configuration.into()),
            (
                "RABBITMQ_ADVANCED_CONFIG_FILE",
                site.folder.join("advanced.config").into(),
            ),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".into()),
            // Nowhere: it would add what is configured for the machine's own server.
            ("RABBITMQ_CONFIG_FILES", site.folder.join("none").into()),
            ("RABBITMQ_DIST_PORT", self.distribution.to_string().into()),
            (
                "RABBITMQ_PID_FILE",
                site.folder.join(format!("{}.pid", self.log)).into(),
            ),
            (ERLANG_ARGUMENTS, arguments.into()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value));
        Launch {
            name: self.log.clone(),
            program: script(found),
            args: Vec::new(),
            env: env.into(),
        }
    }
}

/// The login, as an Erlang term: in `rabbitmq.conf` some signs would mean something.
fn advanced(config: &Config) -> String {
    let entries = [(USER, "default_user"), (PASSWORD, "default_pass")];
    let entries = entries.into_iter().filter_map(|(key, name)| {
        let value = config.get(key)?.replace('\\', "\\\\").replace('"', "\\\"");
        Some(format!("{{{name}, <<\"{value}\"/utf8>>}}"))
    });
    let entries: Vec<String> = entries.collect();
    format!(
        "%% coding: utf-8\n[{{rabbit, [{}]}}].\n",
        entries.join(", ")
    )
}

/// What prints the plugins of the server on the path.
const LIST_PLUGINS: &str = "script=$(readlink -f \"$(command -v rabbitmq-server)\") && \
                            ls \"${script%/*/*}/plugins\"";

/// The version of the server among the plugins of `place`.
fn version_among<'p>(plugins: impl Iterator<Item = &'p str>, place: &str) -> io::Result<String> {
    let mut versions = plugins.filter_map(|plugin| plugin.strip_prefix("rabbit-"));
    let version = versions.next();
    let version = version.map(|version| version.trim_end_matches(".ez").to_owned());
    version.ok_or_else(|| {
        let nothing = format!("{place} has no rabbit-VERSION among its plugins");
        io::Error::new(io::ErrorKind::NotFound, nothing)
    })
}

/// The server's own script. Debian has a wrapper of the same name on the path, which runs it as another
/// user; it is a link into the folder of the script.
fn script(found: &Found) -> PathBuf {
    let program = &found.program;
    if found.container().is_some() {
        return program.clone();
    }
    let wrapped = || {
        let target = fs::canonicalize(program).ok()?;
        if target.file_name()? == "rabbitmq-script-wrapper" {
            return Some(target.with_file_name("rabbitmq-server"));
        }
        None
    };
    wrapped().unwrap_or_else(|| program.to_owned())
}

fn not_yet(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Origin;

    fn layout(config: &[(&str, &str)]) -> (Layout, String) {
        let config: Config = config
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let config = ABOUT.effective(&config).unwrap();
        let site = Site {
            folder: "/tmp/x".into(),
            ports: (5001..).take(PORTS * nodes(&config) as usize).collect(),
            config,
        };
        let found = Found {
            program: "/usr/lib/rabbitmq/bin/rabbitmq-server".into(),
            origin: Origin::Path,
        };
        (RabbitMq.configure(&found, &site), RabbitMq.url(&site))
    }

    fn file<'l>(layout: &'l Layout, name: &str) -> &'l str {
        let mut files = layout.files.iter();
        &files.find(|(path, _)| path == Path::new(name)).unwrap().1
    }

    #[test]
    fn one_server_has_its_port_mapper_before_it() {
        let (layout, url) = layout(&[("max_message_size", "4096")]);
        let names: Vec<&str> = layout.processes.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["epmd", "rabbitmq"]);
        assert_eq!(url, "amqp://127.0.0.1:5001");
        assert_eq!(layout.processes[0].args[3], "5003");
        let mapper = layout.processes[1].env.iter();
        assert!(
            mapper
                .clone()
                .any(|(k, v)| k == "ERL_EPMD_PORT" && v == "5003")
        );
        assert_eq!(
            file(&layout, "rabbitmq.conf"),
            "loopback_users = none\nlisteners.tcp.1 = 127.0.0.1:5001\n\
             log.file = false\nlog.console = true\nlog.console.use_colors = off\n\
             disk_free_limit.absolute = 50MB\nmax_message_size = 4096\n"
        );
    }

    #[test]
    fn members_of_a_cluster_share_a_port_mapper_and_know_each_other() {
        let (layout, url) = layout(&[("nodes", "3")]);
        assert_eq!(layout.processes.len(), 4);
        assert_eq!(
            url,
            "amqp://127.0.0.1:5001,amqp://127.0.0.1:5004,amqp://127.0.0.1:5007"
        );
        let text = file(&layout, "rabbitmq3.conf");
        assert!(
            text.contains("listeners.tcp.1 = 127.0.0.1:5007\n"),
            "{text}"
        );
        assert!(
            text.contains("classic_config.nodes.1 = rabbitmq1@localhost\n"),
            "{text}"
        );
    }

    #[test]
    fn a_login_keeps_every_sign_and_stays_out_of_the_other_files() {
        let (layout, _) = layout(&[("user", "me"), ("password", "p\"\\#$(x)")]);
        assert_eq!(
            file(&layout, "advanced.config"),
            "%% coding: utf-8\n[{rabbit, [{default_user, <<\"me\"/utf8>>}, \
             {default_pass, <<\"p\\\"\\\\#$(x)\"/utf8>>}]}].\n"
        );
        assert!(!file(&layout, "rabbitmq.conf").contains("x)"));
    }

    #[test]
    fn with_a_certificate_the_port_is_encrypted_and_with_an_authority_clients_need_one() {
        let (encrypted, _) = layout(&[("tls_cert", "/c.pem"), ("tls_key", "/k.pem")]);
        let text = file(&encrypted, "rabbitmq.conf");
        assert!(text.contains("listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:5001\n"));
        assert!(text.contains("ssl_options.certfile = /c.pem\nssl_options.keyfile = /k.pem\n"));
        assert!(!text.contains("verify"));
        let (both, _) = layout(&[("tls_cert", "/c"), ("tls_key", "/k"), ("tls_ca", "/a")]);
        let text = file(&both, "rabbitmq.conf");
        assert!(text.contains("ssl_options.fail_if_no_peer_cert = true\n"));
    }

    #[test]
    fn the_reason_is_what_is_listed_or_the_term_of_the_startup() {
        let log = "2026-11-21 10:59:52.056498+00:00 [error] <0.132.0> Error preparing configuration in phase transform_datatypes:\n\
                   2026-11-21 10:59:52.066604+00:00 [error] <0.132.0>   - Error transforming datatype for: channel_max\n\
                   2026-11-21 10:59:52.066654+00:00 [error] <0.132.0>   - \"plenty\" cannot be converted to a(n) integer\n\
                   Error during startup: {error,failed_to_prepare_configuration}\n";
        assert_eq!(
            RabbitMq.reason(log).unwrap(),
            "Error transforming datatype for: channel_max; \"plenty\" cannot be converted to a(n) integer"
        );
        let log = "BOOT FAILED\n===========\nError during startup: {error,\n                       \
                   {could_not_start_listener,\"127.0.0.1\",25990,\n                        {{shutdown,\n";
        assert_eq!(
            RabbitMq.reason(log).unwrap(),
            "{error, {could_not_start_listener,\"127.0.0.1\",25990, {{shutdown,"
        );
        assert_eq!(RabbitMq.reason("2026 [info] <0.1.0> Ready\n"), None);
    }
}
