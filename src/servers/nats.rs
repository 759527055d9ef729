//! NATS: one program, with JetStream inside, off by default; three of them make a cluster.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::find::version_after;
use super::{
    About, Found, Image, Launch, Layout, NODES, Server, Setting, Site, Takes, nodes, socket,
};

/// See the module.
pub struct Nats;

/// Ports of one member: for clients, for the other members, and for who asks how they get on.
const PORTS: usize = 3;

static ABOUT: About = About {
    name: "nats",
    title: "NATS",
    version: "2.15.2",
    programs: &["nats-server"],
    image: Some(Image {
        name: "nats:2.15.2",
        programs: &["/nats-server"],
    }),
    url: "nats://host:4222",
    ports: PORTS,
    // A cluster may need two elections, of up to 9 s each.
    start_within: Duration::from_secs(20),
    stop_within: Duration::from_secs(3),
    settings: &[
        // The storage is chosen by each stream; what differs here is what the server is prepared for.
        Setting {
            key: "jetstream",
            takes: Takes::Choice(&["off", "memory", "file"]),
            default: Some("off"),
        },
        Setting {
            key: NODES,
            takes: Takes::Choice(&["1", "3"]),
            default: Some("1"),
        },
        Setting::text("sync_interval", None),
        Setting::text("max_payload", None),
        Setting::text("max_pending", None),
        Setting::text("write_deadline", None),
        Setting::access("user"),
        Setting::access("password"),
        Setting::access("token"),
        Setting::access("tls_cert"),
        Setting::access("tls_key"),
        Setting::access("tls_ca"),
    ],
    memory: &[],
};

impl Server for Nats {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn version(&self, found: &Found) -> io::Result<String> {
        version_after(&found.output(&["--version"])?, "v")
    }

    fn configure(&self, found: &Found, site: &Site) -> Layout {
        let mut layout = Layout::default();
        for member in members(site) {
            let file = site.folder.join(format!("{}.conf", member.name));
            layout
                .files
                .push((file.clone(), member.configuration(site, found.bind())));
            layout.processes.push(Launch {
                name: member.name,
                program: found.program.clone(),
                args: vec!["--config".into(), file.into()],
                env: Vec::new(),
            });
        }
        layout
    }

    fn answers(&self, site: &Site) -> io::Result<()> {
        let members = members(site);
        for member in &members {
            member.answers(site)?;
        }
        if members.len() == 1 {
            return Ok(());
        }
        for member in &members {
            member.sees(members.len() - 1)?;
        }
        if jetstream(site) {
            has_leader(&members)?;
        }
        Ok(())
    }

    fn url(&self, site: &Site) -> String {
        let members = members(site);
        let urls = members
            .iter()
            .map(|member| format!("nats://127.0.0.1:{}", member.port));
        urls.collect::<Vec<_>>().join(",")
    }

    fn reason(&self, log: &str) -> Option<String> {
        log.lines().rev().find_map(|line| {
            let fatal = line.split_once("[FTL] ").map(|(_, why)| why);
            // A mistake in the configuration is told before there is a log, as `nats-server: FILE:LINE…`.
            fatal
                .or_else(|| line.strip_prefix("nats-server: "))
                .map(str::to_owned)
        })
    }
}

/// One server; several make a cluster.
struct Member {
    /// Of the process, and in the cluster.
    name: String,
    /// For clients.
    port: u16,
    /// Where it tells how it gets on, over HTTP.
    monitor: u16,
    /// The lines that make it a member; empty where it is alone.
    cluster: String,
}

fn members(site: &Site) -> Vec<Member> {
    let ports: Vec<&[u16]> = site
        .ports
        .chunks(PORTS)
        .take(nodes(&site.config) as usize)
        .collect();
    if let [alone] = ports.as_slice() {
        return vec![Member {
            name: ABOUT.name.to_owned(),
            port: alone[0],
            monitor: 0,
            cluster: String::new(),
        }];
    }
    let routes = ports.iter().map(|ports| route(ports[1]));
    let routes = routes.collect::<Vec<_>>().join(", ");
    let member = |(number, ports): (usize, &&[u16])| {
        let name = format!("{}-{}", ABOUT.name, number + 1);
        let cluster = format!(
            "server_name: {name}\n\
             cluster {{\nname: mqbench\nlisten: \"127.0.0.1:{}\"\nno_advertise: true\n\
             routes: [{routes}]\n}}\n",
            ports[1]
        );
        Member {
            port: ports[0],
            monitor: ports[2],
            name,
            cluster,
        }
    };
    ports.iter().enumerate().map(member).collect()
}

fn route(port: u16) -> String {
    format!("\"nats://127.0.0.1:{port}\"")
}

impl Member {
    fn configuration(&self, site: &Site, bind: &str) -> String {
        let mut text = format!("listen: \"{bind}:{}\"\n", self.port);
        let line = |key: &str| match site.config.get(key) {
            Some(value) => format!("{key}: {}\n", quoted(value)),
            None => String::new(),
        };
        text += &["max_payload", "max_pending", "write_deadline"]
            .map(line)
            .concat();
        if !self.cluster.is_empty() {
            text += &format!("http: \"{bind}:{}\"\n", self.monitor);
        }
        text += &self.cluster;
        text += &security(site);
        if jetstream(site) {
            let mut store = site.data();
            if !self.cluster.is_empty() {
                store.push(&self.name);
            }
            let store = in_quotes(&store.to_string_lossy());
            let sync = line("sync_interval");
            text += &format!("jetstream {{\nstore_dir: {store}\n{sync}}}\n");
        }
        text
    }

    /// Whether it takes clients.
    fn answers(&self, site: &Site) -> io::Result<()> {
        let mut connection = socket::connect(self.port)?;
        let info = socket::ask(&mut connection, "", "INFO ")?;
        if jetstream(site) && !info.contains("\"jetstream\":true") {
            return Err(io::Error::other("JetStream is not ready"));
        }
        if info.contains("\"tls_required\":true") {
            // What follows would be encrypted; that it has said this much must do.
            return Ok(());
        }
        let setting = |key: &str| site.config.get(key);
        let hello = json!({
            "verbose": false,
            "name": "mqbench",
            "user": setting("user"),
            "pass": setting("password"),
            "auth_token": setting("token"),
        });
        let hello = format!("CONNECT {hello}\r\nPING\r\n");
        socket::ask(&mut connection, &hello, "PONG").map(drop)
    }

    /// Whether it has routes to so many others.
    fn sees(&self, others: usize) -> io::Result<()> {
        let routes = self.tells("/routez")?;
        let routes = routes["routes"].as_array().into_iter().flatten();
        let seen: HashSet<&str> = routes.filter_map(|r| r["remote_id"].as_str()).collect();
        match seen.len() == others {
            true => Ok(()),
            false => Err(io::Error::other(format!(
                "{} sees {} of {others} other members",
                self.name,
                seen.len()
            ))),
        }
    }

    /// What it answers to a question about itself.
    fn tells(&self, path: &str) -> io::Result<Value> {
        let mut connection = socket::connect(self.monitor)?;
        write!(connection.get_mut(), "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        serde_json::from_str(body).map_err(io::Error::other)
    }
}

/// Whether streams can be made: the members have one leader, and it has heard of every other lately.
fn has_leader(members: &[Member]) -> io::Result<()> {
    let not_yet = |what: String| Err(io::Error::other(what));
    let mut leader = None;
    for member in members {
        let known = member.tells("/jsz")?["meta_cluster"]["leader"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if known.is_empty() {
            return not_yet(format!("{} knows of no leader", member.name));
        }
        if leader.get_or_insert_with(|| known.clone()) != &known {
            return not_yet("the members do not agree on a leader".to_owned());
        }
    }
    let Some(leading) = members.iter().find(|m| leader.as_ref() == Some(&m.name)) else {
        return not_yet("the leader is none of the members".to_owned());
    };
    let told = leading.tells("/jsz")?;
    let followers = told["meta_cluster"]["replicas"].as_array();
    let followers = followers.into_iter().flatten();
    let current = followers.filter(|f| f["current"] == true && f["offline"] != true);
    match current.count() == members.len() - 1 {
        true => Ok(()),
        false => not_yet(format!("{} has not heard of every member", leading.name)),
    }
}

/// The lines for login and encryption.
fn security(site: &Site) -> String {
    let line = |(key, setting): (&str, &str)| match site.config.get(setting) {
        Some(value) => format!("{key}: {}\n", in_quotes(value)),
        None => String::new(),
    };
    let block = |name: &str, lines: String| match lines.is_empty() {
        true => lines,
        false => format!("{name} {{\n{lines}}}\n"),
    };
    let login = [
        ("user", "user"),
        ("password", "password"),
        ("token", "token"),
    ];
    let files = [
        ("cert_file", "tls_cert"),
        ("key_file", "tls_key"),
        ("ca_file", "tls_ca"),
    ];
    let mut tls = files.map(line).concat();
    if site.config.contains_key("tls_ca") {
        tls += "verify: true\n";
    }
    block("authorization", login.map(line).concat()) + &block("tls", tls)
}

fn jetstream(site: &Site) -> bool {
    site.config
        .get("jetstream")
        .is_some_and(|kind| kind != "off")
}

/// As NATS wants a value: figures and sizes such as `8MB` as they are, all else in quotes.
fn quoted(value: &str) -> String {
    let bare = value.starts_with(|c: char| c.is_ascii_digit())
        && value.ends_with(|c: char| c.is_ascii_digit() || "KMGB".contains(c))
        && value.chars().all(|c| c.is_ascii_alphanumeric());
    match bare {
        true => value.to_owned(),
        false => in_quotes(value),
    }
}

fn in_quotes(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::fixtures;

    fn written(config: &[(&str, &str)]) -> String {
        all_written(config).remove(0)
    }

    fn all_written(config: &[(&str, &str)]) -> Vec<String> {
        let site = fixtures::site(4999, fixtures::config(config));
        let found = fixtures::found("/bin/nats-server");
        let files = Nats.configure(&found, &site).files;
        files.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn core_has_no_jetstream_and_the_servers_own_limits() {
        assert_eq!(
            written(&[("jetstream", "off")]),
            "listen: \"127.0.0.1:4999\"\n"
        );
    }

    #[test]
    fn settings_are_written_where_they_belong() {
        let text = written(&[
            ("jetstream", "file"),
            ("sync_interval", "always"),
            ("max_payload", "8MB"),
            ("write_deadline", "10s"),
        ]);
        assert_eq!(
            text,
            "listen: \"127.0.0.1:4999\"\nmax_payload: 8MB\nwrite_deadline: \"10s\"\n\
             jetstream {\nstore_dir: \"/tmp/x/data\"\nsync_interval: \"always\"\n}\n"
        );
    }

    #[test]
    fn a_login_is_text_whatever_it_looks_like() {
        let text = written(&[("user", "me"), ("password", "12\"3\\")]);
        assert!(
            text.ends_with("authorization {\nuser: \"me\"\npassword: \"12\\\"3\\\\\"\n}\n"),
            "{text}"
        );
    }

    #[test]
    fn clients_are_asked_for_a_certificate_where_there_is_an_authority_for_them() {
        let mut settings = vec![("tls_cert", "/c.pem"), ("tls_key", "/k.pem")];
        let text = written(&settings);
        assert!(
            text.ends_with("tls {\ncert_file: \"/c.pem\"\nkey_file: \"/k.pem\"\n}\n"),
            "{text}"
        );
        settings.push(("tls_ca", "/a.pem"));
        let text = written(&settings);
        assert!(
            text.ends_with("ca_file: \"/a.pem\"\nverify: true\n}\n"),
            "{text}"
        );
    }

    #[test]
    fn members_of_a_cluster_know_each_other_and_share_nothing() {
        let texts = all_written(&[("nodes", "3"), ("jetstream", "file")]);
        assert_eq!(texts.len(), 3);
        let last = &texts[2];
        let routes = [5000, 5003, 5006].map(|p| format!("\"nats://127.0.0.1:{p}\""));
        for part in [
            "listen: \"127.0.0.1:5005\"\n",
            "http: \"127.0.0.1:5007\"\nserver_name: nats-3\n",
            "listen: \"127.0.0.1:5006\"\n",
            &format!("routes: [{}]", routes.join(", ")),
            "store_dir: \"/tmp/x/data/nats-3\"",
        ] {
            assert!(last.contains(part), "no `{part}` in {last}");
        }
    }

    #[test]
    fn the_reason_is_the_last_fatal_line() {
        let log = "[1] 2026/11/21 01:27:32.039153 [INF] Starting nats-server\n\
                   [1] 2026/11/21 01:27:32.042938 [FTL] Can't start JetStream: no such directory\n";
        assert_eq!(
            Nats.reason(log).unwrap(),
            "Can't start JetStream: no such directory"
        );
        let early = "nats-server: n.conf:2:1: unknown field \"foo\"\n";
        assert_eq!(
            Nats.reason(early).unwrap(),
            "n.conf:2:1: unknown field \"foo\""
        );
        assert_eq!(Nats.reason("[1] [INF] Server is ready\n"), None);
    }
}
