//! Redis: one program, one thread that executes commands.

use std::io;
use std::time::Duration;

use super::find::version_after;
use super::{About, Found, Image, Launch, Layout, Server, Setting, Site, Takes, socket};

/// See the module.
pub struct Redis;

const fn text(key: &'static str) -> Setting {
    let takes = Takes::Text;
    Setting {
        key,
        takes,
        default: None,
    }
}

static ABOUT: About = About {
    name: "redis",
    title: "Redis",
    version: "7.0.15",
    programs: &["redis-server"],
    image: Some(Image {
        name: "redis:7.2.13",
        programs: &["redis-server"],
    }),
    url: "redis://host:6379",
    ports: 1,
    start_within: Duration::from_secs(15),
    stop_within: Duration::from_secs(5),
    settings: &[
        Setting {
            key: "appendonly",
            takes: Takes::Choice(&["yes", "no"]),
            default: Some("no"),
        },
        Setting {
            key: "appendfsync",
            takes: Takes::Choice(&["always", "everysec", "no"]),
            default: None,
        },
        // Snapshots are off: they fork the server in the middle of a trial, and no offer rests on them.
        Setting {
            key: "save",
            takes: Takes::Text,
            default: Some("\"\""),
        },
        text("auto-aof-rewrite-percentage"),
        text("auto-aof-rewrite-min-size"),
        text("client-output-buffer-limit"),
        text("io-threads"),
        text("maxclients"),
        text("maxmemory"),
        text("maxmemory-policy"),
        text("no-appendfsync-on-rewrite"),
        text("proto-max-bulk-len"),
        text("stream-node-max-bytes"),
        text("stream-node-max-entries"),
    ],
};

impl Server for Redis {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn version(&self, found: &Found) -> io::Result<String> {
        version_after(&found.output(&["--version"])?, "v=")
    }

    fn configure(&self, found: &Found, site: &Site) -> Layout {
        let data = site
            .data()
            .to_string_lossy()
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        // It refuses what comes from elsewhere than loopback, as all does that comes through a port of a
        // container.
        let protected = if found.container().is_none() {
            "yes"
        } else {
            "no"
        };
        let mut text = format!(
            "bind {}\nport {}\ndir \"{data}\"\ndaemonize no\nprotected-mode {protected}\n",
            found.bind(),
            site.port()
        );
        for (key, value) in &site.config {
            text += &format!("{key} {value}\n");
        }
        let file = site.folder.join("redis.conf");
        Layout {
            steps: Vec::new(),
            processes: vec![Launch {
                name: ABOUT.name.to_owned(),
                program: found.program.clone(),
                args: vec![file.clone().into()],
                env: Vec::new(),
            }],
            files: vec![(file, text)],
        }
    }

    fn answers(&self, site: &Site) -> io::Result<()> {
        socket::ask(&mut socket::connect(site.port())?, "PING\r\n", "+PONG").map(drop)
    }

    fn url(&self, site: &Site) -> String {
        format!("redis://127.0.0.1:{}", site.port())
    }

    fn reason(&self, log: &str) -> Option<String> {
        let lines: Vec<&str> = log.lines().map(str::trim).collect();
        if let Some(at) = lines.iter().rposition(|line| line.starts_with(">>> ")) {
            let why = lines.get(at + 1).unwrap_or(&"");
            return Some(format!("{}: {why}", &lines[at][4..]));
        }
        // Otherwise the last line that is a warning: `PID:ROLE DATE TIME # WORDS`.
        let mut warnings = lines.iter().rev().filter_map(|line| line.split_once(" # "));
        // Its farewell comes after what it is about; advice about the machine's settings comes before.
        let is_about_its_end =
            |words: &str| !words.ends_with("bye bye...") && !words.starts_with("WARNING");
        let warning = warnings.find(|(_, words)| is_about_its_end(words));
        warning.map(|(_, words)| words.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Origin;

    #[test]
    fn settings_become_lines_of_its_file() {
        let config = [("appendonly", "yes"), ("appendfsync", "always")];
        let config = config.map(|(k, v)| (k.to_string(), v.to_string())).into();
        let site = Site {
            folder: "/tmp/x".into(),
            ports: vec![6999],
            config: ABOUT.effective(&config).unwrap(),
        };
        let found = Found {
            program: "/bin/redis-server".into(),
            origin: Origin::Path,
        };
        assert_eq!(
            Redis.configure(&found, &site).files[0].1,
            "bind 127.0.0.1\nport 6999\ndir \"/tmp/x/data\"\ndaemonize no\nprotected-mode yes\n\
             appendfsync always\nappendonly yes\nsave \"\"\n"
        );
    }

    #[test]
    fn the_reason_is_the_rejected_line_or_the_last_warning() {
        let log = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 4\n\
                   >>> 'dir /nonexistent'\nNo such file or directory\n";
        assert_eq!(
            Redis.reason(log).unwrap(),
            "'dir /nonexistent': No such file or directory"
        );
        let log = "13502:C 21 Nov 2026 01:27:32.231 # Redis version=7.0.15\n\
                   13502:M 21 Nov 2026 01:27:32.233 # Failed listening on port 4998 (TCP), aborting.\n";
        assert_eq!(
            Redis.reason(log).unwrap(),
            "Failed listening on port 4998 (TCP), aborting."
        );
        assert_eq!(Redis.reason("1:M 21 Nov 2026 01:27:32.231 * Ready\n"), None);
    }
}
