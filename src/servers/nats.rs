//! NATS: one program, with JetStream inside, off by default.

use std::io;
use std::time::Duration;

use super::find::version_after;
use super::{About, Found, Image, Launch, Layout, Server, Setting, Site, Takes, socket};

/// See the module.
pub struct Nats;

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
    ports: 1,
    start_within: Duration::from_secs(15),
    stop_within: Duration::from_secs(3),
    settings: &[
        // The storage is chosen by each stream; what differs here is what the server is prepared for.
        Setting {
            key: "jetstream",
            takes: Takes::Choice(&["off", "memory", "file"]),
            default: Some("off"),
        },
        Setting {
            key: "sync_interval",
            takes: Takes::Text,
            default: None,
        },
        Setting {
            key: "max_payload",
            takes: Takes::Text,
            default: None,
        },
        Setting {
            key: "max_pending",
            takes: Takes::Text,
            default: None,
        },
        Setting {
            key: "write_deadline",
            takes: Takes::Text,
            default: None,
        },
    ],
};

impl Server for Nats {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn version(&self, found: &Found) -> io::Result<String> {
        version_after(&found.output(&["--version"])?, "v")
    }

    fn configure(&self, found: &Found, site: &Site) -> Layout {
        let mut text = format!("listen: \"{}:{}\"\n", found.bind(), site.port());
        let line = |key: &str| match site.config.get(key) {
            Some(value) => format!("{key}: {}\n", quoted(value)),
            None => String::new(),
        };
        text += &["max_payload", "max_pending", "write_deadline"]
            .map(line)
            .concat();
        if jetstream(site) {
            let store = quoted(&site.data().to_string_lossy());
            let sync = line("sync_interval");
            text += &format!("jetstream {{\nstore_dir: {store}\n{sync}}}\n");
        }
        let file = site.folder.join("nats.conf");
        Layout {
            processes: vec![Launch {
                name: ABOUT.name.to_owned(),
                program: found.program.clone(),
                args: vec!["--config".into(), file.clone().into()],
                env: Vec::new(),
            }],
            steps: Vec::new(),
            files: vec![(file, text)],
        }
    }

    fn answers(&self, site: &Site) -> io::Result<()> {
        let mut connection = socket::connect(site.port())?;
        let info = socket::ask(&mut connection, "", "INFO ")?;
        if jetstream(site) && !info.contains("\"jetstream\":true") {
            return Err(io::Error::other("JetStream is not ready"));
        }
        let hello = "CONNECT {\"verbose\":false,\"name\":\"mqbench\"}\r\nPING\r\n";
        socket::ask(&mut connection, hello, "PONG").map(drop)
    }

    fn url(&self, site: &Site) -> String {
        format!("nats://127.0.0.1:{}", site.port())
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
        false => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Origin;

    fn written(config: &[(&str, &str)]) -> String {
        let site = Site {
            folder: "/tmp/x".into(),
            ports: vec![4999],
            config: config
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
        };
        let found = Found {
            program: "/bin/nats-server".into(),
            origin: Origin::Path,
        };
        Nats.configure(&found, &site).files[0].1.clone()
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
